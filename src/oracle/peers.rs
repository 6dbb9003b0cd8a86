//! Which peers a rule takes.

use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;

use super::bits::Bits;
use super::stance::entries;
use super::view::{Occupant, View};
use crate::model::endpoint::Family;
use crate::policy::network_policy::{IpBlock, NetworkPolicy, Peer, Rule};
use crate::policy::{Clause, Policy};

/// Whether a block holds an address. One of the other family is never in it, and none at all neither.
pub(in crate::oracle) fn in_block(block: &IpBlock, address: Option<IpAddr>) -> bool {
    address.is_some_and(|address| {
        block.cidr.contains(&address) && !block.except.iter().any(|except| except.contains(&address))
    })
}

/// The columns of a table of peers: one for each place of a world and, where it matters, each family. It matters only
/// where an address can decide.
#[derive(Debug, Clone, Copy)]
pub(in crate::oracle) struct Columns {
    places: usize,
    families: &'static [Family],
}

impl Columns {
    /// The columns that the policies of a world need.
    pub(in crate::oracle) fn of(view: &View<'_>) -> Self {
        let by_address = view.world().policies.iter().any(|policy| match policy {
            Policy::Network(policy) => [&policy.ingress, &policy.egress].into_iter().any(has_block),
            Policy::Unknown(_) => false,
        });
        let families: &[Family] = if by_address { &[Family::V4, Family::V6] } else { &[Family::V4] };
        Self { places: view.size(), families }
    }

    /// How many there are, some of them unused: each family begins at a whole word.
    pub(in crate::oracle) fn size(self) -> usize {
        self.stride() * self.families.len()
    }

    /// The column of a peer over a family.
    pub(in crate::oracle) fn of_peer(self, place: usize, family: Family) -> usize {
        place + self.stride() * self.families.iter().position(|f| *f == family).unwrap_or(0)
    }

    fn stride(self) -> usize {
        self.places.next_multiple_of(64)
    }

    /// The same places over every family.
    fn over_families(self, places: &Bits) -> Bits {
        places.repeated(self.families.len())
    }
}

fn has_block(rules: &Clause<Rule>) -> bool {
    entries(rules).iter().flat_map(|rule| entries(&rule.peers)).any(|peer| match peer {
        Peer::Block(_) => true,
        Peer::Pods(_) | Peer::Namespaces(_) | Peer::PodsInNamespaces { .. } => false,
    })
}

/// The peers that entries of `from` and `to` take, as sets of columns; worked out once for each entry however often
/// policies repeat it.
#[derive(Debug)]
pub(in crate::oracle) struct PeerSets<'v, 'w> {
    view: &'v View<'w>,
    columns: Columns,
    known: HashMap<(Option<&'w str>, &'w Peer), Rc<Bits>>,
}

impl<'v, 'w> PeerSets<'v, 'w> {
    /// None worked out yet.
    pub(in crate::oracle) fn new(view: &'v View<'w>, columns: Columns) -> Self {
        Self { view, columns, known: HashMap::new() }
    }

    /// Every peer there is: what a rule takes whose list was left out or is empty.
    pub(in crate::oracle) fn everybody(&self) -> Rc<Bits> {
        Rc::new(Bits::all(self.columns.size()))
    }

    /// The peers of one entry of a policy's rule. A `podSelector` alone means pods of the policy's own namespace, and
    /// a selector never takes what is no pod; a block takes pods and outsiders alike.
    pub(in crate::oracle) fn of(&mut self, policy: &'w NetworkPolicy, peer: &'w Peer) -> Rc<Bits> {
        let (view, columns) = (self.view, self.columns);
        let own = policy.namespace.as_str();
        let found = |bits: Bits| Rc::new(columns.over_families(&bits));
        let known = &mut self.known;
        match peer {
            Peer::Pods(pods) => known.entry((Some(own), peer)).or_insert_with(|| found(view.pods_in(own, pods))),
            Peer::Namespaces(namespaces) => {
                known.entry((None, peer)).or_insert_with(|| found(view.pods_of(namespaces)))
            }
            Peer::PodsInNamespaces { namespaces, pods } => {
                known.entry((None, peer)).or_insert_with(|| found(view.pods_of_both(namespaces, pods)))
            }
            Peer::Block(block) => known.entry((None, peer)).or_insert_with(|| Rc::new(addressed(view, columns, block))),
        }
        .clone()
    }
}

fn addressed(view: &View<'_>, columns: Columns, block: &IpBlock) -> Bits {
    let mut held = Bits::none(columns.size());
    for place in 0..view.size() {
        let addresses = match view.occupant(place) {
            Occupant::Pod(pod) => pod.addresses,
            Occupant::Outside(addresses) => addresses,
            Occupant::Nobody => continue,
        };
        for family in columns.families {
            if in_block(block, addresses.of(*family)) {
                held.insert(columns.of_peer(place, *family));
            }
        }
    }
    held
}
