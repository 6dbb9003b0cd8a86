//! A watch while it goes on: the flows that are wrong now, those that were, and how well it can be seen. Pure: time
//! comes in as an argument.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::event::Turn;
use crate::model::finding::Call;
use crate::model::flow::NamedFlow;

use super::super::duration::human;
use super::super::mark::Mark;
use super::super::text::{Charset, harmless, number, plural, shorten};

/// So many flows have a row; the rest is counted.
const ROWS: usize = 8;

/// What is known of a watch now.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Live {
    elapsed: Duration,
    seen: u64,
    unseen: u64,
    per_second: u64,
    flows: BTreeMap<NamedFlow, Trouble>,
    said: Option<String>,
}

/// What one flow went through.
#[derive(Debug, Clone, PartialEq)]
struct Trouble {
    call: Call,
    /// Since when it has been wrong, on the run's own time; none where it is right again.
    since: Option<Duration>,
    /// When it last changed.
    changed: Duration,
    /// Windows that are over, and the longest they can have lasted together.
    windows: u64,
    together: Duration,
}

impl Live {
    /// Takes the counts.
    pub fn count(&mut self, elapsed: Duration, seen: u64, unseen: u64, per_second: u64) {
        *self = Self { elapsed, seen, unseen, per_second, ..std::mem::take(self) };
    }

    /// Takes a line of the command under watch; an empty one says nothing.
    pub fn say(&mut self, line: &str) {
        if !line.trim().is_empty() {
            self.said = Some(line.trim_end().to_owned());
        }
    }

    /// Takes a window that opened or closed at a time of the run.
    pub fn turn(&mut self, flow: NamedFlow, call: Call, turn: Turn, at: Duration) {
        let fresh = Trouble { call, since: None, changed: at, windows: 0, together: Duration::ZERO };
        let trouble = self.flows.entry(flow).or_insert(fresh);
        trouble.call = call;
        trouble.changed = at;
        match turn {
            Turn::Opened => trouble.since = Some(at),
            Turn::Closed { lasted } => {
                trouble.since = None;
                trouble.windows += 1;
                trouble.together = trouble.together.saturating_add(lasted);
            }
        }
    }

    /// How it goes, in one line: `1 min 5 s, 4,012 attempts seen, 3 could not see, 600 a second; 2 flows wrong now`.
    pub fn summary(&self) -> String {
        let unseen = match self.unseen {
            0 => String::new(),
            some => format!(", {} could not see", number(some)),
        };
        let seen = plural(self.seen, "attempt", "attempts");
        let wrong = self.flows.values().filter(|trouble| trouble.since.is_some()).count() as u64;
        let over = self.flows.len() as u64 - wrong;
        let state = match (wrong, over) {
            (0, 0) => "every flow as it should be".into(),
            (0, over) => format!("{} right again", plural(over, "flow", "flows")),
            (wrong, 0) => format!("{} wrong now", plural(wrong, "flow", "flows")),
            (wrong, over) => format!("{} wrong now, {} right again", plural(wrong, "flow", "flows"), number(over)),
        };
        format!("{}, {seen} seen{unseen}, {} a second; {state}", human(self.elapsed), number(self.per_second))
    }

    /// A line for each flow that is or was wrong: those that are first, the gravest first among them, then the longest;
    /// then those that came right, the latest first. None wider than `width`.
    pub fn rows(&self, now: Duration, width: usize) -> Vec<String> {
        let mut flows: Vec<(&NamedFlow, &Trouble)> = self.flows.iter().collect();
        flows.sort_by_key(|(flow, trouble)| {
            let when = trouble.since.unwrap_or(Duration::MAX - trouble.changed);
            (trouble.since.is_none(), Reverse(Mark::of_call(trouble.call)), when, *flow)
        });
        let mut rows: Vec<String> =
            flows.iter().take(ROWS).map(|(flow, trouble)| trouble.row(flow, now, width)).collect();
        if let Some(more) = flows.len().checked_sub(ROWS).filter(|more| *more > 0) {
            rows.push(format!("  and {} more", plural(more as u64, "flow", "flows")));
        }
        rows
    }

    /// What the command under watch last said.
    pub fn said(&self, width: usize) -> Option<String> {
        let line = harmless(self.said.as_ref()?, Charset::Unicode);
        Some(shorten(&format!("  | {line}"), width, Charset::Unicode))
    }
}

impl Trouble {
    fn row(&self, flow: &NamedFlow, now: Duration, width: usize) -> String {
        let before = plural(self.windows, "window", "windows");
        let (word, state) = match (self.since, self.windows) {
            (Some(since), 0) => (self.call.word(), format!("for {}", human(now.saturating_sub(since)))),
            (Some(since), _) => (self.call.word(), format!("for {}, after {before}", human(now.saturating_sub(since)))),
            (None, _) => ("right", format!("again; was {}, {before}, at most {}", self.call, human(self.together))),
        };
        let state = format!("  {word:<7} {state:<34} ");
        // The name is what can be shortened: both its ends say which flow it is.
        let room = width.saturating_sub(state.chars().count()).max(10);
        state + &shorten(&harmless(&flow.to_string(), Charset::Unicode), room, Charset::Unicode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::flow;
    use crate::report::text;
    use snapbox::{assert_data_eq, str};

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn troubled() -> Live {
        let mut live = Live::default();
        live.count(s(65), 4_012, 3, 600);
        let closed = Turn::Closed { lasted: Duration::from_millis(310) };
        live.turn(flow("web", "db", "5432/tcp"), Call::Outage, Turn::Opened, s(10));
        live.turn(flow("web", "db", "5432/tcp"), Call::Outage, closed, s(11));
        live.turn(flow("cron", "db", "5432/tcp"), Call::Outage, Turn::Opened, s(20));
        live.turn(flow("intruder", "db", "5432/tcp"), Call::Leak, Turn::Opened, s(30));
        live.turn(flow("intruder", "db", "5432/tcp"), Call::Leak, closed, s(31));
        live.turn(flow("intruder", "db", "5432/tcp"), Call::Leak, Turn::Opened, s(60));
        live.say("daemon set \"calico-node\" successfully rolled out");
        live.say("  ");
        live
    }

    #[test]
    fn flows_that_are_wrong_come_first_and_a_leak_before_an_outage() {
        let live = troubled();
        assert_data_eq!(
            live.summary(),
            str!["1 min 5 s, 4,012 attempts seen, 3 could not see, 600 a second; 2 flows wrong now, 1 right again"]
        );
        let rows = live.rows(s(65), 80).join("\n");
        assert_data_eq!(
            rows,
            str![[r#"
  LEAK    for 5.0 s, after 1 window          intruder -> db:5432/tcp
  OUTAGE  for 45.0 s                         cron -> db:5432/tcp
  right   again; was outage, 1 window, at most 310 ms web -> db:5432/tcp
"#]]
        );
        assert_data_eq!(live.said(80).unwrap(), str![[r#"  | daemon set "calico-node" successfully rolled out"#]]);
    }

    #[test]
    fn a_quiet_watch_says_that_it_is_quiet() {
        let mut live = Live::default();
        live.count(s(3), 900, 0, 300);
        assert_eq!(live.summary(), "3.0 s, 900 attempts seen, 300 a second; every flow as it should be");
        assert_eq!(live.rows(s(3), 80), Vec::<String>::new());
        assert_eq!(live.said(80), None, "a command that said nothing, or none at all");
    }

    #[test]
    fn many_flows_in_trouble_do_not_fill_the_screen_and_no_row_is_too_wide() {
        let mut live = Live::default();
        for place in 0..40 {
            let name = format!("a-pod-with-a-name-that-is-rather-long-{place:02}");
            live.turn(flow(&name, "\u{1b}[2Jevil", "80/tcp"), Call::Outage, Turn::Opened, s(place));
        }
        live.say(&"x".repeat(300));
        let rows = live.rows(s(50), 72);
        assert_eq!(rows.len(), ROWS + 1);
        assert_eq!(rows[ROWS], "  and 32 flows more");
        for row in rows.iter().chain(&live.said(72)) {
            assert!(text::width(row) <= 72, "{row} is too wide");
            assert!(!row.contains('\u{1b}'), "{row} is harmless");
        }
    }
}
