//! An agent's records in the judge's words, on the harness's clock.

use std::num::NonZeroU16;
use std::time::Duration;

use crate::model::endpoint::{EndpointId, Family};
use crate::model::flow::FlowId;
use crate::model::moment::Moment;
use crate::model::observation::Sighting;
use crate::model::port::Port;
use crate::wire::Record;

/// Translates one record of `endpoint`'s agent; `ours` brings its times onto the harness's clock. A record of what
/// cannot be (a self-dial at port zero) gives nothing.
pub fn translate(endpoint: EndpointId, record: Record, ours: impl Fn(Moment) -> Moment) -> Option<Sighting> {
    Some(match record {
        Record::Tried { cell, first_number, count, first, last, left_within, slowest, outcome } => Sighting::Tried {
            flow: FlowId(cell),
            first_number,
            count,
            first: ours(first),
            last: ours(last),
            left_within: Duration::from_nanos(left_within),
            slowest: Duration::from_nanos(slowest),
            outcome,
        },
        Record::Delivered { cell, first_number, count, first, last } => {
            Sighting::Delivered { flow: FlowId(cell), first_number, count, first: ours(first), last: ours(last) }
        }
        Record::SelfDialled { to, protocol, first, last, count: _, outcome } => Sighting::SelfDialled {
            endpoint,
            family: Family::of(to.ip()),
            port: Port { number: NonZeroU16::new(to.port())?, protocol },
            first: ours(first),
            last: ours(last),
            outcome,
        },
        Record::Persisted { cell, launched, ended, outcome } => {
            Sighting::Persisted { flow: FlowId(cell), launched: ours(launched), ended: ours(ended), outcome }
        }
        Record::Counted { from, until, moved } => {
            Sighting::Counted { endpoint, from: ours(from), until: ours(until), moved }
        }
        Record::Blind { from, until, why } => Sighting::Blind { endpoint, from: ours(from), until: ours(until), why },
    })
}
