//! What is known of one agent itself.

use crate::model::document::{AgentInfo, BlindSpan, StarvedTime};
use crate::model::moment::Moment;
use crate::model::observation::Blindness;

use super::offset::Estimate;
use crate::wire::Starved;

/// The most blind spans kept; further ones make the last longer.
const MAX_SPANS: usize = 1_000;

/// What is known so far.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Its clock.
    pub clock: Option<Estimate>,
    /// Attempts it reported.
    pub attempts: u64,
    /// How often its stream was made anew.
    pub reconnects: u32,
    /// When it could not see, on the harness's clock.
    pub blind: Vec<(Moment, Moment, Blindness)>,
    /// When it may have been late to answer or to send, on the harness's clock, as of the last report on held connections.
    pub late: Vec<(Moment, Moment)>,
    /// How long it got no processor time, as of its last answer to a ping.
    pub starved: Option<Starved>,
    /// The last thing that went wrong with its stream.
    pub problem: Option<String>,
    /// Why it was lost, if it was.
    pub lost: Option<String>,
}

impl Report {
    /// Notes a blind span.
    pub fn note_blind(&mut self, from: Moment, until: Moment, why: Blindness) {
        if self.blind.len() < MAX_SPANS {
            self.blind.push((from, until, why));
        } else if let Some(last) = self.blind.last_mut() {
            last.1 = last.1.max(until);
        }
    }

    /// As the document of a run has it; times count from `start`.
    pub fn info(&self, endpoint: &str, start: Moment) -> AgentInfo {
        let microseconds = |at: Moment| at.0.saturating_sub(start.0) / 1000;
        AgentInfo {
            endpoint: endpoint.to_owned(),
            clock_offset_ns: self.clock.map_or(0, |clock| clock.offset),
            clock_error_ns: self.clock.map_or(0, |clock| crate::model::moment::nanoseconds(clock.error)),
            attempts: self.attempts,
            reconnects: self.reconnects,
            blind: self
                .blind
                .iter()
                .map(|(from, until, why)| BlindSpan {
                    from_us: microseconds(*from),
                    until_us: microseconds(*until),
                    why: *why,
                })
                .collect(),
            starved: self
                .starved
                .map(|Starved { longest, total }| StarvedTime { longest_us: longest / 1000, total_us: total / 1000 }),
            lost: self.lost.clone(),
        }
    }
}
