//! What the parts of one agent share. All of them run on one thread.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::clock;
use crate::model::moment::Moment;
use crate::model::observation::Blindness;

use super::holder::Served;
use super::ledger::Ledger;
use super::pulse::{Blind, Pulse};
use crate::wire::Starved;

/// Records are sent at most this often,
pub const SHORTEST_FLUSH: Duration = Duration::from_millis(10);
/// and at least this often. In between, once an interval of the plan: more often, there is hardly anything to join.
pub const LONGEST_FLUSH: Duration = Duration::from_millis(50);

/// And where turns are so rare that ten reports between two of a cell are more than this apart.
pub const RAREST_FLUSH: Duration = Duration::from_millis(250);

/// Who the agent is: what the last `Serve` said.
#[derive(Debug, Clone)]
pub struct Identity {
    /// What it calls itself.
    pub name: Rc<str>,
    /// The run's secret.
    pub secret: u64,
    /// Its own addresses.
    pub own: Rc<[IpAddr]>,
}

/// The shared state of one agent.
#[derive(Debug)]
pub struct State {
    /// Tells this process's life from another's.
    pub life: u64,
    /// What was seen.
    pub ledger: RefCell<Ledger>,
    /// Who it is.
    pub identity: RefCell<Identity>,
    /// The next attempt number of every cell that was ever planned.
    pub numbers: RefCell<HashMap<u32, u32>>,
    /// How often records are sent.
    pub flush: Cell<Duration>,
    /// How many connections to its listeners are open.
    pub connections: Cell<usize>,
    /// Connections that others hold open to it.
    pub served: RefCell<Served>,
    /// Told when a connection to a listener has closed.
    pub connection_closed: Notify,
    /// Told when the agent shall end.
    pub exit: Notify,
    pulse: RefCell<Pulse>,
}

impl State {
    /// A new life.
    pub fn begin() -> Self {
        let now = clock::now();
        Self {
            life: now.0 ^ (u64::from(std::process::id()) << 40),
            ledger: RefCell::default(),
            identity: RefCell::new(Identity { name: "".into(), secret: 0, own: Rc::new([]) }),
            numbers: RefCell::default(),
            flush: Cell::new(SHORTEST_FLUSH),
            connections: Cell::new(0),
            served: RefCell::default(),
            connection_closed: Notify::new(),
            exit: Notify::new(),
            pulse: RefCell::new(Pulse::new(now)),
        }
    }

    /// The heartbeat's timer fired.
    pub fn beat(&self) {
        let blind = self.pulse.borrow_mut().beat(clock::now());
        self.note(blind);
    }

    /// Says how late the heartbeat may come, in nanoseconds.
    pub fn allow(&self, slack: u64) {
        self.pulse.borrow_mut().allow(slack);
    }

    /// How long to wait for the next beat.
    pub fn beat_in(&self) -> Duration {
        self.pulse.borrow().every()
    }

    /// When the heartbeat came late, by however little.
    pub fn late(&self) -> Vec<(Moment, Moment)> {
        self.pulse.borrow().late().to_vec()
    }

    /// How long it got no processor time so far.
    pub fn starved(&self) -> Starved {
        self.pulse.borrow().starved()
    }

    /// Records blindness that the overdue heartbeat has not yet, and gives the moment up to which that was looked at.
    pub fn look(&self) -> Moment {
        let now = clock::now();
        let blind = self.pulse.borrow_mut().notice(now);
        self.note(blind);
        now
    }

    /// Takes the next attempt number of a cell; the first is `least` or more.
    pub fn take_numbers(&self, cell: u32, least: u32, count: u32) -> u32 {
        let mut numbers = self.numbers.borrow_mut();
        let next = numbers.entry(cell).or_insert(least);
        let first = (*next).max(least);
        *next = first.saturating_add(count);
        first
    }

    fn note(&self, blind: Option<Blind>) {
        if let Some(Blind { from, until }) = blind {
            self.ledger.borrow_mut().blind(from, until, Blindness::Starved);
        }
    }
}
