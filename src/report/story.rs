//! Sentences: what was seen, why a policy says so, and the story of a finding. Every report tells them alike.

use crate::model::document::{Cell, Convergence, Stage};
use crate::model::finding::{Call, Contradiction, Finding, SeenBy, Window};
use crate::model::observation::{Observation, Witness};
use crate::model::prediction::{PlannedAddress, Reason};
use crate::model::verdict::{DenyForm, Intent, Meaning};

use super::drops;
use super::duration::human_us;
use super::text::plural;
use super::wrong_times::{self, Context, WrongTime};

/// A finding in sentences, not yet made harmless for any format.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Story {
    /// The status word.
    pub word: &'static str,
    /// All readings in one line: `intent denied, meaning denied, seen: reached`.
    pub readings: String,
    /// Whom to blame.
    pub blame: String,
    /// Why the policies say what they say.
    pub because: String,
    /// What to do next.
    pub next: String,
    /// How long the change took to take effect, where it was wrong before convergence.
    pub took_effect: Option<String>,
    /// When it was wrong after convergence.
    pub windows: Vec<WrongTime>,
}

/// Tells a finding of a run.
pub fn tell(finding: &Finding, context: &Context) -> Story {
    let reality = reality(finding);
    let contradiction = match finding.contradiction {
        Contradiction::None => "",
        Contradiction::Present => " (a contradiction)",
    };
    Story {
        word: finding.call.word(),
        readings: format!("{}, {}{contradiction}, {reality}", intent(finding.intent), meaning(finding.meaning)),
        blame: finding.blame.to_string(),
        because: finding.because.clone(),
        next: finding.next.clone(),
        took_effect: wrong_times::took_effect(finding),
        windows: wrong_times::after_convergence(finding, context),
    }
}

/// What was seen of what a finding is about, in words.
pub fn reality(finding: &Finding) -> String {
    match (&finding.seen, seen_of(finding)) {
        (Some(words), _) => words.clone(),
        (None, Some(seen)) => format!("seen: {seen}"),
        (None, None) => "nobody looked".to_owned(),
    }
}

/// What was seen of it, without a lead; of what was right at the end, what was wrong before that comes first.
pub fn seen_of(finding: &Finding) -> Option<String> {
    if finding.seen.is_some() {
        return finding.seen.clone();
    }
    let at_the_end = seen(finding.reality.as_ref()?);
    if finding.passing.is_none() {
        return Some(at_the_end);
    }
    let wrong = match finding.call {
        Call::Leak => "reached",
        Call::Outage => "not reached",
        Call::WrongServer => "answered by somebody else",
        Call::Contradiction | Call::Ok | Call::Inconclusive | Call::Unjudged | Call::Unsupported => "wrong",
    };
    Some(format!("{wrong} for a time; at the end {at_the_end}"))
}

/// Intent in words.
pub fn intent(intent: Intent) -> String {
    match intent {
        Intent::Stated(verdict) => format!("intent {verdict}"),
        Intent::Unstated => "intent not stated".into(),
    }
}

/// Meaning in words.
pub fn meaning(meaning: Meaning) -> String {
    match meaning {
        Meaning::Known(verdict) => format!("meaning {verdict}"),
        Meaning::Unknown => "meaning unknown".into(),
    }
}

/// What was seen, in words.
pub fn seen(observation: &Observation) -> String {
    match observation {
        Observation::Reached => "reached".into(),
        Observation::Delivered => "delivered, though the source heard nothing".into(),
        Observation::HalfOpen => "a handshake, without proof of who answered".into(),
        Observation::SomeoneElse { who } => format!("`{who}` answered instead"),
        Observation::Translated { seen } => format!("reached, but from {seen} instead of the source's own address"),
        Observation::Silent { attempts } => format!("silent, {}", plural(u64::from(*attempts), "attempt", "attempts")),
        Observation::Refused { how, after_us } => format!("{how} after {}", human_us(*after_us)),
        Observation::Unreachable { error } => format!("unreachable: {error}"),
        Observation::Unsupported { what } => format!("not supported here: {what}"),
        Observation::Mixed { reached, silent } => format!("mixed: {reached} reached, {silent} silent"),
        Observation::NotSeen { why } => format!("not seen: {why}"),
    }
}

/// What proves a denial, in words.
pub fn witness(witness: &Witness) -> String {
    match witness {
        Witness::Strong { answered, source } => format!("the listener answered {answered}; {source}"),
        Witness::Indirect { link, source } => format!("the listener answered its own pod, and {link}; {source}"),
        Witness::Weak { cut_off } => match cut_off.as_slice() {
            [one] => format!("`{one}` is cut off both ways; only this run's baseline and its own agent speak for it"),
            many => {
                let names: Vec<String> = many.iter().map(|name| format!("`{name}`")).collect();
                let names = names.join(" and ");
                format!("{names} are cut off both ways; only this run's baseline and their own agents speak for them")
            }
        },
    }
}

/// Why one side of a flow allows or denies, in words.
pub fn reason(reason: &Reason) -> String {
    let list = |items: Vec<String>| items.join(", ");
    match reason {
        Reason::NoPod => "no pod, so no policy selects it".into(),
        Reason::NotIsolated => "no policy selects it".into(),
        Reason::Allowed { by } => format!("allowed by {}", list(by.iter().map(ToString::to_string).collect())),
        Reason::Isolated { by } => {
            format!("isolated by {}; no rule matches", list(by.iter().map(ToString::to_string).collect()))
        }
        Reason::Behind { allowing, denying, unknown, itself } => {
            let counted = [(allowing, "allowed"), (denying, "denied"), (unknown, "unknown"), (itself, "itself")];
            let parts = counted.iter().filter(|(count, _)| **count > 0).map(|(count, word)| format!("{count} {word}"));
            format!("the pods behind it differ: {}", list(parts.collect()))
        }
        Reason::Unknown { by } => {
            format!("unknown: {} may touch it", list(by.iter().map(ToString::to_string).collect()))
        }
    }
}

/// On which addresses chosen by leakproof a meaning rests, in words.
pub fn planned(addresses: &[PlannedAddress]) -> String {
    let all: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    format!("this rests on {}: with another it could be the opposite", all.join(" and on "))
}

/// Both sides' reasons of a cell, in words; empty where the stage has none of that number.
pub fn reasons(reasons: &[Reason], egress: u32, ingress: u32) -> String {
    let side = |number: u32| usize::try_from(number).ok().and_then(|place| reasons.get(place)).map(reason);
    match (side(egress), side(ingress)) {
        (Some(out), Some(into)) => format!("egress: {out}; ingress: {into}"),
        (Some(out), None) => format!("egress: {out}"),
        (None, Some(into)) => format!("ingress: {into}"),
        (None, None) => String::new(),
    }
}

/// A window in words: when, how long at least and at most, how many attempts saw it, and what the kernels at both ends
/// counted as dropped.
pub fn window(window: &Window) -> String {
    let (call, first, lasted) = (window.call, human_us(window.first_wrong_us), lasted(window));
    let comma = if window.seen_by() == SeenBy::Any { "" } else { "," };
    format!("{call} at {first}{comma} {lasted}{}", drops::aside(window))
}

/// How long a window was, and which attempts saw it.
pub fn lasted(window: &Window) -> String {
    match window.seen_by() {
        SeenBy::Any => {
            let attempts = plural(u64::from(window.attempts), "attempt", "attempts");
            format!("{} ({attempts})", length(window))
        }
        SeenBy::LongAttempts => {
            let attempts = plural(u64::from(window.attempts), "long attempt", "long attempts");
            match window.attempts {
                1 => format!("seen by {attempts} alone"),
                _ => format!("seen by {attempts} alone, the last at {}", human_us(window.last_wrong_us)),
            }
        }
    }
}

/// What is known of a window's length.
fn length(window: &Window) -> String {
    let least = match window.least_us() {
        0 => None,
        least => Some(format!("at least {}", human_us(least))),
    };
    match (window.right_before_us, window.right_after_us) {
        (Some(before), Some(after)) => {
            let most = human_us(after.saturating_sub(before));
            let least = least.map(|least| format!("{least} and ")).unwrap_or_default();
            format!("for {least}at most {most}")
        }
        (None, Some(_)) => {
            format!("from the stage's start, for {}", least.unwrap_or_else(|| "an unknown time".into()))
        }
        (Some(_), None) => {
            let least = least.map(|least| format!("for {least}, and ")).unwrap_or_default();
            format!("{least}not over when the stage ended")
        }
        (None, None) => "throughout the stage".into(),
    }
}

/// How convergence went, in words.
pub fn convergence(stage: &Stage) -> String {
    match stage.convergence {
        Convergence::Converged { after_us, proven_us } => {
            format!("converged after {}, proven after {}", human_us(after_us), human_us(proven_us))
        }
        Convergence::TimedOut { after_us } => format!("did not converge within {}", human_us(after_us)),
        Convergence::Interrupted => "interrupted before it converged".into(),
    }
}

/// The cells that took longest to be enforced, slowest first; those that took no time are left out.
pub fn slowest(stage: &Stage, limit: usize) -> Vec<(&Cell, u64)> {
    let mut timed: Vec<(&Cell, u64)> =
        stage.cells.iter().filter_map(|cell| Some((cell, cell.time_to_enforce_us.filter(|us| *us > 0)?))).collect();
    timed.sort_by(|(a, a_us), (b, b_us)| b_us.cmp(a_us).then_with(|| a.flow.cmp(&b.flow)));
    timed.truncate(limit);
    timed
}

/// In what form a denial had to come, in words.
pub fn deny_form(form: DenyForm) -> &'static str {
    match form {
        DenyForm::Drop => "silence only",
        DenyForm::Reject => "a rejection only",
        DenyForm::Either => "silence or a rejection",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::finding::{Call, DropsAt};

    #[test]
    fn a_window_ends_with_what_was_counted_as_dropped() {
        let drops = vec![DropsAt { end: "b".into(), node: Some("w2".into()), counted: Vec::new() }];
        let told = window(&Window { drops, ..window_of(Some(1_100_000), Some(1_600_000)) });
        assert_eq!(
            told,
            "leak at 1.2 s for at least 300 ms and at most 500 ms (31 attempts); no drop was counted at b on w2"
        );
    }

    fn window_of(before: Option<u64>, after: Option<u64>) -> Window {
        Window {
            call: Call::Leak,
            right_before_us: before,
            first_wrong_us: 1_200_000,
            first_wrong_by_us: None,
            last_wrong_us: 1_500_000,
            right_after_us: after,
            attempts: 31,
            persistent: 0,
            standing: crate::model::watch::Standing::Counted,
            before_convergence: false,
            first_wrong_at: None,
            beside: Vec::new(),
            drops: Vec::new(),
        }
    }

    #[test]
    fn windows_tell_what_is_known_of_their_length() {
        let table = [
            (
                Some(1_190_000),
                Some(1_510_000),
                "leak at 1.2 s for at least 300 ms and at most 320 ms (31 attempts)",
                "bounded both ways",
            ),
            (
                None,
                Some(1_510_000),
                "leak at 1.2 s from the stage's start, for at least 300 ms (31 attempts)",
                "no start",
            ),
            (
                Some(1_190_000),
                None,
                "leak at 1.2 s for at least 300 ms, and not over when the stage ended (31 attempts)",
                "no end",
            ),
            (None, None, "leak at 1.2 s throughout the stage (31 attempts)", "neither"),
        ];
        for (before, after, expected, why) in table {
            assert_eq!(window(&window_of(before, after)), expected, "{why}");
        }
        let single =
            |after| window(&Window { last_wrong_us: 1_200_000, attempts: 1, ..window_of(Some(1_190_000), after) });
        assert_eq!(single(Some(1_210_000)), "leak at 1.2 s for at most 20 ms (1 attempt)", "no `at least 0 ms`");
        assert_eq!(single(None), "leak at 1.2 s not over when the stage ended (1 attempt)");
        let long = |attempts| window(&Window { attempts, persistent: attempts, ..window_of(Some(200_000), None) });
        assert_eq!(long(1), "leak at 1.2 s, seen by 1 long attempt alone");
        assert_eq!(long(3), "leak at 1.2 s, seen by 3 long attempts alone, the last at 1.5 s", "shut to those between");
    }

    #[test]
    fn reasons_that_are_not_there_are_not_invented() {
        assert_eq!(reasons(&[Reason::NotIsolated], 0, 7), "egress: no policy selects it");
        assert_eq!(reasons(&[], 0, 0), "");
    }
}
