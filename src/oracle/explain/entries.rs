//! Entries of selectors, `from`, `to` and `ports`, condition by condition.

use super::{End, words};
use crate::model::endpoint::{EndpointKind, Family};
use crate::model::explanation::{About, Condition, Entries, EntryStory, Met};
use crate::model::labels::Labels;
use crate::model::port::Port;
use crate::oracle::labels::holds;
use crate::oracle::peers::in_block;
use crate::oracle::ports::{Aim, protocol, takes};
use crate::policy::Clause;
use crate::policy::network_policy::{IpBlock, NetworkPolicy, Peer, PortClause, PortMatch};
use crate::policy::selector::LabelSelector;

/// A list, each entry told by `tell` as what it takes and its conditions.
pub(super) fn list<T>(clause: &Clause<T>, tell: impl Fn(&T) -> (String, Vec<Condition>)) -> Entries {
    let entries = match clause {
        Clause::Absent => return Entries::Absent,
        Clause::Given(entries) if entries.is_empty() => return Entries::Empty,
        Clause::Given(entries) => entries,
    };
    let told = (0..).zip(entries).map(|(place, entry)| {
        let (takes, conditions) = tell(entry);
        let met = Met::of(&conditions);
        EntryStory { place, takes, conditions, met }
    });
    Entries::Listed(told.collect())
}

/// A selector against a pod's labels.
pub(super) fn pod_labels(selector: &LabelSelector, labels: &Labels) -> Vec<Condition> {
    selected(selector, labels, About::PodLabel)
}

/// An entry of `from` or `to` against the peer.
pub(super) fn peer(policy: &NetworkPolicy, peer: &Peer, met: &End<'_>) -> (String, Vec<Condition>) {
    let party = &met.party;
    let conditions = match peer {
        Peer::Block(block) => in_this_block(block, met),
        Peer::Pods(_) | Peer::Namespaces(_) | Peer::PodsInNamespaces { .. } if met.pod.is_none() => {
            let finds = match party.kind {
                Some(EndpointKind::Outside) => "an address outside the cluster",
                Some(EndpointKind::Service) => "a service",
                Some(EndpointKind::Pod) | None => "nothing of that name in this world",
            };
            vec![condition(About::Kind, "a pod", finds, false)]
        }
        Peer::Pods(pods) => {
            let namespace = party.namespace.as_deref().unwrap_or_default();
            let own = namespace == policy.namespace;
            let mut all = vec![condition(
                About::Namespace,
                format!("namespace {}", policy.namespace),
                format!("namespace {namespace}"),
                own,
            )];
            all.extend(pod_labels(pods, &party.labels));
            all
        }
        Peer::Namespaces(namespaces) => selected(namespaces, &party.namespace_labels, About::NamespaceLabel),
        Peer::PodsInNamespaces { namespaces, pods } => {
            let mut all = selected(namespaces, &party.namespace_labels, About::NamespaceLabel);
            all.extend(pod_labels(pods, &party.labels));
            all
        }
    };
    (words::peer(policy, peer), conditions)
}

/// An entry of `ports` against the port. A name is looked up at the destination.
pub(super) fn port(clause: &PortClause, port: Port, destination: &End<'_>) -> (String, Vec<Condition>) {
    let wanted = protocol(clause);
    let mut conditions =
        vec![condition(About::Protocol, wanted.to_string(), port.protocol.to_string(), wanted == port.protocol)];
    let wants = match &clause.port {
        None => None,
        Some(PortMatch::Number(number)) => Some(format!("port {number}")),
        Some(PortMatch::Range(first, last)) => Some(format!("a port from {first} to {last}")),
        Some(PortMatch::Name(name)) => {
            Some(format!("the {wanted} port that {} names `{name}`", destination.party.name))
        }
    };
    if let Some(wants) = wants {
        let serves = destination.pod.map(|pod| pod.serves.as_slice()).unwrap_or_default();
        // Asked under the entry's own protocol, so that two conditions do not tell of one difference.
        let aim = Port { number: port.number, protocol: wanted };
        let held = takes(clause, &Aim::at_pod(aim, serves));
        let finds = match &clause.port {
            Some(PortMatch::Name(name)) => named(name, port, destination),
            Some(PortMatch::Number(_) | PortMatch::Range(..)) | None => format!("port {}", port.number),
        };
        conditions.push(condition(About::Port, wants, finds, held));
    }
    (words::port(clause), conditions)
}

/// What a name means at the destination.
fn named(name: &str, port: Port, destination: &End<'_>) -> String {
    let Some(pod) = destination.pod else { return format!("port {}; what is no pod names no ports", port.number) };
    let meant: Vec<_> = pod
        .serves
        .iter()
        .filter(|served| served.name.as_deref() == Some(name))
        .map(|served| served.port.to_string())
        .collect();
    if meant.is_empty() {
        format!("port {}; {} has no port named `{name}`", port.number, destination.party.name)
    } else {
        format!("port {}; `{name}` is {} there", port.number, meant.join(" and "))
    }
}

fn in_this_block(block: &IpBlock, met: &End<'_>) -> Vec<Condition> {
    let Some(address) = met.party.address else {
        let wants = format!("an address in {}", block.cidr);
        return vec![condition(About::Address, wants, format!("no {} address", met.family), false)];
    };
    let whole = IpBlock { cidr: block.cidr, except: Vec::new() };
    let inside = in_block(&whole, Some(address));
    let finds = match (block.cidr.addr().is_ipv4(), Family::of(address)) {
        (true, Family::V6) | (false, Family::V4) => format!("{address}, which is of the other family"),
        (true, Family::V4) | (false, Family::V6) => address.to_string(),
    };
    let mut conditions = vec![condition(About::Address, format!("an address in {}", block.cidr), finds, inside)];
    conditions.extend(block.except.iter().filter(|_| inside).map(|except| {
        let held = !except.contains(&address);
        condition(About::Address, format!("an address not in {except}"), address.to_string(), held)
    }));
    conditions
}

fn selected(selector: &LabelSelector, labels: &Labels, about: About) -> Vec<Condition> {
    let finds = |key: &str| match labels.get(key) {
        Some(value) => words::label(key, value),
        None => format!("no label {key}"),
    };
    let exact = selector
        .match_labels
        .iter()
        .map(|(key, value)| condition(about, words::label(key, value), finds(key), labels.get(key) == Some(value)));
    let expressed = selector.match_expressions.iter().map(|requirement| {
        condition(about, words::requirement(requirement), finds(&requirement.key), holds(requirement, labels))
    });
    exact.chain(expressed).collect()
}

fn condition(about: About, wants: impl Into<String>, finds: impl Into<String>, held: bool) -> Condition {
    Condition { about, wants: wants.into(), finds: finds.into(), met: Met::all(held) }
}
