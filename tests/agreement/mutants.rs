//! Ways to get NetworkPolicy wrong, each as a rewriting of the policies (or labels) that gives a right reader the wrong
//! idea. The fuzz must find every one: it would then find a reader that makes the same mistake.

use std::collections::BTreeMap;
use std::num::NonZeroU16;

use leakproof::model::port::Protocol;
use leakproof::model::prediction::Direction;
use leakproof::policy::Clause;
use leakproof::policy::network_policy::{IpBlock, NetworkPolicy, Peer, PortClause, PortMatch, Rule};
use leakproof::policy::selector::{LabelSelector, Operator, Requirement};
use leakproof::scenario::world::{Pod, World};

use crate::ground::METADATA_NAME;
use crate::rewrite::{blocks, network_policies, peers, policies, ports, rules, selectors, with_policies};

/// One way to get it wrong.
#[derive(Clone, Copy)]
pub struct Mutant {
    /// The mistake.
    pub name: &'static str,
    /// The world as somebody sees it who makes it.
    pub rewrite: fn(&World) -> World,
}

macro_rules! mutants {
    ($($name:literal => $rewrite:expr,)*) => { &[$(Mutant { name: $name, rewrite: $rewrite }),*] };
}

pub const ALL: &[Mutant] = mutants! {
    // Peers by selector.
    "AND of selectors read as OR" => |w| peers(w, |_, peer| match peer {
        Peer::PodsInNamespaces { namespaces, pods } => vec![Peer::Namespaces(namespaces.clone()), Peer::Pods(pods.clone())],
        Peer::Pods(_) | Peer::Namespaces(_) | Peer::Block(_) => vec![peer.clone()],
    }),
    "namespaceSelector beside a podSelector widened to every namespace" => |w| peers(w, |_, peer| match peer {
        Peer::PodsInNamespaces { pods, .. } => vec![everywhere(pods)],
        Peer::Pods(_) | Peer::Namespaces(_) | Peer::Block(_) => vec![peer.clone()],
    }),
    "namespaceSelector alone widened to every namespace" => |w| peers(w, |_, peer| match peer {
        Peer::Namespaces(_) => vec![Peer::Namespaces(LabelSelector::default())],
        Peer::Pods(_) | Peer::PodsInNamespaces { .. } | Peer::Block(_) => vec![peer.clone()],
    }),
    "namespaceSelector beside a podSelector read as the policy's own namespace" => |w| peers(w, |_, peer| match peer {
        Peer::PodsInNamespaces { pods, .. } => vec![Peer::Pods(pods.clone())],
        Peer::Pods(_) | Peer::Namespaces(_) | Peer::Block(_) => vec![peer.clone()],
    }),
    "podSelector beside a namespaceSelector ignored" => |w| peers(w, |_, peer| match peer {
        Peer::PodsInNamespaces { namespaces, .. } => vec![Peer::Namespaces(namespaces.clone())],
        Peer::Pods(_) | Peer::Namespaces(_) | Peer::Block(_) => vec![peer.clone()],
    }),
    "podSelector alone widened to every namespace" => |w| peers(w, |_, peer| match peer {
        Peer::Pods(pods) => vec![everywhere(pods)],
        Peer::Namespaces(_) | Peer::PodsInNamespaces { .. } | Peer::Block(_) => vec![peer.clone()],
    }),
    "empty namespaceSelector read as the policy's own namespace" => |w| peers(w, |_, peer| match peer {
        Peer::Namespaces(all) if *all == LabelSelector::default() => vec![Peer::Pods(LabelSelector::default())],
        Peer::Pods(_) | Peer::Namespaces(_) | Peer::PodsInNamespaces { .. } | Peer::Block(_) => vec![peer.clone()],
    }),
    "empty podSelector of a peer read as nobody" => |w| peers(w, |_, peer| match peer {
        Peer::Pods(all) if *all == LabelSelector::default() => vec![],
        Peer::Pods(_) | Peer::Namespaces(_) | Peer::PodsInNamespaces { .. } | Peer::Block(_) => vec![peer.clone()],
    }),
    "labels of namespaces forgotten, but for the name" => |w| {
        let mut w = w.clone();
        w.namespaces.values_mut().for_each(|labels| labels.0.retain(|key, _| key == METADATA_NAME));
        w
    },
    "kubernetes.io/metadata.name not set" => |w| {
        let mut w = w.clone();
        w.namespaces.values_mut().for_each(|labels| { labels.0.remove(METADATA_NAME); });
        w
    },
    "only the first peer of a rule counts" => |w| rules(w, |_, _, rule| vec![match &rule.peers {
        Clause::Given(all) => Rule { peers: Clause::Given(all.iter().take(1).cloned().collect()), ..rule.clone() },
        Clause::Absent => rule.clone(),
    }]),
    // Which pods a policy is for.
    "podSelector of the policy ignored" => |w| policies(w, |p| {
        vec![NetworkPolicy { pod_selector: LabelSelector::default(), ..p.clone() }]
    }),
    "empty podSelector of the policy read as nobody" => |w| policies(w, |p| {
        if p.pod_selector == LabelSelector::default() { vec![] } else { vec![p.clone()] }
    }),
    "policy in force in every namespace" => |w| policies(w, |p| {
        w.namespaces.keys().map(|namespace| NetworkPolicy { namespace: namespace.clone(), ..p.clone() }).enumerate()
            .map(|(place, copy)| NetworkPolicy { name: format!("{}-{place}", p.name), ..copy }).collect()
    }),
    "only the first policy of a namespace counts" => |w| policies(w, |p| {
        let first = network_policies(w).find(|one| one.namespace == p.namespace).map(|one| &one.name);
        if first == Some(&p.name) { vec![p.clone()] } else { vec![] }
    }),
    "only the last policy counts" => |w| with_policies(w, network_policies(w).last().cloned()),
    // Selectors.
    "matchExpressions ignored" => |w| selectors(w, |s| {
        LabelSelector { match_labels: s.match_labels.clone(), match_expressions: vec![] }
    }),
    "matchLabels ignored beside matchExpressions" => |w| selectors(w, |s| {
        if s.match_expressions.is_empty() { s.clone() } else { LabelSelector { match_labels: BTreeMap::new(), ..s.clone() } }
    }),
    "only the first matchExpression counts" => |w| selectors(w, |s| {
        LabelSelector { match_expressions: s.match_expressions.iter().take(1).cloned().collect(), ..s.clone() }
    }),
    "any label of a peer's matchLabels suffices" => |w| peers(w, |_, peer| match peer {
        Peer::Pods(s) => singles(s).map(Peer::Pods).collect(),
        Peer::Namespaces(s) => singles(s).map(Peer::Namespaces).collect(),
        Peer::PodsInNamespaces { namespaces, pods } => singles(pods)
            .map(|pods| Peer::PodsInNamespaces { namespaces: namespaces.clone(), pods }).collect(),
        Peer::Block(_) => vec![peer.clone()],
    }),
    "any label of a policy's matchLabels suffices" => |w| policies(w, |p| {
        singles(&p.pod_selector).enumerate().map(|(place, pod_selector)| {
            NetworkPolicy { pod_selector, name: format!("{}-{place}", p.name), ..p.clone() }
        }).collect()
    }),
    "values of matchLabels ignored" => |w| selectors(w, |s| {
        let there = s.match_labels.keys().map(|key| Requirement { key: key.clone(), operator: Operator::Exists });
        LabelSelector { match_labels: BTreeMap::new(), match_expressions: there.chain(s.match_expressions.clone()).collect() }
    }),
    "empty value in a selector read as no label" => |w| selectors(w, |s| {
        let mut s = s.clone();
        let empty: Vec<String> = s.match_labels.iter().filter(|(_, v)| v.is_empty()).map(|(k, _)| k.clone()).collect();
        for key in empty {
            s.match_labels.remove(&key);
            s.match_expressions.push(Requirement { key, operator: Operator::DoesNotExist });
        }
        s
    }),
    "NotIn does not match an absent label" => |w| requirements(w, |r| match &r.operator {
        Operator::NotIn(_) => vec![Requirement { key: r.key.clone(), operator: Operator::Exists }, r.clone()],
        Operator::In(_) | Operator::Exists | Operator::DoesNotExist => vec![r.clone()],
    }),
    "In and NotIn swapped" => |w| requirements(w, |r| vec![Requirement { key: r.key.clone(), operator: match &r.operator {
        Operator::In(values) => Operator::NotIn(values.clone()),
        Operator::NotIn(values) => Operator::In(values.clone()),
        Operator::Exists => Operator::Exists,
        Operator::DoesNotExist => Operator::DoesNotExist,
    }}]),
    "only the first value of In and NotIn counts" => |w| requirements(w, |r| vec![Requirement { key: r.key.clone(), operator: match &r.operator {
        Operator::In(values) => Operator::In(values.iter().take(1).cloned().collect()),
        Operator::NotIn(values) => Operator::NotIn(values.iter().take(1).cloned().collect()),
        Operator::Exists => Operator::Exists,
        Operator::DoesNotExist => Operator::DoesNotExist,
    }}]),
    "Exists and DoesNotExist swapped" => |w| requirements(w, |r| vec![Requirement { key: r.key.clone(), operator: match &r.operator {
        Operator::In(values) => Operator::In(values.clone()),
        Operator::NotIn(values) => Operator::NotIn(values.clone()),
        Operator::Exists => Operator::DoesNotExist,
        Operator::DoesNotExist => Operator::Exists,
    }}]),
    "DoesNotExist ignored" => |w| requirements(w, |r| match &r.operator {
        Operator::DoesNotExist => vec![],
        Operator::In(_) | Operator::NotIn(_) | Operator::Exists => vec![r.clone()],
    }),
    // Blocks.
    "except dropped" => |w| blocks(w, |b| vec![IpBlock { cidr: b.cidr, except: vec![] }]),
    "except dropped for IPv4" => |w| blocks(w, |b| {
        vec![if b.cidr.addr().is_ipv4() { IpBlock { cidr: b.cidr, except: vec![] } } else { b.clone() }]
    }),
    "except dropped for IPv6" => |w| blocks(w, |b| {
        vec![if b.cidr.addr().is_ipv6() { IpBlock { cidr: b.cidr, except: vec![] } } else { b.clone() }]
    }),
    "only the first except counts" => |w| blocks(w, |b| {
        vec![IpBlock { cidr: b.cidr, except: b.except.iter().take(1).copied().collect() }]
    }),
    "except denies what another rule's block allows" => |w| {
        let holes: Vec<ipnet::IpNet> = all_blocks(w).flat_map(|b| b.except.clone()).collect();
        blocks(w, |b| {
            if holes.iter().any(|hole| hole.contains(&b.cidr)) {
                return vec![];
            }
            let mut b = b.clone();
            b.except.extend(holes.iter().filter(|hole| b.cidr.contains(*hole)).copied().collect::<Vec<_>>());
            vec![b]
        })
    },
    "ipBlock matches no pod" => |w| blocks(w, |b| {
        let mut b = b.clone();
        for address in w.pods.values().flat_map(|pod| pod.addresses.iter().collect::<Vec<_>>()) {
            let own = ipnet::IpNet::from(address);
            if own == b.cidr {
                return vec![];
            }
            if b.cidr.contains(&own) {
                b.except.push(own);
            }
        }
        vec![b]
    }),
    "IPv6 block read as every IPv4 address" => |w| blocks(w, |b| {
        if b.cidr.addr().is_ipv6() { vec![IpBlock { cidr: anywhere(4), except: vec![] }] } else { vec![b.clone()] }
    }),
    "IPv4 block read as every IPv6 address too" => |w| blocks(w, |b| {
        if b.cidr.addr().is_ipv4() { vec![b.clone(), IpBlock { cidr: anywhere(6), except: vec![] }] } else { vec![b.clone()] }
    }),
    "IPv6 block ignored" => |w| blocks(w, |b| if b.cidr.addr().is_ipv6() { vec![] } else { vec![b.clone()] }),
    "prefix one bit too short" => |w| blocks(w, |b| {
        vec![IpBlock { cidr: b.cidr.supernet().unwrap_or(b.cidr), except: b.except.clone() }]
    }),
    // Ports.
    "endPort dropped" => |w| ports(w, |_, _, c| vec![match c.port {
        Some(PortMatch::Range(first, _)) => PortClause { port: Some(PortMatch::Number(first)), ..c.clone() },
        Some(PortMatch::Number(_) | PortMatch::Name(_)) | None => c.clone(),
    }]),
    "endPort not included" => |w| ports(w, |_, _, c| match c.port {
        Some(PortMatch::Range(first, last)) => shorter(first, last).map(|m| PortClause { port: Some(m), ..c.clone() }).into_iter().collect(),
        Some(PortMatch::Number(_) | PortMatch::Name(_)) | None => vec![c.clone()],
    }),
    "endPort one too far" => |w| ports(w, |_, _, c| vec![match c.port {
        Some(PortMatch::Range(first, last)) => {
            PortClause { port: Some(PortMatch::Range(first, last.saturating_add(1))), ..c.clone() }
        }
        Some(PortMatch::Number(_) | PortMatch::Name(_)) | None => c.clone(),
    }]),
    "only the two ends of a range count" => |w| ports(w, |_, _, c| match c.port {
        Some(PortMatch::Range(first, last)) => [first, last].map(|n| PortClause { port: Some(PortMatch::Number(n)), ..c.clone() }).into(),
        Some(PortMatch::Number(_) | PortMatch::Name(_)) | None => vec![c.clone()],
    }),
    "absent protocol read as every protocol" => |w| ports(w, |_, _, c| match c.protocol {
        None => [Protocol::Tcp, Protocol::Udp, Protocol::Sctp].map(|p| PortClause { protocol: Some(p), ..c.clone() }).into(),
        Some(Protocol::Tcp | Protocol::Udp | Protocol::Sctp) => vec![c.clone()],
    }),
    "UDP read as TCP" => |w| ports(w, |_, _, c| vec![PortClause {
        protocol: if c.protocol == Some(Protocol::Udp) { Some(Protocol::Tcp) } else { c.protocol },
        ..c.clone()
    }]),
    "SCTP read as TCP" => |w| ports(w, |_, _, c| vec![PortClause {
        protocol: if c.protocol == Some(Protocol::Sctp) { Some(Protocol::Tcp) } else { c.protocol },
        ..c.clone()
    }]),
    "a rule for SCTP alone skipped, and its policy with it" => |w| policies(w, |p| {
        let only_sctp = |rules: &Clause<Rule>| matches!(rules, Clause::Given(rules) if rules.iter().any(|rule| {
            matches!(&rule.ports, Clause::Given(all) if !all.is_empty() && all.iter().all(|c| c.protocol == Some(Protocol::Sctp)))
        }));
        if only_sctp(&p.ingress) || only_sctp(&p.egress) { vec![] } else { vec![p.clone()] }
    }),
    "an entry with a protocol and no port opens every protocol" => |w| rules(w, |_, _, rule| {
        let opens = matches!(&rule.ports, Clause::Given(all) if all.iter().any(|c| c.port.is_none() && c.protocol.is_some()));
        vec![if opens { Rule { ports: Clause::Absent, ..rule.clone() } } else { rule.clone() }]
    }),
    "an entry with a protocol and no port ignored" => |w| ports(w, |_, _, c| {
        if c.port.is_none() { vec![] } else { vec![c.clone()] }
    }),
    "only the first entry of ports counts" => |w| rules(w, |_, _, rule| vec![match &rule.ports {
        Clause::Given(all) => Rule { ports: Clause::Given(all.iter().take(1).cloned().collect()), ..rule.clone() },
        Clause::Absent => rule.clone(),
    }]),
    "peers and ports of a rule read as OR" => |w| rules(w, |_, _, rule| vec![
        Rule { ports: Clause::Absent, ..rule.clone() },
        Rule { peers: Clause::Absent, ..rule.clone() },
    ]),
    // Named ports.
    "a port's name looked up on one pod for all" => |w| ports(w, |_, _, c| match &c.port {
        Some(PortMatch::Name(name)) => numbers(w.pods.values(), name, c.protocol).take(1).map(|n| number(c, n)).collect(),
        Some(PortMatch::Number(_) | PortMatch::Range(..)) | None => vec![c.clone()],
    }),
    "a port's name opens all its numbers on every pod" => |w| ports(w, |_, _, c| match &c.port {
        Some(PortMatch::Name(name)) => numbers(w.pods.values(), name, c.protocol).map(|n| number(c, n)).collect(),
        Some(PortMatch::Number(_) | PortMatch::Range(..)) | None => vec![c.clone()],
    }),
    "a port's name in egress looked up on the source" => |w| ports(w, |p, direction, c| match (&c.port, direction) {
        (Some(PortMatch::Name(name)), Direction::Egress) => {
            let own = w.pods.values().filter(|pod| pod.namespace == p.namespace);
            numbers(own, name, c.protocol).map(|n| number(c, n)).collect()
        }
        (Some(_) | None, Direction::Ingress | Direction::Egress) => vec![c.clone()],
    }),
    "a port's name matches whatever its protocol" => |w| ports(w, |_, _, c| match &c.port {
        Some(PortMatch::Name(_)) => {
            [Protocol::Tcp, Protocol::Udp].map(|p| PortClause { protocol: Some(p), ..c.clone() }).into()
        }
        Some(PortMatch::Number(_) | PortMatch::Range(..)) | None => vec![c.clone()],
    }),
    "a port's name means its first port on a pod" => |w| {
        let mut w = w.clone();
        for pod in w.pods.values_mut() {
            let mut known = std::collections::BTreeSet::new();
            for served in &mut pod.serves {
                let protocol = served.port.protocol;
                served.name = served.name.take().filter(|name| known.insert((name.clone(), protocol)));
            }
        }
        w
    },
    "a port's name matches nothing" => |w| ports(w, |_, _, c| match &c.port {
        Some(PortMatch::Name(_)) => vec![],
        Some(PortMatch::Number(_) | PortMatch::Range(..)) | None => vec![c.clone()],
    }),
    "a port's name in egress matches nothing" => |w| ports(w, |_, direction, c| match (&c.port, direction) {
        (Some(PortMatch::Name(_)), Direction::Egress) => vec![],
        (Some(_) | None, Direction::Ingress | Direction::Egress) => vec![c.clone()],
    }),
    // Absent and empty.
    "empty from or to read as nobody" => |w| rules(w, |_, _, rule| {
        if matches!(&rule.peers, Clause::Given(all) if all.is_empty()) { vec![] } else { vec![rule.clone()] }
    }),
    "absent from or to read as nobody" => |w| rules(w, |_, _, rule| {
        if rule.peers == Clause::Absent { vec![] } else { vec![rule.clone()] }
    }),
    "absent from or to read as pods only" => |w| rules(w, |_, _, rule| {
        let pods = Clause::Given(vec![Peer::Namespaces(LabelSelector::default())]);
        vec![if rule.peers == Clause::Absent { Rule { peers: pods, ..rule.clone() } } else { rule.clone() }]
    }),
    "absent ports read as none" => |w| rules(w, |_, _, rule| {
        if rule.ports == Clause::Absent { vec![] } else { vec![rule.clone()] }
    }),
    "empty ports read as none" => |w| rules(w, |_, _, rule| {
        if matches!(&rule.ports, Clause::Given(all) if all.is_empty()) { vec![] } else { vec![rule.clone()] }
    }),
    "absent ports read as every TCP port" => |w| rules(w, |_, _, rule| {
        let tcp = Clause::Given(vec![PortClause { protocol: Some(Protocol::Tcp), port: None }]);
        vec![if rule.ports == Clause::Absent { Rule { ports: tcp, ..rule.clone() } } else { rule.clone() }]
    }),
    "empty ingress read as everybody" => |w| policies(w, |p| vec![NetworkPolicy {
        ingress: if p.ingress == Clause::Given(vec![]) { Clause::Given(vec![open()]) } else { p.ingress.clone() },
        ..p.clone()
    }]),
    "absent ingress read as everybody" => |w| policies(w, |p| vec![NetworkPolicy {
        ingress: if p.ingress == Clause::Absent { Clause::Given(vec![open()]) } else { p.ingress.clone() },
        ..p.clone()
    }]),
    "empty egress read as everybody" => |w| policies(w, |p| vec![NetworkPolicy {
        egress: if p.egress == Clause::Given(vec![]) { Clause::Given(vec![open()]) } else { p.egress.clone() },
        ..p.clone()
    }]),
    "absent egress read as everybody" => |w| policies(w, |p| vec![NetworkPolicy {
        egress: if p.egress == Clause::Absent { Clause::Given(vec![open()]) } else { p.egress.clone() },
        ..p.clone()
    }]),
    // Directions.
    "absent policyTypes never mean Egress" => |w| retype(w, Clause::Absent, |_| vec![Direction::Ingress]),
    "absent policyTypes always mean Egress too" => |w| {
        retype(w, Clause::Absent, |_| vec![Direction::Ingress, Direction::Egress])
    },
    "absent policyTypes mean Egress where egress is there, even empty" => |w| retype(w, Clause::Absent, |p| {
        if p.egress == Clause::Absent { vec![Direction::Ingress] } else { vec![Direction::Ingress, Direction::Egress] }
    }),
    "absent policyTypes mean Ingress only where it has rules" => |w| policies(w, |p| {
        if p.policy_types != Clause::Absent || has_rules(&p.ingress) {
            return vec![p.clone()];
        }
        if !has_rules(&p.egress) {
            return vec![];
        }
        vec![NetworkPolicy { policy_types: Clause::Given(vec![Direction::Egress]), ..p.clone() }]
    }),
    "empty policyTypes read as no direction" => |w| policies(w, |p| {
        if p.policy_types == Clause::Given(vec![]) { vec![] } else { vec![p.clone()] }
    }),
    "Ingress in force though policyTypes names Egress alone" => |w| {
        retype(w, Clause::Given(vec![Direction::Egress]), |_| vec![Direction::Ingress, Direction::Egress])
    },
    "egress rules in force though policyTypes names Ingress alone" => |w| {
        retype(w, Clause::Given(vec![Direction::Ingress]), |p| {
            if has_rules(&p.egress) { vec![Direction::Ingress, Direction::Egress] } else { vec![Direction::Ingress] }
        })
    },
    "only the first of policyTypes counts" => |w| policies(w, |p| vec![NetworkPolicy {
        policy_types: match &p.policy_types {
            Clause::Given(types) => Clause::Given(types.iter().take(1).copied().collect()),
            Clause::Absent => Clause::Absent,
        },
        ..p.clone()
    }]),
    "ingress and egress swapped" => |w| policies(w, |p| vec![NetworkPolicy {
        ingress: p.egress.clone(),
        egress: p.ingress.clone(),
        policy_types: Clause::Given(types(p).into_iter().map(|direction| match direction {
            Direction::Ingress => Direction::Egress,
            Direction::Egress => Direction::Ingress,
        }).collect()),
        ..p.clone()
    }]),
    "egress not enforced" => |w| one_side(w, Direction::Ingress),
    "ingress not enforced" => |w| one_side(w, Direction::Egress),
    "only the first rule counts" => |w| policies(w, |p| {
        let first = |rules: &Clause<Rule>| match rules {
            Clause::Given(rules) => Clause::Given(rules.iter().take(1).cloned().collect()),
            Clause::Absent => Clause::Absent,
        };
        vec![NetworkPolicy { ingress: first(&p.ingress), egress: first(&p.egress), ..p.clone() }]
    }),
};

fn everywhere(pods: &LabelSelector) -> Peer {
    Peer::PodsInNamespaces { namespaces: LabelSelector::default(), pods: pods.clone() }
}

fn anywhere(version: u8) -> ipnet::IpNet {
    let text = if version == 4 { "0.0.0.0/0" } else { "::/0" };
    text.parse().expect("a block written right")
}

fn all_blocks(world: &World) -> impl Iterator<Item = &IpBlock> {
    network_policies(world)
        .flat_map(|policy| [&policy.ingress, &policy.egress])
        .filter_map(given)
        .flatten()
        .filter_map(|rule| given(&rule.peers))
        .flatten()
        .filter_map(|peer| match peer {
            Peer::Block(block) => Some(block),
            Peer::Pods(_) | Peer::Namespaces(_) | Peer::PodsInNamespaces { .. } => None,
        })
}

fn given<T>(clause: &Clause<T>) -> Option<&[T]> {
    match clause {
        Clause::Absent => None,
        Clause::Given(all) => Some(all),
    }
}

fn has_rules(rules: &Clause<Rule>) -> bool {
    given(rules).is_some_and(|rules| !rules.is_empty())
}

fn open() -> Rule {
    Rule { peers: Clause::Absent, ports: Clause::Absent }
}

/// The selector split into one for each of its labels.
fn singles(selector: &LabelSelector) -> impl Iterator<Item = LabelSelector> {
    let mut all: Vec<LabelSelector> = selector
        .match_labels
        .iter()
        .map(|(key, value)| LabelSelector {
            match_labels: BTreeMap::from([(key.clone(), value.clone())]),
            match_expressions: selector.match_expressions.clone(),
        })
        .collect();
    if all.is_empty() {
        all.push(selector.clone());
    }
    all.into_iter()
}

fn requirements(world: &World, into: impl Fn(&Requirement) -> Vec<Requirement>) -> World {
    selectors(world, |s| LabelSelector {
        match_labels: s.match_labels.clone(),
        match_expressions: s.match_expressions.iter().flat_map(&into).collect(),
    })
}

fn shorter(first: NonZeroU16, last: NonZeroU16) -> Option<PortMatch> {
    let before = NonZeroU16::new(last.get() - 1)?;
    (first <= before).then_some(PortMatch::Range(first, before))
}

/// The numbers of a port's name on some pods.
fn numbers<'a>(
    pods: impl Iterator<Item = &'a Pod>,
    name: &str,
    protocol: Option<Protocol>,
) -> impl Iterator<Item = NonZeroU16> {
    let protocol = protocol.unwrap_or(Protocol::Tcp);
    pods.flat_map(|pod| &pod.serves)
        .filter(move |served| served.port.protocol == protocol && served.name.as_deref() == Some(name))
        .map(|served| served.port.number)
}

fn number(clause: &PortClause, number: NonZeroU16) -> PortClause {
    PortClause { port: Some(PortMatch::Number(number)), ..clause.clone() }
}

/// The directions a policy is for, by the API's own defaulting.
fn types(policy: &NetworkPolicy) -> Vec<Direction> {
    match &policy.policy_types {
        Clause::Given(types) if !types.is_empty() => types.clone(),
        Clause::Given(_) | Clause::Absent if has_rules(&policy.egress) => vec![Direction::Ingress, Direction::Egress],
        Clause::Given(_) | Clause::Absent => vec![Direction::Ingress],
    }
}

fn retype(world: &World, from: Clause<Direction>, into: impl Fn(&NetworkPolicy) -> Vec<Direction>) -> World {
    policies(world, |p| {
        let policy_types = if p.policy_types == from { Clause::Given(into(p)) } else { p.policy_types.clone() };
        vec![NetworkPolicy { policy_types, ..p.clone() }]
    })
}

/// Only one direction of every policy left, if it has that.
fn one_side(world: &World, direction: Direction) -> World {
    policies(world, |p| {
        if types(p).contains(&direction) {
            vec![NetworkPolicy { policy_types: Clause::Given(vec![direction]), ..p.clone() }]
        } else {
            vec![]
        }
    })
}
