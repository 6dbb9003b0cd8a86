//! What an agent is to do, and what comes back.

use tokio::sync::oneshot;

use crate::model::moment::Moment;
use crate::model::port::Port;
use crate::wire::{HeldReport, Hold, Plan, Serve, ServedReport};

/// Something an agent is to do, and who wants to know that it did.
#[derive(Debug)]
pub enum Order {
    /// Listen.
    Serve(Serve, Answer),
    /// Carry out a plan. First numbers are filled in by the session.
    Plan(Plan, Answer),
    /// Hold connections open.
    Hold(Hold, Answer),
    /// Tell what became of them.
    Report(u64, oneshot::Sender<Result<HeldBy, Unanswered>>),
    /// Make no more attempts.
    Halt(Answer),
    /// End the agent and the conversation.
    End,
}

/// Where the answer to an order goes: the moment it was carried out on the harness's clock, or why it never will be.
pub type Answer = oneshot::Sender<Result<Moment, Unanswered>>;

/// What one agent knows of held connections, on the harness's clock.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HeldBy {
    /// Those it holds.
    pub held: Vec<HeldReport>,
    /// Those that others hold to it.
    pub served: Vec<ServedReport>,
}

/// Why an order will not be carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unanswered {
    /// The agent is lost.
    Lost(String),
    /// The agent refused.
    Refused(String),
    /// The agent could not listen on these ports.
    NotServing(Vec<(Port, String)>),
}
