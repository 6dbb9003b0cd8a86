//! Messages between harness and agent.
//!
//! Both ways: one JSON object a line, at most [`MAX_LINE`] bytes with its newline. The harness opens the stream and
//! speaks first ([`ToAgent::Hello`]); an agent that meets a protocol or token it does not know answers
//! [`FromAgent::Refused`] and closes. A stream may break at any time: the agent goes on with its plan, and the next
//! stream's `Hello` says from which record on to continue.
//!
//! Times are nanoseconds on the *agent's* boot-time clock unless a field says otherwise.
//!
//! # What a reader of records may rely on
//!
//! - Records are numbered from 0 without gaps within one life of an agent. The agent keeps each until it is
//!   acknowledged; if it cannot, it drops the oldest and says over what span in a [`Blindness::Overflow`] record.
//! - [`Record::Tried`] of one cell come in order of attempt number, and those of all cells in order of launch as far as
//!   the joining of runs leaves it. Attempts of a cell are numbered without gaps within one life.
//! - [`FromAgent::Records`] carries two watermarks. `launched`: every attempt (self-dials too) whose turn came at or
//!   before it has its final outcome in this or an earlier message, be it that its turn was missed. `arrived`: every
//!   nonce that the agent read, and every span in which it was blind, at or before it is in this or an earlier
//!   message. Neither ever goes back. `launched` lags by up to a deadline while anything is silent, and longer while a
//!   server owes its proof; `arrived` does not.

pub mod lines;

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::model::moment::Moment;
use crate::model::observation::{Blindness, Outcome};
use crate::model::port::{Port, Protocol};
use crate::model::verdict::Verdict;

/// The version of these messages. Harness and agent must speak the same.
pub const PROTOCOL: u32 = 6;

/// The longest line either side reads, in bytes: a plan for 50,000 cells fits.
pub const MAX_LINE: usize = 16 * 1024 * 1024;

/// The longest line an agent reads before it has seen the token, in bytes.
pub const MAX_HELLO: usize = 4 * 1024;

/// The most cells an agent takes in one plan.
pub const MAX_CELLS: usize = 65_536;

/// The cell number in the question of a self-dial, or of another attempt whose arrival is not recorded: no cell has it.
pub const SELF_DIAL: u32 = u32::MAX;

/// The most connections an agent holds open, and as many again that others hold open to it.
pub const MAX_HELD: usize = 1_024;

/// The longest datagram or TCP exchange between agents, in bytes.
pub const MAX_EXCHANGE: usize = 512;

/// From the harness.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ToAgent {
    /// The first line of every stream.
    Hello {
        /// [`PROTOCOL`].
        protocol: u32,
        /// The token the agent was started with: keeps strangers off.
        token: String,
        /// The first record wanted: one past the last that arrived. Records below it are forgotten.
        resume: u64,
    },
    /// Who the agent is and what it listens on; replaces what was said before. Answered by [`FromAgent::Serving`]
    /// once every socket is bound. Listeners that stay are not touched.
    Serve(Serve),
    /// What to do; replaces the plan before, whose pending attempts are still recorded. Answered by
    /// [`FromAgent::Planned`]. A plan whose id is the current one's is only answered, so it can be sent again when a
    /// stream broke before the answer came.
    Plan(Plan),
    /// Connections to open and to hold open, numbered messages going to and fro. Those of an earlier one that are not
    /// named are closed, those that are named again are not touched. Answered by [`FromAgent::Holding`].
    Hold(Hold),
    /// Asks what became of the connections held so far, those that others hold to this agent too. Changes nothing.
    /// Answered by [`FromAgent::Held`].
    Report {
        /// Comes back in the answer.
        id: u64,
    },
    /// Asks for the clock and acknowledges records; sent every second or so.
    Ping {
        /// Comes back in the `Pong`.
        id: u64,
        /// Records below this number have arrived and may be forgotten.
        acknowledged: u64,
    },
    /// Makes no more attempts; goes on serving, and records what is pending.
    Halt,
    /// Ends the agent.
    Exit,
}

/// Who the agent is, and what it listens on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Serve {
    /// What it calls itself in answers: the endpoint's name.
    pub name: String,
    /// This run's secret: a nonce without it is a stranger's and is answered, but not recorded.
    pub secret: u64,
    /// Its own addresses: for self-dials, and to bind to. Empty: the unspecified address of each family.
    pub addresses: Vec<IpAddr>,
    /// What it listens on, each on every address.
    pub ports: Vec<Port>,
}

/// What to attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Counts up over a run.
    pub id: u64,
    /// Which of the plans under way it replaces.
    pub lane: Lane,
    /// The cells whose source this agent's endpoint is.
    pub cells: Vec<PlannedCell>,
    /// Every cell's turn comes once in this, in nanoseconds; rounds overlap, none waits for the one before.
    pub interval: u64,
    /// In each turn, so many attempts are made evenly spaced over the deadline, each from a fresh source port, until
    /// one is answered; all are recorded. At least 1.
    pub attempts: u32,
    /// An attempt without an answer after this is silent, in nanoseconds.
    pub deadline: u64,
    /// A turn that comes later than this, in nanoseconds, is recorded as one missed attempt and not made; one that has
    /// begun is made whole. A heartbeat later than this makes the agent blind for that time.
    pub slack: u64,
    /// The plan ends by itself after so many turns per cell; none: only at `expires`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turns: Option<u32>,
    /// The plan ends by itself so long after it came, in nanoseconds: an agent nobody can reach any more must stop.
    pub expires: u64,
    /// Long attempts besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persist: Option<Persist>,
    /// The agent also dials its own ports at its own addresses once in this many nanoseconds, and reports them as
    /// [`Record::SelfDialled`].
    pub self_dial: u64,
}

/// An agent carries out one plan of each lane at a time, so that what is asked of pods that come and go disturbs
/// nobody's pace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lane {
    /// The cells of a stage.
    #[default]
    Main,
    /// Those of a newborn pod.
    Side,
}

/// Long attempts: single TCP connection attempts that wait while the kernel repeats their first packet, which is
/// dropped in one moment and may get through in another. Recorded as [`Record::Persisted`]; they have no numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Persist {
    /// On these cells of the plan.
    pub cells: Vec<u32>,
    /// Each once in this, in nanoseconds.
    pub every: u64,
    /// An attempt gives up after this, in nanoseconds.
    pub deadline: u64,
}

/// Connections to hold open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    /// Counts up over a run.
    pub id: u64,
    /// The connections, one a cell at most.
    pub connections: Vec<HeldCell>,
    /// A message goes once in this, in nanoseconds.
    pub interval: u64,
    /// They are closed so long after this came, in nanoseconds.
    pub expires: u64,
}

/// A connection to hold open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeldCell {
    /// The cell.
    pub cell: u32,
    /// The destination's address and port.
    pub to: SocketAddr,
    /// The name the right server answers with.
    pub expects: String,
}

/// One cell of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedCell {
    /// The cell's number in the scenario's flow table; goes into nonces.
    pub cell: u32,
    /// The destination's address and port.
    pub to: SocketAddr,
    /// The protocol.
    pub protocol: Protocol,
    /// The names that right servers answer with: one, or that of every pod behind a Service.
    pub expects: Vec<String>,
    /// When in the interval this cell's turn comes, in nanoseconds after its start: spreads the load.
    pub phase: u64,
    /// The least number of this cell's first attempt under this plan. An agent that has made attempts on the cell
    /// before goes on from its own count where that is higher: it knows of attempts whose records are still under way.
    pub first_number: u32,
    /// What is expected of it. Where it is something else, the cell is tried again at once and every few milliseconds, until
    /// it was as expected several times; bounded in number and time. None: it is tried in its turns only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<Verdict>,
}

/// From the agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "kebab-case", deny_unknown_fields)]
pub enum FromAgent {
    /// Answers `Hello`.
    Welcome {
        /// [`PROTOCOL`].
        protocol: u32,
        /// The agent's version.
        version: String,
        /// Tells two lives of an agent apart: a restarted agent has lost its records.
        life: u64,
        /// The clock, now.
        clock: Moment,
        /// The oldest record it still has; above the `resume` asked for means a gap.
        oldest: u64,
    },
    /// Answers a `Hello` it will not work with, before closing.
    Refused {
        /// Why.
        why: String,
    },
    /// Answers `Serve`.
    Serving {
        /// What could not be bound, and the error.
        failed: Vec<(Port, String)>,
        /// What the kernel lacks: `sctp`, `ipv6`.
        lacks: Vec<String>,
    },
    /// Answers `Plan`: the plan's id, and the clock when its first interval starts.
    Planned {
        /// Which.
        id: u64,
        /// The start of its first interval.
        start: Moment,
    },
    /// Answers `Hold`: the connections are being opened.
    Holding {
        /// From the `Hold`.
        id: u64,
    },
    /// Answers `Report`.
    Held {
        /// From the `Report`.
        id: u64,
        /// The connections this agent holds, or held.
        held: Vec<HeldReport>,
        /// Those that others hold, or held, to it.
        served: Vec<ServedReport>,
        /// The longest spans in which this agent's heartbeat came late: it may have neither sent nor answered then.
        late: Vec<(Moment, Moment)>,
    },
    /// Answers `Ping`.
    Pong {
        /// From the `Ping`.
        id: u64,
        /// The clock, now.
        clock: Moment,
        /// How long the agent got no processor time so far.
        starved: Starved,
    },
    /// Records, in order; sent as they come, some milliseconds' worth at a time.
    Records {
        /// The number of the first; the others follow without gaps.
        first: u64,
        /// The records.
        records: Vec<Record>,
        /// Every attempt launched, or due, up to this moment is in this or an earlier message, with its outcome.
        launched: Moment,
        /// Every arrival read and every blindness noticed up to this moment is in this or an earlier message.
        arrived: Moment,
    },
}

/// How long an agent got no processor time since it began: by how much heartbeats came late, those left out that came almost in
/// time. In nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Starved {
    /// The latest of them.
    pub longest: u64,
    /// All of them together.
    pub total: u64,
}

/// One thing an agent saw. Run-length: one record stands for consecutive attempts with one outcome.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "r", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Record {
    /// Attempts of this agent.
    Tried {
        /// The cell.
        #[serde(rename = "c")]
        cell: u32,
        /// The number of the first attempt.
        #[serde(rename = "n")]
        first_number: u32,
        /// How many attempts with consecutive numbers.
        #[serde(rename = "k")]
        count: u32,
        /// Launch of the first.
        #[serde(rename = "f")]
        first: Moment,
        /// Launch of the last.
        #[serde(rename = "l")]
        last: Moment,
        /// The packet of each had left by so long after its launch, in nanoseconds.
        #[serde(rename = "w", default)]
        left_within: u64,
        /// The longest from launch to outcome, in nanoseconds.
        #[serde(rename = "s")]
        slowest: u64,
        /// What became of each.
        #[serde(rename = "o")]
        outcome: Outcome,
    },
    /// Nonces of this run that arrived at this agent's listeners.
    Delivered {
        /// The cell, from the nonce.
        #[serde(rename = "c")]
        cell: u32,
        /// The number of the first attempt, from the nonce.
        #[serde(rename = "n")]
        first_number: u32,
        /// How many attempts with consecutive numbers.
        #[serde(rename = "k")]
        count: u32,
        /// Arrival of the first.
        #[serde(rename = "f")]
        first: Moment,
        /// Arrival of the last.
        #[serde(rename = "l")]
        last: Moment,
    },
    /// A dial to its own listener at its own address: proves the listener, though not the link.
    SelfDialled {
        /// The address and port.
        to: SocketAddr,
        /// The protocol.
        protocol: Protocol,
        /// Launch of the first.
        first: Moment,
        /// Launch of the last.
        last: Moment,
        /// How many.
        count: u32,
        /// What became of each.
        outcome: Outcome,
    },
    /// A long attempt of this agent.
    Persisted {
        /// The cell.
        #[serde(rename = "c")]
        cell: u32,
        /// When it was launched.
        #[serde(rename = "f")]
        launched: Moment,
        /// When its outcome was known.
        #[serde(rename = "l")]
        ended: Moment,
        /// What became of it.
        #[serde(rename = "o")]
        outcome: Outcome,
    },
    /// What the kernel counted as dropped in the agent's network namespace, between two readings. The later reading is the
    /// earlier one of the next record. Read only while a plan says what is expected of a cell.
    Counted {
        /// The earlier reading began then.
        from: Moment,
        /// The later one ended then.
        until: Moment,
        /// The counters that moved, and by how much.
        moved: Vec<(String, u64)>,
    },
    /// The agent could not see for a while.
    Blind {
        /// From.
        from: Moment,
        /// Until.
        until: Moment,
        /// Why.
        why: Blindness,
    },
}

/// A connection held open, as its source saw it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeldReport {
    /// The cell.
    pub cell: u32,
    /// When it was open and the server had proved itself; none where that never came about.
    pub opened: Option<Moment>,
    /// Messages sent.
    pub sent: u64,
    /// Messages that came back.
    pub answered: u64,
    /// The longest times in which none came back, from the last that did until the next, or until now.
    pub gaps: Vec<(Moment, Moment)>,
    /// When and how it ended by itself; none while it is open.
    pub end: Option<(Moment, HeldEnd)>,
}

/// The same, as its destination saw it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServedReport {
    /// The cell.
    pub cell: u32,
    /// Messages heard.
    pub heard: u64,
    /// When and how it ended; none while it is open.
    pub end: Option<(Moment, HeldEnd)>,
}

/// How a held connection ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeldEnd {
    /// A reset came.
    Reset,
    /// The other side closed.
    Closed,
    /// Nothing came back for so long that the kernel gave up.
    TimedOut,
    /// Something else, in words.
    Other(String),
}

/// What one agent says to another's listener, TCP or UDP: one line of JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// The run's secret.
    pub secret: u64,
    /// The cell; [`SELF_DIAL`] in a self-dial.
    pub cell: u32,
    /// The attempt's number.
    pub number: u32,
    /// The cell whose connection is to be held open after the answer: every line is then sent back as it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<u32>,
}

/// What a listener answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// The server's name.
    pub name: String,
    /// The nonce, echoed.
    pub nonce: Question,
    /// The source address it saw.
    pub seen: IpAddr,
}
