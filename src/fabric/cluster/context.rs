//! Which cluster: nothing is ever created in one that was not meant.

use kube::config::{KubeConfigOptions, Kubeconfig};

use super::error::{ClusterError, Said};

/// Contexts of clusters that were made to be used like this.
const OURS: &str = "kind-";

/// The context to use: the one asked for by name, else the current one if it is a kind cluster's.
///
/// # Errors
/// Where there is none, or none that may be used unasked.
pub fn choose(kubeconfig: &Kubeconfig, asked: Option<&str>) -> Result<String, ClusterError> {
    let known = || {
        let names: Vec<String> = kubeconfig.contexts.iter().map(|context| format!("`{}`", context.name)).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    };
    if let Some(asked) = asked {
        if kubeconfig.contexts.iter().any(|context| context.name == asked) {
            return Ok(asked.to_owned());
        }
        return Err(ClusterError::UnknownContext { context: asked.to_owned(), known: known() });
    }
    match kubeconfig.current_context.as_deref().filter(|current| !current.is_empty()) {
        None => Err(ClusterError::NoContext { known: known() }),
        Some(current) if current.starts_with(OURS) => Ok(current.to_owned()),
        Some(current) => Err(ClusterError::NotKind { context: current.to_owned() }),
    }
}

/// Reads the kubeconfig and chooses.
///
/// # Errors
/// As [`choose`], and where there is no kubeconfig.
pub(super) async fn config(asked: Option<&str>) -> Result<(kube::Config, String), ClusterError> {
    let unreadable = |error: &kube::config::KubeconfigError| ClusterError::Kubeconfig { source: Said::other(error) };
    let kubeconfig = Kubeconfig::read().map_err(|error| unreadable(&error))?;
    let context = choose(&kubeconfig, asked)?;
    let options = KubeConfigOptions { context: Some(context.clone()), cluster: None, user: None };
    let mut config =
        kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|error| unreadable(&error))?;
    // What may be tried again is decided where it is known what a second try would mean.
    config.default_retry = false;
    Ok((config, context))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kubeconfig(current: &str) -> Kubeconfig {
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: \"{current}\"\ncontexts:\n\
             - {{ name: kind-dev, context: {{ cluster: a, user: a }} }}\n\
             - {{ name: prod, context: {{ cluster: b, user: b }} }}\n"
        );
        Kubeconfig::from_yaml(&text).unwrap()
    }

    #[test]
    fn only_a_kind_cluster_is_used_unasked() {
        let rows = [
            ("kind-dev", None, Ok("kind-dev"), "the current context is kind's"),
            ("prod", Some("kind-dev"), Ok("kind-dev"), "the one asked for, not the current one"),
            ("kind-dev", Some("prod"), Ok("prod"), "any that is asked for by name"),
            ("prod", None, Err("is not a kind cluster's; if it is really meant, say `--context prod`"), "unasked"),
            ("", None, Err("no current context; name one with `--context`: there are `kind-dev`, `prod`"), "none"),
            ("kind-dev", Some("stage"), Err("no context `stage`; there are `kind-dev`, `prod`"), "a wrong name"),
        ];
        for (current, asked, expected, why) in rows {
            match (choose(&kubeconfig(current), asked), expected) {
                (Ok(context), Ok(expected)) => assert_eq!(context, expected, "{why}"),
                (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{why}: {error}"),
                (got, expected) => panic!("{why}: {got:?}, not {expected:?}"),
            }
        }
    }
}
