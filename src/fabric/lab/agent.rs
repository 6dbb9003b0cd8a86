//! An agent as the lab sees it: a child process inside a pod's network namespace.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::LabError;
use super::folder::Folder;
use crate::fabric::secret::secret;
use crate::model::endpoint::EndpointId;

/// Carries the token past the argument list, which everybody may read.
const TOKEN: &str = "LEAKPROOF_AGENT_TOKEN";
/// And the one that holds our own process's number.
const PARENT: &str = "LEAKPROOF_AGENT_PARENT";
/// The most that is shown of what an agent said on stderr, in bytes.
const LAST_WORDS: usize = 2000;

/// A running agent.
#[derive(Debug)]
pub(super) struct Agent {
    name: String,
    child: Child,
    log: PathBuf,
    /// Where it listens for the harness.
    pub(super) socket: PathBuf,
    /// What it asks of whoever comes.
    pub(super) token: String,
}

impl Agent {
    /// Starts one in the calling thread's network namespace. It dies with that thread: the agent asks for that itself.
    pub(super) fn start(
        program: &Path,
        folder: &Folder,
        endpoint: EndpointId,
        name: &str,
        role: &str,
    ) -> Result<Self, LabError> {
        let failed = |source| LabError::AgentStart { agent: name.to_owned(), program: program.to_owned(), source };
        let socket = folder.socket(endpoint, role);
        // An earlier agent of that name, whose pod was removed, left its own there.
        match fs::remove_file(&socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            Ok(()) | Err(_) => {}
        }
        let log = folder.log(endpoint, role);
        let token = secret().map_err(failed)?;
        let stderr = File::create(&log).map_err(failed)?;
        let child = Command::new(program)
            .arg("agent")
            .arg("--control")
            .arg(format!("unix:{}", socket.display()))
            .env_clear()
            .env(TOKEN, &token)
            .env(PARENT, std::process::id().to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            // Ctrl-C in the terminal is for the harness, which then ends its agents itself.
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        Ok(Self { name: name.to_owned(), child, log, socket, token })
    }

    /// Whether its socket is there. Fails where the agent has ended instead.
    pub(super) fn is_up(&mut self) -> Result<bool, LabError> {
        if fs::exists(&self.socket).unwrap_or(false) {
            return Ok(true);
        }
        match self.child.try_wait() {
            Ok(None) => Ok(false),
            Ok(Some(status)) => Err(LabError::AgentEnded {
                agent: self.name.clone(),
                status: status.to_string(),
                said: self.last_words(),
            }),
            Err(source) => Err(self.signal_failed("wait", source)),
        }
    }

    /// The end of what it said on stderr.
    pub(super) fn last_words(&self) -> String {
        let said = fs::read(&self.log).unwrap_or_default();
        let end = said.get(said.len().saturating_sub(LAST_WORDS)..).unwrap_or_default();
        let said = String::from_utf8_lossy(end).trim().to_owned();
        if said.is_empty() { "nothing".into() } else { said }
    }

    /// Stops it, or lets it go on.
    pub(super) fn signal(&self, signal: Signal) -> Result<(), LabError> {
        let pid = Pid::from_raw(self.child.id().cast_signed());
        kill(pid, signal).map_err(|errno| self.signal_failed(signal.as_str(), errno.into()))
    }

    /// Ends it, stopped or not, and sees it off.
    pub(super) fn end(&mut self) -> Result<(), LabError> {
        // One that has ended already is seen off all the same.
        let killed = match self.child.kill() {
            Err(error) if error.kind() != io::ErrorKind::InvalidInput => Err(error),
            Ok(()) | Err(_) => Ok(()),
        };
        let gone = self.child.wait().map(|_| ());
        killed.and(gone).map_err(|source| self.signal_failed("SIGKILL", source))
    }

    fn signal_failed(&self, signal: &str, source: io::Error) -> LabError {
        LabError::Signal { agent: self.name.clone(), signal: signal.to_owned(), source }
    }
}
