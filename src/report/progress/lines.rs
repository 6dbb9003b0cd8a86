//! Progress in plain lines: now and then one for a phase that lasts, and one at its end. Of a watch: every window as it
//! opens and closes, what its command says, and how it goes.

use std::io::Write;
use std::time::Duration;

use crate::model::event::{Event, Turn};
use crate::model::finding::Call;
use crate::model::flow::NamedFlow;

use super::super::duration::human;
use super::super::text::{Charset, harmless, plural};
use super::PATIENCE;
use super::state::State;

/// At least so long lies between two lines on one phase.
const PAUSE: Duration = Duration::from_secs(5);
/// And between two on a watch, which may last for hours.
const WATCH_PAUSE: Duration = Duration::from_secs(30);
/// So many windows are told between two lines on the watch; more are counted.
const WINDOWS: u64 = 20;

/// Writes lines, and knows when the last one was written.
pub struct Lines {
    writer: Box<dyn Write + Send>,
    last: Option<Duration>,
    windows: u64,
}

impl Lines {
    /// To a writer.
    pub fn new(writer: Box<dyn Write + Send>) -> Self {
        Self { writer, last: None, windows: 0 }
    }

    /// Takes news into the state, and gives the lines that are due now.
    pub fn due(&mut self, event: &Event, state: &mut State, elapsed: Duration) -> Vec<String> {
        let mut due = Vec::new();
        let pause = match event {
            Event::PhaseEnded { took } => {
                if *took >= PATIENCE {
                    due.extend(state.phase().map(|phase| format!("{phase}: done after {}", human(*took))));
                }
                state.take(event.clone(), elapsed);
                due.splice(0..0, self.untold());
                self.last = None;
                return due.iter().map(|line| harmless(line, Charset::Unicode)).collect();
            }
            Event::Window { flow, call, turn } => {
                self.windows += 1;
                if self.windows <= WINDOWS {
                    due.push(window(flow, *call, *turn));
                }
                None
            }
            Event::Said { line } => {
                due.push(format!("| {line}"));
                None
            }
            Event::Watching { .. } => Some(if self.windows > 0 { PAUSE } else { WATCH_PAUSE }),
            Event::PhaseBegan { .. }
            | Event::Progress { .. }
            | Event::Waiting { .. }
            | Event::Seen { .. }
            | Event::Note { .. } => Some(PAUSE),
        };
        state.take(event.clone(), elapsed);
        let lasts = state.phase_took(elapsed) >= PATIENCE;
        let quiet = pause.is_some_and(|pause| self.last.is_none_or(|last| elapsed.saturating_sub(last) >= pause));
        if lasts && quiet {
            due.extend(self.untold());
            self.last = Some(elapsed);
            due.push(state.line(elapsed));
        }
        due.iter().map(|line| harmless(line, Charset::Unicode)).collect()
    }

    /// The windows that were counted instead of told, in a line; counts anew.
    fn untold(&mut self) -> Option<String> {
        let untold = std::mem::take(&mut self.windows).checked_sub(WINDOWS).filter(|untold| *untold > 0)?;
        Some(format!("and {} more", plural(untold, "change", "changes")))
    }

    /// Writes a line. Where it cannot be written nobody reads it, which is no reason to stop a run.
    pub fn write(&mut self, line: &str) {
        let _ = writeln!(self.writer, "{line}").and_then(|()| self.writer.flush());
    }
}

fn window(flow: &NamedFlow, call: Call, turn: Turn) -> String {
    match turn {
        Turn::Opened => format!("{} {flow}", call.word()),
        Turn::Closed { lasted } => format!("right again: {flow}, {call} for at most {}", human(lasted)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::flow;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn began(name: &str) -> Event {
        Event::PhaseBegan { phase: name.into(), total: Some(9) }
    }

    #[test]
    fn a_short_phase_says_nothing_and_a_long_one_not_too_much() {
        let mut lines = Lines::new(Box::new(std::io::sink()));
        let mut state = State::default();
        let table = [
            (began("world"), 0, None, "a phase begins"),
            (Event::Progress { done: 3 }, 400, None, "it has not lasted yet"),
            (Event::PhaseEnded { took: MS(500) }, 500, None, "and was short"),
            (began("baseline"), 500, None, "the next"),
            (
                Event::Progress { done: 1 },
                1_600,
                Some("baseline: 1 of 9 flows right, 1.1 s"),
                "lasts longer than a second",
            ),
            (Event::Progress { done: 2 }, 1_700, None, "but not every count is told"),
            (
                Event::Progress { done: 3 },
                6_600,
                Some("baseline: 3 of 9 flows right, 6.1 s"),
                "only one every five seconds",
            ),
            (Event::PhaseEnded { took: MS(6_200) }, 6_700, Some("baseline: done after 6.2 s"), "and its end"),
        ];
        for (event, at, expected, why) in table {
            let expected: Vec<&str> = expected.into_iter().collect();
            assert_eq!(lines.due(&event, &mut state, MS(at)), expected, "{why}");
        }
    }

    #[test]
    fn a_watch_tells_each_window_at_once_and_how_it_goes_now_and_then() {
        let mut lines = Lines::new(Box::new(std::io::sink()));
        let mut state = State::default();
        let watching = |seconds: u64| Event::Watching {
            elapsed: Duration::from_secs(seconds),
            seen: seconds * 60,
            unseen: 0,
            per_second: 60,
        };
        let turned = |turn| Event::Window { flow: flow("a", "b", "80/tcp"), call: Call::Outage, turn };
        let table = [
            (Event::PhaseBegan { phase: "watch".into(), total: None }, 0, vec![], "the watch begins"),
            (
                watching(1),
                1_000,
                vec!["watch: 1.0 s, 60 attempts seen, 60 a second; every flow as it should be"],
                "how it goes",
            ),
            (watching(8), 8_000, vec![], "not again so soon where nothing happened"),
            (Event::Said { line: "up\u{1b}[2Jgrading".into() }, 8_100, vec!["| up\\u{1b}[2Jgrading"], "the command"),
            (turned(Turn::Opened), 8_200, vec!["OUTAGE a -> b:80/tcp"], "a window opens"),
            (
                watching(9),
                9_000,
                vec!["watch: 9.0 s, 540 attempts seen, 60 a second; 1 flow wrong now"],
                "something happened since the last such line",
            ),
            (
                turned(Turn::Closed { lasted: MS(1_310) }),
                9_500,
                vec!["right again: a -> b:80/tcp, outage for at most 1.3 s"],
                "and closes",
            ),
            (Event::PhaseEnded { took: MS(10_000) }, 10_000, vec!["watch: done after 10.0 s"], "the end"),
        ];
        for (event, at, expected, why) in table {
            assert_eq!(lines.due(&event, &mut state, MS(at)), expected, "{why}");
        }
    }

    #[test]
    fn a_flood_of_windows_is_counted() {
        let mut lines = Lines::new(Box::new(std::io::sink()));
        let mut state = State::default();
        lines.due(&Event::PhaseBegan { phase: "watch".into(), total: None }, &mut state, MS(0));
        let told: usize = (0..400)
            .map(|place| {
                let flow = flow(&format!("pod-{place:03}"), "b", "80/tcp");
                let event = Event::Window { flow, call: Call::Outage, turn: Turn::Opened };
                lines.due(&event, &mut state, MS(2_000)).len()
            })
            .sum();
        assert_eq!(told, 20);
        let watching = Event::Watching { elapsed: MS(3_000), seen: 9, unseen: 0, per_second: 3 };
        let due = lines.due(&watching, &mut state, MS(3_000));
        assert_eq!(
            due,
            ["and 380 changes more", "watch: 3.0 s, 9 attempts seen, 3 a second; 400 flows wrong now"],
            "no flood, and nothing left out in silence"
        );
    }
}
