use super::*;
use crate::model::watch::Standing;
use crate::report::fixture::{mesh, spring, troubled};

/// Twelve pods; pods with an even number are on node-1. Flows from three of them leak into node-2.
fn leaking() -> Document {
    let mut document = mesh(12, 12);
    for (from, to) in [("pod-000", "pod-003"), ("pod-002", "pod-005"), ("pod-004", "pod-009")] {
        spring(&mut document, from, to, "8080/tcp");
    }
    for (place, finding) in document.stages[0].findings.iter_mut().enumerate() {
        let late = 1_000 * place as u64;
        finding.windows = vec![window(5_000_000 + late, 900_000 + late)];
    }
    document
}

fn window(from_us: u64, lasted_us: u64) -> Window {
    Window {
        call: Call::Leak,
        right_before_us: Some(from_us - 100_000),
        first_wrong_us: from_us,
        first_wrong_by_us: None,
        last_wrong_us: from_us + lasted_us,
        right_after_us: Some(from_us + lasted_us + 100_000),
        attempts: 9,
        persistent: 0,
        standing: Standing::Counted,
        before_convergence: false,
        first_wrong_at: None,
        beside: Vec::new(),
        drops: Vec::new(),
    }
}

fn sizes(document: &Document) -> Vec<usize> {
    of_stage(document, &document.stages[0]).iter().map(|group| group.findings.len()).collect()
}

#[test]
fn leaks_of_one_node_and_one_time_are_one_group() {
    let document = leaking();
    assert_eq!(titles(&document), ["node-2 did not enforce for 900 ms to 1.1 s: 3 flows"]);
    assert_eq!(sizes(&document), [3]);
}

#[test]
fn another_time_another_node_and_another_rule_are_other_groups() {
    let mut document = leaking();
    document.stages[0].findings[2].windows = vec![window(60_000_000, 900_000)];
    assert_eq!(sizes(&document), [2, 1], "another time");
    let mut document = leaking();
    document.stages[0].findings[2].because = "another rule".into();
    assert_eq!(sizes(&document), [2, 1], "another rule");
    let mut document = leaking();
    spring(&mut document, "pod-001", "pod-006", "8080/tcp");
    document.stages[0].findings[3].windows = vec![window(5_000_000, 900_000)];
    assert_eq!(sizes(&document), [3, 1], "another node");
}

#[test]
fn a_node_is_not_accused_where_the_policy_lets_the_flows_through() {
    let mut document = leaking();
    document.stages[0].findings.iter_mut().for_each(|finding| finding.blame = Blame::PolicyTooOpen);
    assert_eq!(titles(&document), ["3 flows to node-2 worked that should not for 900 ms to 1.1 s"]);
}

#[test]
fn a_single_finding_has_no_title() {
    assert!(titles(&troubled()).is_empty());
    assert_eq!(of_stage(&troubled(), &troubled().stages[1]).len(), 3);
}
