//! Remarks on cells, for people.

use std::time::Duration;

use crate::model::observation::{Failure, Observation, Refusal};
use crate::model::verdict::Verdict;

use super::tally::Tally;

/// What a person should know of a cell, in one line.
#[derive(Debug, Default)]
pub(super) struct Notes(Vec<String>);

impl Notes {
    pub(super) fn add(&mut self, note: impl Into<String>) {
        self.0.push(note.into());
    }

    pub(super) fn observed(&mut self, observation: &Observation, tally: &Tally, verdict: Option<Verdict>) {
        match observation {
            Observation::Refused { how: Refusal::Reset, .. } => {
                self.add("reset after the handshake: something let it through");
            }
            Observation::Refused { how, after_us } if verdict == Some(Verdict::Denied) => self.add(format!(
                "denied by rejection ({how} after {}): at the socket it looks like a closed port",
                show(Duration::from_micros(*after_us))
            )),
            Observation::Delivered if tally.unanswered > 0 => {
                self.add("one-way: attempts arrive, but their source hears nothing");
            }
            Observation::Delivered => {
                self.add("attempts arrive, and nobody could tell whether their source heard an answer");
            }
            Observation::Reached if tally.unanswered > 0 => {
                self.add(format!("{} arrived without their source hearing of it", attempts(tally.unanswered)));
            }
            Observation::Translated { seen } => {
                self.add(format!("the destination sees {seen} as the source: policies there match that address"));
            }
            Observation::HalfOpen => self.add("handshake done, but no proof of who answered"),
            Observation::Reached
            | Observation::Refused { .. }
            | Observation::SomeoneElse { .. }
            | Observation::Silent { .. }
            | Observation::Unreachable { .. }
            | Observation::Unsupported { .. }
            | Observation::Mixed { .. }
            | Observation::NotSeen { .. } => {}
        }
    }

    pub(super) fn text(self) -> Option<String> {
        if self.0.is_empty() { None } else { Some(self.0.join("; ")) }
    }
}

pub(super) fn list(names: &[String]) -> String {
    match names {
        [one] => format!("{one} is"),
        several => format!("{} are", several.join(" and ")),
    }
}

fn attempts(count: u32) -> String {
    if count == 1 { "1 attempt".into() } else { format!("{count} attempts") }
}

pub(super) fn windows(count: usize) -> String {
    if count == 1 { "1 window".into() } else { format!("{count} windows") }
}

/// A duration as people read it.
pub(super) fn show(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        format!("{:.1} ms", duration.as_secs_f64() * 1e3)
    } else {
        format!("{:.2} s", duration.as_secs_f64())
    }
}

pub(super) fn words(failure: &Failure) -> String {
    match failure {
        Failure::Starved => "its agent got no processor time".into(),
        Failure::Missed => "its turns came and went before it could".into(),
        Failure::Exhausted { error } | Failure::Other { error } => error.clone(),
    }
}
