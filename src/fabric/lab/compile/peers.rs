//! The peers a rule speaks of, looked up among the pods there are.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use super::addresses::AddressSet;
use super::{pods, selector};
use crate::model::port::{Port, Protocol, ServedPort};
use crate::policy::Clause;
use crate::policy::network_policy::{IpBlock, Peer};
use crate::scenario::world::{Pod, World};

/// The peers of one rule.
#[derive(Debug, Clone)]
pub(super) struct Peers {
    /// Their addresses; none where the rule takes anyone.
    pub(super) addresses: Option<Arc<AddressSet>>,
    /// The pods among them, with what they serve.
    servers: Vec<(Vec<IpAddr>, Vec<ServedPort>)>,
}

impl Peers {
    /// Looks up a rule's `from` or `to`; the rule stands in a policy of `namespace`.
    pub(super) fn look_up(clause: &Clause<Peer>, namespace: &str, world: &World) -> Self {
        let entries = match clause {
            // "If this field is empty or missing, this rule matches all sources" (or destinations).
            Clause::Absent => return Self::anyone(world),
            Clause::Given(entries) if entries.is_empty() => return Self::anyone(world),
            Clause::Given(entries) => entries,
        };
        let picked = pods(world).filter(|(_, pod)| entries.iter().any(|entry| picks(entry, pod, namespace, world)));
        let picked: BTreeSet<IpAddr> = picked.flat_map(|(_, pod)| pod.addresses.iter()).collect();
        let blocks: Vec<&IpBlock> = entries
            .iter()
            .filter_map(|entry| match entry {
                Peer::Block(block) => Some(block),
                Peer::Pods(_) | Peer::Namespaces(_) | Peer::PodsInNamespaces { .. } => None,
            })
            .collect();
        let addresses = AddressSet::new(&picked, &blocks);
        let servers = servers(world, |address| addresses.contains(address));
        Self { addresses: Some(Arc::new(addresses)), servers }
    }

    fn anyone(world: &World) -> Self {
        Self { addresses: None, servers: servers(world, |_| true) }
    }

    /// Where these peers serve a port of one of these names.
    pub(super) fn serving(&self, names: &[(&str, Protocol)]) -> BTreeSet<(IpAddr, Port)> {
        let mut found = BTreeSet::new();
        for (name, protocol) in names {
            for (addresses, serves) in &self.servers {
                for served in serves {
                    if served.name.as_deref() == Some(*name) && served.port.protocol == *protocol {
                        found.extend(addresses.iter().map(|address| (*address, served.port)));
                    }
                }
            }
        }
        found
    }
}

/// Pods with a name for some port, at those of their addresses that are wanted.
fn servers(world: &World, wanted: impl Fn(IpAddr) -> bool) -> Vec<(Vec<IpAddr>, Vec<ServedPort>)> {
    let named = pods(world).filter(|(_, pod)| pod.serves.iter().any(|served| served.name.is_some()));
    named
        .map(|(_, pod)| (pod.addresses.iter().filter(|a| wanted(*a)).collect::<Vec<_>>(), pod.serves.clone()))
        .filter(|(addresses, _)| !addresses.is_empty())
        .collect()
}

/// Whether an entry picks a pod by its labels. Blocks go by address, and so do not.
fn picks(entry: &Peer, pod: &Pod, namespace: &str, world: &World) -> bool {
    let home = || world.namespaces.get(&pod.namespace);
    match entry {
        Peer::Pods(pods) => pod.namespace == namespace && selector::matches(pods, &pod.labels),
        Peer::Namespaces(namespaces) => home().is_some_and(|labels| selector::matches(namespaces, labels)),
        Peer::PodsInNamespaces { namespaces, pods } => {
            home().is_some_and(|labels| selector::matches(namespaces, labels)) && selector::matches(pods, &pod.labels)
        }
        Peer::Block(_) => false,
    }
}
