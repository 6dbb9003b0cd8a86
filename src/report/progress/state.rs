//! What is known of a run while it goes on, and how that reads in one line. Pure: time comes in as an argument.

use std::time::Duration;

use crate::model::event::Event;

use super::super::duration::human;
use super::super::text::{Charset, harmless, number, shorten};
use super::live::Live;

/// What is known now.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct State {
    phase: Option<Phase>,
    seen: Option<String>,
    live: Option<Live>,
}

#[derive(Debug, Clone, PartialEq)]
struct Phase {
    name: String,
    began: Duration,
    done: u64,
    total: Option<u64>,
    waiting: Option<String>,
}

impl State {
    /// Takes news that came so long after the start.
    pub fn take(&mut self, event: Event, elapsed: Duration) {
        match event {
            Event::PhaseBegan { phase, total } => {
                self.phase = Some(Phase { name: phase, began: elapsed, done: 0, total, waiting: None });
                self.seen = None;
                self.live = None;
            }
            Event::Progress { done } => {
                if let Some(phase) = &mut self.phase {
                    phase.done = done;
                    phase.waiting = None;
                }
            }
            Event::Waiting { what } => {
                if let Some(phase) = &mut self.phase {
                    phase.waiting = Some(what);
                }
            }
            Event::PhaseEnded { .. } => {
                self.phase = None;
                self.live = None;
            }
            Event::Seen { flow, call } => self.seen = Some(format!("{} {flow}", call.word())),
            Event::Watching { elapsed, seen, unseen, per_second } => {
                self.live().count(elapsed, seen, unseen, per_second);
            }
            Event::Window { flow, call, turn } => self.live().turn(flow, call, turn, elapsed),
            Event::Said { line } => self.live().say(&line),
            Event::Note { .. } => {}
        }
    }

    fn live(&mut self) -> &mut Live {
        self.live.get_or_insert_default()
    }

    /// The name of the phase that is on.
    pub fn phase(&self) -> Option<&str> {
        self.phase.as_ref().map(|phase| phase.name.as_str())
    }

    /// How long that phase has been on.
    pub fn phase_took(&self, elapsed: Duration) -> Duration {
        self.phase.as_ref().map_or(Duration::ZERO, |phase| elapsed.saturating_sub(phase.began))
    }

    /// All there is to see, in lines of at most `width` columns: one for most phases; a watch has one for each flow in
    /// trouble besides, and one for what its command last said.
    pub fn lines(&self, elapsed: Duration, width: usize) -> Vec<String> {
        let mut lines = vec![shorten(&self.line(elapsed), width, Charset::Unicode)];
        if let Some(live) = &self.live {
            lines.extend(live.rows(elapsed, width));
            lines.extend(live.said(width));
        }
        lines
    }

    /// All in one line: `policies: 57 of 60 flows right, 1.3 s; last seen: LEAK a -> b:80/tcp`. Empty between phases.
    pub fn line(&self, elapsed: Duration) -> String {
        let Some(phase) = &self.phase else { return String::new() };
        if let Some(live) = &self.live {
            return harmless(&format!("{}: {}", phase.name, live.summary()), Charset::Unicode);
        }
        // Agents are waited for until they answer; in any other phase, flows until they are what they should be.
        let (counted, awaited) = match phase.name.as_str() {
            "agents" => ("agents answer", "agents to answer"),
            _ => ("flows right", "flows to be right"),
        };
        let count = match (&phase.waiting, phase.done, phase.total) {
            (Some(waiting), ..) => format!(": {waiting}"),
            (None, 0, Some(total)) => format!(": waiting for {} {awaited}", number(total)),
            (None, done, Some(total)) => format!(": {} of {} {counted}", number(done), number(total)),
            (None, 0, None) => String::new(),
            (None, done, None) => format!(": {} {counted}", number(done)),
        };
        let took = human(self.phase_took(elapsed));
        let seen = self.seen.as_ref().map(|seen| format!("; last seen: {seen}")).unwrap_or_default();
        harmless(&format!("{}{count}, {took}{seen}", phase.name), Charset::Unicode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::finding::Call;
    use crate::report::fixture::flow;

    #[test]
    fn the_line_tells_phase_count_time_and_the_last_trouble() {
        let mut state = State::default();
        let at = Duration::from_millis;
        assert_eq!(state.line(at(0)), "", "nothing has begun");
        let table = [
            (Event::PhaseBegan { phase: "world".into(), total: None }, 100, "world, 0 ms", "a phase begins"),
            (
                Event::Waiting { what: "4 of 9 pods run".into() },
                1_300,
                "world: 4 of 9 pods run, 1.2 s",
                "what is waited for",
            ),
            (
                Event::PhaseBegan { phase: "agents".into(), total: Some(9) },
                1_300,
                "agents: waiting for 9 agents to answer, 0 ms",
                "agents",
            ),
            (
                Event::PhaseBegan { phase: "policies".into(), total: Some(9_900) },
                2_000,
                "policies: waiting for 9,900 flows to be right, 0 ms",
                "the next",
            ),
            (
                Event::Progress { done: 9_000 },
                3_000,
                "policies: 9,000 of 9,900 flows right, 1.0 s",
                "counted up to an end",
            ),
            (
                Event::Seen { flow: flow("a", "b", "80/tcp"), call: Call::Leak },
                3_000,
                "policies: 9,000 of 9,900 flows right, 1.0 s; last seen: LEAK a -> b:80/tcp",
                "trouble is named",
            ),
            (Event::PhaseEnded { took: at(1_000) }, 3_000, "", "and between phases there is nothing to say"),
            (
                Event::PhaseBegan { phase: "\u{1b}[2Jx".into(), total: None },
                0,
                "\\u{1b}[2Jx, 0 ms",
                "names are harmless",
            ),
        ];
        for (event, ms, expected, why) in table {
            state.take(event, at(ms));
            assert_eq!(state.line(at(ms)), expected, "{why}");
        }
    }
}
