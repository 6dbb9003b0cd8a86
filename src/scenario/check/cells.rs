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
const WORK: u64 = 30_000_000;

/// At which ports each endpoint is probed.
pub(super) struct Ports(BTreeMap<EndpointId, BTreeSet<Port>>);

/// What each endpoint serves, and what an expectation names for it.
pub(super) fn ports(cast: &Cast, stages: &[Vec<Resolved>]) -> Ports {
    let mut all: BTreeMap<EndpointId, BTreeSet<Port>> = BTreeMap::new();
    for id in (0..).map(EndpointId).take(cast.endpoints.len()) {
        all.insert(id, cast.serves(id).iter().map(|served| served.port).collect());
    }
    for entry in stages.iter().flatten() {
        for (port, id) in entry.port.iter().flat_map(|port| entry.to.iter().map(move |id| (port, id))) {
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
        for port in self.of(id) {
            if !serves.iter().any(|served| served.port == port) {
                serves.push(ServedPort { port, name: None });
            }
        }
    }
}

/// The table of all flows, and which of them are cells of which stage.
pub(super) struct Layout {
    /// The table.
    pub table: Arc<FlowTable>,
    stages: Vec<Arc<CellSet>>,
    left: Cell<u64>,
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
        let layout = Self { table: Arc::new(FlowTable::new([])), stages: Vec::new(), left: Cell::new(WORK) };
        let mut pairs: BTreeSet<(EndpointId, EndpointId)> = BTreeSet::new();
        let mut sets: BTreeSet<Vec<EndpointId>> = BTreeSet::new();
        for stage in &played.stages {
            sets.insert(stage.world.pods.keys().copied().collect());
        }
        for pods in sets {
            layout.spend((pods.len() * pods.len()) as u64, at, log)?;
            pairs.extend(pods.iter().flat_map(|source| pods.iter().map(move |destination| (*source, *destination))));
        }
        let mut flows: Vec<Flow> = Vec::new();
        for (source, destination) in pairs {
            for port in ports.of(destination) {
                layout.spend(cast.families.len() as u64, at, log)?;
                flows.extend(cast.families.iter().map(|family| Flow { source, destination, family: *family, port }));
            }
        }
        for entry in stages.iter().flatten() {
            for (source, destination) in entry.from.iter().flat_map(|s| entry.to.iter().map(move |d| (*s, *d))) {
                let (from, to) = (cast.outside.contains_key(&source), cast.outside.contains_key(&destination));
                if from == to {
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
        Some(Self { table, stages: cells, left: layout.left })
    }

    /// The cells of a stage.
    pub fn cells(&self, stage: usize) -> Arc<CellSet> {
        self.stages.get(stage).cloned().unwrap_or_else(|| Arc::new(CellSet::new(Arc::clone(&self.table), |_| false)))
    }

    /// The cells of the bare world.
    pub fn baseline(&self, bare: &World) -> Arc<CellSet> {
        cells_of(&self.table, bare)
    }

    /// The cells between two endpoints, each with its place in the set.
    pub fn between<'c>(
        &self,
        cells: &'c CellSet,
        source: EndpointId,
        destination: EndpointId,
    ) -> impl Iterator<Item = (usize, Flow)> + 'c {
        // Cells are in the order of their flows.
        let flow = |place: usize| cells.id(place).and_then(|id| cells.table().get(id)).copied();
        let (mut low, mut high) = (0, cells.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if flow(middle).is_some_and(|flow| (flow.source, flow.destination) < (source, destination)) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        (low..cells.len()).map_while(move |place| {
            flow(place)
                .filter(|flow| (flow.source, flow.destination) == (source, destination))
                .map(|flow| (place, flow))
        })
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
    let there = |id: &EndpointId| world.pods.contains_key(id) || world.outside.contains_key(id);
    Arc::new(CellSet::new(Arc::clone(table), |flow| there(&flow.source) && there(&flow.destination)))
}
