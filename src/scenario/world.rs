//! The world of one stage: what exists, with which labels and addresses, under which policies.
//!
//! This is all that oracle and lab are given; each reads it in its own way.

use std::collections::BTreeMap;

use crate::model::endpoint::{Addresses, EndpointId, NodeOrdinal};
use crate::model::labels::Labels;
use crate::model::port::ServedPort;
use crate::policy::Policy;

/// What exists at one stage.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct World {
    /// Namespaces by name. Each has the label `kubernetes.io/metadata.name` that the API server sets.
    pub namespaces: BTreeMap<String, Labels>,
    /// Pods.
    pub pods: BTreeMap<EndpointId, Pod>,
    /// Addresses outside the cluster that can send and receive.
    pub outside: BTreeMap<EndpointId, Outside>,
    /// Policies in force, in order of namespace and name.
    pub policies: Vec<Policy>,
}

/// A pod.
#[derive(Debug, Clone, PartialEq)]
pub struct Pod {
    /// Its namespace.
    pub namespace: String,
    /// Its labels.
    pub labels: Labels,
    /// What it serves, and is to be listened on: the ports under `serves:`, then those that only an expectation names.
    pub serves: Vec<ServedPort>,
    /// Where it runs.
    pub node: NodeOrdinal,
    /// Its addresses: as planned by the scenario until a fabric gives others.
    pub addresses: Addresses,
}

/// Something outside the cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct Outside {
    /// What it serves.
    pub serves: Vec<ServedPort>,
    /// Its addresses.
    pub addresses: Addresses,
}

impl World {
    /// The addresses of an endpoint that exists.
    pub fn addresses(&self, id: EndpointId) -> Option<Addresses> {
        self.pods.get(&id).map(|pod| pod.addresses).or_else(|| self.outside.get(&id).map(|o| o.addresses))
    }

    /// What an endpoint that exists serves.
    pub fn serves(&self, id: EndpointId) -> &[ServedPort] {
        self.pods
            .get(&id)
            .map(|pod| pod.serves.as_slice())
            .or_else(|| self.outside.get(&id).map(|o| o.serves.as_slice()))
            .unwrap_or_default()
    }

    /// Every endpoint that exists.
    pub fn endpoints(&self) -> impl Iterator<Item = EndpointId> {
        self.pods.keys().chain(self.outside.keys()).copied()
    }

    /// Puts the address a fabric gave in place of the planned one.
    pub fn set_addresses(&mut self, id: EndpointId, addresses: Addresses) {
        if let Some(pod) = self.pods.get_mut(&id) {
            pod.addresses = addresses;
        } else if let Some(outside) = self.outside.get_mut(&id) {
            outside.addresses = addresses;
        }
    }
}
