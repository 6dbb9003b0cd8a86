//! What a run tells while it goes on, for people to look at. Nothing is judged by it.

use std::time::Duration;

use super::finding::Call;
use super::flow::NamedFlow;

/// A piece of news of a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A phase began: `world`, `agents`, `baseline`, a stage's name, `tear-down`. `total` is what `Progress` counts up
    /// to, where that is known.
    PhaseBegan {
        /// Its name.
        phase: String,
        /// The end of the count.
        total: Option<u64>,
    },
    /// So much of the current phase is done: pods made, agents answering, cells as they should be.
    Progress {
        /// So much.
        done: u64,
    },
    /// What the current phase waits for, with how much of it is there: `3 of 9 pods run`.
    Waiting {
        /// In words.
        what: String,
    },
    /// The current phase ended.
    PhaseEnded {
        /// How long it took.
        took: Duration,
    },
    /// Something was seen that will be a finding if it stays.
    Seen {
        /// The flow.
        flow: NamedFlow,
        /// As what.
        call: Call,
    },
    /// A sentence for a person.
    Note {
        /// The sentence.
        text: String,
    },
    /// The watch goes on; told about once a second.
    Watching {
        /// How long it has been on.
        elapsed: Duration,
        /// Attempts so far whose outcome was seen, over all cells.
        seen: u64,
        /// Attempts so far that could not see.
        unseen: u64,
        /// Attempts that were seen in the last second.
        per_second: u64,
    },
    /// A flow under watch became wrong, or right again.
    Window {
        /// The flow.
        flow: NamedFlow,
        /// A leak, an outage or a wrong server.
        call: Call,
        /// Which of the two.
        turn: Turn,
    },
    /// The command under watch wrote a line.
    Said {
        /// The line, without its break.
        line: String,
    },
}

/// A window opens or closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// The flow is wrong from now on.
    Opened,
    /// It is right again.
    Closed {
        /// The longest the window can have been.
        lasted: Duration,
    },
}

/// Takes events; called from many tasks, and must return at once.
pub trait Listener: Send + Sync {
    /// Takes one.
    fn hear(&self, event: Event);
}

impl<F: Fn(Event) + Send + Sync> Listener for F {
    fn hear(&self, event: Event) {
        self(event);
    }
}
