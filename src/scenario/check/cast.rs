//! Everybody a scenario names over all its stages, with ids, nodes and addresses.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::num::{NonZeroU8, NonZeroU16};

use super::addresses::{NODES, OUTSIDE, PER_NODE, Plan, unusable};
use crate::model::endpoint::{Addresses, EndpointId, EndpointKind, Family, NodeOrdinal};
use crate::model::flow::{Flow, NamedFlow};
use crate::model::port::{Port, Protocol, ServedPort};
use crate::scenario::Endpoint;
use crate::scenario::borrowed::Borrowed;
use crate::scenario::decode::At;
use crate::scenario::diagnostic::Code;
use crate::scenario::log::{Log, error};
use crate::scenario::raw;
use crate::scenario::text::Span;
use crate::scenario::world::{Outside, Pod, Service};

/// The most endpoints: beyond it there are more flows than anybody can probe.
const ENDPOINTS: usize = 2_000;

/// Everybody.
pub(super) struct Cast {
    /// In order of name.
    pub endpoints: Vec<Endpoint>,
    /// Where each was defined.
    pub spans: Vec<Span>,
    /// Every pod as it is when it appears.
    pub pods: BTreeMap<EndpointId, Pod>,
    /// Where the namespace of each pod and Service was named.
    pub homes: BTreeMap<EndpointId, Span>,
    /// Every pod whose labels are a workload's.
    pub borrowed: BTreeMap<EndpointId, Borrowed>,
    /// Every outside endpoint.
    pub outside: BTreeMap<EndpointId, Outside>,
    /// Every Service.
    pub services: BTreeMap<EndpointId, Service>,
    /// IPv4 first.
    pub families: Vec<Family>,
    ids: HashMap<String, EndpointId>,
}

impl Cast {
    /// Names everybody, places the pods and plans the addresses.
    pub fn gather(raw: &raw::Scenario, log: &mut Log) -> Self {
        let mut families: Vec<Family> =
            raw.families.as_ref().map_or(vec![Family::V4], |all| all.iter().map(|at| at.value).collect());
        families.sort_unstable();

        let mut names: BTreeMap<&str, (Span, EndpointKind)> = BTreeMap::new();
        let added = raw.steps.iter().flat_map(|step| &step.add);
        let pods = raw.pods.iter().chain(added).map(|(name, _)| (name, EndpointKind::Pod));
        let outside = raw.outside.iter().map(|(name, _)| (name, EndpointKind::Outside));
        let services = raw.services.iter().map(|(name, _)| (name, EndpointKind::Service));
        for (name, kind) in pods.chain(outside).chain(services) {
            if let Some((first, _)) = names.get(name.value.as_str()) {
                let draft = error(Code::Duplicate, format!("two endpoints are called `{}`", name.value));
                log.push(draft.note(name.span, "again here").note(*first, "first here"));
            } else {
                names.insert(&name.value, (name.span, kind));
            }
        }
        if names.len() > ENDPOINTS {
            let message = format!("this scenario has {} endpoints; at most {ENDPOINTS} fit", names.len());
            log.push(error(Code::TooLarge, message).at(raw.span));
        }
        let ids = names.keys().zip(0..).map(|(name, id)| ((*name).to_owned(), EndpointId(id))).collect();
        let endpoints =
            names.iter().map(|(name, (_, kind))| Endpoint { name: (*name).to_owned(), kind: *kind }).collect();
        let spans = names.values().map(|(span, _)| *span).collect();
        let mut cast = Self {
            endpoints,
            spans,
            pods: BTreeMap::new(),
            homes: BTreeMap::new(),
            borrowed: BTreeMap::new(),
            outside: BTreeMap::new(),
            services: BTreeMap::new(),
            families,
            ids,
        };
        let taken = cast.given(raw, log);
        let mut plan = Plan::new(&cast.families, taken);
        cast.settle_pods(&raw.pods, &mut plan, log);
        for step in &raw.steps {
            cast.settle_pods(&step.add, &mut plan, log);
        }
        cast.settle_outside(&raw.outside, &mut plan, log);
        cast.settle_services(&raw.services);
        cast
    }

    /// The id of a name.
    pub fn find(&self, name: &str) -> Option<EndpointId> {
        self.ids.get(name).copied()
    }

    /// The name of an id.
    pub fn name(&self, id: EndpointId) -> &str {
        self.endpoints.get(id.index()).map_or("?", |endpoint| endpoint.name.as_str())
    }

    /// Where an endpoint was defined.
    pub fn span(&self, id: EndpointId) -> Span {
        self.spans.get(id.index()).copied().unwrap_or_default()
    }

    /// A flow with names.
    pub fn named(&self, flow: &Flow) -> NamedFlow {
        NamedFlow {
            from: self.name(flow.source).to_owned(),
            to: self.name(flow.destination).to_owned(),
            family: flow.family,
            port: flow.port,
        }
    }

    /// The nearest name there is.
    pub fn nearest(&self, wrong: &str, log: &Log) -> Option<String> {
        log.nearest(wrong, self.endpoints.iter().map(|endpoint| endpoint.name.as_str()))
    }

    /// What an endpoint serves by its own definition.
    pub fn serves(&self, id: EndpointId) -> &[ServedPort] {
        self.pods
            .get(&id)
            .map(|pod| pod.serves.as_slice())
            .or_else(|| self.outside.get(&id).map(|outside| outside.serves.as_slice()))
            .unwrap_or_default()
    }

    /// Every address the file gives, checked.
    fn given(&self, raw: &raw::Scenario, log: &mut Log) -> HashSet<IpAddr> {
        let added = raw.steps.iter().flat_map(|step| &step.add);
        let pods = raw.pods.iter().chain(added).map(|(_, pod)| (pod.address, pod.address6));
        let outside = raw.outside.iter().map(|(_, outside)| (outside.address, outside.address6));
        let mut seen: HashMap<IpAddr, Span> = HashMap::new();
        for (v4, v6) in pods.chain(outside) {
            let both = [v4.map(|at| at.map(IpAddr::V4)), v6.map(|at| at.map(IpAddr::V6))];
            for At { value: address, span } in both.into_iter().flatten() {
                if let Some(why) = unusable(address) {
                    let message = format!("nobody can have the address `{address}`: {why}");
                    log.push(error(Code::InvalidValue, message).at(span));
                }
                let family = Family::of(address);
                if !self.families.contains(&family) {
                    let word = raw::read::word(family);
                    log.push(
                        error(Code::NoEffect, format!("`{word}` is not among this scenario's `families`"))
                            .at(span)
                            .help("name it there, or leave this address out"),
                    );
                }
                if let Some(first) = seen.insert(address, span) {
                    let draft = error(Code::Duplicate, format!("the address `{address}` is given twice"));
                    log.push(draft.note(span, "again here").note(first, "first here"));
                }
            }
        }
        seen.into_keys().collect()
    }

    fn settle_pods(&mut self, pods: &raw::Named<raw::Pod>, plan: &mut Plan, log: &mut Log) {
        let mut pods: Vec<_> = pods.iter().collect();
        pods.sort_by(|a, b| a.0.value.cmp(&b.0.value));
        for (name, pod) in pods {
            let Some(id) = self.find(&name.value) else { continue };
            let node = pod.node.map_or_else(|| plan.next_node(), |at| at.value).clamp(1, NODES);
            let Some(mut addresses) = plan.pod(node) else {
                let message = format!("node {node} has more than {PER_NODE} pods");
                log.push(error(Code::TooLarge, message).at(name.span).help("place some with `node:`"));
                continue;
            };
            set(&mut addresses, pod.address, pod.address6);
            self.homes.insert(id, pod.namespace.span);
            if let Some(like) = &pod.like {
                let (like, namespace) = (like.value.clone(), pod.namespace.value.clone());
                self.borrowed.insert(id, Borrowed { like, namespace, said: pod.labels.clone() });
            }
            let pod = Pod {
                namespace: pod.namespace.value.clone(),
                labels: pod.labels.clone().unwrap_or_default(),
                serves: served(pod.serves.as_ref()),
                node: NodeOrdinal(NonZeroU8::new(node).unwrap_or(NonZeroU8::MIN)),
                addresses,
            };
            self.pods.insert(id, pod);
        }
    }

    fn settle_outside(&mut self, all: &raw::Named<raw::Outside>, plan: &mut Plan, log: &mut Log) {
        let mut all: Vec<_> = all.iter().collect();
        all.sort_by(|a, b| a.0.value.cmp(&b.0.value));
        for (name, outside) in all {
            let Some(id) = self.find(&name.value) else { continue };
            let Some(mut addresses) = plan.outside() else {
                let message = format!("there are more than {OUTSIDE} outside endpoints");
                log.push(error(Code::TooLarge, message).at(name.span));
                return;
            };
            set(&mut addresses, outside.address, outside.address6);
            self.outside.insert(id, Outside { serves: served(outside.serves.as_ref()), addresses });
        }
    }

    fn settle_services(&mut self, all: &raw::Named<raw::Service>) {
        for (name, service) in all {
            let taken = |id: &EndpointId| self.pods.contains_key(id) || self.outside.contains_key(id);
            let Some(id) = self.find(&name.value).filter(|id| !taken(id)) else { continue };
            self.homes.insert(id, service.namespace.span);
            let service = Service {
                namespace: service.namespace.value.clone(),
                selects: service.selects.clone(),
                ports: service.ports.iter().map(|at| at.value).collect(),
                addresses: Addresses::default(),
            };
            self.services.insert(id, service);
        }
    }
}

fn set(addresses: &mut Addresses, v4: Option<At<std::net::Ipv4Addr>>, v6: Option<At<std::net::Ipv6Addr>>) {
    addresses.v4 = v4.map(|at| at.value).or(addresses.v4);
    addresses.v6 = v6.map(|at| at.value).or(addresses.v6);
}

fn served(given: Option<&Vec<ServedPort>>) -> Vec<ServedPort> {
    given.cloned().unwrap_or_else(|| {
        let number = NonZeroU16::new(8080).unwrap_or(NonZeroU16::MAX);
        vec![ServedPort { port: Port { number, protocol: Protocol::Tcp }, name: None }]
    })
}
