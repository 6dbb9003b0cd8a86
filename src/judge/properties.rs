//! What must hold whatever the network does and in whatever order it is told.

use std::collections::HashMap;

use proptest::prelude::*;

use super::script::{Fact, MS, Script, at};
use super::*;
use crate::model::observation::{Observation, Outcome};

const FACTS: [Fact; 12] = [
    Fact::Arrives,
    Fact::Dropped,
    Fact::Rejected,
    Fact::OneWay,
    Fact::HalfOpen,
    Fact::Reset,
    Fact::SomeoneElse,
    Fact::Translated,
    Fact::NoRoute,
    Fact::Starved,
    Fact::DroppedAndForgotten,
    Fact::ArrivesAndForgotten,
];

/// A network in which each cell's fact changes every 150 ms, mostly between arriving and being dropped.
#[derive(Debug, Clone)]
struct Weather {
    facts: Vec<Vec<usize>>,
    meaning: Vec<bool>,
    listens: Vec<bool>,
    blind: Vec<(u32, u64, u64)>,
    lost: Option<(u32, u64)>,
    proven: bool,
}

const PODS: [&str; 3] = ["a", "b", "c"];
const PHASES: usize = 8;

fn weather() -> impl Strategy<Value = Weather> {
    let fact = prop_oneof![4 => Just(0_usize), 8 => Just(1), 3 => 0..FACTS.len()];
    let steady = prop_oneof![
        fact.clone().prop_map(|fact| vec![fact; PHASES]),
        (prop::collection::vec(fact, 2), 0..PHASES)
            .prop_map(|(facts, turn)| { (0..PHASES).map(|phase| facts[usize::from(phase >= turn)]).collect() }),
        prop::collection::vec(prop_oneof![2 => Just(1_usize), 1 => 0..FACTS.len()], PHASES),
    ];
    (
        prop::collection::vec(steady, 6),
        prop::collection::vec(any::<bool>(), 6),
        prop::collection::vec(prop::bool::weighted(0.8), 3),
        prop::collection::vec((0..3_u32, 1000..2200_u64, 1..300_u64), 0..3),
        prop::option::weighted(0.2, (0..3_u32, 1000..2200_u64)),
        any::<bool>(),
    )
        .prop_map(|(facts, meaning, listens, blind, lost, proven)| Weather {
            facts,
            meaning,
            listens,
            blind,
            lost,
            proven,
        })
}

impl Weather {
    fn script(&self) -> Script {
        let mut script = Script::new(&PODS);
        script.rules.converge_within = 1200 * MS;
        script.until = at(2400);
        let (set, facts) = (script.set.clone(), self.facts.clone());
        script.reality = Box::new(move |flow, launch| {
            let place = set.table().find(flow).and_then(|id| set.place(id)).unwrap();
            let phase = (launch.0.saturating_sub(at(1000).0) / at(150).0) as usize;
            FACTS[facts[place][phase.min(PHASES - 1)]]
        });
        let listens = self.listens.clone();
        script.listens = Box::new(move |end, _| listens[end.index()]);
        let blind = self.blind.iter().map(|(end, from, long)| (EndpointId(*end), at(*from), at(from + long)));
        script.blind = blind.collect();
        script.lost = self.lost.into_iter().map(|(end, since)| (EndpointId(end), at(since))).collect();
        script.proven = self.proven;
        script
    }

    fn judge(&self, script: &Script) -> Judge {
        let set = script.set.clone();
        let meaning = self.meaning.clone();
        script.judge(move |flow| {
            let place = set.table().find(flow).and_then(|id| set.place(id)).unwrap();
            if meaning[place] { Verdict::Allowed } else { Verdict::Denied }
        })
    }
}

/// Merges streams, each in its own order, as `choices` say.
fn merge(streams: Vec<Vec<(Moment, Sighting)>>, choices: &[usize]) -> Vec<Sighting> {
    let mut streams: Vec<_> = streams.into_iter().map(|stream| stream.into_iter().peekable()).collect();
    let mut merged = Vec::new();
    let mut choices = choices.iter().cycle();
    while !streams.is_empty() {
        let choice = choices.next().unwrap() % streams.len();
        match streams[choice].next() {
            Some((_, sighting)) => merged.push(sighting),
            None => drop(streams.swap_remove(choice)),
        }
    }
    merged
}

/// Attempts of each cell, by number, that were silent as their source says, and those that arrived.
type Heard = HashMap<FlowId, (Vec<u32>, Vec<u32>)>;

fn heard(sightings: &[Sighting]) -> Heard {
    let mut heard = Heard::new();
    for sighting in sightings {
        match sighting {
            Sighting::Tried { flow, first_number, outcome: Outcome::Silent, .. } => {
                heard.entry(*flow).or_default().0.push(*first_number);
            }
            Sighting::Delivered { flow, first_number, .. } => heard.entry(*flow).or_default().1.push(*first_number),
            _ => {}
        }
    }
    heard
}

/// Enough for every day; a number in `PROPTEST_CASES` looks closer.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(96)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases()) })]

    #[test]
    fn the_order_in_which_agents_are_heard_changes_no_verdict(
        weather in weather(),
        choices in prop::collection::vec(0..16_usize, 1..400),
        often in 1..200_usize,
    ) {
        let script = weather.script();
        let end = script.until.plus(script.rules.deadline);
        let mut in_time = weather.judge(&script);
        for (_, sighting) in script.sightings() {
            in_time.see(&sighting);
        }
        let mut shuffled = weather.judge(&script);
        for (count, sighting) in merge(script.streams(), &choices).iter().enumerate() {
            shuffled.see(sighting);
            // Settling early or late must not matter either. Convergence is told apart by `converge_within`: it is
            // a matter of when one looks.
            if count % often == 0 {
                shuffled.settle_everything();
            }
        }
        let (in_time, shuffled) = (in_time.verdicts(end), shuffled.verdicts(end));
        prop_assert_eq!(in_time.iter().count(), shuffled.iter().count());
        for ((_, flow, one), (_, _, other)) in in_time.iter().zip(shuffled.iter()) {
            prop_assert_eq!(one, other, "{:?}", flow);
        }
    }

    #[test]
    fn blindness_never_makes_a_denial(
        weather in weather(),
        whose in 0..3_u32,
        from in 900..2400_u64,
        long in 1..1500_u64,
    ) {
        let seeing = weather.script();
        let mut judge = weather.judge(&seeing);
        let end = seeing.play_out(&mut judge);
        let before = judge.verdicts(end);
        let mut blinder = weather.clone();
        blinder.blind.push((whose, from, long));
        let script = blinder.script();
        let mut judge = blinder.judge(&script);
        let end = script.play_out(&mut judge);
        for (id, flow, after) in judge.verdicts(end).iter() {
            let before = before.get(id).unwrap();
            prop_assert!(
                after.verdict != Some(Verdict::Denied) || before.verdict == Some(Verdict::Denied),
                "{:?} was {:?} and became {:?}", flow, before, after
            );
        }
    }

    #[test]
    fn no_denial_without_enough_silences_none_arrived_and_a_witness(weather in weather()) {
        let script = weather.script();
        let sightings: Vec<Sighting> = script.sightings().into_iter().map(|(_, sighting)| sighting).collect();
        let heard = heard(&sightings);
        let mut judge = weather.judge(&script);
        let end = script.play_out(&mut judge);
        for (id, flow, judgement) in judge.verdicts(end).iter() {
            if judgement.verdict != Some(Verdict::Denied) {
                continue;
            }
            prop_assert!(judgement.witness.is_some(), "{:?}", flow);
            match judgement.observation {
                Observation::Silent { attempts } => {
                    prop_assert!(attempts >= 4, "{:?} {:?}", flow, judgement);
                    let (silent, arrived) = &heard[&id];
                    let counted = silent.iter().filter(|number| !arrived.contains(number)).count();
                    prop_assert!(counted >= attempts as usize, "{:?}: {} of {}", flow, attempts, counted);
                }
                Observation::Refused { .. } => {}
                ref other => prop_assert!(false, "{:?} was denied as {:?}", flow, other),
            }
        }
    }

    #[test]
    fn convergence_means_a_window_without_anything_wrong(weather in weather()) {
        let script = weather.script();
        let mut judge = weather.judge(&script);
        script.play(&mut judge);
        let Some(converged) = judge.converged else { return Ok(()) };
        for (id, flow) in script.set.iter() {
            let place = script.set.place(id).unwrap();
            if script.lost.iter().any(|(end, _)| *end == flow.source || *end == flow.destination) {
                continue;
            }
            // The instants at which this cell's attempts were launched.
            let interval = script.rules.interval;
            let mut launch = at(900).plus(interval * place as u32 / script.set.len() as u32);
            while launch < converged.from {
                launch = launch.plus(interval);
            }
            while launch <= converged.until {
                let fact = (script.reality)(flow, launch);
                let wrong = match fact {
                    Fact::Arrives | Fact::OneWay | Fact::Translated | Fact::ArrivesAndForgotten => {
                        !weather.meaning[place]
                    }
                    Fact::Dropped | Fact::Rejected => weather.meaning[place],
                    Fact::HalfOpen | Fact::Reset | Fact::SomeoneElse | Fact::NoRoute => true,
                    Fact::Starved | Fact::DroppedAndForgotten => false,
                };
                let could_see = !script.blind.iter().any(|(end, from, until)| {
                    (*end == flow.source || *end == flow.destination)
                        && *from <= launch.plus(script.rules.deadline)
                        && *until >= launch
                });
                prop_assert!(!(wrong && could_see), "{:?} at {:?}: {:?}", flow, launch, fact);
                launch = launch.plus(interval);
            }
        }
    }
}
