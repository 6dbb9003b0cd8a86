//! Small constructors for worlds and policies.

use std::num::{NonZeroU8, NonZeroU16};
use std::sync::Arc;

use crate::model::endpoint::{Addresses, EndpointId, Family, NodeOrdinal};
use crate::model::flow::{CellSet, Flow, FlowTable};
use crate::model::labels::Labels;
use crate::model::port::{Port, Protocol, ServedPort};
use crate::model::prediction::{Direction, PolicyRef};
use crate::policy::network_policy::{IpBlock, NetworkPolicy, Peer, PortClause, PortMatch, Rule};
use crate::policy::selector::{LabelSelector, Operator, Requirement};
use crate::policy::unknown::UnknownPolicy;
use crate::policy::{Clause, Policy};
use crate::scenario::world::{Outside, Pod, World};

/// A world with names, whose cells are every pair of different endpoints at every port that anybody serves.
#[derive(Debug, Clone, Default)]
pub(super) struct Lab {
    pub(super) world: World,
    names: Vec<String>,
}

impl Lab {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Namespaces `x`, `y` and `z`, each labelled `ns=` its name, with pods `a`, `b` and `c`, each labelled `pod=` its
    /// name and serving 80 and 81 over every protocol: the world of the catalogues.
    pub(super) fn xyz() -> Self {
        let mut lab = Self::new();
        for namespace in ["x", "y", "z"] {
            lab = lab.namespace(namespace, &format!("ns={namespace}"));
        }
        let serves = "serve-80-tcp=80/tcp,serve-81-tcp=81/tcp,serve-80-udp=80/udp,serve-81-udp=81/udp,\
                      serve-80-sctp=80/sctp,serve-81-sctp=81/sctp";
        for namespace in ["x", "y", "z"] {
            for pod in ["a", "b", "c"] {
                lab = lab.pod(&format!("{namespace}/{pod}"), &format!("pod={pod}"), serves);
            }
        }
        lab
    }

    pub(super) fn namespace(mut self, name: &str, with: &str) -> Self {
        let mut all = labels(with);
        all.0.insert("kubernetes.io/metadata.name".into(), name.into());
        self.world.namespaces.insert(name.into(), all);
        self
    }

    /// A pod `namespace/name`, at the next address: 10.0.0.1, 10.0.0.2 and so on, and fd00::1, fd00::2 and so on.
    pub(super) fn pod(mut self, name: &str, with: &str, serves: &str) -> Self {
        let id = self.id(name);
        let addresses = Addresses {
            v4: Some(std::net::Ipv4Addr::from_bits(0x0A00_0001 + id.0)),
            v6: Some(std::net::Ipv6Addr::from_bits((0xFD00 << 112) + 1 + u128::from(id.0))),
        };
        let (namespace, _) = name.split_once('/').unwrap();
        let pod = Pod {
            namespace: namespace.into(),
            labels: labels(with),
            serves: ports(serves),
            node: NodeOrdinal(NonZeroU8::MIN),
            addresses,
        };
        self.world.pods.insert(id, pod);
        self
    }

    pub(super) fn outside(mut self, name: &str, address: &str, serves: &str) -> Self {
        let id = self.id(name);
        let mut addresses = Addresses::default();
        match address.parse().unwrap() {
            std::net::IpAddr::V4(v4) => addresses.v4 = Some(v4),
            std::net::IpAddr::V6(v6) => addresses.v6 = Some(v6),
        }
        self.world.outside.insert(id, Outside { serves: ports(serves), addresses });
        self
    }

    pub(super) fn under(mut self, policies: Vec<Policy>) -> Self {
        self.world.policies = policies;
        self.world.policies.sort_by_key(|policy| {
            let reference = policy.reference();
            (reference.namespace, reference.name, reference.kind)
        });
        self
    }

    pub(super) fn relabel_pod(mut self, name: &str, with: &str) -> Self {
        let id = self.id(name);
        self.world.pods.get_mut(&id).unwrap().labels = labels(with);
        self
    }

    pub(super) fn without(mut self, name: &str) -> Self {
        let id = self.id(name);
        self.world.pods.remove(&id).unwrap();
        self
    }

    pub(super) fn without_outside(mut self, name: &str) -> Self {
        let id = self.id(name);
        self.world.outside.remove(&id).unwrap();
        self
    }

    pub(super) fn id(&mut self, name: &str) -> EndpointId {
        let place = self.names.iter().position(|n| n == name).unwrap_or_else(|| {
            self.names.push(name.into());
            self.names.len() - 1
        });
        EndpointId(place as u32)
    }

    pub(super) fn name(&self, id: EndpointId) -> String {
        self.names.get(id.index()).cloned().unwrap_or_else(|| "nobody".into())
    }

    /// Every flow whose two ends have an address of its family, at every port anybody serves.
    pub(super) fn cells(&self) -> Arc<CellSet> {
        let ids: Vec<_> = self.world.endpoints().collect();
        let mut aims: Vec<Port> = ids.iter().flat_map(|id| self.world.serves(*id)).map(|served| served.port).collect();
        aims.sort_unstable();
        aims.dedup();
        let mut flows = Vec::new();
        for source in &ids {
            for destination in &ids {
                for family in [Family::V4, Family::V6] {
                    let has = |id| self.world.addresses(id).and_then(|a| a.of(family)).is_some();
                    if has(*source) && has(*destination) {
                        let flow = |port| Flow { source: *source, destination: *destination, family, port };
                        flows.extend(aims.iter().map(|port| flow(*port)));
                    }
                }
            }
        }
        Arc::new(CellSet::new(Arc::new(FlowTable::new(flows)), |_| true))
    }

    pub(super) fn flow(&mut self, from: &str, to: &str, at: &str) -> Flow {
        Flow { source: self.id(from), destination: self.id(to), family: Family::V4, port: port(at) }
    }
}

/// `a=1,b=2`.
pub(super) fn labels(text: &str) -> Labels {
    let pairs = text.split(',').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').unwrap()).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

/// `80/tcp`.
pub(super) fn port(text: &str) -> Port {
    let (number, protocol) = text.split_once('/').unwrap();
    let protocol = match protocol {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        "sctp" => Protocol::Sctp,
        other => panic!("{other} is no protocol"),
    };
    Port { number: number.parse().unwrap(), protocol }
}

/// `80/tcp,web=8080/tcp`.
fn ports(text: &str) -> Vec<ServedPort> {
    let one = |entry: &str| match entry.split_once('=') {
        Some((name, at)) => ServedPort { port: port(at), name: Some(name.into()) },
        None => ServedPort { port: port(entry), name: None },
    };
    text.split(',').filter(|entry| !entry.is_empty()).map(one).collect()
}

/// `a=1; b in (1,2); c not in (3); d; !e`: labels first by `=`, then expressions.
pub(super) fn selector(text: &str) -> LabelSelector {
    let mut selector = LabelSelector::default();
    for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
        let values = |list: &str| list.trim_matches(['(', ')']).split(',').map(|v| v.trim().to_owned()).collect();
        let (key, operator) = if let Some((key, list)) = part.split_once(" not in ") {
            (key, Operator::NotIn(values(list)))
        } else if let Some((key, list)) = part.split_once(" in ") {
            (key, Operator::In(values(list)))
        } else if let Some(key) = part.strip_prefix('!') {
            (key, Operator::DoesNotExist)
        } else if let Some((key, value)) = part.split_once('=') {
            selector.match_labels.insert(key.into(), value.into());
            continue;
        } else {
            (part, Operator::Exists)
        };
        selector.match_expressions.push(Requirement { key: key.into(), operator });
    }
    selector
}

pub(super) fn pods(text: &str) -> Peer {
    Peer::Pods(selector(text))
}

pub(super) fn namespaces(text: &str) -> Peer {
    Peer::Namespaces(selector(text))
}

pub(super) fn both(namespaces: &str, pods: &str) -> Peer {
    Peer::PodsInNamespaces { namespaces: selector(namespaces), pods: selector(pods) }
}

pub(super) fn block(cidr: &str, except: &[&str]) -> Peer {
    let except = except.iter().map(|net| net.parse().unwrap()).collect();
    Peer::Block(IpBlock { cidr: cidr.parse().unwrap(), except })
}

/// An entry of `ports`: `80/tcp`, `80` (no protocol), `/udp` (no port), `80-90/tcp`, `web/tcp`, or nothing at all.
pub(super) fn at(text: &str) -> PortClause {
    let (what, protocol) = text.split_once('/').map_or((text, None), |(what, protocol)| (what, Some(protocol)));
    let number = |text: &str| text.parse::<NonZeroU16>();
    let what = match (what, what.split_once('-').map(|(a, b)| (number(a), number(b)))) {
        ("", _) => None,
        (_, Some((Ok(first), Ok(last)))) => Some(PortMatch::Range(first, last)),
        (text, _) => Some(number(text).map_or_else(|_| PortMatch::Name(text.into()), PortMatch::Number)),
    };
    PortClause { protocol: protocol.map(|p| port(&format!("1/{p}")).protocol), port: what }
}

/// A rule without lists, to which they can be added.
pub(super) fn rule() -> Rule {
    Rule { peers: Clause::Absent, ports: Clause::Absent }
}

impl Rule {
    pub(super) fn from(mut self, peers: Vec<Peer>) -> Self {
        self.peers = Clause::Given(peers);
        self
    }

    pub(super) fn at(mut self, ports: &[&str]) -> Self {
        self.ports = Clause::Given(ports.iter().map(|text| at(text)).collect());
        self
    }
}

/// A policy `namespace/name` on the pods a selector selects, to which the rest can be added.
pub(super) fn np(name: &str, on: &str) -> NetworkPolicy {
    let (namespace, name) = name.split_once('/').unwrap();
    NetworkPolicy {
        namespace: namespace.into(),
        name: name.into(),
        pod_selector: selector(on),
        policy_types: Clause::Absent,
        ingress: Clause::Absent,
        egress: Clause::Absent,
        manifest: serde_json::Value::Null,
    }
}

impl NetworkPolicy {
    pub(super) fn types(mut self, types: &[Direction]) -> Self {
        self.policy_types = Clause::Given(types.to_vec());
        self
    }

    pub(super) fn ingress(mut self, rules: Vec<Rule>) -> Self {
        self.ingress = Clause::Given(rules);
        self
    }

    pub(super) fn egress(mut self, rules: Vec<Rule>) -> Self {
        self.egress = Clause::Given(rules);
        self
    }

    pub(super) fn make(self) -> Policy {
        Policy::Network(Arc::new(self))
    }
}

/// A policy of a kind nobody knows, in a namespace or in none.
pub(super) fn unknown(kind: &str, namespace: Option<&str>, name: &str) -> Policy {
    let reference = PolicyRef { kind: kind.into(), namespace: namespace.map(Into::into), name: name.into() };
    let api_version = "example.com/v1".into();
    Policy::Unknown(Arc::new(UnknownPolicy { reference, api_version, manifest: serde_json::Value::Null }))
}
