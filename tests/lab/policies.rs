//! What nftables makes of policies, seen by real connections over whole matrices.

use std::collections::BTreeSet;
use std::fs::File;
use std::net::SocketAddr;
use std::num::NonZeroU8;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use leakproof::fabric::Realised;
use leakproof::fabric::lab::{Agents, Denial, Elsewhere, Entered, Fault, Host, Lab, Leftover, Raised};
use leakproof::model::endpoint::{Family, NodeOrdinal};
use leakproof::model::port::{Port, Protocol};
use leakproof::model::prediction::Direction;
use leakproof::policy::network_policy::{IpBlock, NetworkPolicy, Peer};
use leakproof::policy::selector::{LabelSelector, Operator, Requirement};
use leakproof::policy::{Clause, Policy};
use libtest_mimic::Failed;
use tokio::runtime::Runtime;

use crate::sockets::{Seen, compare, expected, matrix, serve, tcp};
use crate::worlds::{Made, by_name, named, number, pipeline, policy, range, rule, selects, served};
use crate::{Body, block_on};

pub fn trials() -> Vec<(&'static str, Body)> {
    vec![
        ("without policies everything is reached, on one node and across, in both families", bare),
        ("the pipeline policy lets only its own processing pods in", pipeline_policy),
        ("egress, ports, ranges, names and blocks are enforced as written", every_feature),
        ("fifteen hundred policies fit, whatever a transaction may hold", large),
        ("switching generations is never felt: denied stays denied, allowed stays allowed", switching),
        ("a policy without rules isolates, one that is deleted no longer does", replaced),
        ("a filter that somebody left is replaced in one transaction", left_behind),
    ]
}

/// Raises a world's endpoints, without agents.
pub async fn raise(entered: Entered, made: &Made, faults: &[&str]) -> Result<Raised, Failed> {
    let faults = faults.iter().map(|text| text.parse::<Fault>()).collect::<Result<Vec<_>, _>>()?;
    let lab = Lab::new(entered).with_agents(Agents::None).with_faults(faults);
    Ok(lab.raise(&made.without_policies(), &made.names, NonZeroU8::MIN).await.map_err(text)?)
}

/// An error with its causes.
pub fn text(error: impl std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

/// Tears down; nothing may have gone wrong.
pub async fn tear_down(raised: Raised) -> Result<(), Failed> {
    let errors: Vec<String> = raised.tear_down().await.into_iter().map(text).collect();
    if errors.is_empty() { Ok(()) } else { Err(errors.join("; ").into()) }
}

/// The whole way of most trials: raise, enact the world's policies, look.
async fn holds(
    entered: Entered,
    made: &Made,
    allowed: impl Fn(&str, &str, Port, Family) -> bool,
) -> Result<(), Failed> {
    let mut raised = raise(entered, made, &[]).await?;
    let _servers = serve(&raised, made).await?;
    raised.enact(&[], &made.world).await.map_err(text)?;
    let seen = matrix(&raised, made).await;
    tear_down(raised).await?;
    compare("with policies", &seen, &expected(made, &Seen::Silent, allowed))?;
    Ok(())
}

/// Only what the kernel takes is looked at: that nothing passes meanwhile is what a transaction is.
fn left_behind(entered: Entered, runtime: Arc<Runtime>) -> Result<(), Failed> {
    block_on(&runtime, async {
        let made = pipeline();
        let raised = raise(entered, &made, &[]).await?;
        let mut errors = Vec::new();
        // What comes of a filter in the end: the next finds it, or nothing.
        let (dies, ends) = (None, Some(Elsewhere::remove));
        for (leftover, end) in
            [(Leftover::Removed, dies), (Leftover::Kept, ends), (Leftover::Kept, dies), (Leftover::Removed, ends)]
        {
            let netns = raised.inside(made.find("intruder"), || File::open("/proc/thread-self/ns/net"));
            let netns = netns.await.map_err(text)??;
            let host = Host { ordinal: NodeOrdinal(NonZeroU8::MIN), name: "node-1".into(), netns };
            let mut filters = Elsewhere::install(vec![host], leftover, Denial::Drop).map_err(text)?;
            filters.enforce(&made.without_policies(), &[]).map_err(text)?;
            filters.enforce(&made.world, &[]).map_err(text)?;
            errors.extend(end.map(|end| end(filters)).unwrap_or_default().into_iter().map(text));
        }
        tear_down(raised).await?;
        if errors.is_empty() { Ok(()) } else { Err(errors.join("; ").into()) }
    })
}

fn bare(entered: Entered, runtime: Arc<Runtime>) -> Result<(), Failed> {
    block_on(&runtime, async {
        let mut made = pipeline().outside("internet", [198, 51, 100, 7], &[served(443, Protocol::Tcp)]);
        made.world.policies.clear();
        holds(entered, &made, |_, _, _, _| true).await
    })
}

fn pipeline_policy(entered: Entered, runtime: Arc<Runtime>) -> Result<(), Failed> {
    block_on(&runtime, async {
        let made = pipeline();
        holds(entered, &made, |from, to, _, _| !to.starts_with("data-store") || from == "ai-processing").await
    })
}

fn every_feature(entered: Entered, runtime: Arc<Runtime>) -> Result<(), Failed> {
    block_on(&runtime, async {
        let tcp = |number| served(number, Protocol::Tcp);
        let made = Made::default()
            .namespace("one")
            .namespace("two")
            .pod("a", "one", 1, &[("app", "a")], &[tcp(80), tcp(8000), tcp(8001), tcp(8002), served(53, Protocol::Udp)])
            .pod("b", "one", 2, &[("app", "b")], &[named("web", 8080, Protocol::Tcp), tcp(9090)])
            .pod("c", "two", 1, &[("app", "c")], &[named("web", 9090, Protocol::Tcp), tcp(8080)])
            .pod("d", "two", 2, &[], &[tcp(80)])
            .outside("near", [203, 0, 113, 5], &[tcp(443)])
            .outside("far", [203, 0, 113, 77], &[tcp(443)])
            // Into a: a range of ports from the namespace two, and DNS from anyone.
            .policy(NetworkPolicy {
                ingress: Clause::Given(vec![
                    rule(
                        &[Peer::Namespaces(selects(&[("kubernetes.io/metadata.name", "two")]))],
                        &[range(Protocol::Tcp, 8000, 8001)],
                    ),
                    rule(&[], &[range(Protocol::Udp, 53, 53)]),
                ]),
                ..policy("one", "into-a", selects(&[("app", "a")]))
            })
            // Out of d: wherever a port is called web, and to one block less a hole.
            .policy(NetworkPolicy {
                policy_types: Clause::Given(vec![Direction::Egress]),
                egress: Clause::Given(vec![
                    rule(&[], &[by_name("web")]),
                    rule(
                        &[Peer::Block(IpBlock {
                            cidr: "203.0.113.0/24".parse()?,
                            except: vec!["203.0.113.64/26".parse()?],
                        })],
                        &[number(443)],
                    ),
                ]),
                ..policy(
                    "two",
                    "out-of-d",
                    LabelSelector::default_with(Requirement { key: "app".into(), operator: Operator::DoesNotExist }),
                )
            });
        holds(entered, &made, |from, to, port, family| {
            let ingress = match to {
                "a" if port.protocol == Protocol::Udp => true,
                "a" => ["c", "d"].contains(&from) && (8000..=8001).contains(&port.number.get()),
                _ => true,
            };
            let egress = match (from, to, port.number.get()) {
                ("d", "b", 8080) | ("d", "c", 9090) => true,
                ("d", "near", 443) => family == Family::V4,
                ("d", _, _) => false,
                _ => true,
            };
            ingress && egress
        })
        .await
    })
}

/// Selectors of one requirement.
trait DefaultWith {
    fn default_with(requirement: Requirement) -> Self;
}

impl DefaultWith for LabelSelector {
    fn default_with(requirement: Requirement) -> Self {
        Self { match_expressions: vec![requirement], ..Self::default() }
    }
}

fn replaced(entered: Entered, runtime: Arc<Runtime>) -> Result<(), Failed> {
    block_on(&runtime, async {
        let mut made = pipeline();
        made.world.policies.clear();
        let mut made = made.policy(NetworkPolicy {
            policy_types: Clause::Given(vec![Direction::Ingress, Direction::Egress]),
            ..policy("ai-data-pipeline", "default-deny", LabelSelector::default())
        });
        let mut raised = raise(entered, &made, &[]).await?;
        let _servers = serve(&raised, &made).await?;
        raised.enact(&[], &made.world).await.map_err(text)?;
        let denied = matrix(&raised, &made).await;
        let staging = |name: &str| name == "impostor";
        let nobody = expected(&made, &Seen::Silent, |from, to, _, _| staging(from) && staging(to));
        made.world.policies.clear();
        raised.enact(&[], &made.world).await.map_err(text)?;
        let open = matrix(&raised, &made).await;
        tear_down(raised).await?;
        compare("isolated", &denied, &nobody)?;
        compare("after deletion", &open, &expected(&made, &Seen::Silent, |_, _, _, _| true))?;
        Ok(())
    })
}

fn large(entered: Entered, runtime: Arc<Runtime>) -> Result<(), Failed> {
    block_on(&runtime, async {
        let mut made = pipeline();
        made.world.policies.clear();
        // Each with a rule of its own, every tenth with sets of its own besides.
        for place in 0..1500_u16 {
            let address = std::net::Ipv4Addr::from_bits(0xac10_0000 + 4 * u32::from(place));
            let cidr = ipnet::IpNet::new(address.into(), 31)?;
            let mut ports = vec![number(1 + 2 * place)];
            if place % 10 == 0 {
                ports.push(number(10_001 + 2 * place));
            }
            let block = Peer::Block(IpBlock { cidr, except: Vec::new() });
            made = made.policy(NetworkPolicy {
                ingress: Clause::Given(vec![rule(&[block], &ports)]),
                ..policy("ai-data-pipeline", &format!("policy-{place}"), selects(&[("role", "data-store")]))
            });
        }
        let last = Peer::Pods(selects(&[("role", "ai-processing")]));
        made = made.policy(NetworkPolicy {
            ingress: Clause::Given(vec![rule(&[last], &[])]),
            ..policy("ai-data-pipeline", "the-last", selects(&[("role", "data-store")]))
        });
        holds(entered, &made, |from, to, _, _| !to.starts_with("data-store") || from == "ai-processing").await
    })
}

fn switching(entered: Entered, runtime: Arc<Runtime>) -> Result<(), Failed> {
    block_on(&runtime, async {
        let made = pipeline();
        let mut raised = raise(entered, &made, &[]).await?;
        let _servers = serve(&raised, &made).await?;
        raised.enact(&[], &made.world).await.map_err(text)?;
        // Two worlds that mean the same, compiled to different rules.
        let mut other = made.world.clone();
        let doubled = policy("ai-data-pipeline", "doubled", selects(&[("role", "data-store")]));
        other.policies.push(Policy::Network(Arc::new(doubled)));
        let at = made.world.addresses(made.find("data-store")).and_then(|addresses| addresses.v4).expect("an address");
        let at = SocketAddr::new(at.into(), 5432);
        let stop = Arc::new(AtomicBool::new(false));
        let mut threads = Vec::new();
        for (name, many) in [("intruder", 8), ("ai-processing", 2)] {
            for _ in 0..many {
                let stop = Arc::clone(&stop);
                // A thread is born into the network namespace of the one that starts it.
                let begin = move || std::thread::spawn(move || attempts_until(&stop, at));
                threads.push((name, raised.inside(made.find(name), begin).await?));
            }
        }
        let mut switches = 0;
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(1500) {
            let world = if switches % 2 == 0 { &other } else { &made.world };
            raised.enact(&[], world).await.map_err(text)?;
            switches += 1;
        }
        stop.store(true, Ordering::Relaxed);
        let mut seen: (BTreeSet<String>, BTreeSet<String>) = Default::default();
        let mut attempts = 0;
        for (name, thread) in threads {
            let saw = thread.join().map_err(|_| "an attempt panicked")?;
            attempts += saw.len();
            let seen = if name == "intruder" { &mut seen.0 } else { &mut seen.1 };
            seen.extend(saw.into_iter().map(|seen| format!("{seen:?}")));
        }
        tear_down(raised).await?;
        let right = (["Silent"].map(str::to_owned).into(), ["Reached(\"data-store\")"].map(str::to_owned).into());
        let enough = switches > 10 && attempts > 100;
        if seen == right && enough { Ok(()) } else { Err(format!("{attempts} under {switches}: {seen:?}").into()) }
    })
}

fn attempts_until(stop: &AtomicBool, at: SocketAddr) -> Vec<Seen> {
    let mut seen = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        seen.push(tcp(at));
    }
    seen
}
