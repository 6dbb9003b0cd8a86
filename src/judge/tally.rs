//! What a cell's attempts add up to in one window.

use std::net::IpAddr;
use std::time::Duration;

use crate::model::moment::Moment;
use crate::model::observation::{Observation, Outcome, Refusal};

use super::span::{Fate, Heard, Span, Unseen};
use super::table::Sight;
use super::witness::Form;

/// A window to look at: every attempt launched in it counts, and evidence may be added from as far back as `floor`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) floor: Moment,
    pub(super) from: Moment,
    pub(super) until: Moment,
}

/// Counts by kind.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    pub(super) reached: u32,
    pub(super) delivered: u32,
    /// Of those delivered: their source says that it heard nothing.
    pub(super) unanswered: u32,
    translated: Option<IpAddr>,
    partial: u32,
    reset: u32,
    someone: Option<String>,
    pub(super) silent: u32,
    refused: u32,
    refusal: Option<(Refusal, Duration)>,
    unreachable: u32,
    no_way: Option<String>,
    unsupported: Option<String>,
    pub(super) unseen: u32,
    pub(super) why: Option<Unseen>,
    pub(super) slowest: Option<Duration>,
}

impl Tally {
    /// Adds up the attempts of a window. `spans` are in order of number. Where the window alone is too poor in
    /// evidence, earlier attempts down to the floor are taken in, newest first, as long as they say the same.
    pub(super) fn of(spans: &std::collections::VecDeque<Span>, look: Look, quorum: u32) -> Self {
        let mut tally = Self::default();
        for span in spans.iter().rev() {
            let end = span.before(Moment(look.until.0.saturating_add(1)));
            let start = span.before(look.from);
            if let Some(inside) = span.slice(start, end) {
                tally.add(&inside);
            }
            if start == 0 {
                continue;
            }
            if tally.suffices(quorum) {
                break;
            }
            let Some(before) = span.slice(span.before(look.floor), start.min(end)) else {
                if span.last < look.floor { break } else { continue }
            };
            if !tally.agrees(&before) {
                break;
            }
            // No more than is needed: what is older tells less of now.
            let spare = match before.fate {
                Fate::Seen(Outcome::Silent) => before.count.saturating_sub(quorum.saturating_sub(tally.silent)),
                Fate::Seen(_) | Fate::Delivered(_) | Fate::Unseen(_) => 0,
            };
            if let Some(needed) = before.slice(spare, before.count) {
                tally.add(&needed);
            }
        }
        tally
    }

    /// Whether there is enough for an observation.
    pub(super) fn suffices(&self, quorum: u32) -> bool {
        let counts = [self.arrived(), self.partial, self.reset, self.refused, self.unreachable];
        let answered = counts.into_iter().any(|count| count > 0);
        answered || self.silent >= quorum || self.someone.is_some() || self.unsupported.is_some()
    }

    fn agrees(&self, span: &Span) -> bool {
        match &span.fate {
            Fate::Unseen(_) | Fate::Seen(Outcome::Silent) => true,
            Fate::Seen(_) | Fate::Delivered(_) => self.silent == 0,
        }
    }

    fn arrived(&self) -> u32 {
        self.reached.saturating_add(self.delivered)
    }

    fn add(&mut self, span: &Span) {
        let count = span.count;
        let outcome = match &span.fate {
            Fate::Delivered(heard) => {
                self.delivered = self.delivered.saturating_add(count);
                if *heard == Heard::Nothing {
                    self.unanswered = self.unanswered.saturating_add(count);
                }
                return;
            }
            Fate::Unseen(why) => {
                self.unseen = self.unseen.saturating_add(count);
                self.why.get_or_insert_with(|| why.clone());
                return;
            }
            Fate::Seen(outcome) => outcome,
        };
        match outcome {
            Outcome::Reached => {
                self.reached = self.reached.saturating_add(count);
                self.slowest = self.slowest.max(Some(span.slowest));
            }
            Outcome::Translated { seen } => {
                self.reached = self.reached.saturating_add(count);
                self.slowest = self.slowest.max(Some(span.slowest));
                self.translated.get_or_insert(*seen);
            }
            Outcome::HalfOpen => self.partial = self.partial.saturating_add(count),
            Outcome::SomeoneElse { who } => {
                self.someone.get_or_insert_with(|| who.clone());
            }
            Outcome::Silent => self.silent = self.silent.saturating_add(count),
            Outcome::Refused { how } => {
                match how {
                    Refusal::Reset => self.reset = self.reset.saturating_add(count),
                    Refusal::Refused | Refusal::Prohibited => self.refused = self.refused.saturating_add(count),
                }
                let slowest = self.refusal.map_or(span.slowest, |(_, slowest)| slowest.max(span.slowest));
                let how = self.refusal.map_or(*how, |(known, _)| known);
                self.refusal = Some((how, slowest));
            }
            Outcome::Unreachable { error } => {
                self.unreachable = self.unreachable.saturating_add(count);
                self.no_way.get_or_insert_with(|| error.clone());
            }
            Outcome::Unsupported { what } => {
                self.unsupported.get_or_insert_with(|| what.clone());
            }
            Outcome::Failed { why } => {
                self.unseen = self.unseen.saturating_add(count);
                self.why.get_or_insert_with(|| Unseen::Failed(why.clone()));
            }
        }
    }

    /// In what form a denial came, if it is one.
    pub(super) fn form(&self) -> Form {
        if self.refused > 0 { Form::Refusal } else { Form::Silence }
    }

    /// The observation, and what it amounts to before any witness was asked. The gravest thing seen names it.
    ///
    /// - Somebody else answered even once: that.
    /// - Some arrived and some were stopped: mixed.
    /// - Anything got through without proof: half open, whatever else was seen.
    /// - Some arrived and for some there was no way: mixed, and less than a service.
    /// - No way even once: unreachable, which is never a denial.
    /// - Refused, or refused and silent (kernels limit how often they send refusals): refused.
    /// - Silent often enough, and nothing else: silent.
    pub(super) fn observe(&self, quorum: u32, unseen: impl FnOnce(&Self) -> String) -> (Observation, Sight) {
        if let Some(who) = &self.someone {
            return (Observation::SomeoneElse { who: who.clone() }, Sight::SomeoneElse);
        }
        let stopped = self.silent.saturating_add(self.refused);
        let arrived = self.arrived();
        if arrived > 0 && stopped > 0 {
            return (Observation::Mixed { reached: arrived, silent: stopped }, Sight::Mixed);
        }
        if self.partial > 0 {
            return (Observation::HalfOpen, Sight::Partial);
        }
        if let Some((how, slowest)) = self.refusal.filter(|_| self.reset > 0) {
            let how = if arrived > 0 || self.refused == 0 { Refusal::Reset } else { how };
            return (Observation::Refused { how, after_us: micros(slowest) }, Sight::Partial);
        }
        if arrived > 0 && self.unreachable > 0 {
            return (Observation::Mixed { reached: arrived, silent: self.unreachable }, Sight::Partial);
        }
        if arrived > 0 {
            let observation = match (self.translated, self.reached) {
                (Some(seen), _) => Observation::Translated { seen },
                (None, 0) => Observation::Delivered,
                (None, _) => Observation::Reached,
            };
            return (observation, Sight::Allowed);
        }
        if let Some(what) = &self.unsupported {
            return (Observation::Unsupported { what: what.clone() }, Sight::Unsupported);
        }
        if let Some(error) = &self.no_way {
            return (Observation::Unreachable { error: error.clone() }, Sight::Unseen);
        }
        if let Some((how, slowest)) = self.refusal {
            return (Observation::Refused { how, after_us: micros(slowest) }, Sight::Denied);
        }
        if self.silent >= quorum {
            return (Observation::Silent { attempts: self.silent }, Sight::Denied);
        }
        (Observation::NotSeen { why: unseen(self) }, Sight::Unseen)
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
