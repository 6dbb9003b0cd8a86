//! Lays the windows of a watch beside what happened around that time. Beside, not because of: what happened at the same
//! time may have nothing to do with it, and the reports' words are careful to say no more.
//!
//! A happening's time is when it was heard of, so what is told a little after a window may belong to it; what the log
//! heard nothing of may, too. What concerns one node is left out beside flows that neither begin nor end there.

use std::collections::HashMap;

use crate::model::document::Document;
use crate::model::endpoint::EndpointKind;
use crate::model::finding::Window;
use crate::model::flow::NamedFlow;
use crate::model::happening::{About, Beside, Happening, Lies, State, states};

/// What was heard of so long before a window lies beside it.
const BEFORE_US: u64 = 3_000_000;
/// So long after, where news may be slow: a kubelet looks at its containers about once a second.
const AFTER_US: u64 = 2_000_000;
/// So many are named beside one window.
const MOST: usize = 8;

/// Lays every window of the watch beside what happened.
pub fn lay_beside(document: &mut Document) {
    let Document { watch: Some(watch), events, stages, endpoints, .. } = document else { return };
    if events.is_empty() {
        return;
    }
    let log = Log::new(events);
    // A Service's address is on every node, and what is outside is on none of the cluster's.
    let nodes: HashMap<&str, &str> = endpoints
        .iter()
        .filter(|endpoint| endpoint.kind == EndpointKind::Pod)
        .filter_map(|endpoint| Some((endpoint.name.as_str(), endpoint.node.as_deref()?)))
        .collect();
    let from = watch.from_us;
    let lay = |flow: &NamedFlow, windows: &mut Vec<Window>| {
        let ends = [flow.from.as_str(), flow.to.as_str()].map(|name| nodes.get(name).copied());
        for window in windows.iter_mut().filter(|window| window.last_wrong_us >= from) {
            window.beside = log.around(window, ends);
        }
    };
    for stage in stages {
        stage.cells.iter_mut().for_each(|cell| lay(&cell.flow, &mut cell.windows));
        stage.findings.iter_mut().for_each(|finding| lay(&finding.flow, &mut finding.windows));
    }
}

/// What happened, in order of time.
struct Log<'a> {
    events: &'a [Happening],
    states: Vec<State>,
    /// Places of what the log heard of late.
    late: Vec<usize>,
}

impl<'a> Log<'a> {
    fn new(events: &'a [Happening]) -> Self {
        let late = events.iter().enumerate().filter(|(_, event)| event.since_us.is_some()).map(|(place, _)| place);
        Self { events, states: states(events), late: late.collect() }
    }

    /// What lies beside a window, what says most first.
    fn around(&self, window: &Window, ends: [Option<&str>; 2]) -> Vec<Beside> {
        let last = window.last_wrong_us;
        // The packet of the first wrong attempt may have left as late as this: what was there by then lay before it.
        let first = window.first_wrong_by_us.unwrap_or(window.first_wrong_us);
        let (lower, upper) =
            (window.right_before_us.unwrap_or(window.first_wrong_us), window.right_after_us.unwrap_or(last));
        let concerns = |event: &Happening| match (&event.node, ends) {
            (Some(node), [Some(source), Some(destination)]) => node == source || node == destination,
            (Some(_), _) | (None, _) => true,
        };
        let mut found: Vec<(usize, Lies, u64)> = Vec::new();
        for state in self.states.iter().filter(|state| state.until_us.is_none_or(|until| until > window.first_wrong_us))
        {
            if let Some(event) = self.events.get(state.began).filter(|event| event.at_us < first && concerns(event)) {
                found.push((state.began, Lies::During, first - event.at_us));
            }
        }
        let begin = self.events.partition_point(|event| event.at_us < lower.saturating_sub(BEFORE_US));
        let near = self.events.iter().enumerate().skip(begin);
        for (place, event) in near.take_while(|(_, event)| event.at_us <= upper.saturating_add(AFTER_US)) {
            let lies = if event.at_us < first {
                Some((Lies::Before, first - event.at_us))
            } else if event.at_us <= upper {
                Some((Lies::Within, event.at_us - first))
            } else {
                is_slow(event.about).then(|| (Lies::After, event.at_us.saturating_sub(last)))
            };
            if let Some((lies, apart)) = lies.filter(|_| concerns(event)) {
                add(&mut found, place, lies, apart);
            }
        }
        for place in &self.late {
            let Some(event) = self.events.get(*place).filter(|event| concerns(event)) else { continue };
            if event.since_us.is_some_and(|since| since <= upper) && event.at_us > upper {
                found.retain(|(other, ..)| other != place);
                add(&mut found, *place, Lies::Unknown, event.at_us.saturating_sub(first));
            }
        }
        let rank = |(place, lies, apart): &(usize, Lies, u64)| {
            let about = self.events.get(*place).map_or(About::Other, |event| event.about);
            (rank(about, *lies), *apart, *place)
        };
        found.sort_by_key(rank);
        found.truncate(MOST);
        found
            .into_iter()
            .filter_map(|(place, lies, apart_us)| Some(Beside { event: u32::try_from(place).ok()?, lies, apart_us }))
            .collect()
    }
}

/// Adds it unless it is there already: what began a state is told by that.
fn add(found: &mut Vec<(usize, Lies, u64)>, place: usize, lies: Lies, apart: u64) {
    if !found.iter().any(|(other, ..)| *other == place) {
        found.push((place, lies, apart));
    }
}

/// Whether news of it has to be noticed by somebody first.
fn is_slow(about: About) -> bool {
    match about {
        About::Engine | About::Rollout | About::Node | About::Probe => true,
        About::Command | About::Policy | About::Fault | About::Log | About::Other => false,
    }
}

/// What says most first: what one node was going through, then what is nearest. That a roll-out or the command under
/// watch was under way is true of most windows.
fn rank(about: About, lies: Lies) -> u8 {
    match (lies, about) {
        (_, About::Command) => 5,
        (_, About::Log) | (Lies::Unknown, _) => 4,
        (Lies::During, About::Rollout | About::Other) => 3,
        (Lies::During, About::Engine | About::Node | About::Policy | About::Fault | About::Probe) => 0,
        (Lies::Within, _) => 1,
        (Lies::Before | Lies::After, _) => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::finding::Call;
    use crate::model::happening::Turn;
    use crate::model::watch::Standing;
    use crate::report::fixture::{happened, watched};

    const MS: u64 = 1_000;

    /// From 10,000 ms to 10,500 ms, a tenth of a second wider at most.
    fn window() -> Window {
        Window {
            call: Call::Outage,
            right_before_us: Some(9_900 * MS),
            first_wrong_us: 10_000 * MS,
            first_wrong_by_us: None,
            last_wrong_us: 10_500 * MS,
            right_after_us: Some(10_600 * MS),
            attempts: 5,
            persistent: 0,
            standing: Standing::Counted,
            before_convergence: false,
            first_wrong_at: None,
            beside: Vec::new(),
            drops: Vec::new(),
        }
    }

    fn at(ms: u64, about: About, node: Option<&str>, turn: Turn) -> Happening {
        Happening { node: node.map(Into::into), turn, ..happened(ms * MS, about, node.unwrap_or("it"), "happened") }
    }

    fn begins() -> Turn {
        Turn::Begins { state: "away".into() }
    }

    fn around(events: &[Happening]) -> Vec<(u32, Lies, u64)> {
        let laid = Log::new(events).around(&window(), [Some("w1"), Some("w2")]);
        laid.into_iter().map(|beside| (beside.event, beside.lies, beside.apart_us / MS)).collect()
    }

    #[test]
    fn each_happening_lies_where_it_was_heard_of() {
        use About::{Engine, Policy};
        let table = [
            (at(6_000, Policy, None, Turn::None), None, "long before"),
            (at(9_700, Policy, None, Turn::None), Some((Lies::Before, 300)), "just before"),
            (at(9_950, Policy, None, Turn::None), Some((Lies::Before, 50)), "since the last right attempt"),
            (at(10_200, Policy, None, Turn::None), Some((Lies::Within, 200)), "while it was wrong"),
            (at(10_550, Policy, None, Turn::None), Some((Lies::Within, 550)), "before it was seen to be right"),
            (at(10_700, Policy, None, Turn::None), None, "after, where news is quick"),
            (at(10_700, Engine, Some("w2"), Turn::None), Some((Lies::After, 200)), "after, where news is slow"),
            (at(13_000, Engine, Some("w2"), Turn::None), None, "long after"),
            (at(1_000, Engine, Some("w2"), begins()), Some((Lies::During, 9_000)), "a state that goes on"),
            (at(10_200, Engine, Some("w3"), Turn::None), None, "on a node that neither end is on"),
            (at(1_000, Engine, Some("w3"), begins()), None, "a state of such a node"),
            (at(10_100, Engine, Some("w1"), begins()), Some((Lies::Within, 100)), "a state that began in it"),
        ];
        for (event, expected, why) in table {
            let expected: Vec<_> = expected.map(|(lies, apart)| (0, lies, apart)).into_iter().collect();
            assert_eq!(around(&[event]), expected, "{why}");
        }
    }

    #[test]
    fn what_was_there_before_the_first_wrong_packet_left_is_not_within_the_window() {
        // It was launched at 10,000 ms, and a starved machine sent it up to 60 ms later.
        let window = Window { first_wrong_by_us: Some(10_060 * MS), ..window() };
        let lies = |event: Happening| {
            let laid = Log::new(&[event]).around(&window, [Some("w1"), Some("w2")]);
            laid.first().map(|beside| (beside.lies, beside.apart_us / MS))
        };
        assert_eq!(lies(at(10_050, About::Engine, Some("w1"), begins())), Some((Lies::During, 10)));
        assert_eq!(lies(at(10_050, About::Policy, None, Turn::None)), Some((Lies::Before, 10)));
        assert_eq!(lies(at(10_070, About::Policy, None, Turn::None)), Some((Lies::Within, 10)));
    }

    #[test]
    fn a_state_lasts_until_it_ends_and_counts_from_its_first_beginning() {
        use About::Engine;
        let engine = |ms, turn| at(ms, Engine, Some("w1"), turn);
        let over = [engine(2_000, begins()), engine(4_000, Turn::Ends)];
        assert_eq!(around(&over), [], "it was over long before");
        let again = [engine(2_000, begins()), engine(4_000, begins()), engine(10_200, Turn::Ends)];
        assert_eq!(around(&again), [(0, Lies::During, 8_000), (2, Lies::Within, 200)], "twice begun, once ended");
        let both = [at(2_000, Engine, Some("w1"), begins()), at(3_000, Engine, Some("w2"), Turn::Ends)];
        assert_eq!(around(&both), [(0, Lies::During, 8_000)], "another's end does not end it");
    }

    #[test]
    fn what_the_log_heard_of_late_may_belong_to_any_window_in_the_gap() {
        let heard =
            |ms, since: u64| Happening { since_us: Some(since * MS), ..at(ms, About::Policy, None, Turn::None) };
        assert_eq!(around(&[heard(14_000, 10_100)]), [(0, Lies::Unknown, 4_000)], "heard of after the gap");
        assert_eq!(around(&[heard(14_000, 11_000)]), [], "the gap began after the window");
        assert_eq!(around(&[heard(10_300, 9_000)]), [(0, Lies::Within, 300)], "heard of in it all the same");
    }

    #[test]
    fn what_says_most_comes_first_and_the_rest_is_left_out() {
        use About::{Command, Engine, Policy, Rollout};
        let mut events = vec![
            at(1_000, Command, None, begins()),
            at(2_000, Rollout, Some("w1"), begins()),
            at(9_000, Engine, Some("w1"), begins()),
        ];
        events.extend((0..20).map(|n| at(10_100 + n, Policy, None, Turn::None)));
        let laid = around(&events);
        assert_eq!(laid.len(), MOST);
        assert_eq!(laid[..3], [(2, Lies::During, 1_000), (3, Lies::Within, 100), (4, Lies::Within, 101)]);
        events.truncate(4);
        let order: Vec<u32> = around(&events).into_iter().map(|(event, ..)| event).collect();
        assert_eq!(order, [2, 3, 1, 0], "the command is under way beside everything");
    }

    #[test]
    fn windows_of_the_watch_are_laid_in_cells_and_findings_alike() {
        let mut document = watched();
        lay_beside(&mut document);
        let stage = document.stages.last().unwrap();
        let of = |windows: &[Window]| windows.last().map(|window| window.beside.clone()).unwrap_or_default();
        let finding = &stage.findings[0];
        let cell = stage.cells.iter().find(|cell| cell.flow == finding.flow).unwrap();
        assert!(!of(&finding.windows).is_empty() && of(&finding.windows) == of(&cell.windows));
        let early = cell.windows.first().unwrap();
        assert_eq!(early.beside, [], "a window before the watch is time to enforce");
        document.events.clear();
        let before = document.clone();
        lay_beside(&mut document);
        assert_eq!(document, before, "where nothing is known, nothing is laid");
    }
}
