//! A world laid out for questions about all of its endpoints at once.

use std::collections::{BTreeMap, HashMap};

use super::bits::Bits;
use super::index::Index;
use crate::model::endpoint::{Addresses, EndpointId};
use crate::model::labels::Labels;
use crate::policy::selector::LabelSelector;
use crate::scenario::world::{Pod, World};

/// Every endpoint of a world has a place: pods first, then what is outside, then one place for all that are not there.
#[derive(Debug)]
pub(in crate::oracle) struct View<'w> {
    world: &'w World,
    ids: Vec<EndpointId>,
    places: Vec<u32>,
    pods: Index<'w>,
    namespaces: Index<'w>,
    members: Vec<Bits>,
    numbers: HashMap<&'w str, usize>,
}

/// What stands at a place.
#[derive(Debug, Clone, Copy)]
pub(in crate::oracle) enum Occupant<'w> {
    /// A pod.
    Pod(&'w Pod),
    /// Something outside the cluster.
    Outside(Addresses),
    /// Nothing: the endpoint is not in this world.
    Nobody,
}

static NO_LABELS: Labels = Labels(BTreeMap::new());

impl<'w> View<'w> {
    /// Lays a world out.
    pub(in crate::oracle) fn of(world: &'w World) -> Self {
        let ids: Vec<_> = world.endpoints().collect();
        let nobody = ids.len() as u32;
        let mut places = vec![nobody; ids.iter().map(|id| id.index() + 1).max().unwrap_or(0)];
        for (place, id) in (0..).zip(&ids) {
            places[id.index()] = place;
        }
        let size = ids.len() + 1;
        let pods = Index::of(size, world.pods.values().map(|pod| &pod.labels).enumerate());

        // A pod whose namespace is not in the list counts as in one without labels: it must not vanish.
        let mut named: BTreeMap<&str, &Labels> =
            world.pods.values().map(|pod| (pod.namespace.as_str(), &NO_LABELS)).collect();
        named.extend(world.namespaces.iter().map(|(name, labels)| (name.as_str(), labels)));
        let namespaces = Index::of(named.len(), named.values().copied().enumerate());
        let numbers: HashMap<_, _> = named.keys().copied().zip(0..).collect();
        let mut members = vec![Bits::none(size); named.len()];
        for (place, pod) in world.pods.values().enumerate() {
            if let Some(number) = numbers.get(pod.namespace.as_str()) {
                members[*number].insert(place);
            }
        }
        Self { world, ids, places, pods, namespaces, members, numbers }
    }

    /// The place of an endpoint.
    pub(in crate::oracle) fn place(&self, id: EndpointId) -> usize {
        self.places.get(id.index()).map_or(self.ids.len(), |place| *place as usize)
    }

    /// How many places there are.
    pub(in crate::oracle) fn size(&self) -> usize {
        self.ids.len() + 1
    }

    /// What stands at a place.
    pub(in crate::oracle) fn occupant(&self, place: usize) -> Occupant<'w> {
        let Some(id) = self.ids.get(place) else { return Occupant::Nobody };
        match (self.world.pods.get(id), self.world.outside.get(id)) {
            (Some(pod), _) => Occupant::Pod(pod),
            (None, Some(outside)) => Occupant::Outside(outside.addresses),
            (None, None) => Occupant::Nobody,
        }
    }

    /// The world.
    pub(in crate::oracle) fn world(&self) -> &'w World {
        self.world
    }

    /// The pods of one namespace that a selector selects.
    pub(in crate::oracle) fn pods_in(&self, namespace: &str, pods: &LabelSelector) -> Bits {
        match self.numbers.get(namespace).and_then(|number| self.members.get(*number)) {
            Some(members) => {
                let mut selected = self.pods.select(pods);
                selected.keep(members);
                selected
            }
            None => Bits::none(self.size()),
        }
    }

    /// All pods of the namespaces that a selector selects.
    pub(in crate::oracle) fn pods_of(&self, namespaces: &LabelSelector) -> Bits {
        let mut all = Bits::none(self.size());
        for number in self.namespaces.select(namespaces).iter() {
            all.add(&self.members[number]);
        }
        all
    }

    /// The pods that one selector selects, in the namespaces that another selects.
    pub(in crate::oracle) fn pods_of_both(&self, namespaces: &LabelSelector, pods: &LabelSelector) -> Bits {
        let mut selected = self.pods.select(pods);
        selected.keep(&self.pods_of(namespaces));
        selected
    }
}
