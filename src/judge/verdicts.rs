//! The verdict on every cell, at the end of a stage.

use std::time::Duration;

use crate::model::document::Strictness;
use crate::model::endpoint::EndpointId;
use crate::model::finding::{Call, DropsAt, Window};
use crate::model::flow::{Flow, FlowId};
use crate::model::matrix::Matrix;
use crate::model::moment::Moment;
use crate::model::observation::{Observation, Witness};
use crate::model::verdict::{DenyForm, Intent, Meaning, Verdict};
use crate::model::watch::Standing;

use super::aftermath::Past;
use super::cell::Cell;
use super::judgement::{Ending, Judgement};
use super::ledger::{Pair, Tide};
use super::notes::{Notes, list, words};
use super::span::Unseen;
use super::table::{Sight, call};
use super::tally::{Look, Tally};
use super::track::Spell;
use super::witness::Witnesses;
use super::{Counted, Judge};

impl Judge {
    /// How the stage ends if it ends at `now`.
    pub fn ending(&self, now: Moment) -> Ending {
        if self.converged.is_some() {
            Ending::Converged
        } else if now >= self.rules.sent.plus(self.rules.converge_within) {
            Ending::TimedOut
        } else {
            Ending::Interrupted
        }
    }

    /// The verdict on every cell, if the stage ends at `now`. What is not confirmed by now is taken as never to be.
    pub fn verdicts(&self, now: Moment) -> Matrix<Judgement> {
        let quorum = self.rules.quorum();
        let look = self.final_look(now);
        let cells: Vec<Cell> = self
            .cells
            .iter()
            .map(|cell| {
                let mut cell = cell.clone();
                cell.settle(&self.ends, &self.rules, Tide::Out);
                cell
            })
            .collect();
        let tallies: Vec<Tally> =
            cells.iter().map(|cell| Tally::of(&cell.settled, self.look_at(cell, look), quorum)).collect();
        let witnesses = self.witnesses(&tallies);
        let sentence = Sentence { judge: self, witnesses, look, ending: self.ending(now) };
        let mut places = cells.iter().zip(&tallies);
        Matrix::build(self.set.clone(), |id, flow| match places.next() {
            Some((cell, tally)) => sentence.pass(id, flow, cell, tally),
            // As many cells as the set has were made from it.
            None => sentence.pass(
                id,
                flow,
                &Cell::new(Pair { source: flow.source, destination: flow.destination }, None, self.rules.sent),
                &Tally::default(),
            ),
        })
    }

    /// What is looked at for one cell. A stage that has converged did not wait for a cell whose agent is lost: what was last
    /// seen of it before the window says how long enforcement took, and nothing of the end.
    fn look_at(&self, cell: &Cell, look: Look) -> Look {
        match (cell.counted, self.converged) {
            (Counted::Lost, Some(_)) => Look { floor: look.from, ..look },
            (Counted::Lost | Counted::Right | Counted::Waiting | Counted::Unjudged | Counted::Unsupported, _) => look,
        }
    }

    /// The final window: the last for which everybody who still tells anything has told all.
    fn final_look(&self, now: Moment) -> Look {
        let patience = self.rules.lookback().saturating_add(self.rules.deadline);
        let current = |id: &&EndpointId| self.ends.lost(**id).is_none() && self.ends.heard(**id).plus(patience) >= now;
        let told = self.taking_part.iter().filter(current).map(|id| self.ends.complete(*id)).min();
        let until = told.unwrap_or(now).minus(self.rules.deadline);
        let from = until.minus(self.rules.window).max(self.rules.sent);
        let floor = until.minus(self.rules.lookback()).max(self.rules.sent);
        Look { floor, from, until: until.max(from) }
    }
}

/// A packet that is lost is dropped within this after its attempt was launched, on a machine that is not starved.
const ON_THE_WAY: Duration = Duration::from_millis(50);

/// What every cell of a stage is judged with.
pub(super) struct Sentence<'a> {
    pub(super) judge: &'a Judge,
    witnesses: Witnesses,
    look: Look,
    pub(super) ending: Ending,
}

impl Sentence<'_> {
    fn pass(&self, id: FlowId, flow: &Flow, cell: &Cell, tally: &Tally) -> Judgement {
        let judge = self.judge;
        let rules = &judge.rules;
        let intent = judge.intent.get(id).copied().unwrap_or(Intent::Unstated);
        let meaning = judge.meaning.get(id).copied().unwrap_or(Meaning::Unknown);
        let mut notes = Notes::default();

        let (observation, mut sight) = tally.observe(rules.quorum(), |tally| self.why_unseen(flow, tally));
        let mut witness = None;
        if sight == Sight::Denied {
            witness = self.witnesses.speak(id, flow, tally.form(), judge.court(self.look));
            sight = self.weigh_witness(flow, witness.as_ref(), &mut notes);
        }
        let verdict = match sight {
            Sight::Allowed => Some(Verdict::Allowed),
            Sight::Denied => Some(Verdict::Denied),
            Sight::Mixed | Sight::Partial | Sight::SomeoneElse | Sight::Unseen | Sight::Unsupported => None,
        };
        let mut row = call(intent, meaning, sight);
        if row.call == Call::Ok && verdict == Some(Verdict::Denied) && wrong_form(&observation, rules.deny) {
            row.call = Call::Inconclusive;
            notes.add(match rules.deny {
                DenyForm::Drop => "denied by rejection, where the scenario wants a drop",
                DenyForm::Reject => "denied by silence, where the scenario wants a rejection",
                DenyForm::Either => "denied",
            });
        }
        if row.call == Call::Ok
            && let Some(name) = self.lost_too_soon(flow, verdict)
        {
            row.call = Call::Inconclusive;
            notes.add(format!("the agent of {name} was lost before the end of the final window"));
        }
        notes.observed(&observation, tally, verdict);

        let (spells, doubtful) = cell.spells().into_iter().partition(|spell| self.proven(flow, spell));
        let past = Past { id, intent, meaning, cell, spells, doubtful };
        let mut judgement = Judgement {
            observation,
            verdict,
            row,
            standing: Standing::Counted,
            witness,
            time_to_enforce: if judge.converged.is_some() { cell.enforced } else { cell.enforcement(rules) },
            slowest: tally.slowest,
            attempts: cell.track.attempts,
            unseen: cell.track.unseen,
            unobserved: None,
            windows: past.spells.iter().map(|spell| self.window(flow, spell, self.standing(&past, spell))).collect(),
            passing: None,
            note: None,
        };
        self.hold_against(&mut judgement, &past, sight, &mut notes);
        if judge.tolerance.knows(id, judgement.row.call) {
            judgement.standing = Standing::Known;
            notes.add(format!("known {}", judgement.row.call));
        }
        judgement.note = notes.text();
        judgement
    }

    /// The end whose loss leaves part of the final window dark. A lost destination that is still reached is seen.
    fn lost_too_soon(&self, flow: &Flow, verdict: Option<Verdict>) -> Option<&str> {
        let needed = match verdict {
            Some(Verdict::Allowed) => [Some(flow.source), None],
            Some(Verdict::Denied) | None => [Some(flow.source), Some(flow.destination)],
        };
        let lost = |id: &EndpointId| self.judge.ends.lost(*id).is_some_and(|lost| lost.since < self.look.until);
        needed.into_iter().flatten().find(lost).map(|id| self.judge.who.name(id))
    }

    /// What the witness makes of a denial.
    fn weigh_witness(&self, flow: &Flow, witness: Option<&Witness>, notes: &mut Notes) -> Sight {
        let who = &self.judge.who;
        match (witness, self.judge.rules.strictness) {
            (Some(Witness::Strong { .. } | Witness::Indirect { .. }), _) => Sight::Denied,
            (Some(Witness::Weak { cut_off }), Strictness::Normal) => {
                notes.add(format!("weak witness: {} cut off both ways", list(cut_off)));
                Sight::Denied
            }
            (Some(Witness::Weak { cut_off }), Strictness::Strict) => {
                notes.add(format!("weak witness, refused by --strict: {} cut off both ways", list(cut_off)));
                Sight::Unseen
            }
            (None, _) => {
                notes.add(format!(
                    "no witness: nothing in this window shows that the listener of {} at {} was alive and {} could send",
                    who.name(flow.destination),
                    flow.port,
                    who.name(flow.source)
                ));
                Sight::Unseen
            }
        }
    }

    /// Whether a window was the network's doing as far as can be told: refusals alone may be a dead listener's, and no way
    /// there a dead pod's, unless the listener is shown to have lived through them.
    fn proven(&self, flow: &Flow, spell: &Spell) -> bool {
        let listener = (flow.destination, flow.family, flow.port);
        let (from, until) = (spell.first_wrong, spell.last_wrong);
        // Of one that is not over, the listener cannot have told of its end yet.
        let told = match spell.right_after {
            Some(_) => until,
            None => until.minus(self.judge.rules.blink()).max(from),
        };
        let ends = &self.judge.ends;
        spell.turned_away < spell.attempts
            || (ends.lived_through(listener, from, told) && !ends.failed_itself(listener, from, until))
    }

    fn window(&self, flow: &Flow, spell: &Spell, standing: Standing) -> Window {
        let micros = |at: Moment| self.judge.who.micros(at);
        Window {
            call: spell.call,
            right_before_us: spell.right_before.map(micros),
            first_wrong_us: micros(spell.first_wrong),
            first_wrong_by_us: Some(micros(spell.first_wrong_by)),
            last_wrong_us: micros(spell.last_wrong),
            right_after_us: spell.right_after.map(micros),
            attempts: spell.attempts,
            persistent: spell.persistent,
            standing,
            before_convergence: !self.is_after(spell),
            first_wrong_at: None,
            beside: Vec::new(),
            drops: self.drops(flow, spell),
        }
    }

    /// What the kernels at both ends counted as dropped while attempts stayed without an answer. What was turned away with
    /// one, or got through, was not dropped.
    fn drops(&self, flow: &Flow, spell: &Spell) -> Vec<DropsAt> {
        if spell.call != Call::Outage || spell.turned_away >= spell.attempts {
            return Vec::new();
        }
        let (from, until) = (spell.first_wrong, spell.last_wrong.plus(ON_THE_WAY));
        let counted = |end: EndpointId| {
            let counted = self.judge.drop_counts.between(end, from, until)?;
            Some(DropsAt { end: self.judge.who.name(end).to_owned(), node: None, counted })
        };
        [flow.source, flow.destination].into_iter().filter_map(counted).collect()
    }

    fn why_unseen(&self, flow: &Flow, tally: &Tally) -> String {
        let judge = self.judge;
        let name = |id: EndpointId| judge.who.name(id);
        for id in [flow.source, flow.destination] {
            if let Some(lost) = judge.ends.lost(id) {
                return format!("the agent of {} was lost: {}", name(id), lost.why);
            }
        }
        let reason = match &tally.why {
            None if tally.silent > 0 => None,
            None => return "no attempt in the final window is on record".into(),
            Some(Unseen::Gap) => Some("records are missing".to_owned()),
            Some(Unseen::Blind(id, why)) => Some(format!("{} could not see: {why}", name(*id))),
            Some(Unseen::Lost(id)) => Some(format!("the agent of {} was lost", name(*id))),
            Some(Unseen::Untold(id)) => Some(format!("{} has not told of this time", name(*id))),
            Some(Unseen::Failed(failure)) => Some(format!("{} could not try: {}", name(flow.source), words(failure))),
        };
        match (tally.silent, reason) {
            (0, Some(reason)) => reason,
            (silent, reason) => {
                let quorum = judge.rules.quorum();
                let because = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
                format!("only {silent} of the {quorum} silent attempts that a denial takes could be counted{because}")
            }
        }
    }
}

fn wrong_form(observation: &Observation, deny: DenyForm) -> bool {
    match deny {
        DenyForm::Either => false,
        DenyForm::Drop => matches!(observation, Observation::Refused { .. }),
        DenyForm::Reject => matches!(observation, Observation::Silent { .. }),
    }
}
