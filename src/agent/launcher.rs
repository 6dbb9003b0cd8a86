//! Launches attempts, sees to it that what becomes of them is recorded, and tries a flow again at once that is not as it is
//! expected to be ([`retry`](super::retry)).

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::time::Duration;

use tokio::task::spawn_local;
use tokio::time::sleep;

use crate::clock;
use crate::model::moment::Moment;
use crate::model::observation::Outcome;
use crate::model::port::Protocol;
use crate::wire::Question;

use super::attempt::{Dial, Patience, Repeats};
use super::ledger::{Kind, Subject, Ticket};
use super::ports::source_port;
use super::retry::{Course, FLOWS_AT_A_TIME, Next, PAUSES};
use super::state::State;

/// This process was late itself when it comes to look so long after it meant to: the answer may be there.
const LATE: Duration = Duration::from_millis(3);

/// A cell, ready to be dialled.
#[derive(Debug)]
pub struct Target {
    /// The cell.
    pub cell: u32,
    /// The least number of its next attempt.
    pub least_number: u32,
    /// Where to.
    pub to: SocketAddr,
    /// Over which protocol.
    pub protocol: Protocol,
    /// The names of all who may answer.
    pub expects: Rc<[String]>,
    /// How it has fared, where it is known what is expected of it.
    pub course: RefCell<Option<Course>>,
}

/// What is told of an attempt under way.
#[derive(Debug, Clone, Copy)]
pub enum News<'a> {
    /// It has no answer yet, and would have if it were like those before.
    Unanswered,
    /// What became of it.
    Outcome(&'a Outcome),
}

/// Makes the attempts on a plan's cells. Whoever drops it ends its retries.
#[derive(Debug)]
pub struct Launcher {
    /// What the agent's parts share.
    pub state: Rc<State>,
    /// The cells, in the plan's order.
    pub targets: Vec<Target>,
    /// How long to wait for outcomes.
    pub patience: Patience,
    /// How many of them are tried rapidly just now.
    pub bursts: Cell<usize>,
}

impl Launcher {
    /// Launches an attempt on the cell at this place; `told` hears what becomes of it.
    pub fn launch(self: &Rc<Self>, place: usize, kind: Kind, told: impl Fn(&Outcome) + 'static) {
        let target = &self.targets[place];
        let number = self.state.take_numbers(target.cell, target.least_number, 1);
        let identity = self.state.identity.borrow().clone();
        let dial = Dial {
            to: target.to,
            protocol: target.protocol,
            question: Question { secret: identity.secret, cell: target.cell, number, hold: None },
            expects: Rc::clone(&target.expects),
            own: identity.own,
            source_port: source_port(self.state.life, target.cell, number),
            repeats: Repeats::Disregarded,
        };
        let suspicion = target.course.borrow().as_ref().and_then(Course::suspicion);
        let (launched, this) = (clock::now(), Rc::downgrade(self));
        let hear = move |news: News<'_>| {
            if let News::Outcome(outcome) = news {
                told(outcome);
            }
            if let Some(launcher) = this.upgrade() {
                launcher.hear(place, launched, news);
            }
        };
        let subject = Subject::Cell { cell: target.cell, number, kind };
        launch(&self.state, subject, dial, self.patience, suspicion, hear);
    }

    fn hear(self: &Rc<Self>, place: usize, launched: Moment, news: News<'_>) {
        let now = clock::now();
        let mut course = self.targets[place].course.borrow_mut();
        let Some(course) = course.as_mut() else { return };
        let next = match news {
            News::Unanswered => course.unanswered(launched, now),
            News::Outcome(outcome) => course.settled(launched, outcome, now),
        };
        if next == Next::TryAgain && self.bursts.get() < FLOWS_AT_A_TIME {
            self.bursts.set(self.bursts.get() + 1);
            course.begin(now);
            spawn_local(try_again(Rc::downgrade(self), place));
        }
    }

    fn is_right_again(&self, place: usize) -> bool {
        self.targets[place].course.borrow().as_ref().is_none_or(Course::is_right_again)
    }

    fn end_burst(&self, place: usize) {
        self.bursts.set(self.bursts.get().saturating_sub(1));
        if let Some(course) = self.targets[place].course.borrow_mut().as_mut() {
            course.end();
        }
    }
}

/// Tries a cell every few milliseconds until it was right several times, or the pauses are over.
async fn try_again(launcher: Weak<Launcher>, place: usize) {
    for pause in PAUSES {
        let Some(launcher) = launcher.upgrade() else { return };
        if launcher.is_right_again(place) {
            break;
        }
        launcher.launch(place, Kind::Retry, |_| {});
        drop(launcher);
        sleep(pause).await;
    }
    if let Some(launcher) = launcher.upgrade() {
        launcher.end_burst(place);
    }
}

/// Launches one attempt and sees to it that what becomes of it is recorded; `told` hears it too, and before, where there is
/// a `suspicion`, that it had no answer for so long after its packet left.
pub fn launch(
    state: &Rc<State>,
    subject: Subject,
    dial: Dial,
    patience: Patience,
    suspicion: Option<Duration>,
    told: impl Fn(News<'_>) + 'static,
) {
    let now = clock::now();
    let ticket: Ticket = state.ledger.borrow_mut().launch(subject, now);
    let launched = dial.launch(now);
    let sent = clock::now();
    // On a busy machine the packet leaves long after the launch was noted: what it tells is of some moment between.
    state.ledger.borrow_mut().left(ticket, sent);
    match launched {
        Err(outcome) => settle(state, ticket, outcome, told),
        Ok(attempt) => {
            let state = Rc::clone(state);
            spawn_local(async move {
                let connected = Cell::new(false);
                let mut watching = pin!(attempt.watch(patience, &connected));
                let mut due = suspicion.map(|after| sent.plus(after));
                let outcome = loop {
                    let Some(when) = due else { break watching.as_mut().await };
                    tokio::select! {
                        biased;
                        outcome = watching.as_mut() => break outcome,
                        () = sleep(when.since(clock::now())) => {
                            let now = clock::now();
                            let late = now.since(when) > LATE;
                            due = late.then(|| now.plus(LATE));
                            // Where the handshake is done, the network has done its part, and the server is slow.
                            if !late && !connected.get() {
                                told(News::Unanswered);
                            }
                        }
                    }
                };
                settle(&state, ticket, outcome, told);
            });
        }
    }
}

fn settle(state: &State, ticket: Ticket, outcome: Outcome, told: impl Fn(News<'_>)) {
    told(News::Outcome(&outcome));
    state.ledger.borrow_mut().settle(ticket, outcome, clock::now());
}
