//! Agents behind control sockets in a directory, on threads of this process or in processes of their own.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use futures::future::BoxFuture;
use leakproof::agent::arguments::{ControlAddress, Orders};
use leakproof::agent::process::Parent;
use leakproof::fabric::{Dial, Stream};
use leakproof::model::endpoint::EndpointId;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::TOKEN;

/// Control sockets in a directory, one for each endpoint.
pub struct Sockets(tempfile::TempDir);

impl Sockets {
    pub fn new() -> Arc<Self> {
        Arc::new(Self(tempfile::tempdir().unwrap()))
    }

    pub fn path(&self, endpoint: u32) -> PathBuf {
        self.0.path().join(format!("{endpoint}.sock"))
    }

    /// An agent on a thread of this process; it ends when its crew is disbanded.
    pub fn start(&self, endpoint: u32) {
        let orders = Orders { control: ControlAddress::Unix(self.path(endpoint)), token: TOKEN.to_owned() };
        std::thread::spawn(move || leakproof::agent::work(orders, Parent::none()).unwrap());
    }

    /// An agent in a process of its own.
    pub fn spawn(&self, endpoint: u32) -> Agent {
        let program = std::env::var_os("LEAKPROOF_AGENT").unwrap_or(env!("CARGO_BIN_EXE_leakproof-agent").into());
        let mut command = Command::new(program);
        command.arg("--control").arg(format!("unix:{}", self.path(endpoint).display()));
        Agent(command.env("LEAKPROOF_AGENT_TOKEN", TOKEN).stdin(Stdio::null()).spawn().unwrap())
    }
}

impl Dial for Sockets {
    fn dial(&self, endpoint: EndpointId) -> BoxFuture<'_, std::io::Result<Box<dyn Stream>>> {
        let path = self.path(endpoint.0);
        Box::pin(async move {
            let stream: Box<dyn Stream> = Box::new(tokio::net::UnixStream::connect(path).await?);
            Ok(stream)
        })
    }
}

/// One in a process of its own, killed when this goes.
pub struct Agent(Child);

impl Agent {
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.0.id().try_into().unwrap()), signal).unwrap();
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// The processor time that a process has had.
pub fn processor_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[11..13].iter().map(|ticks| ticks.parse::<f64>().unwrap()).sum::<f64>() / 100.0
}

impl Agent {
    /// The processor time it has had.
    pub fn processor_seconds(&self) -> f64 {
        processor_seconds(self.0.id())
    }

    /// Its memory, as the kernel tells it.
    pub fn memory(&self) -> String {
        let rollup = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", self.0.id())).unwrap();
        let wanted = rollup.lines().filter(|line| line.starts_with("Pss:") || line.starts_with("Private_Dirty"));
        wanted.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>().join(", ")
    }
}
