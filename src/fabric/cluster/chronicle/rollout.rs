//! DaemonSets and Deployments in words: a new image, a new specification, how far it is rolled out.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::core::v1::PodSpec;

use super::follow::Reader;
use crate::fabric::Happened;
use crate::fabric::cluster::cni;
use crate::model::happening::About;
use crate::model::moment::Moment;

/// DaemonSets of these names.
pub(super) struct DaemonSets {
    names: BTreeSet<String>,
}

impl DaemonSets {
    /// Of these names.
    pub(super) fn called(names: BTreeSet<String>) -> Self {
        Self { names }
    }
}

/// All Deployments.
pub(super) struct Deployments;

/// What of a roll-out is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    subject: String,
    images: BTreeMap<String, String>,
    generation: i64,
    observed: i64,
    wanted: i32,
    updated: i32,
    ready: i32,
}

impl Facts {
    /// Whether what is wanted is there.
    fn is_done(&self) -> bool {
        self.observed >= self.generation && self.updated >= self.wanted && self.ready >= self.wanted
    }
}

impl Reader for DaemonSets {
    type Object = DaemonSet;
    type Facts = Facts;

    fn read(&self, set: &DaemonSet) -> Option<Facts> {
        let name = set.metadata.name.as_ref().filter(|name| self.names.contains(*name))?;
        let status = set.status.clone().unwrap_or_default();
        Some(Facts {
            subject: format!("DaemonSet {name}"),
            images: images(set.spec.template.spec.as_ref()),
            generation: set.metadata.generation.unwrap_or_default(),
            observed: status.observed_generation.unwrap_or_default(),
            wanted: status.desired_number_scheduled,
            updated: status.updated_number_scheduled.unwrap_or_default(),
            ready: status.number_ready,
        })
    }

    fn tell(&mut self, before: Option<&Facts>, after: Option<&Facts>, at: Moment) -> Vec<Happened> {
        tell(before, after, at)
    }
}

impl Reader for Deployments {
    type Object = Deployment;
    type Facts = Facts;

    fn read(&self, deployment: &Deployment) -> Option<Facts> {
        let spec = &deployment.spec;
        let status = deployment.status.clone().unwrap_or_default();
        Some(Facts {
            subject: format!("Deployment {}", deployment.metadata.name.as_deref()?),
            images: images(spec.template.spec.as_ref()),
            generation: deployment.metadata.generation.unwrap_or_default(),
            observed: status.observed_generation.unwrap_or_default(),
            wanted: spec.replicas.unwrap_or(1),
            updated: status.updated_replicas.unwrap_or_default(),
            ready: status.ready_replicas.unwrap_or_default(),
        })
    }

    fn tell(&mut self, before: Option<&Facts>, after: Option<&Facts>, at: Moment) -> Vec<Happened> {
        tell(before, after, at)
    }
}

fn images(pod: Option<&PodSpec>) -> BTreeMap<String, String> {
    let containers = pod.into_iter().flat_map(|pod| &pod.containers);
    containers.filter_map(|container| Some((container.name.clone(), container.image.clone()?))).collect()
}

fn tell(before: Option<&Facts>, after: Option<&Facts>, at: Moment) -> Vec<Happened> {
    let Some(now) = after.or(before) else { return Vec::new() };
    let told = |what: String| Happened::new(at, About::Rollout, now.subject.as_str(), what);
    let (before, after) = match (before, after) {
        (Some(before), Some(after)) => (before, after),
        (None, Some(_)) => return vec![told("was created".into())],
        (Some(_), None) => return vec![told("was deleted".into()).beginning("deleted")],
        (None, None) => return Vec::new(),
    };
    let mut all = Vec::new();
    if before.generation != after.generation {
        let changes: Vec<String> = after
            .images
            .iter()
            .filter_map(|(name, image)| Some((name, before.images.get(name)?, image)))
            .filter(|(_, earlier, image)| earlier != image)
            .map(|(name, earlier, image)| format!("{name} {} -> {}", short(earlier), short(image)))
            .collect();
        let what =
            if changes.is_empty() { "was changed".to_owned() } else { format!("was changed: {}", changes.join(", ")) };
        all.push(told(what));
    }
    let counts = |facts: &Facts| (facts.observed, facts.wanted, facts.updated, facts.ready);
    if counts(before) != counts(after) || before.is_done() != after.is_done() {
        let Facts { wanted, updated, ready, .. } = after;
        let progress = told(format!("{updated} of {wanted} updated, {ready} ready"));
        all.push(match (before.is_done(), after.is_done()) {
            (_, true) => progress.ending(),
            (_, false) => progress.beginning("rolling out"),
        });
    }
    all
}

fn short(image: &str) -> &str {
    cni::tag(image).unwrap_or(image)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::happening::Turn;

    fn set(image: &str, generation: i64, observed: i64, updated: i32, ready: i32) -> Facts {
        let set = json!({
            "metadata": { "name": "calico-node", "generation": generation },
            "spec": { "selector": {}, "template": { "spec": { "containers": [ { "name": "calico-node", "image": image } ] } } },
            "status": { "observedGeneration": observed, "desiredNumberScheduled": 3, "updatedNumberScheduled": updated,
                "numberReady": ready, "currentNumberScheduled": 3, "numberMisscheduled": 0 },
        });
        let sets = DaemonSets::called(["calico-node".to_owned()].into());
        sets.read(&serde_json::from_value(set).unwrap()).unwrap()
    }

    #[test]
    fn a_roll_out_is_told_step_by_step_and_ends_when_all_are_updated_and_ready() {
        let steps = [
            (set("q/node:v3.31.7", 1, 1, 3, 3), vec![]),
            (
                set("q/node:v3.32.1", 2, 1, 3, 3),
                vec!["was changed: calico-node v3.31.7 -> v3.32.1", "3 of 3 updated, 3 ready [rolling out]"],
            ),
            (set("q/node:v3.32.1", 2, 2, 0, 3), vec!["0 of 3 updated, 3 ready [rolling out]"]),
            (set("q/node:v3.32.1", 2, 2, 1, 2), vec!["1 of 3 updated, 2 ready [rolling out]"]),
            (set("q/node:v3.32.1", 2, 2, 3, 2), vec!["3 of 3 updated, 2 ready [rolling out]"]),
            (set("q/node:v3.32.1", 2, 2, 3, 3), vec!["3 of 3 updated, 3 ready [over]"]),
            (set("q/node:v3.32.1", 3, 3, 3, 3), vec!["was changed", "3 of 3 updated, 3 ready [over]"]),
        ];
        let mut before: Option<Facts> = None;
        for (after, expected) in steps {
            if let Some(before) = &before {
                let told: Vec<String> = tell(Some(before), Some(&after), Moment(1))
                    .iter()
                    .map(|one| match one.turn {
                        Turn::Begins { ref state } => format!("{} [{state}]", one.what),
                        Turn::Ends => format!("{} [over]", one.what),
                        Turn::None => one.what.clone(),
                    })
                    .collect();
                assert_eq!(told, expected);
            }
            before = Some(after);
        }
    }

    #[test]
    fn another_daemon_set_is_none_of_ours() {
        let other = json!({ "metadata": { "name": "logs" } });
        let sets = DaemonSets::called(["calico-node".to_owned()].into());
        assert_eq!(sets.read(&serde_json::from_value(other).unwrap()), None);
    }
}
