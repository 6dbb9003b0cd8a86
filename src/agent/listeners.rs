//! The ports an agent listens on, and keeps listening on whatever happens.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::{JoinHandle, spawn_local};

use crate::model::port::{Port, Protocol};
use crate::wire::{Answer, MAX_EXCHANGE, Question, Serve};

use super::answer::{answer_datagrams, answer_streams};
use super::attempt::line;
use super::classify::is_unsupported;
use super::state::{Identity, State};

/// How many handshakes the kernel may hold ready: a whole burst of a large matrix.
const BACKLOG: i32 = 1024;

/// The listeners that are open.
#[derive(Debug)]
pub struct Listeners {
    state: Rc<State>,
    open: RefCell<BTreeMap<(Protocol, SocketAddr), JoinHandle<()>>>,
}

/// Why a `Serve` is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unservable {
    /// Answers with this name would be longer than an exchange may be.
    #[error("the name is too long to be answered with")]
    Name,
    /// More sockets than an agent opens.
    #[error("{0} ports and addresses are more than {MAX_LISTENERS}")]
    Listeners(usize),
}

/// The most listeners an agent opens.
const MAX_LISTENERS: usize = 4096;

/// What became of a `Serve`.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Served {
    /// What could not be bound, and the error.
    pub failed: Vec<(Port, String)>,
    /// What the kernel, or this agent, lacks.
    pub lacks: BTreeSet<String>,
}

impl Listeners {
    /// None open yet.
    pub fn new(state: Rc<State>) -> Self {
        Self { state, open: RefCell::default() }
    }

    /// Becomes what `serve` says: opens what is missing, closes what is not named, touches nothing else.
    ///
    /// # Errors
    /// When it is out of bounds; nothing has changed then.
    pub async fn serve(&self, serve: Serve) -> Result<Served, Unservable> {
        check(&serve)?;
        *self.state.identity.borrow_mut() =
            Identity { name: serve.name.as_str().into(), secret: serve.secret, own: serve.addresses.as_slice().into() };
        let mut served = Served::default();
        let wanted = wanted(&serve, &mut served);
        self.close_others(&wanted.keys().copied().collect()).await;
        for ((protocol, at), port) in wanted {
            if self.open.borrow().contains_key(&(protocol, at)) {
                continue;
            }
            match open(&self.state, protocol, at) {
                Ok(task) => {
                    self.open.borrow_mut().insert((protocol, at), task);
                }
                Err(error) if at.is_ipv6() && is_unsupported(&error) => {
                    served.lacks.insert("ipv6".to_owned());
                    // Not asked for by name: the other family's unspecified address serves.
                    if !serve.addresses.is_empty() {
                        served.failed.push((port, format!("listen on {at}: {error}")));
                    }
                }
                Err(error) => served.failed.push((port, format!("listen on {at}: {error}"))),
            }
        }
        Ok(served)
    }

    /// What is listened on at addresses that can be dialled.
    pub fn own(&self) -> Vec<(Protocol, SocketAddr)> {
        let open = self.open.borrow();
        open.keys().filter(|(_, at)| !at.ip().is_unspecified()).copied().collect()
    }

    async fn close_others(&self, wanted: &BTreeSet<(Protocol, SocketAddr)>) {
        let closed = {
            let mut open = self.open.borrow_mut();
            let all = std::mem::take(&mut *open);
            let (kept, closed): (BTreeMap<_, _>, BTreeMap<_, _>) =
                all.into_iter().partition(|(key, _)| wanted.contains(key));
            *open = kept;
            closed
        };
        closed.values().for_each(JoinHandle::abort);
        for task in closed.into_values() {
            // Ends as aborted; once it has, the socket is closed.
            let _aborted = task.await;
        }
    }
}

fn check(serve: &Serve) -> Result<(), Unservable> {
    let count = serve.ports.len().saturating_mul(serve.addresses.len().max(2));
    if count > MAX_LISTENERS {
        return Err(Unservable::Listeners(count));
    }
    let nonce = Question { secret: u64::MAX, cell: u32::MAX, number: u32::MAX, hold: Some(u32::MAX) };
    let longest = Answer { name: serve.name.clone(), nonce, seen: IpAddr::V6(Ipv6Addr::from(u128::MAX)) };
    if line(&longest).len() > MAX_EXCHANGE { Err(Unservable::Name) } else { Ok(()) }
}

/// What to listen on, and for the sake of which port.
fn wanted(serve: &Serve, served: &mut Served) -> BTreeMap<(Protocol, SocketAddr), Port> {
    let unspecified = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
    let addresses = if serve.addresses.is_empty() { unspecified.as_slice() } else { &serve.addresses };
    let mut wanted = BTreeMap::new();
    for port in &serve.ports {
        match port.protocol {
            Protocol::Tcp | Protocol::Udp => {
                for address in addresses {
                    wanted.insert((port.protocol, SocketAddr::new(*address, port.number.get())), *port);
                }
            }
            Protocol::Sctp => {
                served.lacks.insert("sctp".to_owned());
                served.failed.push((*port, "sctp cannot be probed".to_owned()));
            }
        }
    }
    wanted
}

fn open(state: &Rc<State>, protocol: Protocol, at: SocketAddr) -> io::Result<JoinHandle<()>> {
    let kind = match protocol {
        Protocol::Tcp => Type::STREAM,
        Protocol::Udp | Protocol::Sctp => Type::DGRAM,
    };
    let socket = Socket::new(Domain::for_address(at), kind.nonblocking(), None)?;
    if at.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    let state = Rc::clone(state);
    match protocol {
        Protocol::Tcp => {
            socket.set_reuse_address(true)?;
            // Accepted connections inherit it: closing resets.
            socket.set_linger(Some(Duration::ZERO))?;
            socket.bind(&at.into())?;
            socket.listen(BACKLOG)?;
            let listener = TcpListener::from_std(socket.into())?;
            Ok(spawn_local(async move { answer_streams(state, listener).await }))
        }
        Protocol::Udp | Protocol::Sctp => {
            // Datagrams that come while others run must not be dropped: the kernel gives up to its own bound.
            socket.set_recv_buffer_size(1 << 20)?;
            socket.bind(&at.into())?;
            let socket = UdpSocket::from_std(socket.into())?;
            Ok(spawn_local(async move { answer_datagrams(state, socket).await }))
        }
    }
}
