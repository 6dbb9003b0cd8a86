//! The fault in which somebody else answers: a second agent in the pod's own network namespace, which calls itself
//! `impostor` and is handed what comes for the pod's port.

use std::io::{self, BufRead, BufReader, Write};
use std::num::NonZeroU16;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::{PAUSE, Site};
use crate::fabric::lab::agent::Agent;
use crate::fabric::lab::{LabError, nft};
use crate::model::endpoint::EndpointId;
use crate::model::port::Port;
use crate::scenario::world::World;
use crate::wire::{FromAgent, PROTOCOL, Serve, ToAgent};

/// What it says its name is.
const NAME: &str = "impostor";
/// It answers at once or not at all.
const PATIENCE: Duration = Duration::from_secs(5);
/// Where it listens, unless the pod does so itself.
const FIRST_PORT: u16 = 61_001;

impl Site {
    /// Starts the impostors of those pods that have just come. They are not in anybody's way yet.
    pub(super) fn start_impostors(&mut self, world: &World, endpoints: &[EndpointId]) -> Result<(), LabError> {
        if self.program().is_none() {
            return Ok(());
        }
        for (id, _) in self.faults.impostors.clone() {
            let waiting = endpoints.contains(&id) && self.spots.get(&id).is_some_and(|spot| spot.impostor.is_none());
            if !waiting {
                continue;
            }
            self.netns(id)?.enter()?;
            let impostor = self.start_agent(id, NAME)?;
            if let Some(spot) = self.spots.get_mut(&id) {
                spot.impostor = impostor;
            }
            self.await_agents(&[id])?;
            let mine: Vec<Port> = self.faults.impostors.iter().filter(|(at, _)| *at == id).map(|(_, p)| *p).collect();
            let ports = stand_ins(&mine, world, id).map(|(_, stand_in)| stand_in).collect();
            if let Some(impostor) = self.spots.get(&id).and_then(|spot| spot.impostor.as_ref()) {
                instruct(impostor, ports)
                    .map_err(|source| LabError::Impostor { endpoint: self.names.of(id).to_owned(), source })?;
            }
        }
        Ok(())
    }

    /// Hands ports to the impostors that wait for them.
    pub(super) fn divert_ports(&mut self, world: &World) -> Result<(), LabError> {
        for (id, spot) in &self.spots {
            let mine: Vec<Port> = self.faults.impostors.iter().filter(|(at, _)| at == id).map(|(_, p)| *p).collect();
            if mine.is_empty() || self.enforced.diverted.contains(id) {
                continue;
            }
            spot.netns.enter()?;
            for (port, stand_in) in stand_ins(&mine, world, *id) {
                nft::divert(port, stand_in.number.get()).map_err(|source| self.failed_at(*id, source))?;
            }
            self.enforced.diverted.insert(*id);
        }
        Ok(())
    }
}

/// For each port, one that the pod does not serve.
fn stand_ins(ports: &[Port], world: &World, id: EndpointId) -> impl Iterator<Item = (Port, Port)> {
    let served: Vec<u16> = world.serves(id).iter().map(|served| served.port.number.get()).collect();
    let free = (FIRST_PORT..=u16::MAX).filter(move |number| !served.contains(number)).filter_map(NonZeroU16::new);
    ports.iter().zip(free).map(|(port, number)| (*port, Port { number, protocol: port.protocol }))
}

/// An agent makes its socket's file a moment before it listens there.
fn connect(impostor: &Agent) -> io::Result<UnixStream> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match UnixStream::connect(&impostor.socket) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused && Instant::now() < deadline => {
                std::thread::sleep(PAUSE);
            }
            connected => return connected,
        }
    }
}

/// Tells an agent to listen there under the wrong name.
fn instruct(impostor: &Agent, ports: Vec<Port>) -> io::Result<()> {
    let mut stream = connect(impostor)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let hello = ToAgent::Hello { protocol: PROTOCOL, token: impostor.token.clone(), resume: 0 };
    // No run has this secret, so it records nothing of what it answers.
    let serve = ToAgent::Serve(Serve { name: NAME.into(), secret: u64::MAX, addresses: Vec::new(), ports });
    for message in [hello, serve] {
        let mut line = serde_json::to_vec(&message)?;
        line.push(b'\n');
        stream.write_all(&line)?;
    }
    for line in BufReader::new(stream).lines() {
        match serde_json::from_str(&line?)? {
            FromAgent::Serving { failed, .. } => {
                return match failed.first() {
                    None => Ok(()),
                    Some((port, error)) => Err(io::Error::other(format!("`{port}` could not be bound: {error}"))),
                };
            }
            FromAgent::Refused { why } => return Err(io::Error::other(why)),
            FromAgent::Welcome { .. }
            | FromAgent::Planned { .. }
            | FromAgent::Holding { .. }
            | FromAgent::Held { .. }
            | FromAgent::Pong { .. }
            | FromAgent::Records { .. } => {}
        }
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}
