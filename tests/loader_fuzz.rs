//! Whatever is thrown at the loader, it answers: with a scenario that is whole, or with diagnostics that can be shown.

use std::path::Path;

use leakproof::model::document::Strictness;
use leakproof::scenario::diagnostic::{Colour, Diagnostic};
use leakproof::scenario::source::Memory;
use leakproof::scenario::{Scenario, load_with};
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

const SCENARIO: &str = include_str!("../scenarios/ai-data-pipeline.yaml");
const POLICIES: &str = include_str!("../scenarios/ai-data-pipeline.policy.yaml");
const STEPS: &str = "version: 1
families: [ ipv4, ipv6 ]
namespaces: { a: { labels: { team: red } }, b: {} }
pods:
  web: { namespace: a, labels: { role: web }, serves: [ http=80/tcp ], node: 2 }
  api: { namespace: b, address: 10.9.9.9, address6: \"fd00::9\" }
outside: { partner: { serves: [ 443/tcp ] } }
policies: [ ai-data-pipeline.policy.yaml, &p { apiVersion: networking.k8s.io/v1, kind: NetworkPolicy,
  metadata: { name: deny, namespace: a }, spec: { podSelector: {}, policyTypes: [ Ingress ], ingress: [ { from: [
  { ipBlock: { cidr: 10.0.0.0/8, except: [ 10.1.0.0/16 ] } }, { namespaceSelector: { matchExpressions: [
  { key: team, operator: In, values: [ red ] } ] } } ], ports: [ { port: 80, endPort: 90 }, { port: http } ] } ] } } ]
expect: [ { from: any, to: partner, verdict: allowed }, { from: web, to: api, port: 53/udp, verdict: denied } ]
steps:
  - { about: later, add: { late: { namespace: a } }, relabel: { pods: { web: {} }, namespaces: { b: { team: red } } },
      delete: [ a/deny ], remove: [ api ], expect: [ { from: late, to: web, verdict: allowed } ], max_enforce: 1s }
  - { apply: [ *p ] }
deadline: 300ms
";

/// Loads with the text as scenario and as policy file, and holds what comes out to its promises.
fn load(scenario: &str, policies: &str) -> TestCaseResult {
    let files = Memory::default().with("s/x.yaml", scenario).with("s/ai-data-pipeline.policy.yaml", policies);
    for strictness in [Strictness::Normal, Strictness::Strict] {
        match load_with(&files, Path::new("s/x.yaml"), strictness) {
            Ok(scenario) => whole(&scenario)?,
            Err(refusal) => {
                prop_assert!(refusal.errors() > 0, "refused without an error");
                refusal.diagnostics.iter().try_for_each(|diagnostic| shown(diagnostic))?;
                prop_assert!(!refusal.render(Colour::Always).is_empty());
            }
        }
    }
    Ok(())
}

fn shown(diagnostic: &Diagnostic) -> TestCaseResult {
    prop_assert!(!diagnostic.message.is_empty());
    let rendered = diagnostic.render(Colour::Never);
    for label in &diagnostic.labels {
        prop_assert!(label.line >= 1 && label.column >= 1 && label.start <= label.end);
        prop_assert!(rendered.contains(&format!("{}:", label.file)), "{rendered}");
    }
    Ok(())
}

fn whole(scenario: &Scenario) -> TestCaseResult {
    prop_assert!(scenario.endpoints().is_sorted_by(|a, b| a.name < b.name));
    prop_assert_eq!(scenario.warnings().len(), scenario.remarks().len());
    scenario.remarks().iter().try_for_each(|diagnostic| shown(diagnostic))?;
    prop_assert!(!scenario.stages().is_empty());
    for stage in scenario.stages() {
        prop_assert_eq!(stage.intent.iter().len(), stage.cells.len());
        for (_, flow) in stage.cells.iter() {
            prop_assert!(flow.source != flow.destination);
            prop_assert!(stage.world.addresses(flow.source).and_then(|a| a.of(flow.family)).is_some());
            prop_assert!(stage.world.addresses(flow.destination).and_then(|a| a.of(flow.family)).is_some());
            let listens = stage.world.serves(flow.destination).iter().any(|served| served.port == flow.port);
            prop_assert!(listens, "nobody listens at {:?}", scenario.named(flow));
        }
        for pod in stage.world.pods.values() {
            prop_assert!(stage.world.namespaces.contains_key(&pod.namespace));
        }
    }
    Ok(())
}

/// One change of a text: a stretch of it goes, comes twice, or gives way to something that YAML takes notice of.
fn mutate(text: &str, changes: &[(usize, usize, String)]) -> String {
    let mut text: Vec<char> = text.chars().collect();
    for (at, length, with) in changes {
        let at = at % (text.len() + 1);
        let end = (at + length % 12).min(text.len());
        let old: Vec<char> = text.splice(at..end, with.chars()).collect();
        if length % 5 == 0 {
            text.splice(at..at, old.iter().chain(&old).copied());
        }
    }
    text.into_iter().collect()
}

fn changes() -> impl Strategy<Value = Vec<(usize, usize, String)>> {
    let pieces = [
        "",
        " ",
        "\n",
        "\n  ",
        "\t",
        ":",
        ": ",
        "- ",
        "{",
        "}",
        "[",
        "]",
        ",",
        "\"",
        "'",
        "#",
        "&a ",
        "*a",
        "*p",
        "<<: *p",
        "!!str ",
        "|\n",
        ">-\n",
        "---\n",
        "...\n",
        "%YAML 1.1\n",
        "? ",
        "~",
        "null",
        "0",
        "-1",
        "1.5",
        "65536",
        "99999999999999999999",
        "0x10",
        "any",
        "ipv6",
        "10.0.0.0/0",
        "::/0",
        "\u{feff}",
        "\u{0}",
        "\u{7f}",
        "é",
        "\u{1F980}",
        "\r\n",
        "\\",
        "@",
        "`",
        "leakproof.dev/x",
        "web",
        "late",
        "policies",
        "expect:",
        "steps:",
        "version: 1\n",
    ];
    let piece = prop_oneof![
        8 => proptest::sample::select(pieces.to_vec()).prop_map(str::to_owned),
        1 => "[ -~\n]{0,8}",
    ];
    proptest::collection::vec((any::<usize>(), any::<usize>(), piece), 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_answered(text in "\\PC{0,200}", policies in "\\PC{0,200}") {
        load(&text, &policies)?;
        load(SCENARIO, &policies)?;
    }

    #[test]
    fn any_change_of_a_good_scenario_is_answered(changes in changes()) {
        load(&mutate(STEPS, &changes), POLICIES)?;
        load(&mutate(SCENARIO, &changes), POLICIES)?;
    }

    #[test]
    fn any_change_of_a_good_policy_is_answered(changes in changes()) {
        load(SCENARIO, &mutate(POLICIES, &changes))?;
    }
}

#[test]
fn the_texts_that_are_changed_are_good() {
    let files = Memory::default().with("ai-data-pipeline.policy.yaml", POLICIES);
    for (scenario, name) in [(STEPS, "x.yaml"), (SCENARIO, "y.yaml")] {
        let files = files.clone().with(name, scenario);
        if let Err(refusal) = load_with(&files, Path::new(name), Strictness::Normal) {
            panic!("{}", refusal.render(Colour::Never));
        }
    }
}
