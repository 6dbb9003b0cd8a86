use std::net::SocketAddr;

use proptest::prelude::*;
use tokio::io::{AsyncBufReadExt, BufReader, DuplexStream, ReadHalf, WriteHalf, duplex};
use tokio::task::{LocalSet, spawn_local};

use super::*;
use crate::agent::state::State;
use crate::model::port::Protocol;
use crate::wire::{Lane, Plan, PlannedCell, Record, Serve};

/// The harness's end of a stream.
struct Harness {
    read: BufReader<ReadHalf<DuplexStream>>,
    write: WriteHalf<DuplexStream>,
}

impl Harness {
    fn to(desk: &Rc<Desk>) -> Self {
        let (ours, theirs) = duplex(1 << 16);
        desk.strangers.set(desk.strangers.get() + 1);
        let desk = Rc::clone(desk);
        spawn_local(async move { attend(&desk, theirs).await });
        let (read, write) = split(ours);
        Self { read: BufReader::new(read), write }
    }

    async fn greeting(desk: &Rc<Desk>, resume: u64) -> Self {
        let mut harness = Self::to(desk);
        harness.say(&ToAgent::Hello { protocol: PROTOCOL, token: "t".to_owned(), resume }).await;
        harness
    }

    async fn say(&mut self, message: &ToAgent) {
        let mut line = serde_json::to_vec(message).unwrap();
        line.push(b'\n');
        self.write.write_all(&line).await.unwrap();
    }

    /// The next message; none once the stream is closed.
    async fn hear(&mut self) -> Option<FromAgent> {
        let mut line = String::new();
        let bytes = timeout(Duration::from_secs(20), self.read.read_line(&mut line)).await.unwrap().unwrap();
        (bytes > 0).then(|| serde_json::from_str(&line).unwrap())
    }

    /// The next message that is not of records.
    async fn hear_other(&mut self) -> Option<FromAgent> {
        loop {
            match self.hear().await {
                Some(FromAgent::Records { .. }) => {}
                other => return other,
            }
        }
    }

    /// Records with their numbers, until there are `count`.
    async fn records(&mut self, count: usize) -> Vec<(u64, Record)> {
        let mut all = Vec::new();
        while all.len() < count {
            if let Some(FromAgent::Records { first, records, .. }) = self.hear().await {
                all.extend((first..).zip(records));
            }
        }
        all
    }
}

fn desk() -> Rc<Desk> {
    Rc::new(Desk::new(Rc::new(State::begin()), "t".to_owned()))
}

async fn with_desk<F: Future>(test: impl FnOnce(Rc<Desk>) -> F) -> F::Output {
    LocalSet::new().run_until(async { test(desk()).await }).await
}

/// One cell at a port of loopback where nobody listens.
fn plan(id: u64) -> ToAgent {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let to: SocketAddr = nobody.local_addr().unwrap();
    let cell = PlannedCell {
        cell: 1,
        to,
        protocol: Protocol::Tcp,
        expects: vec!["nobody".to_owned()],
        phase: 0,
        first_number: 0,
        expected: None,
    };
    ToAgent::Plan(Plan {
        id,
        lane: Lane::Main,
        cells: vec![cell],
        interval: 5_000_000,
        attempts: 1,
        deadline: 1_000_000_000,
        slack: 500_000_000,
        turns: None,
        expires: 60_000_000_000,
        persist: None,
        self_dial: 1_000_000_000,
    })
}

#[tokio::test]
async fn who_does_not_introduce_himself_is_refused() {
    let hello = |protocol, token: &str| ToAgent::Hello { protocol, token: token.to_owned(), resume: 0 };
    for (first, why) in [
        (hello(PROTOCOL + 1, "t"), "this agent speaks protocol 6, not 7"),
        (hello(PROTOCOL, "u"), "the token is wrong"),
        (hello(PROTOCOL, ""), "the token is wrong"),
        (ToAgent::Halt, "the first line must be a hello"),
    ] {
        with_desk(|desk| async move {
            let mut harness = Harness::to(&desk);
            harness.say(&first).await;
            assert_eq!(harness.hear().await, Some(FromAgent::Refused { why: why.to_owned() }));
            assert_eq!(harness.hear().await, None, "and the stream is closed");
            assert_eq!(desk.strangers.get(), 0);
        })
        .await;
    }
}

#[tokio::test]
async fn a_stranger_cannot_make_it_hold_a_long_line() {
    with_desk(|desk| async move {
        let mut harness = Harness::to(&desk);
        harness.write.write_all(&[b' '; MAX_HELLO]).await.unwrap();
        let why = "read a line: a line of more than 4096 bytes".to_owned();
        assert_eq!(harness.hear().await, Some(FromAgent::Refused { why }));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_stranger_who_says_nothing_is_sent_away() {
    with_desk(|desk| async move {
        let mut harness = Harness::to(&desk);
        assert_eq!(harness.hear().await, None);
    })
    .await;
}

#[tokio::test]
async fn garbage_ends_the_stream_and_not_the_plan() {
    with_desk(|desk| async move {
        let mut harness = Harness::greeting(&desk, 0).await;
        harness.say(&plan(1)).await;
        harness.records(2).await;
        harness.write.write_all(b"{\"say\":\"nonsense\"}\n").await.unwrap();
        let last = harness.hear_other().await;
        let why = |why: &str| why.starts_with("understand a line: unknown variant `nonsense`");
        assert!(matches!(&last, Some(FromAgent::Refused { why: said }) if why(said)), "{last:?}");
        assert_eq!(harness.hear_other().await, None, "and the stream is closed");
        let mut again = Harness::greeting(&desk, 2).await;
        assert_eq!(again.records(3).await[0].0, 2, "the records go on where they were");
    })
    .await;
}

fn is_welcome(message: &FromAgent) -> bool {
    matches!(message, FromAgent::Welcome { .. })
}

#[tokio::test]
async fn what_is_acknowledged_is_forgotten_and_what_is_not_comes_again() {
    with_desk(|desk| async move {
        let mut first = Harness::greeting(&desk, 0).await;
        first.say(&plan(1)).await;
        let seen = first.records(6).await;
        assert!(seen.iter().map(|(number, _)| *number).eq(0..seen.len() as u64), "numbered without gaps");
        first.say(&ToAgent::Ping { id: 9, acknowledged: 2 }).await;
        while first.hear_other().await.is_some_and(|message| !matches!(message, FromAgent::Pong { id: 9, .. })) {}

        let mut second = Harness::greeting(&desk, 3).await;
        let Some(FromAgent::Welcome { oldest, life, .. }) = second.hear().await else { panic!("no welcome") };
        assert_eq!(oldest, 3, "resuming acknowledges what is below");
        assert_eq!(life, desk.state.life);
        let again = second.records(3).await;
        assert_eq!(again[..3], seen[3..6], "the same records under the same numbers");

        let mut third = Harness::greeting(&desk, 0).await;
        let Some(FromAgent::Welcome { oldest, .. }) = third.hear().await else { panic!("no welcome") };
        assert_eq!(oldest, 3, "what is gone is gone, and said so");
    })
    .await;
}

#[tokio::test]
async fn a_new_stream_takes_the_place_of_the_old() {
    with_desk(|desk| async move {
        let mut old = Harness::greeting(&desk, 0).await;
        assert!(old.hear().await.as_ref().is_some_and(is_welcome));
        let mut stranger = Harness::to(&desk);
        stranger.say(&ToAgent::Halt).await;
        while stranger.hear().await.is_some() {}
        old.say(&ToAgent::Ping { id: 1, acknowledged: 0 }).await;
        assert!(matches!(old.hear_other().await, Some(FromAgent::Pong { id: 1, .. })), "a stranger replaces nobody");
        let mut new = Harness::greeting(&desk, 0).await;
        assert!(new.hear().await.as_ref().is_some_and(is_welcome));
        assert_eq!(old.hear_other().await, None, "the old stream is closed");
        new.say(&ToAgent::Ping { id: 2, acknowledged: 0 }).await;
        assert!(matches!(new.hear_other().await, Some(FromAgent::Pong { id: 2, .. })));
    })
    .await;
}

#[tokio::test]
async fn a_plan_sent_again_goes_on_and_an_impossible_one_changes_nothing() {
    with_desk(|desk| async move {
        let mut harness = Harness::greeting(&desk, 0).await;
        harness.say(&plan(7)).await;
        harness.hear().await;
        let first = harness.hear_other().await;
        harness.say(&plan(7)).await;
        assert!(matches!(first, Some(FromAgent::Planned { id: 7, .. })), "{first:?}");
        assert_eq!(harness.hear_other().await, first, "it started when it started");
        let ToAgent::Plan(mut impossible) = plan(8) else { unreachable!() };
        impossible.attempts = 0;
        harness.say(&ToAgent::Plan(impossible)).await;
        let why = "0 attempts in a turn are not between 1 and 64".to_owned();
        assert_eq!(harness.hear_other().await, Some(FromAgent::Refused { why }));
        let mut again = Harness::greeting(&desk, 0).await;
        again.say(&plan(7)).await;
        assert!(again.hear().await.as_ref().is_some_and(is_welcome));
        assert_eq!(again.hear_other().await, first, "the plan before goes on");
    })
    .await;
}

#[tokio::test]
async fn a_name_too_long_to_answer_with_is_refused_and_the_longest_of_a_pod_is_not() {
    for (length, fits) in [(253, true), (400, false)] {
        with_desk(|desk| async move {
            let mut harness = Harness::greeting(&desk, 0).await;
            harness.hear().await;
            let name = "x".repeat(length);
            harness.say(&ToAgent::Serve(Serve { name, secret: 1, addresses: vec![], ports: vec![] })).await;
            let serving = matches!(harness.hear_other().await, Some(FromAgent::Serving { .. }));
            assert_eq!(serving, fits, "{length} characters");
        })
        .await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_is_said_the_stream_ends_and_the_agent_lives(
        introduced in any::<bool>(),
        bytes in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..600),
            proptest::collection::vec(
                prop_oneof![
                    Just("{\"say\":"), Just("\"ping\""), Just("\"halt\""), Just("}\n"), Just(",\"id\":"), Just("1"),
                    Just("{\"say\":\"halt\"}\n"), Just("{\"say\":\"ping\",\"id\":1,\"acknowledged\":99}\n"),
                    Just("[[[["), Just("\"plan\""), Just("-1e999"), Just("\n"),
                ],
                0..20,
            ).prop_map(|words| words.concat().into_bytes()),
        ],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        LocalSet::new().block_on(&runtime, async {
            let desk = desk();
            let mut harness = if introduced { Harness::greeting(&desk, 0).await } else { Harness::to(&desk) };
            // The agent may have closed already.
            let _sent = harness.write.write_all(&bytes).await;
            let _sent = harness.write.shutdown().await;
            while harness.hear().await.is_some() {}
            let mut next = Harness::greeting(&desk, 0).await;
            assert!(next.hear().await.as_ref().is_some_and(is_welcome), "the next stream is welcome");
        });
    }
}
