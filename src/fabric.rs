//! Where a scenario is made real. A fabric realises a scenario's bare world, makes its changes, and removes it all.
//!
//! Nothing here judges, and nothing here knows the oracle: the lab compiles policies by its own reading of them.

pub mod cluster;
pub mod lab;
mod secret;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::path::Path;
use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::model::document::FabricInfo;
use crate::model::endpoint::{Addresses, EndpointId};
use crate::model::event::Listener;
use crate::model::flow::Flow;
use crate::model::foreign::ForeignPolicy;
use crate::model::happening::{About, Turn};
use crate::model::moment::Moment;
use crate::scenario::world::{Pod, World};
use crate::scenario::{Change, Phases, Scenario};

/// A place where scenarios can be made real.
pub trait Fabric: Send + Sync {
    /// What it makes: the only thing that can be probed.
    type Realised: Realised;
    /// Why it could not.
    type Error: std::error::Error + Send + Sync + 'static;

    /// What is known of the place before anything is made.
    fn place(&self) -> impl Future<Output = FabricInfo> + Send;

    /// Reads, without touching anything, what is there already and takes the place of what the scenario's file says; none
    /// where everything is made as the file says.
    fn survey(
        &self,
        _scenario: &Scenario,
        _run: &str,
    ) -> impl Future<Output = Result<Option<Surveyed>, Self::Error>> + Send {
        std::future::ready(Ok(None))
    }

    /// Makes the scenario's bare world (no policies), with an agent in every endpoint that this fabric can place. On
    /// failure, and once `enough` is cancelled, whatever was made is removed again before this returns.
    fn realise(
        &self,
        scenario: &Scenario,
        run: &str,
        listener: &dyn Listener,
        enough: CancellationToken,
    ) -> impl Future<Output = Result<Self::Realised, Self::Error>> + Send;
}

/// A scenario in a world that was there before it.
#[derive(Debug, Clone)]
pub struct Surveyed {
    /// The scenario, with what was found in the place of what its file says.
    pub scenario: Scenario,
    /// What a person should know of it.
    pub remarks: Vec<String>,
}

/// A world made real.
pub trait Realised: Send + Sync {
    /// Why something could not be done.
    type Error: std::error::Error + Send + Sync + 'static;

    /// What it is, for the first line of every report.
    fn info(&self) -> FabricInfo;

    /// Where everything was placed.
    fn placements(&self) -> &BTreeMap<EndpointId, Placement>;

    /// What a person should know of how this world differs from what the scenario thought of.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    /// Policies of somebody else that select endpoints of this world.
    fn foreign(&self) -> Vec<ForeignPolicy> {
        Vec::new()
    }

    /// Opens control streams to agents, as often as wanted, from any task.
    fn dial(&self) -> Arc<dyn Dial>;

    /// Makes the changes of one step in the order of [`Phases`]; `after` is the world once they are made. Placements of
    /// added pods are there when this returns. The order is written here and nowhere else, so that no two fabrics differ in
    /// it.
    fn enact(
        &mut self,
        changes: &[Change],
        after: &World,
    ) -> impl Future<Output = Result<Enacted, Self::Error>> + Send {
        async move {
            let Phases { removed, changed, added } = Phases::of(changes);
            let mut sent = clock::now();
            if !removed.is_empty() {
                sent = self.remove_pods(&removed).await?;
            }
            let last = self.change(&changed, after).await?;
            if !changed.is_empty() {
                sent = last;
            }
            if !added.is_empty() {
                sent = self.add_pods(&added, after).await?;
            }
            Ok(Enacted { sent, acknowledged: clock::now() })
        }
    }

    /// Removes these pods and waits until they are gone. Gives when the last removal was sent.
    fn remove_pods(&mut self, pods: &[EndpointId]) -> impl Future<Output = Result<Moment, Self::Error>> + Send;

    /// Makes these changes, none of which adds or removes a pod, and puts the policies of `after` in force. Gives when the
    /// last change was sent.
    fn change(&mut self, changes: &[Change], after: &World)
    -> impl Future<Output = Result<Moment, Self::Error>> + Send;

    /// Adds these pods of the world `after` and waits until their agents run. Gives when the last addition was sent.
    fn add_pods(
        &mut self,
        pods: &[(EndpointId, Pod)],
        after: &World,
    ) -> impl Future<Output = Result<Moment, Self::Error>> + Send;

    /// What is lacking here to carry a flow, where something is: Services, an engine for a kind of policy. `world` is the
    /// world as it is then. Endpoints that were not placed, and families they have not, are known without asking.
    fn lacks(&self, _world: &World, _flow: &Flow) -> Option<String> {
        None
    }

    /// Begins to keep a log of what happens around this world that is none of its own changes, for
    /// [`happenings`](Self::happenings). Gives a sentence for what cannot be followed; that costs no verdict. Where all
    /// there is to tell is told anyway, there is nothing to begin.
    fn keep_log(&mut self) -> impl Future<Output = Vec<String>> + Send {
        std::future::ready(Vec::new())
    }

    /// What happened of itself so far, deliberate faults for instance; what comes later is added at the end.
    fn happenings(&self) -> Vec<Happened>;

    /// For a person who wants to look inside: a line for each place and the command that leads there.
    fn steps_inside(&self) -> impl Future<Output = Vec<String>> + Send;

    /// Gathers what a person needs to find out why something failed (objects as they are, events, logs, rules) into
    /// files in a folder, before anything is removed; `concerned` are the endpoints of what failed. Gives the names of
    /// the files, and goes on after errors, which it writes into one of them.
    fn gather(&self, folder: &Path, concerned: &BTreeSet<EndpointId>) -> impl Future<Output = Vec<String>> + Send;

    /// Removes everything, going on after errors, and returns them all. Dropping without it only reports what is left.
    fn tear_down(self) -> impl Future<Output = Vec<Self::Error>> + Send;
}

/// Where an endpoint was placed.
#[derive(Debug, Clone, PartialEq)]
pub struct Placement {
    /// The node's name; none for what is outside.
    pub node: Option<String>,
    /// The addresses it really has.
    pub addresses: Addresses,
    /// What the agent asks of whoever opens a control stream.
    pub token: String,
}

/// Changes made. Both on the harness's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enacted {
    /// When the last change was sent: time to enforce counts from here, or from when both agents of a flow run.
    pub sent: Moment,
    /// When the last change was acknowledged.
    pub acknowledged: Moment,
}

/// Something that happened of itself, on the harness's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happened {
    /// When it was heard of.
    pub at: Moment,
    /// The earliest it can have been, where nothing was heard for a while just before.
    pub since: Option<Moment>,
    /// What sort of thing it happened to.
    pub about: About,
    /// The node it concerns, where it is one node's.
    pub node: Option<String>,
    /// What it happened to.
    pub subject: String,
    /// What happened, in words.
    pub what: String,
    /// Whether a state of the subject began or ended with it.
    pub turn: Turn,
    /// When it was by the account of whoever made it happen: RFC 3339, on that machine's clock.
    pub stamped: Option<String>,
}

impl Happened {
    /// Heard of at a moment; all else is to be added.
    pub fn new(at: Moment, about: About, subject: impl Into<String>, what: impl Into<String>) -> Self {
        let (subject, what) = (subject.into(), what.into());
        Self { at, since: None, about, node: None, subject, what, turn: Turn::None, stamped: None }
    }

    /// With it a state of the subject began, in words that follow `was`.
    #[must_use]
    pub fn beginning(self, state: &str) -> Self {
        Self { turn: Turn::Begins { state: state.to_owned() }, ..self }
    }

    /// With it the subject's state ended.
    #[must_use]
    pub fn ending(self) -> Self {
        Self { turn: Turn::Ends, ..self }
    }
}

/// A duplex byte stream to an agent.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Opens control streams, on a way that no network policy can cut.
pub trait Dial: Send + Sync {
    /// Opens one.
    ///
    /// # Errors
    /// As the way there has them. Retried by the caller while the agent may still come back.
    fn dial(&self, endpoint: EndpointId) -> BoxFuture<'_, std::io::Result<Box<dyn Stream>>>;
}
