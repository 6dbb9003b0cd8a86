use super::*;
use crate::model::document::Strictness;
use crate::scenario::load_str;

const FILE: &str = "version: 1
namespaces: { shop: { labels: { team: red } }, staging: {} }
pods:
  web: { namespace: shop, labels: { app: web } }
  db: { namespace: shop, labels: { app: db }, serves: [ 5432/tcp ] }
  spy: { namespace: staging, labels: { app: web } }
policies:
- { apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: { name: db, namespace: shop },
    spec: { podSelector: { matchLabels: { app: db } }, ingress: [ { ports: [ { port: 5432 } ] } ] } }
";

fn scenario(more: &str) -> Scenario {
    load_str(&format!("{FILE}{more}"), Strictness::Normal).unwrap_or_else(|refusal| panic!("{refusal:?}"))
}

fn policy(name: &str, spec: serde_json::Value) -> Policy {
    let manifest = serde_json::json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": { "name": name, "namespace": "shop", "uid": "u", "resourceVersion": "1" }, "spec": spec,
    });
    crate::scenario::policy_from_json(&manifest, "live").unwrap().0
}

fn live(policies: Vec<Policy>) -> Live {
    let labels = |team: &str| {
        Labels::from_iter([("team", team), ("managed", "yes")].map(|(key, value)| (key.to_owned(), value.to_owned())))
    };
    let namespaces = [("shop".to_owned(), labels("blue")), ("staging".to_owned(), labels("blue"))].into();
    Live { namespaces, policies, labels: BTreeMap::new(), own: "leakproof-cafe0001".into() }
}

#[test]
fn what_is_found_takes_the_place_of_what_the_file_says() {
    let before = scenario("");
    let deny = policy("deny", serde_json::json!({ "podSelector": {}, "policyTypes": [ "Ingress" ] }));
    let db = policy("db", serde_json::json!({ "podSelector": { "matchLabels": { "app": "db" } } }));
    let after = before.adopting(&live(vec![deny, db])).unwrap();
    let stage = &after.stages()[0];
    assert_eq!(stage.changes, [], "nothing is created");
    for world in [after.bare(), &stage.world] {
        let names: Vec<String> = world.policies.iter().map(|policy| policy.reference().to_string()).collect();
        assert_eq!(names, ["shop/db", "shop/deny"], "in force from the beginning");
        assert_eq!(world.namespaces["shop"].get("team"), Some("blue"));
        assert_eq!(world.namespaces["shop"].get("managed"), Some("yes"));
    }
    let told: Vec<String> = after.adopted().unwrap().drift.iter().map(ToString::to_string).collect();
    let expected = [
        "namespace shop: `metadata.labels[\"kubernetes.io/metadata.name\"]` is \"shop\" in the file and not there in the \
         cluster",
        "namespace shop: `metadata.labels.team` is \"red\" in the file and \"blue\" in the cluster",
        "namespace staging: `metadata.labels[\"kubernetes.io/metadata.name\"]` is \"staging\" in the file and not there \
         in the cluster",
        "policy shop/deny: in force in the cluster and not in the file; it was taken into account",
        "policy shop/db: `spec.ingress` is [{\"ports\":[{\"port\":5432,\"protocol\":\"TCP\"}]}] in the file and not \
         there in the cluster",
    ];
    assert_eq!(told, expected);
}

#[test]
fn the_runs_own_pods_are_in_the_baseline_and_in_no_stage() {
    let before = scenario("");
    let after = before.adopting(&live(Vec::new())).unwrap();
    for (place, endpoint) in before.endpoints().iter().enumerate() {
        assert_eq!(after.find(&endpoint.name), Some(EndpointId(place as u32)), "{}", endpoint.name);
    }
    let own: Vec<&str> = after.endpoints()[before.endpoints().len()..].iter().map(|one| one.name.as_str()).collect();
    assert_eq!(own, ["control-1-a", "control-1-b", "control-2-a", "control-2-b"]);
    let id = after.find("control-2-a").unwrap();
    assert_eq!(after.bare().pods[&id].namespace, "leakproof-cafe0001");
    assert_eq!(after.baseline().len(), before.baseline().len() + 4 * 3);
    assert_eq!(after.stages()[0].cells.len(), before.stages()[0].cells.len());
    let intents = |s: &Scenario| s.stages()[0].intent.iter().map(|(_, f, i)| (*f, *i)).collect::<Vec<_>>();
    assert_eq!(intents(&after), intents(&before));
}

#[test]
fn a_pod_that_is_like_a_workload_has_its_labels_in_every_stage() {
    let before = scenario(
        "steps: [ { about: more, add: { late: { namespace: shop, like: deployment/late, labels: { app: late } } } } ]\n",
    );
    let id = before.find("late").unwrap();
    let labels = Labels::from_iter([("app".to_owned(), "latest".to_owned())]);
    let after = before.adopting(&Live { labels: [(id, labels.clone())].into(), ..live(Vec::new()) }).unwrap();
    let stage = after.stages().last().unwrap();
    assert_eq!(stage.world.pods[&id].labels, labels);
    let Change::AddPod(_, pod) = &stage.changes[0] else { panic!("{:?}", stage.changes) };
    assert_eq!(pod.labels, labels);
    let told: Vec<String> = after.adopted().unwrap().drift.iter().map(ToString::to_string).collect();
    let expected =
        "pod late (like deployment/late): `labels.app` is \"late\" in the file and \"latest\" in the cluster";
    assert!(told.iter().any(|told| told == expected), "{told:#?}");
}

#[test]
fn namespaces_that_the_run_makes_are_as_the_file_says() {
    let before = scenario("");
    let mut found = live(Vec::new());
    found.namespaces.remove("staging");
    let after = before.adopting(&found).unwrap();
    assert_eq!(after.adopted().unwrap().namespaces, ["shop".to_owned()].into());
    assert_eq!(after.bare().namespaces["staging"], before.bare().namespaces["staging"]);
}

#[test]
fn what_would_change_what_is_somebody_elses_is_refused() {
    let apply = "{ apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: { name: net, namespace: shop }, spec: \
                 { podSelector: {} } }";
    let rows = [
        (format!("steps: [ {{ apply: [ {apply} ] }} ]"), vec![], Some("step `step 1` changes shop/net"), "a policy"),
        ("steps: [ { delete: [ shop/db ] } ]".into(), vec![], Some("step `step 1` changes shop/db"), "a deletion"),
        (
            "steps: [ { relabel: { namespaces: { shop: { team: blue } } } } ]".into(),
            vec![],
            Some("changes the labels of namespace shop"),
            "a namespace's labels",
        ),
        (
            "services: { s: { namespace: shop, selects: { app: db }, ports: [ 5432/tcp ] } }\nexpect: [ { from: web, to: \
             s, verdict: allowed } ]"
                .into(),
            vec![],
            Some("the Service `s` would be made in `shop`"),
            "a Service",
        ),
        (String::new(), vec!["stagin"], Some("no namespace `stagin` that could be made, did you mean `staging`?"), "a slip"),
        ("steps: [ { relabel: { pods: { web: { app: x } } } } ]".into(), vec![], None, "a pod of the run's own"),
        ("steps: [ { add: { new: { namespace: shop } } } ]".into(), vec![], None, "another of its own"),
        (format!("steps: [ {{ apply: [ {} ] }} ]", apply.replace("shop", "staging")), vec!["staging"], None, "its own"),
    ];
    for (more, makes, expected, why) in rows {
        let makes = makes.into_iter().map(ToOwned::to_owned).collect();
        let got = scenario(&more).adoptable(&makes).map_err(|unfit| unfit.to_string());
        match expected {
            Some(expected) => assert!(got.as_ref().is_err_and(|said| said.contains(expected)), "{why}: {got:?}"),
            None => assert!(got.is_ok(), "{why}: {got:?}"),
        }
    }
}
