//! A world of network namespaces, as its own thread keeps it.
//!
//! ```text
//!   pod ── node-1 ── core ── node-2 ── pod
//!                     │
//!                  outside
//! ```
//!
//! The core joins the nodes and routes whatever is outside of them, without any policy. Nodes filter what they
//! forward. Pods have one address of each family and nothing beside it, so all they send meets their node's filter.

mod enforce;
mod impostor;
mod netns_settings;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use netlink_sys::protocols::NETLINK_ROUTE;

use super::agent::Agent;
use super::dial::Doors;
use super::fault::FaultPlan;
use super::folder::Folder;
use super::link::{self, End, Families, LOOPBACK, Side};
use super::netlink::{Channel, Request};
use super::netns::{self, Netns};
use super::nft::Firewall;
use super::{LabError, Names};
use crate::fabric::Placement;
use crate::model::endpoint::{Addresses, EndpointId, NodeOrdinal};
use crate::scenario::world::World;
pub(super) use enforce::Enforcement;

/// An agent has its socket within milliseconds; a machine that needs longer than this has other troubles.
const START: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(1);
/// Interfaces the kernel makes by itself have low numbers.
const FIRST_INDEX: u32 = 1000;

/// What is to be made.
#[derive(Debug, Clone)]
pub(super) struct Blueprint {
    pub(super) world: World,
    pub(super) names: Names,
    pub(super) nodes: u8,
    pub(super) faults: FaultPlan,
    pub(super) doors: Doors,
    /// The agents' program; none where nobody wants agents.
    pub(super) program: Option<PathBuf>,
}

/// A network namespace that forwards.
struct Router {
    netns: Netns,
    channel: Channel,
    next: u32,
}

/// A router that filters.
struct Node {
    router: Router,
    firewall: Firewall,
    /// The link to it, as the core numbers it.
    at_core: u32,
}

/// Where an endpoint hangs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    On(NodeOrdinal),
    Outside,
}

/// An endpoint's network namespace and agent.
struct Spot {
    netns: Netns,
    place: Place,
    /// The link to it, as its router numbers it.
    link: u32,
    addresses: Addresses,
    agent: Option<Agent>,
    impostor: Option<Agent>,
}

/// The world.
pub(super) struct Site {
    names: Names,
    families: Families,
    core: Router,
    nodes: BTreeMap<NodeOrdinal, Node>,
    spots: BTreeMap<EndpointId, Spot>,
    folder: Option<Folder>,
    program: Option<PathBuf>,
    doors: Doors,
    faults: FaultPlan,
    enforced: enforce::Enforced,
    operations: Vec<String>,
}

impl Site {
    /// Makes all of it; on the thread that is to keep it.
    pub(super) fn make(blueprint: Blueprint) -> Result<Self, LabError> {
        let Blueprint { world, names, nodes, faults, doors, program } = blueprint;
        let families = if netns::speaks_ipv6() { Families::Both } else { Families::V4Only };
        let folder = program.as_ref().map(|_| Folder::make()).transpose()?;
        let mut site = Self {
            names,
            families,
            core: Router::make("core", families, 255)?,
            nodes: BTreeMap::new(),
            spots: BTreeMap::new(),
            folder,
            program,
            doors,
            faults,
            enforced: enforce::Enforced::default(),
            operations: Vec::new(),
        };
        match site.populate(&world, nodes) {
            Ok(()) => Ok(site),
            Err(error) => {
                // What went wrong first is what matters.
                drop(site.end());
                Err(error)
            }
        }
    }

    fn populate(&mut self, world: &World, nodes: u8) -> Result<(), LabError> {
        for number in (1..=nodes).filter_map(std::num::NonZeroU8::new) {
            self.add_node(NodeOrdinal(number))?;
        }
        self.attach_all(world, world.endpoints())
    }

    fn add_node(&mut self, ordinal: NodeOrdinal) -> Result<(), LabError> {
        let name = ordinal.to_string();
        let mut router = Router::make(&name, self.families, ordinal.0.get())?;
        let firewall = Firewall::install(self.faults.denial)
            .map_err(|source| LabError::Netlink { netns: name.clone(), source })?;
        let at_core = self.core.number();
        let at_node = router.number();
        let mut near = vec![link::create(
            End { name: &name, index: at_core },
            End { name: "core", index: at_node },
            router.netns.descriptor(),
        )];
        near.extend(link::neighbours(at_core, Side::Near, self.families));
        self.core.settle(near)?;
        let mut far = vec![link::up(at_node)];
        far.extend(link::neighbours(at_node, Side::Far, self.families));
        far.extend(link::default_routes(at_node, self.families));
        router.settle(far)?;
        self.nodes.insert(ordinal, Node { router, firewall, at_core });
        Ok(())
    }

    /// Attaches endpoints of `world`, with their agents, and returns once all agents are up.
    pub(super) fn attach_all(
        &mut self,
        world: &World,
        endpoints: impl Iterator<Item = EndpointId>,
    ) -> Result<(), LabError> {
        let endpoints: Vec<EndpointId> = endpoints.collect();
        let mut core_routes = Vec::new();
        for id in &endpoints {
            let place = world.pods.get(id).map_or(Place::Outside, |pod| Place::On(pod.node));
            let addresses = world.addresses(*id).unwrap_or_default();
            core_routes.extend(self.attach(*id, place, addresses)?);
        }
        self.core.settle(core_routes)?;
        self.await_agents(&endpoints)?;
        for id in &endpoints {
            if let Some(Spot { agent: Some(agent), .. }) = self.spots.get(id) {
                self.doors.add(*id, agent.socket.clone());
            }
        }
        self.start_impostors(world, &endpoints)
    }

    /// Makes an endpoint's network namespace, its link, and its agent. Gives the routes that the core has to add.
    fn attach(&mut self, id: EndpointId, place: Place, addresses: Addresses) -> Result<Vec<Request>, LabError> {
        let name = self.names.of(id).to_owned();
        if addresses.iter().next().is_none() {
            return Err(LabError::NoAddress { endpoint: name });
        }
        if self.spots.contains_key(&id) {
            return Err(LabError::Twice { endpoint: name });
        }
        let families = self.families;
        let (router, at_core) = match place {
            Place::Outside => (&mut self.core, None),
            Place::On(ordinal) => {
                let node = self.nodes.get_mut(&ordinal);
                let node =
                    node.ok_or_else(|| LabError::NoNode { endpoint: name.clone(), node: ordinal.to_string() })?;
                (&mut node.router, Some(node.at_core))
            }
        };
        let netns = Netns::create(&name)?;
        netns_settings::pod(&name, families)?;
        let at_router = router.number();
        let carried: Vec<IpAddr> = addresses.iter().filter(|address| families.carry(*address)).collect();
        let mut near = vec![link::create(
            End { name: &format!("p{}", id.0), index: at_router },
            End { name: "eth0", index: FIRST_INDEX },
            netns.descriptor(),
        )];
        near.extend(link::neighbours(at_router, Side::Near, families));
        near.extend(carried.iter().map(|address| link::route(*address, at_router)));
        router.settle(near)?;
        let mut far = vec![link::up(LOOPBACK), link::up(FIRST_INDEX)];
        far.extend(carried.iter().map(|address| link::address(FIRST_INDEX, *address)));
        far.extend(link::neighbours(FIRST_INDEX, Side::Far, families));
        far.extend(link::default_routes(FIRST_INDEX, families));
        settle(&name, &mut open(&name)?, far)?;
        self.operations.push(format!("add {name}"));
        let agent = self.start_agent(id, "agent")?;
        self.spots.insert(id, Spot { netns, place, link: at_router, addresses, agent, impostor: None });
        Ok(at_core.map(|link| carried.iter().map(|address| link::route(*address, link)).collect()).unwrap_or_default())
    }

    /// Starts an agent in the network namespace this thread is in.
    fn start_agent(&self, id: EndpointId, role: &str) -> Result<Option<Agent>, LabError> {
        let (Some(program), Some(folder)) = (&self.program, &self.folder) else { return Ok(None) };
        Agent::start(program, folder, id, self.names.of(id), role).map(Some)
    }

    fn await_agents(&mut self, endpoints: &[EndpointId]) -> Result<(), LabError> {
        let deadline = Instant::now() + START;
        for id in endpoints {
            let Some(spot) = self.spots.get_mut(id) else { continue };
            for agent in spot.agent.iter_mut().chain(spot.impostor.iter_mut()) {
                while !agent.is_up()? {
                    if Instant::now() > deadline {
                        let agent_name = self.names.of(*id).to_owned();
                        return Err(LabError::AgentLate { agent: agent_name, said: agent.last_words() });
                    }
                    std::thread::sleep(PAUSE);
                }
            }
        }
        Ok(())
    }

    /// Removes an endpoint: its agent, its link and the routes to it.
    pub(super) fn detach(&mut self, id: EndpointId) -> Result<(), LabError> {
        let Some(mut spot) = self.spots.remove(&id) else {
            return Err(LabError::NoEndpoint { endpoint: self.names.of(id).to_owned() });
        };
        self.doors.remove(id);
        self.operations.push(format!("remove {}", self.names.of(id)));
        for agent in spot.agent.iter_mut().chain(spot.impostor.iter_mut()) {
            agent.end()?;
        }
        match spot.place {
            Place::Outside => self.core.settle(vec![link::remove(spot.link)]),
            Place::On(ordinal) => {
                let Some(node) = self.nodes.get_mut(&ordinal) else { return Ok(()) };
                node.router.settle(vec![link::remove(spot.link)])?;
                let carried = spot.addresses.iter().filter(|address| self.families.carry(*address));
                let routes = carried.map(|address| link::unroute(address, node.at_core)).collect();
                self.core.settle(routes)
            }
        }
    }

    /// Where everything is.
    pub(super) fn placements(&self) -> BTreeMap<EndpointId, Placement> {
        let place = |spot: &Spot| Placement {
            node: match spot.place {
                Place::On(ordinal) => Some(ordinal.to_string()),
                Place::Outside => None,
            },
            addresses: spot.addresses,
            token: spot.agent.as_ref().map(|agent| agent.token.clone()).unwrap_or_default(),
        };
        self.spots.iter().map(|(id, spot)| (*id, place(spot))).collect()
    }

    /// What was done so far, in order: what was added and removed, and when policies were put in force.
    pub(super) fn operations(&self) -> Vec<String> {
        self.operations.clone()
    }

    /// The network namespace of an endpoint.
    pub(super) fn netns(&self, id: EndpointId) -> Result<Netns, LabError> {
        let spot = self.spots.get(&id);
        spot.map(|spot| spot.netns.clone())
            .ok_or_else(|| LabError::NoEndpoint { endpoint: self.names.of(id).to_owned() })
    }

    /// Every network namespace: endpoints by name, then nodes, then the core.
    pub(super) fn all_netns(&self) -> Vec<Netns> {
        let endpoints = self.spots.values().map(|spot| &spot.netns);
        let nodes = self.nodes.values().map(|node| &node.router.netns);
        endpoints.chain(nodes).chain([&self.core.netns]).cloned().collect()
    }

    /// Ends every agent and removes the folder, going on after errors; the network namespaces go with their last
    /// descriptor.
    pub(super) fn end(&mut self) -> Vec<LabError> {
        let mut errors = Vec::new();
        for (id, mut spot) in std::mem::take(&mut self.spots) {
            self.doors.remove(id);
            for agent in spot.agent.iter_mut().chain(spot.impostor.iter_mut()) {
                errors.extend(agent.end().err());
            }
        }
        self.nodes.clear();
        if let Some(folder) = self.folder.take() {
            errors.extend(folder.remove().err());
        }
        errors
    }

    fn program(&self) -> Option<&Path> {
        self.program.as_deref()
    }
}

impl Router {
    /// Makes one in a network namespace of its own, which the calling thread is in from now on. `number` tells its own
    /// addresses, which only its error messages use, from the others'.
    fn make(name: &str, families: Families, number: u8) -> Result<Self, LabError> {
        let netns = Netns::create(name)?;
        netns_settings::router(name, families)?;
        let mut router = Self { netns, channel: open(name)?, next: FIRST_INDEX };
        let own = own(number).into_iter().filter(|address| families.carry(*address));
        let mut requests = vec![link::up(LOOPBACK)];
        requests.extend(own.map(|address| link::address(LOOPBACK, address)));
        router.settle(requests)?;
        Ok(router)
    }

    fn number(&mut self) -> u32 {
        let number = self.next;
        self.next += 1;
        number
    }

    fn settle(&mut self, requests: Vec<Request>) -> Result<(), LabError> {
        settle(self.netns.name(), &mut self.channel, requests)
    }
}

/// A router's own addresses: outside whatever a scenario may use.
fn own(number: u8) -> [IpAddr; 2] {
    let v6 = Ipv6Addr::new(0xfdfe, 0x6c65, 0x616b, 0, 0, 0, 0, number.into());
    [Ipv4Addr::new(169, 254, 2, number).into(), v6.into()]
}

impl Families {
    /// Whether this kernel carries an address.
    fn carry(self, address: IpAddr) -> bool {
        match self {
            Self::Both => true,
            Self::V4Only => address.is_ipv4(),
        }
    }
}

fn open(netns: &str) -> Result<Channel, LabError> {
    Channel::open(NETLINK_ROUTE).map_err(|source| LabError::Netlink { netns: netns.to_owned(), source })
}

fn settle(netns: &str, channel: &mut Channel, requests: Vec<Request>) -> Result<(), LabError> {
    channel.settle(requests).map_err(|source| LabError::Netlink { netns: netns.to_owned(), source })
}
