//! Documents to render in tests: the pipeline scenario, all well and in trouble, watched, and meshes of any size.

mod forecast;
mod mesh;
mod nasty;
mod parts;
mod pipeline;
mod watched;

use std::io;

use crate::model::endpoint::Family;
use crate::model::flow::NamedFlow;
use crate::model::happening::{About, Happening, Turn};
use crate::model::port::{Port, Protocol};

pub use self::forecast::forecast;
pub use self::mesh::{mesh, spring};
pub use self::nasty::{NASTY, nasty};
pub use self::parts::wrong_window;
pub use self::pipeline::{pipeline, troubled};
pub use self::watched::{hour, watched};

/// A writer whose reader has gone.
pub struct ClosedPipe;

impl io::Write for ClosedPipe {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }
    fn flush(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::BrokenPipe.into())
    }
}

/// A port from its text.
pub fn port(text: &str) -> Port {
    let (number, protocol) = text.split_once('/').unwrap();
    let protocol = match protocol {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        _ => Protocol::Sctp,
    };
    Port { number: number.parse().unwrap(), protocol }
}

/// An IPv4 flow.
pub fn flow(from: &str, to: &str, at: &str) -> NamedFlow {
    NamedFlow { from: from.into(), to: to.into(), family: Family::V4, port: port(at) }
}

/// Something that happened, and no more of it.
pub fn happened(at_us: u64, about: About, subject: &str, what: &str) -> Happening {
    Happening {
        at_us,
        since_us: None,
        about,
        node: None,
        subject: subject.into(),
        what: what.into(),
        turn: Turn::None,
        stamped: None,
    }
}
