//! `--adopt` as far as no cluster is asked: what is refused, and what `--dry-run` lists.

#![cfg(feature = "harness")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;
use std::process::{Command, Output, Stdio};

const SCENARIO: &str = "version: 1
about: Only workers may reach the store.
namespaces: { shop: {}, staging: {} }
names:
  namespaces: { shop: ai_namespace }
  policies: { shop/store: ai_network_policy_name }
pods:
  worker: { namespace: shop, labels: { role: worker } }
  store: { namespace: shop, like: deployment/store, serves: [ 5432/tcp ] }
  impostor: { namespace: staging, labels: { role: worker } }
policies:
- apiVersion: networking.k8s.io/v1
  kind: NetworkPolicy
  metadata: { name: store, namespace: shop }
  spec: { podSelector: { matchLabels: { role: store } }, ingress: [ { from: [ { podSelector: { matchLabels: { role: worker } } } ] } ] }
expect:
- { from: worker, to: store, verdict: allowed }
- { from: impostor, to: store, verdict: denied }
- { from: any, to: [ worker, impostor ], verdict: allowed }
";

fn leakproof(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_leakproof"));
    command.current_dir(folder).args(arguments).env("KUBECONFIG", "/dev/null").stdin(Stdio::null());
    command.output().unwrap()
}

fn told(output: &Output) -> String {
    let both = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
    // Wrapped as it is for people, it is compared word by word.
    both.concat().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn place() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("shop.yaml"), SCENARIO).unwrap();
    let outputs = r#"{ "ai_namespace": "shop-1f2e", "ai_network_policy_name": "store-9a8b" }"#;
    std::fs::write(folder.path().join("outputs.json"), outputs).unwrap();
    folder
}

#[test]
fn what_cannot_be_adopted_is_refused_before_a_cluster_is_asked() {
    let rows: [(&[&str], i32, &str, &str); 7] = [
        (&["run", "shop.yaml"], 3, "labels of `store` (like deployment/store) are those of a live workload", "the lab"),
        (&["predict", "shop.yaml"], 3, "`labels:` beside `like:` are what holds elsewhere", "no world at all"),
        (&["explain", "shop.yaml", "worker", "store"], 3, "`shop` cannot be read whole here", "no world either"),
        (&["run", "shop.yaml", "--adopt"], 2, "--adopt is for --on cluster", "nothing is there before the lab"),
        (&["run", "shop.yaml", "--on", "cluster", "--pulumi-outputs", "outputs.json"], 2, "--adopt", "alone"),
        (
            &["run", "shop.yaml", "--on", "cluster", "--adopt", "--dry-run", "--pulumi-outputs", "missing.json"],
            2,
            "--pulumi-outputs: reading `missing.json`: No such file",
            "no outputs",
        ),
        (
            &["run", "shop.yaml", "--on", "cluster", "--adopt", "--dry-run", "--make-namespace", "stagin"],
            4,
            "no namespace `stagin` that could be made, did you mean `staging`?",
            "a slip",
        ),
    ];
    let folder = place();
    for (arguments, exit, said, why) in rows {
        let output = leakproof(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(exit), "{why}: {}", told(&output));
        assert!(told(&output).contains(said), "{why}: {}", told(&output));
    }
}

#[test]
fn an_output_that_is_not_there_is_named_with_the_nearest() {
    let folder = place();
    let outputs = r#"{ "ai_namespaces": "shop-1f2e", "ai_network_policy_name": "store-9a8b" }"#;
    std::fs::write(folder.path().join("outputs.json"), outputs).unwrap();
    let output = leakproof(
        folder.path(),
        &["run", "shop.yaml", "--on", "cluster", "--adopt", "--dry-run", "--pulumi-outputs", "outputs.json"],
    );
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    let said = "`shop`: there is no output `ai_namespace`; did you mean `ai_namespaces`?";
    assert!(told(&output).contains(said), "{}", told(&output));
}

#[test]
fn a_dry_run_lists_what_would_be_made_among_what_stays() {
    let folder = place();
    let adopting = ["--adopt", "--make-namespace", "staging", "--pulumi-outputs", "outputs.json"];
    let output =
        leakproof(folder.path(), &[&["run", "shop.yaml", "--on", "cluster", "--dry-run"][..], &adopting].concat());
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", told(&output));
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    assert_eq!(
        lines,
        [
            "shop",
            "world: create Namespace leakproof-RUN",
            "world: adopt Namespace shop-1f2e: it and all that is in it stays as it is",
            "world: create ConfigMap shop-1f2e/leakproof-RUN, which the pods belong to",
            "world: create Namespace staging",
            "world: create Pod staging/impostor on the 1st node that takes pods",
            "world: create Pod shop-1f2e/leakproof-RUN-store on the 2nd node that takes pods, which nothing adopts and \
             which is never ready",
            "world: create Pod shop-1f2e/leakproof-RUN-worker on the 1st node that takes pods, which nothing adopts and \
             which is never ready",
            "world: create Pod leakproof-RUN/control-1-a on the 1st node that takes pods",
            "world: create Pod leakproof-RUN/control-1-b on the 1st node that takes pods",
            "world: create Pod leakproof-RUN/control-2-a on the 2nd node that takes pods",
            "world: create Pod leakproof-RUN/control-2-b on the 2nd node that takes pods",
            "tear-down: delete everything made above, by its mark and UID",
        ]
    );
}
