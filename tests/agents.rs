//! Agents and crew together, over loopback: every outcome an attempt can have there, and what a stopped agent says.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use brittle::Brittle;
use leakproof::clock;
use leakproof::fabric::Dial;
use leakproof::model::endpoint::{Addresses, EndpointId, Family};
use leakproof::model::flow::{Flow, FlowId};
use leakproof::model::moment::Moment;
use leakproof::model::observation::{Blindness, Failure, Outcome, Refusal};
use leakproof::model::port::{Port, Protocol};
use leakproof::probe::{Crew, Member, Pace, ProbeError, SweepPlan, Terms};
use nix::sys::signal::Signal;
use seen::Seen;
use sockets::Sockets;

#[path = "agents/brittle.rs"]
mod brittle;
#[path = "agents/rates.rs"]
mod rates;
#[path = "agents/seen.rs"]
mod seen;
#[path = "agents/sockets.rs"]
mod sockets;

const TOKEN: &str = "token";
const TERMS: Terms = Terms { secret: 99, patience: Duration::from_secs(10), grace: Duration::from_secs(10) };

fn address(endpoint: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x7f00_0100 + endpoint)
}

fn port(number: u16, protocol: Protocol) -> Port {
    Port { number: NonZeroU16::new(number).unwrap(), protocol }
}

fn member(endpoint: u32, ports: &[Port]) -> Member {
    Member {
        endpoint: EndpointId(endpoint),
        name: format!("pod-{endpoint}"),
        addresses: Addresses { v4: Some(address(endpoint)), v6: None },
        ports: ports.to_vec(),
        token: TOKEN.to_owned(),
    }
}

fn cell(id: u32, source: u32, destination: u32, port: Port) -> (FlowId, Flow) {
    let (source, destination) = (EndpointId(source), EndpointId(destination));
    (FlowId(id), Flow { source, destination, family: Family::V4, port })
}

fn plan(cells: Vec<(FlowId, Flow)>) -> SweepPlan {
    let pace = Pace { interval: Duration::from_millis(20), attempts: 1 };
    // Slack for a test machine that is busy with other things.
    SweepPlan { slack: Duration::from_millis(500), ..SweepPlan::new(cells, pace, Duration::from_millis(200)) }
}

#[tokio::test]
async fn every_outcome_is_told_apart() {
    let (tcp, udp) = (port(7101, Protocol::Tcp), port(7101, Protocol::Udp));
    let (mute_tcp, full_tcp, mute_udp) =
        (port(7102, Protocol::Tcp), port(7103, Protocol::Tcp), port(7102, Protocol::Udp));
    let at = |port: Port| SocketAddr::new(IpAddr::V4(address(4)), port.number.get());
    // A listener that never says a word; one whose queue is full, so that the kernel drops what comes; a mute datagram
    // socket.
    let _mute = std::net::TcpListener::bind(at(mute_tcp)).unwrap();
    let _mute_datagram = std::net::UdpSocket::bind(at(mute_udp)).unwrap();
    let full = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    full.bind(&at(full_tcp).into()).unwrap();
    full.listen(0).unwrap();
    let _fills_it = std::net::TcpStream::connect(at(full_tcp)).unwrap();

    let sockets = Sockets::new();
    (2..=4).for_each(|endpoint| sockets.start(endpoint));
    let members = vec![member(2, &[tcp, udp]), member(3, &[tcp, udp]), member(4, &[tcp])];
    let (mut crew, mut sightings) = Crew::muster(Arc::clone(&sockets) as Arc<dyn Dial>, members, TERMS).await.unwrap();
    crew.reassign(Member { name: "impostor".to_owned(), ..member(4, &[tcp]) }).await.unwrap();

    let someone = || Outcome::SomeoneElse { who: "impostor".to_owned() };
    let refused = || Outcome::Refused { how: Refusal::Refused };
    let unsupported = || Outcome::Unsupported { what: "sctp".to_owned() };
    let cases = [
        (cell(0, 2, 3, tcp), Outcome::Reached, "the right server answers"),
        (cell(1, 3, 2, tcp), Outcome::Reached, "and the other way round"),
        (cell(2, 2, 3, udp), Outcome::Reached, "datagrams too"),
        (cell(3, 2, 3, port(7109, Protocol::Tcp)), refused(), "nobody listens"),
        (cell(4, 2, 3, port(7109, Protocol::Udp)), refused(), "nobody takes datagrams there"),
        (cell(5, 2, 4, tcp), someone(), "a server with another name"),
        (cell(6, 2, 4, mute_tcp), Outcome::HalfOpen, "a handshake and no word"),
        (cell(7, 2, 4, full_tcp), Outcome::Silent, "the first packet is dropped"),
        (cell(8, 2, 4, mute_udp), Outcome::Silent, "a datagram without answer"),
        (cell(9, 2, 3, port(7101, Protocol::Sctp)), unsupported(), "a protocol that is not spoken"),
    ];
    let planned = crew.plan(&plan(cases.iter().map(|(cell, ..)| *cell).collect())).await.unwrap();
    let mut seen = Seen::default();
    let wanted = planned.start.plus(Duration::from_millis(500));
    seen.until(&mut sightings, |seen| {
        (2..=4).all(|endpoint| seen.complete.get(&endpoint).is_some_and(|(until, _)| *until >= wanted))
    })
    .await;
    for ((id, _), outcome, sentence) in &cases {
        assert_eq!(seen.story(id.0), std::slice::from_ref(outcome), "{sentence}");
        // 500 ms at a turn every 20 ms, fewer only where turns were missed.
        assert!(seen.attempts(id.0) >= 20, "{sentence}: only {} attempts", seen.attempts(id.0));
    }
    for id in [0, 1, 2, 5] {
        let answered: Vec<u32> = seen.outcomes[&id].keys().copied().collect();
        let delivered = &seen.delivered[&id];
        assert!(answered.iter().all(|number| delivered.contains(number)), "what was answered had been delivered");
    }
    assert!(!seen.delivered.contains_key(&7) && !seen.delivered.contains_key(&8));
    for own in [(2, tcp), (2, udp), (3, tcp), (3, udp), (4, tcp)] {
        assert!(seen.own.contains(&(own.0, own.1, Outcome::Reached)), "{own:?} was not dialled by itself");
    }

    crew.halt().await.unwrap();
    let infos = crew.disband(planned.start).await;
    assert_eq!(infos.iter().map(|info| info.endpoint.as_str()).collect::<Vec<_>>(), ["pod-2", "pod-3", "pod-4"]);
    assert_eq!((infos[0].reconnects, infos[0].lost.as_deref()), (0, None));
    assert!(infos[0].attempts > 100 && infos[0].clock_error_ns < 100_000_000, "{:?}", infos[0]);
}

#[tokio::test]
async fn numbers_run_on_from_plan_to_plan() {
    let tcp = port(7111, Protocol::Tcp);
    let sockets = Sockets::new();
    (12..=13).for_each(|endpoint| sockets.start(endpoint));
    let members = vec![member(12, &[tcp]), member(13, &[tcp])];
    let (mut crew, mut sightings) = Crew::muster(sockets, members, TERMS).await.unwrap();
    let mut seen = Seen::default();
    for round in 1..4 {
        crew.plan(&plan(vec![cell(5, 12, 13, tcp)])).await.unwrap();
        seen.until(&mut sightings, |seen| seen.attempts(5) >= round * 5).await;
        assert_eq!(seen.story(5), [Outcome::Reached]);
    }
    crew.halt().await.unwrap();
    crew.disband(Moment(0)).await;
}

#[tokio::test]
async fn a_listener_that_is_closed_refuses_and_others_stay() {
    let (stays, goes) = (port(7121, Protocol::Tcp), port(7122, Protocol::Tcp));
    let sockets = Sockets::new();
    (22..=23).for_each(|endpoint| sockets.start(endpoint));
    let members = vec![member(22, &[]), member(23, &[stays, goes])];
    let (mut crew, mut sightings) = Crew::muster(sockets, members, TERMS).await.unwrap();
    crew.plan(&plan(vec![cell(0, 22, 23, stays), cell(1, 22, 23, goes)])).await.unwrap();
    let mut seen = Seen::default();
    seen.until(&mut sightings, |seen| seen.attempts(0) >= 5 && seen.attempts(1) >= 5).await;
    crew.reassign(member(23, &[stays])).await.unwrap();
    let refused = Outcome::Refused { how: Refusal::Refused };
    seen.until(&mut sightings, |seen| seen.outcomes[&1].values().any(|outcome| *outcome == refused)).await;
    let last = seen.attempts(0);
    seen.until(&mut sightings, |seen| seen.attempts(0) >= last + 5).await;
    assert_eq!(seen.story(0), [Outcome::Reached], "the listener that stays was not touched");
    crew.disband(Moment(0)).await;
}

#[tokio::test]
async fn nothing_is_lost_or_doubled_when_streams_break() {
    let (tcp, udp) = (port(7151, Protocol::Tcp), port(7151, Protocol::Udp));
    let sockets = Sockets::new();
    (92..=93).for_each(|endpoint| sockets.start(endpoint));
    let members = vec![member(92, &[]), member(93, &[tcp, udp])];
    let (mut crew, mut sightings) = Crew::muster(Arc::new(Brittle(sockets)), members, TERMS).await.unwrap();
    let planned = crew.plan(&plan(vec![cell(0, 92, 93, tcp), cell(1, 92, 93, udp)])).await.unwrap();
    let mut seen = Seen::default();
    // How much is said in a second depends on how busy this machine is: the busier, the longer the records' runs.
    for second in 2.. {
        let until = planned.start.plus(Duration::from_secs(second));
        seen.until(&mut sightings, |seen| {
            [92, 93].iter().all(|endpoint| seen.complete.get(endpoint).is_some_and(|(at, _)| *at >= until))
        })
        .await;
        if crew.report(planned.start).iter().all(|info| info.reconnects >= 3) {
            break;
        }
        assert!(second < 30, "the streams did not break: {:?}", crew.report(planned.start));
    }
    // Two streams: what one end has told of the last attempts, the other may still be about to tell.
    crew.halt().await.unwrap();
    let over = leakproof::clock::now().plus(Duration::from_millis(400));
    seen.until(&mut sightings, |seen| {
        [92, 93].iter().all(|id| seen.complete.get(id).is_some_and(|(at, arrived)| *at.min(arrived) >= over))
    })
    .await;
    for id in [0, 1] {
        assert_eq!(seen.story(id), [Outcome::Reached]);
        let mut delivered = seen.delivered[&id].clone();
        delivered.sort_unstable();
        let doubles = delivered.windows(2).filter(|pair| pair[0] == pair[1]).count();
        assert_eq!(doubles, 0, "an arrival was reported twice");
        assert!(seen.outcomes[&id].keys().all(|number| delivered.binary_search(number).is_ok()));
    }
    crew.disband(planned.start).await;
}

#[tokio::test]
async fn a_stopped_agent_is_blind_and_says_of_what_was_pending_only_what_the_kernel_held() {
    let (tcp, mute) = (port(7131, Protocol::Tcp), port(7132, Protocol::Udp));
    let _mute = std::net::UdpSocket::bind(SocketAddr::new(IpAddr::V4(address(33)), 7132)).unwrap();
    let sockets = Sockets::new();
    let agent = sockets.spawn(32);
    sockets.start(33);
    let members = vec![member(32, &[]), member(33, &[tcp])];
    let (mut crew, mut sightings) = Crew::muster(sockets, members, TERMS).await.unwrap();
    let plan =
        SweepPlan { slack: Duration::from_millis(100), ..plan(vec![cell(0, 32, 33, tcp), cell(1, 32, 33, mute)]) };
    crew.plan(&plan).await.unwrap();
    let mut seen = Seen::default();
    seen.until(&mut sightings, |seen| seen.attempts(1) >= 5).await;

    agent.signal(Signal::SIGSTOP);
    let stopped = clock::now();
    // The other agent's watermark tells when two seconds are over.
    let over = stopped.plus(Duration::from_secs(2));
    seen.until(&mut sightings, |seen| seen.complete.get(&33).is_some_and(|(_, arrived)| *arrived > over)).await;
    let continued = clock::now();
    agent.signal(Signal::SIGCONT);
    let after = continued.plus(Duration::from_millis(500));
    seen.until(&mut sightings, |seen| seen.complete.get(&32).is_some_and(|(until, _)| *until > after)).await;

    let tick = Duration::from_millis(200);
    let covers = |(endpoint, from, until, why): &(u32, Moment, Moment, Blindness)| {
        (*endpoint, *why) == (32, Blindness::Starved) && *from <= stopped.plus(tick) && *until >= continued.minus(tick)
    };
    assert!(seen.blind.iter().any(covers), "no blindness covers {stopped:?} to {continued:?}: {:?}", seen.blind);
    // Whoever always answers is never said to be silent, whoever never does never to have answered.
    assert!(!seen.outcomes[&0].values().any(|outcome| *outcome == Outcome::Silent), "{:?}", seen.launches[&0]);
    assert!(!seen.outcomes[&1].values().any(|outcome| *outcome == Outcome::Reached), "{:?}", seen.launches[&1]);
    let pending = |(first, last, _): &&(Moment, Moment, Outcome)| {
        *first < stopped && *last >= stopped.minus(Duration::from_millis(50))
    };
    assert!(seen.launches[&1].iter().any(|launch| pending(&launch)), "attempts were pending when it was stopped");
    let failures = |cell: u32, why: Failure| {
        let failed = Outcome::Failed { why };
        seen.outcomes[&cell].values().filter(|outcome| **outcome == failed).count()
    };
    assert!(failures(1, Failure::Missed) >= 50, "two seconds of turns every 20 ms were missed");
    assert!(failures(0, Failure::Missed) >= 50);
    let missed = seen.launches[&0].iter().filter(|(.., o)| *o == Outcome::Failed { why: Failure::Missed }).count();
    assert!(missed <= 3, "many missed turns are one record, not {missed}");
    seen.story(0);
    seen.story(1);
    crew.disband(Moment(0)).await;
}

#[tokio::test]
async fn a_turn_that_is_held_up_has_all_its_attempts() {
    let tcp = port(7161, Protocol::Tcp);
    let _mute = std::net::UdpSocket::bind(SocketAddr::new(IpAddr::V4(address(63)), 7162)).unwrap();
    let sockets = Sockets::new();
    let agent = sockets.spawn(62);
    sockets.start(63);
    let members = vec![member(62, &[]), member(63, &[tcp])];
    let (mut crew, mut sightings) = Crew::muster(sockets, members, TERMS).await.unwrap();
    let pace = Pace { interval: Duration::from_secs(60), attempts: 4 };
    let cells = vec![cell(0, 62, 63, port(7162, Protocol::Udp))];
    let plan = SweepPlan { pace, slack: Duration::from_millis(100), ..plan(cells) };
    let start = crew.plan(&plan).await.unwrap().start;
    // One or two attempts are made; when the agent goes on, the deadline of the first is over.
    tokio::time::sleep(start.plus(Duration::from_millis(60)).since(clock::now())).await;
    agent.signal(Signal::SIGSTOP);
    tokio::time::sleep(Duration::from_millis(300)).await;
    agent.signal(Signal::SIGCONT);
    let mut seen = Seen::default();
    let over = start.plus(Duration::from_millis(1500));
    seen.until(&mut sightings, |seen| seen.complete.get(&62).is_some_and(|(until, _)| *until > over)).await;
    let missed = Outcome::Failed { why: Failure::Missed };
    let made = seen.outcomes[&0].values().filter(|outcome| **outcome != missed).count();
    assert_eq!(made, 4, "{:?}", seen.launches);
    crew.disband(Moment(0)).await;
}

#[tokio::test]
async fn a_killed_agent_is_lost_once_the_grace_is_over() {
    let tcp = port(7141, Protocol::Tcp);
    let sockets = Sockets::new();
    let agent = sockets.spawn(42);
    let terms = Terms { grace: Duration::from_millis(300), ..TERMS };
    let (mut crew, mut sightings) = Crew::muster(sockets, vec![member(42, &[tcp])], terms).await.unwrap();
    agent.signal(Signal::SIGKILL);
    let mut seen = Seen::default();
    seen.until(&mut sightings, |seen| !seen.lost.is_empty()).await;
    assert_eq!(seen.lost[0].0, 42);
    assert!(seen.lost[0].1.starts_with("out of reach for 300ms"), "{}", seen.lost[0].1);
    crew.halt().await.unwrap();
    let infos = crew.disband(Moment(0)).await;
    assert!(infos[0].lost.is_some());
}

#[tokio::test]
async fn agents_that_never_come_are_named() {
    let sockets = Sockets::new();
    sockets.start(52);
    let terms = Terms { patience: Duration::from_millis(500), ..TERMS };
    let members = vec![member(52, &[]), member(53, &[])];
    let Err(ProbeError::Absent(absent)) = Crew::muster(sockets, members, terms).await.map(|_| ()) else {
        panic!("a crew without one of its agents")
    };
    assert_eq!(absent.len(), 1);
    assert_eq!(absent[0].name, "pod-53");
    assert!(absent[0].problem.as_ref().is_some_and(|problem| problem.contains("No such file")), "{absent:?}");
}

#[tokio::test]
async fn a_port_that_cannot_be_bound_is_named() {
    let taken = std::net::TcpListener::bind((address(62), 0)).unwrap();
    let port = port(taken.local_addr().unwrap().port(), Protocol::Tcp);
    let sockets = Sockets::new();
    sockets.start(62);
    let error = Crew::muster(sockets, vec![member(62, &[port])], TERMS).await.map(|_| ()).unwrap_err();
    assert!(
        matches!(&error, ProbeError::NotServing { name, port: failed, .. } if name == "pod-62" && *failed == port),
        "{error}"
    );
}

#[tokio::test]
async fn a_wrong_token_is_refused() {
    let sockets = Sockets::new();
    sockets.start(72);
    let member = Member { token: "guessed".to_owned(), ..member(72, &[]) };
    let error = Crew::muster(sockets, vec![member], TERMS).await.map(|_| ()).unwrap_err();
    assert_eq!(error.to_string(), "wait for the agents of `pod-72` (the agent refused: the token is wrong)");
}

#[test]
fn an_agent_whose_starter_is_gone_before_it_looks_ends_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let control = format!("unix:{}", folder.path().join("control").display());
    // Number 1 starts no tests: to the agent it is a starter that is its parent no more.
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_leakproof-agent"));
    command.args(["--control", &control]).env("LEAKPROOF_AGENT_TOKEN", TOKEN).env("LEAKPROOF_AGENT_PARENT", "1");
    let ended = command.stdin(std::process::Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(4), "{said}");
    assert!(said.contains("the process that started this agent is gone"), "{said}");
}
