//! Leads the agents: tells each what to listen on and whom to dial, and brings what they saw onto the harness's clock.
//!
//! - [`Crew`]: all agents of a world; [`SweepPlan`]: what they are to attempt; [`pace()`]: how fast
//! - [`behind`]: what is known of a Service, by what the agents behind it tell
//! - [`hold`]: connections that agents hold open, and what both ends saw of them
//! - [`order`]: what an agent is to do, and what comes back
//! - [`session`]: the conversation with one agent, which goes on when its stream breaks
//! - [`offset`]: how far an agent's clock is from ours; [`translate`]: its records in our words
//!
//! Nothing here judges. What is emitted is [`Sighting`](crate::model::observation::Sighting)s, and one promise of the
//! wire stays true on the way: after `Complete`, nothing older comes.

pub mod behind;
pub mod crew;
pub mod hold;
pub mod offset;
pub mod order;
pub mod pace;
pub mod report;
pub mod session;
pub mod stream;
pub mod sweep;
pub mod translate;

pub use crew::{Crew, Terms};
pub use hold::Holding;
pub use pace::{Pace, Work, pace};
pub use sweep::{Facade, Persistence, Planned, SweepPlan};

use crate::model::endpoint::{Addresses, EndpointId, Family};
use crate::model::flow::FlowId;
use crate::model::port::Port;

/// An endpoint with an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Which endpoint.
    pub endpoint: EndpointId,
    /// Its name, which its agent answers with.
    pub name: String,
    /// The addresses it really has.
    pub addresses: Addresses,
    /// What it listens on.
    pub ports: Vec<Port>,
    /// What its agent asks of whoever opens a control stream.
    pub token: String,
}

/// Why probing could not begin or change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// Agents that did not get ready in time.
    #[error("wait for the agents of {}", listed(.0))]
    Absent(Vec<Absence>),
    /// An agent that will not work with us.
    #[error("instruct the agent of `{name}`: it refused: {why}")]
    Refused {
        /// Whose agent.
        name: String,
        /// What it said.
        why: String,
    },
    /// An agent that could not listen.
    #[error("listen at `{name}` on {port}: {error}")]
    NotServing {
        /// Whose agent.
        name: String,
        /// The first port that failed.
        port: Port,
        /// The agent's words.
        error: String,
    },
    /// Agents that did not answer in time; the plan may be under way at others.
    #[error("instruct the agents of {}", listed(.0))]
    Unanswered(Vec<Absence>),
    /// A cell whose source or destination has no agent.
    #[error("plan cell {}: endpoint {} has no agent", .flow.0, .endpoint.0)]
    Stranger {
        /// The cell.
        flow: FlowId,
        /// The endpoint.
        endpoint: EndpointId,
    },
    /// A cell whose destination has no address of its family.
    #[error("plan cell {}: `{name}` has no {family} address", .flow.0)]
    NoAddress {
        /// The cell.
        flow: FlowId,
        /// The destination.
        name: String,
        /// The family.
        family: Family,
    },
}

/// An agent that is not there, and what is known of why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Absence {
    /// Whose agent.
    pub name: String,
    /// The last thing that went wrong, if anything did.
    pub problem: Option<String>,
}

fn listed(absences: &[Absence]) -> String {
    let words: Vec<String> = absences
        .iter()
        .map(|absence| match &absence.problem {
            Some(problem) => format!("`{}` ({problem})", absence.name),
            None => format!("`{}`", absence.name),
        })
        .collect();
    words.join(", ")
}
