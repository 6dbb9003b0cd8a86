//! One cell's attempts, from both ends' records: joined, in order of number, each with its fate.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::endpoint::EndpointId;
use crate::model::moment::Moment;
use crate::model::observation::Outcome;

use super::ends::Ends;
use super::rules::Rules;
use super::span::{Fate, Heard, Span, Unseen};

/// Numbers that arrived at the destination.
#[derive(Debug, Clone, Copy)]
struct Arrived {
    from: u64,
    to: u64,
    first: Moment,
    last: Moment,
}

/// Who is at the two ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pair {
    pub(super) source: EndpointId,
    pub(super) destination: EndpointId,
}

impl Pair {
    /// Whether an endpoint is one of the two.
    pub(super) fn has(self, id: EndpointId) -> bool {
        self.source == id || self.destination == id
    }
}

/// The join.
#[derive(Debug, Clone, Default)]
pub(super) struct Ledger {
    /// By first number: what the source said and is not settled yet. Their fate is always `Seen`.
    pending: BTreeMap<u32, Span>,
    /// The next number to settle; none before the first is known.
    next: Option<u64>,
    /// Launch of the last settled attempt.
    last: Moment,
    /// In order of number, not overlapping.
    arrived: Vec<Arrived>,
}

/// Whether more may still come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tide {
    /// Wait for records that are still to come.
    Open,
    /// Nothing more will come: what is not confirmed by now never will be.
    Out,
}

impl Ledger {
    /// Takes the source's record. Attempts launched before the stage began are only remembered by number.
    pub(super) fn tried(&mut self, span: Span, rules: &Rules) {
        let early = span.before(rules.sent);
        if early > 0 && self.pending.is_empty() {
            let next = u64::from(span.number) + u64::from(early);
            self.next = Some(self.next.map_or(next, |known| known.max(next)));
        }
        let Some(span) = span.slice(early, span.count) else { return };
        let known = self.pending.get(&span.number).map_or(0, |old| old.count);
        if span.count > known {
            self.pending.insert(span.number, span);
        }
    }

    /// Takes the destination's record.
    pub(super) fn delivered(&mut self, number: u32, count: u32, first: Moment, last: Moment) {
        let mut new = Arrived { from: u64::from(number), to: u64::from(number) + u64::from(count), first, last };
        let at = self.arrived.partition_point(|old| old.to < new.from);
        let mut until = at;
        while let Some(old) = self.arrived.get(until).filter(|old| old.from <= new.to) {
            new.from = new.from.min(old.from);
            new.to = new.to.max(old.to);
            new.first = new.first.min(old.first);
            new.last = new.last.max(old.last);
            until += 1;
        }
        self.arrived.splice(at..until, [new]);
    }

    /// Whether anything waits to be settled.
    pub(super) fn waits(&self) -> bool {
        !self.pending.is_empty()
            || self.next.is_some_and(|next| self.arrived.last().is_some_and(|arrived| arrived.to > next))
    }

    /// Forgets arrivals of attempts below `number`.
    pub(super) fn forget(&mut self, number: u32) {
        if self.arrived.first().is_some_and(|old| old.to <= u64::from(number)) {
            self.arrived.retain(|old| old.to > u64::from(number));
        }
    }

    /// Hands on, in order of number, every attempt whose fate is known.
    pub(super) fn settle(&mut self, pair: Pair, ends: &Ends, rules: &Rules, tide: Tide, mut out: impl FnMut(Span)) {
        while let Some((&key, front)) = self.pending.first_key_value() {
            let closed = |id, at: Moment| tide == Tide::Out || ends.closed(id, at.plus(rules.deadline));
            let next = self.next.unwrap_or(u64::from(front.number));
            if front.end() <= next {
                self.pending.remove(&key);
                continue;
            }
            let told_before = next < u64::from(front.number) || self.next.is_none();
            if told_before && !closed(pair.source, front.first) {
                // A lower number may still come.
                return;
            }
            if u64::from(front.number) > next {
                let gap = self.gap(next, u64::from(front.number), self.last.max(rules.sent), front.first);
                self.next = Some(u64::from(front.number));
                self.join(gap, pair, ends, rules, &mut out);
                continue;
            }
            let both_closed = closed(pair.source, front.last) && closed(pair.destination, front.last);
            if !front.arrived() && !both_closed {
                return;
            }
            let Some(front) = self.pending.remove(&key) else { return };
            let skip = u32::try_from(next.saturating_sub(u64::from(front.number))).unwrap_or(u32::MAX);
            if let Some(span) = front.slice(skip, front.count) {
                self.next = Some(span.end());
                self.last = self.last.max(span.last);
                self.join(span, pair, ends, rules, &mut out);
            }
        }
        if tide == Tide::Out {
            self.settle_orphans(rules, &mut out);
        }
    }

    /// Attempts whose source has not told of them, and by now never will, but which arrived. Left to the very end:
    /// their launches are known only from the outermost arrivals of a row, which grows as long as more come.
    fn settle_orphans(&mut self, rules: &Rules, out: &mut impl FnMut(Span)) {
        // Without a number to start from, those whose arrival lies in this stage belong to it.
        let next = self.next.unwrap_or(0);
        let belongs = |arrived: &&Arrived| arrived.to > next && arrived.last >= rules.sent;
        let orphans: Vec<Arrived> = self.arrived.iter().filter(belongs).copied().collect();
        for orphan in orphans {
            let number = u32::try_from(orphan.from).unwrap_or(u32::MAX);
            let count = u32::try_from(orphan.to - orphan.from).unwrap_or(u32::MAX);
            let all =
                Span::new(number, count, orphan.first, orphan.last, Duration::ZERO, Fate::Delivered(Heard::Unknown));
            let known = u32::try_from(next.saturating_sub(orphan.from)).unwrap_or(u32::MAX);
            self.next = Some(orphan.to);
            self.last = self.last.max(orphan.last);
            all.slice(known, count).into_iter().for_each(&mut *out);
        }
    }

    fn gap(&self, from: u64, to: u64, after: Moment, before: Moment) -> Span {
        let count = u32::try_from(to - from).unwrap_or(u32::MAX);
        let number = u32::try_from(from).unwrap_or(u32::MAX);
        // They lie between their neighbours, as evenly as those.
        let after = after.min(before);
        let step = Duration::from_nanos((before.0 - after.0) / (u64::from(count) + 1));
        let (first, last) = (after.plus(step), before.minus(step));
        Span::new(number, count, first, last, Duration::ZERO, Fate::Unseen(Unseen::Gap))
    }

    /// Cuts a span where its attempts' fates differ: at arrivals, at blindness, at the end of what was told. Also used
    /// on spans settled before, when late news touches them.
    pub(super) fn join(&self, span: Span, pair: Pair, ends: &Ends, rules: &Rules, out: &mut impl FnMut(Span)) {
        if span.arrived() {
            out(span);
            return;
        }
        let silent = span.fate == Fate::Seen(Outcome::Silent);
        let mut cuts = vec![0, span.count];
        for arrived in &self.arrived {
            for edge in [arrived.from, arrived.to] {
                cuts.push(place(edge, &span));
            }
        }
        // Only the outermost launches of a record are exact; the others are right to within one interval.
        let slop = if span.estimated() { rules.interval } else { Duration::ZERO };
        let life = rules.deadline.saturating_add(slop);
        if silent {
            for id in [pair.source, pair.destination] {
                for blind in ends.blind(id, span.first.minus(slop), span.last.plus(life)) {
                    cuts.push(span.before(blind.from.minus(life)));
                    cuts.push(span.before(Moment(blind.until.plus(slop).0.saturating_add(1))));
                }
                let told = ends.complete(id);
                cuts.push(span.before(Moment(told.minus(rules.deadline).0.saturating_add(1))));
            }
        }
        cuts.sort_unstable();
        cuts.dedup();
        for edges in cuts.windows(2) {
            let &[from, to] = edges else { continue };
            let Some(mut piece) = span.slice(from, to) else { continue };
            let number = u64::from(piece.number);
            if self.arrived.iter().any(|arrived| arrived.from <= number && number < arrived.to) {
                piece.fate = Fate::Delivered(heard(&piece.fate));
            } else if silent && let Some(why) = unseen(&piece, pair, ends, rules, slop) {
                piece.fate = Fate::Unseen(why);
            } else if let Fate::Seen(Outcome::Failed { why }) = &piece.fate {
                piece.fate = Fate::Unseen(Unseen::Failed(why.clone()));
            }
            out(piece);
        }
    }
}

/// The place in a span of an attempt's number, held within it.
fn place(number: u64, span: &Span) -> u32 {
    u32::try_from(number.saturating_sub(u64::from(span.number))).unwrap_or(u32::MAX).min(span.count)
}

/// What the source heard of an attempt that arrived, by its own word on it.
fn heard(word: &Fate) -> Heard {
    match word {
        Fate::Seen(Outcome::Silent | Outcome::Refused { .. } | Outcome::Unreachable { .. }) => Heard::Nothing,
        Fate::Seen(
            Outcome::Reached
            | Outcome::HalfOpen
            | Outcome::SomeoneElse { .. }
            | Outcome::Translated { .. }
            | Outcome::Unsupported { .. }
            | Outcome::Failed { .. },
        )
        | Fate::Unseen(_) => Heard::Unknown,
        Fate::Delivered(heard) => *heard,
    }
}

/// Why the silence of these attempts proves nothing; none if it does prove something.
fn unseen(piece: &Span, pair: Pair, ends: &Ends, rules: &Rules, slop: Duration) -> Option<Unseen> {
    let over = piece.last.plus(rules.deadline);
    for id in [pair.source, pair.destination] {
        if let Some(blind) = ends.blind(id, piece.first.minus(slop), over.plus(slop)).next() {
            return Some(Unseen::Blind(id, blind.why));
        }
    }
    for id in [pair.source, pair.destination] {
        if ends.complete(id) < over {
            let lost = ends.lost(id).is_some();
            return Some(if lost { Unseen::Lost(id) } else { Unseen::Untold(id) });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::script::{MS, Script, at};
    use super::*;
    use crate::model::observation::{Blindness, Sighting};

    fn silent(number: u32, count: u32, first: u64, last: u64) -> Span {
        Span::new(number, count, at(first), at(last), 100 * MS, Fate::Seen(Outcome::Silent))
    }

    #[test]
    fn a_span_counts_and_cuts_by_launch() {
        // Launches at 1,000, 1,020, ... 1,080 ms.
        let span = silent(7, 5, 1000, 1080);
        let table = [
            (999, 0, "before the first"),
            (1000, 0, "the first itself"),
            (1001, 1, "behind the first"),
            (1040, 2, "the third itself"),
            (1041, 3, "behind the third"),
            (1080, 4, "the last itself"),
            (1081, 5, "behind the last"),
        ];
        for (when, expected, why) in table {
            assert_eq!(span.before(at(when)), expected, "{why}");
        }
        let shape = |span: Option<Span>| span.map(|span| (span.number, span.count, span.first, span.last));
        assert_eq!(shape(span.slice(1, 3)), Some((8, 2, at(1020), at(1040))), "two from the middle");
        assert_eq!(span.slice(0, 9), Some(span.clone()), "no more than there are");
        assert_eq!(span.slice(3, 3), None, "none");
        let once = silent(0, 3, 1000, 1000);
        assert_eq!((once.before(at(1000)), once.before(at(1001))), (0, 3), "all at one moment");
        // Launches at 0, 1/3, 2/3 and 1 ns of 10: thirds cannot be told exactly, and must be rounded alike.
        let thirds = Span::new(0, 4, Moment(0), Moment(10), MS, Fate::Delivered(Heard::Nothing));
        let twice = thirds.slice(0, 3).and_then(|span| span.slice(1, 3)).and_then(|span| span.slice(1, 2));
        assert_eq!(twice, thirds.slice(2, 3), "a piece of a piece is the same piece");
        assert_eq!(thirds.slice(1, 4).map(|span| span.before(Moment(6))), Some(1), "and knows its launches");
        let far = silent(u32::MAX, u32::MAX, 0, u64::MAX / 2_000_000);
        assert_eq!(far.slice(1, 2).map(|span| span.count), Some(1), "nothing overflows");
    }

    #[test]
    fn long_records_are_cut_where_fates_differ() {
        let script = Script::new(&["a", "s"]);
        let (source, destination) = (script.end("a"), script.end("s"));
        type News = fn(EndpointId, EndpointId) -> Vec<Sighting>;
        // Ten silent attempts, 20 ms apart from 1,000 ms on, deadline 100 ms, interval 20 ms. How many are silent,
        // delivered and unseen once this was heard of both ends?
        let all: News = |a, s| {
            vec![
                Sighting::Complete { endpoint: a, until: at(1280), arrived: at(1280) },
                Sighting::Complete { endpoint: s, until: at(1280), arrived: at(1280) },
            ]
        };
        let early: News = |a, s| {
            vec![
                Sighting::Complete { endpoint: a, until: at(1280), arrived: at(1280) },
                Sighting::Complete { endpoint: s, until: at(1150), arrived: at(1150) },
                Sighting::Lost { endpoint: s, since: at(1150), why: "killed".into() },
            ]
        };
        let dark: News = |a, s| {
            vec![
                Sighting::Blind { endpoint: s, from: at(1285), until: at(1290), why: Blindness::Starved },
                Sighting::Complete { endpoint: a, until: at(1300), arrived: at(1300) },
                Sighting::Complete { endpoint: s, until: at(1300), arrived: at(1300) },
            ]
        };
        let dark_before: News = |a, s| {
            vec![
                Sighting::Blind { endpoint: a, from: at(900), until: at(990), why: Blindness::Starved },
                Sighting::Complete { endpoint: a, until: at(1300), arrived: at(1300) },
                Sighting::Complete { endpoint: s, until: at(1300), arrived: at(1300) },
            ]
        };
        type Row = (News, Option<(u32, u32)>, [u32; 3], &'static str);
        let table: [Row; 6] = [
            (all, None, [10, 0, 0], "everything told, nothing arrived"),
            (all, Some((3, 2)), [8, 2, 0], "two arrived"),
            (early, None, [3, 0, 7], "the destination was lost: only those whose deadline it lived to see count"),
            (early, Some((9, 1)), [3, 1, 6], "but an arrival counts"),
            (dark, None, [9, 0, 1], "blind after the last deadline, but launches are known to an interval only"),
            (dark_before, None, [9, 0, 1], "and so at the other end"),
        ];
        for (news, arrived, expected, why) in table {
            let mut ends = Ends::new(2);
            for sighting in news(source, destination) {
                ends.see(&sighting);
            }
            let mut ledger = Ledger::default();
            ledger.tried(silent(0, 10, 1000, 1180), &script.rules);
            if let Some((number, count)) = arrived {
                ledger.delivered(number, count, at(1100), at(1100));
            }
            let mut sums = [0, 0, 0];
            let mut next = 0;
            ledger.settle(Pair { source, destination }, &ends, &script.rules, Tide::Open, |span| {
                assert_eq!(span.number, next, "{why}: in order, without gaps");
                next += span.count;
                sums[match span.fate {
                    Fate::Seen(_) => 0,
                    Fate::Delivered(_) => 1,
                    Fate::Unseen(_) => 2,
                }] += span.count;
            });
            assert_eq!(sums, expected, "{why}");
        }
    }

    #[test]
    fn attempts_launched_before_the_change_are_no_part_of_the_stage() {
        let script = Script::new(&["a", "s"]);
        let (source, destination) = (script.end("a"), script.end("s"));
        let mut ends = Ends::new(2);
        for endpoint in [source, destination] {
            ends.see(&Sighting::Complete { endpoint, until: at(2000), arrived: at(2000) });
        }
        let mut ledger = Ledger::default();
        ledger.tried(silent(5, 1, 940, 940), &script.rules);
        ledger.tried(silent(6, 4, 960, 1020), &script.rules);
        ledger.tried(silent(12, 1, 1080, 1080), &script.rules);
        let mut seen = Vec::new();
        ledger.settle(Pair { source, destination }, &ends, &script.rules, Tide::Open, |span| {
            seen.push((span.number, span.count, span.fate));
        });
        let silent = Fate::Seen(Outcome::Silent);
        assert_eq!(seen, [(8, 2, silent.clone()), (10, 2, Fate::Unseen(Unseen::Gap)), (12, 1, silent)]);
    }
}
