//! The fuzz itself: many policy sets in several worlds at once, each read by the oracle and by the lab.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use leakproof::model::verdict::Verdict;
use leakproof::scenario::world::World;
use tokio::task::JoinSet;

use crate::bench::Workshop;
use crate::dice::Dice;
use crate::draw;
use crate::features;
use crate::ground::{Ground, probed};
use crate::manifest;
use crate::reading::{Disagreement, compare, meaning};
use crate::shrink::{Thoroughness, shrink};

/// Policy sets tried in one world before another is drawn.
pub const SETS_PER_GROUND: usize = 32;
/// A failing case is made smaller at most so many times: each is a world of its own.
const SMALLER: usize = 160;
/// So many failing cases are made small and written down; they mostly have one cause.
const SHOWN: usize = 3;

/// The ground on which a set is played.
pub fn ground_of(seed: u64, set: usize) -> Ground {
    Ground::draw(&mut Dice::of(seed, (1 << 32) + (set / SETS_PER_GROUND) as u64))
}

/// A set of a seed.
pub fn set_of(seed: u64, set: usize, ground: &Ground) -> World {
    draw::set(ground, &mut Dice::of(seed, set as u64))
}

/// What the fuzz did.
#[derive(Debug, Default)]
pub struct Tally {
    pub sets: usize,
    pub cells: usize,
    pub denied: usize,
    /// Cells that only the oracle had a word on.
    pub sctp: usize,
    pub repeated: u32,
    pub why_repeated: Option<String>,
    pub failing: Vec<Failing>,
    /// Time in the oracle, and in putting policies in force.
    pub oracle: std::time::Duration,
    pub enacting: std::time::Duration,
    /// For each feature: sets that use it, and those of them that allow something and deny something.
    pub features: BTreeMap<usize, (usize, usize)>,
}

/// A set on which the readings differ.
#[derive(Debug)]
pub struct Failing {
    pub set: usize,
    pub disputed: Vec<Disagreement>,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.sets += other.sets;
        self.cells += other.cells;
        self.denied += other.denied;
        self.sctp += other.sctp;
        self.repeated += other.repeated;
        self.oracle += other.oracle;
        self.enacting += other.enacting;
        self.why_repeated = self.why_repeated.take().or(other.why_repeated);
        self.failing.extend(other.failing);
        for (feature, (sets, both)) in other.features {
            let sum = self.features.entry(feature).or_default();
            sum.0 += sets;
            sum.1 += both;
        }
    }
}

/// Tries `sets` policy sets, a handful of grounds at a time.
pub async fn run(workshop: &Workshop, seed: u64, sets: usize, at_once: usize) -> Result<Tally, String> {
    let mut places = (0..sets.div_ceil(SETS_PER_GROUND)).map(|place| place * SETS_PER_GROUND);
    let mut worlds = JoinSet::new();
    let mut tally = Tally::default();
    loop {
        while worlds.len() < at_once
            && let Some(first) = places.next()
        {
            let workshop = workshop.clone();
            let last = sets.min(first + SETS_PER_GROUND);
            worlds.spawn(async move { one_world(&workshop, seed, first..last).await });
        }
        match worlds.join_next().await {
            Some(done) => tally.add(done.map_err(|error| error.to_string())??),
            None => return Ok(tally),
        }
    }
}

async fn one_world(workshop: &Workshop, seed: u64, sets: std::ops::Range<usize>) -> Result<Tally, String> {
    let ground = Arc::new(ground_of(seed, sets.start));
    let mut bench = workshop.raise(&ground).await?;
    let mut tally = Tally::default();
    for set in sets {
        let world = set_of(seed, set, &ground);
        let begun = std::time::Instant::now();
        let expected = meaning(&ground, &world);
        tally.oracle += begun.elapsed();
        let reading = bench.read(&world).await.map_err(|error| format!("set {set}: {error}"))?;
        let disputed = compare(&ground, &expected, |id, _| reading.verdicts.get(&id).copied());
        tally.sets += 1;
        tally.cells += reading.verdicts.len();
        tally.repeated += reading.repeated;
        tally.enacting += reading.enacting;
        tally.why_repeated = tally.why_repeated.take().or(reading.why);
        let verdicts = || expected.iter().filter(|(_, flow, _)| probed(flow)).map(|(_, _, verdict)| *verdict);
        let denied = verdicts().filter(|verdict| *verdict == Verdict::Denied).count();
        let both = denied > 0 && verdicts().any(|verdict| verdict == Verdict::Allowed);
        tally.denied += denied;
        tally.sctp += expected.iter().filter(|(_, flow, _)| !probed(flow)).count();
        for feature in features::of(&world) {
            let sum = tally.features.entry(feature).or_default();
            sum.0 += 1;
            sum.1 += usize::from(both);
        }
        if !disputed.is_empty() {
            tally.failing.push(Failing { set, disputed });
        }
    }
    bench.end().await?;
    Ok(tally)
}

/// Makes failing cases small, writes them down as scenario files, and tells of them.
pub fn tell(workshop: &Workshop, runtime: &tokio::runtime::Handle, seed: u64, failing: &[Failing]) -> String {
    let mut text = String::new();
    for case in failing.iter().take(SHOWN) {
        let ground = ground_of(seed, case.set);
        let world = set_of(seed, case.set, &ground);
        let dispute = |smaller: &World| -> Vec<Disagreement> {
            let ground = Ground::of(ground.names.clone(), smaller.clone());
            // A world that cannot be read tells nothing, so it does not fail.
            runtime.block_on(afresh(workshop, &ground)).unwrap_or_default()
        };
        let (found, how) = match dispute(&world) {
            disputed if disputed.is_empty() => {
                (world, "agrees in a world of its own: what came before it in its world matters".to_owned())
            }
            _ => match shrink(&world, SMALLER, |smaller| !dispute(smaller).is_empty()) {
                (small, Thoroughness::Complete) => (small, "nothing more can be left out".to_owned()),
                (small, Thoroughness::CutShort) => (small, "more could perhaps be left out".to_owned()),
            },
        };
        let disputed = match dispute(&found) {
            none if none.is_empty() => case.disputed.clone(),
            some => some,
        };
        let about = format!("Oracle and lab disagree: seed {seed}, set {}; {how}", case.set);
        let scenario = manifest::scenario(&ground, &found, &about, &disputed);
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("agreement-{seed}-{}.yaml", case.set));
        let written = match std::fs::write(&path, &scenario) {
            Ok(()) => format!("written to {}", path.display()),
            Err(error) => format!("not written to {}: {error}", path.display()),
        };
        text.push_str(&format!("\nset {} ({how}; {written}):\n{scenario}", case.set));
    }
    text
}

async fn afresh(workshop: &Workshop, ground: &Ground) -> Result<Vec<Disagreement>, String> {
    let expected = meaning(ground, &ground.world);
    let bare = Ground { world: World { policies: Vec::new(), ..ground.world.clone() }, ..ground.clone() };
    let mut bench = workshop.raise(&bare).await?;
    let reading = bench.read(&ground.world).await;
    bench.end().await?;
    let verdicts = reading?.verdicts;
    Ok(compare(ground, &expected, |id, _| verdicts.get(&id).copied()))
}
