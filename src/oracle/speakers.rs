//! Which policies speak for which pods in one direction, and what their rules take.

use std::collections::HashMap;
use std::rc::Rc;

use super::bits::Bits;
use super::peers::{Columns, PeerSets};
use super::ports::{Aim, takes};
use super::stance::{Stance, entries, rules, stance};
use super::view::View;
use crate::model::prediction::Direction;
use crate::model::reasons::{PolicyPlace, Reasons, RuleEntry, RulePlace};
use crate::policy::Policy;
use crate::policy::network_policy::{NetworkPolicy, Rule};

/// The policies of a world that speak in one direction, compiled against its endpoints and aims.
#[derive(Debug)]
pub(in crate::oracle) struct Speakers {
    /// Every policy that isolates somebody, in the world's order.
    all: Vec<Speaker>,
    /// For each place of the view: its list among `lists`.
    list_of: Vec<Option<u32>>,
    /// Different lists of policies, each ascending.
    lists: Vec<Vec<u32>>,
}

/// One policy.
#[derive(Debug)]
pub(in crate::oracle) struct Speaker {
    pub(in crate::oracle) policy: PolicyPlace,
    pub(in crate::oracle) strands: Vec<Strand>,
}

/// The part of a rule that one peer entry and one port entry make. Strands of a rule never take the same flow: each
/// takes what its entries are the first in their lists to take, so that a reason names the first that matched.
#[derive(Debug)]
pub(in crate::oracle) struct Strand {
    pub(in crate::oracle) rule: RulePlace,
    /// The peers it takes, as columns.
    pub(in crate::oracle) peers: Rc<Bits>,
    /// The aims it takes.
    pub(in crate::oracle) aims: Rc<Bits>,
}

impl Speakers {
    /// Compiles; `reasons` learns the names of policies and rules.
    pub(in crate::oracle) fn of<'w>(
        view: &View<'w>,
        columns: Columns,
        aims: &[Aim<'w>],
        direction: Direction,
        reasons: &mut Reasons,
    ) -> Self {
        let mut peers = PeerSets::new(view, columns);
        let mut all = Vec::new();
        let mut heard: Vec<Vec<u32>> = vec![Vec::new(); view.size()];
        for policy in &view.world().policies {
            let Policy::Network(policy) = policy else { continue };
            match stance(policy, direction) {
                Stance::Silent => continue,
                Stance::Isolates => {}
            }
            let mut anybody = false;
            for place in view.pods_in(&policy.namespace, &policy.pod_selector).iter() {
                heard[place].push(all.len() as u32);
                anybody = true;
            }
            if anybody {
                let place = reasons.add_policy(policy.reference());
                let strands = (0..)
                    .zip(rules(policy, direction))
                    .flat_map(|(number, rule)| {
                        let entry = RuleEntry { policy: place, direction, rule: number, peer: None, port: None };
                        strands(policy, rule, entry, &mut peers, aims, reasons)
                    })
                    .collect();
                all.push(Speaker { policy: place, strands });
            }
        }
        let mut numbers: HashMap<Vec<u32>, u32> = HashMap::new();
        let list_of = heard
            .into_iter()
            .map(|list| {
                let next = numbers.len() as u32;
                (!list.is_empty()).then(|| *numbers.entry(list).or_insert(next))
            })
            .collect();
        let mut lists = vec![Vec::new(); numbers.len()];
        for (list, number) in numbers {
            lists[number as usize] = list;
        }
        Self { all, list_of, lists }
    }

    /// The number of the list of policies that isolate the pod at a place; none where no policy does.
    pub(in crate::oracle) fn list_of(&self, place: usize) -> Option<usize> {
        self.list_of.get(place).copied().flatten().map(|number| number as usize)
    }

    /// How many different lists there are.
    pub(in crate::oracle) fn lists(&self) -> usize {
        self.lists.len()
    }

    /// The policies on a list, in the world's order.
    pub(in crate::oracle) fn on_list(&self, number: usize) -> impl Iterator<Item = &Speaker> {
        self.lists.get(number).into_iter().flatten().filter_map(|speaker| self.all.get(*speaker as usize))
    }
}

fn strands<'w>(
    policy: &'w NetworkPolicy,
    rule: &'w Rule,
    entry: RuleEntry,
    peers: &mut PeerSets<'_, 'w>,
    aims: &[Aim<'w>],
    reasons: &mut Reasons,
) -> Vec<Strand> {
    let takes_ports: Vec<Bits> = entries(&rule.ports)
        .iter()
        .map(|clause| {
            let mut taken = Bits::none(aims.len());
            aims.iter().enumerate().filter(|(_, aim)| takes(clause, aim)).for_each(|(number, _)| taken.insert(number));
            taken
        })
        .collect();
    let by_port = firsts(takes_ports.into_iter().map(Rc::new), || Rc::new(Bits::all(aims.len())));
    let takes_peers: Vec<Rc<Bits>> = entries(&rule.peers).iter().map(|peer| peers.of(policy, peer)).collect();
    let by_peer = firsts(takes_peers.into_iter(), || peers.everybody());

    let mut strands = Vec::with_capacity(by_port.len() * by_peer.len());
    for (port, aims) in &by_port {
        for (peer, peers) in &by_peer {
            let rule = reasons.add_rule(RuleEntry { peer: *peer, port: *port, ..entry });
            strands.push(Strand { rule, peers: Rc::clone(peers), aims: Rc::clone(aims) });
        }
    }
    strands
}

/// For each entry of a list what it is the first to take, with its number; entries that are the first nowhere are left
/// out. A list without entries takes everything, under no number.
fn firsts(
    taken: impl ExactSizeIterator<Item = Rc<Bits>>,
    everything: impl FnOnce() -> Rc<Bits>,
) -> Vec<(Option<u32>, Rc<Bits>)> {
    if taken.len() == 0 {
        return vec![(None, everything())];
    }
    let mut before: Option<Bits> = None;
    let mut firsts = Vec::new();
    for (number, taken) in (0..).zip(taken) {
        let first = match &before {
            None => Rc::clone(&taken),
            Some(before) => {
                let mut first = Bits::clone(&taken);
                first.drop_all_of(before);
                Rc::new(first)
            }
        };
        match &mut before {
            None => before = Some(Bits::clone(&taken)),
            Some(before) => before.add(&taken),
        }
        if first.iter().next().is_some() {
            firsts.push((Some(number), first));
        }
    }
    firsts
}
