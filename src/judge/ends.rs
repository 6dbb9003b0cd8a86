//! What is known of both ends of a flow: up to when they have told everything, when they could not see, and what their
//! listeners answered to themselves.

use std::collections::HashMap;

use crate::model::endpoint::{EndpointId, Family};
use crate::model::moment::Moment;
use crate::model::observation::{Blindness, Outcome, Sighting};
use crate::model::port::Port;

/// All endpoints of a stage, and of those before it.
#[derive(Debug, Clone, Default)]
pub(super) struct Ends {
    ends: Vec<End>,
    dials: HashMap<(EndpointId, Family, Port), Vec<Dialled>>,
}

#[derive(Debug, Clone, Default)]
struct End {
    complete: Moment,
    heard: Moment,
    blind: Vec<Blind>,
    lost: Option<Lost>,
    /// What was told of earlier times is about a pod of the same name that was removed.
    since: Moment,
}

/// A time in which an agent could not see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Blind {
    pub(super) from: Moment,
    pub(super) until: Moment,
    pub(super) why: Blindness,
}

/// An agent that will not come back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lost {
    pub(super) since: Moment,
    pub(super) why: String,
}

/// Self-dials in a row with one answer.
#[derive(Debug, Clone, Copy)]
struct Dialled {
    first: Moment,
    last: Moment,
    answer: SelfAnswer,
}

/// What a listener answered to its own pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SelfAnswer {
    Proved,
    /// Anything but the proof: the listener is not to be relied on.
    Failed,
}

/// Newest first is what is asked for; a run of answers longer ago than this many changes is forgotten.
const CHANGES_KEPT: usize = 1024;

impl Ends {
    pub(super) fn new(endpoints: usize) -> Self {
        Self { ends: vec![End::default(); endpoints], dials: HashMap::new() }
    }

    /// The same knowledge, with room for so many endpoints.
    pub(super) fn with_room(mut self, endpoints: usize) -> Self {
        if self.ends.len() < endpoints {
            self.ends.resize(endpoints, End::default());
        }
        self
    }

    /// Forgets everything about an endpoint, and passes over what is still to be told of the time before `since`.
    pub(super) fn renew(&mut self, id: EndpointId, since: Moment) {
        if self.ends.len() <= id.index() {
            self.ends.resize(id.index() + 1, End::default());
        }
        if let Some(end) = self.ends.get_mut(id.index()) {
            *end = End { since, ..End::default() };
        }
        self.dials.retain(|(endpoint, ..), _| *endpoint != id);
    }

    /// Whether this was told of a pod that was removed before the present one of its name was added.
    fn is_of_the_past(&self, id: EndpointId, last: Moment) -> bool {
        self.ends.get(id.index()).is_some_and(|end| last < end.since)
    }

    /// Takes what a sighting says of an agent, if it says anything of one. Says which agent's blindness it told late.
    pub(super) fn see(&mut self, sighting: &Sighting) -> Option<EndpointId> {
        match sighting {
            Sighting::SelfDialled { endpoint, last: at, .. }
            | Sighting::Blind { endpoint, until: at, .. }
            | Sighting::Complete { endpoint, until: at, .. }
            | Sighting::Lost { endpoint, since: at, .. }
                if self.is_of_the_past(*endpoint, *at) =>
            {
                None
            }
            Sighting::SelfDialled { endpoint, family, port, first, last, outcome } => {
                self.dialled((*endpoint, *family, *port), *first, (*last).max(*first), outcome);
                None
            }
            Sighting::Blind { endpoint, from, until, why } => {
                self.blinded(*endpoint, Blind { from: *from, until: *until, why: *why });
                Some(*endpoint).filter(|id| *from < self.complete(*id))
            }
            Sighting::Complete { endpoint, until, arrived } => {
                self.told(*endpoint, *until, *arrived);
                None
            }
            Sighting::Lost { endpoint, since, why } => {
                self.lose(*endpoint, *since, why.clone());
                None
            }
            Sighting::Tried { .. }
            | Sighting::Persisted { .. }
            | Sighting::Delivered { .. }
            | Sighting::Counted { .. } => None,
        }
    }

    /// Whether any agent is lost.
    pub(super) fn any_lost(&self) -> bool {
        self.ends.iter().any(|end| end.lost.is_some())
    }

    /// Everything up to here has been told.
    pub(super) fn complete(&self, id: EndpointId) -> Moment {
        self.ends.get(id.index()).map_or(Moment(0), |end| end.complete)
    }

    /// When it last told anything: it may be alive and have told less, waiting for what its attempts become.
    pub(super) fn heard(&self, id: EndpointId) -> Moment {
        self.ends.get(id.index()).map_or(Moment(0), |end| end.heard)
    }

    pub(super) fn lost(&self, id: EndpointId) -> Option<&Lost> {
        self.ends.get(id.index()).and_then(|end| end.lost.as_ref())
    }

    /// Whether nothing more will be told of anything up to `at`: it has been told, or never will be.
    pub(super) fn closed(&self, id: EndpointId, at: Moment) -> bool {
        self.complete(id) >= at || self.lost(id).is_some()
    }

    /// The blindness of an endpoint that touches the time from `from` to `until`.
    pub(super) fn blind(&self, id: EndpointId, from: Moment, until: Moment) -> impl Iterator<Item = &Blind> {
        let spans = self.ends.get(id.index()).map_or(&[][..], |end| &end.blind);
        spans.iter().rev().filter(move |span| span.from <= until && span.until >= from)
    }

    fn told(&mut self, id: EndpointId, until: Moment, at: Moment) {
        if let Some(end) = self.ends.get_mut(id.index()) {
            end.complete = end.complete.max(until);
            end.heard = end.heard.max(at);
        }
    }

    fn lose(&mut self, id: EndpointId, since: Moment, why: String) {
        if let Some(end) = self.ends.get_mut(id.index()) {
            let since = end.lost.as_ref().map_or(since, |lost| lost.since.min(since));
            end.lost = Some(Lost { since, why });
        }
    }

    fn blinded(&mut self, id: EndpointId, span: Blind) {
        let Some(end) = self.ends.get_mut(id.index()) else { return };
        match end.blind.last_mut() {
            Some(last) if last.why == span.why && span.from <= last.until && last.from <= span.until => {
                last.from = last.from.min(span.from);
                last.until = last.until.max(span.until);
            }
            Some(_) | None => end.blind.push(span),
        }
    }

    /// Forgets blindness that ended before `before`.
    pub(super) fn forget(&mut self, before: Moment) {
        for end in &mut self.ends {
            if end.blind.first().is_some_and(|span| span.until < before) {
                end.blind.retain(|span| span.until >= before);
            }
        }
    }

    fn dialled(&mut self, to: (EndpointId, Family, Port), first: Moment, last: Moment, outcome: &Outcome) {
        let answer = match outcome {
            Outcome::Reached => SelfAnswer::Proved,
            // The agent's own trouble says nothing about its listener.
            Outcome::Failed { .. } => return,
            Outcome::HalfOpen
            | Outcome::SomeoneElse { .. }
            | Outcome::Translated { .. }
            | Outcome::Silent
            | Outcome::Refused { .. }
            | Outcome::Unreachable { .. }
            | Outcome::Unsupported { .. } => SelfAnswer::Failed,
        };
        let runs = self.dials.entry(to).or_default();
        match runs.last_mut() {
            Some(run) if run.answer == answer => {
                run.first = run.first.min(first);
                run.last = run.last.max(last);
            }
            Some(_) | None => runs.push(Dialled { first, last, answer }),
        }
        if runs.len() > CHANGES_KEPT {
            runs.drain(..CHANGES_KEPT / 2);
        }
    }

    /// Whether the listener answered its own pod close to the time from `from` to `until` (within `near` of it), and
    /// failed to at no time in it.
    pub(super) fn answered_itself(
        &self,
        to: (EndpointId, Family, Port),
        from: Moment,
        until: Moment,
        near: std::time::Duration,
    ) -> bool {
        let runs = self.dials.get(&to).map_or(&[][..], Vec::as_slice);
        let touches = |run: &Dialled, a: Moment, b: Moment| run.first <= b && run.last >= a;
        let proved = runs
            .iter()
            .rev()
            .any(|run| run.answer == SelfAnswer::Proved && touches(run, from.minus(near), until.plus(near)));
        proved && !self.failed_itself(to, from, until)
    }

    /// Whether the listener failed to answer its own pod at any time from `from` to `until`.
    pub(super) fn failed_itself(&self, to: (EndpointId, Family, Port), from: Moment, until: Moment) -> bool {
        let runs = self.dials.get(&to).map_or(&[][..], Vec::as_slice);
        runs.iter().rev().any(|run| run.answer == SelfAnswer::Failed && run.first <= until && run.last >= from)
    }

    /// Whether the listener answered its own pod both before and after the time from `from` to `until`, without
    /// failing once between: it lived through it.
    pub(super) fn lived_through(&self, to: (EndpointId, Family, Port), from: Moment, until: Moment) -> bool {
        self.dials.get(&to).is_some_and(|runs| {
            runs.iter().any(|run| run.answer == SelfAnswer::Proved && run.first <= from && run.last >= until)
        })
    }

    /// Whether any listener of the endpoint answered its own pod near that time, and none failed in it.
    pub(super) fn any_answered_itself(
        &self,
        id: EndpointId,
        family: Family,
        from: Moment,
        until: Moment,
        near: std::time::Duration,
    ) -> bool {
        self.dials
            .keys()
            .filter(|(endpoint, of, _)| *endpoint == id && *of == family)
            .any(|key| self.answered_itself(*key, from, until, near))
    }
}
