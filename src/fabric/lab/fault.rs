//! Wrong on purpose: what the lab can be told to get wrong, so that every detector is shown the thing it detects.
//!
//! A fault is written as it is given to `--fault`. All of them begin with, or count their start from, the end of the
//! first change (the initial policies), so that the baseline is always taken of a sound world.

mod parse;
mod plan;

use std::fmt;
use std::time::Duration;

pub use parse::FaultSyntax;
pub(super) use plan::{Deed, FaultPlan};

use crate::model::endpoint::NodeOrdinal;
use crate::model::port::Port;

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// `leak=FROM->TO:PORT/PROTO`: the flow passes whatever the policies say.
    Leak(FaultyFlow),
    /// `leak-repeats=FROM->TO:PORT/tcp`: only the kernel's repeats of a connection's first packet pass whatever the
    /// policies say.
    LeakRepeats(FaultyFlow),
    /// `cut=FROM->TO:PORT/PROTO`: the flow is dropped whatever the policies say.
    Cut(FaultyFlow),
    /// `flap=FROM->TO:PORT/PROTO@PERIOD`: the flow is let through for one period and dropped for the next, over and
    /// over.
    Flap(FaultyFlow, Duration),
    /// `late=DURATION`: changes are acknowledged at once, and enforced so much later.
    Late(Duration),
    /// `reject`: what is denied is refused instead of met with silence.
    Reject,
    /// `lose-node=NODE@START+DURATION`: the node's rules are gone for a while, and everything passes there.
    LoseNode(OnNode),
    /// `open-moment=NODE@START+DURATION`: the node's whole packet filter, with its record of connections, is removed
    /// and built again in a second transaction.
    OpenMoment(OnNode),
    /// `late-set=NODE@START+DURATION`: the node's rules are for a while those of a node whose sets of peers have not
    /// been filled yet.
    LateSet(OnNode),
    /// `stop-forwarding=NODE@START+DURATION`: the node forwards nothing for a while.
    StopForwarding(OnNode),
    /// `lose-packet=FROM->TO:PORT/PROTO@START`: one first packet of the flow is lost, once, at the destination's node.
    LosePacket(FaultyFlow, Duration),
    /// `no-route=FROM->TO@START+DURATION`: a pod has no way to another for a while, and neither have its replies.
    NoRoute(Pair, Duration),
    /// `late-pod=DURATION`: a pod that is added comes up cut off, as one whose rules are not there yet, for so long.
    LatePod(Duration),
    /// `open-pod=DURATION`: a pod that is added comes up held to no policy, as one that is not yet known, for so long.
    OpenPod(Duration),
    /// `kill-listener=POD:PORT/PROTO`: the port answers, to its own pod too, as it does where nothing listens: a reset,
    /// or port unreachable. (The agent's socket itself stays; on the wire there is no difference.)
    KillListener(FaultyPort),
    /// `wrong-server=TO:PORT/PROTO`: whoever reaches the port is answered by another process, which says it is
    /// `impostor`.
    WrongServer(FaultyPort),
    /// `kill-agent=POD@START`: the agent is killed.
    KillAgent(OnAgent),
    /// `stop-agent=POD@START+DURATION`: the agent is stopped (SIGSTOP) for a while.
    StopAgent(OnAgent, Duration),
    /// `cut-stream=POD@START`: the control stream to the agent is cut once.
    CutStream(OnAgent),
}

/// A flow, by names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultyFlow {
    /// The source.
    pub from: String,
    /// The destination.
    pub to: String,
    /// The destination's port.
    pub port: Port,
}

/// Two endpoints, by names, and when something happens between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The one.
    pub from: String,
    /// The other.
    pub to: String,
    /// So long after the end of the first change.
    pub start: Duration,
}

/// A port of an endpoint, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultyPort {
    /// The endpoint.
    pub at: String,
    /// Its port.
    pub port: Port,
}

/// A node, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnNode {
    /// The node.
    pub node: NodeOrdinal,
    /// So long after the end of the first change.
    pub start: Duration,
    /// For so long.
    pub duration: Duration,
}

/// An agent, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnAgent {
    /// Whose.
    pub at: String,
    /// So long after the end of the first change.
    pub start: Duration,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leak(flow) => write!(f, "leak={flow}"),
            Self::LeakRepeats(flow) => write!(f, "leak-repeats={flow}"),
            Self::Cut(flow) => write!(f, "cut={flow}"),
            Self::Flap(flow, period) => write!(f, "flap={flow}@{}", parse::show(*period)),
            Self::Late(by) => write!(f, "late={}", parse::show(*by)),
            Self::Reject => f.write_str("reject"),
            Self::LoseNode(on) => write!(f, "lose-node={on}"),
            Self::OpenMoment(on) => write!(f, "open-moment={on}"),
            Self::LateSet(on) => write!(f, "late-set={on}"),
            Self::StopForwarding(on) => write!(f, "stop-forwarding={on}"),
            Self::LosePacket(flow, start) => write!(f, "lose-packet={flow}@{}", parse::show(*start)),
            Self::NoRoute(pair, duration) => write!(f, "no-route={pair}+{}", parse::show(*duration)),
            Self::LatePod(by) => write!(f, "late-pod={}", parse::show(*by)),
            Self::OpenPod(by) => write!(f, "open-pod={}", parse::show(*by)),
            Self::KillListener(at) => write!(f, "kill-listener={at}"),
            Self::WrongServer(at) => write!(f, "wrong-server={at}"),
            Self::KillAgent(on) => write!(f, "kill-agent={on}"),
            Self::StopAgent(on, duration) => write!(f, "stop-agent={on}+{}", parse::show(*duration)),
            Self::CutStream(on) => write!(f, "cut-stream={on}"),
        }
    }
}

impl fmt::Display for FaultyFlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}->{}:{}", self.from, self.to, self.port)
    }
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}->{}@{}", self.from, self.to, parse::show(self.start))
    }
}

impl fmt::Display for FaultyPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.at, self.port)
    }
}

impl fmt::Display for OnNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}+{}", self.node.0, parse::show(self.start), parse::show(self.duration))
    }
}

impl fmt::Display for OnAgent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.at, parse::show(self.start))
    }
}
