//! Answers whoever asks at a listener. Never ends on an error, and holds only so much for anybody.

use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};

use crate::clock;
use crate::wire::{Answer, MAX_EXCHANGE, Question, SELF_DIAL};

use super::attempt::line;
use super::classify::is_exhaustion;
use super::holder::serve_held;
use super::state::State;

/// The most connections open at a time; further ones wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 2048;

/// How long one connection may take, the client's reset included.
const EXCHANGE: Duration = Duration::from_secs(2);

/// How long to wait for descriptors or memory.
const BACK_OFF: Duration = Duration::from_millis(5);

/// Answers every connection.
pub async fn answer_streams(state: Rc<State>, listener: TcpListener) {
    loop {
        while state.connections.get() >= MAX_CONNECTIONS {
            state.connection_closed.notified().await;
        }
        match listener.accept().await {
            Ok((stream, peer)) => {
                let connection = Connection::open(&state);
                spawn_local(async move {
                    let seen = peer.ip().to_canonical();
                    // Whatever ends the exchange, the connection is closed; its client knows best what it saw.
                    let ended = timeout(EXCHANGE, converse(&connection.0, &stream, seen)).await;
                    if let Ok(Ok(Some(cell))) = ended {
                        serve_held(&connection.0, &stream, cell).await;
                    }
                });
            }
            Err(error) if is_exhaustion(&error) => sleep(BACK_OFF).await,
            // The connection was gone before it could be accepted, or the network is down for a moment.
            Err(_) => tokio::task::yield_now().await,
        }
    }
}

/// Counts a connection while it is open.
struct Connection(Rc<State>);

impl Connection {
    fn open(state: &Rc<State>) -> Self {
        state.connections.set(state.connections.get() + 1);
        Self(Rc::clone(state))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.connections.set(self.0.connections.get().saturating_sub(1));
        self.0.connection_closed.notify_one();
    }
}

/// One question and its answer. Gives the cell of a connection that is to be held open after it.
async fn converse(state: &State, stream: &TcpStream, seen: IpAddr) -> io::Result<Option<u32>> {
    let Some((answer, hold)) = hear(state, stream, seen).await? else { return Ok(None) };
    let mut sent = 0;
    while sent < answer.len() {
        match stream.try_write(&answer[sent..]) {
            Ok(bytes) => sent += bytes,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => stream.writable().await?,
            Err(error) => return Err(error),
        }
    }
    if hold.is_some() {
        return Ok(hold);
    }
    // The client resets first. If the server did, connection tracking would take the next connection from that source
    // port for a part of this one.
    loop {
        stream.readable().await?;
        match stream.try_read(&mut [0; 64]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Ok(0) | Err(_) => return Ok(None),
            Ok(_) => {}
        }
    }
}

/// Reads the question and gives the answer to it; none to what is no question.
async fn hear(state: &State, stream: &TcpStream, seen: IpAddr) -> io::Result<Option<(Vec<u8>, Option<u32>)>> {
    let mut held = Vec::new();
    while held.len() < MAX_EXCHANGE {
        stream.readable().await?;
        let mut buffer = [0; MAX_EXCHANGE];
        match stream.try_read(&mut buffer) {
            Ok(0) => return Ok(None),
            Ok(bytes) => held.extend_from_slice(&buffer[..bytes]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        }
        if let Some(end) = held.iter().position(|byte| *byte == b'\n') {
            return Ok(reply(state, &held[..end], seen));
        }
    }
    Ok(None)
}

/// Answers every datagram that is a question.
pub async fn answer_datagrams(state: Rc<State>, socket: UdpSocket) {
    // One byte more than allowed: a datagram that fills it is too long.
    let mut buffer = [0; MAX_EXCHANGE + 1];
    loop {
        match socket.recv_from(&mut buffer).await {
            Ok((bytes, peer)) if bytes <= MAX_EXCHANGE => {
                if let Some((answer, _)) = reply(&state, &buffer[..bytes], peer.ip().to_canonical()) {
                    // What cannot be sent is not answered; the client says what it saw of that.
                    let _sent = socket.try_send_to(&answer, peer);
                }
            }
            Ok(_) => {}
            Err(error) if is_exhaustion(&error) => sleep(BACK_OFF).await,
            Err(_) => tokio::task::yield_now().await,
        }
    }
}

/// The answer to a question, which is recorded as delivered if it is one of this run's.
fn reply(state: &State, question: &[u8], seen: IpAddr) -> Option<(Vec<u8>, Option<u32>)> {
    let question: Question = serde_json::from_slice(question).ok()?;
    let identity = state.identity.borrow();
    let ours = question.secret == identity.secret;
    if ours && question.cell != SELF_DIAL {
        state.ledger.borrow_mut().deliver(question.cell, question.number, clock::now());
    }
    let hold = question.hold.filter(|_| ours);
    Some((line(&Answer { name: identity.name.to_string(), nonce: question, seen }), hold))
}
