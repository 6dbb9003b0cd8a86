//! Faults as text.

use std::num::NonZeroU8;
use std::str::FromStr;
use std::time::Duration;

use jiff::SignedDuration;

use super::{Fault, FaultyFlow, FaultyPort, OnAgent, OnNode, Pair};
use crate::model::endpoint::NodeOrdinal;
use crate::model::port::{Port, Protocol};

/// Why a text is no fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultSyntax {
    /// No such kind.
    #[error("there is no fault `{kind}`; there are {KINDS}")]
    Kind {
        /// What was asked for.
        kind: String,
    },
    /// The kind is known, what follows it is not in its form.
    #[error("fault `{kind}` is written `{form}`")]
    Form {
        /// The kind.
        kind: &'static str,
        /// How it is written.
        form: &'static str,
    },
    /// A part that should be a length of time is not.
    #[error("`{text}` is no length of time; write `300ms`, `2s` or `1m 30s`")]
    Duration {
        /// The part.
        text: String,
    },
    /// A part that should be a port is not.
    #[error("`{text}` is no port; write `5432/tcp`, with tcp, udp or sctp")]
    Port {
        /// The part.
        text: String,
    },
    /// A protocol that repeats nothing by itself.
    #[error("nothing repeats the first packet of `{port}`; fault `{kind}` is for tcp")]
    Unrepeated {
        /// The kind.
        kind: &'static str,
        /// The port.
        port: Port,
    },
    /// A part that should be a node is not.
    #[error("`{text}` is no node; write its number, counted from 1")]
    Node {
        /// The part.
        text: String,
    },
}

const KINDS: &str = "`leak`, `leak-repeats`, `cut`, `flap`, `late`, `reject`, `lose-node`, `open-moment`, `late-set`, \
    `stop-forwarding`, `lose-packet`, `no-route`, `late-pod`, `open-pod`, \
    `kill-listener`, `wrong-server`, `kill-agent`, `stop-agent` and `cut-stream`";

impl FromStr for Fault {
    type Err = FaultSyntax;

    fn from_str(text: &str) -> Result<Self, FaultSyntax> {
        let (kind, rest) = text.split_once('=').map_or((text, None), |(kind, rest)| (kind, Some(rest)));
        let parse = |kind, form, read: &dyn Fn(&str) -> Option<Result<Self, FaultSyntax>>| {
            rest.and_then(read).unwrap_or(Err(FaultSyntax::Form { kind, form }))
        };
        match kind {
            "leak" => parse("leak", "leak=FROM->TO:PORT/PROTO", &|rest| Some(flow(rest)?.map(Self::Leak))),
            "leak-repeats" => parse("leak-repeats", "leak-repeats=FROM->TO:PORT/tcp", &|rest| {
                Some(flow(rest)?.and_then(|flow| repeated("leak-repeats", flow)).map(Self::LeakRepeats))
            }),
            "cut" => parse("cut", "cut=FROM->TO:PORT/PROTO", &|rest| Some(flow(rest)?.map(Self::Cut))),
            "flap" => parse("flap", "flap=FROM->TO:PORT/PROTO@PERIOD", &|rest| {
                let (rest, period) = rest.rsplit_once('@')?;
                Some(both(flow(rest)?, positive(period)).map(|(flow, period)| Self::Flap(flow, period)))
            }),
            "late" => parse("late", "late=DURATION", &|rest| Some(duration(rest).map(Self::Late))),
            "reject" => match rest {
                None => Ok(Self::Reject),
                Some(_) => Err(FaultSyntax::Form { kind: "reject", form: "reject" }),
            },
            "lose-node" => {
                parse("lose-node", "lose-node=NODE@START+DURATION", &|rest| Some(on_node(rest)?.map(Self::LoseNode)))
            }
            "open-moment" => parse("open-moment", "open-moment=NODE@START+DURATION", &|rest| {
                Some(on_node(rest)?.map(Self::OpenMoment))
            }),
            "late-set" => {
                parse("late-set", "late-set=NODE@START+DURATION", &|rest| Some(on_node(rest)?.map(Self::LateSet)))
            }
            "stop-forwarding" => parse("stop-forwarding", "stop-forwarding=NODE@START+DURATION", &|rest| {
                Some(on_node(rest)?.map(Self::StopForwarding))
            }),
            "lose-packet" => parse("lose-packet", "lose-packet=FROM->TO:PORT/PROTO@START", &|rest| {
                let (rest, start) = rest.rsplit_once('@')?;
                Some(both(flow(rest)?, duration(start)).map(|(flow, start)| Self::LosePacket(flow, start)))
            }),
            "no-route" => parse("no-route", "no-route=FROM->TO@START+DURATION", &|rest| {
                let (rest, time) = rest.rsplit_once('+')?;
                Some(both(pair(rest)?, positive(time)).map(|(pair, time)| Self::NoRoute(pair, time)))
            }),
            "late-pod" => parse("late-pod", "late-pod=DURATION", &|rest| Some(positive(rest).map(Self::LatePod))),
            "open-pod" => parse("open-pod", "open-pod=DURATION", &|rest| Some(positive(rest).map(Self::OpenPod))),
            "kill-listener" => parse("kill-listener", "kill-listener=POD:PORT/PROTO", &|rest| {
                Some(at_port(rest)?.map(Self::KillListener))
            }),
            "wrong-server" => {
                parse("wrong-server", "wrong-server=TO:PORT/PROTO", &|rest| Some(at_port(rest)?.map(Self::WrongServer)))
            }
            "kill-agent" => {
                parse("kill-agent", "kill-agent=POD@START", &|rest| Some(on_agent(rest)?.map(Self::KillAgent)))
            }
            "stop-agent" => parse("stop-agent", "stop-agent=POD@START+DURATION", &|rest| {
                let (rest, time) = rest.rsplit_once('+')?;
                Some(both(on_agent(rest)?, positive(time)).map(|(on, time)| Self::StopAgent(on, time)))
            }),
            "cut-stream" => {
                parse("cut-stream", "cut-stream=POD@START", &|rest| Some(on_agent(rest)?.map(Self::CutStream)))
            }
            _ => Err(FaultSyntax::Kind { kind: kind.to_owned() }),
        }
    }
}

/// A length of time as [`Fault`] takes it.
pub(super) fn show(duration: Duration) -> String {
    SignedDuration::try_from(duration).map_or_else(|_| format!("{duration:?}"), |duration| format!("{duration:#}"))
}

fn both<A, B>(a: Result<A, FaultSyntax>, b: Result<B, FaultSyntax>) -> Result<(A, B), FaultSyntax> {
    Ok((a?, b?))
}

fn name(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn flow(text: &str) -> Option<Result<FaultyFlow, FaultSyntax>> {
    let (from, rest) = text.split_once("->")?;
    let (to, number) = rest.rsplit_once(':')?;
    let (from, to) = (name(from)?, name(to)?);
    Some(port(number).map(|port| FaultyFlow { from, to, port }))
}

/// Only TCP sends a first packet again that nobody answers.
fn repeated(kind: &'static str, flow: FaultyFlow) -> Result<FaultyFlow, FaultSyntax> {
    match flow.port.protocol {
        Protocol::Tcp => Ok(flow),
        Protocol::Udp | Protocol::Sctp => Err(FaultSyntax::Unrepeated { kind, port: flow.port }),
    }
}

fn at_port(text: &str) -> Option<Result<FaultyPort, FaultSyntax>> {
    let (at, number) = text.rsplit_once(':')?;
    let at = name(at)?;
    Some(port(number).map(|port| FaultyPort { at, port }))
}

fn on_node(text: &str) -> Option<Result<OnNode, FaultSyntax>> {
    let (node, times) = text.split_once('@')?;
    let (start, length) = times.split_once('+')?;
    let number = node.strip_prefix("node-").unwrap_or(node).parse::<NonZeroU8>();
    let node = number.map(NodeOrdinal).map_err(|_| FaultSyntax::Node { text: node.to_owned() });
    Some(both(node, both(duration(start), positive(length))).map(|(node, (start, duration))| OnNode {
        node,
        start,
        duration,
    }))
}

fn pair(text: &str) -> Option<Result<Pair, FaultSyntax>> {
    let (names, start) = text.rsplit_once('@')?;
    let (from, to) = names.split_once("->")?;
    let (from, to) = (name(from)?, name(to)?);
    Some(duration(start).map(|start| Pair { from, to, start }))
}

fn on_agent(text: &str) -> Option<Result<OnAgent, FaultSyntax>> {
    let (at, start) = text.rsplit_once('@')?;
    let at = name(at)?;
    Some(duration(start).map(|start| OnAgent { at, start }))
}

fn port(text: &str) -> Result<Port, FaultSyntax> {
    let read = || {
        let (number, protocol) = text.split_once('/')?;
        let protocol = match protocol {
            "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            "sctp" => Protocol::Sctp,
            _ => return None,
        };
        Some(Port { number: number.parse().ok()?, protocol })
    };
    read().ok_or_else(|| FaultSyntax::Port { text: text.to_owned() })
}

fn duration(text: &str) -> Result<Duration, FaultSyntax> {
    let refused = || FaultSyntax::Duration { text: text.to_owned() };
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let duration: SignedDuration = text.parse().map_err(|_| refused())?;
    Duration::try_from(duration).map_err(|_| refused())
}

fn positive(text: &str) -> Result<Duration, FaultSyntax> {
    let duration = duration(text)?;
    if duration.is_zero() { Err(FaultSyntax::Duration { text: text.to_owned() }) } else { Ok(duration) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_shown_as_it_is_written() {
        let rows = [
            "leak=intruder->data-store:5432/tcp",
            "leak-repeats=a->b:80/tcp",
            "cut=a->b:53/udp",
            "flap=a->b:80/tcp@200ms",
            "late=1s",
            "reject",
            "lose-node=1@1s+300ms",
            "open-moment=2@1s+20ms",
            "late-set=1@500ms+100ms",
            "stop-forwarding=1@1s+1s 500ms",
            "lose-packet=a->b:80/tcp@1s",
            "no-route=intruder->data-store@1s+500ms",
            "late-pod=1s",
            "open-pod=1s",
            "kill-listener=data-store:5432/tcp",
            "wrong-server=data-store:9000/tcp",
            "kill-agent=intruder@1s",
            "stop-agent=intruder@1s+2s",
            "cut-stream=intruder@1s",
        ];
        for text in rows {
            assert_eq!(text.parse::<Fault>().map(|fault| fault.to_string()), Ok(text.to_owned()), "{text}");
        }
        assert_eq!("late-set=node-1@0+5ms".parse::<Fault>().unwrap().to_string(), "late-set=1@0s+5ms", "other forms");
    }

    #[test]
    fn what_is_no_fault_is_refused_with_what_would_be_one() {
        let rows = [
            ("leek=a->b:1/tcp", "there is no fault `leek`; there are", "an unknown kind"),
            ("leak", "is written `leak=FROM->TO:PORT/PROTO`", "nothing behind it"),
            ("leak=a:1/tcp", "is written `leak=FROM->TO:PORT/PROTO`", "no destination"),
            ("leak=->b:1/tcp", "is written `leak=FROM->TO:PORT/PROTO`", "no source's name"),
            ("leak=a->b:0/tcp", "`0/tcp` is no port", "port 0"),
            ("leak=a->b:1/icmp", "`1/icmp` is no port", "a protocol without ports"),
            ("leak-repeats=a->b:53/udp", "nothing repeats the first packet of `53/udp`", "a datagram is sent once"),
            ("late=soon", "`soon` is no length of time", "no duration"),
            ("late=-1s", "`-1s` is no length of time", "a negative duration"),
            ("flap=a->b:1/tcp@0s", "`0s` is no length of time", "a period of nothing"),
            ("lose-node=0@1s+1s", "`0` is no node", "nodes count from 1"),
            ("lose-node=1@1s", "is written `lose-node=NODE@START+DURATION`", "no duration"),
            ("no-route=a@1s+1s", "is written `no-route=FROM->TO@START+DURATION`", "no destination"),
            ("reject=a->b:1/tcp", "is written `reject`", "something behind what takes nothing"),
        ];
        for (text, expected, why) in rows {
            let error = text.parse::<Fault>().expect_err(why).to_string();
            assert!(error.contains(expected), "{why}: {error}");
        }
    }
}
