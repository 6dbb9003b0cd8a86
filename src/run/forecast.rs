//! A scenario's meaning held against its intent, without a network.

use super::again::{Again, quoted};
use super::assemble::{self, Numbering};
use crate::exit::Exit;
use crate::judge::{blame_offline, contradiction};
use crate::model::document::{Counts, ScenarioInfo};
use crate::model::finding::{Blame, Call, Contradiction, Finding, Subject};
use crate::model::flow::{Flow, NamedFlow};
use crate::model::forecast::{FORMAT, Forecast, Foreseen, Outlook};
use crate::model::verdict::{Intent, Meaning};
use crate::oracle;
use crate::scenario::{Scenario, Stage};

/// What the policies of every stage mean, and where that is not what their author wanted.
pub fn forecast(scenario: &Scenario) -> Forecast {
    let scenario = &*scenario.expected_in(None);
    let stages: Vec<Outlook> =
        scenario.stages().iter().enumerate().map(|(place, stage)| outlook(scenario, place, stage)).collect();
    let mut counts = Counts::default();
    for stage in &stages {
        counts.add(&stage.counts);
    }
    Forecast {
        format: FORMAT.into(),
        leakproof: env!("CARGO_PKG_VERSION").into(),
        scenario: ScenarioInfo {
            name: scenario.name().into(),
            file: scenario.file().display().to_string(),
            about: scenario.about().map(Into::into),
        },
        stages,
        warnings: scenario.warnings().to_vec(),
        counts,
        exit: Exit::of(&counts).code(),
    }
}

fn outlook(scenario: &Scenario, place: usize, stage: &Stage) -> Outlook {
    let predictions = oracle::predict(&stage.world, &stage.cells);
    let mut reasons = Numbering::default();
    let mut counts = Counts::default();
    let mut findings = Vec::new();
    let mut cells = Vec::new();
    for (id, flow, prediction) in predictions.matrix().iter() {
        let intent = stage.intent.get(id).copied().unwrap_or(Intent::Unstated);
        let named = named(scenario, flow);
        let call = call(intent, prediction.meaning);
        let planned = assemble::planned(&predictions, (id, flow), &named);
        count(&mut counts, call, intent);
        if call == Call::Contradiction {
            let because = assemble::because(&predictions, id, &planned);
            findings.push(finding(scenario, (place, stage), named.clone(), (intent, prediction.meaning), because));
        }
        cells.push(Foreseen {
            flow: named,
            intent,
            meaning: prediction.meaning,
            call,
            egress: reasons.number(Some(prediction.egress)),
            ingress: reasons.number(Some(prediction.ingress)),
            planned,
        });
    }
    Outlook {
        name: stage.name.clone(),
        changes: stage.changes.iter().map(|change| assemble::in_words(change, scenario)).collect(),
        cells,
        findings,
        counts,
        reasons: reasons.resolve(&predictions),
    }
}

fn named(scenario: &Scenario, flow: &Flow) -> NamedFlow {
    NamedFlow {
        from: scenario.name_of(flow.source).to_owned(),
        to: scenario.name_of(flow.destination).to_owned(),
        family: flow.family,
        port: flow.port,
    }
}

/// What a cell is called by the two readings there are. Where meaning is unknown, nothing is held against intent.
fn call(intent: Intent, meaning: Meaning) -> Call {
    match (contradiction(intent, meaning), meaning) {
        (Contradiction::Present, _) => Call::Contradiction,
        (Contradiction::None, Meaning::Known(_)) => Call::Ok,
        (Contradiction::None, Meaning::Unknown) => Call::Unjudged,
    }
}

fn count(counts: &mut Counts, call: Call, intent: Intent) {
    counts.cells += 1;
    match call {
        Call::Contradiction => counts.contradictions += 1,
        Call::Unjudged => counts.unjudged += 1,
        Call::Ok | Call::Leak | Call::Outage | Call::WrongServer | Call::Inconclusive | Call::Unsupported => {
            counts.ok += 1
        }
    }
    if intent == Intent::Unstated {
        counts.unstated += 1;
    }
}

fn finding(
    scenario: &Scenario,
    (place, stage): (usize, &Stage),
    flow: NamedFlow,
    (intent, meaning): (Intent, Meaning),
    because: String,
) -> Finding {
    let blame = blame_offline(intent, meaning).unwrap_or(Blame::CannotTell);
    let asking = Again::default().explaining((place > 0).then_some(&stage.name));
    let file = quoted(&scenario.file().display().to_string());
    let explain = format!("`leakproof explain {file} {} {} {}{asking}`", flow.from, flow.to, flow.port);
    let next = match blame {
        Blame::PolicyTooStrict => format!("{explain} shows what the policy lacks to allow it"),
        Blame::PolicyTooOpen => format!("{explain} shows which rule lets it through"),
        Blame::Network | Blame::PolicyNotEnforced | Blame::SomethingElse | Blame::CannotTell => {
            format!("{explain} shows why")
        }
    };
    Finding {
        flow,
        call: Call::Contradiction,
        contradiction: Contradiction::Present,
        intent,
        meaning,
        reality: None,
        blame,
        because,
        next,
        subject: Subject::Flow,
        seen: None,
        passing: None,
        time_to_enforce_us: None,
        windows: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::document::Strictness;
    use crate::model::verdict::Verdict;
    use crate::scenario::load_str;

    const WORLD: &str = "
version: 1
namespaces: { shop: {} }
pods:
  db:  { namespace: shop, labels: { app: db }, serves: [ 5432/tcp ] }
  web: { namespace: shop, labels: { app: web } }
policies:
- apiVersion: networking.k8s.io/v1
  kind: NetworkPolicy
  metadata: { name: db, namespace: shop }
  spec: { podSelector: { matchLabels: { app: db } }, policyTypes: [ Ingress ] }
";

    fn forecast_of(rest: &str) -> Forecast {
        forecast(&load_str(&format!("{WORLD}{rest}"), Strictness::Normal).unwrap())
    }

    fn findings(forecast: &Forecast) -> Vec<(String, Blame)> {
        let all = forecast.stages.iter().flat_map(|stage| &stage.findings);
        all.map(|finding| (finding.flow.to_string(), finding.blame)).collect()
    }

    #[test]
    fn a_policy_that_says_what_was_wanted_has_no_findings() {
        let forecast = forecast_of("expect:\n- { from: web, to: db, verdict: denied }\n");
        assert_eq!(findings(&forecast), []);
        assert_eq!((forecast.exit, forecast.counts.cells, forecast.counts.unstated), (0, 2, 1));
        let meanings: Vec<_> =
            forecast.stages[0].cells.iter().map(|cell| (cell.flow.to_string(), cell.meaning)).collect();
        assert_eq!(
            meanings,
            [
                ("db -> web:8080/tcp".to_owned(), Meaning::Known(Verdict::Allowed)),
                ("web -> db:5432/tcp".to_owned(), Meaning::Known(Verdict::Denied))
            ]
        );
    }

    #[test]
    fn a_policy_that_does_not_is_blamed_with_its_reason_and_the_next_step() {
        let strict = forecast_of("expect:\n- { from: web, to: db, verdict: allowed }\n");
        assert_eq!(findings(&strict), [("web -> db:5432/tcp".to_owned(), Blame::PolicyTooStrict)]);
        assert_eq!((strict.exit, strict.counts.contradictions), (5, 1));
        let finding = &strict.stages[0].findings[0];
        assert!(finding.because.contains("shop/db selects it and no rule matches"), "{}", finding.because);
        assert!(finding.next.contains("`leakproof explain scenario.yaml web db 5432/tcp`"), "{}", finding.next);
        let open = forecast_of("expect:\n- { from: db, to: web, verdict: denied }\n");
        assert_eq!(findings(&open), [("db -> web:8080/tcp".to_owned(), Blame::PolicyTooOpen)]);
    }

    #[test]
    fn a_meaning_that_rests_on_a_chosen_address_says_so() {
        let forecast = |address: &str, cidr: &str| {
            let world = WORLD.replace("web: { namespace", &format!("web: {{ {address} namespace"));
            let rule = format!("ingress: [ {{ from: [ {{ ipBlock: {{ cidr: {cidr} }} }} ] }} ], policyTypes");
            let rest = "expect:\n- { from: web, to: db, verdict: denied }\n";
            forecast(&load_str(&format!("{}{rest}", world.replace("policyTypes", &rule)), Strictness::Normal).unwrap())
        };
        let chosen = forecast("", "10.244.0.0/16");
        let [cell, _] = &chosen.stages[0].cells[..] else { panic!("{:?}", chosen.stages[0].cells) };
        assert_eq!((cell.flow.to_string().as_str(), &cell.planned[..]), ("db -> web:8080/tcp", &[][..]));
        let json = serde_json::to_value(&chosen).unwrap();
        let planned = &json["stages"][0]["cells"][1]["planned"];
        assert_eq!(*planned, serde_json::json!([ { "endpoint": "web", "address": "10.244.2.1" } ]));
        let because = &chosen.stages[0].findings[0].because;
        let said =
            "this rests on 10.244.2.1, the address that leakproof chose for web: with another it could be the opposite";
        assert!(because.ends_with(said), "{because}");
        for (address, cidr, why) in [
            ("address: 10.244.9.9,", "10.244.0.0/16", "the file gives the address"),
            ("", "0.0.0.0/0", "every address is held"),
        ] {
            let given = forecast(address, cidr);
            assert!(given.stages[0].cells.iter().all(|cell| cell.planned.is_empty()), "{why}");
            assert!(!given.stages[0].findings[0].because.contains("chose"), "{why}");
        }
    }

    #[test]
    fn each_step_is_a_stage_and_a_finding_in_it_says_which() {
        let forecast = forecast_of(
            "expect:\n- { from: web, to: db, verdict: denied }\n\
             steps:\n- about: the policy goes\n  delete: [ shop/db ]\n  \
             expect:\n  - { from: web, to: db, verdict: denied }\n",
        );
        assert_eq!(forecast.stages.iter().map(|stage| stage.findings.len()).collect::<Vec<_>>(), [0, 1]);
        assert!(forecast.stages[1].findings[0].next.contains("--stage 'the policy goes'"));
        assert_eq!(forecast.counts.cells, 4, "sums are over both stages");
    }
}
