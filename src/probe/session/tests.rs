use std::cell::Cell;

use futures::future::BoxFuture;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, duplex, split};
use tokio::sync::oneshot;
use tokio_test::io::Builder;

use super::*;
use crate::fabric::Stream;
use crate::model::observation::{Blindness, Outcome};
use crate::wire::{Lane, Plan, Serve, Starved};

/// Hands out the streams it was given, one after the other; then there is no way.
struct Ways(Mutex<VecDeque<Box<dyn Stream>>>);

impl Dial for Ways {
    fn dial(&self, _endpoint: EndpointId) -> BoxFuture<'_, std::io::Result<Box<dyn Stream>>> {
        let way = self.0.lock().unwrap().pop_front();
        Box::pin(async move { way.ok_or_else(|| std::io::Error::other("no way")) })
    }
}

thread_local! {
    static BEGAN: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// A clock that stands still with tokio's: the first look shows one second.
fn clock() -> Moment {
    let began = BEGAN.get().unwrap_or_else(Instant::now);
    BEGAN.set(Some(began));
    Moment(1_000_000_000).plus(began.elapsed())
}

struct Rig {
    orders: mpsc::UnboundedSender<Order>,
    sightings: mpsc::UnboundedReceiver<Sighting>,
    report: Arc<Mutex<Report>>,
}

impl Rig {
    fn on(ways: Vec<Box<dyn Stream>>) -> Self {
        let (orders, queue) = mpsc::unbounded_channel();
        let (sightings, receiver) = mpsc::unbounded_channel();
        let report = Arc::default();
        let session = Session {
            endpoint: EndpointId(4),
            token: "t".to_owned(),
            dial: Arc::new(Ways(Mutex::new(ways.into()))),
            grace: Duration::from_secs(30),
            sightings,
            orders: queue,
            report: Arc::clone(&report),
            clock,
            numbers: HashMap::new(),
        };
        tokio::spawn(session.talk());
        Self { orders, sightings: receiver, report }
    }

    async fn sees(&mut self) -> Sighting {
        self.sightings.recv().await.unwrap()
    }

    fn report(&self) -> Report {
        self.report.lock().unwrap().clone()
    }
}

fn hello(resume: u64) -> ToAgent {
    ToAgent::Hello { protocol: PROTOCOL, token: "t".to_owned(), resume }
}

fn welcome(life: u64, oldest: u64) -> FromAgent {
    // Five seconds ahead of the harness's clock.
    FromAgent::Welcome { protocol: PROTOCOL, version: "0".to_owned(), life, clock: Moment(6_000_000_000), oldest }
}

fn tried(number: u32) -> Record {
    let at = Moment(6_000_000_000 + u64::from(number));
    Record::Tried {
        cell: 2,
        first_number: number,
        count: 1,
        first: at,
        last: at,
        left_within: 3,
        slowest: 9,
        outcome: Outcome::Silent,
    }
}

fn records(first: u64, records: Vec<Record>, mark: u64) -> FromAgent {
    let mark = Moment(6_000_000_000 + mark);
    FromAgent::Records { first, records, launched: mark, arrived: mark.plus(Duration::from_nanos(1)) }
}

fn line(message: &impl serde::Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(message).unwrap();
    line.push(b'\n');
    line
}

fn seen(number: u32) -> Sighting {
    let at = Moment(1_000_000_000 + u64::from(number));
    Sighting::Tried {
        flow: FlowId(2),
        first_number: number,
        count: 1,
        first: at,
        last: at,
        left_within: Duration::from_nanos(3),
        slowest: Duration::from_nanos(9),
        outcome: Outcome::Silent,
    }
}

fn complete(mark: u64) -> Sighting {
    let until = Moment(1_000_000_000 + mark);
    Sighting::Complete { endpoint: EndpointId(4), until, arrived: until.plus(Duration::from_nanos(1)) }
}

/// What an agent played by hand says of itself.
const STARVED: Starved = Starved { longest: 30_000_000, total: 90_000_000 };

/// The agent's end of a stream that a test plays by hand.
struct Agent {
    read: BufReader<tokio::io::ReadHalf<DuplexStream>>,
    write: tokio::io::WriteHalf<DuplexStream>,
}

impl Agent {
    fn pair() -> (Self, Box<dyn Stream>) {
        let (ours, theirs) = duplex(1 << 16);
        let (read, write) = split(ours);
        (Self { read: BufReader::new(read), write }, Box::new(theirs))
    }

    /// The next message that is no ping, which is answered.
    async fn hears(&mut self) -> Option<ToAgent> {
        loop {
            let mut text = String::new();
            self.read.read_line(&mut text).await.unwrap();
            match serde_json::from_str(&text).ok()? {
                ToAgent::Ping { id, .. } => {
                    self.says(&FromAgent::Pong { id, clock: clock().plus(Duration::from_secs(5)), starved: STARVED })
                        .await;
                }
                other => return Some(other),
            }
        }
    }

    async fn says(&mut self, message: &FromAgent) {
        // The session may have turned to another stream meanwhile.
        let _sent = self.write.write_all(&line(message)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn records_come_out_on_our_clock_and_a_stream_is_resumed_behind_the_last() {
    clock();
    let ping = |id, acknowledged| line(&ToAgent::Ping { id, acknowledged });
    let first = Builder::new()
        .write(&line(&hello(0)))
        .read(&line(&welcome(7, 0)))
        .write(&ping(0, 0))
        .read(&line(&records(0, vec![tried(0), tried(1)], 10)))
        .read_error(std::io::ErrorKind::ConnectionReset.into())
        .build();
    // The agent sends the second again, since nobody acknowledged it.
    let second = Builder::new()
        .write(&line(&hello(2)))
        .read(&line(&FromAgent::Welcome {
            protocol: PROTOCOL,
            version: "0".to_owned(),
            life: 7,
            clock: Moment(6_020_000_000),
            oldest: 0,
        }))
        .write(&ping(1, 2))
        .read(&line(&records(1, vec![tried(1), tried(2)], 20)))
        .build();
    let mut rig = Rig::on(vec![Box::new(first), Box::new(second)]);
    for expected in [seen(0), seen(1), complete(10), seen(2), complete(20)] {
        assert_eq!(rig.sees().await, expected);
    }
    assert_eq!((rig.report().attempts, rig.report().reconnects), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn an_order_is_given_again_when_the_stream_broke_before_its_answer() {
    clock();
    let (mut first, way) = Agent::pair();
    let (mut second, other_way) = Agent::pair();
    let rig = Rig::on(vec![way, other_way]);
    let (answer, answered) = oneshot::channel();
    let serve = Serve { name: "a".to_owned(), secret: 1, addresses: vec![], ports: vec![] };
    rig.orders.send(Order::Serve(serve.clone(), answer)).unwrap();
    assert_eq!(first.hears().await, Some(hello(0)));
    first.says(&welcome(7, 0)).await;
    assert_eq!(first.hears().await, Some(ToAgent::Serve(serve.clone())));
    drop(first);
    assert_eq!(second.hears().await, Some(hello(0)));
    second.says(&welcome(7, 0)).await;
    assert_eq!(second.hears().await, Some(ToAgent::Serve(serve)));
    second.says(&FromAgent::Serving { failed: vec![], lacks: vec![] }).await;
    assert!(answered.await.unwrap().is_ok());
    rig.orders.send(Order::End).unwrap();
    assert_eq!(second.hears().await, Some(ToAgent::Exit));
}

#[tokio::test(start_paused = true)]
async fn an_agent_in_a_new_life_is_lost_with_its_records() {
    clock();
    let (mut first, way) = Agent::pair();
    let (mut second, other_way) = Agent::pair();
    let mut rig = Rig::on(vec![way, other_way]);
    first.hears().await;
    first.says(&welcome(7, 0)).await;
    first.says(&records(0, vec![tried(0)], 10)).await;
    assert_eq!([rig.sees().await, rig.sees().await], [seen(0), complete(10)]);
    drop(first);
    second.hears().await;
    second.says(&welcome(8, 0)).await;
    let why = "the agent was started anew: its records are gone".to_owned();
    let since = Moment(1_000_000_010);
    assert_eq!(rig.sees().await, Sighting::Lost { endpoint: EndpointId(4), since, why: why.clone() });
    let (answer, answered) = oneshot::channel();
    rig.orders.send(Order::Halt(answer)).unwrap();
    assert_eq!(answered.await.unwrap(), Err(Unanswered::Lost(why)), "orders that come later are not left waiting");
}

#[tokio::test(start_paused = true)]
async fn a_stream_on_which_nothing_comes_is_given_up_and_an_agent_out_of_reach_is_lost() {
    clock();
    let (mut first, way) = Agent::pair();
    let mut rig = Rig::on(vec![way]);
    let began = Instant::now();
    first.hears().await;
    first.says(&welcome(7, 0)).await;
    let Sighting::Lost { why, .. } = rig.sees().await else { panic!("not lost") };
    assert_eq!(why, "out of reach for 30s: no way");
    let after = began.elapsed();
    assert!(after >= Duration::from_secs(30) && after < Duration::from_secs(32), "after {after:?}");
}

#[tokio::test(start_paused = true)]
async fn what_an_agent_dropped_is_passed_over_and_its_own_word_for_it_passed_on() {
    clock();
    let (mut agent, way) = Agent::pair();
    let mut rig = Rig::on(vec![way]);
    agent.hears().await;
    agent.says(&welcome(7, 40)).await;
    let (from, until) = (Moment(6_000_000_001), Moment(6_000_000_002));
    let blind = Record::Blind { from, until, why: Blindness::Overflow };
    agent.says(&records(40, vec![tried(3), blind], 10)).await;
    let blind = Sighting::Blind {
        endpoint: EndpointId(4),
        from: Moment(1_000_000_001),
        until: Moment(1_000_000_002),
        why: Blindness::Overflow,
    };
    for expected in [seen(3), blind, complete(10)] {
        assert_eq!(rig.sees().await, expected);
    }
    assert_eq!(rig.report().blind.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_plan_begins_behind_the_last_number_and_a_refusal_reaches_who_asked() {
    clock();
    let (mut agent, way) = Agent::pair();
    let (mut next, other_way) = Agent::pair();
    let mut rig = Rig::on(vec![way, other_way]);
    agent.hears().await;
    agent.says(&welcome(7, 0)).await;
    agent.says(&records(0, vec![tried(0), tried(1)], 10)).await;
    while rig.sees().await != complete(10) {}
    let (answer, answered) = oneshot::channel();
    let cell = |cell| crate::wire::PlannedCell {
        cell,
        to: "10.0.0.1:80".parse().unwrap(),
        protocol: crate::model::port::Protocol::Tcp,
        expects: vec!["b".to_owned()],
        phase: 0,
        first_number: 0,
        expected: None,
    };
    let plan = Plan {
        id: 3,
        lane: Lane::Main,
        cells: vec![cell(2), cell(5)],
        interval: 1,
        attempts: 1,
        deadline: 1,
        slack: 1,
        turns: None,
        expires: 1,
        persist: None,
        self_dial: 1,
    };
    rig.orders.send(Order::Plan(plan, answer)).unwrap();
    let Some(ToAgent::Plan(plan)) = agent.hears().await else { panic!("no plan") };
    let numbers: Vec<(u32, u32)> = plan.cells.iter().map(|cell| (cell.cell, cell.first_number)).collect();
    assert_eq!(numbers, [(2, 2), (5, 0)]);
    agent.says(&FromAgent::Refused { why: "too much".to_owned() }).await;
    assert_eq!(answered.await.unwrap(), Err(Unanswered::Refused("too much".to_owned())));
    assert_eq!(next.hears().await, Some(hello(2)), "and the conversation goes on");
}

#[tokio::test(start_paused = true)]
async fn a_halt_is_answered_once_the_agent_has_heard_it() {
    clock();
    let (mut agent, way) = Agent::pair();
    let rig = Rig::on(vec![way]);
    agent.hears().await;
    agent.says(&welcome(7, 0)).await;
    let (answer, mut answered) = oneshot::channel();
    rig.orders.send(Order::Halt(answer)).unwrap();
    assert_eq!(agent.hears().await, Some(ToAgent::Halt));
    assert!(answered.try_recv().is_err(), "the ping behind it is not answered yet");
    let (heard, answered) = tokio::join!(timeout(Duration::from_secs(1), agent.hears()), answered);
    assert!(heard.is_err() && answered.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn how_long_an_agent_starved_is_known_from_its_answer_to_a_ping() {
    clock();
    let (mut agent, way) = Agent::pair();
    let rig = Rig::on(vec![way]);
    agent.hears().await;
    agent.says(&welcome(7, 0)).await;
    assert_eq!(rig.report().starved, None, "it has not told");
    let (answer, answered) = oneshot::channel();
    rig.orders.send(Order::Halt(answer)).unwrap();
    assert_eq!(agent.hears().await, Some(ToAgent::Halt));
    tokio::select! {
        halted = answered => assert!(halted.unwrap().is_ok()),
        other = agent.hears() => panic!("a ping, and not {other:?}"),
    }
    assert_eq!(rig.report().starved, Some(STARVED));
    let info = rig.report().info("a", clock());
    assert_eq!(info.starved.map(|starved| (starved.longest_us, starved.total_us)), Some((30_000, 90_000)));
}
