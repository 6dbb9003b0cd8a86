//! What the engine is to get wrong: the lab's faults, as far as they are a policy engine's.

use std::time::Duration;

use leakproof::fabric::lab::{Denial, Fault, FaultyFlow, OnNode, Packets, Treatment, Trouble, Wrong};
use leakproof::model::endpoint::{Family, NodeOrdinal};

use super::objects::Seen;

/// All faults, sorted by how they come about.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    pub denial: Denial,
    /// Changes are enforced so much later.
    pub late: Duration,
    /// Flows that are treated wrongly all the time.
    steady: Vec<(FaultyFlow, Packets, Treatment)>,
    /// Flows that change to and fro.
    flapping: Vec<FaultyFlow>,
    /// How often they do.
    pub period: Option<Duration>,
    /// What happens when, counted from the first policy; in order of time.
    pub schedule: Vec<(Duration, NodeOrdinal, Deed)>,
}

/// Something that happens to a node at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    Afflict(Trouble),
    /// Its sets of peers are emptied.
    Empty,
    /// They are filled again.
    Fill,
}

/// A fault that is none of a policy engine's.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not the fault of a policy engine; the lab has it")]
pub struct NotOurs(String);

impl Plan {
    pub fn new(faults: &[Fault]) -> Result<Self, NotOurs> {
        let mut plan = Self::default();
        let span = |on: &OnNode, first, then| {
            [(on.start, on.node, first), (on.start.saturating_add(on.duration), on.node, then)]
        };
        for fault in faults {
            match fault {
                Fault::Leak(flow) => plan.steady.push((flow.clone(), Packets::All, Treatment::Pass)),
                Fault::LeakRepeats(flow) => plan.steady.push((flow.clone(), Packets::Repeated, Treatment::Pass)),
                Fault::Cut(flow) => plan.steady.push((flow.clone(), Packets::All, Treatment::Cut)),
                Fault::Flap(flow, period) => {
                    plan.flapping.push(flow.clone());
                    plan.period = Some(plan.period.map_or(*period, |other| other.min(*period)));
                }
                Fault::Late(by) => plan.late = *by,
                Fault::Reject => plan.denial = Denial::Reject,
                Fault::LoseNode(on) => {
                    let troubles = [Trouble::Lose, Trouble::Find].map(Deed::Afflict);
                    plan.schedule.extend(span(on, troubles[0], troubles[1]));
                }
                Fault::OpenMoment(on) => {
                    let troubles = [Trouble::Demolish, Trouble::Rebuild].map(Deed::Afflict);
                    plan.schedule.extend(span(on, troubles[0], troubles[1]));
                }
                Fault::StopForwarding(on) => {
                    let troubles = [Trouble::Halt, Trouble::Resume].map(Deed::Afflict);
                    plan.schedule.extend(span(on, troubles[0], troubles[1]));
                }
                Fault::LateSet(on) => plan.schedule.extend(span(on, Deed::Empty, Deed::Fill)),
                Fault::LosePacket(..)
                | Fault::NoRoute(..)
                | Fault::LatePod(_)
                | Fault::OpenPod(_)
                | Fault::KillListener(_)
                | Fault::WrongServer(_)
                | Fault::KillAgent(_)
                | Fault::StopAgent(..)
                | Fault::CutStream(_) => return Err(NotOurs(fault.to_string())),
            }
        }
        plan.schedule.sort_by_key(|(at, ..)| *at);
        Ok(plan)
    }

    /// The flows that are treated wrongly while flapping ones are treated like this.
    pub fn wrongs(&self, seen: &Seen, flap: Treatment) -> Vec<Wrong> {
        let flapping = self.flapping.iter().map(|flow| (flow, Packets::All, flap));
        let flows = self.steady.iter().map(|(flow, which, how)| (flow, *which, *how)).chain(flapping);
        flows.flat_map(|(flow, which, how)| wrongs(seen, flow, which, how)).collect()
    }
}

/// One flow between all pods of these names, in every family both have.
fn wrongs(seen: &Seen, flow: &FaultyFlow, which: Packets, how: Treatment) -> Vec<Wrong> {
    let addresses = |name: &str| {
        let ids = seen.names.get(name).into_iter().flatten();
        ids.filter_map(|id| seen.world.addresses(*id)).collect::<Vec<_>>()
    };
    let destinations = addresses(&flow.to);
    let mut found = Vec::new();
    for from in addresses(&flow.from) {
        for to in &destinations {
            let pairs =
                [Family::V4, Family::V6].into_iter().filter_map(|family| Some((from.of(family)?, to.of(family)?)));
            found.extend(pairs.map(|(from, to)| Wrong { from, to, port: flow.port, which, how }));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU8;

    use leakproof::model::endpoint::{Addresses, EndpointId};
    use leakproof::model::labels::Labels;
    use leakproof::scenario::world::Pod;

    use super::*;

    fn plan(faults: &[&str]) -> Result<Plan, String> {
        let faults: Vec<Fault> = faults.iter().map(|fault| fault.parse().unwrap()).collect();
        Plan::new(&faults).map_err(|error| error.to_string())
    }

    #[test]
    fn what_an_engine_cannot_do_is_refused() {
        let error = plan(&["kill-agent=a@1s"]).unwrap_err();
        assert!(error.contains("kill-agent=a@1s"), "{error}");
    }

    #[test]
    fn a_span_becomes_two_deeds_in_order_of_time() {
        let plan = plan(&["lose-node=2@5s+1s", "late-set=1@2s+10s", "late=3s", "reject"]).unwrap();
        let at: Vec<_> = plan.schedule.iter().map(|(at, node, deed)| (at.as_secs(), node.0.get(), *deed)).collect();
        let [lose, find] = [Trouble::Lose, Trouble::Find].map(Deed::Afflict);
        assert_eq!(at, [(2, 1, Deed::Empty), (5, 2, lose), (6, 2, find), (12, 1, Deed::Fill)]);
        assert_eq!((plan.late, plan.denial), (Duration::from_secs(3), Denial::Reject));
    }

    #[test]
    fn a_flow_is_wrong_between_all_pods_of_its_names_and_none_is_where_there_are_none() {
        let mut seen = Seen::default();
        for (id, name) in ["a", "b", "b"].into_iter().enumerate() {
            let id = EndpointId(u32::try_from(id).unwrap());
            let last = u8::try_from(id.0).unwrap();
            seen.names.entry(name.to_owned()).or_default().push(id);
            seen.world.pods.insert(
                id,
                Pod {
                    namespace: "n".to_owned(),
                    labels: Labels::default(),
                    serves: Vec::new(),
                    node: NodeOrdinal(NonZeroU8::MIN),
                    addresses: Addresses { v4: Some([10, 0, 0, last].into()), v6: None },
                },
            );
        }
        let plan = plan(&["leak=a->b:80/tcp", "flap=b->a:80/tcp@1s", "cut=a->gone:80/tcp"]).unwrap();
        let shown = |flap| -> Vec<String> {
            plan.wrongs(&seen, flap).iter().map(|w| format!("{}-{} {:?}", w.from, w.to, w.how)).collect()
        };
        assert_eq!(
            shown(Treatment::Cut),
            ["10.0.0.0-10.0.0.1 Pass", "10.0.0.0-10.0.0.2 Pass", "10.0.0.1-10.0.0.0 Cut", "10.0.0.2-10.0.0.0 Cut",]
        );
        assert_eq!(shown(Treatment::Pass)[2], "10.0.0.1-10.0.0.0 Pass");
    }
}
