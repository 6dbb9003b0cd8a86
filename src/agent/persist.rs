//! Long attempts: single connection attempts that wait while the kernel repeats their first packet, at about 1 s and
//! 3 s. What drops one packet may let the next through; short attempts, each with a packet of its own, never see that.
//!
//! They stand in no queue and have no numbers, so that nothing waits for them.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::task::spawn_local;
use tokio::time::sleep;

use crate::clock;
use crate::model::moment::Moment;
use crate::model::port::Protocol;
use crate::wire::{Question, SELF_DIAL};

use super::attempt::{Dial, Patience, Repeats};
use super::ports::{RANGE, source_port};
use super::state::State;

/// A cell that long attempts are made on.
#[derive(Debug, Clone)]
pub struct Persevering {
    /// The cell.
    pub cell: u32,
    /// Where to.
    pub to: SocketAddr,
    /// The names of all who may answer.
    pub expects: Rc<[String]>,
}

/// Makes a long attempt on each cell once in `every`, evenly spread, until `until`.
pub async fn persist(state: Rc<State>, cells: Vec<Persevering>, every: Duration, patience: Patience, until: Moment) {
    let Ok(count) = u32::try_from(cells.len()) else { return };
    let step = every / count.max(1);
    let mut due = clock::now();
    for target in cells.iter().cycle() {
        let now = clock::now();
        if now >= until {
            return;
        }
        sleep(due.since(now)).await;
        attempt(&state, target, patience);
        // After a stop those that were due are left out: they are no more than a sample.
        due = due.plus(step).max(clock::now());
    }
}

fn attempt(state: &Rc<State>, target: &Persevering, patience: Patience) {
    let number = state.take_numbers(SELF_DIAL, 0, 1);
    let identity = state.identity.borrow().clone();
    let launched = clock::now();
    // Half the range away from the cell's short attempts: they come there only when this is long over.
    let short = state.numbers.borrow().get(&target.cell).copied().unwrap_or_default();
    let dial = Dial {
        to: target.to,
        protocol: Protocol::Tcp,
        question: Question { secret: identity.secret, cell: SELF_DIAL, number, hold: None },
        expects: Rc::clone(&target.expects),
        own: identity.own,
        source_port: source_port(state.life, target.cell, short.wrapping_add(RANGE / 2)),
        repeats: Repeats::Counted,
    };
    let (state, cell) = (Rc::clone(state), target.cell);
    match dial.launch(launched) {
        Err(outcome) => state.ledger.borrow_mut().persist(cell, launched, launched, outcome),
        Ok(attempt) => {
            spawn_local(async move {
                let outcome = attempt.watch(patience, &Cell::new(false)).await;
                state.ledger.borrow_mut().persist(cell, launched, clock::now(), outcome);
            });
        }
    }
}
