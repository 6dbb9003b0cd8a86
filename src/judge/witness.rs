//! Witnesses: what proves that a denied cell could have been reached in the same window.
//!
//! Silence and refusals have many causes; policy is only one. A denial counts only if the destination's listener at
//! that very port is shown to have been alive, and the source to have been able to send and hear, while the attempts
//! were made.

use std::collections::HashMap;

use crate::model::endpoint::{EndpointId, Family};
use crate::model::flow::{Flow, FlowId};
use crate::model::observation::Witness;
use crate::model::port::{Port, Protocol};

use super::ends::Ends;
use super::rules::{Proven, Rules, Who};
use super::tally::{Look, Tally};

/// Everything in one window that can speak for somebody.
#[derive(Debug, Default)]
pub(super) struct Witnesses {
    /// Somebody whom a listener answered. It is never the source of a denied cell there: that one reached nothing.
    listeners: HashMap<(EndpointId, Family, Port), EndpointId>,
    /// A flow that shows an endpoint's link carried something both ways, for each family.
    links: HashMap<(EndpointId, Family), Flow>,
}

/// What the witnesses are asked with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Court<'a> {
    pub(super) ends: &'a Ends,
    pub(super) proven: &'a Proven,
    pub(super) rules: &'a Rules,
    pub(super) who: &'a Who,
    pub(super) look: Look,
}

/// In what form a denial came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Nothing came back.
    Silence,
    /// A refusal did, at least once.
    Refusal,
}

/// Whether one end of a cell is shown to have been able to take part.
enum Proof {
    /// Something went over its link; the flow.
    Link(Flow),
    /// Cut off both ways, as far as was seen; but reached in the baseline, alive and healthy.
    CutOff,
    Nothing,
}

impl Witnesses {
    /// Takes what a flow came to in the window: where it was carried both ways, its destination's listener was alive and
    /// both ends could send and hear.
    pub(super) fn take(&mut self, flow: &Flow, tally: &Tally) {
        let carried = match flow.port.protocol {
            // A nonce comes over a connection only after a handshake: the source has sent and heard, and the listener
            // was there, even if the source was too starved to say what became of it.
            Protocol::Tcp | Protocol::Sctp => tally.reached > 0 || tally.delivered > 0,
            // A datagram that arrives says nothing of the way back.
            Protocol::Udp => tally.reached > 0,
        };
        if !carried {
            return;
        }
        self.listeners.entry((flow.destination, flow.family, flow.port)).or_insert(flow.source);
        for end in [flow.source, flow.destination] {
            self.links.entry((end, flow.family)).or_insert(*flow);
        }
    }

    /// The witness for a denied cell, the strongest there is. A refusal may be a dead listener's: if that one failed to
    /// answer itself at any time in the window, nothing outweighs it.
    pub(super) fn speak(&self, id: FlowId, flow: &Flow, form: Form, court: Court<'_>) -> Option<Witness> {
        let Look { floor, until, .. } = court.look;
        let listener = (flow.destination, flow.family, flow.port);
        if form == Form::Refusal && court.ends.failed_itself(listener, floor, until) {
            return None;
        }
        let source = self.can_take_part(flow.source, id, flow, court);
        if let Some(answered) = self.answered(flow) {
            let answered = court.who.name(answered).to_owned();
            return match source {
                Proof::Link(by) => Some(Witness::Strong { answered, source: words(flow.source, &by, court.who) }),
                Proof::CutOff => Some(Witness::Weak { cut_off: vec![court.who.name(flow.source).into()] }),
                Proof::Nothing => None,
            };
        }
        if !court.ends.answered_itself(listener, floor, until, court.rules.window) {
            return None;
        }
        let destination = self.can_take_part(flow.destination, id, flow, court);
        let name = |end| court.who.name(end).to_owned();
        match (destination, source) {
            (Proof::Link(to), Proof::Link(by)) => Some(Witness::Indirect {
                link: words(flow.destination, &to, court.who),
                source: words(flow.source, &by, court.who),
            }),
            (Proof::Link(_), Proof::CutOff) => Some(Witness::Weak { cut_off: vec![name(flow.source)] }),
            (Proof::CutOff, Proof::Link(_)) => Some(Witness::Weak { cut_off: vec![name(flow.destination)] }),
            (Proof::CutOff, Proof::CutOff) => {
                Some(Witness::Weak { cut_off: vec![name(flow.source), name(flow.destination)] })
            }
            (Proof::Nothing, Proof::Link(_) | Proof::CutOff | Proof::Nothing)
            | (Proof::Link(_) | Proof::CutOff, Proof::Nothing) => None,
        }
    }

    /// Somebody else whom the cell's listener answered.
    fn answered(&self, flow: &Flow) -> Option<EndpointId> {
        self.listeners.get(&(flow.destination, flow.family, flow.port)).copied().filter(|one| *one != flow.source)
    }

    fn can_take_part(&self, end: EndpointId, id: FlowId, flow: &Flow, court: Court<'_>) -> Proof {
        if let Some(by) = self.links.get(&(end, flow.family)) {
            return Proof::Link(*by);
        }
        let Look { floor, until, .. } = court.look;
        let healthy = court.ends.lost(end).is_none()
            && court.ends.complete(end) >= until
            && court.ends.blind(end, floor, until).next().is_none();
        let alive = court.ends.any_answered_itself(end, flow.family, floor, until, court.rules.window);
        if healthy && alive && court.proven.has(id) { Proof::CutOff } else { Proof::Nothing }
    }
}

/// What an endpoint did in a flow, as a sentence about it.
fn words(end: EndpointId, flow: &Flow, who: &Who) -> String {
    if end == flow.source {
        format!("{} reached {}:{}", who.name(end), who.name(flow.destination), flow.port)
    } else {
        format!("{} answered {} at {}", who.name(end), who.name(flow.source), flow.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_carried_both_ways_speaks_for_both_ends() {
        let table = [
            (Protocol::Tcp, 1, 0, true, "reached over TCP"),
            (Protocol::Tcp, 0, 1, true, "delivered over TCP, after a handshake, whatever its source could tell of it"),
            (Protocol::Udp, 1, 0, true, "a datagram that was answered"),
            (Protocol::Udp, 0, 1, false, "a datagram that only arrived"),
            (Protocol::Tcp, 0, 0, false, "nothing"),
        ];
        for (protocol, reached, delivered, expected, why) in table {
            let (source, destination) = (EndpointId(0), EndpointId(1));
            let port = Port { number: std::num::NonZeroU16::MIN, protocol };
            let flow = Flow { source, destination, family: Family::V4, port };
            let mut witnesses = Witnesses::default();
            let mut tally = Tally::default();
            (tally.reached, tally.delivered) = (reached, delivered);
            witnesses.take(&flow, &tally);
            assert_eq!(witnesses.listeners.contains_key(&(destination, Family::V4, port)), expected, "{why}");
            assert_eq!(witnesses.links.contains_key(&(source, Family::V4)), expected, "{why}");
            assert_eq!(witnesses.links.contains_key(&(destination, Family::V4)), expected, "{why}");
        }
    }
}
