//! Streams from the harness: one is active, and a new one that shows the token takes its place.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::sleep;

use crate::wire::{FromAgent, Lane, Plan};

use super::arguments::ControlAddress;
use super::dialer::{Carried, Unplannable, carry_out};
use super::holder::Holder;
use super::listeners::Listeners;
use super::own::dial_own;
use super::session;
use super::state::State;

/// The most streams that may be open before they have shown the token.
const MAX_STRANGERS: usize = 16;

/// Where streams come from.
#[derive(Debug)]
pub enum Control {
    /// A unix socket.
    Unix(UnixListener),
    /// A TCP socket.
    Tcp(TcpListener),
}

/// What all streams command together.
#[derive(Debug)]
pub struct Desk {
    /// The agent's state.
    pub state: Rc<State>,
    /// Its listeners.
    pub listeners: Rc<Listeners>,
    /// What the harness must show.
    pub token: String,
    /// How many streams have not shown it yet.
    pub strangers: Cell<usize>,
    active: RefCell<Rc<Notify>>,
    plans: RefCell<BTreeMap<Lane, Carried>>,
    /// One lane's plan has the agent dial itself: the first that there is.
    own: RefCell<Option<(Lane, OwnDials)>>,
    /// Connections that are held open.
    pub holder: Holder,
}

/// The task that dials the agent itself; dropping it ends it.
#[derive(Debug)]
struct OwnDials(JoinHandle<()>);

impl Drop for OwnDials {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Control {
    /// Opens the socket.
    ///
    /// # Errors
    /// As the kernel has them.
    pub fn open(address: &ControlAddress) -> io::Result<Self> {
        match address {
            ControlAddress::Unix(path) => {
                let listener = UnixListener::bind(path)?;
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
                Ok(Self::Unix(listener))
            }
            ControlAddress::Tcp(address) => {
                let listener = std::net::TcpListener::bind(address)?;
                listener.set_nonblocking(true)?;
                TcpListener::from_std(listener).map(Self::Tcp)
            }
        }
    }

    /// Takes streams, for ever.
    pub async fn take_streams(&self, state: &Rc<State>, token: &str) {
        let desk = Rc::new(Desk::new(Rc::clone(state), token.to_owned()));
        loop {
            if let Err(_passing) = self.take_stream(&desk).await {
                // No descriptors, or the stream was gone again: the harness will come back.
                sleep(Duration::from_millis(20)).await;
            }
        }
    }

    async fn take_stream(&self, desk: &Rc<Desk>) -> io::Result<()> {
        match self {
            Self::Unix(listener) => attend(desk, listener.accept().await?.0),
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                attend(desk, stream);
            }
        }
        Ok(())
    }
}

fn attend(desk: &Rc<Desk>, stream: impl AsyncRead + AsyncWrite + Unpin + 'static) {
    if desk.strangers.get() >= MAX_STRANGERS {
        return;
    }
    desk.strangers.set(desk.strangers.get() + 1);
    let desk = Rc::clone(desk);
    spawn_local(async move { session::attend(&desk, stream).await });
}

impl Desk {
    /// A desk nobody has come to yet.
    pub fn new(state: Rc<State>, token: String) -> Self {
        Self {
            listeners: Rc::new(Listeners::new(Rc::clone(&state))),
            holder: Holder::new(Rc::clone(&state)),
            state,
            token,
            strangers: Cell::new(0),
            active: RefCell::default(),
            plans: RefCell::default(),
            own: RefCell::new(None),
        }
    }

    /// Makes the caller's stream the active one and ends the one before. What is given is told when it is the caller's
    /// turn to end.
    pub fn take_over(&self) -> Rc<Notify> {
        let superseded = Rc::new(Notify::new());
        self.active.replace(Rc::clone(&superseded)).notify_one();
        superseded
    }

    /// Begins a plan, unless it is the current one, and gives the answer.
    ///
    /// # Errors
    /// When the plan is out of bounds; the one before goes on then.
    pub fn plan(&self, plan: Plan) -> Result<FromAgent, Unplannable> {
        let lane = plan.lane;
        if let Some(current) = self.plans.borrow().get(&lane).filter(|current| current.id == plan.id) {
            return Ok(FromAgent::Planned { id: current.id, start: current.start });
        }
        // What was due under the old plan is passed over once the new one is known to be good.
        let carried = carry_out(&self.state, plan)?;
        let answer = FromAgent::Planned { id: carried.id, start: carried.start };
        let mut own = self.own.borrow_mut();
        if own.as_ref().is_none_or(|(other, _)| *other == lane || lane == Lane::Main) {
            let (state, listeners) = (Rc::clone(&self.state), Rc::clone(&self.listeners));
            let dials = dial_own(state, listeners, carried.self_dial, carried.patience, carried.until);
            *own = Some((lane, OwnDials(spawn_local(dials))));
        }
        self.plans.borrow_mut().insert(lane, carried);
        Ok(answer)
    }

    /// Makes no more attempts.
    pub fn halt(&self) {
        *self.own.borrow_mut() = None;
        for lane in std::mem::take(&mut *self.plans.borrow_mut()).into_keys() {
            self.state.ledger.borrow_mut().await_turn(lane, None);
        }
    }
}
