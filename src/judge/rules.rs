//! What a stage is judged by.

use std::collections::HashSet;
use std::time::Duration;

use crate::model::document::Strictness;
use crate::model::endpoint::EndpointId;
use crate::model::flow::{Flow, FlowId, FlowTable, NamedFlow};
use crate::model::moment::Moment;
use crate::model::verdict::DenyForm;

/// How attempts were planned and what is demanded of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// So many silent attempts make a denial; zero counts as one.
    pub attempts: u32,
    /// An attempt without an answer after this is silent.
    pub deadline: Duration,
    /// Every cell's turn comes once in this.
    pub interval: Duration,
    /// Every attempt launched within this must be right at convergence: see [`window`].
    pub window: Duration,
    /// In what form a denial has to come.
    pub deny: DenyForm,
    /// Whether a weak witness is refused.
    pub strictness: Strictness,
    /// Convergence has to come within this after `sent`.
    pub converge_within: Duration,
    /// Where given: a cell that took longer than this to become right is a finding, though it became right.
    pub max_enforce: Option<Duration>,
    /// Where convergence is waited for longer than was allowed, since turns are rare: what was allowed. Whoever was seen
    /// wrong later than this is late, though it became right.
    pub allowed: Option<Duration>,
    /// When the last change was sent or the last agent of an added pod ran, whichever is later, on the harness's clock.
    /// Attempts launched before are no part of this stage, but for cells that have an earlier start of their own: see
    /// [`Judge::starting`](super::Judge::starting).
    pub sent: Moment,
}

/// The window of convergence: no shorter than the deadline, and long enough for every cell to have its turn in it.
pub fn window(deadline: Duration, interval: Duration) -> Duration {
    deadline.max(interval)
}

impl Rules {
    /// How far back evidence for a verdict may lie. Turns jitter and single attempts go unseen, so a window of one
    /// interval does not hold a whole turn of every cell: evidence may come from two. What is wrong inside the
    /// window proper is never made up for by what is right before it. Nor may it lie so far back that enforcement had
    /// hardly begun: what was wrong then says nothing about the end.
    pub(super) fn lookback(&self) -> Duration {
        self.window.max(self.interval.saturating_mul(2)).min((self.converge_within / 2).max(self.deadline))
    }

    /// These rules at a slower pace: convergence is waited for until every cell could have three turns from now on. What
    /// becomes right only after the time that was allowed to begin with is late all the same.
    pub fn at(self, interval: Duration, now: Moment) -> Self {
        let turns = interval.saturating_mul(3).saturating_add(self.deadline.saturating_mul(2));
        let needed = now.since(self.sent).saturating_add(turns);
        let slower = Self { interval, window: window(self.deadline, interval), ..self };
        if needed <= self.converge_within {
            return slower;
        }
        Self { converge_within: needed, allowed: self.allowed.or(Some(self.converge_within)), ..slower }
    }

    /// How long nothing may be proven of a cell that is watched: as long as a denial takes to be seen.
    pub(super) fn blink(&self) -> Duration {
        let turns = self.interval.saturating_mul(self.quorum().saturating_add(1));
        self.lookback().min(self.deadline.max(turns))
    }

    /// How long single attempts are remembered before they are summed up: late news (a datagram that arrives after
    /// its deadline, a blindness noticed afterwards) can still correct them so long.
    pub(super) fn memory(&self) -> Duration {
        self.lookback().saturating_add(self.deadline).saturating_mul(2).saturating_add(Duration::from_secs(1))
    }

    /// Silent attempts that make a denial; at least one.
    pub(super) fn quorum(&self) -> u32 {
        self.attempts.max(1)
    }
}

/// What the judge needs to know to speak of endpoints and times as people do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who {
    /// The names of all the scenario's endpoints, in order of id.
    pub names: Vec<String>,
    /// The scenario's file as given on the command line, for the commands that findings suggest.
    pub scenario: String,
    /// What comes behind these commands, from its space on, so that they ask about this stage and this world.
    pub asking: String,
    /// When the run began, on the harness's clock: windows count from here.
    pub began: Moment,
}

impl Who {
    /// An endpoint's name.
    pub fn name(&self, id: EndpointId) -> &str {
        self.names.get(id.index()).map_or("?", String::as_str)
    }

    /// A flow with names.
    pub fn named(&self, flow: &Flow) -> NamedFlow {
        NamedFlow {
            from: self.name(flow.source).into(),
            to: self.name(flow.destination).into(),
            family: flow.family,
            port: flow.port,
        }
    }

    /// A moment as microseconds since the run began.
    pub(super) fn micros(&self, at: Moment) -> u64 {
        u64::try_from(at.since(self.began).as_micros()).unwrap_or(u64::MAX)
    }
}

/// The flows that this run's baseline saw reached: without one, a pod that is cut off both ways has no witness at all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Proven(pub HashSet<FlowId>);

impl Proven {
    /// Forgets the flows of a pod that was removed: they say nothing of one that is added again under its name.
    pub fn forget(&mut self, flows: &FlowTable, gone: EndpointId) {
        self.0.retain(|id| flows.get(*id).is_none_or(|flow| flow.source != gone && flow.destination != gone));
    }

    /// Whether the baseline saw this flow reached.
    pub fn has(&self, id: FlowId) -> bool {
        self.0.contains(&id)
    }
}
