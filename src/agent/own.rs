//! Dials the agent's own listeners at its own addresses: shows that they answer, though not that the link works.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::clock;
use crate::model::moment::Moment;
use crate::model::observation::{Blindness, Outcome};
use crate::model::port::Protocol;
use crate::wire::{Question, SELF_DIAL};

use super::attempt::{Dial, Patience, Repeats};
use super::launcher::{News, launch};
use super::ledger::Subject;
use super::listeners::Listeners;
use super::ports::source_port;
use super::state::State;

/// Dials every listener once in `every`, until `until`.
pub async fn dial_own(state: Rc<State>, listeners: Rc<Listeners>, every: Duration, patience: Patience, until: Moment) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    while clock::now() < until {
        ticks.tick().await;
        for (protocol, to) in listeners.own() {
            dial_one(&state, to, protocol, patience);
        }
    }
}

fn dial_one(state: &Rc<State>, to: SocketAddr, protocol: Protocol, patience: Patience) {
    let number = state.take_numbers(SELF_DIAL, 0, 1);
    let identity = state.identity.borrow().clone();
    let dial = Dial {
        to,
        protocol,
        question: Question { secret: identity.secret, cell: SELF_DIAL, number, hold: None },
        expects: [(*identity.name).to_owned()].into(),
        own: identity.own,
        source_port: source_port(state.life, SELF_DIAL, number),
        repeats: Repeats::Disregarded,
    };
    let launched = clock::now();
    let told = {
        let state = Rc::clone(state);
        move |news: News<'_>| {
            // Loopback does not lose packets: where it is silent, nothing else could be seen or answered either.
            if matches!(news, News::Outcome(Outcome::Silent | Outcome::HalfOpen)) {
                state.ledger.borrow_mut().blind(launched, clock::now(), Blindness::Loopback);
            }
        }
    };
    launch(state, Subject::Own { to, protocol }, dial, patience, None, told);
}
