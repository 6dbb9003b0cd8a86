//! The agent: listens and dials in a pod, and tells what it saw.
//!
//! One process per pod, one thread, started as `leakproof agent --control unix:PATH` or `leakproof-agent --control
//! tcp:ADDRESS:PORT`, with the token that the harness must show in `LEAKPROOF_AGENT_TOKEN`. It knows nothing of
//! policies: it is told what to listen on and whom to dial ([`crate::wire`]) and carries that out alone, whether
//! anybody is connected to it or not.
//!
//! - [`control`], [`session`]: streams from the harness, one at a time
//! - [`listeners`], [`answer`]: who asks at its ports is answered
//! - [`dialer`], [`turns`], [`launcher`], [`attempt`], [`ports`], [`classify`]: a plan becomes attempts, attempts become outcomes
//! - [`retry`]: a flow that is not as it is expected to be is tried again at once
//! - [`persist`]: attempts that outlast a repeated first packet; [`holder`]: connections that are held open
//! - [`own`], [`pulse`]: whether the agent itself could see; [`drops`]: what the kernel dropped
//! - [`ledger`], [`run`], [`outbox`]: what was seen becomes numbered records, kept until acknowledged

use std::io::Write;
use std::rc::Rc;

use tokio::task::LocalSet;
use tokio::time::sleep;

pub mod answer;
pub mod arguments;
pub mod attempt;
pub mod classify;
pub mod control;
pub mod dialer;
pub mod drops;
pub mod holder;
pub mod launcher;
pub mod ledger;
pub mod listeners;
pub mod outbox;
pub mod own;
pub mod persist;
pub mod ports;
pub mod process;
pub mod pulse;
pub mod retry;
pub mod run;
pub mod session;
pub mod state;
pub mod turns;

use arguments::{Orders, Parsed};
use control::Control;
use state::State;

/// The environment variable that holds the token.
pub const TOKEN: &str = "LEAKPROOF_AGENT_TOKEN";

/// The environment variable that holds the number of the process that starts an agent on this machine, which then does not
/// outlive it.
pub const PARENT: &str = "LEAKPROOF_AGENT_PARENT";

/// Why an agent could not work.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The control socket could not be opened.
    #[error("listen for control streams on `{at}`")]
    Control {
        /// Where.
        at: String,
        /// Why not.
        source: std::io::Error,
    },
    /// The runtime could not be built.
    #[error("build the runtime")]
    Runtime(#[source] std::io::Error),
    /// The kernel would not set what an agent needs for itself.
    #[error("set `{what}` for this process")]
    Process {
        /// What.
        what: &'static str,
        /// Why not.
        source: nix::Error,
    },
    /// The harness ended before the agent was ready.
    #[error("the process that started this agent is gone")]
    Orphaned,
}

/// Runs the agent until it is told to end. `arguments` come without the program's name; the token comes from the
/// environment variable [`TOKEN`]. Gives the process's exit code: 0 when told to end, 2 for a wrong command line, 4
/// when it could not begin to work. What goes wrong is said to `talk`.
pub fn main(arguments: impl Iterator<Item = String>, talk: &mut dyn Write) -> u8 {
    let orders = match arguments::parse(arguments, std::env::var(TOKEN).ok()) {
        Ok(Parsed::Orders(orders)) => orders,
        Ok(Parsed::Help) => {
            say(talk, arguments::USAGE);
            return 0;
        }
        Err(error) => {
            say(talk, &format!("leakproof agent: {error}\n{}", arguments::USAGE));
            return 2;
        }
    };
    match process::prepare(&orders).and_then(|watch| work(orders, watch)) {
        Ok(()) => 0,
        Err(error) => {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
            say(talk, &format!("leakproof agent: {error}{cause}"));
            4
        }
    }
}

fn say(talk: &mut dyn Write, text: &str) {
    // There is nobody left to tell that telling failed.
    let _unheard = writeln!(talk, "{text}");
}

/// Works on the calling thread until told to end.
///
/// # Errors
/// When there is no runtime or no control socket.
pub fn work(orders: Orders, parent: process::Parent) -> Result<(), AgentError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(AgentError::Runtime)?;
    LocalSet::new().block_on(&runtime, async {
        let control = Control::open(&orders.control)
            .map_err(|source| AgentError::Control { at: orders.control.to_string(), source })?;
        let state = Rc::new(State::begin());
        tokio::select! {
            () = beat(&state, &parent) => {}
            () = control.take_streams(&state, &orders.token) => {}
            () = state.exit.notified() => {}
        }
        Ok(())
    })
}

/// The heartbeat; ends when whoever started the agent is gone.
async fn beat(state: &State, parent: &process::Parent) {
    while parent.is_there() {
        sleep(state.beat_in()).await;
        state.beat();
    }
}
