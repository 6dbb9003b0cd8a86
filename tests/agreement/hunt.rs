//! Finding the mutants: each is first looked for where it makes the oracle change its mind, and then shown to the lab,
//! which must disagree with the oracle exactly there.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};

use leakproof::model::matrix::Matrix;
use leakproof::model::verdict::Verdict;
use leakproof::scenario::world::World;

use crate::bench::{Bench, Workshop};
use crate::fuzz::{SETS_PER_GROUND, ground_of, set_of};
use crate::ground::Ground;
use crate::mutants::{self, Mutant};
use crate::reading::{Disagreement, compare, meaning};

/// A mutant that so many sets do not show is not found.
pub const MOST: usize = 1024;

/// A set with the oracle's reading of it.
pub struct Case {
    pub ground: Arc<Ground>,
    pub world: World,
    pub meaning: Matrix<Verdict>,
}

/// The hunt for all mutants of one seed.
pub struct Hunt {
    seed: u64,
    /// Made when first looked at; mutants share them.
    cases: Vec<OnceLock<Case>>,
    grounds: Vec<OnceLock<Arc<Ground>>>,
    /// Worlds of the lab that nobody uses just now, by ground.
    idle: Mutex<Vec<(usize, Bench)>>,
    found: Mutex<BTreeMap<usize, String>>,
}

/// Where a mutant shows.
pub struct Shown {
    pub set: usize,
    pub mutated: World,
    pub cells: Vec<Disagreement>,
}

impl Hunt {
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            cases: (0..MOST).map(|_| OnceLock::new()).collect(),
            grounds: (0..MOST.div_ceil(SETS_PER_GROUND)).map(|_| OnceLock::new()).collect(),
            idle: Mutex::default(),
            found: Mutex::default(),
        }
    }

    /// A set.
    pub fn case(&self, set: usize) -> &Case {
        self.cases[set].get_or_init(|| {
            let ground = self.grounds[set / SETS_PER_GROUND].get_or_init(|| Arc::new(ground_of(self.seed, set)));
            let world = set_of(self.seed, set, ground);
            Case { ground: Arc::clone(ground), meaning: meaning(ground, &world), world }
        })
    }

    /// The first set in which the oracle says something else of the mutated policies.
    pub fn show(&self, mutant: &Mutant) -> Option<Shown> {
        (0..MOST).find_map(|set| {
            let case = self.case(set);
            let mutated = (mutant.rewrite)(&case.world);
            if mutated == case.world {
                return None;
            }
            let wrong = meaning(&case.ground, &mutated);
            let cells = compare(&case.ground, &case.meaning, |id, _| wrong.get(id).copied());
            (!cells.is_empty()).then_some(Shown { set, mutated, cells })
        })
    }

    /// Has the lab make a mutant's mistake, and sees that the comparison tells.
    pub async fn catch(&self, workshop: &Workshop, place: usize) -> Result<(), String> {
        let mutant = &mutants::ALL[place];
        let shown = self.show(mutant).ok_or_else(|| format!("{MOST} sets do not show it"))?;
        let case = self.case(shown.set);
        let home = shown.set / SETS_PER_GROUND;
        let mut bench = match self.take(home) {
            Some(bench) => bench,
            None => workshop.raise(&case.ground).await?,
        };
        let reading = bench.read(&shown.mutated).await?;
        self.idle.lock().map_err(|_| "another trial panicked")?.push((home, bench));
        let found = compare(&case.ground, &case.meaning, |id, _| reading.verdicts.get(&id).copied());
        if found.is_empty() {
            return Err(format!("the lab makes the mistake in set {}, and nobody notices", shown.set));
        }
        if found != shown.cells {
            let list = |cells: &[Disagreement]| cells.iter().map(|cell| format!("\n    {cell}")).collect::<String>();
            return Err(format!(
                "in set {} the lab should be wrong on{}\n  but is wrong on{}",
                shown.set,
                list(&shown.cells),
                list(&found)
            ));
        }
        let line = format!("{:>5} sets, {:>4} cells: {}", shown.set + 1, found.len(), mutant.name);
        self.found.lock().map_err(|_| "another trial panicked")?.insert(place, line);
        Ok(())
    }

    fn take(&self, home: usize) -> Option<Bench> {
        let mut idle = self.idle.lock().ok()?;
        let place = idle.iter().position(|(other, _)| *other == home)?;
        Some(idle.swap_remove(place).1)
    }

    /// What it took to find each mutant.
    pub fn told(&self) -> Vec<String> {
        let Ok(found) = self.found.lock() else { return Vec::new() };
        if found.is_empty() {
            return Vec::new();
        }
        let mut lines = vec![format!("{} of {} mutants found, after", found.len(), mutants::ALL.len())];
        lines.extend(found.values().cloned());
        lines
    }

    /// Removes all worlds.
    pub async fn end(&self) -> Result<(), String> {
        let idle = std::mem::take(&mut *self.idle.lock().map_err(|_| "a trial panicked")?);
        for (_, bench) in idle {
            bench.end().await?;
        }
        Ok(())
    }
}
