//! One attempt: one connection or datagram from one fresh source port, from launch to outcome.

use std::cell::Cell;
use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use nix::errno::Errno;
use socket2::{Domain, SockRef, Socket, Type};
use tokio::io::Interest;
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use crate::clock;
use crate::model::moment::Moment;
use crate::model::observation::{Failure, Outcome, PROOF_WITHIN};
use crate::model::port::Protocol;
use crate::wire::{Answer, MAX_EXCHANGE, Question};

use super::classify::{Doing, classify};
use super::ports::candidates;

/// Handshakes later than this after the launch may be owed to the kernel sending its SYN again after one second: by
/// then it is another attempt than the one that was launched, and says nothing about it.
const SYN_ALONE: Duration = Duration::from_millis(950);

/// What to attempt.
#[derive(Debug, Clone)]
pub struct Dial {
    /// Where to.
    pub to: SocketAddr,
    /// Over which protocol.
    pub protocol: Protocol,
    /// The nonce.
    pub question: Question,
    /// The name the right server answers with.
    pub expects: Rc<[String]>,
    /// The agent's own addresses: to bind to, and to find in the answer. Empty: not known.
    pub own: Rc<[IpAddr]>,
    /// The source port to take, or one of those after it where that is in use.
    pub source_port: u16,
    /// Whether a repeated first packet counts.
    pub repeats: Repeats,
}

/// Whether an attempt is its first packet alone, or goes on while the kernel repeats that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeats {
    /// It is the first packet alone: what comes after a repeat says nothing about it.
    Disregarded,
    /// It goes on.
    Counted,
}

/// An attempt under way.
#[derive(Debug)]
pub struct Attempt {
    socket: Opened,
    dial: Dial,
    /// When the launch was noted.
    launched: Moment,
    /// When the first packet was on its way, at the latest.
    sent: Moment,
}

#[derive(Debug)]
enum Opened {
    Tcp(std::net::TcpStream),
    Udp(std::net::UdpSocket),
}

/// How long to wait, and how late the process may be.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Without an answer after this, the attempt is silent.
    pub deadline: Duration,
    /// Launched later than this after its launch was noted, silence says nothing.
    pub slack: Duration,
}

impl Dial {
    /// Sends the first packet. Does not wait for anything.
    ///
    /// # Errors
    /// The outcome, where there is one already.
    pub fn launch(self, launched: Moment) -> Result<Attempt, Outcome> {
        let kind = match self.protocol {
            Protocol::Tcp => Type::STREAM,
            Protocol::Udp => Type::DGRAM,
            Protocol::Sctp => return Err(Outcome::Unsupported { what: "sctp".to_owned() }),
        };
        let socket = Socket::new(Domain::for_address(self.to), kind.nonblocking(), None)
            .map_err(|error| classify(Doing::Opening, &error))?;
        self.bind(&socket).map_err(|error| classify(Doing::Binding, &error))?;
        let connecting = |error: &io::Error| classify(Doing::Connecting, error);
        let opened = match self.protocol {
            Protocol::Tcp => {
                // Closing resets the connection: thousands of attempts must not pile up in TIME_WAIT or conntrack.
                socket.set_linger(Some(Duration::ZERO)).map_err(|error| classify(Doing::Opening, &error))?;
                match socket.connect(&self.to.into()) {
                    Err(error) if error.raw_os_error() != Some(Errno::EINPROGRESS as i32) => {
                        return Err(connecting(&error));
                    }
                    Ok(()) | Err(_) => Opened::Tcp(socket.into()),
                }
            }
            Protocol::Udp | Protocol::Sctp => {
                socket.connect(&self.to.into()).map_err(|error| connecting(&error))?;
                socket.send(&line(&self.question)).map_err(|error| connecting(&error))?;
                Opened::Udp(socket.into())
            }
        };
        Ok(Attempt { socket: opened, dial: self, launched, sent: clock::now() })
    }

    fn bind(&self, socket: &Socket) -> io::Result<()> {
        let unspecified = match self.to {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        let from = self.own.iter().find(|own| own.is_ipv4() == self.to.is_ipv4()).copied().unwrap_or(unspecified);
        // One source port serves several destinations at once; the four-tuple is what has to be fresh.
        socket.set_reuse_address(true)?;
        let mut result = Ok(());
        for port in candidates(self.source_port) {
            result = socket.bind(&SocketAddr::new(from, port).into());
            match &result {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Ok(()) | Err(_) => break,
            }
        }
        result
    }

    fn check(&self, answer: &[u8]) -> Outcome {
        let Ok(answer) = serde_json::from_slice::<Answer>(answer) else {
            return Outcome::SomeoneElse { who: format!("not an agent: `{}`", excerpt(answer)) };
        };
        if answer.nonce != self.question {
            let who = excerpt(answer.name.as_bytes());
            return Outcome::SomeoneElse { who: format!("{who}, answering another question") };
        }
        if !self.expects.contains(&answer.name) {
            return Outcome::SomeoneElse { who: excerpt(answer.name.as_bytes()) };
        }
        let seen = answer.seen.to_canonical();
        if !self.own.is_empty() && !self.own.contains(&seen) {
            return Outcome::Translated { seen };
        }
        Outcome::Reached
    }
}

impl Attempt {
    /// Waits for what becomes of it.
    ///
    /// The network's part in it is judged by what the kernel holds, not by when this process came to look: a handshake
    /// comes about, and an answer arrives, without the process. So silence is said only after the socket itself was
    /// looked at once more, and a process that was late to look has missed nothing by it.
    ///
    /// `connected` is set once a handshake is done.
    pub async fn watch(self, patience: Patience, connected: &Cell<bool>) -> Outcome {
        let Self { socket, dial, launched, sent } = self;
        let outcome = match socket {
            Opened::Tcp(stream) => watch_stream(stream, &dial, (launched, sent), patience, connected).await,
            Opened::Udp(socket) => watch_datagram(socket, &dial, sent, patience).await,
        };
        // Stopped between saying that it launched and launching: what was silent then is not known.
        let punctual = sent.since(launched) <= patience.slack;
        if outcome == Outcome::Silent && !punctual { starved() } else { outcome }
    }
}

/// How far the kernel has brought a connection.
enum Handshake {
    Pending,
    Done,
}

fn handshake(stream: &TcpStream) -> io::Result<Handshake> {
    match stream.take_error()? {
        Some(error) => Err(error),
        None if stream.peer_addr().is_ok() => Ok(Handshake::Done),
        None => Ok(Handshake::Pending),
    }
}

async fn watch_stream(
    stream: std::net::TcpStream,
    dial: &Dial,
    (launched, sent): (Moment, Moment),
    patience: Patience,
    connected_by_now: &Cell<bool>,
) -> Outcome {
    let stream = match TcpStream::from_std(stream) {
        Ok(stream) => stream,
        Err(error) => return classify(Doing::Opening, &error),
    };
    let due = sent.plus(patience.deadline);
    let woken = timeout(due.since(clock::now()), stream.writable()).await;
    let connected = match (handshake(&stream), woken) {
        (Ok(Handshake::Pending), Err(_elapsed)) => return Outcome::Silent,
        (Ok(Handshake::Pending | Handshake::Done), Ok(Err(error))) | (Err(error), _) => Err(error),
        (Ok(Handshake::Pending), Ok(Ok(()))) | (Ok(Handshake::Done), Ok(Ok(())) | Err(_)) => Ok(()),
    };
    let noticed = clock::now();
    if dial.repeats == Repeats::Disregarded && noticed.since(launched) > SYN_ALONE {
        return match connected.map_err(|error| classify(Doing::Connecting, &error)) {
            // Errors that no answer to a SYN makes.
            Err(outcome @ (Outcome::Silent | Outcome::Unreachable { .. } | Outcome::Failed { .. })) => outcome,
            Ok(()) | Err(_) if noticed > due.plus(patience.slack) => starved(),
            Ok(()) | Err(_) => {
                let error = "connect: answered only after the first packet was sent again".to_owned();
                Outcome::Failed { why: Failure::Other { error } }
            }
        };
    }
    if let Err(error) = connected {
        return classify(Doing::Connecting, &error);
    }
    connected_by_now.set(true);
    // The network has let it through. That the server proves itself takes two processes and their turns.
    let due = noticed.max(due).plus(PROOF_WITHIN);
    let mut exchange = pin!(ask_stream(&stream, dial));
    if let Ok(outcome) = timeout(due.since(clock::now()), exchange.as_mut()).await {
        return outcome;
    }
    if clock::now() <= due.plus(patience.slack) {
        return Outcome::HalfOpen;
    }
    // What came while the process was stopped lies in the socket: look once more before giving up.
    tokio::task::yield_now().await;
    timeout(Duration::ZERO, exchange).await.unwrap_or(starved())
}

async fn ask_stream(stream: &TcpStream, dial: &Dial) -> Outcome {
    let question = line(&dial.question);
    let mut sent = 0;
    while sent < question.len() {
        match stream.try_write(&question[sent..]) {
            Ok(bytes) => sent += bytes,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if let Err(error) = stream.writable().await {
                    return classify(Doing::Asking, &error);
                }
            }
            Err(error) => return classify(Doing::Asking, &error),
        }
    }
    read_answer(stream, dial).await
}

async fn read_answer(stream: &TcpStream, dial: &Dial) -> Outcome {
    let mut held = Vec::new();
    loop {
        if let Err(error) = stream.readable().await {
            return classify(Doing::Asking, &error);
        }
        let mut buffer = [0; MAX_EXCHANGE];
        match stream.try_read(&mut buffer) {
            // Closed without a word: a handshake without proof. With half a word: that was no agent.
            Ok(0) if held.is_empty() => return Outcome::HalfOpen,
            Ok(0) => return dial.check(&held),
            Ok(bytes) => held.extend_from_slice(&buffer[..bytes]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return classify(Doing::Asking, &error),
        }
        if let Some(end) = held.iter().position(|byte| *byte == b'\n') {
            return dial.check(&held[..end]);
        }
        if held.len() >= MAX_EXCHANGE {
            return dial.check(&held);
        }
    }
}

async fn watch_datagram(socket: std::net::UdpSocket, dial: &Dial, sent: Moment, patience: Patience) -> Outcome {
    let socket = match UdpSocket::from_std(socket) {
        Ok(socket) => socket,
        Err(error) => return classify(Doing::Opening, &error),
    };
    let left = sent.plus(patience.deadline).since(clock::now());
    if let Ok(outcome) = timeout(left, ask_datagram(&socket, dial)).await {
        return outcome;
    }
    // Past the runtime, which may not have heard of it yet.
    let mut buffer = [0; MAX_EXCHANGE];
    let mut socket: &Socket = &SockRef::from(&socket);
    match socket.read(&mut buffer) {
        Ok(bytes) => dial.check(&buffer[..bytes]),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Outcome::Silent,
        Err(error) => classify(Doing::Connecting, &error),
    }
}

async fn ask_datagram(socket: &UdpSocket, dial: &Dial) -> Outcome {
    loop {
        // A refusal makes a datagram socket erroneous, not readable: both must be waited for.
        let ready = match socket.ready(Interest::READABLE | Interest::ERROR).await {
            Ok(ready) => ready,
            Err(error) => return classify(Doing::Connecting, &error),
        };
        let mut buffer = [0; MAX_EXCHANGE];
        let heard = if ready.is_readable() {
            socket.try_recv(&mut buffer)
        } else {
            let nothing = || Err(io::ErrorKind::WouldBlock.into());
            socket.try_io(Interest::ERROR, || socket.take_error()?.map_or_else(nothing, Err))
        };
        match heard {
            Ok(bytes) => return dial.check(&buffer[..bytes]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return classify(Doing::Connecting, &error),
        }
    }
}

/// A question or answer as it is sent.
pub fn line(message: &impl serde::Serialize) -> Vec<u8> {
    // Both are plain data with string keys: they always serialise; an empty line would be no question and no answer.
    let mut line = serde_json::to_vec(message).unwrap_or_default();
    line.push(b'\n');
    line
}

fn starved() -> Outcome {
    Outcome::Failed { why: Failure::Starved }
}

/// What a stranger said, short and printable.
fn excerpt(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().take(40).flat_map(char::escape_default).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUESTION: Question = Question { secret: 7, cell: 3, number: 11, hold: None };

    fn dial() -> Dial {
        Dial {
            to: "10.0.0.2:80".parse().unwrap(),
            protocol: Protocol::Tcp,
            question: QUESTION,
            expects: ["data-store".to_owned()].into(),
            own: Rc::new(["10.0.0.1".parse().unwrap()]),
            source_port: 20_000,
            repeats: Repeats::Disregarded,
        }
    }

    fn answer(name: &str, nonce: Question, seen: &str) -> Vec<u8> {
        line(&Answer { name: name.to_owned(), nonce, seen: seen.parse().unwrap() })
    }

    #[test]
    fn only_the_right_name_nonce_and_source_address_is_reached() {
        let other = Question { number: 12, ..QUESTION };
        let someone = |who: &str| Outcome::SomeoneElse { who: who.to_owned() };
        for (answer, expected, sentence) in [
            (answer("data-store", QUESTION, "10.0.0.1"), Outcome::Reached, "all is right"),
            (answer("data-store", QUESTION, "::ffff:10.0.0.1"), Outcome::Reached, "a mapped address is the same"),
            (answer("impostor", QUESTION, "10.0.0.1"), someone("impostor"), "another name"),
            (
                answer("data-store", other, "10.0.0.1"),
                someone("data-store, answering another question"),
                "an old answer proves nothing about this attempt",
            ),
            (
                answer("data-store", QUESTION, "10.9.9.9"),
                Outcome::Translated { seen: "10.9.9.9".parse().unwrap() },
                "another source address was seen",
            ),
            (b"HTTP/1.1 400".to_vec(), someone("not an agent: `HTTP/1.1 400`"), "no agent at all"),
            (b"\x1b[2J\n".to_vec(), someone("not an agent: `\\u{1b}[2J\\n`"), "what a terminal would obey is escaped"),
        ] {
            assert_eq!(dial().check(&answer), expected, "{sentence}");
        }
    }

    #[test]
    fn an_agent_that_does_not_know_its_addresses_cannot_see_translation() {
        let dial = Dial { own: Rc::new([]), ..dial() };
        assert_eq!(dial.check(&answer("data-store", QUESTION, "10.9.9.9")), Outcome::Reached);
    }

    #[test]
    fn sctp_is_unsupported_and_never_denied() {
        let dial = Dial { protocol: Protocol::Sctp, ..dial() };
        assert_eq!(dial.launch(Moment(0)).unwrap_err(), Outcome::Unsupported { what: "sctp".to_owned() });
    }
}
