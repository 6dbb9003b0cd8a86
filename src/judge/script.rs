//! A scripted network for tests: what really happens is a function, and agents tell of it as real ones would.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use crate::model::document::Strictness;
use crate::model::endpoint::{EndpointId, Family};
use crate::model::flow::{CellSet, Flow, FlowId, FlowTable};
use crate::model::matrix::Matrix;
use crate::model::moment::{Moment, nanoseconds};
use crate::model::observation::{Blindness, Failure, Outcome, Refusal, Sighting};
use crate::model::port::{Port, Protocol};
use crate::model::verdict::{DenyForm, Intent, Meaning, Verdict};

use super::{Judge, Proven, Rules, Who, window};

pub(crate) const MS: Duration = Duration::from_millis(1);

/// So many milliseconds after the run began.
pub(crate) fn at(ms: u64) -> Moment {
    Moment(ms * 1_000_000)
}

pub(crate) const PORT: Port = Port { number: NonZeroU16::new(80).unwrap(), protocol: Protocol::Tcp };

/// What really becomes of one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fact {
    Arrives,
    /// Dropped on the way there.
    Dropped,
    Rejected,
    /// Arrives, but the answer is dropped.
    OneWay,
    HalfOpen,
    Reset,
    SomeoneElse,
    Translated,
    NoRoute,
    /// The source could not make it.
    Starved,
    /// Dropped, and its record lost.
    DroppedAndForgotten,
    /// Arrives, and its record is lost.
    ArrivesAndForgotten,
}

type Reality = dyn Fn(&Flow, Moment) -> Fact;

/// A handful of pods that all dial each other, told of by their agents.
pub(crate) struct Script {
    pub(crate) names: Vec<String>,
    pub(crate) set: Arc<CellSet>,
    pub(crate) rules: Rules,
    pub(crate) until: Moment,
    pub(crate) reality: Box<Reality>,
    /// Whether a pod's own listener answers its own pod.
    pub(crate) listens: Box<dyn Fn(EndpointId, Moment) -> bool>,
    pub(crate) blind: Vec<(EndpointId, Moment, Moment)>,
    pub(crate) lost: Vec<(EndpointId, Moment)>,
    pub(crate) proven: bool,
}

impl Script {
    /// Pods with one port each, all pairs. Deadline 100 ms, interval 20 ms, the change sent at 1,000 ms; everything
    /// arrives until told otherwise.
    pub(crate) fn new(names: &[&str]) -> Self {
        let ids = || (0..names.len() as u32).map(EndpointId);
        let flows = ids().flat_map(|source| {
            ids().map(move |destination| Flow { source, destination, family: Family::V4, port: PORT })
        });
        let table = Arc::new(FlowTable::new(flows));
        let (deadline, interval) = (100 * MS, 20 * MS);
        Self {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            set: Arc::new(CellSet::new(table, |_| true)),
            rules: Rules {
                attempts: 4,
                deadline,
                interval,
                window: window(deadline, interval),
                deny: DenyForm::Either,
                strictness: Strictness::Normal,
                converge_within: 2000 * MS,
                max_enforce: None,
                allowed: None,
                sent: at(1000),
            },
            until: at(3400),
            reality: Box::new(|_, _| Fact::Arrives),
            listens: Box::new(|_, _| true),
            blind: Vec::new(),
            lost: Vec::new(),
            proven: true,
        }
    }

    pub(crate) fn reality(mut self, reality: impl Fn(&Flow, Moment) -> Fact + 'static) -> Self {
        self.reality = Box::new(reality);
        self
    }

    pub(crate) fn end(&self, name: &str) -> EndpointId {
        EndpointId(self.names.iter().position(|known| known == name).unwrap() as u32)
    }

    pub(crate) fn id(&self, from: &str, to: &str) -> FlowId {
        let flow = Flow { source: self.end(from), destination: self.end(to), family: Family::V4, port: PORT };
        self.set.table().find(&flow).unwrap()
    }

    pub(crate) fn who(&self) -> Who {
        Who { names: self.names.clone(), scenario: "s.yaml".into(), asking: String::new(), began: Moment(0) }
    }

    /// A judge for whom meaning is as given, and intent the same.
    pub(crate) fn judge(&self, meaning: impl Fn(&Flow) -> Verdict) -> Judge {
        let intent = Matrix::build(self.set.clone(), |_, flow| Intent::Stated(meaning(flow)));
        let meaning = Matrix::build(self.set.clone(), |_, flow| Meaning::Known(meaning(flow)));
        self.judge_of(intent, meaning)
    }

    pub(crate) fn judge_of(&self, intent: Matrix<Intent>, meaning: Matrix<Meaning>) -> Judge {
        let proven = if self.proven { self.set.iter().map(|(id, _)| id).collect() } else { Default::default() };
        Judge::new(self.set.clone(), intent, meaning, self.rules, self.who(), Proven(proven))
    }

    /// Every agent's stream, in the order it tells it, with the time of telling.
    pub(crate) fn streams(&self) -> Vec<Vec<(Moment, Sighting)>> {
        let mut streams = vec![Vec::new(); self.names.len()];
        for (place, (id, flow)) in self.set.iter().enumerate() {
            self.tell_cell(place, id, flow, &mut streams);
        }
        for (place, stream) in streams.iter_mut().enumerate() {
            let endpoint = EndpointId(place as u32);
            self.tell_self(endpoint, stream);
            for (whose, from, until) in self.blind.iter().filter(|(whose, _, _)| *whose == endpoint) {
                let why = Blindness::Starved;
                stream.push((*until, Sighting::Blind { endpoint: *whose, from: *from, until: *until, why }));
            }
            stream.sort_by_key(|(at, _)| *at);
            let mut told = Vec::with_capacity(stream.len());
            let mut records = std::mem::take(stream).into_iter().peekable();
            let lost = self.lost.iter().find(|(whose, _)| *whose == endpoint).map(|(_, at)| *at);
            let mut now = at(0);
            while now < self.until.plus(self.rules.deadline) && lost.is_none_or(|lost| now < lost) {
                now = now.plus(10 * MS);
                while let Some(record) = records.next_if(|(at, _)| *at <= now) {
                    told.push(record);
                }
                // Its blindness is told once it is over, so nothing is complete while it lasts.
                if !self.blind.iter().any(|(whose, from, until)| *whose == endpoint && *from <= now && now < *until) {
                    told.push((now, Sighting::Complete { endpoint, until: now, arrived: now }));
                }
            }
            if let Some(since) = lost {
                told.push((since.plus(100 * MS), Sighting::Lost { endpoint, since, why: "killed".into() }));
            }
            *stream = told;
        }
        streams
    }

    /// All streams as they would arrive with no delay.
    pub(crate) fn sightings(&self) -> Vec<(Moment, Sighting)> {
        let mut all: Vec<_> = self.streams().into_iter().flatten().collect();
        all.sort_by_key(|(at, _)| *at);
        all
    }

    fn tell_cell(&self, place: usize, id: FlowId, flow: &Flow, streams: &mut [Vec<(Moment, Sighting)>]) {
        let interval = nanoseconds(self.rules.interval);
        let phase = interval * place as u64 / self.set.len() as u64;
        let quarter = self.rules.deadline / 4;
        let per_turn = if self.rules.interval * 4 <= self.rules.deadline { 1 } else { self.rules.attempts };
        let mut number = 0;
        let mut turn = at(900).plus(Duration::from_nanos(phase));
        while turn < self.until {
            for attempt in 0..per_turn {
                let launch = turn.plus(quarter * attempt);
                let fact = (self.reality)(flow, launch);
                self.tell_attempt(id, flow, number, launch, fact, streams);
                number += 1;
                if fact != Fact::Dropped {
                    break;
                }
            }
            turn = turn.plus(self.rules.interval);
        }
    }

    fn tell_attempt(
        &self,
        flow: FlowId,
        ends: &Flow,
        number: u32,
        launch: Moment,
        fact: Fact,
        streams: &mut [Vec<(Moment, Sighting)>],
    ) {
        let soon = launch.plus(MS);
        let late = launch.plus(self.rules.deadline);
        let (outcome, heard, arrived) = match fact {
            Fact::Arrives => (Some(Outcome::Reached), soon, true),
            Fact::Dropped => (Some(Outcome::Silent), late, false),
            Fact::Rejected => (Some(Outcome::Refused { how: Refusal::Refused }), soon, false),
            Fact::OneWay => (Some(Outcome::Silent), late, true),
            Fact::HalfOpen => (Some(Outcome::HalfOpen), late, false),
            Fact::Reset => (Some(Outcome::Refused { how: Refusal::Reset }), soon, false),
            Fact::SomeoneElse => (Some(Outcome::SomeoneElse { who: "stranger".into() }), soon, false),
            Fact::Translated => (Some(Outcome::Translated { seen: [10, 0, 0, 1].into() }), soon, true),
            Fact::NoRoute => (Some(Outcome::Unreachable { error: "EHOSTUNREACH".into() }), soon, false),
            Fact::Starved => (Some(Outcome::Failed { why: Failure::Starved }), late, false),
            Fact::DroppedAndForgotten => (None, late, false),
            Fact::ArrivesAndForgotten => (None, soon, true),
        };
        if let Some(outcome) = outcome {
            streams[ends.source.index()].push((
                heard,
                Sighting::Tried {
                    flow,
                    first_number: number,
                    count: 1,
                    first: launch,
                    last: launch,
                    left_within: Duration::ZERO,
                    slowest: heard.since(launch),
                    outcome,
                },
            ));
        }
        if arrived {
            let at = launch.plus(MS / 2);
            let sighting = Sighting::Delivered { flow, first_number: number, count: 1, first: at, last: at };
            streams[ends.destination.index()].push((at, sighting));
        }
    }

    fn tell_self(&self, endpoint: EndpointId, stream: &mut Vec<(Moment, Sighting)>) {
        let mut dial = at(900);
        while dial < self.until {
            let outcome = if (self.listens)(endpoint, dial) {
                Outcome::Reached
            } else {
                Outcome::Refused { how: Refusal::Refused }
            };
            let sighting =
                Sighting::SelfDialled { endpoint, family: Family::V4, port: PORT, first: dial, last: dial, outcome };
            stream.push((dial.plus(MS), sighting));
            dial = dial.plus(50 * MS);
        }
    }

    /// Plays everything to a judge until it has converged or its time is over, as `watch` would, and gives the time of
    /// that.
    pub(crate) fn play(&self, judge: &mut Judge) -> Moment {
        let over = self.rules.sent.plus(self.rules.converge_within);
        let mut next = at(0);
        for (now, sighting) in self.sightings() {
            judge.see(&sighting);
            if now >= next {
                next = now.plus(10 * MS);
                if judge.standing(now).converged.is_some() || now >= over {
                    return now;
                }
            }
        }
        self.until
    }

    /// Plays everything there is, past convergence.
    pub(crate) fn play_out(&self, judge: &mut Judge) -> Moment {
        let mut now = at(0);
        for (at, sighting) in self.sightings() {
            judge.see(&sighting);
            if at >= now.plus(10 * MS) {
                now = at;
                judge.standing(now);
            }
        }
        judge.standing(now);
        now
    }
}
