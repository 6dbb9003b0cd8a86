//! The flows of a scenario and the cells of its stages.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::cast::Cast;
use super::expectations::Resolved;
use super::stages::Played;
use crate::model::endpoint::EndpointId;
use crate::model::flow::{CellSet, Flow, FlowTable};
use crate::model::port::{Port, ServedPort};
use crate::scenario::diagnostic::Code;
use crate::scenario::log::{Log, error};
use crate::scenario::text::Span;
use crate::scenario::world::World;

/// The most cells over all stages, and the most that expectations may cover counted one by one.
const WORK: u64 = 16_000_000;

/// At which ports each endpoint is probed.
pub(super) struct Ports(BTreeMap<EndpointId, BTreeSet<Port>>);

/// What each endpoint serves, and what an expectation names for it.
pub(super) fn ports(cast: &Cast, stages: &[Vec<Resolved>]) -> Ports {
    let mut all: BTreeMap<EndpointId, BTreeSet<Port>> = BTreeMap::new();
    for id in (0..).map(EndpointId).take(cast.endpoints.len()) {
        let own = cast.services.get(&id).into_iter().flat_map(|service| &service.ports).map(|port| port.port);
        all.insert(id, cast.serves(id).into_iter().chain(own).collect());
    }
    for entry in stages.iter().flatten() {
        // A Service has the ports it has; whoever else is named with one listens on it.
        let to = entry.to.iter().filter(|id| !cast.services.contains_key(id));
        for (port, id) in entry.port.iter().flat_map(|port| to.clone().map(move |id| (port, id))) {
            all.entry(*id).or_default().insert(*port);
        }
    }
    Ports(all)
}

impl Ports {
    /// At which ports an endpoint is probed.
    pub fn of(&self, id: EndpointId) -> impl Iterator<Item = Port> + '_ {
        self.0.get(&id).into_iter().flatten().copied()
    }

    /// Adds the ports that only an expectation names to what is listened on.
    pub fn listen(&self, world: &mut World) {
        for (id, pod) in &mut world.pods {
            self.extend(*id, &mut pod.serves);
        }
        for (id, outside) in &mut world.outside {
            self.extend(*id, &mut outside.serves);
        }
    }

    /// The same for one endpoint.
    pub fn extend(&self, id: EndpointId, serves: &mut Vec<ServedPort>) {
        let there: BTreeSet<Port> = serves.iter().map(|served| served.port).collect();
        serves.extend(self.of(id).filter(|port| !there.contains(port)).map(|port| ServedPort { port, name: None }));
    }
}

/// The table of all flows, and which of them are cells of which stage.
pub(super) struct Layout {
    /// The table.
    pub table: Arc<FlowTable>,
    stages: Vec<Arc<CellSet>>,
    endpoints: usize,
    left: Cell<u64>,
}

/// The cells of one stage by their ends.
pub(super) struct Index<'c> {
    cells: &'c CellSet,
    first: Vec<u32>,
    endpoints: usize,
}

impl Index<'_> {
    /// The cells between two endpoints, each with its place in the set.
    pub fn between(&self, source: EndpointId, destination: EndpointId) -> impl Iterator<Item = (usize, Flow)> + '_ {
        let first = self.first.get(source.index() * self.endpoints + destination.index()).copied();
        let first = first.map_or(usize::MAX, |place| place as usize);
        (first..self.cells.len()).map_while(move |place| {
            let flow = self.cells.id(place).and_then(|id| self.cells.table().get(id)).copied()?;
            (flow.source == source && flow.destination == destination).then_some((place, flow))
        })
    }
}

/// In which stages each pod is there, a bit a stage.
fn presence(played: &Played) -> BTreeMap<EndpointId, Vec<u64>> {
    let words = played.stages.len().div_ceil(64);
    let mut all: BTreeMap<EndpointId, Vec<u64>> = BTreeMap::new();
    for (place, stage) in played.stages.iter().enumerate() {
        for id in stage.world.pods.keys() {
            if let Some(word) = all.entry(*id).or_insert_with(|| vec![0; words]).get_mut(place / 64) {
                *word |= 1 << (place % 64);
            }
        }
    }
    all
}

impl Layout {
    /// Lays out all flows. None where there are too many.
    pub fn new(
        played: &Played,
        stages: &[Vec<Resolved>],
        ports: &Ports,
        cast: &Cast,
        at: Span,
        log: &mut Log,
    ) -> Option<Self> {
        let layout = Self {
            table: Arc::new(FlowTable::new([])),
            stages: Vec::new(),
            endpoints: cast.endpoints.len(),
            left: Cell::new(WORK),
        };
        let presence = presence(played);
        layout.spend((presence.len() * presence.len()) as u64, at, log)?;
        let mut flows: Vec<Flow> = Vec::new();
        for (source, when) in &presence {
            for (destination, then) in &presence {
                // Two pods that are never there together make no flow.
                if !when.iter().zip(then).any(|(a, b)| a & b != 0) {
                    continue;
                }
                for port in ports.of(*destination) {
                    layout.spend(cast.families.len() as u64, at, log)?;
                    flows.extend(cast.families.iter().map(|family| Flow {
                        source: *source,
                        destination: *destination,
                        family: *family,
                        port,
                    }));
                }
            }
        }
        for entry in stages.iter().flatten() {
            for (source, destination) in entry.from.iter().flat_map(|s| entry.to.iter().map(move |d| (*s, *d))) {
                let outside = |id| cast.outside.contains_key(id);
                // Between pods the cells are there already, and outside the cluster no Service's address is known.
                let makes_cells = if cast.services.contains_key(&destination) {
                    !outside(&source)
                } else {
                    outside(&source) != outside(&destination)
                };
                if !makes_cells {
                    continue;
                }
                for port in ports.of(destination).filter(|port| entry.port.is_none_or(|only| only == *port)) {
                    layout.spend(cast.families.len() as u64, entry.span, log)?;
                    flows.extend(cast.families.iter().map(|family| Flow {
                        source,
                        destination,
                        family: *family,
                        port,
                    }));
                }
            }
        }
        let table = Arc::new(FlowTable::new(flows));
        let mut cells = Vec::new();
        for stage in &played.stages {
            layout.spend(table.len() as u64, stage.span, log)?;
            cells.push(cells_of(&table, &stage.world));
        }
        Some(Self { table, stages: cells, ..layout })
    }

    /// The cells of a stage.
    pub fn cells(&self, stage: usize) -> Arc<CellSet> {
        self.stages.get(stage).cloned().unwrap_or_else(|| Arc::new(CellSet::new(Arc::clone(&self.table), |_| false)))
    }

    /// The cells of the bare world.
    pub fn baseline(&self, bare: &World) -> Arc<CellSet> {
        cells_of(&self.table, bare)
    }

    /// Makes the cells of a stage quick to find by their ends. None where there are too many.
    pub fn index<'c>(&self, cells: &'c CellSet, at: Span, log: &mut Log) -> Option<Index<'c>> {
        self.spend((self.endpoints * self.endpoints) as u64, at, log)?;
        let mut first = vec![u32::MAX; self.endpoints * self.endpoints];
        for (place, (_, flow)) in (0u32..).zip(cells.iter()) {
            let slot = first.get_mut(flow.source.index() * self.endpoints + flow.destination.index());
            // Cells are in the order of their flows: those between two endpoints stand together.
            if let Some(slot) = slot.filter(|slot| **slot == u32::MAX) {
                *slot = place;
            }
        }
        Some(Index { cells, first, endpoints: self.endpoints })
    }

    /// Takes from what may be spent, so that no file keeps us for long. None where nothing is left.
    pub fn spend(&self, cost: u64, span: Span, log: &mut Log) -> Option<()> {
        match self.left.get().checked_sub(cost) {
            Some(left) => {
                self.left.set(left);
                Some(())
            }
            None => {
                let message = "this scenario has too many flows";
                let help = "fewer pods, ports or steps, or expectations that cover fewer flows each";
                log.push(error(Code::TooLarge, message).at(span).help(help));
                None
            }
        }
    }
}

fn cells_of(table: &Arc<FlowTable>, world: &World) -> Arc<CellSet> {
    let mut there: Vec<bool> = Vec::new();
    for id in world.endpoints().chain(world.services.keys().copied()) {
        if there.len() <= id.index() {
            there.resize(id.index() + 1, false);
        }
        if let Some(slot) = there.get_mut(id.index()) {
            *slot = true;
        }
    }
    let there = |id: EndpointId| there.get(id.index()).copied().unwrap_or_default();
    Arc::new(CellSet::new(Arc::clone(table), |flow| there(flow.source) && there(flow.destination)))
}
