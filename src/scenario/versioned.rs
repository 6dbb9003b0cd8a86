//! Expectations that depend on Calico's version.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use semver::Version;

use super::requirement::calico_in;
use super::{Budget, Scenario, Stage};
use crate::model::document::FabricInfo;
use crate::model::flow::Flow;
use crate::model::matrix::Matrix;
use crate::model::verdict::Intent;

/// What is expected of a stage's flows from one release of Calico on, up to that of the next entry.
#[derive(Debug, Clone)]
pub struct ByRelease {
    /// The release.
    pub from: Version,
    /// What the author wrote about each flow.
    pub intent: Matrix<Intent>,
    /// The budgets of single flows.
    pub budgets: HashMap<Flow, Budget>,
}

impl Scenario {
    /// The same scenario with what is expected of it in a place: under the version of Calico that is there now. Where that
    /// is not known, nothing is expected of the flows whose expectation depends on it, and a warning says so.
    pub fn expected_in<'s>(&'s self, place: Option<&FabricInfo>) -> Cow<'s, Self> {
        if self.stages.iter().all(|stage| stage.by_release.is_empty()) {
            return Cow::Borrowed(self);
        }
        let release = place.and_then(calico_in);
        let mut chosen = self.clone();
        match release {
            Some(release) => chosen.stages.iter_mut().for_each(|stage| stage.choose(&release)),
            None => {
                let left: usize = self.stages.iter().map(Stage::depending).sum();
                let cells = if left == 1 { "1 cell".to_owned() } else { format!("{left} cells") };
                chosen.warnings.push(format!(
                    "what is expected of {cells} depends on Calico's version, which is not known here: nothing is expected there"
                ));
            }
        }
        Cow::Owned(chosen)
    }

    /// Whether what is expected of a flow depends on Calico's version.
    pub fn depends_on_version(&self, stage: &str, flow: &Flow) -> bool {
        self.stages.iter().filter(|one| one.name == stage).any(|stage| stage.depends(flow))
    }
}

impl Stage {
    fn choose(&mut self, release: &Version) {
        let Some(by) = self.by_release.iter().rfind(|by| by.from <= *release).cloned() else { return };
        // The stage may have been narrowed to some of its cells since.
        let of = |id| by.intent.get(id).copied().unwrap_or(Intent::Unstated);
        self.intent = Matrix::build(Arc::clone(&self.cells), |id, _| of(id));
        self.budgets.clone_from(&by.budgets);
        self.by_release.clear();
    }

    fn depends(&self, flow: &Flow) -> bool {
        let id = self.cells.table().find(flow);
        id.is_some_and(|id| self.by_release.iter().any(|by| by.intent.get(id) != self.intent.get(id)))
    }

    fn depending(&self) -> usize {
        self.cells.iter().filter(|(_, flow)| self.depends(flow)).count()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::document::{FabricKind, Strictness};
    use crate::scenario::diagnostic::Refusal;
    use crate::scenario::load_str;

    fn load(expect: &str) -> Result<Scenario, Refusal> {
        let pods = "a: { namespace: n, serves: [ 80/tcp ] }, b: { namespace: n, serves: [] }";
        let text = format!("version: 1\nnamespaces: {{ n: {{}} }}\npods: {{ {pods} }}\nexpect:\n{expect}");
        load_str(&text, Strictness::Strict)
    }

    fn place(version: Option<&str>) -> FabricInfo {
        let facts = version.map(|version| [("cni", "Calico"), ("cni-version", version)]);
        let facts: BTreeMap<String, String> =
            facts.into_iter().flatten().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        FabricInfo { kind: FabricKind::Cluster, summary: "a place".into(), facts, fault: None }
    }

    /// What is expected of the one flow, and its budget for leaks in seconds.
    fn expected(scenario: &Scenario, version: Option<&str>) -> (String, Option<u64>, usize) {
        let chosen = scenario.expected_in(Some(&place(version)));
        let stage = &chosen.stages()[0];
        let (_, flow, intent) = stage.intent.iter().next().unwrap();
        let budget = stage.budgets.get(flow).and_then(|budget| budget.max_leak);
        let intent = intent.verdict().map_or("unstated".to_owned(), |verdict| verdict.to_string());
        (intent, budget.map(|budget| budget.as_secs()), chosen.warnings().len())
    }

    const BOTH: &str = "- { from: b, to: a, verdict: denied, calico: '<3.32', max_leak: 2s }\n\
                        - { from: b, to: a, verdict: allowed, calico: '>=3.32' }\n";

    #[test]
    fn the_version_at_the_place_says_what_is_expected() {
        let scenario = load(BOTH).unwrap();
        let rows = [
            (Some("v3.31.7"), "denied", Some(2)),
            (Some("3.32.0-0.dev"), "allowed", None),
            (Some("3.32.1"), "allowed", None),
            (Some("2.0.0"), "denied", Some(2)),
        ];
        for (version, intent, budget) in rows {
            assert_eq!(expected(&scenario, version), (intent.to_owned(), budget, 0), "{version:?}");
        }
        for unknown in [None, Some("master")] {
            assert_eq!(expected(&scenario, unknown), ("unstated".to_owned(), None, 1), "{unknown:?}: and said");
        }
    }

    #[test]
    fn a_narrower_scenario_keeps_what_depends_on_the_version() {
        let scenario = load(BOTH).unwrap();
        let end = |name| scenario.find(name).unwrap();
        let narrow = scenario.narrowed(end("b"), end("a"), None).unwrap();
        assert_eq!(expected(&narrow, Some("3.31.7")).0, "denied");
        let wide = scenario.with_newborns(&[end("b")], 1);
        assert_eq!(expected(&wide, Some("3.31.7")).0, "denied");
    }

    #[test]
    fn an_exception_may_hold_for_some_versions() {
        let expect = "- { from: b, to: a, verdict: denied }\n\
                      - { from: b, to: a, verdict: allowed, calico: '>=3.32', overrides: true }\n";
        let scenario = load(expect).unwrap();
        assert_eq!(expected(&scenario, Some("3.31.7")).0, "denied");
        assert_eq!(expected(&scenario, Some("3.32.1")).0, "allowed", "the exception leaves nothing of the other there");
        assert_eq!(expected(&scenario, None).0, "denied");
    }

    #[test]
    fn what_contradicts_itself_or_does_nothing_is_refused() {
        let rows = [
            ("'<3.32'", "'>=3.31'", "cannot be both", "both hold under 3.31"),
            ("'<3.32'", "'>3.32'", "covered by no expectation", "nothing holds under 3.32.0: `>3.32` begins with 3.33"),
            ("'<3.32'", "'>3.40, <3.33'", "no version of Calico", "none is both"),
        ];
        for (first, second, message, why) in rows {
            let expect = format!(
                "- {{ from: b, to: a, verdict: denied, calico: {first} }}\n\
                 - {{ from: b, to: a, verdict: allowed, calico: {second} }}\n"
            );
            let refusal = load(&expect).unwrap_err();
            assert!(refusal.diagnostics.iter().any(|one| one.message.contains(message)), "{why}: {refusal:?}");
        }
    }

    #[test]
    fn versions_that_the_scenario_does_not_run_with_need_no_expectation() {
        let expect = "- { from: b, to: a, verdict: denied, calico: '>=3.31' }\nrequires: { calico: '>=3.31' }\n";
        assert!(load(expect).is_ok());
        let older = expect.replace("requires: { calico: '>=3.31' }", "requires: { calico: '>=3.30' }");
        assert!(load(&older).is_err(), "nothing is said of 3.30");
    }
}
