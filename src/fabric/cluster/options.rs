//! How pods are to be made where the defaults do not suit a cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde_json::{Value, json};

/// The image in a kind cluster, where `kind load image-archive` put it; no registry has it.
pub const LOCAL_IMAGE: &str = concat!("localhost/leakproof-agent:", env!("CARGO_PKG_VERSION"));

/// How pods are to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The agent's image.
    pub image: String,
    /// Only nodes with these labels.
    pub node_selector: BTreeMap<String, String>,
    /// Taints that are put up with.
    pub tolerations: Vec<Toleration>,
    /// Secrets to pull the image with, as `namespace/name`: each namespace of a run gets a copy.
    pub pull_secrets: Vec<PullSecret>,
    /// What each pod requests, and each further container of one: `cpu`, `memory`.
    pub requests: BTreeMap<String, String>,
    /// How to run in a world that is there already; none: the run makes its own.
    pub adopt: Option<Adopt>,
}

/// How to run in a world that is somebody else's.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Adopt {
    /// Namespaces of the scenario that are not theirs: the run makes them, and removes them again.
    pub makes: BTreeSet<String>,
    /// What to do where a probe pod would be taken for one of theirs.
    pub selected: Selected,
}

/// What to do where a Service or a disruption budget would take a probe pod for one of theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Selected {
    /// The run ends before anything is made.
    #[default]
    Refused,
    /// It is said, and done.
    Accepted,
}

/// What each pod requests where nobody says otherwise: what an agent was measured to need that tries twenty flows ten times a
/// second (`cargo bench --bench watch`: 2.6 % of a core and 2.5 MB), with room in memory for the records that it keeps while its
/// control stream is broken. A pod without any request is the first to starve and to be evicted.
pub fn default_requests() -> BTreeMap<String, String> {
    [("cpu", "25m"), ("memory", "16Mi")].map(|(name, quantity)| (name.to_owned(), quantity.to_owned())).into()
}

impl Default for Options {
    fn default() -> Self {
        Self {
            image: LOCAL_IMAGE.to_owned(),
            node_selector: BTreeMap::new(),
            tolerations: Vec::new(),
            pull_secrets: Vec::new(),
            requests: default_requests(),
            adopt: None,
        }
    }
}

/// A taint that is put up with; what is left out matches everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Toleration {
    /// The taint's key.
    pub key: Option<String>,
    /// Its value.
    pub value: Option<String>,
    /// Its effect.
    pub effect: Option<String>,
}

/// A Secret that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullSecret {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// Why a text is no option.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no {what}; write {form}")]
pub struct OptionSyntax {
    text: String,
    what: &'static str,
    form: &'static str,
}

impl FromStr for Toleration {
    type Err = OptionSyntax;

    fn from_str(text: &str) -> Result<Self, OptionSyntax> {
        let form = "KEY, KEY=VALUE, KEY:EFFECT or KEY=VALUE:EFFECT, or `*` for every taint";
        let wrong = || OptionSyntax { text: text.to_owned(), what: "toleration", form };
        if text == "*" {
            return Ok(Self::default());
        }
        let (rest, effect) = match text.rsplit_once(':') {
            Some((rest, effect @ ("NoSchedule" | "PreferNoSchedule" | "NoExecute"))) => (rest, Some(effect.to_owned())),
            Some(_) => return Err(wrong()),
            None => (text, None),
        };
        let (key, value) = match rest.split_once('=') {
            Some((key, value)) => (key, Some(value.to_owned())),
            None => (rest, None),
        };
        if key.is_empty() { Err(wrong()) } else { Ok(Self { key: Some(key.to_owned()), value, effect }) }
    }
}

impl Toleration {
    /// As a pod's manifest has it.
    pub(super) fn manifest(&self) -> Value {
        let mut manifest = json!({ "operator": if self.value.is_some() { "Equal" } else { "Exists" } });
        for (key, value) in [("key", &self.key), ("value", &self.value), ("effect", &self.effect)] {
            if let Some(value) = value {
                manifest[key] = json!(value);
            }
        }
        manifest
    }
}

impl fmt::Display for Toleration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key.as_deref().unwrap_or("*"))?;
        self.value.as_ref().map_or(Ok(()), |value| write!(f, "={value}"))?;
        self.effect.as_ref().map_or(Ok(()), |effect| write!(f, ":{effect}"))
    }
}

impl fmt::Display for PullSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl FromStr for PullSecret {
    type Err = OptionSyntax;

    fn from_str(text: &str) -> Result<Self, OptionSyntax> {
        match text.split_once('/') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() => {
                Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() })
            }
            _ => Err(OptionSyntax { text: text.to_owned(), what: "pull secret", form: "NAMESPACE/NAME of a Secret" }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tolerations_are_read_as_kubectl_writes_taints() {
        let rows = [
            ("*", json!({ "operator": "Exists" }), "every taint"),
            ("gpu", json!({ "operator": "Exists", "key": "gpu" }), "a key with any value and effect"),
            ("gpu=a", json!({ "operator": "Equal", "key": "gpu", "value": "a" }), "a value"),
            ("gpu:NoExecute", json!({ "operator": "Exists", "key": "gpu", "effect": "NoExecute" }), "an effect"),
        ];
        for (text, manifest, why) in rows {
            let toleration: Toleration = text.parse().unwrap();
            assert_eq!((toleration.manifest(), toleration.to_string()), (manifest, text.to_owned()), "{why}");
        }
        for wrong in ["", "=a", "gpu:Sometimes"] {
            assert!(wrong.parse::<Toleration>().is_err(), "`{wrong}`");
        }
        assert!("regcred".parse::<PullSecret>().unwrap_err().to_string().contains("NAMESPACE/NAME"));
    }
}
