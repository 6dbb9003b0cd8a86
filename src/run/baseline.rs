//! The baseline: what is open before any policy of the scenario is there. Without it a denial proves nothing.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::pacing::look;
use super::voyage::{Planned, Turns, Under, Voyage, convergence, interrupted};
use super::{assemble, carry, open};
use crate::clock;
use crate::judge::{self, Baseline, Rules};
use crate::model::endpoint::EndpointId;
use crate::model::flow::{CellSet, FlowId};
use crate::model::matrix::Matrix;
use crate::model::verdict::Intent;
use crate::oracle;
use crate::probe::{Facade, Pace, Work, pace};
use crate::scenario::world::World;
use crate::watch::{self, Ended, Post};

/// The last cell has to be reached within this, or within [`TURNS`] where those take longer.
const WITHIN: Duration = Duration::from_secs(10);
/// So many turns of every cell.
const TURNS: u32 = 6;

impl Voyage<'_> {
    pub(super) async fn baseline(
        &mut self,
        all: &Arc<CellSet>,
        bare: &World,
        load: &carry::Load,
        services: BTreeMap<EndpointId, Facade>,
        under: &mut Under,
    ) -> Result<(), String> {
        let cells = Arc::clone(&load.carried);
        self.draft.begin("baseline", Some(cells.len() as u64));
        let sent = clock::now();
        let turns = self.baseline_turns(&cells);
        let planned = Planned { cells: Arc::clone(&cells), services, turns };
        let start = self.plan(planned, Work::answered(cells.len()), under).await?;
        let acknowledged = clock::now();
        let within = WITHIN.max(under.pace.interval * TURNS);
        let rules = Rules { converge_within: within, ..self.rules(sent, under.pace, self.order.scenario.timing()) };
        let mut judge = Baseline::new(Arc::clone(&cells), rules, under.who.clone());
        let ended = loop {
            let enough = self.told_or_after(look(under.pace.interval));
            let post = Post { sightings: &mut under.sightings, clock: clock::now, listener: self.draft.tell() };
            let ended = watch::prove(&mut judge, post, enough).await;
            if ended != Ended::Stopped || self.stop.pulled() {
                break ended;
            }
            self.refuse_pace(judge.sight(), under)?;
            // That was not enough: agents that take each other's time see more at half the pace.
            let again = match turns {
                Turns::Endless => self.slower(under),
                Turns::One => {
                    // They rest by now. What was seen need not be seen again.
                    let missing: HashSet<FlowId> = judge.broken().into_iter().map(|(id, ..)| id).collect();
                    under.try_only(&missing);
                    let pace = pace(Work::answered(missing.len()), self.deadline(), None);
                    Some(Pace { interval: pace.interval * 2, ..pace })
                }
            };
            if let Some(pace) = again
                && let Err(why) = self.replan(pace, under).await
            {
                // Too busy even to answer: what was reached so far, and is still, counts all the same.
                self.draft.warn(why);
            }
        };
        let swept = clock::now();
        self.draft.end();
        under.proven = open::shown(self.order.scenario, judge.proven());
        under.agents = judge.agents();
        let nobody = Matrix::build(Arc::clone(all), |_, _| Intent::Unstated);
        let open = oracle::predict(bare, all);
        let stage = assemble::Judged {
            name: "baseline",
            changes: Vec::new(),
            sent,
            acknowledged,
            convergence: convergence(ended, clock::now().since(sent), clock::now().since(sent)),
            judgements: load.fill(all, judge.verdicts()),
            intent: &nobody,
            predictions: &open,
            who: &under.who,
        };
        self.draft.add(stage);
        let broken = judge.broken();
        under.never_worked = broken.iter().map(|(id, ..)| *id).collect();
        let words = judge::complaints(&broken, judge.who());
        self.draft.document.warnings.extend(words.into_iter().map(|words| format!("baseline: {words}")));
        let causes = judge::likely_causes(&broken, &under.foreign, judge.who());
        if self.stop.pulled() {
            return Err(interrupted());
        }
        if !cells.is_empty() && broken.len() == cells.len() {
            let which = match self.order.scenario.adopted() {
                None => "not one flow worked before any policy was there",
                Some(_) => "not one flow that the policies allow worked, nor any between the run's own pods",
            };
            let cause = if causes.is_empty() { "the wiring is broken".to_owned() } else { causes.join("; ") };
            return Err(format!("{which}: {cause}; nothing was judged"));
        }
        self.draft.document.warnings.extend(causes.into_iter().map(|cause| format!("baseline: {cause}")));
        if ended == Ended::Reached {
            self.calibrate(swept.since(start), &cells, &mut judge, under).await?;
        }
        Ok(())
    }
}
