//! The agent's heartbeat: knows when the process got no processor time, and so could neither see nor answer.

use std::time::Duration;

use crate::model::moment::{Moment, nanoseconds};
use crate::wire::Starved;

/// How often it beats at most and at least: bounds the error with which a blind span's beginning is known.
const BEATS: [Duration; 2] = [Duration::from_millis(10), Duration::from_millis(40)];

/// It beats so many times in the slack: oftener would only take time from those who share the machine.
const BEATS_IN_SLACK: u64 = 8;

/// A beat later than this is a blind span where no plan says otherwise.
pub const SLACK: Duration = Duration::from_millis(50);

/// A beat that comes later than this is kept for [`Pulse::late`]. Held connections are judged by it: one message takes both
/// ends, and delays that no plan minds add up.
const LATE: Duration = Duration::from_millis(25);

/// So many late beats are kept: the longest.
const KEPT: usize = 64;

/// A span in which the agent was blind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blind {
    /// The last beat in time.
    pub from: Moment,
    /// The first one after.
    pub until: Moment,
}

/// When it last beat.
#[derive(Debug)]
pub struct Pulse {
    last: Moment,
    slack: u64,
    every: u64,
    late: Vec<(Moment, Moment)>,
    starved: Starved,
}

impl Pulse {
    /// Starts at `now`.
    pub fn new(now: Moment) -> Self {
        let slack = nanoseconds(SLACK);
        Self { last: now, slack, every: beats(slack), late: Vec::new(), starved: Starved::default() }
    }

    /// Says how late a beat may come, in nanoseconds.
    pub fn allow(&mut self, slack: u64) {
        self.slack = slack;
        self.every = beats(slack);
    }

    /// How long to wait for the next beat.
    pub fn every(&self) -> Duration {
        Duration::from_nanos(self.every)
    }

    /// The heartbeat's own timer fired. Gives the span since the last beat if that is too long ago.
    pub fn beat(&mut self, now: Moment) -> Option<Blind> {
        let blind = self.notice(now);
        self.keep_late(now);
        self.last = now;
        blind
    }

    /// The longest spans in which a beat was late, whatever the slack.
    pub fn late(&self) -> &[(Moment, Moment)] {
        &self.late
    }

    /// By how much beats were late that are kept, or were, whatever the slack.
    pub fn starved(&self) -> Starved {
        self.starved
    }

    fn keep_late(&mut self, now: Moment) {
        let late = now.0.saturating_sub(self.last.0).saturating_sub(self.every);
        if late <= nanoseconds(LATE) {
            return;
        }
        self.starved.longest = self.starved.longest.max(late);
        self.starved.total = self.starved.total.saturating_add(late);
        self.late.push((self.last, now));
        if self.late.len() > KEPT {
            self.late.sort_by_key(|(from, until)| std::cmp::Reverse(until.since(*from)));
            self.late.truncate(KEPT);
        }
    }

    /// Asked by anyone who is about to rely on having been awake: gives the blind span that the overdue beat would.
    pub fn notice(&mut self, now: Moment) -> Option<Blind> {
        let allowed = self.every.saturating_add(self.slack);
        if now.0.saturating_sub(self.last.0) <= allowed {
            return None;
        }
        let blind = Blind { from: self.last, until: now };
        self.keep_late(now);
        self.last = now;
        Some(blind)
    }
}

fn beats(slack: u64) -> u64 {
    let [most, least] = BEATS.map(nanoseconds);
    (slack / BEATS_IN_SLACK).clamp(most, least)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn at(ms: u64) -> Moment {
        Moment(ms * MS)
    }

    #[test]
    fn a_beat_within_the_slack_is_no_blindness() {
        let mut pulse = Pulse::new(at(0));
        assert_eq!(pulse.beat(at(60)), None, "beat 10 ms, slack 50 ms");
        assert_eq!(pulse.beat(at(121)), Some(Blind { from: at(60), until: at(121) }));
    }

    #[test]
    fn a_stop_is_noticed_by_whoever_asks_first_and_told_once() {
        let mut pulse = Pulse::new(at(0));
        pulse.beat(at(10));
        assert_eq!(pulse.notice(at(2010)), Some(Blind { from: at(10), until: at(2010) }));
        assert_eq!(pulse.beat(at(2011)), None);
    }

    #[test]
    fn a_late_beat_is_kept_though_the_slack_allows_it_and_the_longest_stay() {
        let mut pulse = Pulse::new(at(0));
        pulse.allow(500 * MS);
        assert_eq!(pulse.beat(at(40)), None, "in time: it beats every 40 ms");
        assert_eq!(pulse.late(), []);
        assert_eq!(pulse.beat(at(400)), None, "no blindness to the plan");
        assert_eq!(pulse.late(), [(at(40), at(400))]);
        for turn in 0..100 {
            pulse.beat(at(500 + turn * 100));
        }
        assert_eq!(pulse.late().len(), KEPT);
        assert!(pulse.late().contains(&(at(40), at(400))), "the longest is still there");
    }

    #[test]
    fn what_it_starved_counts_each_late_beat_once_however_it_was_noticed() {
        let mut pulse = Pulse::new(at(0));
        pulse.beat(at(10));
        pulse.beat(at(45));
        assert_eq!(pulse.starved(), Starved::default(), "25 ms late is almost in time");
        pulse.beat(at(85));
        assert_eq!(pulse.starved(), Starved { longest: 30 * MS, total: 30 * MS }, "less than the slack, and starved");
        pulse.notice(at(2095));
        pulse.beat(at(2096));
        assert_eq!(pulse.starved(), Starved { longest: 2000 * MS, total: 2030 * MS });
        for turn in 1..=200 {
            pulse.beat(at(2096 + turn * 110));
        }
        assert_eq!(pulse.starved().total, 22_030 * MS, "more than are kept one by one");
    }

    #[test]
    fn a_busy_process_whose_beat_is_late_is_blind_though_others_ran() {
        let mut pulse = Pulse::new(at(0));
        pulse.allow(50 * MS);
        assert_eq!(pulse.notice(at(30)), None);
        assert_eq!(pulse.notice(at(55)), None);
        assert_eq!(pulse.notice(at(61)), Some(Blind { from: at(0), until: at(61) }));
    }
}
