//! The lab's enforcement on nodes that are not the lab's: its reading of policies and its packet filter, put into the
//! network namespaces of somebody's nodes. A test double of a policy engine is made of it (`tests/engine`).
//!
//! Only what a node forwards is filtered, as in the lab; what the node itself sends to its pods is not, as Kubernetes
//! asks of every engine.

use std::collections::BTreeMap;
use std::fs::File;

use super::LabError;
use super::compile::compile;
use super::netns::Netns;
use super::nft::{Denial, Firewall, Forwarding, Leftover, Wrong};
use crate::model::endpoint::NodeOrdinal;
use crate::scenario::world::World;

/// A node to enforce on.
#[derive(Debug)]
pub struct Host {
    /// Its place among the nodes, as [`World`] says where pods are.
    pub ordinal: NodeOrdinal,
    /// Its name, for messages.
    pub name: String,
    /// Its network namespace: an open `/proc/PID/ns/net`.
    pub netns: File,
}

/// Something that happens to the rules of one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// They go: everything passes.
    Lose,
    /// They come back, as they should be by then.
    Find,
    /// The whole packet filter goes.
    Demolish,
    /// It is built again.
    Rebuild,
    /// Nothing is forwarded, what is established included.
    Halt,
    /// Forwarding goes on.
    Resume,
}

/// Packet filters on somebody's nodes.
pub struct Elsewhere {
    nodes: BTreeMap<NodeOrdinal, (String, Firewall)>,
}

impl Elsewhere {
    /// Puts a filter on every node, in place of one that was left there; until [`Self::enforce`] they let everything
    /// through, but for one that is kept so long.
    ///
    /// # Errors
    /// Names the node and what the kernel refused.
    pub fn install(hosts: Vec<Host>, leftover: Leftover, denial: Denial) -> Result<Self, LabError> {
        let mut installed = Self { nodes: BTreeMap::new() };
        for host in hosts {
            let netns = Netns::open(&host.name, host.netns);
            // The filter's socket belongs to the namespace it was opened in, whoever uses it later.
            let firewall = netns.inside(move || Firewall::install_after(leftover, denial))?;
            let firewall = firewall.map_err(|source| failed(&host.name, source))?;
            installed.nodes.insert(host.ordinal, (host.name, firewall));
        }
        Ok(installed)
    }

    /// Enforces the policies of `world` on all nodes, as close to one moment as may be, and treats exactly these flows
    /// wrongly.
    ///
    /// # Errors
    /// Where a policy is of a kind the lab does not know, or a kernel refuses.
    pub fn enforce(&mut self, world: &World, wrongs: &[Wrong]) -> Result<(), LabError> {
        let mut rules = compile(world, world);
        for (ordinal, (name, firewall)) in &mut self.nodes {
            let guards = rules.nodes.remove(ordinal).unwrap_or_default();
            firewall.prepare(guards).map_err(|source| failed(name, source))?;
        }
        for (name, firewall) in self.nodes.values_mut() {
            firewall.switch(wrongs.to_vec()).map_err(|source| failed(name, source))?;
        }
        for (name, firewall) in self.nodes.values_mut() {
            firewall.sweep().map_err(|source| failed(name, source))?;
        }
        Ok(())
    }

    /// Enforces on one node alone, with these `members` for its sets of peers.
    ///
    /// # Errors
    /// As [`Self::enforce`].
    pub fn refill(
        &mut self,
        node: NodeOrdinal,
        world: &World,
        members: &World,
        wrongs: &[Wrong],
    ) -> Result<(), LabError> {
        let mut rules = compile(world, members);
        let guards = rules.nodes.remove(&node).unwrap_or_default();
        let Some((name, firewall)) = self.nodes.get_mut(&node) else { return Ok(()) };
        let fill = || {
            firewall.prepare(guards)?;
            firewall.switch(wrongs.to_vec())?;
            firewall.sweep()
        };
        fill().map_err(|source| failed(name, source))
    }

    /// Treats exactly these flows wrongly from now on.
    ///
    /// # Errors
    /// Where a kernel refuses.
    pub fn mistreat(&mut self, wrongs: &[Wrong]) -> Result<(), LabError> {
        for (name, firewall) in self.nodes.values_mut() {
            firewall.mistreat(wrongs.to_vec()).map_err(|source| failed(name, source))?;
        }
        Ok(())
    }

    /// Lets something happen to a node's rules; a node that is not there is passed over.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn afflict(&mut self, node: NodeOrdinal, trouble: Trouble) -> Result<(), LabError> {
        let Some((name, firewall)) = self.nodes.get_mut(&node) else { return Ok(()) };
        let done = match trouble {
            Trouble::Lose => firewall.lose(),
            Trouble::Find => firewall.find(),
            Trouble::Demolish => firewall.demolish(),
            Trouble::Rebuild => firewall.rebuild(),
            Trouble::Halt => firewall.forward(Forwarding::Stopped),
            Trouble::Resume => firewall.forward(Forwarding::Running),
        };
        done.map_err(|source| failed(name, source))
    }

    /// Takes every filter away; goes on after an error and gives all of them.
    pub fn remove(self) -> Vec<LabError> {
        let ends = self.nodes.into_values().map(|(name, mut firewall)| (firewall.remove(), name));
        ends.filter_map(|(end, name)| Some(failed(&name, end.err()?))).collect()
    }
}

fn failed(node: &str, source: super::NetlinkError) -> LabError {
    LabError::Netlink { netns: node.to_owned(), source }
}
