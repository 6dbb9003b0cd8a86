//! Holds what was seen against what was meant. Pure: it reads no clock (time comes in as an argument), does no I/O and
//! cannot panic.
//!
//! One [`Judge`] judges one stage. It is fed with [`Sighting`]s in whatever order the agents' streams bring them, and
//! asked from time to time how the stage stands. The [`Baseline`] is judged more simply: any proven reach ends it for
//! a cell.
//!
//! # From attempts to verdicts
//!
//! **Attempt.** The source says what it heard; the destination says which attempts' nonces arrived. The two records
//! are joined by number. An attempt that arrived though its source heard nothing is *delivered*. Silence counts only
//! when both ends have told everything up to launch + deadline and neither was blind in that time. A number that is
//! missing, silence that met a blind or lost end, an attempt that its own agent could not make or watch: *unseen*.
//! Being reached needs no second record; it is proof by itself.
//!
//! **Right and wrong.** What is right for a cell is its meaning, or its intent where meaning is unknown. An attempt is
//! right, wrong (a leak, an outage, a wrong server), beside the point (a handshake without proof where allowed is
//! right, no way there, the wrong form of denial), or unseen. That there is no way is never a denial. Where allowed is right
//! and was seen to work until the stage had converged, it is an outage from then on, for whoever uses the flow: if the
//! destination's listener is shown to have lived through it. Unseen attempts neither make nor break anything: they are
//! counted and shown.
//!
//! **Convergence.** Let `E` be the moment up to which all agents have told everything, less the deadline. The stage
//! has converged when no attempt launched in `[E - window, E]` or known of later is anything but right, when that window lies
//! after the last change was sent and the agents of all added pods ran, and when every cell has enough right attempts for a verdict: one answer, or
//! `attempts` silences with a witness. Evidence, though never wrongness, may be taken from up to two intervals back, since
//! turns jitter. Cells whose agent is lost for good are not waited for; they end inconclusive. A cell that nothing
//! judges holds nobody up.
//!
//! **Time to enforce** of a cell: from sending the last change, or from when the agents at both its ends ran where that is
//! later, until the launch of the first attempt of the unbroken
//! run of right ones that led to convergence; zero where the cell was never seen otherwise. Its resolution is the
//! interval.
//!
//! **Verdict.** The attempts of the final window add up to one observation, and with its witness to a row of the
//! table (see [`call`]). A denial without a witness is inconclusive. What was wrong before convergence is time to enforce;
//! what is wrong at the end without convergence is a finding; what went to and fro until then is one too. After convergence nothing is
//! forgiven: one wrong attempt is a window, and a finding. If the stage was interrupted, what was not yet right is
//! inconclusive.
//!
//! **Windows** are kept for every cell from the stage's beginning: see [`Window`](crate::model::finding::Window).

mod aftermath;
mod baseline;
mod beside;
mod broken;
mod causes;
mod cell;
mod convergence;
mod drop_counts;
mod ends;
mod findings;
mod gaps;
mod judgement;
mod ledger;
mod notes;
mod persisted;
#[cfg(test)]
mod properties;
mod rules;
#[cfg(test)]
pub(crate) mod script;
mod span;
mod still_wrong;
mod table;
mod tally;
#[cfg(test)]
mod tests;
mod tolerance;
mod track;
mod unobserved;
mod verdicts;
mod watch_findings;
mod witness;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::model::endpoint::EndpointId;
use crate::model::event::Turn;
use crate::model::finding::Call;
use crate::model::flow::{CellSet, FlowId, NamedFlow};
use crate::model::matrix::Matrix;
use crate::model::moment::Moment;
use crate::model::observation::{Outcome, Refusal, Sighting};
use crate::model::verdict::{Intent, Meaning, Verdict};

pub use baseline::{Baseline, BaselineStanding};
pub use beside::lay_beside;
pub use broken::{BrokenFlow, complaints, distrust, likely_causes};
pub use causes::{causes, exit_of};
pub use drop_counts::name_nodes_of_drops;
pub use findings::{counts, findings};
pub use judgement::{Ending, Judgement};
pub use rules::{Proven, Rules, Who, window};
pub use still_wrong::StillWrong;
pub use table::{Row, Sight, blame_offline, call, contradiction};
pub use tolerance::{Allowance, Tolerance};
pub use unobserved::unobserved;
pub use watch_findings::add_watch_findings;

use cell::{Cell, Counted, Queued};
use drop_counts::DropCounts;
use ends::Ends;
use ledger::{Pair, Tide};
use span::{Fate, Span};

/// Judges one stage.
#[derive(Debug, Clone)]
pub struct Judge {
    set: Arc<CellSet>,
    intent: Matrix<Intent>,
    meaning: Matrix<Meaning>,
    rules: Rules,
    who: Who,
    proven: Proven,
    /// In the order of `set`.
    cells: Vec<Cell>,
    ends: Ends,
    /// The endpoints that have cells.
    taking_part: Vec<EndpointId>,
    /// Places of cells with records to look through.
    queue: Vec<usize>,
    right: usize,
    waiting: usize,
    lost: usize,
    /// The latest launch known of that was not right, in any cell that is waited for.
    latest_off: Moment,
    /// Where the last vain look at every cell ended: the next is worth its while only somewhat later.
    looked: Option<Moment>,
    converged: Option<Converged>,
    /// Long attempts that were told of.
    persistent: u64,
    /// What the agents' kernels counted as dropped.
    drop_counts: DropCounts,
    /// What is put up with.
    tolerance: Tolerance,
    /// Windows that opened or closed after convergence and were not told of yet.
    news: Vec<(FlowId, Call, Turn)>,
}

/// What is known of agents, to be handed on from the baseline to the first stage, and from stage to stage.
#[derive(Debug, Clone, Default)]
pub struct Agents(Ends);

impl Agents {
    /// An added pod is a new one, though one of its name may have been removed before: nothing that was told of the time
    /// before `since` is about it.
    pub fn renew(&mut self, added: EndpointId, since: Moment) {
        self.0.renew(added, since);
    }
}

/// Room for the last of some endpoints in order.
fn endpoints_of(taking_part: &[EndpointId]) -> usize {
    taking_part.last().map_or(0, |last| last.index() + 1)
}

/// How the stage stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Cells that are as they should be at present, among `of`.
    pub right: usize,
    /// Cells that are waited for: judged, and with both agents alive.
    pub of: usize,
    /// Cells that are not waited for any more, since an agent is lost.
    pub lost: usize,
    /// Every attempt launched up to here is known, of all agents that are not lost.
    pub known: Moment,
    /// Launch of the latest attempt known of that was not right; none if none was since the change was sent.
    pub last_off: Option<Moment>,
    /// Convergence, once there was one; it stays.
    pub converged: Option<Converged>,
}

/// Convergence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Converged {
    /// From the stage's start (see [`Rules::sent`]) until the last cell was right for good.
    pub after: Duration,
    /// When that was proven, on the harness's clock.
    pub at: Moment,
    /// The window that proved it: from.
    pub from: Moment,
    /// And until.
    pub until: Moment,
}

impl Judge {
    /// A judge for one stage. `intent` and `meaning` are laid over the same cells as `cells`; a cell they lack is one
    /// they say nothing about.
    pub fn new(
        cells: Arc<CellSet>,
        intent: Matrix<Intent>,
        meaning: Matrix<Meaning>,
        rules: Rules,
        who: Who,
        proven: Proven,
    ) -> Self {
        let mut taking_part: Vec<EndpointId> = cells.iter().flat_map(|(_, f)| [f.source, f.destination]).collect();
        taking_part.sort_unstable();
        taking_part.dedup();
        let tracked: Vec<Cell> = cells
            .iter()
            .map(|(id, flow)| {
                let said = meaning.get(id).and_then(|meaning| meaning.verdict());
                let wanted = intent.get(id).and_then(|intent| intent.verdict());
                Cell::new(Pair { source: flow.source, destination: flow.destination }, said.or(wanted), rules.sent)
            })
            .collect();
        let waiting = tracked.iter().filter(|cell| cell.right.is_some()).count();
        Self {
            set: cells,
            intent,
            meaning,
            rules,
            who,
            proven,
            cells: tracked,
            ends: Ends::new(endpoints_of(&taking_part)),
            taking_part,
            queue: Vec::new(),
            right: 0,
            waiting,
            lost: 0,
            latest_off: Moment(0),
            looked: None,
            converged: None,
            persistent: 0,
            drop_counts: DropCounts::default(),
            tolerance: Tolerance::default(),
            news: Vec::new(),
        }
    }

    /// The same judge, knowing of the agents what was known when the stage before ended: which are lost, up to when
    /// the others have told everything, and what their listeners answered.
    #[must_use]
    pub fn knowing(mut self, agents: Agents) -> Self {
        self.ends = agents.0.with_room(endpoints_of(&self.taking_part));
        for place in 0..self.cells.len() {
            self.enqueue(place);
        }
        self
    }

    /// The same judge, with each flow's own clock: it starts when the last change was sent, or when the agents of both its
    /// ends ran, whichever is later. `running` says of added pods when their agents ran; all others ran before. No flow
    /// starts later than the stage.
    #[must_use]
    pub fn starting(mut self, sent: Moment, running: &BTreeMap<EndpointId, Moment>) -> Self {
        for cell in &mut self.cells {
            let ran = |id| running.get(&id).copied().unwrap_or(sent);
            let starts = sent.max(ran(cell.pair.source)).max(ran(cell.pair.destination));
            cell.starts = starts.min(self.rules.sent);
            cell.added = running.keys().any(|id| cell.pair.has(*id));
        }
        self
    }

    /// The same judge, putting up with something.
    #[must_use]
    pub fn tolerating(self, tolerance: Tolerance) -> Self {
        Self { tolerance, ..self }
    }

    /// What is known of the agents by now.
    pub fn agents(&self) -> Agents {
        Agents(self.ends.clone())
    }

    /// What the stage is judged by.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// From now on every cell's turn comes once in this: agents that cannot keep up were told to go slower. Evidence is
    /// then looked for further back and longer; nothing that was seen changes.
    pub fn slow_down(&mut self, interval: Duration, now: Moment) {
        self.rules = self.rules.at(interval, now);
    }

    /// From now on the world is watched, a cell's turn coming once in this with one attempt: the final verdict then needs
    /// as many turns as silences make a denial. What could not be seen before is forgiven.
    pub fn watch_at(&mut self, interval: Duration) {
        self.rules.interval = interval;
        // Twice as many as that: some may not have been seen.
        let turns = interval.saturating_mul(self.rules.quorum().saturating_mul(2));
        self.rules.window = window(self.rules.deadline, turns);
        self.cells.iter_mut().for_each(Cell::forgive_darkness);
    }

    /// When a flow could not be observed, of late and for longest.
    pub fn unobserved_times(&self, flow: FlowId) -> Vec<(Moment, Moment)> {
        let Some(place) = self.set.place(flow) else { return Vec::new() };
        let gaps = self.cells[place].track.gaps.all().filter(|gap| gap.kind == gaps::Kind::Unobserved);
        gaps.map(|gap| (gap.from, gap.until)).collect()
    }

    /// How many long attempts were told of.
    pub fn persistent(&self) -> u64 {
        self.persistent
    }

    /// Attempts of this stage whose outcome was seen, and those that could not see.
    pub fn sight(&self) -> (u64, u64) {
        self.cells.iter().fold((0, 0), |(seen, unseen), cell| {
            (seen + u64::from(cell.track.attempts), unseen + u64::from(cell.track.unseen))
        })
    }

    /// Takes a sighting. Those of flows and endpoints that are not of this stage are passed over.
    pub fn see(&mut self, sighting: &Sighting) {
        match sighting {
            Sighting::Tried { flow, first_number, count, first, last, left_within, slowest, outcome } => {
                let Some(place) = self.set.place(*flow) else { return };
                let cell = &mut self.cells[place];
                if cell.is_of_another(*last) {
                    return;
                }
                if cell.alarmed_by(outcome) && *last >= cell.starts && cell.counted != Counted::Lost {
                    self.latest_off = self.latest_off.max(*last);
                }
                let fate = Fate::Seen(outcome.clone());
                let (number, count) = (*first_number, (*count).max(1));
                let span = Span::new(number, count, *first, *last, *slowest, fate).left_within(*left_within);
                let rules = cell.own(&self.rules);
                cell.ledger.tried(span, &rules);
                self.enqueue(place);
            }
            Sighting::Persisted { flow, launched, ended, outcome } => {
                let Some(place) = self.set.place(*flow) else { return };
                self.persistent += 1;
                let cell = &mut self.cells[place];
                let leaks = cell.right == Some(Verdict::Denied) && *outcome == Outcome::Refused { how: Refusal::Reset };
                if *ended < cell.starts || cell.is_of_another(*launched) {
                    return;
                }
                if !(cell.alarmed_by(outcome) || leaks) {
                    if *outcome == Outcome::Silent && cell.right == Some(Verdict::Denied) {
                        cell.persisted.unanswered(*launched, *ended);
                        self.enqueue(place);
                    }
                    return;
                }
                let someone_else = matches!(outcome, Outcome::SomeoneElse { .. });
                let call = if someone_else { Call::WrongServer } else { Call::Leak };
                let windows = cell.spells().len();
                cell.persisted.through(*launched, *ended, call);
                // Those that follow in the same window are no news.
                let opened = cell.spells().len() > windows;
                if cell.counted != Counted::Lost {
                    self.latest_off = self.latest_off.max(*ended);
                }
                if self.converged.is_some() && opened {
                    self.news.push((*flow, call, Turn::Opened));
                }
            }
            Sighting::Delivered { flow, first_number, count, first, last } => {
                let Some(place) = self.set.place(*flow) else { return };
                let cell = &mut self.cells[place];
                if last.plus(self.rules.deadline) < cell.starts || cell.is_of_another(*last) {
                    return;
                }
                let count = (*count).max(1);
                cell.ledger.delivered(*first_number, count, *first, (*last).max(*first));
                if cell.doubted(*first_number, count) {
                    cell.correct(&self.ends, &self.rules);
                }
                if cell.right == Some(Verdict::Denied) && *last >= cell.starts && cell.counted != Counted::Lost {
                    self.latest_off = self.latest_off.max(*last);
                }
                self.enqueue(place);
            }
            Sighting::Complete { endpoint, until, arrived } => {
                // The outcome of what was launched up to `until` came at the latest a deadline after that.
                let (endpoint, arrived) = (*endpoint, *arrived);
                let until = until.plus(self.rules.deadline).min(arrived);
                self.see_agent(&Sighting::Complete { endpoint, until, arrived });
            }
            Sighting::SelfDialled { .. } | Sighting::Blind { .. } | Sighting::Lost { .. } => self.see_agent(sighting),
            Sighting::Counted { endpoint, from, until, moved } => {
                self.drop_counts.see(*endpoint, (*from, *until), moved);
            }
        }
    }

    fn see_agent(&mut self, sighting: &Sighting) {
        if let Some(blinded) = self.ends.see(sighting) {
            // Told late: silences counted already may be worth nothing.
            for cell in self.cells.iter_mut().filter(|cell| cell.pair.has(blinded)) {
                cell.correct(&self.ends, &self.rules);
            }
            self.recount();
        }
        if let Sighting::Lost { endpoint, .. } = sighting {
            for place in 0..self.cells.len() {
                if self.cells[place].pair.has(*endpoint) {
                    self.enqueue(place);
                }
            }
        }
    }

    fn enqueue(&mut self, place: usize) {
        let cell = &mut self.cells[place];
        if cell.queued == Queued::No {
            cell.queued = Queued::Yes;
            self.queue.push(place);
        }
    }

    /// How the stage stands at `now`. Costs little when little came in; meant to be asked every ten milliseconds or so.
    pub fn standing(&mut self, now: Moment) -> Standing {
        self.settle_everything();
        let known = self.known();
        if let Some(known) = known {
            self.ends.forget(known.minus(self.rules.memory()));
            if self.converged.is_none() {
                self.try_convergence(known, now);
            }
        }
        Standing {
            right: self.right,
            of: self.waiting,
            lost: self.lost,
            known: known.unwrap_or_default(),
            last_off: Some(self.latest_off).filter(|off| *off > Moment(0)),
            converged: self.converged,
        }
    }

    /// Settles what can be settled, in every cell that has something to settle.
    fn settle_everything(&mut self) {
        let mut queue = std::mem::take(&mut self.queue);
        queue.retain(|place| {
            self.look_through(*place);
            let waits = self.cells[*place].waits();
            self.cells[*place].queued = if waits { Queued::Yes } else { Queued::No };
            waits
        });
        self.queue = queue;
    }

    /// Windows that opened or closed after convergence since this was asked last.
    pub fn news(&mut self) -> Vec<(NamedFlow, Call, Turn)> {
        let news = std::mem::take(&mut self.news);
        let flow = |id| self.set.table().get(id).map(|flow| self.who.named(flow));
        news.into_iter().filter_map(|(id, call, turn)| flow(id).map(|flow| (flow, call, turn))).collect()
    }

    fn look_through(&mut self, place: usize) {
        let cell = &mut self.cells[place];
        let (opened, shut, long_shut) = (cell.track.opened, cell.track.shut(), cell.persisted.shut());
        cell.settle(&self.ends, &self.rules, Tide::Open);
        if self.converged.is_some()
            && (cell.track.opened, cell.track.shut()) != (opened, shut)
            && let Some(id) = self.set.id(place)
        {
            for (spell, number) in cell.track.spells().zip(0..).skip(shut as usize) {
                if number >= opened {
                    self.news.push((id, spell.call, Turn::Opened));
                }
                if let Some(lasted) = spell.most() {
                    self.news.push((id, spell.call, Turn::Closed { lasted }));
                }
            }
        }
        let shut = cell.persisted.shut();
        if self.converged.is_some()
            && shut > long_shut
            && let Some(id) = self.set.id(place)
        {
            for spell in cell.spells().iter().filter(|spell| spell.is_of_long() && spell.right_after == shut) {
                if let Some(lasted) = spell.most() {
                    self.news.push((id, spell.call, Turn::Closed { lasted }));
                }
            }
        }
        self.count(place);
    }

    /// Brings the sums up to date with one cell.
    fn count(&mut self, place: usize) {
        let cell = &mut self.cells[place];
        let lost = self.ends.lost(cell.pair.source).is_some() || self.ends.lost(cell.pair.destination).is_some();
        let counted = match (cell.right, lost) {
            (None, _) => Counted::Unjudged,
            (Some(_), _) if cell.unsupported() => Counted::Unsupported,
            (Some(_), true) => Counted::Lost,
            (Some(_), false) if cell.track.stands(self.rules.quorum()) => Counted::Right,
            (Some(_), false) => Counted::Waiting,
        };
        if matches!(counted, Counted::Right | Counted::Waiting) {
            self.latest_off = self.latest_off.max(cell.track.last_off.unwrap_or_default());
        }
        let before = std::mem::replace(&mut cell.counted, counted);
        for (kind, step) in [(before, -1), (counted, 1)] {
            match kind {
                Counted::Right => {
                    self.right = self.right.saturating_add_signed(step);
                    self.waiting = self.waiting.saturating_add_signed(step);
                }
                Counted::Waiting => self.waiting = self.waiting.saturating_add_signed(step),
                Counted::Lost => self.lost = self.lost.saturating_add_signed(step),
                Counted::Unjudged | Counted::Unsupported => {}
            }
        }
    }

    fn recount(&mut self) {
        for place in 0..self.cells.len() {
            self.count(place);
        }
    }
}
