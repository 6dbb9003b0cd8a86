//! What the agent asks of the kernel for its own process.

use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getpgid, getppid, setpgid, setsid};

use super::AgentError;
use super::arguments::{ControlAddress, Orders};

/// Whoever started the agent, if the agent shall not outlive it.
#[derive(Debug, Clone, Copy)]
pub struct Parent(Option<Pid>);

impl Parent {
    /// The agent outlives whoever started it.
    pub fn none() -> Self {
        Self(None)
    }

    /// Whether it is still there.
    pub fn is_there(&self) -> bool {
        self.0.is_none_or(|parent| getppid() == parent)
    }
}

/// Lets the process have as many descriptors as it may, and die with its parent where that is on this machine.
///
/// The kernel sends the death signal when the *thread* that started the agent ends: a harness must start agents from
/// a thread that lives as long as they shall.
///
/// # Errors
/// When the kernel refuses, or the parent is gone already.
pub fn prepare(orders: &Orders) -> Result<Parent, AgentError> {
    let parent = match &orders.control {
        ControlAddress::Tcp(_) => Parent::none(),
        ControlAddress::Unix(_) => {
            // Whoever starts it may be gone before this line: then somebody else is the parent by now.
            let named = std::env::var(super::PARENT).ok().and_then(|pid| pid.parse().ok());
            let parent = Parent(Some(named.map_or_else(getppid, Pid::from_raw)));
            prctl::set_pdeathsig(Signal::SIGKILL)
                .map_err(|source| AgentError::Process { what: "PR_SET_PDEATHSIG", source })?;
            // It may have ended in between: then the signal would never come.
            if !parent.is_there() {
                return Err(AgentError::Orphaned);
            }
            have_a_share();
            parent
        }
    };
    let rlimit = |source| AgentError::Process { what: "RLIMIT_NOFILE", source };
    let (_soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(rlimit)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map_err(rlimit)?;
    Ok(parent)
}

/// Moves into a session of its own. Where the kernel groups processes by session (`sched_autogroup_enabled`), a busy
/// machine's time is shared between sessions: there every agent then gets a share like any other program's, instead of
/// all agents and their harness having one together. It is no privilege, and no loss where the kernel does not.
fn have_a_share() {
    // Only who leads no process group may found a session; back in its parent's, an agent leads none.
    let _led = getpgid(Some(getppid())).and_then(|group| setpgid(Pid::from_raw(0), group));
    let _founded = setsid();
}
