//! What of the fuzz can be tested without a lab.

use std::collections::BTreeMap;

use leakproof::model::document::Strictness;
use leakproof::model::flow::NamedFlow;
use leakproof::model::verdict::Verdict;
use leakproof::policy::Policy;
use leakproof::policy::network_policy::NetworkPolicy;
use leakproof::scenario::{load_str, policy_from_json};
use libtest_mimic::{Failed, Trial};

use crate::fuzz::{ground_of, set_of};
use crate::ground::Ground;
use crate::hunt::Hunt;
use crate::manifest;
use crate::mutants;
use crate::reading::{Disagreement, compare, meaning};
use crate::rewrite::network_policies;
use crate::shrink::{Thoroughness, shrink};

/// Sets looked at in each trial.
const SETS: usize = 48;
/// The case of one in so many mutants is shrunk.
const STRIDE: usize = 8;

/// The trials.
pub fn trials(seed: u64) -> Vec<Trial> {
    let trial = |claim: &str, prove: fn(u64) -> Result<(), Failed>| {
        Trial::test(format!("agreement::{claim}"), move || {
            prove(seed).map_err(|failed| match failed.message() {
                Some(message) => Failed::from(format!("{message} (seed {seed})")),
                None => failed,
            })
        })
    };
    vec![
        trial("a seed gives the same sets again", repeatable),
        trial("every generated policy is one an API server takes, and is read back as it was", taken),
        trial("a printed case is loaded with the same meaning", loaded),
        trial("a failing case is shrunk until nothing can be left out", shrunk),
        trial("no two mutants are the same everywhere", distinct),
    ]
}

fn refuse(wrong: Vec<String>) -> Result<(), Failed> {
    if wrong.is_empty() { Ok(()) } else { Err(Failed::from(wrong.join("\n"))) }
}

fn repeatable(seed: u64) -> Result<(), Failed> {
    let draw = |seed| {
        let ground = ground_of(seed, 7);
        set_of(seed, 7, &ground)
    };
    if draw(seed) != draw(seed) {
        return Err("two draws of one seed differ".into());
    }
    if draw(seed) == draw(seed + 1) {
        return Err("two seeds give the same set".into());
    }
    Ok(())
}

fn taken(seed: u64) -> Result<(), Failed> {
    let mut wrong = Vec::new();
    for set in 0..SETS {
        let ground = ground_of(seed, set);
        for policy in network_policies(&set_of(seed, set, &ground)) {
            match policy_from_json(&policy.manifest, "generated") {
                Ok((Policy::Network(read), _)) if same(&read, policy) => {}
                Ok((other, _)) => wrong.push(format!("{}\nis read as {other:?}", policy.manifest)),
                Err(refusal) => wrong.push(format!("{}\nis refused: {refusal}", policy.manifest)),
            }
        }
    }
    refuse(wrong)
}

fn same(one: &NetworkPolicy, other: &NetworkPolicy) -> bool {
    let bare = |policy: &NetworkPolicy| NetworkPolicy { manifest: serde_json::Value::Null, ..policy.clone() };
    bare(one) == bare(other)
}

fn loaded(seed: u64) -> Result<(), Failed> {
    let mut wrong = Vec::new();
    for set in 0..SETS {
        let ground = ground_of(seed, set);
        let world = set_of(seed, set, &ground);
        let expected = meaning(&ground, &world);
        // Every cell is put in dispute, so that every cell is expected something of.
        let all: Vec<Disagreement> = expected
            .iter()
            .map(|(id, flow, verdict)| Disagreement {
                id,
                flow: ground.named(flow),
                oracle: *verdict,
                lab: Verdict::Denied,
            })
            .collect();
        let text = manifest::scenario(&ground, &world, "everything", &all);
        let scenario = match load_str(&text, Strictness::Normal) {
            Ok(scenario) => scenario,
            Err(refusal) => {
                wrong.push(format!("{text}\nis refused: {refusal}"));
                continue;
            }
        };
        let stage = &scenario.stages()[0];
        let predictions = leakproof::oracle::predict(&stage.world, &stage.cells);
        let read: BTreeMap<NamedFlow, Option<Verdict>> = predictions
            .matrix()
            .iter()
            .map(|(_, flow, prediction)| (scenario.named(flow), prediction.meaning.verdict()))
            .collect();
        let meant = all.iter().map(|one| (one.flow.clone(), Some(one.oracle))).collect();
        if read != meant {
            wrong.push(format!("{text}\nhas another meaning"));
        }
    }
    refuse(wrong)
}

/// One mistake, as if the lab made it, on big sets: what is left must fail still, and be small.
fn shrunk(seed: u64) -> Result<(), Failed> {
    let hunt = Hunt::new(seed);
    let mut wrong = Vec::new();
    // Some of them, others with each seed.
    let from = (seed as usize) % STRIDE;
    for mutant in mutants::ALL.iter().skip(from).step_by(STRIDE) {
        let Some(shown) = hunt.show(mutant) else {
            // The mutant's own trial says so.
            continue;
        };
        let case = hunt.case(shown.set);
        let disputed = |world: &leakproof::scenario::world::World| {
            let ground = Ground::of(case.ground.names.clone(), world.clone());
            let mistaken = meaning(&ground, &(mutant.rewrite)(world));
            compare(&ground, &meaning(&ground, world), |id, _| mistaken.get(id).copied())
        };
        let (small, thoroughness) = shrink(&case.world, 5000, |world| !disputed(world).is_empty());
        let (policies, ends) = (small.policies.len(), small.pods.len() + small.outside.len());
        let left = disputed(&small);
        let ground = Ground::of(case.ground.names.clone(), small.clone());
        let text = manifest::scenario(&ground, &small, mutant.name, &left);
        if left.is_empty() {
            wrong.push(format!("{}: the small case fails no more", mutant.name));
        }
        if policies > 2 || ends > 3 || thoroughness != Thoroughness::Complete {
            wrong.push(format!("{}: {policies} policies and {ends} endpoints are left:\n{text}", mutant.name));
        }
        if let Err(refusal) = load_str(&text, Strictness::Normal) {
            wrong.push(format!("{}: the small case is refused: {refusal}\n{text}", mutant.name));
        }
    }
    refuse(wrong)
}

/// Two mutants that rewrite everything alike are one mutant counted twice.
fn distinct(seed: u64) -> Result<(), Failed> {
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    let mut wrong = Vec::new();
    for mutant in mutants::ALL {
        let mut all = String::new();
        for set in 0..SETS {
            let ground = ground_of(seed, set);
            all.push_str(&format!("{:?}", (mutant.rewrite)(&set_of(seed, set, &ground))));
        }
        if let Some(other) = seen.insert(all, mutant.name) {
            wrong.push(format!("`{}` and `{other}`", mutant.name));
        }
    }
    refuse(wrong)
}
