//! Plain sockets inside pods: servers that say who they are, and clients that ask.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use futures::future::join_all;
use leakproof::fabric::lab::{LabError, Raised};
use leakproof::model::endpoint::{EndpointId, Family};
use leakproof::model::port::{Port, Protocol};
use leakproof::scenario::world::World;
use tokio::task::JoinSet;

use crate::worlds::Made;

const DEADLINE: Duration = Duration::from_millis(300);

/// What one attempt saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    Reached(String),
    Silent,
    Refused,
    Other(String),
}

/// Keeps servers going for as long as it lives.
pub struct Servers {
    _tasks: JoinSet<()>,
}

/// Listens on everything the world's endpoints serve.
pub async fn serve(raised: &Raised, made: &Made) -> Result<Servers, LabError> {
    let mut tasks = JoinSet::new();
    for id in made.world.endpoints() {
        serve_one(raised, &made.world, id, &made.names[id.index()], &mut tasks).await?;
    }
    Ok(Servers { _tasks: tasks })
}

pub async fn serve_one(
    raised: &Raised,
    world: &World,
    id: EndpointId,
    name: &str,
    tasks: &mut JoinSet<()>,
) -> Result<(), LabError> {
    for served in world.serves(id) {
        for address in world.addresses(id).unwrap_or_default().iter() {
            let at = SocketAddr::new(address, served.port.number.get());
            let name = name.to_owned();
            match served.port.protocol {
                Protocol::Tcp => {
                    let listener = raised.inside(id, move || TcpListener::bind(at)).await?.expect("bound");
                    listener.set_nonblocking(true).expect("an option");
                    let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
                    tasks.spawn(async move {
                        loop {
                            if let Ok((stream, _)) = listener.accept().await {
                                let _ = stream.writable().await;
                                let _ = stream.try_write(name.as_bytes());
                            }
                        }
                    });
                }
                Protocol::Udp => {
                    let socket = raised.inside(id, move || UdpSocket::bind(at)).await?.expect("bound");
                    socket.set_nonblocking(true).expect("an option");
                    let socket = tokio::net::UdpSocket::from_std(socket).expect("a socket");
                    tasks.spawn(async move {
                        let mut buffer = [0; 64];
                        loop {
                            if let Ok((_, from)) = socket.recv_from(&mut buffer).await {
                                let _ = socket.send_to(name.as_bytes(), from).await;
                            }
                        }
                    });
                }
                Protocol::Sctp => {}
            }
        }
    }
    Ok(())
}

/// One attempt.
pub async fn attempt(raised: &Raised, from: EndpointId, to: IpAddr, port: Port) -> Seen {
    let at = SocketAddr::new(to, port.number.get());
    let seen = raised.inside(from, move || match port.protocol {
        Protocol::Tcp => tcp(at),
        Protocol::Udp => udp(at),
        Protocol::Sctp => Err(io::ErrorKind::Unsupported.into()),
    });
    match seen.await {
        Ok(Ok(name)) => Seen::Reached(name),
        Ok(Err(error)) => match error.kind() {
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Seen::Silent,
            io::ErrorKind::ConnectionRefused => Seen::Refused,
            _ => Seen::Other(error.to_string()),
        },
        Err(error) => Seen::Other(error.to_string()),
    }
}

fn tcp(at: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&at, DEADLINE)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    let mut name = String::new();
    stream.read_to_string(&mut name)?;
    Ok(name)
}

fn udp(at: SocketAddr) -> io::Result<String> {
    let any: SocketAddr = if at.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" }.parse().expect("an address");
    let socket = UdpSocket::bind(any)?;
    socket.connect(at)?;
    socket.set_read_timeout(Some(DEADLINE))?;
    socket.send(b"?")?;
    let mut buffer = [0; 64];
    let length = socket.recv(&mut buffer)?;
    Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

/// Attempts every flow there is, all at once: `from -> to:port (family)` to what was seen.
pub async fn matrix(raised: &Raised, made: &Made) -> BTreeMap<String, Seen> {
    let world = &made.world;
    let mut attempts = Vec::new();
    for from in world.endpoints() {
        for to in world.endpoints().filter(|to| *to != from) {
            for served in world.serves(to) {
                for address in world.addresses(to).unwrap_or_default().iter() {
                    attempts.push(async move {
                        let (from_name, to_name) = (&made.names[from.index()], &made.names[to.index()]);
                        let flow = format!("{from_name} -> {to_name}:{} {}", served.port, Family::of(address));
                        (flow, attempt(raised, from, address, served.port).await)
                    });
                }
            }
        }
    }
    join_all(attempts).await.into_iter().collect()
}

/// The matrix in which exactly the flows for which `allowed` holds reach their destination, and others meet `denied`.
pub fn expected(
    made: &Made,
    denied: &Seen,
    allowed: impl Fn(&str, &str, Port, Family) -> bool,
) -> BTreeMap<String, Seen> {
    let world = &made.world;
    let mut matrix = BTreeMap::new();
    for from in world.endpoints() {
        for to in world.endpoints().filter(|to| *to != from) {
            for served in world.serves(to) {
                for family in world.addresses(to).unwrap_or_default().iter().map(Family::of) {
                    let (from, to) = (&made.names[from.index()], &made.names[to.index()]);
                    let flow = format!("{from} -> {to}:{} {family}", served.port);
                    let passes = allowed(from, to, served.port, family);
                    matrix.insert(flow, if passes { Seen::Reached(to.clone()) } else { denied.clone() });
                }
            }
        }
    }
    matrix
}

/// Says where two matrices differ.
pub fn compare(what: &str, seen: &BTreeMap<String, Seen>, expected: &BTreeMap<String, Seen>) -> Result<(), String> {
    if seen == expected {
        return Ok(());
    }
    let mut text = format!("{what}:");
    for (flow, expected) in expected {
        match seen.get(flow) {
            Some(seen) if seen == expected => {}
            seen => text.push_str(&format!("\n  {flow}: saw {seen:?}, not {expected:?}")),
        }
    }
    Err(text)
}
