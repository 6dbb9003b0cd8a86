//! The baseline: before any policy of the scenario, every cell must be reached, or the wiring itself is broken.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use crate::model::finding::{Call, Contradiction};
use crate::model::flow::{CellSet, Flow, FlowId};
use crate::model::matrix::Matrix;
use crate::model::moment::Moment;
use crate::model::observation::{Observation, Outcome, Sighting};
use crate::model::verdict::Verdict;
use crate::model::watch::Standing;

use super::Agents;
use super::broken::BrokenFlow;
use super::ends::Ends;
use super::judgement::Judgement;
use super::rules::{Proven, Rules, Who};
use super::table::Row;

/// Judges the baseline. One proven reach ends it for a cell; nothing else does.
#[derive(Debug, Clone)]
pub struct Baseline {
    set: Arc<CellSet>,
    rules: Rules,
    who: Who,
    cells: Vec<Seen>,
    proven: usize,
    unsupported: usize,
    ends: Ends,
}

#[derive(Debug, Clone, Default)]
struct Seen {
    /// The first proof: when it was launched and what it took.
    proof: Option<(Moment, Duration)>,
    translated: Option<std::net::IpAddr>,
    /// The latest that was not a proof.
    last: Option<Outcome>,
    arrived: u32,
    attempts: u32,
    unseen: u32,
}

/// How the baseline stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BaselineStanding {
    /// Cells that were reached.
    pub reached: usize,
    /// Cells that have to be: all but those this world cannot carry.
    pub of: usize,
    /// Of these, how many never will be, since an agent is lost.
    pub lost: usize,
}

impl BaselineStanding {
    /// Whether there is nothing left to wait for.
    pub fn is_complete(self) -> bool {
        self.reached >= self.of
    }
}

impl Baseline {
    /// A judge for the baseline of these cells. Of the rules it needs `sent` (when the plan was sent) and
    /// `converge_within` (how long to wait for the last cell).
    pub fn new(cells: Arc<CellSet>, rules: Rules, who: Who) -> Self {
        let seen = vec![Seen::default(); cells.len()];
        let ends = Ends::new(who.names.len());
        Self { set: cells, rules, who, cells: seen, proven: 0, unsupported: 0, ends }
    }

    /// The names of whom it is about.
    pub fn who(&self) -> &Who {
        &self.who
    }

    /// What it is judged by.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Takes a sighting.
    pub fn see(&mut self, sighting: &Sighting) {
        match sighting {
            Sighting::Tried { flow, count, first, last, slowest, outcome, .. } => {
                if *last < self.rules.sent {
                    return;
                }
                let Some(cell) = self.set.place(*flow).and_then(|place| self.cells.get_mut(place)) else { return };
                cell.take(outcome, *count, *first, *slowest, &mut self.proven, &mut self.unsupported);
            }
            Sighting::Delivered { flow, count, .. } => {
                if let Some(cell) = self.set.place(*flow).and_then(|place| self.cells.get_mut(place)) {
                    cell.arrived = cell.arrived.saturating_add(*count);
                }
            }
            Sighting::Persisted { .. } | Sighting::Counted { .. } => {}
            Sighting::SelfDialled { .. }
            | Sighting::Blind { .. }
            | Sighting::Complete { .. }
            | Sighting::Lost { .. } => drop(self.ends.see(sighting)),
        }
    }

    /// What is known of the agents by now.
    pub fn agents(&self) -> Agents {
        Agents(self.ends.clone())
    }

    /// Attempts whose outcome was seen, and those that could not see.
    pub fn sight(&self) -> (u64, u64) {
        self.cells
            .iter()
            .fold((0, 0), |(seen, unseen), cell| (seen + u64::from(cell.attempts), unseen + u64::from(cell.unseen)))
    }

    /// How it stands.
    pub fn standing(&self) -> BaselineStanding {
        let hopeless = |(flow, cell): &(&Flow, &Seen)| {
            cell.proof.is_none() && [flow.source, flow.destination].iter().any(|id| self.ends.lost(*id).is_some())
        };
        let flows = self.set.iter().map(|(_, flow)| flow);
        let lost = if self.ends.any_lost() { flows.zip(&self.cells).filter(hopeless).count() } else { 0 };
        BaselineStanding { reached: self.proven, of: self.cells.len() - self.unsupported, lost }
    }

    /// The flows reached so far: what later stages take as evidence that a cell's wiring worked.
    pub fn proven(&self) -> Proven {
        let reached = self.set.iter().zip(&self.cells).filter(|(_, cell)| cell.proof.is_some());
        Proven(reached.map(|((id, _), _)| id).collect::<HashSet<FlowId>>())
    }

    /// The cells that were not reached, and what was seen instead. Empty in a sound world.
    pub fn broken(&self) -> Vec<BrokenFlow> {
        let cells = self.set.iter().zip(&self.cells);
        cells
            .filter(|(_, cell)| cell.proof.is_none() && !cell.unsupported())
            .map(|((id, flow), cell)| (id, *flow, cell.observation()))
            .collect()
    }

    /// The baseline as a stage's cells. A cell that was not reached is inconclusive: there is no policy to blame yet.
    pub fn verdicts(&self) -> Matrix<Judgement> {
        let mut cells = self.cells.iter();
        Matrix::build(Arc::clone(&self.set), |_, _| {
            let cell = cells.next().cloned().unwrap_or_default();
            let call = match (&cell.proof, cell.unsupported()) {
                (Some(_), _) => Call::Ok,
                (None, true) => Call::Unsupported,
                (None, false) => Call::Inconclusive,
            };
            Judgement {
                observation: cell.observation(),
                verdict: cell.proof.map(|_| Verdict::Allowed),
                row: Row { call, contradiction: Contradiction::None, blame: None },
                standing: Standing::Counted,
                witness: None,
                time_to_enforce: cell.proof.map(|(launched, _)| launched.since(self.rules.sent)),
                slowest: cell.proof.map(|(_, took)| took),
                attempts: cell.attempts,
                unseen: cell.unseen,
                unobserved: None,
                windows: Vec::new(),
                passing: None,
                note: cell.translated.map(|seen| format!("the destination sees {seen} as the source")),
            }
        })
    }
}

/// What was seen of a flow, in words.
pub(super) fn how(observation: &Observation) -> String {
    match observation {
        Observation::Reached => "reached".into(),
        Observation::Delivered => "attempts arrive, but no answer comes back".into(),
        Observation::HalfOpen => "a handshake, but no proof of who answered".into(),
        Observation::SomeoneElse { who } => format!("somebody else answered: {who}"),
        Observation::Translated { seen } => format!("reached, seen as {seen}"),
        Observation::Silent { attempts } => format!("silent, {attempts} attempts"),
        Observation::Refused { how, .. } => how.to_string(),
        Observation::Unreachable { error } => format!("unreachable: {error}"),
        Observation::Unsupported { what } => format!("this world lacks {what}"),
        Observation::Mixed { reached, silent } => format!("{reached} attempts arrived, {silent} did not"),
        Observation::NotSeen { why } => format!("not seen: {why}"),
    }
}

impl Seen {
    fn take(
        &mut self,
        outcome: &Outcome,
        count: u32,
        first: Moment,
        slowest: Duration,
        proven: &mut usize,
        unsupported: &mut usize,
    ) {
        let lacked = self.unsupported();
        match outcome {
            Outcome::Reached | Outcome::Translated { .. } => {
                self.attempts = self.attempts.saturating_add(count);
                if self.proof.is_none() {
                    self.proof = Some((first, slowest));
                    *proven += 1;
                    if lacked {
                        *unsupported -= 1;
                    }
                    if let Outcome::Translated { seen } = outcome {
                        self.translated = Some(*seen);
                    }
                }
            }
            Outcome::Failed { .. } => {
                self.unseen = self.unseen.saturating_add(count);
                // Its own trouble must not hide what an earlier attempt heard.
                self.last.get_or_insert_with(|| outcome.clone());
            }
            Outcome::HalfOpen
            | Outcome::SomeoneElse { .. }
            | Outcome::Silent
            | Outcome::Refused { .. }
            | Outcome::Unreachable { .. }
            | Outcome::Unsupported { .. } => {
                self.attempts = self.attempts.saturating_add(count);
                self.last = Some(outcome.clone());
                if self.proof.is_none() && self.unsupported() != lacked {
                    if lacked {
                        *unsupported -= 1;
                    } else {
                        *unsupported += 1;
                    }
                }
            }
        }
    }

    fn unsupported(&self) -> bool {
        self.proof.is_none() && matches!(self.last, Some(Outcome::Unsupported { .. }))
    }

    fn observation(&self) -> Observation {
        if self.proof.is_some() {
            return self.translated.map_or(Observation::Reached, |seen| Observation::Translated { seen });
        }
        match &self.last {
            None => Observation::NotSeen { why: "nothing was attempted".into() },
            Some(Outcome::Unsupported { what }) => Observation::Unsupported { what: what.clone() },
            Some(Outcome::SomeoneElse { who }) => Observation::SomeoneElse { who: who.clone() },
            Some(_) if self.arrived > 0 => Observation::Delivered,
            Some(Outcome::HalfOpen) => Observation::HalfOpen,
            Some(Outcome::Silent) => Observation::Silent { attempts: self.attempts },
            Some(Outcome::Refused { how }) => Observation::Refused { how: *how, after_us: 0 },
            Some(Outcome::Unreachable { error }) => Observation::Unreachable { error: error.clone() },
            Some(Outcome::Failed { why }) => Observation::NotSeen { why: super::notes::words(why) },
            Some(Outcome::Reached | Outcome::Translated { .. }) => Observation::Reached,
        }
    }
}
