//! Measurements, to be looked at: they fail only on nonsense.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use leakproof::model::moment::Moment;
use leakproof::model::port::{Port, Protocol};
use leakproof::probe::{Crew, Pace, SweepPlan};

use super::seen::Seen;
use super::sockets::{Agent, Sockets, processor_seconds};
use super::{TERMS, address, cell, member, plan, port};

/// How much an agent can do; `LEAKPROOF_AGENT` names another build of it. To be looked at, so it fails only on nonsense.
#[tokio::test]
#[ignore = "a measurement: cargo test --test agents rate -- --ignored --nocapture"]
async fn rate() {
    let seconds = 3;
    for (cells, protocol, served, what) in [
        (60, Protocol::Tcp, true, "reached"),
        (90, Protocol::Tcp, true, "reached"),
        (120, Protocol::Tcp, true, "reached"),
        (90, Protocol::Udp, true, "reached"),
        (90, Protocol::Udp, false, "silent"),
    ] {
        let ports: Vec<Port> = (0..cells).map(|n| port(7200 + n, protocol)).collect();
        let mute = |port: &Port| std::net::UdpSocket::bind(SocketAddr::new(IpAddr::V4(address(83)), port.number.get()));
        let _mutes: Vec<_> = if served { Vec::new() } else { ports.iter().map(mute).collect() };
        let sockets = Sockets::new();
        let agents = [sockets.spawn(82), sockets.spawn(83)];
        let members = vec![member(82, &[]), member(83, if served { &ports } else { &[] })];
        let (mut crew, mut sightings) = Crew::muster(sockets, members, TERMS).await.unwrap();
        let flows = (0..u32::from(cells)).zip(&ports).map(|(id, port)| cell(id, 82, 83, *port)).collect();
        let pace = Pace { interval: Duration::from_millis(10), attempts: 1 };
        let plan = SweepPlan::new(flows, pace, Duration::from_millis(300));
        let planned = crew.plan(&SweepPlan { self_dial: Duration::from_secs(1), ..plan }).await.unwrap();
        let mut seen = Seen::default();
        let until = planned.start.plus(Duration::from_secs(seconds));
        let before: Vec<f64> = agents.iter().map(Agent::processor_seconds).collect();
        let ours = processor_seconds(std::process::id());
        seen.until(&mut sightings, |seen| seen.complete.get(&82).is_some_and(|(complete, _)| *complete > until)).await;
        let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
        for outcome in seen.outcomes.values().flat_map(BTreeMap::values) {
            *outcomes.entry(format!("{outcome:?}")).or_default() += 1;
        }
        println!("{} a second, {protocol} {what}: {outcomes:?}", cells * 100);
        for (place, agent) in agents.iter().enumerate() {
            let used = (agent.processor_seconds() - before[place]) / seconds as f64;
            println!("  agent {place}: {:.0} % of a core, {}", used * 100.0, agent.memory());
        }
        println!("  harness: {:.0} %", (processor_seconds(std::process::id()) - ours) / seconds as f64 * 100.0);
        println!("  blind spans: {}", seen.blind.len());
        crew.disband(Moment(0)).await;
    }
}

/// What agents that do nothing cost.
#[tokio::test]
#[ignore = "a measurement: cargo test --test agents idle -- --ignored --nocapture"]
async fn idle() {
    let sockets = Sockets::new();
    let agents: Vec<Agent> = (100..150).map(|endpoint| sockets.spawn(endpoint)).collect();
    let tcp = port(7301, Protocol::Tcp);
    let members = (100..150).map(|endpoint| member(endpoint, &[tcp])).collect();
    let (mut crew, mut sightings) = Crew::muster(sockets, members, TERMS).await.unwrap();
    let planned = crew.plan(&plan(Vec::new())).await.unwrap();
    let used = || agents.iter().map(Agent::processor_seconds).sum::<f64>();
    let before = used();
    let ours = processor_seconds(std::process::id());
    let mut seen = Seen::default();
    let until = planned.start.plus(Duration::from_secs(5));
    seen.until(&mut sightings, |seen| seen.complete.get(&100).is_some_and(|(complete, _)| *complete > until)).await;
    println!("50 idle agents: {:.1} % of a core", (used() - before) * 20.0);
    println!("harness: {:.1} %", (processor_seconds(std::process::id()) - ours) * 20.0);
    println!("one: {}", agents[0].memory());
    crew.disband(Moment(0)).await;
}
