//! Everybody a scenario names over all its stages, with ids, nodes and addresses.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::{NonZeroU8, NonZeroU16};

use super::addresses::{NODES, OUTSIDE, PER_NODE, Plan, unusable};
use crate::model::endpoint::{Addresses, EndpointId, EndpointKind, Family, NodeOrdinal};
use crate::model::flow::{Flow, NamedFlow};
use crate::model::port::{Port, Protocol, ServedPort};
use crate::scenario::borrowed::Borrowed;
use crate::scenario::decode::At;
use crate::scenario::diagnostic::Code;
use crate::scenario::log::{Draft, Log, error};
use crate::scenario::raw;
use crate::scenario::text::Span;
use crate::scenario::world::{Outside, Pod, Service};
use crate::scenario::{Endpoint, candidates};

/// The most endpoints: beyond it there are more flows than anybody can probe.
const ENDPOINTS: usize = 2_000;

/// Everybody.
pub(super) struct Cast {
    /// In order of name.
    pub endpoints: Vec<Endpoint>,
    /// Where each was defined.
    pub spans: Vec<Span>,
    /// Every pod as it is when it first appears.
    pub pods: BTreeMap<EndpointId, Pod>,
    /// The pods that are there from the start, then those that each step adds. One that was removed may be added again.
    pub added: Vec<BTreeMap<EndpointId, Pod>>,
    /// Where the namespace of each pod and Service was named.
    pub homes: BTreeMap<EndpointId, Span>,
    /// Every pod whose labels are a workload's.
    pub borrowed: BTreeMap<EndpointId, Borrowed>,
    /// Every outside endpoint.
    pub outside: BTreeMap<EndpointId, Outside>,
    /// Every Service.
    pub services: BTreeMap<EndpointId, Service>,
    /// The addresses that the file leaves out.
    pub planned: BTreeSet<(EndpointId, Family)>,
    /// IPv4 first.
    pub families: Vec<Family>,
    /// By name, and of pods by `namespace/name` too.
    ids: HashMap<String, EndpointId>,
}

/// An endpoint as the file names it.
struct Defined<'a> {
    /// Its name, without its namespace.
    name: &'a str,
    /// Of a pod the namespace.
    namespace: Option<&'a str>,
    kind: EndpointKind,
    span: Span,
    /// What defines it last: 0 is the file's `pods`, from 1 on its steps.
    last: usize,
}

impl Cast {
    /// Names everybody, places the pods and plans the addresses.
    pub fn gather(raw: &raw::Scenario, log: &mut Log) -> Self {
        let mut families: Vec<Family> =
            raw.families.as_ref().map_or(vec![Family::V4], |all| all.iter().map(|at| at.value).collect());
        families.sort_unstable();

        let defined = defined(raw, log);
        if defined.len() > ENDPOINTS {
            let message = format!("this scenario has {} endpoints; at most {ENDPOINTS} fit", defined.len());
            log.push(error(Code::TooLarge, message).at(raw.span));
        }
        let mut ids = HashMap::new();
        let (mut endpoints, mut spans) = (Vec::new(), Vec::new());
        for ((name, one), id) in named(defined).into_iter().zip((0..).map(EndpointId)) {
            if let Some(namespace) = one.namespace {
                ids.insert(format!("{namespace}/{}", one.name), id);
            }
            ids.insert(name.clone(), id);
            endpoints.push(Endpoint { name, kind: one.kind, namespace: one.namespace.map(ToOwned::to_owned) });
            spans.push(one.span);
        }
        let mut cast = Self {
            endpoints,
            spans,
            pods: BTreeMap::new(),
            added: Vec::new(),
            homes: BTreeMap::new(),
            borrowed: BTreeMap::new(),
            outside: BTreeMap::new(),
            services: BTreeMap::new(),
            planned: BTreeSet::new(),
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

    /// The id of a name, or of a pod's `namespace/name`.
    pub fn find(&self, name: &str) -> Option<EndpointId> {
        self.ids.get(name).copied()
    }

    /// The id of a pod.
    pub fn find_pod(&self, namespace: &str, name: &str) -> Option<EndpointId> {
        self.find(&format!("{namespace}/{name}"))
    }

    /// Where a name is that of several pods: the error that lists them.
    pub fn ambiguous(&self, name: &At<String>) -> Option<Draft> {
        let pods = candidates(&self.endpoints, &name.value);
        let message = format!("`{}` is the name of {} pods", name.value, pods.len());
        let help = format!("write {}", pods.join(" or "));
        (!pods.is_empty()).then(|| error(Code::UnknownName, message).at(name.span).help(help))
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

    /// The ports an endpoint serves by its own definition, at any time.
    pub fn serves(&self, id: EndpointId) -> BTreeSet<Port> {
        let pods = self.added.iter().filter_map(|pods| pods.get(&id)).flat_map(|pod| &pod.serves);
        let outside = self.outside.get(&id).into_iter().flat_map(|outside| &outside.serves);
        pods.chain(outside).map(|served| served.port).collect()
    }

    /// Every address the file gives, checked.
    fn given(&self, raw: &raw::Scenario, log: &mut Log) -> HashSet<IpAddr> {
        let added = raw.steps.iter().flat_map(|step| &step.add);
        let pods = raw.pods.iter().chain(added).map(|(name, pod)| {
            let id = self.find_pod(&pod.namespace.value, &name.value);
            (id, pod.address, pod.address6)
        });
        let outside =
            raw.outside.iter().map(|(name, outside)| (self.find(&name.value), outside.address, outside.address6));
        let mut seen: HashMap<IpAddr, (Span, Option<EndpointId>)> = HashMap::new();
        for (id, v4, v6) in pods.chain(outside) {
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
                // A pod that comes back may have the address it had.
                if let Some((first, whose)) = seen.insert(address, (span, id))
                    && (whose.is_none() || whose != id)
                {
                    let draft = error(Code::Duplicate, format!("the address `{address}` is given twice"));
                    log.push(draft.note(span, "again here").note(first, "first here"));
                }
            }
        }
        seen.into_keys().collect()
    }

    fn settle_pods(&mut self, pods: &raw::Named<raw::Pod>, plan: &mut Plan, log: &mut Log) {
        let mut settled = BTreeMap::new();
        let mut pods: Vec<_> = pods.iter().collect();
        pods.sort_by(|a, b| (&a.0.value, &a.1.namespace.value).cmp(&(&b.0.value, &b.1.namespace.value)));
        for (name, pod) in pods {
            let Some(id) = self.find_pod(&pod.namespace.value, &name.value) else { continue };
            let node = pod.node.map_or_else(|| plan.next_node(), |at| at.value).clamp(1, NODES);
            let Some(mut addresses) = plan.pod(node) else {
                let message = format!("node {node} has more than {PER_NODE} pods");
                log.push(error(Code::TooLarge, message).at(name.span).help("place some with `node:`"));
                continue;
            };
            self.settle_addresses(id, &mut addresses, pod.address, pod.address6);
            if self.pods.contains_key(&id) {
                self.same_again(name, pod, id, log);
            } else {
                self.homes.insert(id, pod.namespace.span);
                if let Some(like) = &pod.like {
                    let (like, namespace) = (like.value.clone(), pod.namespace.value.clone());
                    self.borrowed.insert(id, Borrowed { like, namespace, said: pod.labels.clone() });
                }
            }
            let pod = Pod {
                namespace: pod.namespace.value.clone(),
                labels: pod.labels.clone().unwrap_or_default(),
                serves: served(pod.serves.as_ref()),
                node: NodeOrdinal(NonZeroU8::new(node).unwrap_or(NonZeroU8::MIN)),
                addresses,
            };
            self.pods.entry(id).or_insert_with(|| pod.clone());
            settled.insert(id, pod);
        }
        self.added.push(settled);
    }

    /// What a pod that is added again under its name has in common with the one that was removed.
    fn same_again(&self, name: &At<String>, pod: &raw::Pod, id: EndpointId, log: &mut Log) {
        let first = self.span(id);
        let like = self.borrowed.get(&id).map(|borrowed| (&borrowed.like, &borrowed.said));
        if like != pod.like.as_ref().map(|like| (&like.value, &pod.labels)) {
            let message = format!("the pod `{}` is to come back with the labels of something else", name.value);
            let draft = error(Code::Conflict, message).note(name.span, "here").note(first, "defined here");
            log.push(draft.help("a pod with `like` comes back with the same `like` and `labels`"));
        }
    }

    /// Puts the addresses that the file gives in the place of planned ones.
    fn settle_addresses(
        &mut self,
        id: EndpointId,
        addresses: &mut Addresses,
        v4: Option<At<Ipv4Addr>>,
        v6: Option<At<Ipv6Addr>>,
    ) {
        let planned = [(Family::V4, v4.is_none()), (Family::V6, v6.is_none())].into_iter();
        self.planned.extend(planned.filter(|(_, planned)| *planned).map(|(family, _)| (id, family)));
        addresses.v4 = v4.map(|at| at.value).or(addresses.v4);
        addresses.v6 = v6.map(|at| at.value).or(addresses.v6);
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
            self.settle_addresses(id, &mut addresses, outside.address, outside.address6);
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

/// Every endpoint of the file. Pods of two namespaces may have one name.
fn defined<'r>(raw: &'r raw::Scenario, log: &mut Log) -> Vec<Defined<'r>> {
    let added = (1..).zip(&raw.steps).flat_map(|(place, step)| step.add.iter().map(move |pod| (place, pod)));
    let pods = raw.pods.iter().map(|pod| (0, pod)).chain(added);
    let pods = pods.map(|(place, (name, pod))| (place, name, EndpointKind::Pod, Some(pod.namespace.value.as_str())));
    let outside = raw.outside.iter().map(|(name, _)| (0, name, EndpointKind::Outside, None));
    let services = raw.services.iter().map(|(name, _)| (0, name, EndpointKind::Service, None));
    let mut all: Vec<Defined<'_>> = Vec::new();
    let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
    for (last, name, kind, namespace) in pods.chain(outside).chain(services) {
        let there = places.entry(&name.value).or_default();
        let same = |other: &&Defined<'_>| match (other.namespace, namespace) {
            (Some(one), Some(other)) => one == other,
            _ => true,
        };
        let first = there.iter().copied().find(|place| all.get(*place).as_ref().is_some_and(same));
        if let Some(first) = first.and_then(|place| all.get_mut(place)) {
            if kind == EndpointKind::Pod && first.kind == EndpointKind::Pod && last != first.last {
                // It may have been removed before it is added again: that shows when the steps are played through.
                first.last = last;
                continue;
            }
            let within = namespace.and(first.namespace).map(|namespace| format!(" in the namespace `{namespace}`"));
            let message = format!("two endpoints are called `{}`{}", name.value, within.unwrap_or_default());
            let draft = error(Code::Duplicate, message);
            log.push(draft.note(name.span, "again here").note(first.span, "first here"));
        } else {
            there.push(all.len());
            all.push(Defined { name: &name.value, namespace, kind, span: name.span, last });
        }
    }
    all
}

/// The endpoints by name. A pod whose name another pod has too is called `namespace/name`.
fn named(all: Vec<Defined<'_>>) -> BTreeMap<String, Defined<'_>> {
    let mut count: HashMap<&str, usize> = HashMap::new();
    for one in &all {
        *count.entry(one.name).or_default() += 1;
    }
    let name = |one: &Defined<'_>| match one.namespace {
        Some(namespace) if count.get(one.name).is_some_and(|count| *count > 1) => format!("{namespace}/{}", one.name),
        _ => one.name.to_owned(),
    };
    all.into_iter().map(|one| (name(&one), one)).collect()
}

fn served(given: Option<&Vec<ServedPort>>) -> Vec<ServedPort> {
    given.cloned().unwrap_or_else(|| {
        let number = NonZeroU16::new(8080).unwrap_or(NonZeroU16::MAX);
        vec![ServedPort { port: Port { number, protocol: Protocol::Tcp }, name: None }]
    })
}
