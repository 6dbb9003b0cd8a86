//! When a flow is tried again at once: it is not as it is expected to be, and one attempt an interval says neither when
//! that ended nor whether more than one packet was lost.
//!
//! Pure: whoever makes the attempts ([`launcher`](super::launcher)) says what became of them. Retries are attempts like any
//! other, recorded and judged by the same rules; nothing that was seen is taken back by them.

use std::time::Duration;

use crate::model::moment::Moment;
use crate::model::observation::{Outcome, Refusal};
use crate::model::verdict::Verdict;

/// The pauses between the attempts of a burst. The first ones end the window of a single lost packet within 20 ms; then
/// they grow, so that a longer failure is seen as finely as its length asks for. All of them are 140 ms and twelve attempts:
/// a flow that stays wrong costs that once, and goes on at the plan's own pace.
pub const PAUSES: [Duration; 12] = {
    const SHORT: Duration = Duration::from_millis(5);
    const LONGER: Duration = Duration::from_millis(10);
    const LONG: Duration = Duration::from_millis(20);
    [SHORT, SHORT, SHORT, SHORT, LONGER, LONGER, LONGER, LONGER, LONG, LONG, LONG, LONG]
};

/// A burst ends when so many of its attempts in a row were right.
const RIGHT_IN_A_ROW: u32 = 3;

/// Between the beginnings of two bursts of a flow: one that changes to and fro is not tried all the time.
const REST: Duration = Duration::from_secs(1);

/// So many flows of one agent are tried rapidly at a time. Where a whole node fails, all of its flows are wrong at once, and
/// trying all of them rapidly would take the time of those who share the machine.
pub const FLOWS_AT_A_TIME: usize = 4;

/// An attempt is suspected when no answer came in so many times the longest time that one took lately,
const TIMES_THE_SLOWEST: u32 = 4;
/// though never sooner than this,
const SOONEST: Duration = Duration::from_millis(5);
/// and only once so many answers have shown how long they take. Before, an attempt counts by its deadline.
const ANSWERS_TO_KNOW: u32 = 4;

/// How a flow has fared against what is expected of it.
#[derive(Debug, Clone)]
pub struct Course {
    expected: Verdict,
    answers: u32,
    /// The longest that an answer took lately.
    slowest: Duration,
    burst: Option<Burst>,
    /// When the last burst began.
    last_burst: Option<Moment>,
    /// Launch of the last attempt that was right.
    last_right: Option<Moment>,
    /// Whether it was right since the last burst. What never was is not tried rapidly.
    was_right: bool,
}

#[derive(Debug, Clone, Copy)]
struct Burst {
    began: Moment,
    right: u32,
}

/// What is to be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Next {
    /// Nothing.
    Nothing,
    /// A burst may begin: see [`Course::begin`].
    TryAgain,
}

/// What an outcome is, held against what is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bearing {
    Right,
    Wrong,
    /// It says nothing of the network.
    Neither,
}

impl Course {
    /// Of a flow of which this is expected.
    pub fn new(expected: Verdict) -> Self {
        Self {
            expected,
            answers: 0,
            slowest: Duration::ZERO,
            burst: None,
            last_burst: None,
            last_right: None,
            was_right: false,
        }
    }

    /// How long after its packet left an attempt is to be told of as unanswered; none where that would tell nothing.
    pub fn suspicion(&self) -> Option<Duration> {
        let known = match self.expected {
            Verdict::Allowed => self.answers >= ANSWERS_TO_KNOW,
            // Silence is as it should be, and told of only to end a burst.
            Verdict::Denied => self.burst.is_some(),
        };
        known.then(|| SOONEST.max(self.slowest.saturating_mul(TIMES_THE_SLOWEST)))
    }

    /// An attempt launched then has no answer after [`Course::suspicion`].
    pub fn unanswered(&mut self, launched: Moment, now: Moment) -> Next {
        match self.expected {
            Verdict::Allowed => self.wrong(launched, now),
            Verdict::Denied => {
                self.right(launched);
                Next::Nothing
            }
        }
    }

    /// What became of an attempt launched then.
    pub fn settled(&mut self, launched: Moment, outcome: &Outcome, now: Moment) -> Next {
        if matches!(outcome, Outcome::Reached | Outcome::Translated { .. }) {
            self.answers = self.answers.saturating_add(1);
            // The slowest of long ago says little of now.
            self.slowest = (self.slowest - self.slowest / 8).max(now.since(launched));
        }
        match (bearing(outcome, self.expected), self.expected) {
            (Bearing::Neither, _) => Next::Nothing,
            (Bearing::Wrong, _) => self.wrong(launched, now),
            // In a burst it was counted as unanswered already.
            (Bearing::Right, Verdict::Denied) if self.burst.is_some() && *outcome == Outcome::Silent => Next::Nothing,
            (Bearing::Right, _) => {
                self.right(launched);
                Next::Nothing
            }
        }
    }

    /// A burst begins.
    pub fn begin(&mut self, now: Moment) {
        self.burst = Some(Burst { began: now, right: 0 });
        self.last_burst = Some(now);
        self.was_right = false;
    }

    /// Whether the burst has shown what it can.
    pub fn is_right_again(&self) -> bool {
        self.burst.is_none_or(|burst| burst.right >= RIGHT_IN_A_ROW)
    }

    /// The burst is over.
    pub fn end(&mut self) {
        self.was_right = self.is_right_again();
        self.burst = None;
    }

    fn right(&mut self, launched: Moment) {
        if self.last_burst.is_some_and(|began| launched < began) {
            return;
        }
        self.last_right = self.last_right.max(Some(launched));
        match &mut self.burst {
            Some(burst) => burst.right += 1,
            None => self.was_right = true,
        }
    }

    fn wrong(&mut self, launched: Moment, now: Moment) -> Next {
        if let Some(burst) = &mut self.burst {
            if launched >= burst.began {
                burst.right = 0;
            }
            return Next::Nothing;
        }
        // Launched before the last burst or before one that was right: silence that is known only now, and over already.
        let over = launched < self.last_burst.max(self.last_right).unwrap_or_default();
        let resting = self.last_burst.is_some_and(|began| now.since(began) < REST);
        if self.was_right && !over && !resting { Next::TryAgain } else { Next::Nothing }
    }
}

fn bearing(outcome: &Outcome, expected: Verdict) -> Bearing {
    match (outcome, expected) {
        // A handshake without proof: the network has done its part, and more attempts would only burden the server.
        (Outcome::HalfOpen, Verdict::Allowed) | (Outcome::Failed { .. } | Outcome::Unsupported { .. }, _) => {
            Bearing::Neither
        }
        (Outcome::Reached | Outcome::Translated { .. }, Verdict::Allowed) => Bearing::Right,
        (
            Outcome::Silent | Outcome::SomeoneElse { .. } | Outcome::Refused { .. } | Outcome::Unreachable { .. },
            Verdict::Allowed,
        ) => Bearing::Wrong,
        (
            Outcome::Silent
            | Outcome::Unreachable { .. }
            | Outcome::Refused { how: Refusal::Refused | Refusal::Prohibited },
            Verdict::Denied,
        ) => Bearing::Right,
        (
            Outcome::Reached
            | Outcome::Translated { .. }
            | Outcome::HalfOpen
            | Outcome::SomeoneElse { .. }
            | Outcome::Refused { how: Refusal::Reset },
            Verdict::Denied,
        ) => Bearing::Wrong,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEADLINE: u64 = 300;
    const NONE: [u64; 0] = [];

    fn at(ms: u64) -> Moment {
        Moment(ms * 1_000_000)
    }

    /// Makes the attempts of a flow as the launcher does: one every 100 ms, and bursts; `answered` says which get an answer,
    /// a millisecond after. Gives the launches of the bursts.
    fn played(expected: Verdict, until: u64, answered: impl Fn(u64) -> bool) -> Vec<u64> {
        let mut course = Course::new(expected);
        let (mut pauses, mut next_retry) = ([].iter(), None);
        let mut told: Vec<(u64, u64, Option<Outcome>)> = Vec::new();
        let mut retries = Vec::new();
        for now in 0..until {
            let mut next = Vec::new();
            told.sort_by_key(|(when, ..)| *when);
            while told.first().is_some_and(|(when, ..)| *when <= now) {
                let (_, launched, outcome) = told.remove(0);
                next.push(match outcome {
                    None => course.unanswered(at(launched), at(now)),
                    Some(outcome) => course.settled(at(launched), &outcome, at(now)),
                });
            }
            if next.contains(&Next::TryAgain) {
                course.begin(at(now));
                (pauses, next_retry) = (PAUSES.iter(), Some(now));
            }
            let mut launches = usize::from(now % 100 == 0);
            if next_retry == Some(now) {
                next_retry = match pauses.next().filter(|_| !course.is_right_again()) {
                    Some(pause) => {
                        launches += 1;
                        retries.push(now);
                        Some(now + pause.as_millis() as u64)
                    }
                    None => {
                        course.end();
                        None
                    }
                };
            }
            for _ in 0..launches {
                if answered(now) {
                    told.push((now + 1, now, Some(Outcome::Reached)));
                } else {
                    told.extend(course.suspicion().map(|after| (now + after.as_millis() as u64, now, None)));
                    told.push((now + DEADLINE, now, Some(Outcome::Silent)));
                }
            }
        }
        retries
    }

    #[test]
    fn a_flow_that_is_as_expected_is_never_tried_rapidly() {
        assert_eq!(played(Verdict::Allowed, 5000, |_| true), NONE);
        assert_eq!(played(Verdict::Denied, 5000, |_| false), NONE);
    }

    #[test]
    fn after_one_lost_packet_the_flow_is_right_again_within_20_ms() {
        assert_eq!(played(Verdict::Allowed, 5000, |ms| ms != 1000), [1005, 1010, 1015]);
        let leak = played(Verdict::Denied, 5000, |ms| ms == 1000);
        assert_eq!(leak, [1001, 1006, 1011], "each is unanswered for 5 ms");
    }

    #[test]
    fn a_long_failure_is_tried_rapidly_once_and_its_end_is_not_waited_for() {
        let long = played(Verdict::Allowed, 9000, |ms| !(1000..6000).contains(&ms));
        assert_eq!(long.len(), PAUSES.len());
        assert_eq!((long.first(), long.last()), (Some(&1005), Some(&1125)));
        let short = played(Verdict::Allowed, 9000, |ms| !(1000..1030).contains(&ms));
        assert_eq!(short, [1005, 1010, 1015, 1020, 1025, 1035, 1045, 1055], "what ends in a burst ends it");
    }

    #[test]
    fn a_flow_that_changes_to_and_fro_is_tried_rapidly_once_a_second_at_most() {
        let flapping = played(Verdict::Allowed, 10_000, |ms| (ms / 200) % 2 == 0);
        let bursts = 1 + flapping.windows(2).filter(|pair| pair[1] - pair[0] > 100).count();
        assert!((5..=10).contains(&bursts), "{bursts} in ten seconds: {flapping:?}");
        assert!(flapping.len() <= bursts * PAUSES.len());
    }

    #[test]
    fn a_flow_that_never_was_right_is_not_tried_rapidly() {
        assert_eq!(played(Verdict::Allowed, 3000, |_| false), NONE);
        assert_eq!(played(Verdict::Denied, 3000, |_| true), NONE);
    }

    #[test]
    fn a_slow_network_is_suspected_later() {
        let mut course = Course::new(Verdict::Allowed);
        let mut answered = |turns: std::ops::Range<u64>, took: Duration| {
            for launched in turns.map(|turn| at(turn * 100)) {
                assert_eq!(course.settled(launched, &Outcome::Reached, launched.plus(took)), Next::Nothing);
            }
            course.suspicion()
        };
        assert_eq!(answered(0..0, Duration::ZERO), None, "nobody knows how long answers take");
        assert_eq!(answered(0..4, Duration::from_millis(7)), Some(Duration::from_millis(28)));
        assert_eq!(answered(4..60, Duration::from_micros(300)), Some(SOONEST), "what was slow long ago says little");
    }
}
