//! Progress in plain lines: now and then one for a phase that lasts, and one at its end.

use std::io::Write;
use std::time::Duration;

use crate::model::event::Event;

use super::super::duration::human;
use super::super::text::{Charset, harmless};
use super::PATIENCE;
use super::state::State;

/// At least so long lies between two lines on one phase.
const PAUSE: Duration = Duration::from_secs(5);

/// Writes lines, and knows when the last one was written.
pub struct Lines {
    writer: Box<dyn Write + Send>,
    last: Option<Duration>,
}

impl Lines {
    /// To a writer.
    pub fn new(writer: Box<dyn Write + Send>) -> Self {
        Self { writer, last: None }
    }

    /// Takes news into the state, and gives the line that is due now, if one is.
    pub fn due(&mut self, event: &Event, state: &mut State, elapsed: Duration) -> Option<String> {
        let ended = match event {
            Event::PhaseEnded { took } if *took >= PATIENCE => {
                state.phase().map(|phase| harmless(&format!("{phase}: done after {}", human(*took)), Charset::Unicode))
            }
            Event::PhaseEnded { .. }
            | Event::PhaseBegan { .. }
            | Event::Progress { .. }
            | Event::Seen { .. }
            | Event::Note { .. } => None,
        };
        let ends = matches!(event, Event::PhaseEnded { .. });
        state.take(event.clone(), elapsed);
        if ends {
            self.last = None;
            return ended;
        }
        let lasts = state.phase_took(elapsed) >= PATIENCE;
        let quiet = self.last.is_none_or(|last| elapsed.saturating_sub(last) >= PAUSE);
        (lasts && quiet).then(|| {
            self.last = Some(elapsed);
            state.line(elapsed)
        })
    }

    /// Writes a line. Where it cannot be written nobody reads it, which is no reason to stop a run.
    pub fn write(&mut self, line: &str) {
        let _ = writeln!(self.writer, "{line}").and_then(|()| self.writer.flush());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_phase_says_nothing_and_a_long_one_not_too_much() {
        let mut lines = Lines::new(Box::new(std::io::sink()));
        let mut state = State::default();
        let ms = Duration::from_millis;
        let began = |name: &str| Event::PhaseBegan { phase: name.into(), total: Some(9) };
        let table = [
            (began("world"), 0, None, "a phase begins"),
            (Event::Progress { done: 3 }, 400, None, "it has not lasted yet"),
            (Event::PhaseEnded { took: ms(500) }, 500, None, "and was short"),
            (began("baseline"), 500, None, "the next"),
            (Event::Progress { done: 1 }, 1_600, Some("baseline: 1 of 9, 1.1 s"), "lasts longer than a second"),
            (Event::Progress { done: 2 }, 1_700, None, "but not every count is told"),
            (Event::Progress { done: 3 }, 6_600, Some("baseline: 3 of 9, 6.1 s"), "only one every five seconds"),
            (Event::PhaseEnded { took: ms(6_200) }, 6_700, Some("baseline: done after 6.2 s"), "and its end"),
        ];
        for (event, at, expected, why) in table {
            assert_eq!(lines.due(&event, &mut state, ms(at)).as_deref(), expected, "{why}");
        }
    }
}
