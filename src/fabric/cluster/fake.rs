//! An API server of a few lines, for tests: a map of objects, label selectors, UIDs and resource versions as the real one
//! has them, and a kubelet that runs every pod at once. What was asked of it is written down, and it can be told to be
//! difficult.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use kube::client::Body;
use serde_json::{Value, json};

use super::mark::RUN;

/// Plural, namespace, name.
type Key = (String, Option<String>, String);

/// The server. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Fake(Arc<Mutex<Inside>>);

#[derive(Default)]
pub(super) struct Inside {
    pub(super) objects: BTreeMap<Key, Value>,
    /// `POST /path?query`, in order.
    pub(super) asked: Vec<String>,
    /// What was carried out, in order: `add NAME` and `remove NAME` of pods, and `change` for the rest.
    pub(super) done: Vec<String>,
    /// Bodies of deletions.
    pub(super) deletions: Vec<Value>,
    /// What a pod's container waits for, by the pod's name; others run.
    pub(super) stuck: BTreeMap<String, &'static str>,
    /// Kinds of other groups that it serves: group, version, kind, plural; all of them stand in namespaces or in none as
    /// the kind says.
    pub(super) serves: Vec<(&'static str, &'static str, &'static str, &'static str)>,
    /// Creations of this name are carried out, but the answer is lost, once.
    pub(super) lose_answer: Option<String>,
    /// Kinds, by plural, that nobody may list or watch.
    pub(super) forbidden: Vec<&'static str>,
    /// Kinds, by plural, that may be listed and not watched.
    pub(super) unwatchable: Vec<&'static str>,
    /// Resource and verb of rights that whoever asks does not have.
    pub(super) unentitled: Vec<(&'static str, &'static str)>,
    /// It answers nothing but that it is away.
    pub(super) away: bool,
    /// It takes requests and never answers.
    pub(super) mute: bool,
    /// It does not know any more what came after any version: whoever watches has to list.
    pub(super) forgetful: bool,
    /// It does so in the answer to a watch, as most servers do, and not with the code of its answer.
    pub(super) forgets_late: bool,
    /// Objects of a page; a list that was not asked for in pages is whole.
    pub(super) page: Option<usize>,
    /// It does not know any more what a page continues: so many times.
    pub(super) expired_pages: usize,
    counter: u64,
    /// What happened to objects, each with its version: what a watch tells.
    changes: Vec<(u64, &'static str, Key, Value)>,
}

impl Fake {
    /// With a control plane and two workers.
    pub(super) fn new() -> Self {
        let fake = Self::default();
        for (name, taints) in [
            ("control", json!([ { "key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule" } ])),
            ("worker", json!([])),
            ("worker2", json!([])),
        ] {
            fake.put(("nodes", None, name), json!({ "metadata": { "name": name }, "spec": { "taints": taints } }));
        }
        fake
    }

    pub(super) fn client(&self) -> kube::Client {
        kube::Client::new(self.clone(), "default")
    }

    pub(super) fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap()
    }

    /// Somebody's object.
    pub(super) fn put(&self, (plural, namespace, name): (&str, Option<&str>, &str), mut object: Value) {
        let mut inside = self.inside();
        inside.stamp(&mut object);
        inside.insert((plural.into(), namespace.map(Into::into), name.into()), object);
    }

    /// Deletes an object.
    pub(super) fn drop(&self, (plural, namespace, name): (&str, Option<&str>, &str)) {
        self.inside().remove(&(plural.into(), namespace.map(Into::into), name.into()));
    }

    /// Requests so far whose line has all of these in it.
    pub(super) fn count(&self, parts: &[&str]) -> usize {
        self.inside().asked.iter().filter(|asked| parts.iter().all(|part| asked.contains(part))).count()
    }

    /// The names of all objects of a kind.
    pub(super) fn names(&self, plural: &str) -> Vec<String> {
        self.inside().objects.keys().filter(|key| key.0 == plural).map(|key| key.2.clone()).collect()
    }

    pub(super) fn object(&self, plural: &str, namespace: Option<&str>, name: &str) -> Option<Value> {
        self.inside().objects.get(&(plural.into(), namespace.map(Into::into), name.into())).cloned()
    }
}

impl Inside {
    fn stamp(&mut self, object: &mut Value) {
        self.counter += 1;
        object["metadata"]["resourceVersion"] = json!(self.counter.to_string());
        if object["metadata"].get("uid").is_none() {
            object["metadata"]["uid"] = json!(format!("uid-{}", self.counter));
        }
        if object["metadata"].get("creationTimestamp").is_none() {
            object["metadata"]["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
    }

    fn insert(&mut self, key: Key, object: Value) {
        let before = self.objects.insert(key.clone(), object.clone());
        self.changes.push((self.counter, if before.is_some() { "MODIFIED" } else { "ADDED" }, key, object));
    }

    /// A deletion has a version of its own.
    fn remove(&mut self, key: &Key) {
        if let Some(mut object) = self.objects.remove(key) {
            self.stamp(&mut object);
            self.changes.push((self.counter, "DELETED", key.clone(), object));
        }
    }

    fn run_pod(&self, pod: &mut Value) {
        let name = pod["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let state = match self.stuck.get(&name) {
            Some(reason) => json!({ "waiting": { "reason": reason, "message": "as told" } }),
            None => json!({ "running": {} }),
        };
        let address = format!("10.9.0.{}", self.counter % 250 + 1);
        pod["status"] = json!({ "phase": "Running", "podIPs": [ { "ip": address } ], "containerStatuses": [
            { "name": "agent", "image": "", "imageID": "", "ready": true, "restartCount": 0, "state": state } ] });
    }

    fn answer(&mut self, method: &str, path: &str, query: &str, body: &Value) -> (u16, Value) {
        self.asked.push(format!("{method} {path}?{query}"));
        if self.away {
            return refusal(503, "ServiceUnavailable", path);
        }
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        if let ["apis", rest @ ..] = parts.as_slice()
            && let Some(answer) = self.discover(rest)
        {
            return (200, answer);
        }
        let rest = if parts.first() == Some(&"api") { &parts[2..] } else { parts.get(3..).unwrap_or_default() };
        let (plural, namespace, name) = match rest {
            ["namespaces", namespace, plural, name] => (*plural, Some(*namespace), Some(*name)),
            ["namespaces", namespace, plural] => (*plural, Some(*namespace), None),
            [plural, name] => (*plural, None, Some(*name)),
            [plural] => (*plural, None, None),
            _ => return refusal(404, "NotFound", path),
        };
        if plural.starts_with("selfsubject") {
            return (201, self.entitle(body));
        }
        let key = |name: &str| (plural.to_owned(), namespace.map(ToOwned::to_owned), name.to_owned());
        match (method, name) {
            ("GET", None) if self.forbidden.contains(&plural) => refusal(403, "Forbidden", plural),
            ("GET", None) if self.unwatchable.contains(&plural) && query.contains("watch=true") => {
                refusal(403, "Forbidden", plural)
            }
            ("GET", None) if self.forgetful && query.contains("watch=true") => {
                let (code, status) = refusal(410, "Expired", plural);
                if self.forgets_late {
                    return (200, Value::String(json!({ "type": "ERROR", "object": status }).to_string() + "\n"));
                }
                (code, status)
            }
            ("GET", None) => self.list(plural, namespace, query),
            ("GET", Some(name)) => match self.objects.get(&key(name)) {
                Some(object) => (200, object.clone()),
                None => refusal(404, "NotFound", name),
            },
            ("POST", None) => {
                let name = body["metadata"]["name"].as_str().unwrap_or_default().to_owned();
                if self.objects.contains_key(&key(&name)) {
                    return refusal(409, "AlreadyExists", &name);
                }
                let mut object = body.clone();
                object["metadata"]["namespace"] = json!(namespace);
                self.stamp(&mut object);
                if plural == "services" {
                    object["spec"]["clusterIPs"] = json!([format!("10.96.0.{}", self.counter % 250 + 1)]);
                }
                if plural == "pods" {
                    self.run_pod(&mut object);
                }
                self.insert(key(&name), object.clone());
                self.done.push(if plural == "pods" { format!("add {name}") } else { "change".to_owned() });
                if self.lose_answer.take_if(|lost| *lost == name).is_some() {
                    return refusal(503, "ServiceUnavailable", &name);
                }
                (201, object)
            }
            ("PUT" | "PATCH", Some(name)) => self.change(&key(name), method, body),
            ("DELETE", Some(name)) => {
                self.deletions.push(body.clone());
                let Some(object) = self.objects.get(&key(name)) else { return refusal(404, "NotFound", name) };
                let wanted = body.pointer("/preconditions/uid");
                if wanted.is_some() && wanted != object["metadata"].get("uid") {
                    return refusal(409, "Conflict", name);
                }
                self.remove(&key(name));
                self.done.push(if plural == "pods" { format!("remove {name}") } else { "change".to_owned() });
                if plural == "namespaces" {
                    let inside: Vec<Key> =
                        self.objects.keys().filter(|(_, inside, _)| inside.as_deref() == Some(name)).cloned().collect();
                    inside.iter().for_each(|key| self.remove(key));
                }
                (200, json!({ "kind": "Status", "apiVersion": "v1", "status": "Success" }))
            }
            _ => refusal(405, "MethodNotAllowed", path),
        }
    }

    /// What whoever asks may do: one right that was asked for, or a list in which everything is not.
    fn entitle(&self, question: &Value) -> Value {
        let mut answer = question.clone();
        let about = |path: &str| question.pointer(&format!("/spec/resourceAttributes/{path}")).and_then(Value::as_str);
        answer["status"] = match (about("resource"), about("verb")) {
            (Some(resource), Some(verb)) => json!({ "allowed": !self.unentitled.contains(&(resource, verb)) }),
            _ => json!({ "incomplete": true, "nonResourceRules": [], "resourceRules": [
                { "verbs": [ "get" ], "apiGroups": [ "" ], "resources": [ "pods" ] } ] }),
        };
        answer
    }

    /// Which groups and kinds are served.
    fn discover(&self, rest: &[&str]) -> Option<Value> {
        match rest {
            [] => {
                let mut groups: Vec<Value> = Vec::new();
                for (group, version, ..) in &self.serves {
                    let served = json!({ "groupVersion": format!("{group}/{version}"), "version": version });
                    if !groups.iter().any(|one| one["name"] == *group) {
                        groups.push(json!({ "name": group, "versions": [ served ], "preferredVersion": served }));
                    }
                }
                Some(json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups }))
            }
            [group, version] => {
                let of_group = self.serves.iter().filter(|served| served.0 == *group);
                let kinds: Vec<Value> = of_group
                    .map(|(.., kind, plural)| {
                        json!({ "name": plural, "singularName": "", "kind": kind, "verbs": [ "list", "get", "delete" ],
                            "namespaced": !kind.starts_with("Global") })
                    })
                    .collect();
                let whole = format!("{group}/{version}");
                Some(
                    json!({ "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": whole, "resources": kinds }),
                )
            }
            _ => None,
        }
    }

    fn change(&mut self, key: &Key, method: &str, body: &Value) -> (u16, Value) {
        let Some(before) = self.objects.get(key).cloned() else { return refusal(404, "NotFound", &key.2) };
        for part in ["uid", "resourceVersion"] {
            let wanted = body["metadata"].get(part);
            if wanted.is_some() && wanted != before["metadata"].get(part) {
                return refusal(409, "Conflict", &key.2);
            }
        }
        let mut after = before;
        if method == "PUT" {
            after = body.clone();
        } else {
            merge(&mut after, body);
        }
        self.stamp(&mut after);
        self.insert(key.clone(), after.clone());
        self.done.push("change".to_owned());
        (200, after)
    }

    fn list(&mut self, plural: &str, namespace: Option<&str>, query: &str) -> (u16, Value) {
        let asked = |name: &str| query.split('&').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
        let selector = asked("labelSelector").unwrap_or_default();
        let selector = selector.replace("%2F", "/").replace("%3D", "=");
        let wanted = |object: &Value| match selector.split_once('=') {
            Some((key, value)) => object["metadata"]["labels"].get(key).and_then(Value::as_str) == Some(value),
            None => selector.is_empty() || object["metadata"]["labels"].get(&selector).is_some(),
        };
        let listed = |(kind, inside, _): &Key, object: &Value| {
            kind == plural && (namespace.is_none() || inside.as_deref() == namespace) && wanted(object)
        };
        if asked("watch").is_some() {
            // It ends after what there is: whoever watches comes back.
            let from: u64 = asked("resourceVersion").and_then(|from| from.parse().ok()).unwrap_or_default();
            let newer = self.changes.iter().filter(|(version, _, key, object)| *version > from && listed(key, object));
            let lines: Vec<String> =
                newer.map(|(_, what, _, object)| json!({ "type": what, "object": object }).to_string()).collect();
            return (200, Value::String(lines.join("\n") + "\n"));
        }
        let mut items: Vec<&Value> =
            self.objects.iter().filter(|(key, object)| listed(key, object)).map(|(_, object)| object).collect();
        let mut metadata = json!({ "resourceVersion": self.counter.to_string() });
        let begin: usize = asked("continue").and_then(|token| token.parse().ok()).unwrap_or_default();
        if begin > 0 && self.expired_pages > 0 {
            self.expired_pages -= 1;
            return refusal(410, "Expired", plural);
        }
        items.drain(..begin.min(items.len()));
        if let Some(page) = self.page.filter(|page| asked("limit").is_some() && *page < items.len()) {
            items.truncate(page);
            metadata["continue"] = json!((begin + page).to_string());
        }
        (200, json!({ "kind": "List", "apiVersion": "v1", "metadata": metadata, "items": items }))
    }
}

fn merge(into: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else {
        *into = patch.clone();
        return;
    };
    if !into.is_object() {
        *into = json!({});
    }
    let Some(into) = into.as_object_mut() else { return };
    for (key, value) in patch {
        if value.is_null() {
            into.remove(key);
        } else {
            merge(into.entry(key).or_insert(Value::Null), value);
        }
    }
}

fn refusal(code: u16, reason: &str, what: &str) -> (u16, Value) {
    let message = format!("\"{what}\": {reason}");
    (
        code,
        json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "reason": reason, "code": code }),
    )
}

impl tower::Service<http::Request<Body>> for Fake {
    type Response = http::Response<Body>;
    type Error = std::convert::Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let fake = self.clone();
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let bytes = body.collect_bytes().await.unwrap_or_default();
            let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
            let query = head.uri.query().unwrap_or_default();
            if fake.inside().mute {
                std::future::pending::<()>().await;
            }
            let (code, answer) = fake.inside().answer(head.method.as_str(), head.uri.path(), query, &body);
            let text = answer.as_str().map_or_else(|| answer.to_string(), ToOwned::to_owned);
            let response = http::Response::builder().status(code).body(Body::from(text.into_bytes()));
            Ok(response.expect("a response of a fixed form"))
        })
    }
}

/// What has no run's mark.
pub(super) fn unmarked(object: &Value) -> bool {
    object["metadata"]["labels"].get(RUN).is_none()
}
