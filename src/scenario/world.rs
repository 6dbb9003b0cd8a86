//! The world of one stage: what exists, with which labels and addresses, under which policies.
//!
//! This is all that oracle and lab are given; each reads it in its own way.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::num::NonZeroU16;

use crate::model::endpoint::{Addresses, EndpointId, Family, NodeOrdinal};
use crate::model::labels::Labels;
use crate::model::port::{Port, ServedPort};
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
    /// Services.
    pub services: BTreeMap<EndpointId, Service>,
    /// Policies in force, in order of namespace and name.
    pub policies: Vec<Policy>,
    /// The addresses that leakproof chose, since the file leaves them out and no cluster gave them.
    pub planned: BTreeSet<(EndpointId, Family)>,
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

/// A Service: an address whose connections are passed on to the pods it selects, one of them each.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    /// Its namespace.
    pub namespace: String,
    /// The labels that the pods behind it have; at least one.
    pub selects: Labels,
    /// Its ports; at least one.
    pub ports: Vec<ServicePort>,
    /// Its addresses: none until a fabric gives some.
    pub addresses: Addresses,
}

/// A port of a Service. Displayed as `80/tcp -> 8080/tcp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ServicePort {
    /// Its own.
    pub port: Port,
    /// The number at the pods behind it; the protocol is the same.
    pub target: NonZeroU16,
}

impl ServicePort {
    /// The port at the pods behind it.
    pub fn behind(&self) -> Port {
        Port { number: self.target, protocol: self.port.protocol }
    }
}

impl fmt::Display for ServicePort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.port.fmt(f)?;
        if self.target == self.port.number { Ok(()) } else { write!(f, " -> {}", self.behind()) }
    }
}

impl World {
    /// The addresses of an endpoint that exists.
    pub fn addresses(&self, id: EndpointId) -> Option<Addresses> {
        let pod = self.pods.get(&id).map(|pod| pod.addresses);
        pod.or_else(|| self.outside.get(&id).map(|o| o.addresses))
            .or_else(|| self.services.get(&id).map(|service| service.addresses))
    }

    /// What an endpoint that exists serves.
    pub fn serves(&self, id: EndpointId) -> &[ServedPort] {
        self.pods
            .get(&id)
            .map(|pod| pod.serves.as_slice())
            .or_else(|| self.outside.get(&id).map(|o| o.serves.as_slice()))
            .unwrap_or_default()
    }

    /// The pods behind a Service: those of its namespace that have its labels. Which of them gets a connection nobody
    /// can say beforehand.
    pub fn behind(&self, service: &Service) -> impl Iterator<Item = EndpointId> {
        let selected = |pod: &Pod| {
            pod.namespace == service.namespace
                && service.selects.0.iter().all(|(key, value)| pod.labels.get(key) == Some(value))
        };
        self.pods.iter().filter(move |(_, pod)| selected(pod)).map(|(id, _)| *id)
    }

    /// Every pod, and everything outside, that exists: whoever can send.
    pub fn endpoints(&self) -> impl Iterator<Item = EndpointId> {
        self.pods.keys().chain(self.outside.keys()).copied()
    }

    /// Puts the address a fabric gave in place of the planned one.
    pub fn set_addresses(&mut self, id: EndpointId, addresses: Addresses) {
        if let Some(pod) = self.pods.get_mut(&id) {
            pod.addresses = addresses;
        } else if let Some(outside) = self.outside.get_mut(&id) {
            outside.addresses = addresses;
        } else if let Some(service) = self.services.get_mut(&id) {
            service.addresses = addresses;
        }
    }
}
