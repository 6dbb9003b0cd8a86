//! When a finding was wrong, in words: how long the change took to take effect, and each window after convergence with
//! what changed at that time.

use crate::model::document::Document;
use crate::model::finding::{Call, Finding, Window};
use crate::model::happening::Happening;

use super::drops;
use super::duration::human_us;
use super::story::lasted;
use super::text::plural;
use super::watched;

/// So many times before convergence are told one by one; the JSON holds all.
const TIMES: usize = 4;

/// What windows are told with.
#[derive(Debug, Clone, Copy, Default)]
pub struct Context<'a> {
    watch_from_us: Option<u64>,
    events: &'a [Happening],
}

impl<'a> Context<'a> {
    /// That of a run.
    pub fn of(document: &'a Document) -> Self {
        Self { watch_from_us: document.watch.as_ref().map(|watch| watch.from_us), events: &document.events }
    }

    /// What changed around a window.
    pub fn beside(&self, window: &Window) -> Vec<String> {
        watched::beside(window, self.events)
    }

    /// How far into the watch a window began, and the time of day: `, 1 min 33 s into the watch (04:06:41.000 UTC)`.
    pub fn besides(&self, window: &Window) -> String {
        let into = self.watch_from_us.and_then(|from| window.first_wrong_us.checked_sub(from));
        let into = into.map(|us| format!(", {} into the watch", human_us(us))).unwrap_or_default();
        let utc = utc(window).map(|utc| format!(" ({utc})")).unwrap_or_default();
        format!("{into}{utc}")
    }
}

/// A window after convergence.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WrongTime {
    /// What was wrong, when, for how long, and what the kernels at both ends counted as dropped meanwhile: `leak at 1 min
    /// 35 s, 1 min 33 s into the watch (04:06:41.000 UTC), for at least 200 ms and at most 400 ms (3 attempts)`.
    pub sentence: String,
    /// What changed at that time, what says most first.
    pub beside: Vec<String>,
}

impl WrongTime {
    /// What changed at that time, so many of it; none where nothing is on record.
    pub fn changed(&self, named: usize) -> Option<String> {
        watched::in_short(&self.beside, named).map(|told| format!("at that time: {told}"))
    }
}

/// The windows of a finding after convergence.
pub fn after_convergence(finding: &Finding, context: &Context) -> Vec<WrongTime> {
    let after = finding.windows.iter().filter(|window| !window.before_convergence);
    after.map(|window| tell(window, context)).collect()
}

fn tell(window: &Window, context: &Context) -> WrongTime {
    let (at, besides) = (human_us(window.first_wrong_us), context.besides(window));
    let sentence = format!("{} at {at}{besides}, {}{}", window.call, lasted(window), drops::aside(window));
    WrongTime { sentence, beside: context.beside(window) }
}

/// The time of day at which it began: `04:06:41.000 UTC`.
fn utc(window: &Window) -> Option<String> {
    let (_, time) = window.first_wrong_at.as_deref()?.split_once('T')?;
    Some(format!("{} UTC", time.trim_end_matches('Z')))
}

/// How long a change took to take effect on the flow of a finding, where it was wrong before convergence: that is time to
/// enforce, and no window.
pub fn took_effect(finding: &Finding) -> Option<String> {
    let before: Vec<&Window> = finding.windows.iter().filter(|window| window.before_convergence).collect();
    if before.is_empty() || finding.call == Call::Contradiction {
        return None;
    }
    Some(match finding.time_to_enforce_us {
        Some(us) if before.len() == 1 => format!("{} after the change", human_us(us)),
        Some(us) => format!("{} after the change; before that {}", human_us(us), times(&before)),
        None => format!("never for good; {}", times(&before)),
    })
}

fn times(windows: &[&Window]) -> String {
    let told = windows.iter().take(TIMES).map(|window| {
        let attempts = plural(u64::from(window.attempts), "attempt", "attempts");
        format!("{} at {} in {attempts}", window.call, human_us(window.first_wrong_us))
    });
    let more = windows.len().checked_sub(TIMES).filter(|more| *more > 0);
    let more = more.map(|more| format!("and {} more", plural(more as u64, "time", "times")));
    told.chain(more).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::finding::{DropCount, DropsAt};
    use crate::model::watch::Standing;
    use crate::report::fixture::{troubled, watched, wrong_window};

    #[test]
    fn a_window_of_a_watch_says_what_was_wrong_when_for_how_long_and_what_changed_then() {
        let document = watched();
        let finding = &document.stages[1].findings[0];
        let told = after_convergence(finding, &Context::of(&document));
        let [told] = told.as_slice() else { panic!("one window lies after convergence: {told:?}") };
        assert_eq!(
            told.sentence,
            "leak at 1 min 35 s, 1 min 33 s into the watch (04:06:41.000 UTC), for at least 200 ms and at most 400 ms (3 \
             attempts)"
        );
        assert_eq!(
            told.changed(2).unwrap(),
            "at that time: while calico-node on node-1 was restarting (pod calico-node-x7k was told to end, 6.0 s \
             before); NetworkPolicy ai-staging/open: was created by kubectl, 40 ms into it; and 2 more"
        );
    }

    #[test]
    fn a_window_says_what_the_kernels_counted() {
        let counted = DropCount { counter: "TcpExt ListenDrops".to_owned(), by: 3 };
        let ends = |counted: &[DropCount]| {
            let at = |end: &str| DropsAt { end: end.to_owned(), node: None, counted: counted.to_vec() };
            vec![at("a"), at("b")]
        };
        for (drops, said) in [
            (ends(&[]), "(1 attempt); no drop was counted at either end"),
            (ends(&[counted]), "probably lost at b, not denied: TcpExt ListenDrops +3"),
        ] {
            let window = Window { drops, ..wrong_window(Call::Outage, Standing::Counted, 200_000, 0, 1) };
            let told = tell(&window, &Context::default()).sentence;
            assert!(told.ends_with(said), "{told}");
        }
    }

    #[test]
    fn what_was_wrong_before_convergence_is_time_to_enforce() {
        let mut document = watched();
        let mut finding = document.stages[1].findings.remove(0);
        assert_eq!(took_effect(&finding).unwrap(), "33 ms after the change");
        let window = finding.windows[0].clone();
        finding.windows = vec![window.clone(); 6];
        let told = took_effect(&finding).unwrap();
        assert!(told.starts_with("33 ms after the change; before that leak at 685 ms in 2 attempts, "), "{told}");
        assert!(told.ends_with("and 2 times more"), "{told}");
        let never = &troubled().stages[1].findings[0];
        assert_eq!(
            took_effect(never).unwrap(),
            "never for good; leak at 681 ms in 5 attempts, leak at 911 ms in 42 attempts"
        );
        assert_eq!(after_convergence(never, &Context::default()), [], "a stage that never converged has no window");
        assert_eq!(took_effect(&Finding { windows: Vec::new(), ..finding }), None);
    }
}
