//! Hand-made worlds.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::num::{NonZeroU8, NonZeroU16};
use std::sync::Arc;

use leakproof::model::endpoint::{Addresses, EndpointId, NodeOrdinal};
use leakproof::model::labels::Labels;
use leakproof::model::port::{Port, Protocol, ServedPort};
use leakproof::policy::network_policy::{NetworkPolicy, Peer, PortClause, PortMatch, Rule};
use leakproof::policy::selector::LabelSelector;
use leakproof::policy::{Clause, Policy};
use leakproof::scenario::world::{Outside, Pod, World};

/// A world and its endpoints' names.
#[derive(Clone, Default)]
pub struct Made {
    pub world: World,
    pub names: Vec<String>,
}

pub fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

pub fn port(number: u16, protocol: Protocol) -> Port {
    Port { number: NonZeroU16::new(number).expect("a port"), protocol }
}

pub fn served(number: u16, protocol: Protocol) -> ServedPort {
    ServedPort { port: port(number, protocol), name: None }
}

pub fn named(name: &str, number: u16, protocol: Protocol) -> ServedPort {
    ServedPort { name: Some(name.to_owned()), ..served(number, protocol) }
}

pub fn node(number: u8) -> NodeOrdinal {
    NodeOrdinal(NonZeroU8::new(number).expect("a node"))
}

impl Made {
    pub fn namespace(mut self, name: &str) -> Self {
        self.world.namespaces.insert(name.to_owned(), labels(&[("kubernetes.io/metadata.name", name)]));
        self
    }

    pub fn pod(mut self, name: &str, namespace: &str, on: u8, pairs: &[(&str, &str)], serves: &[ServedPort]) -> Self {
        let (id, pod) = self.next(name, namespace, on, pairs, serves);
        self.world.pods.insert(id, pod);
        self
    }

    /// The pod that [`Made::pod`] would add; its name is taken.
    pub fn next(
        &mut self,
        name: &str,
        namespace: &str,
        on: u8,
        pairs: &[(&str, &str)],
        serves: &[ServedPort],
    ) -> (EndpointId, Pod) {
        let id = self.id(name);
        let pod = Pod {
            namespace: namespace.to_owned(),
            labels: labels(pairs),
            serves: serves.to_vec(),
            node: node(on),
            addresses: Addresses {
                v4: Some(Ipv4Addr::from_bits(0x0af4_0001 + id.0)),
                v6: Some(Ipv6Addr::from_bits(0xfd00_0010_0244_0000_0000_0000_0000_0001 + u128::from(id.0))),
            },
        };
        (id, pod)
    }

    pub fn outside(mut self, name: &str, v4: [u8; 4], serves: &[ServedPort]) -> Self {
        let id = self.id(name);
        let addresses = Addresses {
            v4: Some(Ipv4Addr::from(v4)),
            v6: Some(Ipv6Addr::from_bits(0x2001_0db8 << 96 | u128::from(u32::from_be_bytes(v4)))),
        };
        self.world.outside.insert(id, Outside { serves: serves.to_vec(), addresses });
        self
    }

    pub fn policy(mut self, policy: NetworkPolicy) -> Self {
        self.world.policies.push(Policy::Network(Arc::new(policy)));
        self
    }

    fn id(&mut self, name: &str) -> EndpointId {
        self.names.push(name.to_owned());
        EndpointId(self.names.len() as u32 - 1)
    }

    pub fn find(&self, name: &str) -> EndpointId {
        EndpointId(self.names.iter().position(|known| known == name).expect("a known name") as u32)
    }

    /// The names, and some for pods that are to come.
    pub fn names_for_more(&self) -> Vec<String> {
        self.names.iter().cloned().chain(["newcomer".to_owned()]).collect()
    }

    pub fn without_policies(&self) -> World {
        World { policies: Vec::new(), ..self.world.clone() }
    }
}

pub fn selects(pairs: &[(&str, &str)]) -> LabelSelector {
    LabelSelector { match_labels: labels(pairs).0, match_expressions: Vec::new() }
}

/// A policy that says nothing yet but whom it selects.
pub fn policy(namespace: &str, name: &str, pods: LabelSelector) -> NetworkPolicy {
    NetworkPolicy {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        pod_selector: pods,
        policy_types: Clause::Absent,
        ingress: Clause::Absent,
        egress: Clause::Absent,
        manifest: serde_json::Value::Null,
    }
}

pub fn rule(peers: &[Peer], ports: &[PortClause]) -> Rule {
    let clause = |empty: bool| if empty { None } else { Some(()) };
    Rule {
        peers: clause(peers.is_empty()).map_or(Clause::Absent, |()| Clause::Given(peers.to_vec())),
        ports: clause(ports.is_empty()).map_or(Clause::Absent, |()| Clause::Given(ports.to_vec())),
    }
}

pub fn number(number: u16) -> PortClause {
    PortClause { protocol: None, port: Some(PortMatch::Number(NonZeroU16::new(number).expect("a port"))) }
}

pub fn range(protocol: Protocol, first: u16, last: u16) -> PortClause {
    let port = |number| NonZeroU16::new(number).expect("a port");
    PortClause { protocol: Some(protocol), port: Some(PortMatch::Range(port(first), port(last))) }
}

pub fn by_name(name: &str) -> PortClause {
    PortClause { protocol: None, port: Some(PortMatch::Name(name.to_owned())) }
}

/// The pipeline of the README: only `ai-processing` pods of its own namespace may reach the data store.
pub fn pipeline() -> Made {
    let store = [served(5432, Protocol::Tcp), served(9000, Protocol::Tcp), served(53, Protocol::Udp)];
    let web = [served(8080, Protocol::Tcp)];
    let home = "ai-data-pipeline";
    let policy = NetworkPolicy {
        policy_types: Clause::Given(vec![leakproof::model::prediction::Direction::Ingress]),
        ingress: Clause::Given(vec![rule(&[Peer::Pods(selects(&[("role", "ai-processing")]))], &[])]),
        ..policy(home, "allow-ai-processing-to-data-store", selects(&[("role", "data-store")]))
    };
    Made::default()
        .namespace(home)
        .namespace("ai-staging")
        .pod("ai-processing", home, 1, &[("role", "ai-processing")], &web)
        .pod("data-store", home, 2, &[("role", "data-store")], &store)
        .pod("data-store-2", home, 1, &[("role", "data-store")], &store)
        .pod("impostor", "ai-staging", 2, &[("role", "ai-processing")], &web)
        .pod("intruder", home, 1, &[("role", "intruder")], &web)
        .pod("nobody", home, 2, &[], &web)
        .policy(policy)
}
