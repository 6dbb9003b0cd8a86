//! Connections that are held open: opened by their source, answered line by line by their destination, each side noting
//! what it saw. What policy says of new connections does not concern them; whether they live is a question of its own.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use nix::errno::Errno;
use socket2::{Domain, Socket, Type};
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::clock;
use crate::model::moment::Moment;
use crate::wire::{
    Answer, HeldCell, HeldEnd, HeldReport, Hold, MAX_EXCHANGE, MAX_HELD, Question, SELF_DIAL, ServedReport,
};

use super::attempt::line;
use super::state::State;

/// How long a connection may take to come about.
const OPENING: Duration = Duration::from_secs(5);
/// So many gaps are remembered: the longest.
const GAPS: usize = 16;
/// A time without an answer is a gap beyond so many intervals.
const PATIENCE: u32 = 3;
/// Source ports of held connections: below those of attempts, which so never meet one that is held.
const PORTS: std::ops::Range<u16> = 8_192..16_384;

/// What this agent holds.
#[derive(Debug)]
pub struct Holder {
    state: Rc<State>,
    held: RefCell<BTreeMap<u32, Held>>,
}

/// Why a `Hold` is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unholdable {
    /// Too many.
    #[error("{0} connections to be held open are more than {MAX_HELD}")]
    Connections(usize),
    /// Messages without a pause.
    #[error("the interval of messages must be longer than nothing")]
    Zero,
    /// A cell twice.
    #[error("cell {0} is to be held open twice")]
    Double(u32),
}

/// One connection; dropping it closes it.
#[derive(Debug)]
struct Held {
    seen: Rc<Seen>,
    task: JoinHandle<()>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What its source saw.
#[derive(Debug, Default)]
struct Seen {
    opened: Cell<Option<Moment>>,
    sent: Cell<u64>,
    answered: Cell<u64>,
    /// When the last answer came.
    last: Cell<Moment>,
    gaps: RefCell<Vec<(Moment, Moment)>>,
    end: RefCell<Option<(Moment, HeldEnd)>>,
}

impl Holder {
    /// Holds nothing yet.
    pub fn new(state: Rc<State>) -> Self {
        Self { state, held: RefCell::default() }
    }

    /// Opens what is missing and closes what is not named.
    ///
    /// # Errors
    /// When it is out of bounds; nothing has changed then.
    pub fn hold(&self, hold: Hold) -> Result<(), Unholdable> {
        if hold.connections.len() > MAX_HELD {
            return Err(Unholdable::Connections(hold.connections.len()));
        }
        if hold.interval == 0 {
            return Err(Unholdable::Zero);
        }
        let mut wanted = HashSet::new();
        if let Some(double) = hold.connections.iter().find(|held| !wanted.insert(held.cell)) {
            return Err(Unholdable::Double(double.cell));
        }
        let mut held = self.held.borrow_mut();
        held.retain(|cell, _| wanted.contains(cell));
        let every = Duration::from_nanos(hold.interval);
        for cell in hold.connections {
            held.entry(cell.cell).or_insert_with(|| {
                let seen = Rc::new(Seen::default());
                let (state, noted) = (Rc::clone(&self.state), Rc::clone(&seen));
                let expires = Duration::from_nanos(hold.expires);
                let task = spawn_local(async move {
                    // Past its time it is closed, as one that nobody wants any more.
                    if let Ok(Err(end)) = timeout(expires, keep_open(&state, &cell, every, &noted)).await {
                        noted.end.replace(Some((clock::now(), end)));
                    }
                });
                Held { seen, task }
            });
        }
        Ok(())
    }

    /// What became of all of them so far.
    pub fn report(&self) -> Vec<HeldReport> {
        let now = clock::now();
        self.held.borrow().iter().map(|(cell, held)| held.seen.report(*cell, now)).collect()
    }
}

impl Seen {
    fn answer(&self, every: Duration, now: Moment) {
        self.answered.set(self.answered.get() + 1);
        self.note_gap(every, now);
        self.last.set(now);
    }

    fn note_gap(&self, every: Duration, now: Moment) {
        let last = self.last.get();
        if now.since(last) <= every * PATIENCE {
            return;
        }
        let mut gaps = self.gaps.borrow_mut();
        gaps.push((last, now));
        if gaps.len() > GAPS {
            gaps.sort_by_key(|(from, until)| std::cmp::Reverse(until.since(*from)));
            gaps.truncate(GAPS);
        }
    }

    fn report(&self, cell: u32, now: Moment) -> HeldReport {
        let mut gaps = self.gaps.borrow().clone();
        let end = self.end.borrow().clone();
        // The one that is still open counts up to now; a connection that has ended has none.
        if self.opened.get().is_some() && end.is_none() {
            gaps.push((self.last.get(), now));
        }
        HeldReport { cell, opened: self.opened.get(), sent: self.sent.get(), answered: self.answered.get(), gaps, end }
    }
}

/// Opens a connection and keeps it busy; returns only when it has ended.
async fn keep_open(state: &State, cell: &HeldCell, every: Duration, seen: &Seen) -> Result<(), HeldEnd> {
    let opening = timeout(OPENING, open(state, cell));
    let stream = opening.await.map_err(|_elapsed| HeldEnd::Other("it did not come about in time".into()))??;
    let now = clock::now();
    seen.last.set(now);
    seen.opened.set(Some(now));
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut unsent: Vec<u8> = Vec::new();
    let mut buffer = [0; MAX_EXCHANGE];
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                // What does not fit into the kernel's buffer waits; further messages wait with it.
                if unsent.is_empty() {
                    seen.sent.set(seen.sent.get() + 1);
                    unsent = format!("{}\n", seen.sent.get()).into_bytes();
                }
                match stream.try_write(&unsent) {
                    Ok(bytes) => drop(unsent.drain(..bytes)),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(how(&error)),
                }
            }
            readable = stream.readable() => {
                readable.map_err(|error| how(&error))?;
                match stream.try_read(&mut buffer) {
                    Ok(0) => return Err(HeldEnd::Closed),
                    Ok(bytes) => {
                        let now = clock::now();
                        let answers = buffer[..bytes].iter().filter(|byte| **byte == b'\n').count();
                        (0..answers).for_each(|_| seen.answer(every, now));
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(how(&error)),
                }
            }
        }
    }
}

async fn open(state: &State, cell: &HeldCell) -> Result<TcpStream, HeldEnd> {
    let identity = state.identity.borrow().clone();
    let stream = connect(&identity.own, cell).map_err(|error| how(&error))?;
    let ready = async {
        stream.writable().await?;
        stream.take_error()?.map_or(Ok(()), Err)
    };
    ready.await.map_err(|error| how(&error))?;
    let number = state.take_numbers(SELF_DIAL, 0, 1);
    let question = Question { secret: identity.secret, cell: SELF_DIAL, number, hold: Some(cell.cell) };
    // It fits into the buffer of a connection that is just open.
    stream.try_write(&line(&question)).map_err(|error| how(&error))?;
    let mut held = Vec::new();
    let mut buffer = [0; MAX_EXCHANGE];
    while !held.contains(&b'\n') && held.len() < MAX_EXCHANGE {
        stream.readable().await.map_err(|error| how(&error))?;
        match stream.try_read(&mut buffer) {
            Ok(0) => return Err(HeldEnd::Closed),
            Ok(bytes) => held.extend_from_slice(&buffer[..bytes]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(how(&error)),
        }
    }
    let answer = serde_json::from_slice::<Answer>(held.trim_ascii_end());
    match answer {
        Ok(answer) if answer.nonce == question && answer.name == cell.expects => Ok(stream),
        Ok(answer) => Err(HeldEnd::Other(format!("`{}` answered", answer.name.escape_default()))),
        Err(_) => Err(HeldEnd::Other("what answered is no agent".into())),
    }
}

fn connect(own: &[IpAddr], cell: &HeldCell) -> io::Result<TcpStream> {
    let unspecified = match cell.to {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let from = own.iter().find(|own| own.is_ipv4() == cell.to.is_ipv4()).copied().unwrap_or(unspecified);
    let span = u32::from(PORTS.end - PORTS.start);
    let mut last = None;
    for turn in 0..8_u32 {
        let socket = Socket::new(Domain::for_address(cell.to), Type::STREAM.nonblocking(), None)?;
        socket.set_linger(Some(Duration::ZERO))?;
        socket.set_tcp_nodelay(true)?;
        socket.set_reuse_address(true)?;
        let place = cell.cell.wrapping_mul(7).wrapping_add(turn.wrapping_mul(1_021)) % span;
        let port = PORTS.start + u16::try_from(place).unwrap_or_default();
        let bound =
            socket.bind(&SocketAddr::new(from, port).into()).and_then(|()| match socket.connect(&cell.to.into()) {
                Err(error) if error.raw_os_error() != Some(Errno::EINPROGRESS as i32) => Err(error),
                Ok(()) | Err(_) => Ok(()),
            });
        match bound {
            Ok(()) => return TcpStream::from_std(socket.into()),
            Err(error) if matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable) => {
                last = Some(error);
            }
            Err(error) => return Err(error),
        }
    }
    Err(last.unwrap_or_else(|| io::ErrorKind::AddrInUse.into()))
}

fn how(error: &io::Error) -> HeldEnd {
    match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => HeldEnd::Reset,
        io::ErrorKind::TimedOut => HeldEnd::TimedOut,
        _ => HeldEnd::Other(error.to_string()),
    }
}

/// What others hold open to this agent, by cell; of several of one cell the last.
#[derive(Debug, Default)]
pub struct Served(BTreeMap<u32, Rc<Heard>>);

/// What the destination of a held connection saw.
#[derive(Debug, Default)]
struct Heard {
    lines: Cell<u64>,
    end: RefCell<Option<(Moment, HeldEnd)>>,
}

impl Served {
    /// What became of all of them so far.
    pub fn report(&self) -> Vec<ServedReport> {
        let report = |(cell, heard): (&u32, &Rc<Heard>)| ServedReport {
            cell: *cell,
            heard: heard.lines.get(),
            end: heard.end.borrow().clone(),
        };
        self.0.iter().map(report).collect()
    }
}

/// Sends every line back until the connection ends.
pub async fn serve_held(state: &State, stream: &TcpStream, cell: u32) {
    let heard = {
        let mut served = state.served.borrow_mut();
        if served.0.len() >= MAX_HELD && !served.0.contains_key(&cell) {
            return;
        }
        let heard = Rc::new(Heard::default());
        served.0.insert(cell, Rc::clone(&heard));
        heard
    };
    let end = echo(stream, &heard.lines).await;
    heard.end.replace(Some((clock::now(), end)));
}

async fn echo(stream: &TcpStream, lines: &Cell<u64>) -> HeldEnd {
    let mut buffer = [0; MAX_EXCHANGE];
    loop {
        if let Err(error) = stream.readable().await {
            return how(&error);
        }
        let bytes = match stream.try_read(&mut buffer) {
            Ok(0) => return HeldEnd::Closed,
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return how(&error),
        };
        lines.set(lines.get() + buffer[..bytes].iter().filter(|byte| **byte == b'\n').count() as u64);
        let mut sent = 0;
        while sent < bytes {
            match stream.try_write(&buffer[sent..bytes]) {
                Ok(more) => sent += more,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if let Err(error) = stream.writable().await {
                        return how(&error);
                    }
                }
                Err(error) => return how(&error),
            }
        }
    }
}
