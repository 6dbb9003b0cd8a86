//! Who takes part: the agents of a world and where they are.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU16;

use crate::fabric::Realised;
use crate::model::document::FabricKind;
use crate::model::endpoint::EndpointId;
use crate::model::port::{Port, Protocol};
use crate::probe::Member;
use crate::scenario::Scenario;
use crate::scenario::world::{ServicePort, World};

/// What an agent listens on that nobody calls.
const UNCALLED: Port = Port { number: NonZeroU16::new(8080).unwrap(), protocol: Protocol::Tcp };

/// Puts the addresses the fabric gave in place of the planned ones.
pub(super) fn settle<R: Realised>(world: &mut World, realised: &R) {
    for (id, placement) in realised.placements() {
        world.set_addresses(*id, placement.addresses);
    }
    // A cluster gives each pod an address of its own choice.
    if realised.info().kind == FabricKind::Cluster {
        world.planned.clear();
    }
}

/// The agents of these endpoints. An agent listens on every port that any cell of any stage asks for, served or not:
/// at a port where nobody listens a denial could not be told from a refusal. One that nobody calls listens all the
/// same: by calling itself it shows that it is alive. Pods behind a Service listen where it leads, called by nobody else
/// though they may be.
pub(super) fn members<R: Realised>(
    scenario: &Scenario,
    endpoints: impl Iterator<Item = EndpointId>,
    realised: &R,
) -> Vec<Member> {
    let mut ports: BTreeMap<EndpointId, BTreeSet<Port>> = BTreeMap::new();
    for (_, flow) in scenario.flows().iter() {
        if flow.port.protocol != Protocol::Sctp {
            ports.entry(flow.destination).or_default().insert(flow.port);
        }
    }
    for world in std::iter::once(scenario.bare()).chain(scenario.stages().iter().map(|stage| &stage.world)) {
        for service in world.services.values() {
            for id in world.behind(service) {
                let behind = service.ports.iter().map(ServicePort::behind);
                ports.entry(id).or_default().extend(behind.filter(|port| port.protocol != Protocol::Sctp));
            }
        }
    }
    endpoints
        .filter_map(|endpoint| {
            let placement = realised.placements().get(&endpoint)?;
            Some(Member {
                endpoint,
                name: scenario.name_of(endpoint).to_owned(),
                addresses: placement.addresses,
                ports: ports.remove(&endpoint).unwrap_or_else(|| BTreeSet::from([UNCALLED])).into_iter().collect(),
                token: placement.token.clone(),
            })
        })
        .collect()
}
