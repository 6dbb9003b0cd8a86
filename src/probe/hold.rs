//! Connections that agents hold open: who holds which, and what both ends saw of each.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::model::endpoint::EndpointId;
use crate::model::flow::{Flow, FlowId};
use crate::model::moment::{Moment, nanoseconds};
use crate::wire::{HeldCell, HeldReport, Hold, ServedReport};

use super::order::{HeldBy, Order};
use super::{Crew, Member, ProbeError};

/// A held connection.
#[derive(Debug, Clone, PartialEq)]
pub struct Holding {
    /// Its flow.
    pub flow: FlowId,
    /// What its source saw; none where its agent does not answer.
    pub source: Option<HeldReport>,
    /// What its destination saw; none where its agent does not answer, or never saw it.
    pub destination: Option<ServedReport>,
}

impl Crew {
    /// Has these connections held open and no others, a message going once in `every`, for `expires` at most. Whether
    /// they came about the report says.
    ///
    /// # Errors
    /// When one cannot be dialled, or an agent does not answer in time or refuses.
    pub async fn hold(
        &mut self,
        cells: &[(FlowId, Flow)],
        every: Duration,
        expires: Duration,
    ) -> Result<(), ProbeError> {
        let id = self.next_plan();
        let parts = split(cells, self.members())?;
        let answers = self.send_to_each(|endpoint, answer| {
            let connections = parts.get(&endpoint).cloned().unwrap_or_default();
            let hold = Hold { id, connections, interval: nanoseconds(every), expires: nanoseconds(expires) };
            Order::Hold(hold, answer)
        });
        self.gather_from_living(answers).await.map(|_| ())
    }

    /// What became of these connections so far.
    pub async fn holdings(&mut self, cells: &[(FlowId, Flow)]) -> Vec<Holding> {
        let id = self.next_plan();
        let patience = self.patience();
        let asked: Vec<_> = self
            .orders_of_the_living()
            .map(|orders| {
                let (answer, answered) = oneshot::channel();
                // A session that is gone does not answer.
                let _sent = orders.send(Order::Report(id, answer));
                timeout(patience, answered)
            })
            .collect();
        let mut held: BTreeMap<u32, HeldReport> = BTreeMap::new();
        let mut served: BTreeMap<u32, ServedReport> = BTreeMap::new();
        for answer in join_all(asked).await {
            let Ok(Ok(Ok(HeldBy { held: by_source, served: by_destination }))) = answer else { continue };
            held.extend(by_source.into_iter().map(|report| (report.cell, report)));
            served.extend(by_destination.into_iter().map(|report| (report.cell, report)));
        }
        let mut holding = |(flow, _): &(FlowId, Flow)| Holding {
            flow: *flow,
            source: held.remove(&flow.0),
            destination: served.remove(&flow.0),
        };
        cells.iter().map(&mut holding).collect()
    }

    /// When an endpoint's agent could not see, or was late to answer, as far as it has told.
    pub fn blindness(&self, endpoint: EndpointId) -> Vec<(Moment, Moment)> {
        let report = self.report_of(endpoint).unwrap_or_default();
        report.blind.iter().map(|(from, until, _)| (*from, *until)).chain(report.late).collect()
    }
}

fn split(
    cells: &[(FlowId, Flow)],
    members: &BTreeMap<EndpointId, Member>,
) -> Result<BTreeMap<EndpointId, Vec<HeldCell>>, ProbeError> {
    let mut parts: BTreeMap<EndpointId, Vec<HeldCell>> = BTreeMap::new();
    for (id, flow) in cells {
        let stranger = ProbeError::Stranger { flow: *id, endpoint: flow.destination };
        let destination = members.get(&flow.destination).ok_or(stranger)?;
        let address = destination.addresses.of(flow.family).ok_or_else(|| ProbeError::NoAddress {
            flow: *id,
            name: destination.name.clone(),
            family: flow.family,
        })?;
        parts.entry(flow.source).or_default().push(HeldCell {
            cell: id.0,
            to: SocketAddr::new(address, flow.port.number.get()),
            expects: destination.name.clone(),
        });
    }
    Ok(parts)
}
