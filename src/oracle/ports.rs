//! Which ports a rule takes.

use crate::model::port::{Port, Protocol, ServedPort};
use crate::policy::network_policy::{PortClause, PortMatch};

/// A destination's port as a rule meets it: the number and protocol of the flow, and every name under which the
/// destination itself serves exactly that.
///
/// Names are the destination's own: `web` may be 80 on one pod and 8080 on the next, and whatever is no pod has none.
/// Two destinations that agree in all of this are alike to every rule.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::oracle) struct Aim<'w> {
    pub(in crate::oracle) port: Port,
    names: Vec<&'w str>,
}

impl<'w> Aim<'w> {
    /// The port as met at a pod that serves this.
    pub(in crate::oracle) fn at_pod(port: Port, serves: &'w [ServedPort]) -> Self {
        let mut names: Vec<_> =
            serves.iter().filter(|served| served.port == port).filter_map(|served| served.name.as_deref()).collect();
        names.sort_unstable();
        names.dedup();
        Self { port, names }
    }

    /// The port as met at something that is no pod.
    pub(in crate::oracle) fn nameless(port: Port) -> Self {
        Self { port, names: Vec::new() }
    }
}

/// The protocol an entry means; TCP where it gives none.
pub(in crate::oracle) fn protocol(clause: &PortClause) -> Protocol {
    clause.protocol.unwrap_or(Protocol::Tcp)
}

/// Whether an entry of `ports` takes the port. An entry without `port` takes every port of its protocol.
pub(in crate::oracle) fn takes(clause: &PortClause, aim: &Aim<'_>) -> bool {
    protocol(clause) == aim.port.protocol
        && match &clause.port {
            None => true,
            Some(PortMatch::Number(number)) => *number == aim.port.number,
            Some(PortMatch::Range(first, last)) => (*first..=*last).contains(&aim.port.number),
            Some(PortMatch::Name(name)) => aim.names.contains(&name.as_str()),
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_takes_what_its_protocol_and_port_say() {
        use Protocol::{Sctp, Tcp, Udp};
        let number = |n: u16| std::num::NonZeroU16::new(n).unwrap();
        let port = |n: u16, protocol| Port { number: number(n), protocol };
        let one = |n| Some(PortMatch::Number(number(n)));
        let range = |a, b| Some(PortMatch::Range(number(a), number(b)));
        let named = |name: &str| Some(PortMatch::Name(name.into()));
        let rows = [
            (None, None, port(80, Tcp), true, "neither protocol nor port is all of TCP"),
            (None, None, port(80, Udp), false, "and nothing of UDP"),
            (Some(Udp), None, port(9, Udp), true, "a protocol alone is all its ports"),
            (Some(Sctp), None, port(9, Sctp), true, "SCTP too"),
            (Some(Sctp), None, port(9, Tcp), false, "and it opens no TCP"),
            (None, one(80), port(80, Tcp), true, "a number alone is TCP"),
            (None, one(80), port(80, Udp), false, "a number alone is not UDP"),
            (Some(Udp), one(80), port(80, Udp), true, "a number with a protocol"),
            (None, one(80), port(81, Tcp), false, "another number"),
            (None, range(80, 90), port(79, Tcp), false, "one below a range"),
            (None, range(80, 90), port(80, Tcp), true, "the first of a range"),
            (None, range(80, 90), port(90, Tcp), true, "the last of a range"),
            (None, range(80, 90), port(91, Tcp), false, "one past a range"),
            (None, range(80, 80), port(80, Tcp), true, "a range of one"),
            (None, range(1, 65535), port(65535, Tcp), true, "the highest port there is"),
            (None, named("web"), port(8080, Tcp), true, "a name is the number the pod gives it"),
            (None, named("web"), port(8081, Tcp), true, "and every number that it gives the name"),
            (None, named("web"), port(80, Tcp), false, "and no other number"),
            (None, named("dns"), port(53, Tcp), true, "a name that two protocols share, by default TCP"),
            (Some(Udp), named("dns"), port(53, Udp), true, "the same name over UDP"),
            (None, named("log"), port(514, Udp), false, "a name that is served over another protocol only"),
            (None, named("none"), port(8080, Tcp), false, "a name nobody serves"),
        ];
        let web = [("web", 8080, Tcp), ("web", 8081, Tcp)];
        let others = [("dns", 53, Tcp), ("dns", 53, Udp), ("log", 514, Udp)];
        let served = web.into_iter().chain(others);
        let serves: Vec<ServedPort> =
            served.map(|(name, n, protocol)| ServedPort { port: port(n, protocol), name: Some(name.into()) }).collect();
        for (protocol, port, to, expected, why) in rows {
            assert_eq!(takes(&PortClause { protocol, port }, &Aim::at_pod(to, &serves)), expected, "{why}");
        }
        let clause = PortClause { protocol: None, port: named("web") };
        assert!(!takes(&clause, &Aim::nameless(port(8080, Tcp))), "what is no pod has no names");
    }
}
