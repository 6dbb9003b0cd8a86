//! Carries out a plan: makes each cell's attempts when their turn comes.

use std::cell::{Cell, RefCell};
use std::collections::{HashSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use tokio::task::{JoinHandle, spawn_local};
use tokio::time::sleep;

use crate::clock;
use crate::model::moment::Moment;
use crate::model::observation::Outcome;
use crate::model::port::Protocol;
use crate::wire::{Lane, MAX_CELLS, Plan};

use super::attempt::Patience;
use super::drops::count;
use super::launcher::{Launcher, Target};
use super::ledger::Kind;
use super::persist::{Persevering, persist};
use super::retry::Course;
use super::state::{LONGEST_FLUSH, RAREST_FLUSH, SHORTEST_FLUSH, State};
use super::turns::Turns;

/// So many launches at a stretch; then listeners and pending attempts get their turn.
const STRETCH: u32 = 32;

/// The most attempts a turn may have.
const MAX_ATTEMPTS: u32 = 64;

/// A plan under way; dropping it ends the turns, not the attempts that are pending.
#[derive(Debug)]
pub struct Carried {
    /// The plan's id.
    pub id: u64,
    /// The start of its first interval.
    pub start: Moment,
    /// How often the agent dials itself, and for how long; none if never.
    pub self_dial: Duration,
    /// How long to wait for outcomes.
    pub patience: Patience,
    /// When the plan ends by itself.
    pub until: Moment,
    turns: JoinHandle<()>,
    persist: Option<JoinHandle<()>>,
    count: Option<JoinHandle<()>>,
}

impl Drop for Carried {
    fn drop(&mut self) {
        self.turns.abort();
        self.persist.iter().chain(&self.count).for_each(JoinHandle::abort);
    }
}

/// Why a plan is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unplannable {
    /// Too many cells.
    #[error("the plan has {0} cells, more than {MAX_CELLS}")]
    Cells(usize),
    /// No attempts, or too many.
    #[error("{0} attempts in a turn are not between 1 and {MAX_ATTEMPTS}")]
    Attempts(u32),
    /// A time of zero.
    #[error("interval, deadline and self-dial must be longer than nothing")]
    Zero,
    /// A cell twice.
    #[error("cell {0} is planned twice")]
    Double(u32),
    /// A cell number that is none.
    #[error("{0} is not a cell's number")]
    NoCell(u32),
    /// More cells over all plans than an agent counts attempts of.
    #[error("more cells than the agent can keep count of")]
    Forgetful,
}

/// A further attempt of a turn that has begun.
struct FollowUp {
    place: usize,
    due: Moment,
    left: u32,
    /// Set once an attempt of this turn was answered: none follows then.
    decided: Rc<Cell<Decided>>,
}

/// Whether any attempt of a turn was answered, by whoever and however. Silence is no answer, though its deadline may be
/// over before the last attempt was made, and neither is what could not be watched.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Decided {
    No,
    Yes,
}

/// Begins to carry out a plan.
///
/// # Errors
/// When the plan is out of bounds.
pub fn carry_out(state: &Rc<State>, mut plan: Plan) -> Result<Carried, Unplannable> {
    check(state, &plan)?;
    let start = clock::now();
    let interval = plan.interval;
    plan.cells.sort_by_key(|cell| cell.phase % interval);
    let phases = plan.cells.iter().map(|cell| cell.phase % interval).collect();
    // Most cells of a plan share their servers with others.
    let mut names: HashSet<Rc<[String]>> = HashSet::new();
    let targets: Vec<Target> = std::mem::take(&mut plan.cells)
        .into_iter()
        .map(|cell| {
            let expects = names.get(&*cell.expects).cloned().unwrap_or_else(|| {
                let expects: Rc<[String]> = cell.expects.as_slice().into();
                names.insert(Rc::clone(&expects));
                expects
            });
            let course = RefCell::new(cell.expected.map(Course::new));
            let (to, protocol) = (cell.to, cell.protocol);
            Target { cell: cell.cell, least_number: cell.first_number, to, protocol, expects, course }
        })
        .collect();
    let patience = Patience { deadline: Duration::from_nanos(plan.deadline), slack: Duration::from_nanos(plan.slack) };
    let until = start.plus(Duration::from_nanos(plan.expires));
    state.allow(plan.slack);
    let turns_in = Duration::from_nanos(interval);
    // Where turns are rare, so is news.
    let flush = turns_in.clamp(SHORTEST_FLUSH, LONGEST_FLUSH).max((turns_in / 10).min(RAREST_FLUSH));
    let (lane, id, self_dial) = (plan.lane, plan.id, Duration::from_nanos(plan.self_dial));
    state.flush.set(match lane {
        Lane::Main => flush,
        Lane::Side => flush.min(state.flush.get()),
    });
    state.ledger.borrow_mut().await_turn(lane, None);
    let persist = plan.persist.map(|wanted| {
        let persevering = wanted.cells.iter().filter_map(|cell| targets.iter().find(|target| target.cell == *cell));
        let persevering = persevering.filter(|target| target.protocol == Protocol::Tcp);
        let persevering = persevering.map(|target| Persevering {
            cell: target.cell,
            to: target.to,
            expects: Rc::clone(&target.expects),
        });
        let patience = Patience { deadline: Duration::from_nanos(wanted.deadline), slack: patience.slack };
        let every = Duration::from_nanos(wanted.every);
        spawn_local(persist(Rc::clone(state), persevering.collect(), every, patience, until))
    });
    let watched = targets.iter().any(|target| target.course.borrow().is_some());
    let count = watched.then(|| spawn_local(count(Rc::clone(state), until)));
    let dialer = Dialer {
        state: Rc::clone(state),
        lane,
        turns: Turns::new(start, Duration::from_nanos(interval), phases, plan.turns),
        follow_ups: VecDeque::new(),
        attempts: plan.attempts,
        spacing: patience.deadline / plan.attempts,
        launcher: Rc::new(Launcher { state: Rc::clone(state), targets, patience, bursts: Cell::new(0) }),
    };
    let turns = spawn_local(dialer.run(until));
    Ok(Carried { id, start, self_dial, patience, until, turns, persist, count })
}

fn check(state: &State, plan: &Plan) -> Result<(), Unplannable> {
    if plan.cells.len() > MAX_CELLS {
        return Err(Unplannable::Cells(plan.cells.len()));
    }
    if plan.attempts == 0 || plan.attempts > MAX_ATTEMPTS {
        return Err(Unplannable::Attempts(plan.attempts));
    }
    let long = plan.persist.as_ref().is_some_and(|persist| persist.every == 0 || persist.deadline == 0);
    if plan.interval == 0 || plan.deadline == 0 || plan.self_dial == 0 || long {
        return Err(Unplannable::Zero);
    }
    let numbers = state.numbers.borrow();
    let mut known = numbers.len();
    let mut met = HashSet::with_capacity(plan.cells.len());
    for planned in &plan.cells {
        if planned.cell == crate::wire::SELF_DIAL {
            return Err(Unplannable::NoCell(planned.cell));
        }
        if !met.insert(planned.cell) {
            return Err(Unplannable::Double(planned.cell));
        }
        known += usize::from(!numbers.contains_key(&planned.cell));
    }
    if known > 4 * MAX_CELLS { Err(Unplannable::Forgetful) } else { Ok(()) }
}

struct Dialer {
    state: Rc<State>,
    lane: Lane,
    turns: Turns,
    /// In order of time, since all have the same spacing.
    follow_ups: VecDeque<FollowUp>,
    attempts: u32,
    spacing: Duration,
    launcher: Rc<Launcher>,
}

impl Dialer {
    async fn run(mut self, until: Moment) {
        let mut stretch = 0;
        while let Some(due) = self.next_due().filter(|due| *due < until) {
            self.state.ledger.borrow_mut().await_turn(self.lane, Some(due));
            let now = clock::now();
            if due > now {
                sleep(due.since(now)).await;
                stretch = 0;
                continue;
            }
            let limit = now.minus(self.launcher.patience.slack).min(until);
            // What follows in a turn is spaced from what went before, so it may be late, but the turn is to be whole: half
            // of one is no evidence, and the next may be far.
            if self.follow_ups.front().is_some_and(|next| next.due <= due) {
                self.follow_up(now);
            } else if due < limit {
                self.miss_before(limit);
                continue;
            } else if let Some((place, _)) = self.turns.next() {
                self.turns.advance();
                self.begin_turn(place, now);
            }
            stretch += 1;
            if stretch >= STRETCH {
                stretch = 0;
                tokio::task::yield_now().await;
            }
        }
        self.state.ledger.borrow_mut().await_turn(self.lane, None);
    }

    fn next_due(&self) -> Option<Moment> {
        let turn = self.turns.next().map(|(_, due)| due);
        let follow_up = self.follow_ups.front().map(|next| next.due);
        [turn, follow_up].into_iter().flatten().min()
    }

    fn miss_before(&mut self, limit: Moment) {
        for missed in self.turns.skip_before(limit) {
            self.miss(missed.place, missed.count, missed.first, missed.last);
        }
    }

    fn miss(&self, place: usize, count: u32, first: Moment, last: Moment) {
        let target = &self.launcher.targets[place];
        let number = self.state.take_numbers(target.cell, target.least_number, count);
        self.state.ledger.borrow_mut().miss(target.cell, number, count, first, last);
    }

    fn begin_turn(&mut self, place: usize, now: Moment) {
        if self.attempts == 1 {
            self.launch(place, None);
            return;
        }
        let decided = Rc::new(Cell::new(Decided::No));
        self.launch(place, Some(&decided));
        let due = now.plus(self.spacing);
        self.follow_ups.push_back(FollowUp { place, due, left: self.attempts - 1, decided });
    }

    fn follow_up(&mut self, now: Moment) {
        let Some(next) = self.follow_ups.pop_front() else { return };
        if next.decided.get() == Decided::Yes {
            return;
        }
        self.launch(next.place, Some(&next.decided));
        if next.left > 1 {
            self.follow_ups.push_back(FollowUp { due: now.plus(self.spacing), left: next.left - 1, ..next });
        }
    }

    fn launch(&self, place: usize, decided: Option<&Rc<Cell<Decided>>>) {
        let decided = decided.cloned();
        let told = move |outcome: &Outcome| {
            if let Some(decided) = decided.as_ref().filter(|_| is_answer(outcome)) {
                decided.set(Decided::Yes);
            }
        };
        self.launcher.launch(place, Kind::Turn, told);
    }
}

/// Whether an outcome is anybody's answer.
fn is_answer(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Silent | Outcome::Failed { .. } => false,
        Outcome::Reached
        | Outcome::HalfOpen
        | Outcome::SomeoneElse { .. }
        | Outcome::Translated { .. }
        | Outcome::Refused { .. }
        | Outcome::Unreachable { .. }
        | Outcome::Unsupported { .. } => true,
    }
}
