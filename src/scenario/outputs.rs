//! Names that whoever deployed a world gave it: outputs of a program, as `pulumi stack output --json` prints them, put in
//! the place of names in the scenario as its `names:` say.

use std::collections::BTreeMap;

use serde_json::Value;

use super::adopted::METADATA_NAME;
use super::log::nearest;
use super::world::World;
use super::{Change, Scenario};
use crate::model::labels::{Labels, check_dns_label, check_subdomain};
use crate::model::prediction::PolicyRef;
use crate::policy::Policy;

/// Which names of a scenario are outputs: from the name in the file to the output's.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Names {
    /// Of namespaces.
    pub namespaces: BTreeMap<String, String>,
    /// Of policies, by `namespace/name`.
    pub policies: BTreeMap<String, String>,
    /// Of workloads that pods are like, by `kind/name`.
    pub workloads: BTreeMap<String, String>,
}

impl Names {
    /// Whether all names are those of the file.
    pub fn is_empty(&self) -> bool {
        self.namespaces.is_empty() && self.policies.is_empty() && self.workloads.is_empty()
    }
}

/// Outputs by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outputs(BTreeMap<String, Value>);

/// Why names could not be taken from outputs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutputsError {
    /// Not what is expected.
    #[error("these are no outputs: {why}; `pulumi stack output --json` prints one map of names and values")]
    NoMap {
        /// What is wrong.
        why: String,
    },
    /// Nothing takes a name.
    #[error("no name of `{scenario}` is an output; say under its `names:` which are")]
    Unused {
        /// The scenario's name.
        scenario: String,
    },
    /// Names that were not found, or cannot be.
    #[error("{}", why.join("; "))]
    Names {
        /// One sentence each.
        why: Vec<String>,
    },
}

impl Outputs {
    /// Reads them.
    ///
    /// # Errors
    /// Where the text is no JSON map.
    pub fn read(json: &str) -> Result<Self, OutputsError> {
        let no_map = |why: String| OutputsError::NoMap { why };
        match serde_json::from_str(json).map_err(|error| no_map(error.to_string()))? {
            Value::Object(map) => Ok(Self(map.into_iter().collect())),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                Err(no_map("the JSON is no map".to_owned()))
            }
        }
    }

    /// The text of an output.
    fn text(&self, output: &str) -> Result<&str, String> {
        match self.0.get(output) {
            Some(Value::String(text)) => Ok(text),
            Some(other) => Err(format!("the output `{output}` is no text but {other}")),
            None => {
                let hint = nearest(output, self.0.keys().map(String::as_str)).unwrap_or_else(|| {
                    let known: Vec<String> = self.0.keys().map(|name| format!("`{name}`")).collect();
                    if known.is_empty() {
                        "there is none".to_owned()
                    } else {
                        format!("there are {}", known.join(", "))
                    }
                });
                Err(format!("there is no output `{output}`; {hint}"))
            }
        }
    }
}

/// What each name becomes.
struct Becomes {
    namespaces: BTreeMap<String, String>,
    policies: BTreeMap<String, String>,
    workloads: BTreeMap<String, String>,
}

impl Scenario {
    /// `names:`.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// The same scenario with the names that these outputs give.
    ///
    /// # Errors
    /// Where an output is not there or is no name, two namespaces get one, or no name is an output at all.
    pub fn named_by(&self, outputs: &Outputs) -> Result<Self, OutputsError> {
        if self.names.is_empty() {
            return Err(OutputsError::Unused { scenario: self.name.clone() });
        }
        let becomes = self.becomes(outputs)?;
        let mut scenario = self.clone();
        let mut wrong = Vec::new();
        becomes.world(&mut scenario.bare, &mut wrong);
        for stage in &mut scenario.stages {
            becomes.world(&mut stage.world, &mut wrong);
            stage.changes.iter_mut().for_each(|change| becomes.change(change, &mut wrong));
        }
        for borrowed in scenario.borrowed.values_mut() {
            if let Some(name) = becomes.workloads.get(&borrowed.like.to_string()) {
                borrowed.like.name.clone_from(name);
            }
            borrowed.namespace = becomes.namespace(&borrowed.namespace);
        }
        scenario.names = Names::default();
        if wrong.is_empty() { Ok(scenario) } else { Err(OutputsError::Names { why: wrong }) }
    }

    fn becomes(&self, outputs: &Outputs) -> Result<Becomes, OutputsError> {
        let mut why = Vec::new();
        let mut take = |names: &BTreeMap<String, String>, check: fn(&str) -> Result<(), String>| {
            let mut taken = BTreeMap::new();
            for (name, output) in names {
                match outputs.text(output).and_then(|text| {
                    check(text).map_err(|wrong| format!("the output `{output}` is `{text}`, which {wrong}"))?;
                    Ok(text)
                }) {
                    Ok(text) => drop(taken.insert(name.clone(), text.to_owned())),
                    Err(wrong) => why.push(format!("`{name}`: {wrong}")),
                }
            }
            taken
        };
        let label = |text: &str| check_dns_label(text).map_err(|wrong| wrong.to_string());
        let subdomain = |text: &str| check_subdomain(text).map_err(|wrong| wrong.to_string());
        let becomes = Becomes {
            namespaces: take(&self.names.namespaces, label),
            policies: take(&self.names.policies, subdomain),
            workloads: take(&self.names.workloads, subdomain),
        };
        let mut seen: BTreeMap<String, &String> = BTreeMap::new();
        for name in self.bare.namespaces.keys() {
            let live = becomes.namespace(name);
            if let Some(first) = seen.insert(live.clone(), name) {
                why.push(format!("`{first}` and `{name}` would both be the namespace `{live}`"));
            }
        }
        if why.is_empty() { Ok(becomes) } else { Err(OutputsError::Names { why }) }
    }
}

impl Becomes {
    fn namespace(&self, name: &str) -> String {
        self.namespaces.get(name).map_or(name, String::as_str).to_owned()
    }

    fn world(&self, world: &mut World, wrong: &mut Vec<String>) {
        let namespaces = std::mem::take(&mut world.namespaces).into_iter();
        world.namespaces =
            namespaces.map(|(name, labels)| (self.namespace(&name), self.labels(&name, labels))).collect();
        world.pods.values_mut().for_each(|pod| pod.namespace = self.namespace(&pod.namespace));
        world.services.values_mut().for_each(|service| service.namespace = self.namespace(&service.namespace));
        world.policies.iter_mut().for_each(|policy| self.policy(policy, wrong));
    }

    fn change(&self, change: &mut Change, wrong: &mut Vec<String>) {
        match change {
            Change::CreatePolicy(policy) | Change::ReplacePolicy(policy) => self.policy(policy, wrong),
            Change::DeletePolicy(reference) => *reference = self.reference(reference),
            Change::RelabelNamespace(name, labels) => {
                *labels = self.labels(name, std::mem::take(labels));
                *name = self.namespace(name);
            }
            Change::AddPod(_, pod) => pod.namespace = self.namespace(&pod.namespace),
            Change::RelabelPod(..) | Change::RemovePod(_) => {}
        }
    }

    fn labels(&self, namespace: &str, mut labels: Labels) -> Labels {
        if let Some(name) = labels.0.get_mut(METADATA_NAME) {
            *name = self.namespace(namespace);
        }
        labels
    }

    fn reference(&self, reference: &PolicyRef) -> PolicyRef {
        PolicyRef {
            kind: reference.kind.clone(),
            namespace: reference.namespace.as_deref().map(|namespace| self.namespace(namespace)),
            name: self.policies.get(&reference.to_string()).unwrap_or(&reference.name).clone(),
        }
    }

    /// The manifest is changed and read anew, so that the policy is what the manifest says.
    fn policy(&self, policy: &mut Policy, wrong: &mut Vec<String>) {
        let (before, after) = (policy.reference(), self.reference(&policy.reference()));
        let mut manifest = policy.manifest().clone();
        let metadata = &mut manifest["metadata"];
        metadata["name"] = after.name.into();
        if let Some(namespace) = after.namespace {
            metadata["namespace"] = namespace.into();
        }
        if let Some(spec) = manifest.get_mut("spec") {
            self.selectors(spec);
        }
        match super::policy_from_json(&manifest, &before.to_string()) {
            Ok((renamed, _)) => *policy = renamed,
            Err(refusal) => wrong.push(format!("policy `{before}` under its name in the cluster: {refusal}")),
        }
    }

    /// Selectors that name a namespace by the label that every namespace has its name in.
    fn selectors(&self, value: &mut Value) {
        match value {
            Value::Object(map) => {
                if let Some(Value::String(name)) = map.get_mut(METADATA_NAME) {
                    *name = self.namespace(name);
                }
                if map.get("key").and_then(Value::as_str) == Some(METADATA_NAME) {
                    let values = map.get_mut("values").and_then(Value::as_array_mut);
                    for value in values.into_iter().flatten() {
                        if let Value::String(name) = value {
                            *name = self.namespace(name);
                        }
                    }
                }
                map.values_mut().for_each(|value| self.selectors(value));
            }
            Value::Array(all) => all.iter_mut().for_each(|value| self.selectors(value)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::document::Strictness;
    use crate::scenario::load_str;

    const FILE: &str = "version: 1
namespaces: { shop: {}, other: {} }
names:
  namespaces: { shop: ai_namespace }
  policies: { shop/db: ai_network_policy_name }
  workloads: { deployment/db: db_name }
pods:
  web: { namespace: other }
  db: { namespace: shop, like: deployment/db, labels: { app: db } }
policies:
- { apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: { name: db, namespace: shop }, spec: { podSelector: {},
    ingress: [ { from: [ { namespaceSelector: { matchLabels: { kubernetes.io/metadata.name: shop } } },
      { namespaceSelector: { matchExpressions: [ { key: kubernetes.io/metadata.name, operator: In, values: [ shop, other ] } ] } } ] } ] } }
";

    fn named(outputs: &str) -> Result<Scenario, OutputsError> {
        load_str(FILE, Strictness::Normal).unwrap().named_by(&Outputs::read(outputs)?)
    }

    #[test]
    fn a_scenario_gets_the_names_that_the_program_gave() {
        let outputs =
            r#"{ "ai_namespace": "shop-1f2e", "ai_network_policy_name": "db-9a8b", "db_name": "db-77", "count": 3 }"#;
        let scenario = named(outputs).unwrap();
        let world = &scenario.stages()[0].world;
        assert_eq!(world.namespaces.keys().collect::<Vec<_>>(), ["other", "shop-1f2e"]);
        assert_eq!(world.namespaces["shop-1f2e"].get(METADATA_NAME), Some("shop-1f2e"));
        let db = scenario.find("db").unwrap();
        assert_eq!((scenario.bare().pods[&db].namespace.as_str(), scenario.name_of(db)), ("shop-1f2e", "db"));
        let (_, borrowed) = scenario.borrowed().next().unwrap();
        assert_eq!((borrowed.like.to_string(), borrowed.namespace.as_str()), ("deployment/db-77".into(), "shop-1f2e"));
        let [policy] = world.policies.as_slice() else { panic!("{:?}", world.policies) };
        assert_eq!(policy.reference().to_string(), "shop-1f2e/db-9a8b");
        let Change::CreatePolicy(created) = &scenario.stages()[0].changes[0] else { panic!("it creates one") };
        assert_eq!(created, policy);
        let peers = &policy.manifest()["spec"]["ingress"][0]["from"];
        assert_eq!(peers[0]["namespaceSelector"]["matchLabels"][METADATA_NAME], "shop-1f2e");
        let values = &peers[1]["namespaceSelector"]["matchExpressions"][0]["values"];
        assert_eq!(*values, serde_json::json!(["shop-1f2e", "other"]));
    }

    #[test]
    fn what_gives_no_name_is_refused_with_its_reason() {
        let rest = r#""ai_network_policy_name": "p", "db_name": "d""#;
        let rows = [
            (format!("{{ {rest} }}"), "`shop`: there is no output `ai_namespace`; there are `ai_network_policy_name`"),
            (format!("{{ \"ai_namespaces\": \"x\", {rest} }}"), "did you mean `ai_namespaces`?"),
            (format!("{{ \"ai_namespace\": 5, {rest} }}"), "the output `ai_namespace` is no text but 5"),
            (format!("{{ \"ai_namespace\": \"[secret]\", {rest} }}"), "is `[secret]`, which must consist of"),
            (
                format!("{{ \"ai_namespace\": \"other\", {rest} }}"),
                "`other` and `shop` would both be the namespace `other`",
            ),
            ("{}".into(), "there is none"),
            ("[]".into(), "these are no outputs: the JSON is no map; `pulumi stack output --json` prints"),
            ("nonsense".into(), "these are no outputs: expected ident"),
        ];
        for (outputs, said) in rows {
            let error = named(&outputs).unwrap_err().to_string();
            assert!(error.contains(said), "{outputs}: {error}");
        }
    }

    #[test]
    fn outputs_that_nothing_takes_a_name_from_are_a_mistake() {
        let text = "version: 1\nnamespaces: { a: {} }\npods: { b: { namespace: a } }\n";
        let scenario = load_str(text, Strictness::Normal).unwrap();
        let error = scenario.named_by(&Outputs::read("{}").unwrap()).unwrap_err();
        assert!(error.to_string().contains("say under its `names:` which are"), "{error}");
    }
}
