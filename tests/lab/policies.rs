//! What nftables makes of policies, seen by real connections over whole matrices.

use std::num::NonZeroU8;
use std::sync::Arc;

use leakproof::fabric::Realised;
use leakproof::fabric::lab::{Agents, Entered, Fault, Lab, Raised};
use leakproof::model::endpoint::Family;
use leakproof::model::port::{Port, Protocol};
use leakproof::model::prediction::Direction;
use leakproof::policy::Clause;
use leakproof::policy::network_policy::{IpBlock, NetworkPolicy, Peer};
use leakproof::policy::selector::{LabelSelector, Operator, Requirement};
use libtest_mimic::Failed;
use tokio::runtime::Runtime;

use crate::sockets::{Seen, compare, expected, matrix, serve};
use crate::worlds::{Made, by_name, named, number, pipeline, policy, range, rule, selects, served};
use crate::{Body, block_on};

pub fn trials() -> Vec<(&'static str, Body)> {
    vec![
        ("without policies everything is reached, on one node and across, in both families", bare),
        ("the pipeline policy lets only its own processing pods in", pipeline_policy),
        ("egress, ports, ranges, names and blocks are enforced as written", every_feature),
        ("a policy without rules isolates, one that is deleted no longer does", replaced),
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
