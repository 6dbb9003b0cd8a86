//! What a crew has told.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use leakproof::model::moment::Moment;
use leakproof::model::observation::{Blindness, Outcome, Sighting};
use leakproof::model::port::Port;
use tokio::sync::mpsc::UnboundedReceiver;

/// Everything seen so far.
#[derive(Default)]
pub struct Seen {
    pub outcomes: BTreeMap<u32, BTreeMap<u32, Outcome>>,
    pub launches: HashMap<u32, Vec<(Moment, Moment, Outcome)>>,
    pub delivered: BTreeMap<u32, Vec<u32>>,
    pub complete: HashMap<u32, (Moment, Moment)>,
    pub blind: Vec<(u32, Moment, Moment, Blindness)>,
    pub own: Vec<(u32, Port, Outcome)>,
    pub lost: Vec<(u32, String)>,
}

impl Seen {
    pub fn take(&mut self, sighting: Sighting) {
        match sighting {
            Sighting::Tried { flow, first_number, count, first, last, outcome, .. } => {
                let known = self.outcomes.entry(flow.0).or_default();
                for number in first_number..first_number + count {
                    assert!(known.insert(number, outcome.clone()).is_none(), "attempt {number} was reported twice");
                }
                self.launches.entry(flow.0).or_default().push((first, last, outcome));
            }
            Sighting::Delivered { flow, first_number, count, .. } => {
                self.delivered.entry(flow.0).or_default().extend(first_number..first_number + count);
            }
            Sighting::SelfDialled { endpoint, port, outcome, .. } => self.own.push((endpoint.0, port, outcome)),
            Sighting::Blind { endpoint, from, until, why } => self.blind.push((endpoint.0, from, until, why)),
            Sighting::Complete { endpoint, until, arrived } => {
                let before = self.complete.insert(endpoint.0, (until, arrived));
                assert!(before.is_none_or(|(u, a)| u <= until && a <= arrived), "a watermark went back");
            }
            Sighting::Persisted { .. } | Sighting::Counted { .. } => {}
            Sighting::Lost { endpoint, why, .. } => self.lost.push((endpoint.0, why)),
        }
    }

    /// Takes sightings until `enough`; a minute without getting there fails.
    pub async fn until(&mut self, sightings: &mut UnboundedReceiver<Sighting>, enough: impl Fn(&Self) -> bool) {
        let all = async {
            while !enough(self) {
                self.take(sightings.recv().await.expect("the crew is gone"));
            }
        };
        tokio::time::timeout(Duration::from_secs(60), all).await.expect("not seen within a minute");
    }

    /// The outcomes of a cell in order of number, which must have no gaps; runs of one outcome once.
    pub fn story(&self, cell: u32) -> Vec<Outcome> {
        let outcomes = &self.outcomes[&cell];
        assert!(outcomes.keys().copied().eq(0..outcomes.len() as u32), "cell {cell} has gaps in its numbers");
        let mut story: Vec<Outcome> = outcomes.values().cloned().collect();
        story.dedup();
        story
    }

    pub fn attempts(&self, cell: u32) -> usize {
        self.outcomes.get(&cell).map_or(0, BTreeMap::len)
    }
}
