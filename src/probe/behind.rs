//! Services, which have no agent: what is known of one is what the agents behind it tell.
//!
//! A judge wants to know of every destination up to when it has told everything, when it could not see, and whether its
//! listeners were alive. A Service has told everything when all behind it have; it was blind or lost when any of them
//! was; and at its port it answers itself as they do at theirs. So silence at a Service counts only where everybody who
//! could have been asked could see, and a dead listener behind it takes the witness from its denials.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::model::endpoint::EndpointId;
use crate::model::moment::Moment;
use crate::model::observation::Sighting;
use crate::model::port::Port;

/// Who is behind a Service.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Behind {
    /// The endpoints.
    pub endpoints: Vec<EndpointId>,
    /// Its ports, each with the port there.
    pub ports: Vec<(Port, Port)>,
}

/// Adds to what agents tell what follows from it of Services.
#[derive(Debug, Clone, Default)]
pub struct Relay {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    services: BTreeMap<EndpointId, Behind>,
    told: BTreeMap<EndpointId, (Moment, Moment)>,
}

impl Relay {
    /// Passes on what comes, with what is known of Services after it.
    pub fn begin(self, mut sightings: UnboundedReceiver<Sighting>) -> UnboundedReceiver<Sighting> {
        let (sender, receiver) = unbounded_channel();
        tokio::spawn(async move {
            while let Some(sighting) = sightings.recv().await {
                if self.pass(sighting, &sender).is_err() {
                    return;
                }
            }
        });
        receiver
    }

    /// From now on these are behind the Services.
    pub fn know(&self, services: BTreeMap<EndpointId, Behind>) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).services = services;
    }

    fn pass(&self, sighting: Sighting, to: &UnboundedSender<Sighting>) -> Result<(), ()> {
        let further = self.state.lock().unwrap_or_else(PoisonError::into_inner).follow(&sighting);
        std::iter::once(sighting).chain(further).try_for_each(|one| to.send(one).map_err(|_| ()))
    }
}

impl State {
    /// What follows from a sighting of an agent for the Services it is behind.
    fn follow(&mut self, sighting: &Sighting) -> Vec<Sighting> {
        match sighting {
            Sighting::Complete { endpoint, until, arrived } => {
                self.told.insert(*endpoint, (*until, *arrived));
            }
            Sighting::Tried { .. }
            | Sighting::Delivered { .. }
            | Sighting::Persisted { .. }
            | Sighting::Counted { .. } => return Vec::new(),
            Sighting::SelfDialled { .. } | Sighting::Blind { .. } | Sighting::Lost { .. } => {}
        }
        self.services.iter().flat_map(|(service, behind)| self.of_service(*service, behind, sighting)).collect()
    }

    fn of_service(&self, service: EndpointId, behind: &Behind, sighting: &Sighting) -> Vec<Sighting> {
        let has = |endpoint: &EndpointId| behind.endpoints.contains(endpoint);
        match sighting {
            Sighting::Complete { endpoint, .. } if has(endpoint) => {
                let told = behind.endpoints.iter().map(|id| self.told.get(id).copied().unwrap_or_default());
                let least = told.reduce(|a, b| (a.0.min(b.0), a.1.min(b.1)));
                least
                    .map(|(until, arrived)| Sighting::Complete { endpoint: service, until, arrived })
                    .into_iter()
                    .collect()
            }
            Sighting::Blind { endpoint, from, until, why } if has(endpoint) => {
                vec![Sighting::Blind { endpoint: service, from: *from, until: *until, why: *why }]
            }
            Sighting::Lost { endpoint, since, why } if has(endpoint) => {
                vec![Sighting::Lost { endpoint: service, since: *since, why: format!("one behind it is: {why}") }]
            }
            Sighting::SelfDialled { endpoint, family, port, first, last, outcome } if has(endpoint) => {
                let own = behind.ports.iter().filter(|(_, there)| there == port).map(|(own, _)| *own);
                own.map(|port| Sighting::SelfDialled {
                    endpoint: service,
                    family: *family,
                    port,
                    first: *first,
                    last: *last,
                    outcome: outcome.clone(),
                })
                .collect()
            }
            Sighting::Tried { .. }
            | Sighting::Delivered { .. }
            | Sighting::Persisted { .. }
            | Sighting::Counted { .. }
            | Sighting::Complete { .. }
            | Sighting::Blind { .. }
            | Sighting::Lost { .. }
            | Sighting::SelfDialled { .. } => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use super::*;
    use crate::model::endpoint::Family;
    use crate::model::observation::{Blindness, Outcome};
    use crate::model::port::Protocol;

    const SERVICE: EndpointId = EndpointId(9);
    const ONE: EndpointId = EndpointId(1);
    const TWO: EndpointId = EndpointId(2);

    fn port(number: u16) -> Port {
        Port { number: NonZeroU16::new(number).unwrap(), protocol: Protocol::Tcp }
    }

    fn complete(endpoint: EndpointId, until: u64) -> Sighting {
        Sighting::Complete { endpoint, until: Moment(until), arrived: Moment(until + 1) }
    }

    #[tokio::test]
    async fn a_service_is_known_by_those_behind_it() {
        let relay = Relay::default();
        let behind = Behind { endpoints: vec![ONE, TWO], ports: vec![(port(80), port(8080))] };
        relay.know(BTreeMap::from([(SERVICE, behind)]));
        let (sender, receiver) = unbounded_channel();
        let mut out = relay.clone().begin(receiver);
        let blind = |endpoint| Sighting::Blind { endpoint, from: Moment(1), until: Moment(2), why: Blindness::Starved };
        let dialled = |endpoint, number| Sighting::SelfDialled {
            endpoint,
            family: Family::V4,
            port: port(number),
            first: Moment(3),
            last: Moment(3),
            outcome: Outcome::Reached,
        };
        let lost = |endpoint, why: &str| Sighting::Lost { endpoint, since: Moment(4), why: why.into() };
        let other = EndpointId(3);
        let rows: [(Sighting, Vec<Sighting>, &str); 9] = [
            (complete(ONE, 50), vec![complete_at(0, 0)], "the other has told nothing yet"),
            (complete(TWO, 40), vec![complete_at(40, 41)], "as far as the one who is behind"),
            (complete(ONE, 60), vec![complete_at(40, 41)], "still"),
            (complete(other, 99), vec![], "somebody else's word is nothing to it"),
            (blind(TWO), vec![blind(SERVICE)], "blindness of one"),
            (dialled(ONE, 8080), vec![dialled(SERVICE, 80)], "a listener behind, as its own port"),
            (dialled(ONE, 9090), vec![], "a port it does not lead to"),
            (dialled(other, 8080), vec![], "a listener that is not behind it"),
            (lost(TWO, "gone"), vec![lost(SERVICE, "one behind it is: gone")], "one lost is the Service lost"),
        ];
        for (sighting, further, why) in rows {
            sender.send(sighting.clone()).unwrap();
            let mut seen = vec![out.recv().await.unwrap()];
            for _ in &further {
                seen.push(out.recv().await.unwrap());
            }
            let expected: Vec<_> = std::iter::once(sighting).chain(further).collect();
            assert_eq!(seen, expected, "{why}");
        }
        drop(sender);
        assert_eq!(out.recv().await, None, "and nothing besides");
    }

    fn complete_at(until: u64, arrived: u64) -> Sighting {
        Sighting::Complete { endpoint: SERVICE, until: Moment(until), arrived: Moment(arrived) }
    }
}
