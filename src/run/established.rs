//! Connections that are opened before and held open: which, and what became of each.

use std::time::Duration;

use crate::model::flow::{CellSet, Flow, FlowId, NamedFlow};
use crate::model::moment::Moment;
use crate::model::port::Protocol;
use crate::model::watch::{Established, Fate, Gap};
use crate::probe::Holding;
use crate::wire::HeldEnd;

/// So many are held at most: more would be another load, and tell little more.
pub(super) const MOST: usize = 256;
/// Messages go no more often than this.
const FASTEST: Duration = Duration::from_millis(100);
/// What one lost packet costs at least: the kernel waits so long before it repeats it.
const REPEAT: Duration = Duration::from_millis(200);

/// Whether connections are held open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// One for every allowed TCP flow.
    All,
    /// None.
    None,
}

/// The TCP flows among the cells that `wanted` keeps: all of them, or so many evenly chosen; and how many there are.
pub(super) fn choose(cells: &CellSet, mut wanted: impl FnMut(FlowId, &Flow) -> bool) -> (Vec<(FlowId, Flow)>, usize) {
    let tcp = cells.iter().filter(|(id, flow)| flow.port.protocol == Protocol::Tcp && wanted(*id, flow));
    let all: Vec<(FlowId, Flow)> = tcp.map(|(id, flow)| (id, *flow)).collect();
    let count = all.len();
    if count <= MOST {
        return (all, count);
    }
    ((0..MOST).map(|place| all[place * count / MOST]).collect(), count)
}

/// How often messages go where cells are tried so often.
pub(super) fn pace(interval: Duration) -> Duration {
    interval.max(FASTEST)
}

/// What is to be known of a connection besides what its ends saw.
pub(super) struct Case<'a> {
    pub(super) flow: NamedFlow,
    pub(super) holding: Holding,
    /// When the agent of either end could not see.
    pub(super) blind: &'a [(Moment, Moment)],
    /// How often messages went.
    pub(super) every: Duration,
    /// How long an attempt may be without an answer before it counts as silent: a connection that is held may as well.
    pub(super) deadline: Duration,
    /// The step that denies the flow, where one does.
    pub(super) denied_by: Option<&'a str>,
}

/// What became of one; `at` turns a moment into microseconds since the run's start.
pub(super) fn assess(case: Case<'_>, at: impl Fn(Moment) -> u64) -> Established {
    let Case { flow, holding, blind, every, deadline, denied_by } = case;
    let denied_by = denied_by.map(str::to_owned);
    let Some(source) = holding.source else {
        let fate = Fate::NotSeen { why: format!("the agent of {} does not answer", flow.from) };
        let (answered, lost, opened_us) = (0, 0, 0);
        let (longest_gap, unobserved_us, note) = (None, 0, None);
        return Established { flow, opened_us, fate, answered, lost, longest_gap, unobserved_us, denied_by, note };
    };
    let mut notes = Vec::new();
    let ended_there = holding.destination.as_ref().and_then(|served| served.end.as_ref());
    let long = |(from, until): &&(Moment, Moment)| until.since(*from) > every * 3 + REPEAT.max(deadline);
    let length = |(from, until): &(Moment, Moment)| until.since(*from);
    let silences: Vec<Silence> = source.gaps.iter().filter(long).map(|gap| Silence::of(*gap, blind)).collect();
    let patience = every * 3 + REPEAT.max(deadline);
    let stalled = silences.iter().filter_map(|silence| silence.stall(patience)).max_by_key(length);
    let unobserved = silences.iter().map(|silence| silence.unobserved).max().unwrap_or_default();
    if !unobserved.is_zero() {
        let ms = unobserved.as_millis();
        notes.push(format!("for {ms} ms of a silence the agent of one end could not see: not observed in that time"));
    }
    let fate = match (&source.end, source.opened) {
        (end, None) => {
            let why = end.as_ref().map_or("it was still being opened", |(_, how)| words(how));
            Fate::NotSeen { why: format!("it could not be opened: {why}") }
        }
        (Some((when, how)), Some(_)) => {
            Fate::Ended { at_us: at(*when), how: words(how).to_owned(), by: by_whom(&flow, how, ended_there) }
        }
        (None, Some(_)) => {
            if let Some((when, how)) = ended_there {
                notes.push(format!("{} saw it end at {} ms: {}", flow.to, at(*when) / 1000, words(how)));
            }
            if stalled.is_some() { Fate::Stalled } else { Fate::Survived }
        }
    };
    if let (Some(step), Fate::Survived | Fate::Stalled) = (&denied_by, &fate) {
        notes.push(format!("`{step}` denies this flow, and does not cut what was established before: as documented"));
    }
    let longest = stalled.or_else(|| source.gaps.iter().copied().max_by_key(length));
    Established {
        flow,
        opened_us: source.opened.map(&at).unwrap_or_default(),
        fate,
        answered: source.answered,
        lost: source.sent.saturating_sub(source.answered),
        longest_gap: longest.map(|(from, until)| Gap { from_us: at(from), until_us: at(until) }),
        unobserved_us: super::assemble::micros(unobserved),
        denied_by,
        note: (!notes.is_empty()).then(|| notes.join("; ")),
    }
}

/// A time without an answer, parted by what the agents of both ends could observe of it.
struct Silence {
    /// What was observed of it, each with how long nobody could observe just before.
    observed: Vec<((Moment, Moment), Duration)>,
    /// How long it was not observed.
    unobserved: Duration,
}

impl Silence {
    fn of((from, until): (Moment, Moment), blind: &[(Moment, Moment)]) -> Self {
        let clipped = blind.iter().map(|(a, b)| ((*a).max(from), (*b).min(until))).filter(|(a, b)| a < b);
        let mut blind: Vec<(Moment, Moment)> = clipped.collect();
        blind.sort_unstable();
        let (mut observed, mut unobserved) = (Vec::new(), Duration::ZERO);
        let (mut seen_to, mut before) = (from, Duration::ZERO);
        for (a, b) in blind {
            if a > seen_to {
                observed.push(((seen_to, a), before));
                before = Duration::ZERO;
            }
            let more = b.since(a.max(seen_to));
            unobserved += more;
            before += more;
            seen_to = seen_to.max(b);
        }
        if until > seen_to {
            observed.push(((seen_to, until), before));
        }
        Self { observed, unobserved }
    }

    /// The longest part that was observed and is longer than a connection may be silent. The kernel doubles the time between
    /// its repeats: after a time that nobody could observe it may wait for as long again.
    fn stall(&self, patience: Duration) -> Option<(Moment, Moment)> {
        let too_long =
            |((from, until), before): &&((Moment, Moment), Duration)| until.since(*from) > patience + *before;
        self.observed.iter().filter(too_long).map(|(part, _)| *part).max_by_key(|(from, until)| until.since(*from))
    }
}

fn words(how: &HeldEnd) -> &str {
    match how {
        HeldEnd::Reset => "reset",
        HeldEnd::Closed => "closed",
        HeldEnd::TimedOut => "timed out",
        HeldEnd::Other(what) => what,
    }
}

/// Who ended it, from what its source and its destination saw.
fn by_whom(flow: &NamedFlow, source: &HeldEnd, destination: Option<&(Moment, HeldEnd)>) -> String {
    let (from, to) = (&flow.from, &flow.to);
    match (source, destination.map(|(_, how)| how)) {
        (HeldEnd::TimedOut, _) => format!("nobody: {from} gave up waiting"),
        (_, None) => format!("the network: {to} did not end it"),
        (_, Some(HeldEnd::Reset | HeldEnd::Closed)) => format!("the network: {to} saw it end too"),
        (_, Some(HeldEnd::TimedOut | HeldEnd::Other(_))) => format!("{to}, or its node"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::endpoint::Family;
    use crate::wire::{HeldReport, ServedReport};

    fn at(ms: u64) -> Moment {
        Moment(ms * 1_000_000)
    }

    fn flow() -> NamedFlow {
        NamedFlow { from: "a".into(), to: "b".into(), family: Family::V4, port: "80/tcp".parse().unwrap() }
    }

    fn source(gaps: &[(u64, u64)], end: Option<(u64, HeldEnd)>) -> HeldReport {
        HeldReport {
            cell: 1,
            opened: Some(at(100)),
            sent: 50,
            answered: 48,
            gaps: gaps.iter().map(|(from, until)| (at(*from), at(*until))).collect(),
            end: end.map(|(when, how)| (at(when), how)),
        }
    }

    fn judge(source: Option<HeldReport>, end: Option<(u64, HeldEnd)>, blind: &[(u64, u64)]) -> Established {
        let end = end.map(|(when, how)| (at(when), how));
        let holding = Holding { flow: FlowId(1), source, destination: Some(ServedReport { cell: 1, heard: 50, end }) };
        let blind: Vec<_> = blind.iter().map(|(from, until)| (at(*from), at(*until))).collect();
        let every = Duration::from_millis(100);
        assess(Case { flow: flow(), holding, blind: &blind, every, deadline: REPEAT, denied_by: None }, |at| {
            at.0 / 1000
        })
    }

    #[test]
    fn what_both_ends_saw_makes_the_fate() {
        let survived = judge(Some(source(&[(4900, 5000)], None)), None, &[]);
        assert_eq!((survived.fate, survived.lost), (Fate::Survived, 2));
        let stalled = judge(Some(source(&[(1000, 2600), (4900, 5000)], None)), None, &[]);
        assert_eq!(stalled.fate, Fate::Stalled);
        assert_eq!(stalled.longest_gap, Some(Gap { from_us: 1_000_000, until_us: 2_600_000 }));
        let blind = judge(Some(source(&[(1000, 2600)], None)), None, &[(1100, 2500)]);
        assert_eq!((blind.fate, blind.unobserved_us), (Fate::Survived, 1_400_000), "what nobody could see is no stall");
        assert!(blind.note.unwrap().contains("could not see"));
        assert!(matches!(judge(None, None, &[]).fate, Fate::NotSeen { .. }));
        let never = HeldReport { opened: None, ..source(&[], Some((900, HeldEnd::Reset))) };
        assert!(matches!(judge(Some(never), None, &[]).fate, Fate::NotSeen { .. }));
        let reset = source(&[], Some((900, HeldEnd::Reset)));
        for (seen_there, by, why) in [
            (None, "the network: b did not end it", "the destination has it open"),
            (Some((901, HeldEnd::Reset)), "the network: b saw it end too", "both ends were reset"),
            (Some((901, HeldEnd::Other("x".into()))), "b, or its node", "the destination failed"),
        ] {
            let fate = judge(Some(reset.clone()), seen_there, &[]).fate;
            assert_eq!(fate, Fate::Ended { at_us: 900_000, how: "reset".into(), by: by.into() }, "{why}");
        }
    }

    #[test]
    fn a_silence_is_a_stall_only_where_it_was_observed() {
        // A silence from 1,000 ms on, until when, what nobody could observe of it, and from and until when it is a stall.
        type Blind = &'static [(u64, u64)];
        type Row = (u64, Blind, Option<(u64, u64)>, u64, &'static str);
        let table: [Row; 5] = [
            (4000, &[(1100, 1200)], Some((1200, 4000)), 100, "a blink of an agent excuses no more than itself"),
            (4000, &[(1100, 3900)], None, 2800, "all of it"),
            (4000, &[(1100, 2600), (2500, 3500)], None, 2400, "spans that overlap count once"),
            (4000, &[(3000, 3900)], Some((1000, 3000)), 900, "it had stalled before"),
            (3800, &[(900, 2200)], None, 1200, "the kernel waits for as long again before it repeats"),
        ];
        for (until, blind, stall, unobserved, why) in table {
            let told = judge(Some(source(&[(1000, until)], None)), None, blind);
            let gap = stall.map(|(from, until)| Gap { from_us: from * 1000, until_us: until * 1000 });
            let found = told.longest_gap.filter(|_| told.fate == Fate::Stalled);
            assert_eq!((found, told.unobserved_us), (gap, unobserved * 1000), "{why}");
        }
    }

    #[test]
    fn a_gap_no_longer_than_an_attempt_may_be_silent_is_no_stall() {
        let every = Duration::from_millis(100);
        for (until, fate) in [(2300, Fate::Survived), (2301, Fate::Stalled)] {
            let source = Some(source(&[(1000, until)], None));
            let holding = Holding { flow: FlowId(1), source, destination: None };
            let deadline = Duration::from_secs(1);
            let case = Case { flow: flow(), holding, blind: &[], every, deadline, denied_by: None };
            assert_eq!(assess(case, |at| at.0 / 1000).fate, fate, "three messages and a deadline: until {until} ms");
        }
    }

    #[test]
    fn a_denial_that_comes_later_is_said_not_to_cut() {
        let holding = Holding { flow: FlowId(1), source: Some(source(&[], None)), destination: None };
        let every = Duration::from_millis(100);
        let case =
            Case { flow: flow(), holding, blind: &[], every, deadline: REPEAT, denied_by: Some("close the door") };
        let told = assess(case, |_| 0);
        assert_eq!((told.fate, told.denied_by.as_deref()), (Fate::Survived, Some("close the door")));
        assert!(told.note.unwrap().contains("as documented"));
    }
}
