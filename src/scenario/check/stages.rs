//! Plays a scenario through: the bare world, the world under the initial policies, and the world after each step.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::cast::Cast;
use super::namespaces::{home, named, namespaces};
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
    let mut world = World {
        namespaces,
        outside: cast.outside.clone(),
        services: cast.services.clone(),
        planned: cast.planned.clone(),
        ..World::default()
    };
    for (name, pod) in &raw.pods {
        if let Some((id, pod)) =
            cast.find_pod(&pod.namespace.value, &name.value).and_then(|id| cast.pods.get(&id).map(|pod| (id, pod)))
        {
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
    for ((place, step), manifests) in (1..).zip(&raw.steps).zip(steps).take(STEPS) {
        let changes = player.step(place, step, manifests);
        // It gets its name below.
        stages.push(PlayedStage { name: String::new(), span: step.span, changes, world: player.world.clone() });
    }
    let placed = player.placed;
    for (stage, name) in stages.iter_mut().skip(1).zip(names(&raw.steps)) {
        stage.name = name;
    }
    check_names(raw, &stages, log);
    Played { bare, stages, placed }
}

/// The names of steps. Stages are told apart by name in reports, in what `diff` compares and in the names of trials: of
/// steps with the same `about` the second is called `… (2)`, and so on.
fn names(steps: &[raw::Step]) -> Vec<String> {
    let written = |(place, step): (usize, &raw::Step)| {
        step.about.as_ref().map_or_else(|| format!("step {place}"), |about| about.value.clone())
    };
    let written: Vec<String> = (1..).zip(steps).map(written).collect();
    let mut taken: HashSet<String> = HashSet::new();
    let mut names = Vec::new();
    for name in &written {
        let numbered = (2..).map(|number| format!("{name} ({number})"));
        let free = |other: &String| !taken.contains(other) && !written.contains(other);
        let own = if taken.contains(name) { numbered.into_iter().find(free) } else { None };
        let own = own.unwrap_or_else(|| name.clone());
        taken.insert(own.clone());
        names.push(own);
    }
    names
}

fn check_names(raw: &raw::Scenario, stages: &[PlayedStage], log: &mut Log) {
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

    fn step(&mut self, place: usize, step: &raw::Step, manifests: Vec<Manifest>) -> Vec<Change> {
        let mut changes = Vec::new();
        // The order of `Phases`, in which every fabric makes them.
        self.remove(step, &mut changes);
        self.relabel(step, &mut changes);
        self.apply(manifests, &mut changes);
        self.delete(step, &mut changes);
        self.add(place, step, &mut changes);
        self.settle();
        changes
    }

    fn add(&mut self, place: usize, step: &raw::Step, changes: &mut Vec<Change>) {
        let mut pods: Vec<_> = step.add.iter().collect();
        pods.sort_by(|a, b| (&a.0.value, &a.1.namespace.value).cmp(&(&b.0.value, &b.1.namespace.value)));
        let added = self.cast.added.get(place).cloned().unwrap_or_default();
        for (name, pod) in pods {
            let found = self.cast.find_pod(&pod.namespace.value, &name.value);
            let Some((id, pod)) = found.and_then(|id| Some((id, added.get(&id)?.clone()))) else { continue };
            if self.world.pods.contains_key(&id) {
                let draft = error(Code::Duplicate, format!("there is a pod `{}` already at this step", name.value));
                let draft = draft.note(name.span, "again here").note(self.cast.span(id), "first here");
                self.log.push(
                    draft.help("name it under `remove` too: then it is removed first, and comes back as written"),
                );
                continue;
            }
            self.world.pods.insert(id, pod.clone());
            changes.push(Change::AddPod(id, pod));
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
            None => self.cast.ambiguous(name).unwrap_or_else(|| {
                error(Code::UnknownName, format!("there is no pod `{}`", name.value))
                    .at(name.span)
                    .help_maybe(self.cast.nearest(&name.value, self.log))
            }),
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
mod tests;
