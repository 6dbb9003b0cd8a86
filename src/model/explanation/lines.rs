//! An explanation in plain words, line by line. What a line is about is said by its mark, so that whoever shows it can
//! colour it; read without colour it loses nothing.

use std::fmt;

use super::{About, Condition, Entries, EntryStory, Explanation, Met, NearMiss, Party, PolicyStory, RuleStory, Side};
use super::{Standing, Types};
use crate::model::endpoint::EndpointKind;
use crate::model::prediction::{Direction, PolicyRef, Reason};
use crate::model::verdict::{Meaning, Verdict};

/// One line. Displayed with two blanks for each step of depth, and ✓ or ✗ where something was held against the flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// How far in it stands; counts from 0.
    pub depth: usize,
    /// What sort of line it is.
    pub mark: Mark,
    /// The text, without indentation or mark.
    pub text: String,
}

/// What sort of line it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// An empty line.
    Blank,
    /// What it all comes to; no verdict where meaning is unknown.
    Title(Option<Verdict>),
    /// What one side says; no verdict where that is unknown.
    Heading(Option<Verdict>),
    /// A policy that decides.
    Policy,
    /// A sentence.
    Plain,
    /// A rule or an entry that matches or does not.
    Held(Met),
    /// What would have made a difference.
    Hint,
    /// What was looked at and had no say.
    Aside,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let symbol = match self.mark {
            Mark::Held(Met::Yes) => "✓ ",
            Mark::Held(Met::No) => "✗ ",
            Mark::Blank => return Ok(()),
            Mark::Title(_) | Mark::Heading(_) | Mark::Policy | Mark::Plain | Mark::Hint | Mark::Aside => "",
        };
        write!(f, "{:indent$}{symbol}{}", "", self.text, indent = self.depth * 2)
    }
}

/// Tells an explanation.
pub fn tell(explanation: &Explanation) -> Vec<Line> {
    let mut story = Story { lines: Vec::new() };
    let verdict = match explanation.meaning {
        Meaning::Known(verdict) => format!("{} is {verdict}", explanation.flow),
        Meaning::Unknown => format!("whether {} is allowed cannot be told", explanation.flow),
    };
    story.add(0, Mark::Title(explanation.meaning.verdict()), verdict);
    story.add(1, Mark::Plain, format!("from  {}", party(&explanation.source)));
    story.add(1, Mark::Plain, format!("to    {}", party(&explanation.destination)));
    story.side(&explanation.egress, &explanation.source, &explanation.destination);
    story.side(&explanation.ingress, &explanation.destination, &explanation.source);
    story.lines
}

struct Story {
    lines: Vec<Line>,
}

impl Story {
    fn add(&mut self, depth: usize, mark: Mark, text: impl Into<String>) {
        self.lines.push(Line { depth, mark, text: text.into() });
    }

    fn side(&mut self, side: &Side, subject: &Party, peer: &Party) {
        let verdict = side.reason.verdict();
        let word = verdict.map_or("cannot be told".to_owned(), |verdict| verdict.to_string());
        let way = match side.direction {
            Direction::Egress => "leaving",
            Direction::Ingress => "entering",
        };
        self.add(0, Mark::Blank, "");
        self.add(0, Mark::Heading(verdict), format!("{way} {}: {word}", subject.name));
        for sentence in summary(side, &subject.name) {
            self.add(1, Mark::Plain, sentence);
        }
        for policy in &side.policies {
            match policy.standing {
                Standing::Isolates { by } => self.policy(policy, by, side.direction, subject, peer),
                Standing::OtherDirection { .. } | Standing::SelectsOthers => {}
            }
        }
        if let Some(near) = &side.nearest {
            self.near(near, choices(side), peer);
        }
        self.asides(side, subject);
    }

    fn policy(&mut self, story: &PolicyStory, by: Types, direction: Direction, subject: &Party, peer: &Party) {
        let how = match story.selector.as_str() {
            "" => format!("selects every pod of {}", namespace(&story.policy)),
            selector => format!("selects {} by {selector}", subject.name),
        };
        // Ingress by default surprises nobody; egress by default does.
        let types = match (by, direction) {
            (Types::Stated, _) | (Types::Defaulted, Direction::Ingress) => "",
            (Types::Defaulted, Direction::Egress) => "; it lists no policyTypes, but has egress rules",
        };
        self.add(0, Mark::Blank, "");
        self.add(1, Mark::Policy, format!("{} {how}{types}", story.policy));
        if story.rules.is_empty() {
            self.add(2, Mark::Held(Met::No), format!("it has no {direction} rule, so it lets nothing through"));
        }
        for rule in &story.rules {
            self.rule(rule, direction, peer);
        }
    }

    fn rule(&mut self, rule: &RuleStory, direction: Direction, peer: &Party) {
        let says = match rule.met {
            Met::Yes => "lets it through",
            Met::No => "does not match",
        };
        self.add(2, Mark::Held(rule.met), format!("{direction}[{}] {says}", rule.rule));
        self.entries(&rule.peers, peer_list(direction), "any peer, inside the cluster and outside", peer);
        self.entries(&rule.ports, "ports", "every port of every protocol", peer);
    }

    fn entries(&mut self, entries: &Entries, list: &str, anything: &str, peer: &Party) {
        match entries {
            Entries::Absent => self.add(3, Mark::Held(Met::Yes), format!("no `{list}`: {anything}")),
            Entries::Empty => self.add(3, Mark::Held(Met::Yes), format!("`{list}` is empty: {anything}")),
            Entries::Listed(entries) => entries.iter().for_each(|entry| self.entry(entry, list, peer)),
        }
    }

    fn entry(&mut self, entry: &EntryStory, list: &str, peer: &Party) {
        self.add(3, Mark::Held(entry.met), format!("{list}[{}] takes {}", entry.place, entry.takes));
        for condition in entry.conditions.iter().filter(|condition| condition.met == entry.met) {
            match entry.met {
                Met::No => {
                    self.add(4, Mark::Plain, format!("wants {}, but {}", wants(condition), finds(condition, peer)))
                }
                // Where what is there reads like what is wanted, saying it twice helps nobody.
                Met::Yes if !condition.wants.starts_with(&condition.finds) => {
                    self.add(4, Mark::Plain, finds(condition, peer))
                }
                Met::Yes => {}
            }
        }
    }

    fn near(&mut self, near: &NearMiss, choices: usize, peer: &Party) {
        // The commonest surprise of the whole API, so it is spelled out.
        let own_namespace = match near.unmet.as_slice() {
            [only] => only.about == About::Namespace,
            _ => false,
        };
        if choices > 1 || own_namespace {
            self.add(0, Mark::Blank, "");
        }
        // Where there is but one way in, its line above says it all.
        if choices > 1 {
            self.add(1, Mark::Hint, format!("Closest is {}: it {}.", near.rule, unmet(&near.unmet, peer)));
        }
        if own_namespace {
            let hint = "A podSelector alone means pods of the policy's own namespace; a namespaceSelector in the same \
                        entry would name others.";
            self.add(1, Mark::Hint, hint);
        }
    }

    fn asides(&mut self, side: &Side, subject: &Party) {
        let mut asides = Vec::new();
        let mut others = 0;
        for story in &side.policies {
            match story.standing {
                Standing::Isolates { .. } => {}
                Standing::OtherDirection { by, inert } => {
                    asides.push(format!("{} selects it too, but {}", story.policy, silent(side.direction, by, inert)));
                }
                Standing::SelectsOthers => {
                    others += 1;
                    if others <= ASIDES {
                        asides.push(format!(
                            "{} does not select it: {}",
                            story.policy,
                            unmet(&story.conditions, subject)
                        ));
                    }
                }
            }
        }
        match others.saturating_sub(ASIDES) {
            0 => {}
            1 => asides.push("1 more policy of its namespace does not select it".to_owned()),
            many => asides.push(format!("{many} more policies of its namespace do not select it")),
        }
        match side.elsewhere {
            0 => {}
            1 => asides.push("1 policy of another namespace cannot select it".to_owned()),
            many => asides.push(format!("{many} policies of other namespaces cannot select it")),
        }
        if !asides.is_empty() {
            self.add(0, Mark::Blank, "");
            self.add(1, Mark::Aside, "Without a say here:");
            asides.into_iter().for_each(|aside| self.add(2, Mark::Aside, aside));
        }
    }
}

/// So many policies that select other pods are told of one by one; the data has them all.
const ASIDES: usize = 5;

/// The conditions that do not hold, as one clause.
fn unmet(conditions: &[Condition], party: &Party) -> String {
    let unmet = conditions.iter().filter(|condition| condition.met == Met::No);
    unmet.map(|c| format!("wants {}, but {}", wants(c), finds(c, party))).collect::<Vec<_>>().join("; and it ")
}

/// How many ways in or out the policies of a side offer: for each rule, its entries one by one.
fn choices(side: &Side) -> usize {
    let entries = |list: &Entries| match list {
        Entries::Absent | Entries::Empty => 1,
        Entries::Listed(entries) => entries.len(),
    };
    side.policies.iter().flat_map(|story| &story.rules).map(|rule| entries(&rule.peers) * entries(&rule.ports)).sum()
}

/// What one side comes to, in a sentence or two.
fn summary(side: &Side, subject: &str) -> Vec<String> {
    let direction = side.direction;
    let isolating = side
        .policies
        .iter()
        .filter(|story| match story.standing {
            Standing::Isolates { .. } => true,
            Standing::OtherDirection { .. } | Standing::SelectsOthers => false,
        })
        .count();
    let open = match direction {
        Direction::Egress => "it may connect to anybody",
        Direction::Ingress => "anybody may connect to it",
    };
    let isolated = format!("{} {subject} for {direction}", counted(isolating));
    match &side.reason {
        Reason::NoPod => {
            vec![format!("{subject} is no pod, so no policy selects it, and this side lets everything through.")]
        }
        Reason::NotIsolated => vec![format!("No policy selects {subject} for {direction}, so {open}.")],
        Reason::Allowed { by } => {
            let rules: Vec<_> = by.iter().map(ToString::to_string).collect();
            vec![format!("{isolated}; it gets through by {}.", rules.join(" and by "))]
        }
        Reason::Isolated { .. } => vec![format!("{isolated}; no rule lets this flow through.")],
        Reason::Behind { .. } => vec![format!("The pods behind {subject} differ for {direction}.")],
        Reason::Unknown { by } if by.is_empty() => {
            vec![format!("{subject} is not in this world, so nothing can be said of it.")]
        }
        Reason::Unknown { by } => {
            let names: Vec<_> = by.iter().map(ToString::to_string).collect();
            let first =
                format!("Could be touched by {}, of a kind whose meaning is not known here.", names.join(" and "));
            let alone = match isolating {
                0 => format!("By NetworkPolicies alone {open}."),
                _ => format!("By NetworkPolicies alone: {isolated}, as follows."),
            };
            vec![first, alone]
        }
    }
}

/// Why a policy that selects a pod has no say in a direction.
fn silent(direction: Direction, by: Types, inert: u32) -> String {
    let why = match by {
        Types::Stated => format!("its policyTypes do not list {}", proper(direction)),
        Types::Defaulted => format!("it lists no policyTypes and has no {direction} rule"),
    };
    match inert {
        0 => why,
        1 => format!("{why}, so its {direction} rule is without effect"),
        many => format!("{why}, so its {many} {direction} rules are without effect"),
    }
}

/// One end, with what policies can see of it.
fn party(party: &Party) -> String {
    let what = match (party.kind, &party.namespace) {
        (Some(EndpointKind::Pod), Some(namespace)) if party.labels.0.is_empty() => {
            format!("a pod in {namespace} without labels")
        }
        (Some(EndpointKind::Pod), Some(namespace)) => format!("a pod in {namespace} with {}", party.labels),
        (Some(EndpointKind::Pod), None) => "a pod".to_owned(),
        (Some(EndpointKind::Service), _) => "a service".to_owned(),
        (Some(EndpointKind::Outside), _) => "outside the cluster".to_owned(),
        (None, _) => "not in this world".to_owned(),
    };
    match party.address {
        Some(address) => format!("{}, {what}, at {address}", party.name),
        None => format!("{}, {what}", party.name),
    }
}

/// What a condition wants.
fn wants(condition: &Condition) -> String {
    match condition.about {
        About::NamespaceLabel => format!("a namespace with {}", condition.wants),
        About::Kind | About::Namespace | About::PodLabel | About::Address | About::Protocol | About::Port => {
            condition.wants.clone()
        }
    }
}

/// What a condition found, as a clause with a subject.
fn finds(condition: &Condition, peer: &Party) -> String {
    let (name, finds) = (&peer.name, &condition.finds);
    match condition.about {
        About::Kind => format!("{name} is {finds}"),
        About::Namespace => format!("{name} is in {finds}"),
        About::NamespaceLabel => {
            format!("the namespace of {name}, {}, has {finds}", peer.namespace.as_deref().unwrap_or("none"))
        }
        About::PodLabel | About::Address => format!("{name} has {finds}"),
        About::Protocol => format!("this flow is {finds}"),
        About::Port => format!("this flow goes to {finds}"),
    }
}

fn counted(policies: usize) -> String {
    match policies {
        1 => "1 policy isolates".to_owned(),
        many => format!("{many} policies isolate"),
    }
}

fn peer_list(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => "from",
        Direction::Egress => "to",
    }
}

/// As a manifest writes it.
fn proper(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => "Ingress",
        Direction::Egress => "Egress",
    }
}

fn namespace(policy: &PolicyRef) -> &str {
    policy.namespace.as_deref().unwrap_or("every namespace")
}
