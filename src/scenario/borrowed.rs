//! Pods that have the labels of a live workload: `like: deployment/data-store`.
//!
//! A scenario for production must not drift from what is deployed there: with the labels read from the workload's own pod
//! template, a probe pod is selected by whatever selects the workload's pods, today and after the next change.

use std::fmt;
use std::str::FromStr;

use super::log::nearest;
use super::{Endpoint, Scenario};
use crate::model::endpoint::EndpointId;
use crate::model::labels::{Labels, check_subdomain};

/// A workload in a pod's own namespace. Displayed as written: `deployment/data-store`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Workload {
    /// What sort it is of.
    pub kind: WorkloadKind,
    /// Its name.
    pub name: String,
}

/// The sorts of workloads that have a pod template, and a pod itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WorkloadKind {
    /// apps/v1 Deployment.
    Deployment,
    /// apps/v1 StatefulSet.
    StatefulSet,
    /// apps/v1 DaemonSet.
    DaemonSet,
    /// apps/v1 ReplicaSet.
    ReplicaSet,
    /// batch/v1 Job.
    Job,
    /// batch/v1 CronJob.
    CronJob,
    /// v1 Pod.
    Pod,
}

impl WorkloadKind {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Deployment, Self::StatefulSet, Self::DaemonSet, Self::ReplicaSet, Self::Job, Self::CronJob, Self::Pod];

    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            Self::Deployment => "deployment",
            Self::StatefulSet => "statefulset",
            Self::DaemonSet => "daemonset",
            Self::ReplicaSet => "replicaset",
            Self::Job => "job",
            Self::CronJob => "cronjob",
            Self::Pod => "pod",
        }
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.word(), self.name)
    }
}

/// Why a text names no workload.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` names no workload: {why}")]
pub struct WorkloadSyntax {
    text: String,
    why: String,
    /// What to write instead.
    pub help: String,
}

impl FromStr for Workload {
    type Err = WorkloadSyntax;

    fn from_str(text: &str) -> Result<Self, WorkloadSyntax> {
        let words = WorkloadKind::ALL.map(WorkloadKind::word);
        let known = || format!("write KIND/NAME, the kind one of {}", words.map(|word| format!("`{word}`")).join(", "));
        let wrong = |why: String, help: String| WorkloadSyntax { text: text.to_owned(), why, help };
        let Some((kind, name)) = text.split_once('/') else {
            return Err(wrong("a kind and a name belong together".to_owned(), known()));
        };
        let Some(found) = WorkloadKind::ALL.into_iter().find(|one| one.word() == kind) else {
            let help = nearest(kind, words).unwrap_or_else(known);
            return Err(wrong(format!("there is no kind `{kind}` that has pods"), help));
        };
        match check_subdomain(name) {
            Ok(()) => Ok(Self { kind: found, name: name.to_owned() }),
            Err(why) => Err(wrong(format!("the name {why}"), known())),
        }
    }
}

/// A pod whose labels are those of a workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Borrowed {
    /// Whose.
    pub like: Workload,
    /// The pod's namespace, which is the workload's too.
    pub namespace: String,
    /// What the file says they are, where it does: what holds where no workload can be asked.
    pub said: Option<Labels>,
}

/// Pods whose labels only a cluster knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the labels of {pods} are those of a live workload, which only `run --on cluster --adopt` can ask; `labels:` beside \
     `like:` are what holds elsewhere"
)]
pub struct Unlabelled {
    pods: String,
}

impl Scenario {
    /// The pods whose labels are a workload's.
    pub fn borrowed(&self) -> impl Iterator<Item = (EndpointId, &Borrowed)> {
        self.borrowed.iter().map(|(id, borrowed)| (*id, borrowed))
    }

    /// Makes sure that every pod has labels without asking a cluster.
    ///
    /// # Errors
    /// Names the pods that have none.
    pub fn labelled(&self) -> Result<(), Unlabelled> {
        let name = |id: EndpointId| self.endpoints.get(id.index()).map_or("?", |Endpoint { name, .. }| name.as_str());
        let unknown = self.borrowed.iter().filter(|(_, borrowed)| borrowed.said.is_none());
        let pods: Vec<String> = unknown.map(|(id, one)| format!("`{}` (like {})", name(*id), one.like)).collect();
        if pods.is_empty() { Ok(()) } else { Err(Unlabelled { pods: pods.join(", ") }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workload_is_a_kind_and_a_name() {
        let rows = [
            ("deployment/data-store", Ok("deployment/data-store"), "the usual one"),
            ("pod/data-store-0", Ok("pod/data-store-0"), "a pod itself"),
            ("cronjob/nightly.report", Ok("cronjob/nightly.report"), "a name with a dot"),
            ("data-store", Err("a kind and a name belong together"), "no kind"),
            ("Deployment/data-store", Err("no kind `Deployment`"), "as manifests write it"),
            ("deploy/data-store", Err("no kind `deploy`"), "kubectl's short form"),
            ("service/data-store", Err("no kind `service`"), "what has no pods"),
            ("deployment/", Err("the name must not be empty"), "no name"),
            ("deployment/a/b", Err("the name must consist of"), "two names"),
        ];
        for (text, expected, why) in rows {
            match (text.parse::<Workload>(), expected) {
                (Ok(workload), Ok(expected)) => assert_eq!(workload.to_string(), expected, "{why}"),
                (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{why}: {error}"),
                (got, expected) => panic!("{why}: {got:?}, not {expected:?}"),
            }
        }
        assert_eq!("deploymnt/x".parse::<Workload>().unwrap_err().help, "did you mean `deployment`?");
    }
}
