//! Plays a scenario through: the bare world, the world under the initial policies, and the world after each step.

use std::collections::{BTreeMap, HashMap};

use super::cast::Cast;
use crate::model::labels::Labels;
use crate::model::prediction::PolicyRef;
use crate::policy::Policy;
use crate::scenario::Change;
use crate::scenario::decode::At;
use crate::scenario::diagnostic::Code;
use crate::scenario::log::{Log, error};
use crate::scenario::manifest::Manifest;
use crate::scenario::raw;
use crate::scenario::text::Span;
use crate::scenario::world::World;

/// The label every namespace has from the API server.
const METADATA_NAME: &str = "kubernetes.io/metadata.name";

/// The most steps.
const STEPS: usize = 200;

/// A scenario played through.
pub(super) struct Played {
    /// The world before any policy.
    pub bare: World,
    /// The stages.
    pub stages: Vec<PlayedStage>,
    /// Every policy that is ever in force, and where it stands.
    pub placed: Vec<(Policy, Span)>,
}

/// A stage without its cells.
pub(super) struct PlayedStage {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub span: Span,
    /// What leads here.
    pub changes: Vec<Change>,
    /// The world then.
    pub world: World,
}

/// Policies in the order a world holds them: namespace, name, kind.
type InForce = BTreeMap<(Option<String>, String, String), Policy>;

fn key(reference: &PolicyRef) -> (Option<String>, String, String) {
    (reference.namespace.clone(), reference.name.clone(), reference.kind.clone())
}

struct Player<'a> {
    cast: &'a Cast,
    log: &'a mut Log,
    world: World,
    policies: InForce,
    placed: Vec<(Policy, Span)>,
}

/// Plays it through.
pub(super) fn play(
    raw: &raw::Scenario,
    cast: &mut Cast,
    manifests: Vec<Manifest>,
    steps: Vec<Vec<Manifest>>,
    log: &mut Log,
) -> Played {
    let namespaces = namespaces(raw, &manifests, log);
    home(cast, &namespaces, log);
    let mut world =
        World { namespaces, outside: cast.outside.clone(), services: cast.services.clone(), ..World::default() };
    for (name, _) in &raw.pods {
        if let Some((id, pod)) = cast.find(&name.value).and_then(|id| cast.pods.get(&id).map(|pod| (id, pod))) {
            world.pods.insert(id, pod.clone());
        }
    }
    let bare = world.clone();
    let mut player = Player { cast, log, world, policies: InForce::new(), placed: Vec::new() };
    let changes = player.begin(manifests);
    let name = "policies".to_owned();
    let span = raw.expect.first().map_or(raw.span, |expect| expect.span);
    let mut stages = vec![PlayedStage { name, span, changes, world: player.world.clone() }];
    if raw.steps.len() > STEPS {
        let at = raw.steps.get(STEPS).map(|step| step.span).unwrap_or_default();
        let message = format!("there are {} steps; at most {STEPS} fit", raw.steps.len());
        player.log.push(error(Code::TooLarge, message).at(at));
    }
    for (step, manifests) in raw.steps.iter().zip(steps).take(STEPS) {
        let changes = player.step(step, manifests);
        let name = step.about.as_ref().map(|at| at.value.clone());
        let name = name.unwrap_or_else(|| format!("step {}", stages.len()));
        stages.push(PlayedStage { name, span: step.span, changes, world: player.world.clone() });
    }
    let placed = player.placed;
    name_stages(raw, &stages, log);
    Played { bare, stages, placed }
}

/// The namespaces of the file and those that the initial manifests declare.
fn namespaces(raw: &raw::Scenario, manifests: &[Manifest], log: &mut Log) -> BTreeMap<String, Labels> {
    let mut all: BTreeMap<String, Labels> = BTreeMap::new();
    let mut places: HashMap<&str, Span> = HashMap::new();
    for (name, namespace) in &raw.namespaces {
        all.insert(name.value.clone(), named(&namespace.labels, name, log));
        places.insert(&name.value, name.span);
    }
    for manifest in manifests {
        let Manifest::Namespace { name, labels } = manifest else { continue };
        let labels = named(labels, name, log);
        let first = *places.entry(&name.value).or_insert(name.span);
        let known = all.entry(name.value.clone()).or_default();
        for (key, value) in labels.0 {
            let before = known.0.insert(key.clone(), value.clone());
            if let Some(before) = before.filter(|before| *before != value) {
                let message = format!("namespace `{}` has `{key}={before}` and `{key}={value}`", name.value);
                log.push(error(Code::Conflict, message).note(name.span, "here").note(first, "and here"));
            }
        }
    }
    all
}

/// The labels with the one that the API server sets.
fn named(labels: &Labels, name: &At<String>, log: &mut Log) -> Labels {
    let mut labels = labels.clone();
    let before = labels.0.insert(METADATA_NAME.to_owned(), name.value.clone());
    if let Some(before) = before.filter(|before| *before != name.value) {
        let message = format!("`{METADATA_NAME}` is always the namespace's name, never `{before}`");
        log.push(error(Code::Conflict, message).at(name.span).help("leave the label out"));
    }
    labels
}

/// The namespace of every pod and Service must be there.
fn home(cast: &Cast, namespaces: &BTreeMap<String, Labels>, log: &mut Log) {
    let pods = cast.pods.iter().map(|(id, pod)| (id, &pod.namespace));
    let services = cast.services.iter().map(|(id, service)| (id, &service.namespace));
    for (id, namespace) in pods.chain(services) {
        if namespace.is_empty() || namespaces.contains_key(namespace) {
            continue;
        }
        let span = cast.homes.get(id).copied().unwrap_or_default();
        let hint = log
            .nearest(namespace, namespaces.keys().map(String::as_str))
            .unwrap_or_else(|| format!("add `{namespace}: {{}}` under `namespaces`"));
        log.push(
            error(Code::UnknownName, format!("there is no namespace `{namespace}`"))
                .note(span, "not among `namespaces`")
                .help(hint),
        );
    }
}

/// Stages are told apart by name in reports and in the names of trials.
fn name_stages(raw: &raw::Scenario, stages: &[PlayedStage], log: &mut Log) {
    let mut seen: HashMap<&str, Span> = HashMap::new();
    for (stage, step) in stages.iter().skip(1).zip(&raw.steps) {
        let span = step.about.as_ref().map_or(step.span, |at| at.span);
        if matches!(stage.name.as_str(), "policies" | "baseline") {
            let message = format!("every run has a stage called `{}`", stage.name);
            log.push(error(Code::Reserved, message).at(span).help("say what changes in this step"));
        }
        if stage.name.trim().is_empty() || stage.name.contains('\n') {
            let message = "a step's `about` is its name in reports: one line, not empty";
            log.push(error(Code::InvalidValue, message).at(span));
        }
        if let Some(first) = seen.insert(&stage.name, span) {
            let draft = error(Code::Duplicate, format!("two steps are called `{}`", stage.name));
            log.push(draft.note(span, "again here").note(first, "first here"));
        }
    }
}

impl Player<'_> {
    fn begin(&mut self, manifests: Vec<Manifest>) -> Vec<Change> {
        let mut changes = Vec::new();
        let mut seen: HashMap<(Option<String>, String, String), Span> = HashMap::new();
        for manifest in manifests {
            let Manifest::Policy { policy, name, namespace } = manifest else { continue };
            let reference = policy.reference();
            if let Some(first) = seen.insert(key(&reference), name) {
                let draft = error(Code::Duplicate, format!("the policy `{reference}` is there twice"));
                self.log.push(draft.note(name, "again here").note(first, "first here"));
                continue;
            }
            self.place(&policy, name, namespace);
            self.policies.insert(key(&reference), policy);
        }
        // In the order of the world, so that two runs create them alike.
        changes.extend(self.policies.values().cloned().map(Change::CreatePolicy));
        self.settle();
        changes
    }

    fn place(&mut self, policy: &Policy, name: Span, namespace: Span) {
        if let Some(home) = policy.reference().namespace
            && !self.world.namespaces.contains_key(&home)
        {
            let hint = self.log.nearest(&home, self.world.namespaces.keys().map(String::as_str));
            let draft = error(Code::UnknownName, format!("there is no namespace `{home}` in the scenario"));
            self.log.push(if namespace == name {
                draft
                    .note(name, "this manifest names no namespace, so kubectl puts it into `default`")
                    .help("add `namespace:` under `metadata`")
            } else {
                draft.note(namespace, "the policy is put there").help_maybe(hint)
            });
        }
        self.placed.push((policy.clone(), name));
    }

    fn settle(&mut self) {
        self.world.policies = self.policies.values().cloned().collect();
    }

    fn step(&mut self, step: &raw::Step, manifests: Vec<Manifest>) -> Vec<Change> {
        let before = self.log.errors();
        let mut changes = Vec::new();
        self.add(step, &mut changes);
        self.relabel(step, &mut changes);
        self.apply(manifests, &mut changes);
        self.delete(step, &mut changes);
        self.remove(step, &mut changes);
        self.settle();
        if changes.is_empty() && step.whole && self.log.errors() == before {
            let message = "this step changes nothing";
            let draft = error(Code::NoEffect, message).at(step.span);
            self.log.push(draft.help("a step has at least one of `add`, `relabel`, `apply`, `delete`, `remove`"));
        }
        changes
    }

    fn add(&mut self, step: &raw::Step, changes: &mut Vec<Change>) {
        let mut names: Vec<_> = step.add.iter().map(|(name, _)| name).collect();
        names.sort_by(|a, b| a.value.cmp(&b.value));
        for name in names {
            let found = self.cast.find(&name.value);
            if let Some((id, pod)) = found.and_then(|id| self.cast.pods.get(&id).map(|pod| (id, pod.clone()))) {
                self.world.pods.insert(id, pod.clone());
                changes.push(Change::AddPod(id, pod));
            }
        }
    }

    /// A pod that exists now, or what is wrong with its name.
    fn pod(&mut self, name: &At<String>) -> Option<crate::model::endpoint::EndpointId> {
        let found = self.cast.find(&name.value);
        if let Some(id) = found.filter(|id| self.world.pods.contains_key(id)) {
            return Some(id);
        }
        let draft = match found {
            Some(id) if self.cast.pods.contains_key(&id) => {
                error(Code::UnknownName, format!("the pod `{}` does not exist at this step", name.value))
                    .at(name.span)
                    .note(self.cast.span(id), "it is defined here")
            }
            Some(_) => error(Code::UnknownName, format!("`{}` is no pod", name.value)).at(name.span),
            None => error(Code::UnknownName, format!("there is no pod `{}`", name.value))
                .at(name.span)
                .help_maybe(self.cast.nearest(&name.value, self.log)),
        };
        self.log.push(draft);
        None
    }

    fn relabel(&mut self, step: &raw::Step, changes: &mut Vec<Change>) {
        for (name, labels) in &step.relabel.pods {
            let Some(id) = self.pod(name) else { continue };
            let Some(pod) = self.world.pods.get_mut(&id) else { continue };
            if let Some(borrowed) = self.cast.borrowed.get(&id) {
                let message = format!("the labels of `{}` are those of {}", name.value, borrowed.like);
                let draft = error(Code::Conflict, message).at(name.span);
                self.log.push(draft.help("leave `like` out of a pod whose labels change"));
                continue;
            }
            if pod.labels == *labels {
                let message = format!("pod `{}` has these labels already", name.value);
                self.log.push(error(Code::NoEffect, message).at(name.span));
                continue;
            }
            pod.labels = labels.clone();
            changes.push(Change::RelabelPod(id, labels.clone()));
        }
        for (name, labels) in &step.relabel.namespaces {
            if !self.world.namespaces.contains_key(&name.value) {
                let hint = self.log.nearest(&name.value, self.world.namespaces.keys().map(String::as_str));
                let draft = error(Code::UnknownName, format!("there is no namespace `{}`", name.value));
                self.log.push(draft.at(name.span).help_maybe(hint));
                continue;
            }
            let labels = named(labels, name, self.log);
            if !self.relabel_namespace(&name.value, labels, changes) {
                let message = format!("namespace `{}` has these labels already", name.value);
                self.log.push(error(Code::NoEffect, message).at(name.span));
            }
        }
    }

    fn relabel_namespace(&mut self, name: &str, labels: Labels, changes: &mut Vec<Change>) -> bool {
        if self.world.namespaces.get(name) == Some(&labels) {
            return false;
        }
        changes.push(Change::RelabelNamespace(name.to_owned(), labels.clone()));
        self.world.namespaces.insert(name.to_owned(), labels);
        true
    }

    fn apply(&mut self, manifests: Vec<Manifest>, changes: &mut Vec<Change>) {
        let mut seen: HashMap<(Option<String>, String, String), Span> = HashMap::new();
        for manifest in manifests {
            match manifest {
                Manifest::Namespace { name, labels } => self.apply_namespace(&name, &labels, changes),
                Manifest::Policy { policy, name, namespace } => {
                    let reference = policy.reference();
                    if let Some(first) = seen.insert(key(&reference), name) {
                        let draft = error(Code::Duplicate, format!("the policy `{reference}` is applied twice"));
                        self.log.push(draft.note(name, "again here").note(first, "first here"));
                        continue;
                    }
                    let before = self.policies.insert(key(&reference), policy.clone());
                    match before {
                        None => changes.push(Change::CreatePolicy(policy.clone())),
                        Some(before) if before == policy => {
                            let message = format!("the policy `{reference}` is in force exactly so already");
                            self.log.push(error(Code::NoEffect, message).at(name));
                        }
                        Some(_) => changes.push(Change::ReplacePolicy(policy.clone())),
                    }
                    self.place(&policy, name, namespace);
                }
            }
        }
    }

    /// As `kubectl apply` does: labels given are set, others stay. A file that holds its namespace may be applied again
    /// without that being a change.
    fn apply_namespace(&mut self, name: &At<String>, labels: &Labels, changes: &mut Vec<Change>) {
        let Some(known) = self.world.namespaces.get(&name.value) else {
            let message = format!("a step cannot add the namespace `{}`", name.value);
            let draft = error(Code::UnknownName, message).at(name.span);
            self.log.push(draft.help("name it under `namespaces`, so that it is there from the start"));
            return;
        };
        let mut all = known.clone();
        all.0.extend(named(labels, name, self.log).0);
        self.relabel_namespace(&name.value, all, changes);
    }

    fn delete(&mut self, step: &raw::Step, changes: &mut Vec<Change>) {
        let mut there: BTreeMap<String, _> =
            self.policies.iter().map(|(key, policy)| (policy.reference().to_string(), key.clone())).collect();
        for name in &step.delete {
            let found = there.remove(&name.value).and_then(|key| self.policies.remove(&key));
            match found {
                Some(policy) => changes.push(Change::DeletePolicy(policy.reference())),
                None => self.unknown_policy(name, there.keys().map(String::as_str)),
            }
        }
    }

    fn unknown_policy<'p>(&mut self, name: &At<String>, there: impl Iterator<Item = &'p str> + Clone) {
        let hint = if self.log.is_full() {
            None
        } else {
            let full = there.clone().find(|full| full.rsplit('/').next() == Some(name.value.as_str()));
            full.map(|full| format!("write `{full}`")).or_else(|| self.log.nearest(&name.value, there))
        };
        let draft = error(Code::UnknownName, format!("no policy `{}` is in force at this step", name.value));
        self.log.push(draft.at(name.span).help_maybe(hint));
    }

    fn remove(&mut self, step: &raw::Step, changes: &mut Vec<Change>) {
        for name in &step.remove {
            if let Some(id) = self.pod(name) {
                self.world.pods.remove(&id);
                changes.push(Change::RemovePod(id));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::model::document::Strictness;
    use crate::model::labels::Labels;
    use crate::model::verdict::Intent;
    use crate::scenario::diagnostic::Colour;
    use crate::scenario::{Change, Scenario, load_str};

    fn load(text: &str) -> Scenario {
        load_str(text, Strictness::Normal).unwrap_or_else(|refusal| panic!("{}", refusal.render(Colour::Never)))
    }

    const CHANGING: &str = "version: 1
namespaces: { a: { labels: { team: red } }, b: {} }
pods:
  zoe: { namespace: a, labels: { role: web } }
  bob: { namespace: b }
policies:
  - { apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: { name: old, namespace: a }, spec: { podSelector: {} } }
steps:
  - remove: [ bob ]
    delete: [ a/old ]
    apply:
      - { apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: { name: new, namespace: b }, spec: { podSelector: {} } }
      - { apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: { name: old, namespace: a }, spec: { podSelector: { matchLabels: { x: y } } } }
      - { apiVersion: v1, kind: Namespace, metadata: { name: a, labels: { tier: one } } }
    relabel: { pods: { zoe: { role: db } }, namespaces: { b: { team: blue } } }
    add: { amy: { namespace: b } }
  - about: last
    remove: [ amy ]
    max_enforce: 2s
converge_within: 5s
";

    #[test]
    fn changes_come_in_the_order_add_relabel_apply_delete_remove() {
        let scenario = load(CHANGING);
        let words: Vec<String> = scenario.stages()[1]
            .changes
            .iter()
            .map(|change| match change {
                Change::CreatePolicy(policy) => format!("create {}", policy.reference()),
                Change::ReplacePolicy(policy) => format!("replace {}", policy.reference()),
                Change::DeletePolicy(policy) => format!("delete {policy}"),
                Change::RelabelPod(id, labels) => format!("relabel {} {labels}", scenario.name_of(*id)),
                Change::RelabelNamespace(name, labels) => format!("relabel {name} {labels}"),
                Change::AddPod(id, _) => format!("add {}", scenario.name_of(*id)),
                Change::RemovePod(id) => format!("remove {}", scenario.name_of(*id)),
            })
            .collect();
        let expected = [
            "add amy",
            "relabel zoe role=db",
            "relabel b kubernetes.io/metadata.name=b,team=blue",
            "create b/new",
            "replace a/old",
            // What a Namespace manifest leaves out stays.
            "relabel a kubernetes.io/metadata.name=a,team=red,tier=one",
            "delete a/old",
            "remove bob",
        ];
        assert_eq!(words, expected);
    }

    #[test]
    fn every_stage_has_the_world_its_changes_lead_to() {
        let scenario = load(CHANGING);
        let seen: Vec<_> = scenario
            .stages()
            .iter()
            .map(|stage| {
                let pods: Vec<&str> = stage.world.pods.keys().map(|id| scenario.name_of(*id)).collect();
                let policies: Vec<String> =
                    stage.world.policies.iter().map(|policy| policy.reference().to_string()).collect();
                (stage.name.as_str(), pods, policies, stage.cells.len())
            })
            .collect();
        let strings = |all: &[&str]| all.iter().map(ToString::to_string).collect::<Vec<_>>();
        let expected = [
            ("policies", vec!["bob", "zoe"], strings(&["a/old"]), 2),
            ("step 1", vec!["amy", "zoe"], strings(&["b/new"]), 2),
            ("last", vec!["zoe"], strings(&["b/new"]), 0),
        ];
        assert_eq!(seen, expected);
        assert_eq!(scenario.bare().policies, []);
        let red: Labels = [("team", "red"), ("kubernetes.io/metadata.name", "a")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into_iter()
            .collect();
        assert_eq!(scenario.bare().namespaces["a"], red, "a step changes nothing of what was before it");
        // amy and bob never meet: no flow is between them.
        assert_eq!(scenario.flows().len(), 4);
        assert_eq!(scenario.baseline().len(), 2);
    }

    #[test]
    fn a_step_keeps_the_limits_it_does_not_give() {
        let scenario = load(CHANGING);
        let limits: Vec<_> =
            scenario.stages().iter().map(|s| (s.timing.converge_within.as_secs(), s.timing.max_enforce)).collect();
        let two = Some(std::time::Duration::from_secs(2));
        assert_eq!(limits, [(5, None), (5, None), (5, two)]);
    }

    #[test]
    fn pods_added_later_leave_the_addresses_of_the_others_alone() {
        let start = "version: 1\nnamespaces: { a: {} }\npods: { c: { namespace: a }, e: { namespace: a }, g: { namespace: a } }\n";
        let later = "steps: [ { add: { b: { namespace: a }, d: { namespace: a, node: 1 } } } ]\n";
        let (before, after) = (load(start), load(&format!("{start}{later}")));
        let place = |scenario: &Scenario, name: &str| {
            let pod = &scenario.stages().last().unwrap().world.pods[&scenario.find(name).unwrap()];
            format!("{} {}", pod.node, pod.addresses.v4.unwrap())
        };
        for (name, planned) in [("c", "node-1 10.244.0.1"), ("e", "node-2 10.244.2.1"), ("g", "node-1 10.244.0.2")] {
            assert_eq!(place(&before, name), planned);
            assert_eq!(place(&after, name), planned, "{name} has moved");
        }
        assert_eq!(place(&after, "b"), "node-2 10.244.2.2", "the round goes on with the pods that are added");
        assert_eq!(place(&after, "d"), "node-1 10.244.0.3", "`node:` places it");
    }

    #[test]
    fn cells_are_what_is_served_or_named_and_with_the_outside_only_what_is_named() {
        let scenario = load(
            "version: 1
families: [ ipv6, ipv4 ]
namespaces: { a: {} }
pods: { web: { namespace: a }, db: { namespace: a, serves: [ pg=5432/tcp ] }, mute: { namespace: a, serves: [] } }
outside: { cdn: { serves: [ 443/tcp, 80/tcp ] }, far: {}, idle: {} }
expect:
  - { from: web, to: db, port: 53/udp, verdict: denied }
  - { from: web, to: cdn, port: 443/tcp, verdict: allowed }
  - { from: far, to: web, family: ipv4, verdict: denied }
",
        );
        let stage = &scenario.stages()[0];
        let cells: BTreeSet<String> = stage.cells.iter().map(|(_, flow)| scenario.named(flow).to_string()).collect();
        let mut expected = BTreeSet::new();
        for flow in [
            "web -> db:5432/tcp",
            "mute -> db:5432/tcp",
            "web -> db:53/udp",
            "mute -> db:53/udp",
            "db -> web:8080/tcp",
            "mute -> web:8080/tcp",
            "web -> cdn:443/tcp",
            "far -> web:8080/tcp",
        ] {
            expected.extend([flow.to_owned(), format!("{flow} (IPv6)")]);
        }
        assert_eq!(cells, expected);
        let stated: BTreeSet<String> = stage
            .intent
            .iter()
            .filter(|(_, _, intent)| **intent != Intent::Unstated)
            .map(|(_, flow, _)| scenario.named(flow).to_string())
            .collect();
        let expected = [
            "web -> db:53/udp",
            "web -> db:53/udp (IPv6)",
            "web -> cdn:443/tcp",
            "web -> cdn:443/tcp (IPv6)",
            "far -> web:8080/tcp",
        ];
        assert_eq!(stated, expected.map(str::to_owned).into());
        let db = scenario.find("db").unwrap();
        let listens: Vec<String> = stage.world.serves(db).iter().map(ToString::to_string).collect();
        assert_eq!(listens, ["pg=5432/tcp", "53/udp"], "a port that is only named is listened on too");
    }

    #[test]
    fn strictness_refuses_flows_that_no_expectation_covers() {
        let text = "version: 1\nnamespaces: { a: {} }\npods: { b: { namespace: a }, c: { namespace: a } }\nexpect: [ { from: b, to: c, verdict: allowed } ]\n";
        assert_eq!(load(text).warnings(), &[] as &[String]);
        let refusal = load_str(text, Strictness::Strict).unwrap_err();
        let said: Vec<String> = refusal.diagnostics.iter().map(|d| d.line()).collect();
        let expected = "scenario.yaml:4:11: 1 flow of stage `policies` is covered by no expectation; \
                        say what is right for `c -> b:8080/tcp`";
        assert_eq!(said, [expected]);
    }
}
