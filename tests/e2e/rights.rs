//! What `ci/rbac.yaml` grants is enough, and a run that is granted less says so before it touches anything.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures::StreamExt;
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::authorization::v1::SelfSubjectAccessReview;
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule};
use kube::api::{Api, DeleteParams, ListParams, PostParams, WatchEvent, WatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, ResourceExt};
use leakproof::fabric::cluster::mark;
use libtest_mimic::Failed;
use serde_json::{Value, json};

use super::{Site, begin_and_kill, document, ensure, gather, json as json_file, scenario, told};

/// What everything of the manifest is called here, so that what somebody may have applied stays as it is.
const NAME: &str = "leakproof-e2e-rights";

/// Rights whose absence would be met only when the world is half made, or not removed.
const LACKING: [(&str, &str, &str); 3] =
    [("", "pods", "create"), ("networking.k8s.io", "networkpolicies", "create"), ("", "namespaces", "delete")];

pub fn suffice(site: &Site) -> Result<(), Failed> {
    granted(site, |granted| {
        let file = json_file("rights-doctor");
        let output = granted.site.say(&["doctor", "--json", &file.display().to_string()])?;
        let checkup: Value = serde_json::from_slice(&std::fs::read(&file)?)?;
        let parts = checkup["parts"].as_array().cloned().unwrap_or_default();
        let rights = parts.iter().find(|part| part["title"] == "Rights").ok_or_else(|| told(&output))?;
        let checks = rights["checks"].as_array().cloned().unwrap_or_default();
        ensure(checks.len() == 1 && checks[0]["state"] == "fine", || format!("doctor misses something: {checks:?}"))?;

        let before = granted.version(site)?;
        judged(&granted.site, &["run"], "rights-run")?;
        ensure(!granted.made_since(site, &before)?.is_empty(), || "a run was not seen to make anything".into())?;
        // The log of a watch needs rights of its own.
        judged(&granted.site, &["watch", "--for", "1s"], "rights-watch")?;
        gather::a_failure(&granted.site)?;

        begin_and_kill(&granted.site, &json_file("rights-killed"))?;
        let cleaned = granted.site.say(&["clean"])?;
        ensure(cleaned.status.success(), || told(&cleaned))?;
        site.nothing_left()
    })
}

pub fn lacking_is_told_first(site: &Site) -> Result<(), Failed> {
    granted(site, |granted| {
        let scenario = scenario().display().to_string();
        for (group, resource, verb) in LACKING {
            granted.without(site, group, resource, verb)?;
            let before = granted.version(site)?;
            let output = granted.site.say(&["run", &scenario, "--on", "cluster", "--quiet"])?;
            let said = told(&output);
            ensure(output.status.code() == Some(4), || format!("{resource} {verb}: {}: {said}", output.status))?;
            let right = format!("no right to {verb} {resource}");
            ensure(said.contains(&right), || format!("`{right}` is not named: {said}"))?;
            let made = granted.made_since(site, &before)?;
            ensure(made.is_empty(), || format!("without {verb} on {resource} it made {made:?} all the same"))?;
        }
        site.nothing_left()
    })
}

/// A run in which everything is as meant, and nobody was refused anything.
fn judged(site: &Site, command: &[&str], name: &str) -> Result<(), Failed> {
    let (file, scenario) = (json_file(name), scenario().display().to_string());
    let rest =
        [scenario.as_str(), "--on", "cluster", "--quiet", "--json", &file.display().to_string()].map(str::to_owned);
    let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
    let (verb, options) = command.split_first().ok_or("no command")?;
    let output = site.say(&[&[*verb], &rest[..], options].concat())?;
    let document = document(&file).map_err(|_| told(&output))?;
    ensure(output.status.code() == Some(0), || format!("{}: {}", output.status, told(&output)))?;
    ensure(document.counts.ok == document.counts.cells, || format!("{:?}", document.counts))?;
    let refused = document.warnings.iter().find(|warning| warning.contains("forbidden"));
    ensure(refused.is_none(), || format!("something was refused: {refused:?}"))
}

/// A cluster as the manifest's service account has it.
struct Granted {
    site: Site,
    client: Client,
    rules: Vec<PolicyRule>,
}

/// Does something with what the manifest grants, and takes it away again.
fn granted(site: &Site, during: impl FnOnce(&Granted) -> Result<(), Failed>) -> Result<(), Failed> {
    site.runtime.block_on(remove(site))?;
    let done = Granted::apply(site).and_then(|granted| {
        granted.wait_for(site, ("", "namespaces", "delete"), true)?;
        during(&granted)
    });
    let removed = site.runtime.block_on(remove(site));
    done.and(removed)
}

/// Whatever of this trial is there; an earlier one may have been killed.
async fn remove(site: &Site) -> Result<(), Failed> {
    let gone = |result: Result<_, kube::Error>| match result {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(error),
        Ok(()) => Ok(()),
    };
    let (bindings, roles, namespaces): (Api<ClusterRoleBinding>, Api<ClusterRole>, Api<Namespace>) =
        (Api::all(site.server.client()), Api::all(site.server.client()), Api::all(site.server.client()));
    let now = DeleteParams::default();
    gone(bindings.delete(NAME, &now).await.map(drop))?;
    gone(roles.delete(NAME, &now).await.map(drop))?;
    gone(namespaces.delete(NAME, &now).await.map(drop))?;
    while namespaces.get_opt(NAME).await?.is_some() {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

impl Granted {
    fn apply(site: &Site) -> Result<Self, Failed> {
        let (kubeconfig, client, rules) = site.runtime.block_on(make(site))?;
        let reached = Site::reach().map_err(|_| "the cluster was here a moment ago")?;
        Ok(Self { site: Site { kubeconfig: Some(kubeconfig), ..reached }, client, rules })
    }

    /// Takes one verb out of the role, and waits until the API server knows.
    fn without(&self, site: &Site, group: &str, resource: &str, verb: &str) -> Result<(), Failed> {
        let mut rules = self.rules.clone();
        for rule in &mut rules {
            let has = |list: Option<&Vec<String>>, wanted: &str| {
                list.is_some_and(|list| list.iter().any(|one| one == wanted))
            };
            if has(rule.api_groups.as_ref(), group) && has(rule.resources.as_ref(), resource) {
                rule.verbs.retain(|one| one != verb);
            }
        }
        site.runtime.block_on(async {
            let roles: Api<ClusterRole> = Api::all(site.server.client());
            let mut role = roles.get(NAME).await?;
            role.rules = Some(rules);
            roles.replace(NAME, &PostParams::default(), &role).await.map(drop)
        })?;
        self.wait_for(site, (group, resource, verb), false)
    }

    /// Waits until a right is there, or is not: servers hear of roles a moment after they were written.
    fn wait_for(&self, site: &Site, (group, resource, verb): (&str, &str, &str), wanted: bool) -> Result<(), Failed> {
        let question: SelfSubjectAccessReview = serde_json::from_value(json!({
            "spec": { "resourceAttributes": { "group": group, "resource": resource, "verb": verb } } }))?;
        let api: Api<SelfSubjectAccessReview> = Api::all(self.client.clone());
        let begun = Instant::now();
        site.runtime.block_on(async {
            while begun.elapsed() < Duration::from_secs(20) {
                let answer = api.create(&PostParams::default(), &question).await?;
                if answer.status.is_some_and(|status| status.allowed) == wanted {
                    return Ok(());
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Err(format!("{verb} on {resource} never became {wanted}").into())
        })
    }

    /// How far the server's history of namespaces has come.
    fn version(&self, site: &Site) -> Result<String, Failed> {
        let api: Api<Namespace> = Api::all(site.server.client());
        let list = site.runtime.block_on(api.list(&ListParams::default()))?;
        Ok(list.metadata.resource_version.unwrap_or_default())
    }

    /// The namespaces that a run has made since then, gone again or not.
    fn made_since(&self, site: &Site, version: &str) -> Result<Vec<String>, Failed> {
        let api: Api<Namespace> = Api::all(site.server.client());
        site.runtime.block_on(async {
            let params = WatchParams::default().labels(&mark::selector(None)).timeout(2);
            let mut events = api.watch(&params, version).await?.boxed();
            let mut made = Vec::new();
            while let Some(event) = events.next().await {
                if let WatchEvent::Added(namespace) = event? {
                    made.push(namespace.name_any());
                }
            }
            Ok(made)
        })
    }
}

/// Makes what the manifest says, and gives who has it: a kubeconfig, a client, and the rules that were granted.
async fn make(site: &Site) -> Result<(PathBuf, Client, Vec<PolicyRule>), Failed> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("ci/rbac.yaml"))?;
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text)?;
    ensure(documents.len() == 4, || format!("the manifest has {} objects, and this knows 4", documents.len()))?;
    let client = site.server.client();
    let mut rules = Vec::new();
    for mut document in documents {
        rename(&mut document);
        let params = PostParams::default();
        match document["kind"].as_str().unwrap_or_default() {
            "Namespace" => {
                let api: Api<Namespace> = Api::all(client.clone());
                api.create(&params, &serde_json::from_value(document)?).await?;
            }
            "ServiceAccount" => {
                let api: Api<ServiceAccount> = Api::namespaced(client.clone(), NAME);
                api.create(&params, &serde_json::from_value(document)?).await?;
            }
            "ClusterRole" => {
                let api: Api<ClusterRole> = Api::all(client.clone());
                let made = api.create(&params, &serde_json::from_value(document)?).await?;
                rules = made.rules.unwrap_or_default();
            }
            "ClusterRoleBinding" => {
                let api: Api<ClusterRoleBinding> = Api::all(client.clone());
                api.create(&params, &serde_json::from_value(document)?).await?;
            }
            kind => {
                return Err(format!("the manifest has a {kind}, and this does not know what to do with it").into());
            }
        }
    }
    let accounts: Api<ServiceAccount> = Api::namespaced(client, NAME);
    let token = accounts.create_token_request(NAME, &PostParams::default(), &TokenRequest::default()).await?;
    let token = token.status.and_then(|status| status.token).ok_or("no token was given")?;
    let kubeconfig = kubeconfig(site.server.context(), &token)?;
    let text = std::fs::read_to_string(&kubeconfig)?;
    let options = KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(Kubeconfig::from_yaml(&text)?, &options).await?;
    let client = Client::try_from(config)?;
    Ok((kubeconfig, client, rules))
}

/// The manifest's objects under a name of this trial.
fn rename(document: &mut Value) {
    document["metadata"]["name"] = json!(NAME);
    if document["metadata"].get("namespace").is_some() {
        document["metadata"]["namespace"] = json!(NAME);
    }
    if document.get("roleRef").is_some() {
        document["roleRef"]["name"] = json!(NAME);
    }
    for subject in document.get_mut("subjects").and_then(Value::as_array_mut).into_iter().flatten() {
        subject["name"] = json!(NAME);
        subject["namespace"] = json!(NAME);
    }
}

/// A kubeconfig with the same cluster under the same context, and nobody but the service account.
fn kubeconfig(context: &str, token: &str) -> Result<PathBuf, Failed> {
    let ours = serde_json::to_value(Kubeconfig::read()?)?;
    let named = |list: &str, name: &str| -> Option<Value> {
        ours[list].as_array()?.iter().find(|one| one["name"] == name).cloned()
    };
    let found = named("contexts", context).ok_or("the context is not in the kubeconfig")?;
    let cluster = found["context"]["cluster"].as_str().unwrap_or_default();
    let made = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": context,
        "clusters": [ named("clusters", cluster).ok_or("the cluster is not in the kubeconfig")? ],
        "users": [ { "name": NAME, "user": { "token": token } } ],
        "contexts": [ { "name": context, "context": { "cluster": cluster, "user": NAME } } ],
    });
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("rights-{}.kubeconfig", std::process::id()));
    std::fs::write(&file, made.to_string())?;
    Ok(file)
}
