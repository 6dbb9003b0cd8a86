//! The lab: a cluster's network on one machine, without root. A pod is a network namespace, a node a routing one with
//! a packet filter, and policies are compiled to nftables by the lab's own reading of them.
//!
//! - in: [`enter`](enter()) gains the right, once, while the process has one thread
//! - who: [`Lab`] makes worlds, [`Raised`] is one; several may live at once
//! - how: `site` keeps a world's network namespaces on a thread of its own, over `netns`, `link` and `netlink`
//! - what: `compile` reads policies, `nft` writes them into a node's packet filter
//! - wrong: [`Fault`]s that the lab can be told to have
//! - elsewhere: [`Elsewhere`], the same filter on nodes that are not the lab's
//!
//! Where it is not the real thing: it has no Services, no kube-proxy, no DNS; nodes are one hop apart and share one
//! kernel; enforcement comes within milliseconds; and pods are filtered by address, which nobody here forges. What is
//! shown in the lab is what a policy means; what is shown on a cluster is what a cluster makes of it.

mod agent;
mod at_work;
mod compile;
mod dial;
mod elsewhere;
mod enter;
mod fault;
mod folder;
mod journal;
mod keeper;
mod lacks;
mod link;
mod netlink;
mod netns;
mod nft;
mod raised;
mod site;

use std::io;
use std::num::NonZeroU8;
use std::path::PathBuf;
use std::sync::Arc;

pub use elsewhere::{Elsewhere, Host, Trouble};
pub use enter::{EnterError, Entered, enter};
pub use fault::{Fault, FaultSyntax, FaultyFlow, FaultyPort, OnAgent, OnNode};
pub use journal::Done;
pub use netlink::NetlinkError;
pub use nft::{Denial, Leftover, Packets, Treatment, Wrong};
pub use raised::Raised;
use tokio_util::sync::CancellationToken;

use crate::fabric::Fabric;
use crate::model::document::FabricInfo;
use crate::model::endpoint::EndpointId;
use crate::model::event::Listener;
use crate::scenario::Scenario;
use crate::scenario::world::World;

/// Fewer nodes would leave no way to be on another one.
const FEWEST_NODES: u8 = 2;

/// Makes worlds on this machine.
#[derive(Debug, Clone)]
pub struct Lab {
    entered: Entered,
    agents: Agents,
    faults: Vec<Fault>,
}

/// What runs in the endpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Agents {
    /// This very program, started with the command `agent`.
    OurOwn,
    /// Another program that understands the same command.
    Program(PathBuf),
    /// Nothing: whoever made the world makes the connections, with [`Raised::inside`].
    None,
}

impl Lab {
    /// A lab without faults, whose agents are this very program.
    pub fn new(entered: Entered) -> Self {
        Self { entered, agents: Agents::OurOwn, faults: Vec::new() }
    }

    /// Has other agents.
    #[must_use]
    pub fn with_agents(self, agents: Agents) -> Self {
        Self { agents, ..self }
    }

    /// Is wrong on purpose.
    #[must_use]
    pub fn with_faults(self, faults: Vec<Fault>) -> Self {
        Self { faults, ..self }
    }

    /// Makes a world, enforcing none of its policies yet: [`crate::fabric::Realised::enact`] does that. `names` are
    /// the endpoints' names in order of id, `nodes` how many nodes there are at least.
    ///
    /// # Errors
    /// Names the system call that failed and where; whatever was made is removed again.
    pub async fn raise(&self, world: &World, names: &[String], nodes: NonZeroU8) -> Result<Raised, LabError> {
        let highest = world.pods.values().map(|pod| pod.node.0.get()).max().unwrap_or_default();
        let nodes = nodes.get().max(highest).max(FEWEST_NODES);
        let program = match &self.agents {
            Agents::OurOwn => Some(std::env::current_exe().map_err(|source| LabError::OwnProgram { source })?),
            Agents::Program(program) => Some(program.clone()),
            Agents::None => None,
        };
        Raised::raise(self.entered, &self.faults, program, world, &Names(names.into()), nodes).await
    }
}

impl Fabric for Lab {
    type Realised = Raised;
    type Error = LabError;

    async fn place(&self) -> FabricInfo {
        raised::info(self.entered, &self.faults, NonZeroU8::MIN.get())
    }

    async fn realise(
        &self,
        scenario: &Scenario,
        _run: &str,
        _listener: &dyn Listener,
        // It takes milliseconds.
        _enough: CancellationToken,
    ) -> Result<Raised, LabError> {
        let names: Vec<String> = scenario.endpoints().iter().map(|endpoint| endpoint.name.clone()).collect();
        // A node that only a later step puts a pod on is made now: changes must not wait for it.
        let worlds = scenario.stages().iter().map(|stage| &stage.world).chain([scenario.bare()]);
        let nodes = worlds.flat_map(|world| world.pods.values()).map(|pod| pod.node.0).max();
        self.raise(scenario.bare(), &names, nodes.unwrap_or(NonZeroU8::MIN)).await
    }
}

/// The endpoints' names, in order of id.
#[derive(Debug, Clone)]
pub(crate) struct Names(Arc<[String]>);

impl Names {
    fn of(&self, id: EndpointId) -> &str {
        self.0.get(id.index()).map_or("?", String::as_str)
    }

    fn find(&self, name: &str) -> Option<EndpointId> {
        self.0.iter().position(|known| known == name).map(|place| EndpointId(place as u32))
    }

    fn list(&self) -> String {
        self.0.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
    }
}

/// What could not be done in the lab.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// A system call on a network namespace.
    #[error("{call} for `{netns}`{}", namespace_hint(source))]
    Netns {
        /// The call.
        call: &'static str,
        /// Whose namespace.
        netns: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// A setting of a network namespace.
    #[error("setting net/{name} to {value} in `{netns}`")]
    Sysctl {
        /// The setting, below `/proc/sys/net`.
        name: &'static str,
        /// The value it was to have.
        value: &'static str,
        /// Whose namespace.
        netns: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// A request to the kernel.
    #[error("in `{netns}`{}", filter_hint(source))]
    Netlink {
        /// Whose namespace.
        netns: String,
        /// What was asked, and what the kernel said.
        source: NetlinkError,
    },
    /// Starting a thread.
    #[error("starting thread `{name}`")]
    Thread {
        /// Its name.
        name: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// A thread of the lab has ended, though nobody told it to.
    #[error("the lab's thread `{name}` has ended; this is a bug in leakproof")]
    Gone {
        /// Its name.
        name: String,
    },
    /// The folder of a world.
    #[error("folder `{}`", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// Its path is too long for the sockets in it.
    #[error("the path `{}` is too long for a Unix socket; set TMPDIR to a shorter one", path.display())]
    LongPath {
        /// The folder.
        path: PathBuf,
    },
    /// Finding out which program this is.
    #[error("finding this program's own file, to start agents from it")]
    OwnProgram {
        /// What the kernel said.
        source: io::Error,
    },
    /// Starting an agent.
    #[error("starting the agent of `{agent}` from `{}`", program.display())]
    AgentStart {
        /// Whose.
        agent: String,
        /// The program.
        program: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// An agent ended before it could be reached.
    #[error("the agent of `{agent}` ended at once ({status}); it said: {said}")]
    AgentEnded {
        /// Whose.
        agent: String,
        /// How it ended.
        status: String,
        /// What it said on stderr.
        said: String,
    },
    /// An agent did not make its socket in time.
    #[error("the agent of `{agent}` made no socket in time; it said: {said}")]
    AgentLate {
        /// Whose.
        agent: String,
        /// What it said on stderr.
        said: String,
    },
    /// Ending or stopping an agent.
    #[error("{signal} for the agent of `{agent}`")]
    Signal {
        /// Whose.
        agent: String,
        /// The signal.
        signal: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// Telling a wrong server what to serve.
    #[error("setting up the impostor in `{endpoint}`")]
    Impostor {
        /// Where.
        endpoint: String,
        /// What went wrong.
        source: io::Error,
    },
    /// An endpoint without an address.
    #[error("`{endpoint}` has no address")]
    NoAddress {
        /// Which.
        endpoint: String,
    },
    /// An endpoint that is not there.
    #[error("`{endpoint}` is not in the lab")]
    NoEndpoint {
        /// Which.
        endpoint: String,
    },
    /// An endpoint that is there already.
    #[error("`{endpoint}` is in the lab already")]
    Twice {
        /// Which.
        endpoint: String,
    },
    /// An endpoint on a node that is not there.
    #[error("`{endpoint}` is to run on `{node}`, which the lab does not have")]
    NoNode {
        /// Which endpoint.
        endpoint: String,
        /// Which node.
        node: String,
    },
    /// A fault names something that is not in this scenario.
    #[error("fault `{fault}`: there is no `{name}` in this scenario; there are {known}")]
    FaultyName {
        /// The fault.
        fault: String,
        /// The name.
        name: String,
        /// The names there are.
        known: String,
    },
}

fn namespace_hint(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::StorageFull => ": no more network namespaces allowed; raise the sysctl user.max_net_namespaces",
        io::ErrorKind::PermissionDenied => ": not allowed; the lab was not entered",
        _ if is_out_of_descriptors(source) => ": out of file descriptors; raise the hard limit with `ulimit -Hn`",
        _ => "",
    }
}

fn filter_hint(source: &NetlinkError) -> &'static str {
    match source.kind() {
        io::ErrorKind::Unsupported => {
            ": this kernel lacks a part of nftables or veth (modules nf_tables, nf_conntrack)"
        }
        _ => "",
    }
}

fn is_out_of_descriptors(source: &io::Error) -> bool {
    let errno = source.raw_os_error().map(nix::errno::Errno::from_raw);
    matches!(errno, Some(nix::errno::Errno::EMFILE | nix::errno::Errno::ENFILE))
}
