//! What the agent saw, on its way to becoming records: attempts in order of launch, joined to runs.
//!
//! Attempts wait in one queue in order of launch and leave it from the front, once their outcome is known. So all
//! attempts launched before the front are recorded, which is the `launched` watermark.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;

use crate::model::moment::Moment;
use crate::model::observation::{Blindness, Failure, Outcome};
use crate::model::port::Protocol;
use crate::wire::{Lane, Record};

use super::outbox::Outbox;
use super::run::Run;

/// The most cells of which a run of arrivals is kept open: more would be made up by somebody who knows the secret.
const MAX_OPEN: usize = 4 * crate::wire::MAX_CELLS;

/// Whether an attempt is one of a plan's turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It is: it comes an interval after the one before.
    Turn,
    /// It is made besides. Its record is its own: in one with others, launches would not lie evenly.
    Retry,
}

/// What an attempt was made on.
#[derive(Debug, Clone, PartialEq)]
pub enum Subject {
    /// A cell's attempt of this number.
    Cell {
        /// The cell.
        cell: u32,
        /// The number.
        number: u32,
        /// Whether it joins those before and after.
        kind: Kind,
    },
    /// The agent's own listener.
    Own {
        /// The address and port.
        to: SocketAddr,
        /// The protocol.
        protocol: Protocol,
    },
}

/// Names a launched attempt until it is settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket(u64);

/// An attempt, or several that share one fate, between launch and record.
#[derive(Debug)]
struct Launched {
    subject: Subject,
    count: u32,
    first: Moment,
    last: Moment,
    /// The packet had left by so long after the launch, in nanoseconds.
    left_within: u64,
    settled: Option<(Outcome, u64)>,
}

/// Everything seen and not yet acknowledged.
#[derive(Debug, Default)]
pub struct Ledger {
    queue: VecDeque<Launched>,
    /// The ticket of the queue's front.
    front: u64,
    /// When the next turn of each lane's plan is due: what is due before is in the queue or was.
    next_turn: BTreeMap<Lane, Moment>,
    tried: HashMap<u32, Run<Outcome>>,
    own: HashMap<(SocketAddr, Protocol), Run<Outcome>>,
    delivered: HashMap<u32, Run<()>>,
    outbox: Outbox,
    launched: Moment,
}

impl Ledger {
    /// Notes that an attempt was launched at `at`.
    pub fn launch(&mut self, subject: Subject, at: Moment) -> Ticket {
        self.queue.push_back(Launched { subject, count: 1, first: at, last: at, left_within: 0, settled: None });
        Ticket(self.front + self.queue.len() as u64 - 1)
    }

    /// Notes that the system call which sends its packet had returned by `at`.
    pub fn left(&mut self, ticket: Ticket, at: Moment) {
        if let Some(attempt) = self.waiting(ticket) {
            attempt.left_within = at.0.saturating_sub(attempt.first.0);
        }
    }

    /// Notes what became of it, known at `now`.
    pub fn settle(&mut self, ticket: Ticket, outcome: Outcome, now: Moment) {
        if let Some(attempt) = self.waiting(ticket) {
            let took = now.0.saturating_sub(attempt.first.0);
            attempt.settled.get_or_insert((outcome, took));
        }
        self.advance();
    }

    /// Notes turns of one cell that came and went: one attempt number each.
    pub fn miss(&mut self, cell: u32, number: u32, count: u32, first: Moment, last: Moment) {
        let settled = Some((Outcome::Failed { why: Failure::Missed }, 0));
        let subject = Subject::Cell { cell, number, kind: Kind::Turn };
        self.queue.push_back(Launched { subject, count, first, last, left_within: 0, settled });
        self.advance();
    }

    /// Says when the next turn of a lane's plan is due; none: no plan is under way there.
    pub fn await_turn(&mut self, lane: Lane, due: Option<Moment>) {
        match due {
            Some(due) => drop(self.next_turn.insert(lane, due)),
            None => drop(self.next_turn.remove(&lane)),
        }
    }

    /// Notes a long attempt, which stands in no queue: nothing waits for it.
    pub fn persist(&mut self, cell: u32, launched: Moment, ended: Moment, outcome: Outcome) {
        self.outbox.push(Record::Persisted { cell, launched, ended, outcome });
    }

    /// Notes what was counted between two readings: a [`Record::Counted`].
    pub fn counted(&mut self, record: Record) {
        self.outbox.push(record);
    }

    /// Notes that a nonce arrived.
    pub fn deliver(&mut self, cell: u32, number: u32, at: Moment) {
        if let Some(run) = self.delivered.get_mut(&cell) {
            if run.holds(number) || run.extend(&Run::new(number, at, ())) {
                return;
            }
        } else if self.delivered.len() >= MAX_OPEN {
            self.close_runs();
        }
        if let Some(old) = self.delivered.insert(cell, Run::new(number, at, ())) {
            self.outbox.push(delivered_record(cell, &old));
        }
    }

    /// Notes a span in which the agent could not see.
    pub fn blind(&mut self, from: Moment, until: Moment, why: Blindness) {
        self.outbox.push(Record::Blind { from, until, why });
    }

    /// Closes all runs, so that everything known has a number, and gives the watermark `launched`; `now` is the
    /// watermark of arrivals.
    pub fn close(&mut self, now: Moment) -> Moment {
        self.close_runs();
        self.outbox.own_up();
        let pending = self.queue.front().map(|oldest| oldest.first);
        let bound =
            pending.into_iter().chain(self.next_turn.values().copied()).map(|at| Moment(at.0.saturating_sub(1))).min();
        self.launched = self.launched.max(bound.unwrap_or(now).min(now));
        self.launched
    }

    /// Whether anything waits to get a number.
    pub fn has_open_runs(&self) -> bool {
        !(self.tried.is_empty() && self.own.is_empty() && self.delivered.is_empty())
    }

    /// The numbered records.
    pub fn outbox(&mut self) -> &mut Outbox {
        &mut self.outbox
    }

    /// How many attempts wait for their outcome, or for one launched before them.
    pub fn pending(&self) -> usize {
        self.queue.len()
    }

    fn waiting(&mut self, ticket: Ticket) -> Option<&mut Launched> {
        let place = ticket.0.checked_sub(self.front).and_then(|place| usize::try_from(place).ok());
        place.and_then(|place| self.queue.get_mut(place))
    }

    fn advance(&mut self) {
        while self.queue.front().is_some_and(|attempt| attempt.settled.is_some()) {
            self.front += 1;
            if let Some(Launched { subject, count, first, last, left_within, settled: Some((outcome, took)) }) =
                self.queue.pop_front()
            {
                let alone = matches!(subject, Subject::Cell { kind: Kind::Retry, .. });
                let run = |number| Run {
                    first_number: number,
                    count,
                    first,
                    last,
                    left_within,
                    slowest: took,
                    alone,
                    outcome,
                };
                self.enter(subject, run);
            }
        }
    }

    fn enter(&mut self, subject: Subject, run: impl FnOnce(u32) -> Run<Outcome>) {
        match subject {
            Subject::Cell { cell, number, kind: _ } => {
                if let Some(old) = join_or_replace(&mut self.tried, cell, run(number)) {
                    self.outbox.push(tried_record(cell, old));
                }
            }
            Subject::Own { to, protocol } => {
                // Self-dials have no numbers: every one follows on the last.
                let number = self.own.get(&(to, protocol)).map_or(0, Run::next);
                if let Some(old) = join_or_replace(&mut self.own, (to, protocol), run(number)) {
                    self.outbox.push(own_record(to, protocol, old));
                }
            }
        }
    }

    fn close_runs(&mut self) {
        for (cell, run) in self.tried.drain() {
            self.outbox.push(tried_record(cell, run));
        }
        for (cell, run) in self.delivered.drain() {
            self.outbox.push(delivered_record(cell, &run));
        }
        for ((to, protocol), run) in self.own.drain() {
            self.outbox.push(own_record(to, protocol, run));
        }
    }
}

/// Joins attempts to the open run they follow; where they do not, they begin a new one, and the old one is given back.
fn join_or_replace<K: Eq + std::hash::Hash>(
    open: &mut HashMap<K, Run<Outcome>>,
    of: K,
    new: Run<Outcome>,
) -> Option<Run<Outcome>> {
    if open.get_mut(&of).is_some_and(|run| run.extend(&new)) {
        return None;
    }
    open.insert(of, new)
}

fn tried_record(cell: u32, run: Run<Outcome>) -> Record {
    let Run { first_number, count, first, last, left_within, slowest, alone: _, outcome } = run;
    Record::Tried { cell, first_number, count, first, last, left_within, slowest, outcome }
}

fn delivered_record(cell: u32, run: &Run<()>) -> Record {
    Record::Delivered { cell, first_number: run.first_number, count: run.count, first: run.first, last: run.last }
}

fn own_record(to: SocketAddr, protocol: Protocol, run: Run<Outcome>) -> Record {
    Record::SelfDialled { to, protocol, first: run.first, last: run.last, count: run.count, outcome: run.outcome }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SILENT: Outcome = Outcome::Silent;
    const REACHED: Outcome = Outcome::Reached;

    fn cell(cell: u32, number: u32) -> Subject {
        Subject::Cell { cell, number, kind: Kind::Turn }
    }

    fn records(ledger: &mut Ledger) -> Vec<Record> {
        let mut records: Vec<Record> = ledger.outbox().from(0, usize::MAX).1.cloned().collect();
        records.sort_by_key(|record| match record {
            Record::Tried { first, .. } | Record::Delivered { first, .. } | Record::SelfDialled { first, .. } => *first,
            Record::Blind { from, .. } | Record::Counted { from, .. } => *from,
            Record::Persisted { launched, .. } => *launched,
        });
        records
    }

    fn tried(
        cell: u32,
        first_number: u32,
        count: u32,
        first: u64,
        last: u64,
        slowest: u64,
        outcome: Outcome,
    ) -> Record {
        let (first, last) = (Moment(first), Moment(last));
        Record::Tried { cell, first_number, count, first, last, left_within: 0, slowest, outcome }
    }

    #[test]
    fn by_when_packets_had_left_is_recorded_with_the_latest_of_a_run() {
        let mut ledger = Ledger::default();
        for (number, at, left) in [(0, 10, 11), (1, 20, 27), (2, 30, 32)] {
            let ticket = ledger.launch(cell(1, number), Moment(at));
            ledger.left(ticket, Moment(left));
            ledger.settle(ticket, SILENT, Moment(at + 100));
        }
        ledger.close(Moment(200));
        let [Record::Tried { count: 3, left_within, .. }] = records(&mut ledger)[..] else { panic!("one run") };
        assert_eq!(left_within, 7);
    }

    #[test]
    fn an_attempt_known_early_waits_for_those_launched_before_it() {
        let mut ledger = Ledger::default();
        let silent = ledger.launch(cell(1, 0), Moment(10));
        let reached = ledger.launch(cell(2, 0), Moment(20));
        ledger.settle(reached, REACHED, Moment(25));
        assert_eq!(ledger.close(Moment(30)), Moment(9), "the attempt of moment 10 is pending");
        assert_eq!(records(&mut ledger), []);
        ledger.settle(silent, SILENT, Moment(310));
        assert_eq!(ledger.close(Moment(311)), Moment(311));
        assert_eq!(records(&mut ledger), [tried(1, 0, 1, 10, 10, 300, SILENT), tried(2, 0, 1, 20, 20, 5, REACHED)]);
    }

    #[test]
    fn consecutive_attempts_with_one_outcome_are_one_record_until_it_is_numbered() {
        let mut ledger = Ledger::default();
        for number in 0..3 {
            let ticket = ledger.launch(cell(1, number), Moment(u64::from(number) * 10));
            ledger.settle(ticket, REACHED, Moment(u64::from(number) * 10 + 1));
        }
        ledger.close(Moment(100));
        let ticket = ledger.launch(cell(1, 3), Moment(110));
        ledger.settle(ticket, REACHED, Moment(112));
        ledger.close(Moment(120));
        assert_eq!(records(&mut ledger), [tried(1, 0, 3, 0, 20, 1, REACHED), tried(1, 3, 1, 110, 110, 2, REACHED)]);
    }

    #[test]
    fn a_retry_is_a_record_of_its_own() {
        let mut ledger = Ledger::default();
        let kinds = [Kind::Turn, Kind::Turn, Kind::Retry, Kind::Retry, Kind::Turn, Kind::Turn];
        for (number, (at, kind)) in (0..).zip([0, 100, 105, 110, 200, 300].into_iter().zip(kinds)) {
            let ticket = ledger.launch(Subject::Cell { cell: 1, number, kind }, Moment(at));
            ledger.settle(ticket, REACHED, Moment(at + 1));
        }
        ledger.close(Moment(400));
        let expected = [
            tried(1, 0, 2, 0, 100, 1, REACHED),
            tried(1, 2, 1, 105, 105, 1, REACHED),
            tried(1, 3, 1, 110, 110, 1, REACHED),
            tried(1, 4, 2, 200, 300, 1, REACHED),
        ];
        assert_eq!(records(&mut ledger), expected, "launches of one record lie evenly");
    }

    #[test]
    fn a_turn_that_is_due_holds_the_watermark_until_it_was_made_or_missed() {
        let mut ledger = Ledger::default();
        ledger.await_turn(Lane::Main, Some(Moment(50)));
        assert_eq!(ledger.close(Moment(40)), Moment(40), "not due yet");
        assert_eq!(ledger.close(Moment(2000)), Moment(49), "the process was stopped and has not noticed yet");
        ledger.miss(1, 0, 20, Moment(50), Moment(1950));
        ledger.await_turn(Lane::Main, Some(Moment(2010)));
        assert_eq!(ledger.close(Moment(2001)), Moment(2001));
        assert_eq!(records(&mut ledger), [tried(1, 0, 20, 50, 1950, 0, Outcome::Failed { why: Failure::Missed })]);
    }

    #[test]
    fn the_watermark_never_goes_back() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.close(Moment(100)), Moment(100));
        ledger.await_turn(Lane::Main, Some(Moment(20)));
        assert_eq!(ledger.close(Moment(110)), Moment(100));
    }

    #[test]
    fn arrivals_are_joined_doubles_ignored_and_stragglers_recorded() {
        let mut ledger = Ledger::default();
        for (number, at) in [(4, 1), (5, 2), (5, 3), (6, 4), (9, 5), (8, 6)] {
            ledger.deliver(7, number, Moment(at));
        }
        ledger.close(Moment(10));
        let got: Vec<(u32, u32)> = records(&mut ledger)
            .iter()
            .filter_map(|record| match record {
                Record::Delivered { first_number, count, .. } => Some((*first_number, *count)),
                Record::Tried { .. }
                | Record::SelfDialled { .. }
                | Record::Persisted { .. }
                | Record::Blind { .. }
                | Record::Counted { .. } => None,
            })
            .collect();
        assert_eq!(got, [(4, 3), (9, 1), (8, 1)]);
    }

    #[test]
    fn self_dials_are_joined_while_their_outcome_stays() {
        let to: SocketAddr = "10.0.0.1:80".parse().unwrap();
        let mut ledger = Ledger::default();
        for (at, outcome) in [(1, REACHED), (2, REACHED), (3, SILENT)] {
            let ticket = ledger.launch(Subject::Own { to, protocol: Protocol::Tcp }, Moment(at));
            ledger.settle(ticket, outcome, Moment(at + 1));
        }
        ledger.close(Moment(10));
        let dialled = |first, last, count, outcome| Record::SelfDialled {
            to,
            protocol: Protocol::Tcp,
            first: Moment(first),
            last: Moment(last),
            count,
            outcome,
        };
        assert_eq!(records(&mut ledger), [dialled(1, 2, 2, REACHED), dialled(3, 3, 1, SILENT)]);
    }
}
