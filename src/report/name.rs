//! Names of trials: claims about one flow, the same in JUnit and in `cargo test`.

use crate::model::document::FabricKind;
use crate::model::flow::NamedFlow;
use crate::model::verdict::{Intent, Meaning};

use super::text::{Charset, harmless};

/// The stage whose name is left out of trial names: the initial policies.
const FIRST_STAGE: &str = "policies";

/// The name of a trial: `lab::ai-data-pipeline::intruder -> data-store:5432/tcp is denied`, after intent, else meaning.
/// A stage other than the initial policies stands between scenario and flow, since a flow has a trial in each.
pub fn trial(
    fabric: FabricKind,
    scenario: &str,
    stage: &str,
    flow: &NamedFlow,
    intent: Intent,
    meaning: Meaning,
) -> String {
    let claim = match intent.verdict().or(meaning.verdict()) {
        Some(verdict) => format!("is {verdict}"),
        None => "is neither expected nor predicted".into(),
    };
    let name = if stage == FIRST_STAGE {
        format!("{fabric}::{scenario}::{flow} {claim}")
    } else {
        format!("{fabric}::{scenario}::{stage}::{flow} {claim}")
    };
    harmless(&name, Charset::Unicode)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::verdict::Verdict;
    use crate::report::fixture::flow;

    #[test]
    fn trials_are_named_after_intent_else_meaning() {
        let allowed = Meaning::Known(Verdict::Allowed);
        let denied = Intent::Stated(Verdict::Denied);
        let table = [
            ("policies", denied, allowed, "lab::s::a -> b:80/tcp is denied", "intent comes first"),
            ("policies", Intent::Unstated, allowed, "lab::s::a -> b:80/tcp is allowed", "else meaning"),
            ("step 1", denied, allowed, "lab::s::step 1::a -> b:80/tcp is denied", "later stages are named"),
            (
                "policies",
                Intent::Unstated,
                Meaning::Unknown,
                "lab::s::a -> b:80/tcp is neither expected nor predicted",
                "and where nobody says anything, that is said",
            ),
        ];
        for (stage, intent, meaning, expected, why) in table {
            assert_eq!(
                trial(FabricKind::Lab, "s", stage, &flow("a", "b", "80/tcp"), intent, meaning),
                expected,
                "{why}"
            );
        }
    }
}
