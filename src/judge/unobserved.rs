//! How long flows went unobserved after convergence, and what that makes of them.

use std::time::Duration;

use crate::model::document::Cell;
use crate::model::finding::Call;
use crate::model::observation::Observation;
use crate::model::verdict::Verdict;
use crate::model::watch::{Gap, Unobserved};

use super::aftermath::Past;
use super::gaps::{self, Kind};
use super::judgement::Judgement;
use super::notes::{Notes, show};
use super::verdicts::Sentence;

impl Sentence<'_> {
    /// Notes the longest time in which a cell was not observed, and says why that is too long, if it is. Within the budget
    /// a cell counts as it did before and after: what was observed to be wrong counts all the same.
    pub(super) fn unobserved(&self, judgement: &mut Judgement, past: &Past<'_>, notes: &mut Notes) -> Vec<String> {
        let (track, tolerance) = (&past.cell.track, &self.judge.tolerance);
        let blink = self.judge.rules.blink();
        // What may be wrong for so long needs no more than that to be observed.
        let excused = match past.cell.right {
            Some(Verdict::Allowed) => tolerance.allows(past.id, Call::Outage),
            Some(Verdict::Denied) => tolerance.allows(past.id, Call::Leak),
            None => Duration::ZERO,
        };
        let longer_than =
            |kind: Kind, most: Duration| track.gaps.longest(kind).filter(|gap: &gaps::Gap| gap.lasted() > most);
        let mut why = Vec::new();
        if let Some(gap) = longer_than(Kind::Unproven, blink.max(excused)) {
            why.push(format!("could not be seen for {}", show(gap.lasted())));
        }
        let Some(gap) = longer_than(Kind::Unobserved, blink) else { return why };
        let micros = |at| self.judge.who.micros(at);
        judgement.unobserved = Some(Gap { from_us: micros(gap.from), until_us: micros(gap.until) });
        let (lasted, budget) = (show(gap.lasted()), tolerance.unobserved);
        if gap.lasted() > blink.max(excused).max(budget) {
            why.push(match budget {
                Duration::ZERO => format!("could not be seen for {lasted}"),
                _ => format!("could not be seen for {lasted}, more than the {} it may be", show(budget)),
            });
        } else if gap.lasted() <= budget {
            notes.add(format!("could not be seen for {lasted}, within the {} it may be", show(budget)));
            let unseen_to_the_end = matches!(judgement.observation, Observation::NotSeen { .. })
                && judgement.row.call == Call::Inconclusive
                && track.stands(self.judge.rules.quorum())
                && !self.is_lost(past.cell);
            if unseen_to_the_end {
                judgement.row.call = Call::Ok;
            }
        }
        why
    }

    fn is_lost(&self, cell: &super::cell::Cell) -> bool {
        [cell.pair.source, cell.pair.destination].into_iter().any(|end| self.judge.ends.lost(end).is_some())
    }
}

fn is_over(cell: &Cell, budget_us: u64) -> bool {
    let longer = cell.unobserved.is_some_and(|gap| gap.until_us.saturating_sub(gap.from_us) > budget_us);
    longer && cell.call == Call::Inconclusive
}

/// What was not observed of a watch, all its flows together; none where every flow was observed throughout.
pub fn unobserved(cells: &[Cell], budget_us: u64) -> Option<Unobserved> {
    let gaps: Vec<Gap> = cells.iter().filter_map(|cell| cell.unobserved).collect();
    let length = |gap: &Gap| gap.until_us.saturating_sub(gap.from_us);
    Some(Unobserved {
        flows: gaps.len() as u64,
        of: cells.len() as u64,
        longest_us: gaps.iter().map(length).max()?,
        from_us: gaps.iter().map(|gap| gap.from_us).min()?,
        until_us: gaps.iter().map(|gap| gap.until_us).max()?,
        over: cells.iter().filter(|cell| is_over(cell, budget_us)).count() as u64,
    })
}
