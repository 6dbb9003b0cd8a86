//! Findings of a watch that no probed flow shows: connections that were held open, and pods that were born meanwhile.

use crate::exit::Exit;
use crate::model::document::Stage;
use crate::model::finding::{Blame, Call, Contradiction, Finding, Subject};
use crate::model::flow::NamedFlow;
use crate::model::verdict::{Intent, Meaning, Verdict};
use crate::model::watch::{Established, Fate, Newborn, WatchInfo};

use super::causes::{exit_of_connection, exit_of_newborn};

/// Adds them to the findings of the stage that was watched, gravest first.
pub fn add_watch_findings(stage: &mut Stage, watch: &WatchInfo) {
    let wrong = watch.established.iter().filter(|held| exit_of_connection(held, watch) == Exit::Outage);
    let mut found: Vec<Finding> = wrong.map(|held| of_connection(held, stage)).collect();
    for newborn in watch.newborns.iter().filter(|newborn| exit_of_newborn(newborn) >= Exit::Outage) {
        found.extend(newborn.leaked.iter().map(|flow| of_newborn(newborn, flow, Call::Leak)));
        found.extend(newborn.shut.iter().map(|flow| of_newborn(newborn, flow, Call::Outage)));
    }
    stage.findings.extend(found);
    stage.findings.sort_by_key(|finding| std::cmp::Reverse(finding.call.gravity()));
}

fn of_connection(held: &Established, stage: &Stage) -> Finding {
    let ms = |us: u64| us / 1000;
    let seen = match (&held.fate, held.longest_gap) {
        (Fate::Ended { at_us, how, by }, _) => {
            format!("the connection held open was ended at {} ms: {how} by {by}", ms(*at_us))
        }
        (_, Some(gap)) => format!(
            "nothing came back through the connection held open for {} ms, from {} ms on",
            ms(gap.until_us.saturating_sub(gap.from_us)),
            ms(gap.from_us)
        ),
        (_, None) => "nothing came back through the connection held open".to_owned(),
    };
    let cell = stage.cells.iter().find(|cell| cell.flow == held.flow);
    Finding {
        subject: Subject::Connection,
        seen: Some(seen),
        next: format!(
            "lay that time beside what changed then; look for what drops or resets established connections between {} and {}",
            held.flow.from, held.flow.to
        ),
        ..finding(
            &held.flow,
            Call::Outage,
            cell.map_or((Intent::Unstated, Meaning::Unknown), |c| (c.intent, c.meaning)),
        )
    }
}

fn of_newborn(newborn: &Newborn, flow: &NamedFlow, call: Call) -> Finding {
    let node = newborn.node.as_ref().map(|node| format!(" on {node}")).unwrap_or_default();
    let (how, meaning) = match call {
        Call::Leak => ("was open", Verdict::Denied),
        _ => ("was shut to the end", Verdict::Allowed),
    };
    Finding {
        subject: Subject::Newborn,
        seen: Some(format!("it {how} while {}, a new pod like {}{node}, was watched", newborn.name, newborn.like)),
        next: format!(
            "look at when the rules for new pods come into force on the nodes of {} and {}",
            flow.from, flow.to
        ),
        ..finding(flow, call, (Intent::Unstated, Meaning::Known(meaning)))
    }
}

fn finding(flow: &NamedFlow, call: Call, (intent, meaning): (Intent, Meaning)) -> Finding {
    Finding {
        flow: flow.clone(),
        subject: Subject::Flow,
        call,
        contradiction: Contradiction::None,
        intent,
        meaning,
        reality: None,
        seen: None,
        passing: None,
        time_to_enforce_us: None,
        blame: Blame::Network,
        because: String::new(),
        next: String::new(),
        windows: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::judge::{causes, exit_of};
    use crate::model::document::{CauseOf, Document};
    use crate::model::watch::{CommandInfo, Gap};
    use crate::report::fixture::{flow, pipeline, troubled, watched};

    fn fates() -> impl Strategy<Value = (Fate, bool, u64)> {
        let fate = prop_oneof![
            3 => Just(Fate::Survived),
            2 => Just(Fate::Stalled),
            1 => Just(Fate::Ended { at_us: 9, how: "reset".into(), by: "the network".into() }),
            1 => Just(Fate::NotSeen { why: "the agent was lost".into() }),
        ];
        (fate, prop::bool::weighted(0.2), prop_oneof![2 => Just(0_u64), 1 => 0..4_000_000_u64])
    }

    /// A run that came to anything.
    fn outcomes() -> impl Strategy<Value = Document> {
        let newborn = (0..8_u8, any::<bool>());
        let command = prop::option::of(prop_oneof![Just(None), Just(Some("exit 0")), Just(Some("exit 3"))]);
        (
            any::<bool>(),
            prop::collection::vec(fates(), 0..4),
            prop::collection::vec(newborn, 0..4),
            command,
            prop::option::weighted(0.2, Just("told to stop")),
            prop::bool::weighted(0.2),
            prop_oneof![Just(0_u64), Just(2_000_000)],
        )
            .prop_map(|(trouble, held, born, command, aborted, left, budget)| {
                let mut document = if trouble { troubled() } else { pipeline() };
                let mut watch = watched().watch.unwrap();
                watch.command = command.map(|status| CommandInfo {
                    argv: vec!["upgrade".into()],
                    began_us: 0,
                    ended_us: None,
                    status: status.map(Into::into),
                    said: Vec::new(),
                });
                watch.budgets.max_outage_us = budget;
                watch.budgets.max_unobserved_us = budget;
                let connection = watch.established[0].clone();
                watch.established = held
                    .into_iter()
                    .map(|(fate, denied, us)| Established {
                        fate,
                        unobserved_us: us,
                        longest_gap: Some(Gap { from_us: 0, until_us: us }),
                        denied_by: denied.then(|| "close".into()),
                        ..connection.clone()
                    })
                    .collect();
                let model = watch.newborns[0].clone();
                let a_flow = flow("newborn-1", "plain", "8080/tcp");
                watch.newborns = born
                    .into_iter()
                    .map(|(showed, worked)| Newborn {
                        leaked: (showed & 1 > 0).then(|| a_flow.clone()).into_iter().collect(),
                        shut: (showed & 2 > 0).then(|| a_flow.clone()).into_iter().collect(),
                        connected_after_us: worked.then_some(9),
                        ..model.clone()
                    })
                    .collect();
                add_watch_findings(document.stages.last_mut().unwrap(), &watch);
                document.watch = Some(watch);
                document.aborted = aborted.map(Into::into);
                document.left_behind = left.then(|| "a namespace".into()).into_iter().collect();
                document
            })
    }

    proptest! {
        #[test]
        fn no_run_ends_with_a_code_that_nothing_explains(document in outcomes()) {
            let causes = causes(&document);
            let exit = exit_of(&causes);
            prop_assert_eq!(exit == 0, causes.is_empty());
            let calls: Vec<Call> = document.stages.iter().flat_map(|s| &s.findings).map(|f| f.call).collect();
            let leak = |call: &Call| matches!(call, Call::Leak | Call::WrongServer);
            match exit {
                11 => prop_assert!(calls.iter().any(leak), "no finding is a leak: {:?}", causes),
                10 => prop_assert!(calls.contains(&Call::Outage), "no finding is an outage: {:?}", causes),
                _ => prop_assert!(!calls.iter().any(|c| leak(c) || *c == Call::Outage), "{} hides {:?}", exit, calls),
            }
            // What is a finding of a watch alone is told by every report.
            for finding in document.stages.iter().flat_map(|s| &s.findings).filter(|f| !f.subject.is_flow()) {
                prop_assert!(causes.iter().any(|cause| matches!(cause.of, CauseOf::Connections | CauseOf::Newborns)));
                prop_assert!(finding.seen.is_some());
            }
        }
    }

    #[test]
    fn a_newborn_counts_by_the_gravest_of_what_it_showed() {
        let born = watched().watch.unwrap().newborns;
        let shut = Newborn { shut: vec![flow("newborn-3", "plain", "8080/tcp")], ..born[2].clone() };
        let open_too = Newborn { leaked: born[1].leaked.clone(), ..shut.clone() };
        let cut_short = Newborn { cut_short: true, ..born[2].clone() };
        let open_and_cut_short = Newborn { leaked: born[1].leaked.clone(), ..cut_short.clone() };
        let table = [
            (&born[0], Exit::Ok, "all it may do worked"),
            (&born[1], Exit::Leak, "more than that did"),
            (&born[2], Exit::Inconclusive, "it could not be made"),
            (&shut, Exit::Outage, "it was shut to the end"),
            (&open_too, Exit::Leak, "and open elsewhere"),
            (&cut_short, Exit::Ok, "the watch ended before it was seen to work"),
            (&open_and_cut_short, Exit::Leak, "and it was open before that"),
        ];
        for (newborn, expected, why) in table {
            assert_eq!(exit_of_newborn(newborn), expected, "{why}");
        }
    }
}
