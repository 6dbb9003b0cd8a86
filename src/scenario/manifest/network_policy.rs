//! networking.k8s.io/v1 NetworkPolicy.
//!
//! The rules are the API server's (kubernetes `pkg/apis/networking/validation`): what it refuses is refused here.

use std::num::NonZeroU16;
use std::sync::Arc;

use ipnet::IpNet;

use super::filled::{Shape, drop_filled};
use super::{KUBERNETES, Manifest, clean, metadata, selector};
use crate::model::port::Protocol;
use crate::model::prediction::Direction;
use crate::policy::network_policy::{IpBlock, NetworkPolicy, Peer, PortClause, PortMatch, Rule};
use crate::policy::selector::LabelSelector;
use crate::policy::{Clause, Policy};
use crate::scenario::decode::{At, Fields, choice, integer, items, text};
use crate::scenario::diagnostic::Code;
use crate::scenario::labels::Own;
use crate::scenario::log::{Log, error, warning};
use crate::scenario::raw::port::check_name;
use crate::scenario::text::Span;
use crate::scenario::tree::{Node, Resolved, Style, Value, boolean_to_kubectl, resolve};

const DIRECTIONS: [(&str, Direction); 2] = [("Ingress", Direction::Ingress), ("Egress", Direction::Egress)];
const PROTOCOLS: [(&str, Protocol); 3] = [("TCP", Protocol::Tcp), ("UDP", Protocol::Udp), ("SCTP", Protocol::Sctp)];
const PORTS: (i64, i64) = (1, 65535);

/// Reads one NetworkPolicy, whose `apiVersion` and `kind` were read already.
pub(super) fn read(node: &Node, mut fields: Fields<'_>, log: &mut Log) -> Option<Manifest> {
    let metadata = metadata::read(&mut fields, Own::Taken, log);
    let spec = fields.optional("spec");
    let key = fields.key_span("spec");
    drop_filled(&mut fields, &[("status", Shape::Map)], log);
    fields.close(log);
    let spec = match spec {
        Some(spec) => spec_of(spec, key, log),
        None => {
            let at = metadata.as_ref().map_or(node.span, |m| m.name.span);
            let message = "a policy without `spec` isolates every pod of its namespace for ingress";
            log.push(warning(Code::Missing, message).note(at, "this policy"));
            Some(Spec::default())
        }
    };
    let (metadata, spec) = (metadata?, spec?);
    metadata::check_finalizers(&metadata.finalizers, log);
    let namespace = metadata.namespace.as_ref().map_or_else(|| "default".to_owned(), |at| at.value.clone());
    let at = metadata.namespace.as_ref().map_or(metadata.name.span, |at| at.span);
    let policy = NetworkPolicy {
        namespace,
        name: metadata.name.value,
        pod_selector: spec.pod_selector,
        policy_types: spec.policy_types,
        ingress: spec.ingress,
        egress: spec.egress,
        manifest: clean(node),
    };
    Some(Manifest::Policy { policy: Policy::Network(Arc::new(policy)), name: metadata.name.span, namespace: at })
}

#[derive(Default)]
struct Spec {
    pod_selector: LabelSelector,
    policy_types: Clause<Direction>,
    ingress: Clause<Rule>,
    egress: Clause<Rule>,
}

fn spec_of(node: &Node, key: Span, log: &mut Log) -> Option<Spec> {
    let mut fields = Fields::open(node, "`spec`", KUBERNETES, log)?.placed(key);
    let pod_selector = fields.optional("podSelector").map(|node| selector::read(node, "`podSelector`", log));
    let policy_types = clause(fields.optional("policyTypes"), "`policyTypes`", log, |node, log| {
        choice(node, "a policy type", &DIRECTIONS, KUBERNETES, log)
    });
    let ingress = clause(fields.optional("ingress"), "`ingress`", log, |node, log| rule(node, Direction::Ingress, log));
    let egress = clause(fields.optional("egress"), "`egress`", log, |node, log| rule(node, Direction::Egress, log));
    let slip = log.errors();
    fields.close(log);
    // A misspelt `podSelector` has been said already.
    if pod_selector.is_none() && log.errors() == slip {
        let message = "without `podSelector` a policy selects every pod of its namespace";
        log.push(warning(Code::Missing, message).at(key).help("write `podSelector: {}` if that is meant"));
    }
    let policy_types = types(policy_types, log);
    unused_rules(&policy_types, &ingress, Direction::Ingress, node, log);
    unused_rules(&policy_types, &egress, Direction::Egress, node, log);
    Some(Spec { pod_selector: pod_selector.unwrap_or_default(), policy_types, ingress, egress })
}

/// A list that may be left out.
fn clause<T>(
    node: Option<&Node>,
    what: &str,
    log: &mut Log,
    mut read: impl FnMut(&Node, &mut Log) -> Option<T>,
) -> Clause<T> {
    match node {
        None => Clause::Absent,
        Some(node) => Clause::Given(items(node, what, log).iter().filter_map(|item| read(item, log)).collect()),
    }
}

fn types(given: Clause<At<Direction>>, log: &mut Log) -> Clause<Direction> {
    let Clause::Given(all) = given else { return Clause::Absent };
    if let Some(third) = all.get(2) {
        log.push(error(Code::Duplicate, "`policyTypes` has more than two entries").at(third.span));
    } else if let [first, second] = all.as_slice()
        && first.value == second.value
    {
        log.push(warning(Code::Duplicate, "`policyTypes` names one direction twice").at(second.span));
    }
    Clause::Given(all.into_iter().map(|at| at.value).collect())
}

/// Rules for a direction that `policyTypes` leaves out have no effect, and look as if they had.
fn unused_rules(types: &Clause<Direction>, rules: &Clause<Rule>, direction: Direction, spec: &Node, log: &mut Log) {
    if let (Clause::Given(types), Clause::Given(rules)) = (types, rules)
        && !types.is_empty()
        && !rules.is_empty()
        && !types.contains(&direction)
    {
        let key = direction.to_string();
        let at = spec.get(&key).map_or(spec.span, |node| node.span);
        let message = format!("the rules under `{key}` have no effect: `policyTypes` does not name that direction");
        log.push(warning(Code::NoEffect, message).at(at));
    }
}

fn rule(node: &Node, direction: Direction, log: &mut Log) -> Option<Rule> {
    let (what, peers) = match direction {
        Direction::Ingress => ("an ingress rule", "from"),
        Direction::Egress => ("an egress rule", "to"),
    };
    let mut fields = Fields::open(node, what, KUBERNETES, log)?;
    let peers = clause(fields.optional(peers), &format!("`{peers}`"), log, peer);
    let ports = clause(fields.optional("ports"), "`ports`", log, port);
    fields.close(log);
    Some(Rule { peers, ports })
}

fn peer(node: &Node, log: &mut Log) -> Option<Peer> {
    let mut fields = Fields::open(node, "a peer", KUBERNETES, log)?;
    let pods = fields.optional("podSelector").map(|node| selector::read(node, "`podSelector`", log));
    let namespaces = fields.optional("namespaceSelector").map(|node| selector::read(node, "`namespaceSelector`", log));
    let block = fields.optional("ipBlock");
    let (at, key) = (fields.span(), fields.key_span("ipBlock"));
    let before = log.errors();
    fields.close(log);
    let slipped = log.errors() > before;
    let block = block.map(|node| ip_block(node, key, log));
    match (pods, namespaces, block) {
        (None, None, None) => {
            if !slipped {
                let message = "a peer must have a `podSelector`, a `namespaceSelector` or an `ipBlock`";
                let draft = error(Code::Missing, message).at(at);
                log.push(
                    draft.help("for every peer leave out the whole list; for every pod write `namespaceSelector: {}`"),
                );
            }
            None
        }
        (Some(pods), None, None) => Some(Peer::Pods(pods)),
        (None, Some(namespaces), None) => Some(Peer::Namespaces(namespaces)),
        (Some(pods), Some(namespaces), None) => Some(Peer::PodsInNamespaces { namespaces, pods }),
        (None, None, Some(block)) => block.map(Peer::Block),
        (_, _, Some(_)) => {
            let message = "a peer with an `ipBlock` may have no selector";
            log.push(error(Code::Conflict, message).at(key).help("make two peers of it: `- ` before each"));
            None
        }
    }
}

fn ip_block(node: &Node, key: Span, log: &mut Log) -> Option<IpBlock> {
    let mut fields = Fields::open(node, "`ipBlock`", KUBERNETES, log)?.placed(key);
    let cidr = fields.required("cidr", log).and_then(|node| network(node, log));
    let except: Vec<Option<At<IpNet>>> = fields
        .optional("except")
        .map(|node| items(node, "`except`", log).iter().map(|item| network(item, log)).collect())
        .unwrap_or_default();
    fields.close(log);
    let cidr = cidr?;
    let mut inside = Vec::new();
    for except in except {
        let except = except?;
        // The API server wants a strict subset: an exception of the whole block is refused too.
        if !cidr.value.contains(&except.value) || cidr.value == except.value {
            log.push(
                error(Code::InvalidValue, format!("`{}` is no smaller block within `{}`", except.value, cidr.value))
                    .note(except.span, "not within, or all of it")
                    .note(cidr.span, "the block"),
            );
            return None;
        }
        inside.push(except.value);
    }
    Some(IpBlock { cidr: cidr.value, except: inside })
}

fn network(node: &Node, log: &mut Log) -> Option<At<IpNet>> {
    let text = text(node, "an IP block", KUBERNETES, log)?;
    let Ok(network) = text.value.parse::<IpNet>() else {
        let mut draft = error(Code::InvalidValue, format!("`{}` is no IP block", text.value)).at(text.span);
        if let Ok(address) = text.value.parse::<std::net::IpAddr>() {
            let length = if address.is_ipv4() { 32 } else { 128 };
            draft = draft.help(format!("for this one address write `{address}/{length}`"));
        }
        log.push(draft);
        return None;
    };
    if let IpNet::V6(block) = network
        && block.addr().to_ipv4_mapped().is_some()
    {
        let message =
            format!("`{}` is an IPv4 address written as IPv6, which readers take in different ways", text.value);
        log.push(error(Code::InvalidValue, message).at(text.span).help("write it as IPv4"));
        return None;
    }
    if network.trunc() != network {
        // The API server takes it, with a warning, for what the prefix covers.
        let message = format!("`{}` has bits beyond its prefix: it is taken as `{}`", text.value, network.trunc());
        log.push(warning(Code::InvalidValue, message).at(text.span));
    }
    Some(At::new(network.trunc(), text.span))
}

fn port(node: &Node, log: &mut Log) -> Option<PortClause> {
    let mut fields = Fields::open(node, "an entry of `ports`", KUBERNETES, log)?;
    let protocol = fields.optional("protocol").map(|node| choice(node, "`protocol`", &PROTOCOLS, KUBERNETES, log));
    let number = fields.optional("port").map(|node| (port_match(node, log), node.span));
    let end = fields.optional("endPort").map(|node| (integer(node, "`endPort`", PORTS, log), node.span));
    fields.close(log);
    let protocol = match protocol {
        Some(None) => return None,
        Some(Some(at)) => Some(at.value),
        None => None,
    };
    let port = match (number, end) {
        (None, None) => None,
        (Some((number, _)), None) => Some(number?),
        (None, Some((_, span))) => {
            log.push(error(Code::Missing, "`endPort` stands without `port`").at(span));
            return None;
        }
        (Some((number, at)), Some((end, span))) => Some(range(number?, at, end?, span, log)?),
    };
    Some(PortClause { protocol, port })
}

fn range(first: PortMatch, at: Span, end: At<i64>, span: Span, log: &mut Log) -> Option<PortMatch> {
    match first {
        PortMatch::Number(first) => {
            let last = nonzero(end.value)?;
            if last < first {
                log.push(
                    error(Code::InvalidValue, format!("`endPort` {last} is below `port` {first}"))
                        .note(span, "the last port")
                        .note(at, "the first"),
                );
                return None;
            }
            Some(PortMatch::Range(first, last))
        }
        PortMatch::Range(..) => None,
        PortMatch::Name(name) => {
            let draft = error(Code::Conflict, format!("`endPort` needs a number before it, not the name `{name}`"));
            log.push(draft.note(span, "no range starts at a name").note(at, "the name"));
            None
        }
    }
}

fn nonzero(number: i64) -> Option<NonZeroU16> {
    u16::try_from(number).ok().and_then(NonZeroU16::new)
}

fn port_match(node: &Node, log: &mut Log) -> Option<PortMatch> {
    if let Value::Scalar(raw, style) = &node.value
        && let Resolved::Text(name) = resolve(raw, *style)
    {
        if *style == Style::Plain && boolean_to_kubectl(name).is_some() {
            let message = format!("`port` must be a number or a name; kubectl reads a bare `{name}` as a boolean");
            log.push(error(Code::WrongType, message).at(node.span).help(format!("write `\"{name}\"` for that name")));
            return None;
        }
        return match check_name(name) {
            Ok(()) => Some(PortMatch::Name(name.to_owned())),
            Err(why) => {
                let number = name.parse::<NonZeroU16>().ok();
                let draft = error(Code::InvalidValue, format!("`{name}` is no name for a port: {why}")).at(node.span);
                log.push(draft.help_maybe(number.map(|number| format!("write `{number}`, without quotes"))));
                None
            }
        };
    }
    let number = integer(node, "`port`", PORTS, log)?;
    nonzero(number.value).map(PortMatch::Number)
}
