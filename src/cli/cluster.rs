//! Options of commands that work in a cluster, and `leakproof clean`.

use std::collections::BTreeMap;
use std::io;

use clap::Args;

use super::output::{self, Look};
use crate::exit::Exit;
use crate::run::{self, ClusterOptions, PullSecret, Toleration};

/// Which cluster.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Cluster")]
pub struct Which {
    /// The kubeconfig's context; without it the current one, if it is a kind cluster's
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
}

/// How probe pods are made there.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Cluster")]
pub struct PodArguments {
    /// The agent's image; the default is what `leakproof image` makes and `kind load image-archive` loads
    #[arg(long, value_name = "IMAGE")]
    pub agent_image: Option<String>,
    /// Only nodes with this label; repeatable
    #[arg(long = "node-selector", value_name = "KEY=VALUE", value_parser = pair)]
    pub node_selector: Vec<(String, String)>,
    /// Nodes with this taint too; repeatable
    #[arg(long = "toleration", value_name = "KEY[=VALUE][:EFFECT]")]
    pub tolerations: Vec<Toleration>,
    /// A Secret to pull the image with, copied into each namespace of the run; repeatable
    #[arg(long = "pull-secret", value_name = "NAMESPACE/NAME")]
    pub pull_secrets: Vec<PullSecret>,
    /// What each pod requests, and each further container of one, in place of `cpu=25m,memory=16Mi`; repeatable, or with
    /// commas. `none`: nothing at all
    #[arg(long = "request", value_name = "RESOURCE=QUANTITY", value_parser = request, value_delimiter = ',')]
    pub requests: Vec<Request>,
}

impl PodArguments {
    /// As the fabric takes them.
    pub fn options(&self) -> ClusterOptions {
        let default = ClusterOptions::default();
        ClusterOptions {
            image: self.agent_image.clone().unwrap_or(default.image),
            node_selector: self.node_selector.iter().cloned().collect(),
            tolerations: self.tolerations.clone(),
            pull_secrets: self.pull_secrets.clone(),
            requests: self.requests(default.requests),
            adopt: None,
        }
    }
}

impl PodArguments {
    /// As they would be typed.
    pub(super) fn words(&self) -> Vec<String> {
        let pairs = |option: &'static str, pairs: &[(String, String)]| -> Vec<(&'static str, String)> {
            pairs.iter().map(|(key, value)| (option, format!("{key}={value}"))).collect()
        };
        let mut all: Vec<(&str, String)> =
            self.agent_image.iter().map(|image| ("--agent-image", image.clone())).collect();
        all.extend(pairs("--node-selector", &self.node_selector));
        all.extend(self.tolerations.iter().map(|one| ("--toleration", one.to_string())));
        all.extend(self.pull_secrets.iter().map(|one| ("--pull-secret", one.to_string())));
        all.extend(self.requests.iter().map(|one| ("--request", one.to_string())));
        all.into_iter().flat_map(|(option, value)| [option.to_owned(), value]).collect()
    }
}

/// A resource and how much of it is requested, or that nothing is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// So much of it.
    Some(String, String),
    /// Nothing of anything.
    None,
}

impl std::fmt::Display for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Some(resource, quantity) => write!(f, "{resource}={quantity}"),
            Self::None => f.write_str("none"),
        }
    }
}

fn request(text: &str) -> Result<Request, String> {
    if text == "none" {
        return Ok(Request::None);
    }
    let (resource, quantity) = pair(text)?;
    // As the Kubernetes API reference has it ("Quantity"): digits, perhaps a fraction, and a suffix or an exponent.
    let digits = quantity.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let suffix = &quantity[digits.len()..];
    let number = digits.bytes().filter(|b| *b == b'.').count() <= 1
        && digits.bytes().any(|b| b.is_ascii_digit())
        && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if number && ["", "m", "k", "M", "G", "Ki", "Mi", "Gi"].contains(&suffix) {
        Ok(Request::Some(resource, quantity))
    } else {
        Err(format!("`{quantity}` is no quantity of {resource}: write it as `25m`, `0.5` or `16Mi`"))
    }
}

impl PodArguments {
    /// What each pod requests: the defaults, with what was said in their place.
    fn requests(&self, defaults: BTreeMap<String, String>) -> BTreeMap<String, String> {
        self.requests.iter().fold(defaults, |mut requests, one| {
            match one {
                Request::Some(resource, quantity) => drop(requests.insert(resource.clone(), quantity.clone())),
                Request::None => requests.clear(),
            }
            requests
        })
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE".into()),
    }
}

/// Arguments of `clean`.
#[derive(Debug, Clone, Args)]
#[command(
    long_about = "Remove what killed runs left in a cluster.\n\n\
        Everything leakproof creates carries the label `leakproof.dev/run`. What has it is listed and then deleted, by \
        UID; nothing without it is touched. A run whose process still runs on this machine is spared unless it is named.",
    after_help = "Examples:\n  leakproof clean --dry-run\n  leakproof clean --run 1f2e3d4c --context kind-leak"
)]
pub struct CleanArguments {
    /// Only what this run left
    #[arg(long, value_name = "ID")]
    pub run: Option<String>,
    /// List it, and remove nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Which cluster.
    #[command(flatten)]
    pub which: Which,
}

/// Removes what killed runs left. Gives the exit code.
///
/// # Errors
/// Where output cannot be written.
pub async fn clean(arguments: &CleanArguments, _look: &Look) -> io::Result<u8> {
    let looked = async {
        let connected = run::connect(arguments.which.context.as_deref(), ClusterOptions::default()).await?;
        let leftovers = run::leftovers(&connected, arguments.run.as_deref()).await?;
        Ok((connected, leftovers))
    };
    let (connected, leftovers) = match looked.await {
        Ok(both) => both,
        Err(refusal) => {
            let refusal: run::Refusal = refusal;
            output::complain(&run::chain(&refusal));
            return Ok(refusal.exit());
        }
    };
    output::print(|w| leftovers.lines.iter().try_for_each(|line| writeln!(w, "{line}")))?;
    output::say(&leftovers.alive);
    for error in &leftovers.errors {
        output::complain(error);
    }
    let mut code = if leftovers.errors.is_empty() { Exit::Ok } else { Exit::LeftBehind };
    if leftovers.is_empty() {
        output::say(&["nothing to remove".to_owned()]);
    } else if arguments.dry_run {
        output::say(&["nothing was removed (--dry-run)".to_owned()]);
    } else {
        let errors = run::clean(&connected, &leftovers).await;
        for error in &errors {
            output::complain(&format!("left behind: {error}"));
        }
        if errors.is_empty() {
            output::say(&["all of it is gone".to_owned()]);
        } else {
            code = Exit::LeftBehind;
        }
    }
    Ok(code.code())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_go_over_the_defaults_and_none_takes_them_all_away() {
        let defaults = || ClusterOptions::default().requests;
        let pairs = |all: &[(&str, &str)]| all.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        let rows: [(&[&str], BTreeMap<String, String>); 4] = [
            (&[], defaults()),
            (&["cpu=100m"], pairs(&[("cpu", "100m"), ("memory", "16Mi")])),
            (&["none"], BTreeMap::new()),
            (&["none", "memory=0.5Gi"], pairs(&[("memory", "0.5Gi")])),
        ];
        for (given, expected) in rows {
            let requests = given.iter().map(|one| request(one).unwrap()).collect();
            let arguments = PodArguments { requests, ..PodArguments::default() };
            assert_eq!(arguments.requests(defaults()), expected, "{given:?}");
            let words: Vec<String> = arguments.requests.iter().map(ToString::to_string).collect();
            assert_eq!(words, given, "a suggested command says the same");
        }
        assert!(!defaults().is_empty(), "a pod without requests is the first to be evicted");
        for wrong in ["cpu", "cpu=", "cpu=much", "memory=16MiB", "cpu=1.2.3", "=1"] {
            assert!(request(wrong).is_err(), "`{wrong}`");
        }
    }
}
