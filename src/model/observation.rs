//! Reality: what attempts to connect saw.
//!
//! Agents record [`Outcome`]s of single attempts; the judge joins both ends' records to one [`Observation`] per cell.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::endpoint::{EndpointId, Family};
use super::flow::FlowId;
use super::moment::Moment;
use super::port::Port;

/// How long after its handshake a server has to prove who it is. More than a deadline: by then the network has done its
/// part, and what is waited for is the server's process and our own, on machines that may be busy.
pub const PROOF_WITHIN: Duration = Duration::from_secs(1);

/// What became of one attempt: one connection (or datagram) from one fresh source port.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "outcome")]
pub enum Outcome {
    /// The handshake was done and the server proved who it is: its name, our nonce, the source address it saw.
    Reached,
    /// The handshake was done, but no proof came within [`PROOF_WITHIN`] of it.
    HalfOpen,
    /// Somebody answered who is not the destination.
    SomeoneElse {
        /// Who it said it is, or how its answer was no answer of an agent.
        who: String,
    },
    /// The destination answered, but saw another source address than the source's own.
    Translated {
        /// The address it saw.
        seen: std::net::IpAddr,
    },
    /// Nothing came back before the deadline.
    Silent,
    /// A refusal came back.
    Refused {
        /// In what form.
        how: Refusal,
    },
    /// The network says there is no way there.
    Unreachable {
        /// Which error it was.
        error: String,
    },
    /// This machine's kernel lacks the protocol or family.
    Unsupported {
        /// What it lacks.
        what: String,
    },
    /// The attempt could not be made or watched as planned, so it says nothing.
    Failed {
        /// Why not.
        why: Failure,
    },
}

/// The form of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// `ECONNREFUSED`: a TCP reset, or an ICMP port unreachable; the socket does not tell them apart.
    Refused,
    /// `EACCES` or `EPERM`: administratively prohibited.
    Prohibited,
    /// The connection came about and was reset before the server proved itself.
    Reset,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused => "connection refused",
            Self::Prohibited => "administratively prohibited",
            Self::Reset => "reset after the handshake",
        })
    }
}

/// Why an attempt says nothing about the network.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "failure")]
pub enum Failure {
    /// The agent was starved: its own timers ran late, so silence is no evidence.
    Starved,
    /// The attempt's turn came and went before the agent could make it.
    Missed,
    /// No descriptor, port or memory was left.
    Exhausted {
        /// The system call and its error.
        error: String,
    },
    /// Something else went wrong on the agent's side.
    Other {
        /// The system call and its error.
        error: String,
    },
}

/// One thing an agent saw, on the harness's clock.
#[derive(Debug, Clone, PartialEq)]
pub enum Sighting {
    /// Consecutive attempts on one cell with one outcome.
    Tried {
        /// The cell.
        flow: FlowId,
        /// The first attempt's number; attempts of a cell are numbered from 0 without gaps, over all plans of a run.
        first_number: u32,
        /// How many attempts; at least one.
        count: u32,
        /// When the first was launched.
        first: Moment,
        /// When the last was launched.
        last: Moment,
        /// The packet of each had left by so long after its launch: the system call that sends it had returned.
        left_within: Duration,
        /// The longest any of them took from launch to outcome.
        slowest: Duration,
        /// What became of each.
        outcome: Outcome,
    },
    /// A long attempt on a denied flow: one connection attempt that went on while the kernel repeated its first packet.
    /// A repeat can get through where the first packet did not.
    Persisted {
        /// The cell.
        flow: FlowId,
        /// When it was launched.
        launched: Moment,
        /// When its outcome was known: it got through then, if it did.
        ended: Moment,
        /// What became of it.
        outcome: Outcome,
    },
    /// A destination got nonces of ours: proof that attempts arrived, whatever their source heard.
    Delivered {
        /// The cell.
        flow: FlowId,
        /// The first attempt's number.
        first_number: u32,
        /// How many consecutive attempts; at least one.
        count: u32,
        /// When the first arrived.
        first: Moment,
        /// When the last arrived.
        last: Moment,
    },
    /// An endpoint dialled its own listener at its own address: proves the listener, though not the link.
    SelfDialled {
        /// Whose agent.
        endpoint: EndpointId,
        /// At which of its addresses.
        family: Family,
        /// At which port.
        port: Port,
        /// When the first dial was launched.
        first: Moment,
        /// When the last was launched.
        last: Moment,
        /// What became of each.
        outcome: Outcome,
    },
    /// An agent could not see (or could not answer) for a while: silence from or to it proves nothing.
    Blind {
        /// Whose agent.
        endpoint: EndpointId,
        /// From when.
        from: Moment,
        /// Until when.
        until: Moment,
        /// Why.
        why: Blindness,
    },
    /// What the kernel counted as dropped in an agent's network namespace, between two readings.
    Counted {
        /// Whose agent.
        endpoint: EndpointId,
        /// The earlier reading: it began then.
        from: Moment,
        /// The later one: it ended then.
        until: Moment,
        /// The counters that moved, and by how much.
        moved: Vec<(String, u64)>,
    },
    /// How far this endpoint's agent has reported. Neither moment ever goes back.
    Complete {
        /// Whose agent.
        endpoint: EndpointId,
        /// Every attempt of its own that was launched (or due) up to then has been reported with its outcome. It lags
        /// behind `arrived` by up to the deadline while any attempt is pending.
        until: Moment,
        /// Every attempt of others that arrived up to then, and every blindness up to then, has been reported.
        arrived: Moment,
    },
    /// An endpoint's agent is gone and will not come back.
    Lost {
        /// Whose agent.
        endpoint: EndpointId,
        /// Since when nothing is known.
        since: Moment,
        /// What is known of why.
        why: String,
    },
}

/// Why an agent could not see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Blindness {
    /// Its heartbeat timer was late: the process was stopped or got no processor.
    Starved,
    /// Its own loopback did not answer in time.
    Loopback,
    /// Its records overflowed while nobody fetched them.
    Overflow,
}

impl fmt::Display for Blindness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Starved => "the agent got no processor time",
            Self::Loopback => "the agent's own loopback was silent",
            Self::Overflow => "the agent's records overflowed",
        })
    }
}

/// What one cell's attempts add up to, in one window of time, with both ends' records in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "saw")]
pub enum Observation {
    /// The right server answered and proved itself.
    Reached,
    /// Attempts arrived, though the source heard nothing.
    Delivered,
    /// Handshake without proof.
    HalfOpen,
    /// Somebody else answered.
    SomeoneElse {
        /// Who it said it is.
        who: String,
    },
    /// The right server answered, but saw another source address.
    Translated {
        /// The address it saw.
        seen: std::net::IpAddr,
    },
    /// Several attempts from fresh source ports, evenly spaced over the deadline, all unanswered and none delivered.
    Silent {
        /// How many.
        attempts: u32,
    },
    /// Refused every time.
    Refused {
        /// In what form.
        how: Refusal,
        /// The longest it took, in microseconds.
        after_us: u64,
    },
    /// No route, no neighbour.
    Unreachable {
        /// Which error.
        error: String,
    },
    /// This world lacks the protocol or family: no cell here.
    Unsupported {
        /// What it lacks.
        what: String,
    },
    /// Attempts in the same window differ: the network changed, or loses packets.
    Mixed {
        /// Attempts that reached the destination.
        reached: u32,
        /// Attempts that did not.
        silent: u32,
    },
    /// Nothing that says anything was seen.
    NotSeen {
        /// Why not.
        why: String,
    },
}

/// What proves that a denied cell could have been reached in the same window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "witness")]
pub enum Witness {
    /// The same listener answered others, and the source reached something or answered someone.
    Strong {
        /// An endpoint the listener answered.
        answered: String,
        /// What shows that the source could send: the flow it was part of, in words.
        source: String,
    },
    /// The listener answered its own pod, and the pod's link carried a reply; the source likewise.
    Indirect {
        /// What carried a reply, in words.
        link: String,
        /// What shows that the source could send, in words.
        source: String,
    },
    /// One end is cut off both ways: only its baseline of this run, its self-dial and its agent's health speak for it.
    Weak {
        /// Which endpoints are cut off.
        cut_off: Vec<String>,
    },
}
