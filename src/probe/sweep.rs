//! A plan for the whole matrix, split into one for each agent.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use crate::model::endpoint::{Addresses, EndpointId};
use crate::model::flow::{Flow, FlowId};
use crate::model::moment::{Moment, nanoseconds};
use crate::model::verdict::Verdict;
use crate::wire::{Lane, Persist, Plan, PlannedCell};

use super::{Member, Pace, ProbeError};

/// What all agents together are to attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct SweepPlan {
    /// The cells.
    pub cells: Vec<(FlowId, Flow)>,
    /// How often each cell's turn comes, and with how many attempts.
    pub pace: Pace,
    /// An attempt without an answer after this is silent.
    pub deadline: Duration,
    /// How late an agent may be before it counts as starved.
    pub slack: Duration,
    /// The plan ends by itself after so many turns of each cell; none: only when replaced, halted or expired.
    pub turns: Option<u32>,
    /// An agent that nobody tells otherwise stops after this.
    pub expires: Duration,
    /// How often each agent dials its own listeners.
    pub self_dial: Duration,
    /// Destinations without an agent, by what answers there.
    pub services: BTreeMap<EndpointId, Facade>,
    /// Which of the plans under way it replaces.
    pub lane: Lane,
    /// What is expected of cells that agents are to try again at once where they are something else.
    pub expected: BTreeMap<FlowId, Verdict>,
    /// Cells on which long attempts are made besides, and how.
    pub persist: Option<Persistence>,
}

/// A destination without an agent of its own: a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facade {
    /// Its name.
    pub name: String,
    /// Its addresses.
    pub addresses: Addresses,
    /// The names of all who may answer there.
    pub answered_by: Vec<String>,
}

/// Long attempts: see [`Persist`].
#[derive(Debug, Clone, PartialEq)]
pub struct Persistence {
    /// On these cells.
    pub cells: BTreeSet<FlowId>,
    /// Each once in this.
    pub every: Duration,
    /// An attempt gives up after this.
    pub deadline: Duration,
}

impl SweepPlan {
    /// A plan without end and with the usual slack (50 ms), expiry (an hour) and self-dials (two a deadline, but no
    /// more than ten a second, and no more than three between two turns of a cell).
    pub fn new(cells: Vec<(FlowId, Flow)>, pace: Pace, deadline: Duration) -> Self {
        Self {
            cells,
            pace,
            deadline,
            slack: Duration::from_millis(50),
            turns: None,
            expires: Duration::from_secs(3600),
            self_dial: (deadline / 2).max(Duration::from_millis(100)).max(pace.interval / 3),
            services: BTreeMap::new(),
            lane: Lane::Main,
            expected: BTreeMap::new(),
            persist: None,
        }
    }
}

/// A plan that every agent has taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Planned {
    /// Its id.
    pub id: u64,
    /// When the last agent began its first interval, on the harness's clock.
    pub start: Moment,
    /// By then, if no agent is late, every cell had its first turn.
    pub swept: Moment,
}

/// Splits the plan by source; every member gets one, be it without cells. Within one source the turns are evenly
/// spread over the interval, and those of different sources are staggered between them; each source begins elsewhere
/// among its destinations, so that they do not all call the same one at a time. First numbers are left at 0: sessions
/// know them.
///
/// # Errors
/// When a cell's end has no agent, or no address.
pub fn split(
    plan: &SweepPlan,
    id: u64,
    members: &BTreeMap<EndpointId, Member>,
) -> Result<BTreeMap<EndpointId, Plan>, ProbeError> {
    let mut cells: BTreeMap<EndpointId, Vec<PlannedCell>> = members.keys().map(|id| (*id, Vec::new())).collect();
    for (flow_id, flow) in &plan.cells {
        let stranger = |endpoint| ProbeError::Stranger { flow: *flow_id, endpoint };
        let (name, addresses, expects) = match (members.get(&flow.destination), plan.services.get(&flow.destination)) {
            (Some(member), _) => (&member.name, member.addresses, vec![member.name.clone()]),
            (None, Some(facade)) => (&facade.name, facade.addresses, facade.answered_by.clone()),
            (None, None) => return Err(stranger(flow.destination)),
        };
        let address = addresses.of(flow.family).ok_or_else(|| ProbeError::NoAddress {
            flow: *flow_id,
            name: name.clone(),
            family: flow.family,
        })?;
        cells.get_mut(&flow.source).ok_or_else(|| stranger(flow.source))?.push(PlannedCell {
            cell: flow_id.0,
            to: SocketAddr::new(address, flow.port.number.get()),
            protocol: flow.port.protocol,
            expects,
            phase: 0,
            first_number: 0,
            expected: plan.expected.get(flow_id).copied(),
        });
    }
    let sources = cells.values().filter(|cells| !cells.is_empty()).count();
    let interval = nanoseconds(plan.pace.interval);
    for (source, cells) in cells.values_mut().filter(|cells| !cells.is_empty()).enumerate() {
        let steps = cells.len() * sources;
        let begins_at = cells.len() * source / sources;
        cells.rotate_left(begins_at);
        for (turn, cell) in cells.iter_mut().enumerate() {
            cell.phase = share(interval, turn * sources + source, steps);
        }
    }
    let persist = |cells: &[PlannedCell]| {
        let wanted = plan.persist.as_ref()?;
        let cells = cells.iter().map(|cell| cell.cell).filter(|cell| wanted.cells.contains(&FlowId(*cell))).collect();
        Some(Persist { cells, every: nanoseconds(wanted.every), deadline: nanoseconds(wanted.deadline) })
    };
    let plan_of = |cells: Vec<PlannedCell>| Plan {
        id,
        lane: plan.lane,
        persist: persist(&cells).filter(|persist| !persist.cells.is_empty()),
        cells,
        interval,
        attempts: plan.pace.attempts,
        deadline: nanoseconds(plan.deadline),
        slack: nanoseconds(plan.slack),
        turns: plan.turns,
        expires: nanoseconds(plan.expires),
        self_dial: nanoseconds(plan.self_dial),
    };
    Ok(cells.into_iter().map(|(endpoint, cells)| (endpoint, plan_of(cells))).collect())
}

/// `whole * part / parts`, without overflow; below `whole` where `part` is below `parts`.
fn share(whole: u64, part: usize, parts: usize) -> u64 {
    let share = u128::from(whole) * part as u128 / parts.max(1) as u128;
    u64::try_from(share).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use super::*;
    use crate::model::endpoint::Family;
    use crate::model::port::{Port, Protocol};

    const PORT: Port = Port { number: NonZeroU16::MIN, protocol: Protocol::Udp };

    fn members(count: u32) -> BTreeMap<EndpointId, Member> {
        let member = |n: u32| Member {
            endpoint: EndpointId(n),
            name: format!("pod-{n}"),
            addresses: Addresses { v4: Some(std::net::Ipv4Addr::from(0x0a00_0000 + n)), v6: None },
            ports: vec![PORT],
            token: String::new(),
        };
        (0..count).map(|n| (EndpointId(n), member(n))).collect()
    }

    fn flow(source: u32, destination: u32, family: Family) -> Flow {
        Flow { source: EndpointId(source), destination: EndpointId(destination), family, port: PORT }
    }

    fn plan(flows: &[Flow]) -> SweepPlan {
        let cells = flows.iter().enumerate().map(|(place, flow)| (FlowId(place as u32), *flow)).collect();
        let interval = Duration::from_nanos(600);
        SweepPlan::new(cells, Pace { interval, attempts: 1 }, Duration::from_millis(300))
    }

    #[test]
    fn turns_are_spread_over_the_interval_within_and_between_sources() {
        let flows = [flow(0, 1, Family::V4), flow(0, 2, Family::V4), flow(1, 0, Family::V4)];
        let split = split(&plan(&flows), 7, &members(3)).unwrap();
        let phases = |n| split[&EndpointId(n)].cells.iter().map(|cell| (cell.cell, cell.phase)).collect::<Vec<_>>();
        assert_eq!(phases(0), [(0, 0), (1, 300)]);
        assert_eq!(phases(1), [(2, 300)], "half of an interval of 600 after source 0's first");
        assert_eq!(phases(2), [], "a member without cells gets a plan too: it dials itself");
        let first = &split[&EndpointId(0)].cells[1];
        assert_eq!(
            (first.to.to_string().as_str(), first.expects.as_slice()),
            ("10.0.0.2:1", &["pod-2".to_owned()][..])
        );
    }

    #[test]
    fn sources_do_not_all_call_the_same_destination_at_a_time() {
        let pairs = (0..4).flat_map(|from| (0..4).filter(move |to| *to != from).map(move |to| (from, to)));
        let flows: Vec<Flow> = pairs.map(|(from, to)| flow(from, to, Family::V4)).collect();
        let split = split(&plan(&flows), 1, &members(4)).unwrap();
        for turn in 0..3 {
            let mut called: BTreeMap<String, usize> = BTreeMap::new();
            for plan in split.values() {
                *called.entry(plan.cells[turn].to.to_string()).or_default() += 1;
            }
            assert!(called.values().all(|sources| *sources <= 2), "turn {turn}: {called:?}");
        }
        let mut planned: Vec<u32> = split.values().flat_map(|plan| &plan.cells).map(|cell| cell.cell).collect();
        planned.sort_unstable();
        assert_eq!(planned, (0..12).collect::<Vec<u32>>(), "and each cell has its turn");
    }

    #[test]
    fn a_cell_that_cannot_be_dialled_refuses_the_plan() {
        let to_stranger = split(&plan(&[flow(0, 9, Family::V4)]), 1, &members(2));
        assert_eq!(to_stranger, Err(ProbeError::Stranger { flow: FlowId(0), endpoint: EndpointId(9) }));
        let no_address = split(&plan(&[flow(0, 1, Family::V6)]), 1, &members(2));
        let name = "pod-1".to_owned();
        assert_eq!(no_address, Err(ProbeError::NoAddress { flow: FlowId(0), name, family: Family::V6 }));
    }

    #[test]
    fn at_a_service_anybody_behind_it_may_answer() {
        let flows = [flow(0, 9, Family::V4)];
        let facade = Facade {
            name: "web".into(),
            addresses: Addresses { v4: Some(std::net::Ipv4Addr::new(10, 96, 0, 9)), v6: None },
            answered_by: vec!["pod-1".into(), "pod-2".into()],
        };
        let with = SweepPlan { services: BTreeMap::from([(EndpointId(9), facade)]), ..plan(&flows) };
        let split = split(&with, 1, &members(3)).unwrap();
        let [cell] = split[&EndpointId(0)].cells.as_slice() else { panic!("{split:?}") };
        assert_eq!((cell.to.to_string().as_str(), cell.expects.join(" ")), ("10.96.0.9:1", "pod-1 pod-2".into()));
    }
}
