use std::collections::BTreeSet;

use crate::model::document::Strictness;
use crate::model::labels::Labels;
use crate::model::verdict::Intent;
use crate::scenario::diagnostic::Colour;
use crate::scenario::{Change, Scenario, load_str};

fn load(text: &str) -> Scenario {
    load_str(text, Strictness::Normal).unwrap_or_else(|refusal| panic!("{}", refusal.render(Colour::Never)))
}

const CHANGING: &str = "version: 1
namespaces: { a: { labels: { team: red } }, b: {} }
pods:
  zoe: { namespace: a, labels: { role: web } }
  bob: { namespace: b }
policies:
  - { apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: { name: old, namespace: a }, spec: { podSelector: {} } }
steps:
  - remove: [ bob ]
    delete: [ a/old ]
    apply:
      - { apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: { name: new, namespace: b }, spec: { podSelector: {} } }
      - { apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: { name: old, namespace: a }, spec: { podSelector: { matchLabels: { x: some } } } }
      - { apiVersion: v1, kind: Namespace, metadata: { name: a, labels: { tier: one } } }
    relabel: { pods: { zoe: { role: db } }, namespaces: { b: { team: blue } } }
    add: { amy: { namespace: b } }
  - about: last
    remove: [ amy ]
    max_enforce: 2s
converge_within: 5s
";

#[test]
fn pods_are_removed_then_labels_and_policies_change_then_pods_are_added() {
    let scenario = load(CHANGING);
    let words: Vec<String> = scenario.stages()[1]
        .changes
        .iter()
        .map(|change| match change {
            Change::CreatePolicy(policy) => format!("create {}", policy.reference()),
            Change::ReplacePolicy(policy) => format!("replace {}", policy.reference()),
            Change::DeletePolicy(policy) => format!("delete {policy}"),
            Change::RelabelPod(id, labels) => format!("relabel {} {labels}", scenario.name_of(*id)),
            Change::RelabelNamespace(name, labels) => format!("relabel {name} {labels}"),
            Change::AddPod(id, _) => format!("add {}", scenario.name_of(*id)),
            Change::RemovePod(id) => format!("remove {}", scenario.name_of(*id)),
        })
        .collect();
    let expected = [
        "remove bob",
        "relabel zoe role=db",
        "relabel b kubernetes.io/metadata.name=b,team=blue",
        "create b/new",
        "replace a/old",
        // What a Namespace manifest leaves out stays.
        "relabel a kubernetes.io/metadata.name=a,team=red,tier=one",
        "delete a/old",
        "add amy",
    ];
    assert_eq!(words, expected);
}

#[test]
fn every_stage_has_the_world_its_changes_lead_to() {
    let scenario = load(CHANGING);
    let seen: Vec<_> = scenario
        .stages()
        .iter()
        .map(|stage| {
            let pods: Vec<&str> = stage.world.pods.keys().map(|id| scenario.name_of(*id)).collect();
            let policies: Vec<String> =
                stage.world.policies.iter().map(|policy| policy.reference().to_string()).collect();
            (stage.name.as_str(), pods, policies, stage.cells.len())
        })
        .collect();
    let strings = |all: &[&str]| all.iter().map(ToString::to_string).collect::<Vec<_>>();
    let expected = [
        ("policies", vec!["bob", "zoe"], strings(&["a/old"]), 2),
        ("step 1", vec!["amy", "zoe"], strings(&["b/new"]), 2),
        ("last", vec!["zoe"], strings(&["b/new"]), 0),
    ];
    assert_eq!(seen, expected);
    assert_eq!(scenario.bare().policies, []);
    let red: Labels = [("team", "red"), ("kubernetes.io/metadata.name", "a")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into_iter()
        .collect();
    assert_eq!(scenario.bare().namespaces["a"], red, "a step changes nothing of what was before it");
    // amy and bob never meet: no flow is between them.
    assert_eq!(scenario.flows().len(), 4);
    assert_eq!(scenario.baseline().len(), 2);
}

#[test]
fn a_pod_comes_back_under_its_name_in_a_later_step_or_in_the_same() {
    let scenario = load(
        "version: 1
namespaces: { a: {} }
pods: { web: { namespace: a, labels: { n: one }, node: 1 }, db: { namespace: a } }
steps:
  - remove: [ web ]
  - add: { web: { namespace: a, labels: { n: two }, serves: [ 80/tcp ], node: 2 } }
  - remove: [ web ]
    add: { web: { namespace: a, labels: { n: three }, address: 10.7.7.7 } }
  - remove: [ web ]
  - add: { web: { namespace: a, address: 10.7.7.7 } }
",
    );
    let web = scenario.find("web").unwrap();
    let seen: Vec<_> = scenario
        .stages()
        .iter()
        .map(|stage| {
            let pod = stage.world.pods.get(&web);
            let kinds: Vec<&str> = stage
                .changes
                .iter()
                .map(|change| match change {
                    Change::AddPod(..) => "add",
                    Change::RemovePod(_) => "remove",
                    _ => "other",
                })
                .collect();
            (pod.map(|pod| format!("{} {}", pod.labels, pod.node)), kinds.join(" "), stage.cells.len())
        })
        .collect();
    let there = |text: &str| Some(text.to_owned());
    let expected = [
        // Every port that it serves at any time is probed at all times.
        (there("n=one node-1"), "", 3),
        (None, "remove", 0),
        (there("n=two node-2"), "add", 3),
        (there("n=three node-2"), "remove add", 3),
        (None, "remove", 0),
        (there("no labels node-1"), "add", 3),
    ];
    assert_eq!(seen, expected.map(|(pod, kinds, cells)| (pod, kinds.to_owned(), cells)));
    let addresses: BTreeSet<_> =
        scenario.stages().iter().filter_map(|stage| stage.world.pods.get(&web)?.addresses.v4).collect();
    assert_eq!(addresses.len(), 3, "another pod has another address, unless the file gives it: {addresses:?}");
}

#[test]
fn a_pod_that_comes_back_keeps_what_it_is_like() {
    let rows = [
        ("{ namespace: a, like: deployment/x }", Some("`web` is to come back with the labels of something else")),
        ("{ namespace: a }", None),
    ];
    for (again, expected) in rows {
        let text = format!(
            "version: 1\nnamespaces: {{ a: {{}}, b: {{}} }}\npods: {{ web: {{ namespace: a }}, b: {{ namespace: b }} }}\n\
             steps: [ {{ remove: [ web ] }}, {{ add: {{ web: {again} }} }} ]\n"
        );
        let refused = load_str(&text, Strictness::Normal).err();
        match (expected, refused) {
            (None, None) => {}
            (Some(part), Some(refusal)) => {
                let told = refusal.render(Colour::Never);
                assert!(told.contains(part) && refusal.diagnostics.len() == 1, "{told}");
            }
            (_, refusal) => panic!("{again}: {:?}", refusal.map(|refusal| refusal.render(Colour::Never))),
        }
    }
}

#[test]
fn steps_may_change_nothing_and_share_a_name() {
    let scenario = load(
        "version: 1
namespaces: { a: {} }
pods: { web: { namespace: a } }
steps:
  - {}
  - { about: again }
  - { about: again (2) }
  - { about: again }
  - { about: step 6 }
  - { about: again }
  - {}
",
    );
    let names: Vec<&str> = scenario.stages().iter().map(|stage| stage.name.as_str()).collect();
    // What is written stays as it is, and no two are the same.
    let expected = ["policies", "step 1", "again", "again (2)", "again (3)", "step 6", "again (4)", "step 7"];
    assert_eq!(names, expected);
    assert!(scenario.stages().iter().all(|stage| stage.changes.is_empty()));
}

#[test]
fn a_step_keeps_the_limits_it_does_not_give() {
    let scenario = load(CHANGING);
    let limits: Vec<_> =
        scenario.stages().iter().map(|s| (s.timing.converge_within.as_secs(), s.timing.max_enforce)).collect();
    let two = Some(std::time::Duration::from_secs(2));
    assert_eq!(limits, [(5, None), (5, None), (5, two)]);
}

#[test]
fn pods_added_later_leave_the_addresses_of_the_others_alone() {
    let start =
        "version: 1\nnamespaces: { a: {} }\npods: { c: { namespace: a }, e: { namespace: a }, g: { namespace: a } }\n";
    let later = "steps: [ { add: { b: { namespace: a }, d: { namespace: a, node: 1 } } } ]\n";
    let (before, after) = (load(start), load(&format!("{start}{later}")));
    let place = |scenario: &Scenario, name: &str| {
        let pod = &scenario.stages().last().unwrap().world.pods[&scenario.find(name).unwrap()];
        format!("{} {}", pod.node, pod.addresses.v4.unwrap())
    };
    for (name, planned) in [("c", "node-1 10.244.0.1"), ("e", "node-2 10.244.2.1"), ("g", "node-1 10.244.0.2")] {
        assert_eq!(place(&before, name), planned);
        assert_eq!(place(&after, name), planned, "{name} has moved");
    }
    assert_eq!(place(&after, "b"), "node-2 10.244.2.2", "the round goes on with the pods that are added");
    assert_eq!(place(&after, "d"), "node-1 10.244.0.3", "`node:` places it");
}

#[test]
fn cells_are_what_is_served_or_named_and_with_the_outside_only_what_is_named() {
    let scenario = load(
        "version: 1
families: [ ipv6, ipv4 ]
namespaces: { a: {} }
pods: { web: { namespace: a }, db: { namespace: a, serves: [ pg=5432/tcp ] }, mute: { namespace: a, serves: [] } }
outside: { cdn: { serves: [ 443/tcp, 80/tcp ] }, far: {}, idle: {} }
expect:
  - { from: web, to: db, port: 53/udp, verdict: denied }
  - { from: web, to: cdn, port: 443/tcp, verdict: allowed }
  - { from: far, to: web, family: ipv4, verdict: denied }
",
    );
    let stage = &scenario.stages()[0];
    let cells: BTreeSet<String> = stage.cells.iter().map(|(_, flow)| scenario.named(flow).to_string()).collect();
    let mut expected = BTreeSet::new();
    for flow in [
        "web -> db:5432/tcp",
        "mute -> db:5432/tcp",
        "web -> db:53/udp",
        "mute -> db:53/udp",
        "db -> web:8080/tcp",
        "mute -> web:8080/tcp",
        "web -> cdn:443/tcp",
        "far -> web:8080/tcp",
    ] {
        expected.extend([flow.to_owned(), format!("{flow} (IPv6)")]);
    }
    assert_eq!(cells, expected);
    let stated: BTreeSet<String> = stage
        .intent
        .iter()
        .filter(|(_, _, intent)| **intent != Intent::Unstated)
        .map(|(_, flow, _)| scenario.named(flow).to_string())
        .collect();
    let expected = [
        "web -> db:53/udp",
        "web -> db:53/udp (IPv6)",
        "web -> cdn:443/tcp",
        "web -> cdn:443/tcp (IPv6)",
        "far -> web:8080/tcp",
    ];
    assert_eq!(stated, expected.map(str::to_owned).into());
    let db = scenario.find("db").unwrap();
    let listens: Vec<String> = stage.world.serves(db).iter().map(ToString::to_string).collect();
    assert_eq!(listens, ["pg=5432/tcp", "53/udp"], "a port that is only named is listened on too");
}

#[test]
fn strictness_refuses_flows_that_no_expectation_covers() {
    let text = "version: 1\nnamespaces: { a: {} }\npods: { b: { namespace: a }, c: { namespace: a } }\nexpect: [ { from: b, to: c, verdict: allowed } ]\n";
    assert_eq!(load(text).warnings(), &[] as &[String]);
    let refusal = load_str(text, Strictness::Strict).unwrap_err();
    let said: Vec<String> = refusal.diagnostics.iter().map(|d| d.line()).collect();
    let expected = "scenario.yaml:4:11: 1 flow of stage `policies` is covered by no expectation; \
                    say what is right for `c -> b:8080/tcp`";
    assert_eq!(said, [expected]);
}

#[test]
fn an_exception_replaces_wider_entries_and_their_budgets_wherever_it_stands() {
    let text = |first: &str, second: &str| {
        format!(
            "version: 1
namespaces: {{ a: {{}} }}
pods: {{ b: {{ namespace: a }}, c: {{ namespace: a }}, d: {{ namespace: a }} }}
expect:
  - {first}
  - {second}
"
        )
    };
    let wide = "{ from: any, to: any, verdict: denied, max_leak: 1s }";
    let exception = "{ from: b, to: [ c, d ], verdict: allowed, overrides: true, max_outage: 2s }";
    for (first, second) in [(wide, exception), (exception, wide)] {
        let scenario = load(&text(first, second));
        let stage = &scenario.stages()[0];
        let said: Vec<String> = stage
            .intent
            .iter()
            .map(|(_, flow, intent)| {
                let budget = stage.budgets.get(flow).copied().unwrap_or_default();
                let seconds = |at: Option<std::time::Duration>| at.map(|at| at.as_secs());
                let (outage, leak) = (seconds(budget.max_outage), seconds(budget.max_leak));
                format!("{} {intent:?} {outage:?} {leak:?}", scenario.named(flow))
            })
            .collect();
        let allowed = "Stated(Allowed) Some(2) None";
        let denied = "Stated(Denied) None Some(1)";
        let expected = [
            format!("b -> c:8080/tcp {allowed}"),
            format!("b -> d:8080/tcp {allowed}"),
            format!("c -> b:8080/tcp {denied}"),
            format!("c -> d:8080/tcp {denied}"),
            format!("d -> b:8080/tcp {denied}"),
            format!("d -> c:8080/tcp {denied}"),
        ];
        assert_eq!(said, expected);
    }
}
