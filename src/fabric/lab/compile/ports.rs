//! The ports a rule speaks of.

use super::addresses::merge;
use crate::model::port::{Port, Protocol, ServedPort};
use crate::policy::Clause;
use crate::policy::network_policy::{PortClause, PortMatch};

/// Consecutive ports of one protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::fabric::lab) struct PortRange {
    pub(in crate::fabric::lab) protocol: Protocol,
    pub(in crate::fabric::lab) first: u16,
    pub(in crate::fabric::lab) last: u16,
}

/// The ports of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ports {
    /// Any port of any protocol.
    Anything,
    /// These, in order, none touching another.
    These(Vec<PortRange>),
}

/// The ports of a rule at a destination that serves `served`: names mean what it calls so.
pub(super) fn at(clause: &Clause<PortClause>, served: &[ServedPort]) -> Ports {
    read(clause, |name, protocol| {
        let mine = |s: &&ServedPort| s.name.as_deref() == Some(name) && s.port.protocol == protocol;
        served.iter().filter(mine).map(|s| s.port).collect()
    })
}

/// The ports of a rule that are the same at every destination.
pub(super) fn numbered(clause: &Clause<PortClause>) -> Ports {
    read(clause, |_, _| Vec::new())
}

/// The names in a rule, with the protocol each is asked for.
pub(super) fn names(clause: &Clause<PortClause>) -> Vec<(&str, Protocol)> {
    let Clause::Given(entries) = clause else { return Vec::new() };
    entries
        .iter()
        .filter_map(|entry| match &entry.port {
            Some(PortMatch::Name(name)) => Some((name.as_str(), protocol(entry))),
            Some(PortMatch::Number(_) | PortMatch::Range(..)) | None => None,
        })
        .collect()
}

/// TCP where the manifest does not say.
fn protocol(entry: &PortClause) -> Protocol {
    entry.protocol.unwrap_or(Protocol::Tcp)
}

fn read(clause: &Clause<PortClause>, named: impl Fn(&str, Protocol) -> Vec<Port>) -> Ports {
    let entries = match clause {
        // "If this field is empty or missing, this rule matches all ports."
        Clause::Absent => return Ports::Anything,
        Clause::Given(entries) if entries.is_empty() => return Ports::Anything,
        Clause::Given(entries) => entries,
    };
    let mut ranges = Vec::new();
    for entry in entries {
        let protocol = protocol(entry);
        match &entry.port {
            // "If this field is not provided, this matches all port names and numbers" of that protocol.
            None => ranges.push((protocol, (0, u16::MAX))),
            Some(PortMatch::Number(number)) => ranges.push((protocol, (number.get(), number.get()))),
            Some(PortMatch::Range(first, last)) => ranges.push((protocol, (first.get(), last.get()))),
            Some(PortMatch::Name(name)) => {
                ranges.extend(named(name, protocol).iter().map(|p| (p.protocol, (p.number.get(), p.number.get()))));
            }
        }
    }
    let of = |wanted| {
        let mine = ranges.iter().filter(|(protocol, _)| *protocol == wanted).map(|(_, range)| *range).collect();
        merge(mine).into_iter().map(move |(first, last)| PortRange { protocol: wanted, first, last })
    };
    Ports::These(of(Protocol::Tcp).chain(of(Protocol::Udp)).chain(of(Protocol::Sctp)).collect())
}
