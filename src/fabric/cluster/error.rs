//! What could not be done in a cluster: verb, kind, namespace and object, and what to do next.

use std::fmt;
use std::time::Duration;

/// What could not be done in a cluster.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The kubeconfig could not be read.
    #[error("reading the kubeconfig (KUBECONFIG, else ~/.kube/config)")]
    Kubeconfig {
        /// Why not.
        source: Said,
    },
    /// No context was named, and the kubeconfig has no current one.
    #[error("the kubeconfig has no current context; name one with `--context`: there are {known}")]
    NoContext {
        /// All there are.
        known: String,
    },
    /// The current context may be anybody's cluster.
    #[error(
        "the current context `{context}` is not a kind cluster's; if it is really meant, say `--context {context}`"
    )]
    NotKind {
        /// The current context.
        context: String,
    },
    /// A context that is not there.
    #[error("the kubeconfig has no context `{context}`; there are {known}")]
    UnknownContext {
        /// As given.
        context: String,
        /// All there are.
        known: String,
    },
    /// The cluster did not answer.
    #[error("reaching the cluster of context `{context}`; `kubectl --context {context} version` should answer")]
    Unreachable {
        /// The context.
        context: String,
        /// Why not.
        source: Said,
    },
    /// A request that the API server refused, or that did not reach it.
    #[error("{verb} {what}")]
    Request {
        /// What was tried.
        verb: &'static str,
        /// On which object.
        what: String,
        /// What came back.
        source: Said,
    },
    /// Something of that name is there already.
    #[error(
        "{what} is there already{whose}; leakproof creates what it later deletes, and takes over nothing: \
         `leakproof clean` removes what a killed run left; what is somebody's own needs another name in the scenario"
    )]
    Exists {
        /// What.
        what: String,
        /// Whose it is, where that is known.
        whose: String,
    },
    /// Something of ours is not ours any more.
    #[error("{verb} {what}: somebody else has changed or replaced it since this run made it")]
    Taken {
        /// What was tried.
        verb: &'static str,
        /// On which object.
        what: String,
    },
    /// What was to be adopted is not there.
    #[error("looking for what is to be adopted: {missing}")]
    NotThere {
        /// What, and what to do about each.
        missing: String,
    },
    /// The scenario asks for what cannot be done to what is somebody else's.
    #[error("fitting the scenario into a world that is somebody else's")]
    Unfit {
        /// What it asks for.
        source: crate::scenario::adopted::Unfit,
    },
    /// A policy in force that could not be read whole.
    #[error("reading {what} as it is in force: {why}")]
    Unreadable {
        /// Which.
        what: String,
        /// Why not.
        why: String,
    },
    /// Probe pods would be taken for somebody's own.
    #[error("making sure that probe pods join nothing: {what}; `--even-if-selected` makes them all the same")]
    Selected {
        /// By whom, and what would come of it.
        what: String,
    },
    /// Rights that the run would need on its way, or to remove what it made.
    #[error(
        "making sure that the run may do what it has to: {missing}; nothing was touched. `kubectl apply -f ci/rbac.yaml` \
         grants what leakproof uses to its service account, and `leakproof doctor` tells all that is missing"
    )]
    Rights {
        /// Which.
        missing: String,
    },
    /// A policy of a kind the cluster does not have.
    #[error("finding the kind `{kind}` of `{api_version}`: this cluster does not serve it")]
    NoKind {
        /// The kind.
        kind: String,
        /// The group and version.
        api_version: String,
    },
    /// No node takes pods.
    #[error("finding nodes for pods: {why}")]
    NoNode {
        /// What is in the way at each.
        why: String,
    },
    /// A pod cannot start.
    #[error("starting pod `{pod}`: {why}")]
    PodStuck {
        /// Namespace and name.
        pod: String,
        /// The cluster's own reason, and what to do.
        why: String,
    },
    /// Pods that did not start in time.
    #[error("waiting {waited:?} for {pods}")]
    PodsLate {
        /// Which, and where each stands.
        pods: String,
        /// How long.
        waited: Duration,
    },
    /// The run was told to stop.
    #[error("told to stop while {doing}")]
    Stopped {
        /// What was being done.
        doing: &'static str,
    },
    /// Something that is not gone.
    #[error("waiting {waited:?} for {what} to be gone: {stands}; `leakproof clean --run {run}` tries again")]
    Left {
        /// What.
        what: String,
        /// How long.
        waited: Duration,
        /// Where it stands.
        stands: String,
        /// The run.
        run: String,
    },
    /// This machine gives no random bits.
    #[error("making a token for an agent")]
    Token {
        /// What the kernel said.
        source: std::io::Error,
    },
}

/// What came back instead of an answer, in one sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    text: String,
    sort: Sort,
}

/// What sort of failure it was, as far as anybody acts on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// The object is not there.
    NotFound,
    /// One of that name is there.
    AlreadyExists,
    /// It is not as it was thought to be: another version, another UID.
    Conflict,
    /// Not allowed, by rights or by admission.
    Forbidden,
    /// Another try may go better: the server is away or overloaded, or the way there broke.
    Passing,
    /// Anything else: trying again will not help.
    Lasting,
}

impl Said {
    /// From what the client says. Its own words repeat the server's; only the innermost are kept.
    pub(super) fn new(error: &kube::Error) -> Self {
        if let kube::Error::Api(status) = error {
            let sort = match status.code {
                404 => Sort::NotFound,
                409 if status.is_already_exists() => Sort::AlreadyExists,
                409 => Sort::Conflict,
                403 => Sort::Forbidden,
                429 | 500..=599 => Sort::Passing,
                _ => Sort::Lasting,
            };
            let text = if status.message.is_empty() { status.reason.clone() } else { status.message.clone() };
            return Self { text: format!("{} ({})", text.trim(), status.code), sort };
        }
        let sort = match error {
            kube::Error::HyperError(_) | kube::Error::Service(_) | kube::Error::ReadEvents(_) => Sort::Passing,
            kube::Error::UpgradeConnection(_) => Sort::Passing,
            _ => Sort::Lasting,
        };
        let text = match error {
            // Its own words are only that it is one.
            kube::Error::Service(cause) => innermost(&**cause),
            _ => innermost(error),
        };
        Self { text, sort }
    }

    /// From anything else.
    pub(super) fn other(error: &dyn std::error::Error) -> Self {
        Self { text: innermost(error), sort: Sort::Lasting }
    }

    /// In our own words.
    pub(super) fn text(text: &str) -> Self {
        Self { text: text.to_owned(), sort: Sort::Lasting }
    }

    /// What sort of failure it was.
    pub fn sort(&self) -> Sort {
        self.sort
    }
}

/// The last of the chain of causes, with the one before it where the last alone says little.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut texts = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        texts.push(error.to_string());
        cause = error.source();
    }
    let last = texts.pop().unwrap_or_default();
    // An outer text that ends in the inner one adds only its own words before it.
    match texts.pop().filter(|outer| !outer.is_empty()) {
        Some(outer) if outer.ends_with(&last) => outer,
        Some(outer) if last.len() < 12 => format!("{outer}: {last}"),
        Some(_) | None => last,
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Said {}

impl ClusterError {
    /// What sort of failure a request had; none for other errors.
    pub(super) fn sort(&self) -> Option<Sort> {
        match self {
            Self::Request { source, .. } => Some(source.sort()),
            _ => None,
        }
    }
}
