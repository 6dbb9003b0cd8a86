//! Faults with their names looked up, and when each does what.

use std::time::Duration;

use super::{Fault, FaultyFlow, FaultyPort, OnAgent};
use crate::fabric::lab::dial::Streams;
use crate::fabric::lab::nft::{Denial, Treatment};
use crate::fabric::lab::{LabError, Names};
use crate::model::endpoint::{EndpointId, NodeOrdinal};
use crate::model::port::Port;

/// Something a fault does at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::fabric::lab) enum Deed {
    /// A node's rules go.
    Lose(NodeOrdinal),
    /// They come back.
    Find(NodeOrdinal),
    /// A node's whole packet filter goes.
    Demolish(NodeOrdinal),
    /// It is built again.
    Rebuild(NodeOrdinal),
    /// A node's sets are emptied of pods.
    Empty(NodeOrdinal),
    /// They are filled again.
    Fill(NodeOrdinal),
    /// A node stops forwarding.
    Halt(NodeOrdinal),
    /// It goes on.
    Resume(NodeOrdinal),
    /// One first packet of a flow is lost.
    LosePacket(EndpointId, EndpointId, Port),
    /// A pod has no way to another.
    Strand(EndpointId, EndpointId),
    /// It has one again.
    Relieve(EndpointId, EndpointId),
    /// An agent is killed.
    Kill(EndpointId),
    /// An agent is stopped.
    Stop(EndpointId),
    /// It goes on.
    Continue(EndpointId),
    /// Its control stream is cut.
    Cut(EndpointId),
}

/// All the faults of one world.
#[derive(Debug, Clone, Default)]
pub(in crate::fabric::lab) struct FaultPlan {
    /// How guards turn packets away.
    pub(in crate::fabric::lab) denial: Denial,
    /// Changes are enforced so much later.
    pub(in crate::fabric::lab) late: Duration,
    /// Flows that are treated wrongly all the time.
    pub(in crate::fabric::lab) wrong: Vec<(EndpointId, EndpointId, Port, Treatment)>,
    /// Flows of which only repeated first packets are let through, all the time.
    pub(in crate::fabric::lab) repeated: Vec<(EndpointId, EndpointId, Port)>,
    /// Flows that change to and fro.
    pub(in crate::fabric::lab) flaps: Vec<(EndpointId, EndpointId, Port, Duration)>,
    /// How pods that are added are treated at first, and for how long.
    pub(in crate::fabric::lab) births: Option<(Treatment, Duration)>,
    /// Ports where nothing listens.
    pub(in crate::fabric::lab) deaf: Vec<(EndpointId, Port)>,
    /// Ports where somebody else answers.
    pub(in crate::fabric::lab) impostors: Vec<(EndpointId, Port)>,
    /// What happens when, counted from the end of the first change; in order of time.
    pub(in crate::fabric::lab) schedule: Vec<(Duration, Deed)>,
    /// Whether control streams are among it.
    pub(in crate::fabric::lab) streams: Streams,
}

impl FaultPlan {
    /// Looks the names up.
    pub(in crate::fabric::lab) fn new(faults: &[Fault], names: &Names, nodes: u8) -> Result<Self, LabError> {
        let mut plan = Self::default();
        for fault in faults {
            plan.add(fault, &Lookup { fault, names, nodes })?;
        }
        plan.schedule.sort_by_key(|(at, _)| *at);
        Ok(plan)
    }

    fn add(&mut self, fault: &Fault, lookup: &Lookup<'_>) -> Result<(), LabError> {
        let mut span = |at: Duration, long: Duration, first: Deed, then: Deed| {
            self.schedule.extend([(at, first), (at.saturating_add(long), then)]);
        };
        match fault {
            Fault::Leak(flow) => self.wrong.push(lookup.flow(flow, Treatment::Pass)?),
            Fault::LeakRepeats(flow) => {
                let (from, to, port, _) = lookup.flow(flow, Treatment::Pass)?;
                self.repeated.push((from, to, port));
            }
            Fault::Cut(flow) => self.wrong.push(lookup.flow(flow, Treatment::Cut)?),
            Fault::Flap(flow, period) => {
                let (from, to, port, _) = lookup.flow(flow, Treatment::Pass)?;
                self.flaps.push((from, to, port, *period));
            }
            Fault::Late(by) => self.late = *by,
            Fault::Reject => self.denial = Denial::Reject,
            Fault::LoseNode(on) => {
                let node = lookup.node(on.node)?;
                span(on.start, on.duration, Deed::Lose(node), Deed::Find(node));
            }
            Fault::OpenMoment(on) => {
                let node = lookup.node(on.node)?;
                span(on.start, on.duration, Deed::Demolish(node), Deed::Rebuild(node));
            }
            Fault::LateSet(on) => {
                let node = lookup.node(on.node)?;
                span(on.start, on.duration, Deed::Empty(node), Deed::Fill(node));
            }
            Fault::StopForwarding(on) => {
                let node = lookup.node(on.node)?;
                span(on.start, on.duration, Deed::Halt(node), Deed::Resume(node));
            }
            Fault::LosePacket(flow, start) => {
                let (from, to, port, _) = lookup.flow(flow, Treatment::Cut)?;
                self.schedule.push((*start, Deed::LosePacket(from, to, port)));
            }
            Fault::NoRoute(pair, duration) => {
                let (from, to) = (lookup.endpoint(&pair.from)?, lookup.endpoint(&pair.to)?);
                span(pair.start, *duration, Deed::Strand(from, to), Deed::Relieve(from, to));
            }
            Fault::LatePod(by) => self.births = Some((Treatment::Cut, *by)),
            Fault::OpenPod(by) => self.births = Some((Treatment::Pass, *by)),
            Fault::KillListener(at) => self.deaf.push(lookup.port(at)?),
            Fault::WrongServer(at) => self.impostors.push(lookup.port(at)?),
            Fault::KillAgent(on) => self.schedule.push((on.start, Deed::Kill(lookup.agent(on)?))),
            Fault::StopAgent(on, duration) => {
                let agent = lookup.agent(on)?;
                span(on.start, *duration, Deed::Stop(agent), Deed::Continue(agent));
            }
            Fault::CutStream(on) => {
                self.streams = Streams::Cuttable;
                self.schedule.push((on.start, Deed::Cut(lookup.agent(on)?)));
            }
        }
        Ok(())
    }
}

struct Lookup<'a> {
    fault: &'a Fault,
    names: &'a Names,
    nodes: u8,
}

impl Lookup<'_> {
    fn endpoint(&self, name: &str) -> Result<EndpointId, LabError> {
        self.names.find(name).ok_or_else(|| LabError::FaultyName {
            fault: self.fault.to_string(),
            name: name.to_owned(),
            known: self.names.list(),
        })
    }

    fn flow(&self, flow: &FaultyFlow, how: Treatment) -> Result<(EndpointId, EndpointId, Port, Treatment), LabError> {
        Ok((self.endpoint(&flow.from)?, self.endpoint(&flow.to)?, flow.port, how))
    }

    fn port(&self, at: &FaultyPort) -> Result<(EndpointId, Port), LabError> {
        Ok((self.endpoint(&at.at)?, at.port))
    }

    fn agent(&self, on: &OnAgent) -> Result<EndpointId, LabError> {
        self.endpoint(&on.at)
    }

    fn node(&self, node: NodeOrdinal) -> Result<NodeOrdinal, LabError> {
        if node.0.get() <= self.nodes {
            Ok(node)
        } else {
            let known = (1..=self.nodes).map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ");
            Err(LabError::FaultyName { fault: self.fault.to_string(), name: node.to_string(), known })
        }
    }
}
