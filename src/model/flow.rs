//! What could be sent: flows, the table of all of a scenario's flows, and the cells of one stage.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::endpoint::{EndpointId, Family};
use super::port::Port;

/// One possible connection. Ephemeral source ports do not count: every probe takes a fresh one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Flow {
    /// Who opens it.
    pub source: EndpointId,
    /// Who is to answer.
    pub destination: EndpointId,
    /// Over which IP version.
    pub family: Family,
    /// At which port of the destination.
    pub port: Port,
}

/// A flow's place in its scenario's [`FlowTable`]; counts from 0. It is also the cell's number in agents' plans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FlowId(pub u32);

impl FlowId {
    /// As an index into the table.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Every flow of a scenario over all its stages, sorted: by source, then destination, family, port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowTable {
    flows: Vec<Flow>,
}

impl FlowTable {
    /// Sorts the flows and drops doubles. A flow from an endpoint to itself is no cell (no policy can deny it) and is
    /// dropped too.
    pub fn new(flows: impl IntoIterator<Item = Flow>) -> Self {
        let mut flows: Vec<Flow> = flows.into_iter().filter(|f| f.source != f.destination).collect();
        flows.sort_unstable();
        flows.dedup();
        Self { flows }
    }

    /// The flow of an id that this table gave out.
    pub fn get(&self, id: FlowId) -> Option<&Flow> {
        self.flows.get(id.index())
    }

    /// The id of a flow.
    pub fn find(&self, flow: &Flow) -> Option<FlowId> {
        self.flows.binary_search(flow).ok().map(|place| FlowId(place as u32))
    }

    /// All, in order of id.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (FlowId, &Flow)> {
        self.flows.iter().enumerate().map(|(place, flow)| (FlowId(place as u32), flow))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.flows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.flows.is_empty()
    }
}

/// The cells of one stage: those flows of the table whose two endpoints exist then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CellSet {
    table: Arc<FlowTable>,
    ids: Vec<FlowId>,
}

impl CellSet {
    /// The flows of `table` that `present` keeps.
    pub fn new(table: Arc<FlowTable>, mut present: impl FnMut(&Flow) -> bool) -> Self {
        let ids = table.iter().filter(|(_, flow)| present(flow)).map(|(id, _)| id).collect();
        Self { table, ids }
    }

    /// Those of these cells that `keeps` keeps.
    pub fn only(&self, mut keeps: impl FnMut(FlowId, &Flow) -> bool) -> Self {
        let ids = self.iter().filter(|(id, flow)| keeps(*id, flow)).map(|(id, _)| id).collect();
        Self { table: Arc::clone(&self.table), ids }
    }

    /// The cells, in order of id.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (FlowId, &Flow)> {
        self.ids.iter().map(|id| (*id, &self.table.flows[id.index()]))
    }

    /// The place of a cell in this set.
    pub fn place(&self, id: FlowId) -> Option<usize> {
        self.ids.binary_search(&id).ok()
    }

    /// The id at a place.
    pub fn id(&self, place: usize) -> Option<FlowId> {
        self.ids.get(place).copied()
    }

    /// The table the ids point into.
    pub fn table(&self) -> &Arc<FlowTable> {
        &self.table
    }

    /// How many cells there are.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }
}

/// A flow with names instead of ids, as people and files see it: `intruder -> data-store:5432/tcp`, with ` (IPv6)`
/// behind it where it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NamedFlow {
    /// The source's name.
    pub from: String,
    /// The destination's name.
    pub to: String,
    /// IP version.
    pub family: Family,
    /// Port at the destination.
    pub port: Port,
}

impl fmt::Display for NamedFlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}:{}", self.from, self.to, self.port)?;
        match self.family {
            Family::V4 => Ok(()),
            Family::V6 => f.write_str(" (IPv6)"),
        }
    }
}

/// Looks endpoints up by name.
pub type EndpointNames = HashMap<String, EndpointId>;
