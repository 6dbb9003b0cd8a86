//! What the nodes enforce, and what faults do to that.

use std::collections::BTreeSet;
use std::net::IpAddr;

use nix::sys::signal::Signal;

use super::{Site, open, settle};
use crate::clock;
use crate::fabric::lab::LabError;
use crate::fabric::lab::compile::{Rules, compile};
use crate::fabric::lab::fault::Deed;
use crate::fabric::lab::link;
use crate::fabric::lab::netlink::{NetlinkError, Request};
use crate::fabric::lab::nft::{self, Firewall, Forwarding, Packets, Treatment, Wrong};
use crate::model::endpoint::{EndpointId, Family, NodeOrdinal};
use crate::model::moment::Moment;
use crate::model::port::Port;
use crate::scenario::world::World;

/// What is, or should be, in force.
#[derive(Debug, Default)]
pub(super) struct Enforced {
    /// The world whose policies are enforced.
    world: World,
    /// Counts enforcements, so that a late one cannot undo a newer.
    number: u64,
    /// Whether faults have begun.
    faults: Faults,
    /// How flapping flows are treated just now.
    flap: Option<Treatment>,
    /// Pods that were added just now, and how they are treated at first.
    born: Vec<(EndpointId, Treatment)>,
    /// Endpoints whose ports go to an impostor already.
    pub(super) diverted: BTreeSet<EndpointId>,
    /// Ports that are deaf already.
    deafened: BTreeSet<(EndpointId, Port)>,
}

/// Faults begin with the first change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Faults {
    #[default]
    Waiting,
    Begun,
}

/// Whether rules are enforced with the change, or somebody will see to it later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::fabric::lab) enum Enforcement {
    AtOnce,
    Later,
}

impl Site {
    /// Removes pods. Gives when the last was removed.
    pub(in crate::fabric::lab) fn remove_pods(&mut self, pods: &[EndpointId]) -> Result<Moment, LabError> {
        let mut sent = clock::now();
        for id in pods {
            sent = clock::now();
            self.enforced.born.retain(|(born, _)| born != id);
            self.enforced.diverted.remove(id);
            self.enforced.deafened.retain(|(deaf, _)| deaf != id);
            self.detach(*id)?;
        }
        Ok(sent)
    }

    /// Puts the policies of the world `after` in force, or leaves that for later. Gives when that began.
    pub(in crate::fabric::lab) fn change(
        &mut self,
        after: &World,
        enforcement: Enforcement,
    ) -> Result<Moment, LabError> {
        let rules = compile(after, after);
        let sent = clock::now();
        match enforcement {
            Enforcement::AtOnce => {
                self.begin_faults();
                self.enforced.world = after.clone();
                self.put_in_force(rules)?;
                self.sweep()?;
            }
            Enforcement::Later => {}
        }
        self.pervert_ports(after)?;
        Ok(sent)
    }

    /// Adds pods of the world `after`, whose rules are in force already unless a fault has them come later. Gives when that
    /// began.
    pub(in crate::fabric::lab) fn add_pods(&mut self, pods: &[EndpointId], after: &World) -> Result<Moment, LabError> {
        let sent = clock::now();
        self.bear(pods)?;
        self.attach_all(after, pods.iter().copied())?;
        self.pervert_ports(after)?;
        Ok(sent)
    }

    /// Pods that come are treated as a fault has it at first, once faults have begun.
    fn bear(&mut self, pods: &[EndpointId]) -> Result<(), LabError> {
        let Some((how, _)) = self.faults.births.filter(|_| self.enforced.faults == Faults::Begun) else {
            return Ok(());
        };
        self.enforced.born.extend(pods.iter().map(|id| (*id, how)));
        self.mistreat()
    }

    /// Brings up to date which flows the nodes treat wrongly.
    fn mistreat(&mut self) -> Result<(), LabError> {
        let wrongs = self.wrongs();
        for (ordinal, node) in &mut self.nodes {
            node.firewall.mistreat(wrongs.clone()).map_err(|source| failed(*ordinal, source))?;
        }
        Ok(())
    }

    /// A pod that was added is treated like any other from now on. Gives the moment.
    pub(in crate::fabric::lab) fn grown(&mut self, id: EndpointId) -> Result<Moment, LabError> {
        self.enforced.born.retain(|(born, _)| *born != id);
        self.mistreat()?;
        Ok(clock::now())
    }

    /// Every flow between a pod and the others, as far as anybody serves it.
    fn flows_of(&self, pod: EndpointId) -> Vec<(EndpointId, EndpointId, Port)> {
        let world = &self.enforced.world;
        let others: Vec<EndpointId> = world.endpoints().filter(|other| *other != pod).collect();
        let into = |id: EndpointId| world.serves(id).iter().map(|served| served.port);
        let out = others.iter().flat_map(|other| into(*other).map(|port| (pod, *other, port)));
        let back = others.iter().flat_map(|other| into(pod).map(|port| (*other, pod, port)));
        out.chain(back).collect()
    }

    /// Enforces the policies of `world`, unless enforcement `number` or a later one was made already.
    pub(in crate::fabric::lab) fn enforce(&mut self, world: World, number: u64) -> Result<Moment, LabError> {
        if number <= self.enforced.number {
            return Ok(clock::now());
        }
        self.enforced.number = number;
        self.begin_faults();
        let rules = compile(&world, &world);
        self.enforced.world = world;
        self.put_in_force(rules)?;
        let done = clock::now();
        self.sweep()?;
        Ok(done)
    }

    fn begin_faults(&mut self) {
        self.enforced.faults = Faults::Begun;
    }

    /// Loads the rules on every node, then switches all nodes as close to one moment as may be.
    fn put_in_force(&mut self, mut rules: Rules) -> Result<(), LabError> {
        let wrongs = self.wrongs();
        for (ordinal, node) in &mut self.nodes {
            let guards = rules.nodes.remove(ordinal).unwrap_or_default();
            node.firewall.prepare(guards).map_err(|source| failed(*ordinal, source))?;
        }
        for (ordinal, node) in &mut self.nodes {
            node.firewall.switch(wrongs.clone()).map_err(|source| failed(*ordinal, source))?;
        }
        self.operations.push("change".to_owned());
        Ok(())
    }

    fn sweep(&mut self) -> Result<(), LabError> {
        for (ordinal, node) in &mut self.nodes {
            node.firewall.sweep().map_err(|source| failed(*ordinal, source))?;
        }
        Ok(())
    }

    /// The flows that are treated wrongly just now.
    fn wrongs(&self) -> Vec<Wrong> {
        if self.enforced.faults == Faults::Waiting {
            return Vec::new();
        }
        let steady = self.faults.wrong.iter().copied();
        let flapping = self
            .enforced
            .flap
            .into_iter()
            .flat_map(|how| self.faults.flaps.iter().map(move |(from, to, port, _)| (*from, *to, *port, how)));
        let born = self.enforced.born.iter();
        let born =
            born.flat_map(|(id, how)| self.flows_of(*id).into_iter().map(|(from, to, port)| (from, to, port, *how)));
        let all = steady.chain(flapping).chain(born).map(|(from, to, port, how)| (from, to, port, Packets::All, how));
        let repeated = self.faults.repeated.iter();
        let repeated = repeated.map(|(from, to, port)| (*from, *to, *port, Packets::Repeated, Treatment::Pass));
        all.chain(repeated).flat_map(|(from, to, port, which, how)| self.wrong(from, to, port, which, how)).collect()
    }

    fn wrong(&self, from: EndpointId, to: EndpointId, port: Port, which: Packets, how: Treatment) -> Vec<Wrong> {
        let world = &self.enforced.world;
        let (Some(from), Some(to)) = (world.addresses(from), world.addresses(to)) else { return Vec::new() };
        let pair = |family| -> Option<(IpAddr, IpAddr)> { Some((from.of(family)?, to.of(family)?)) };
        let pairs = [pair(Family::V4), pair(Family::V6)].into_iter().flatten();
        pairs.map(|(from, to)| Wrong { from, to, port, which, how }).collect()
    }

    /// Lets flapping flows flap once: through where they were cut, cut where they went through. Gives the moment.
    pub(in crate::fabric::lab) fn flap(&mut self) -> Result<(Moment, Treatment), LabError> {
        let how = match self.enforced.flap {
            Some(Treatment::Pass) => Treatment::Cut,
            Some(Treatment::Cut) | None => Treatment::Pass,
        };
        self.enforced.flap = Some(how);
        self.mistreat()?;
        Ok((clock::now(), how))
    }

    /// Does what a fault's schedule says, and gives the moment it was done.
    pub(in crate::fabric::lab) fn act(&mut self, deed: Deed) -> Result<Moment, LabError> {
        match deed {
            Deed::Lose(node) => self.filter(node, Firewall::lose)?,
            Deed::Find(node) => self.filter(node, Firewall::find)?,
            Deed::Demolish(node) => self.filter(node, Firewall::demolish)?,
            Deed::Rebuild(node) => self.filter(node, Firewall::rebuild)?,
            Deed::Empty(node) => self.refill(node, &World::default())?,
            Deed::Fill(node) => {
                let world = self.enforced.world.clone();
                self.refill(node, &world)?;
            }
            Deed::Halt(node) => self.filter(node, |f| f.forward(Forwarding::Stopped))?,
            Deed::Resume(node) => self.filter(node, |f| f.forward(Forwarding::Running))?,
            Deed::LosePacket(from, to, port) => self.lose_packet(from, to, port)?,
            Deed::Strand(from, to) => self.reroute(from, to, link::strand)?,
            Deed::Relieve(from, to) => self.reroute(from, to, link::relieve)?,
            Deed::Kill(id) => self.signal(id, Signal::SIGKILL)?,
            Deed::Stop(id) => self.signal(id, Signal::SIGSTOP)?,
            Deed::Continue(id) => self.signal(id, Signal::SIGCONT)?,
            Deed::Cut(id) => self.doors.cut(id),
        }
        Ok(clock::now())
    }

    /// Loses one first packet of a flow. At the destination's node alone: with a rule on each node, each would lose one.
    fn lose_packet(&mut self, from: EndpointId, to: EndpointId, port: Port) -> Result<(), LabError> {
        let mut wrongs = self.wrongs();
        wrongs.extend(self.wrong(from, to, port, Packets::One, Treatment::Cut));
        let pods = &self.enforced.world.pods;
        let Some(node) = pods.get(&to).or_else(|| pods.get(&from)).map(|pod| pod.node) else { return Ok(()) };
        self.filter(node, |firewall| firewall.mistreat(wrongs))
    }

    /// A node's rules anew, with these members for its sets.
    fn refill(&mut self, ordinal: NodeOrdinal, members: &World) -> Result<(), LabError> {
        let mut rules = compile(&self.enforced.world, members);
        let wrongs = self.wrongs();
        let guards = rules.nodes.remove(&ordinal).unwrap_or_default();
        self.filter(ordinal, |firewall| {
            firewall.prepare(guards)?;
            firewall.switch(wrongs)?;
            firewall.sweep()
        })
    }

    fn filter(
        &mut self,
        ordinal: NodeOrdinal,
        work: impl FnOnce(&mut Firewall) -> Result<(), NetlinkError>,
    ) -> Result<(), LabError> {
        match self.nodes.get_mut(&ordinal) {
            Some(node) => work(&mut node.firewall).map_err(|source| failed(ordinal, source)),
            None => Ok(()),
        }
    }

    /// Changes a pod's own way to another; where one of them is not there, there is none.
    fn reroute(&self, from: EndpointId, to: EndpointId, change: fn(IpAddr) -> Request) -> Result<(), LabError> {
        let (Some(here), Some(there)) = (self.spots.get(&from), self.spots.get(&to)) else { return Ok(()) };
        here.netns.enter()?;
        let carried = there.addresses.iter().filter(|address| self.families.carry(*address));
        let name = self.names.of(from);
        settle(name, &mut open(name)?, carried.map(change).collect())
    }

    fn signal(&self, id: EndpointId, signal: Signal) -> Result<(), LabError> {
        match self.spots.get(&id).and_then(|spot| spot.agent.as_ref()) {
            Some(agent) => agent.signal(signal),
            None => Ok(()),
        }
    }

    /// Makes ports deaf, or hands them to impostors, once faults have begun and their pods are there.
    fn pervert_ports(&mut self, world: &World) -> Result<(), LabError> {
        for (id, port) in &self.faults.deaf {
            let Some(spot) = self.spots.get(id).filter(|_| !self.enforced.deafened.contains(&(*id, *port))) else {
                continue;
            };
            spot.netns.enter()?;
            nft::deafen(*port).map_err(|source| self.failed_at(*id, source))?;
            self.enforced.deafened.insert((*id, *port));
        }
        self.divert_ports(world)
    }

    pub(super) fn failed_at(&self, id: EndpointId, source: NetlinkError) -> LabError {
        LabError::Netlink { netns: self.names.of(id).to_owned(), source }
    }
}

fn failed(node: NodeOrdinal, source: NetlinkError) -> LabError {
    LabError::Netlink { netns: node.to_string(), source }
}
