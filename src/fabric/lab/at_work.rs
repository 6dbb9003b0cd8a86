//! Faults at work in a world of the lab: what is done on a schedule, or some time after a change.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::Names;
use super::fault::{Deed, FaultPlan};
use super::journal::{Done, Journal};
use super::keeper::Keeper;
use super::nft::Treatment;
use super::site::{Enforcement, Site};
use crate::clock;
use crate::model::endpoint::{EndpointId, NodeOrdinal};
use crate::model::happening::Turn;
use crate::model::moment::Moment;
use crate::scenario::world::World;

/// The faults of a world.
#[derive(Debug)]
pub(super) struct AtWork {
    keeper: Keeper,
    names: Names,
    plan: FaultPlan,
    tasks: JoinSet<()>,
    pub(super) journal: Arc<Journal>,
}

impl AtWork {
    pub(super) fn new(keeper: Keeper, names: Names, plan: FaultPlan) -> Self {
        Self { keeper, names, plan, tasks: JoinSet::new(), journal: Arc::default() }
    }

    /// When a change is enforced, seen from when it is made.
    pub(super) fn enforcement(&self) -> Enforcement {
        if self.plan.late.is_zero() { Enforcement::AtOnce } else { Enforcement::Later }
    }

    /// Ends what is still to be done.
    pub(super) async fn stop(&mut self) {
        self.tasks.shutdown().await;
    }

    /// Sets the plan to work; the first change has just been made.
    pub(super) fn begin(&mut self) {
        let begin = Instant::now();
        let schedule: Vec<_> =
            self.plan.schedule.iter().map(|(after, deed)| (*after, *deed, self.describe(*deed))).collect();
        let (keeper, journal) = (self.keeper.clone(), Arc::clone(&self.journal));
        // One after the other: on a machine too busy to keep the times, what was lost must not be found before.
        self.tasks.spawn(async move {
            for (after, deed, described) in schedule {
                sleep_until(begin + after).await;
                let done = keeper.ask(move |site| site.act(deed)).await;
                journal.note(done.map(|at| Done { at, ..described }));
            }
        });
        // Flapping flows flap together; of several periods the shortest holds.
        if let Some(period) = self.plan.flaps.iter().map(|(.., period)| *period).min() {
            let (keeper, journal) = (self.keeper.clone(), Arc::clone(&self.journal));
            self.tasks.spawn(flap(keeper, journal, begin, period));
        }
    }

    /// A deed in words, to be dated when it is done.
    fn describe(&self, deed: Deed) -> Done {
        let begins = |state: &str| Turn::Begins { state: state.to_owned() };
        let told = |subject: String, node, what: &str, turn| Done {
            at: Moment::default(),
            what: format!("{subject} {what}"),
            subject,
            node,
            turn,
        };
        let node = |node: NodeOrdinal, what, turn| told(node.to_string(), Some(node), what, turn);
        let agent = |id, what, turn| told(format!("the agent of {}", self.names.of(id)), None, what, turn);
        match deed {
            Deed::Lose(at) => node(at, "lost its rules", begins("without its rules")),
            Deed::Find(at) => node(at, "found its rules again", Turn::Ends),
            Deed::Demolish(at) => node(at, "removed its packet filter", begins("without its packet filter")),
            Deed::Rebuild(at) => node(at, "built its packet filter again", Turn::Ends),
            Deed::Empty(at) => node(at, "has no pods in its sets", begins("without pods in its sets")),
            Deed::Fill(at) => node(at, "filled its sets", Turn::Ends),
            Deed::Halt(at) => node(at, "stopped forwarding", begins("not forwarding")),
            Deed::Resume(at) => node(at, "forwards again", Turn::Ends),
            Deed::LosePacket(from, to, port) => told(
                format!("{} -> {}:{port}", self.names.of(from), self.names.of(to)),
                None,
                "loses its next first packet",
                Turn::None,
            ),
            Deed::Strand(from, to) => told(
                self.names.of(from).to_owned(),
                None,
                &format!("has no way to {}", self.names.of(to)),
                begins(&format!("without a way to {}", self.names.of(to))),
            ),
            Deed::Relieve(from, to) => told(
                self.names.of(from).to_owned(),
                None,
                &format!("has its way to {} again", self.names.of(to)),
                Turn::Ends,
            ),
            Deed::Kill(id) => agent(id, "was killed", begins("dead")),
            Deed::Stop(id) => agent(id, "was stopped", begins("stopped")),
            Deed::Continue(id) => agent(id, "went on", Turn::Ends),
            Deed::Cut(id) => told(format!("the control stream to {}", self.names.of(id)), None, "was cut", Turn::None),
        }
    }

    /// Sees to it that pods that were added are treated like any other some time from now.
    pub(super) fn raise_young(&mut self, added: &[EndpointId]) {
        let Some((how, time)) = self.plan.births else { return };
        for id in added.iter().copied() {
            let (keeper, journal) = (self.keeper.clone(), Arc::clone(&self.journal));
            let subject = self.names.of(id).to_owned();
            let (begun, state, over) = match how {
                Treatment::Cut => ("came up cut off", "cut off", "is let through"),
                Treatment::Pass => ("came up held to no policy", "held to no policy", "is held to its policies"),
            };
            let told = move |at, what: &str, turn| {
                let what = format!("{subject} {what}");
                Done { at, what, subject: subject.clone(), node: None, turn }
            };
            journal.note(Ok(told(clock::now(), begun, Turn::Begins { state: state.to_owned() })));
            self.tasks.spawn(async move {
                sleep(time).await;
                let done = keeper.ask(move |site| site.grown(id)).await;
                journal.note(done.map(|at| told(at, over, Turn::Ends)));
            });
        }
    }

    /// Sees to the enforcement of the change with that number some time from now.
    pub(super) fn enforce_later(&mut self, after: &World, number: u64) {
        let (keeper, journal) = (self.keeper.clone(), Arc::clone(&self.journal));
        let (world, late) = (after.clone(), self.plan.late);
        self.tasks.spawn(async move {
            sleep(late).await;
            let done = keeper.ask(move |site| site.enforce(world, number)).await;
            journal.note(done.map(|at| Done::of_lab(at, "a change was enforced late")));
        });
    }
}

async fn flap(keeper: Keeper, journal: Arc<Journal>, begin: Instant, period: Duration) {
    let mut next = begin;
    loop {
        sleep_until(next).await;
        next += period;
        let done = keeper.ask(Site::flap).await;
        let failed = done.is_err();
        journal.note(done.map(|(at, how)| {
            let what = match how {
                Treatment::Pass => "flapping flows are let through",
                Treatment::Cut => "flapping flows are cut",
            };
            Done::of_lab(at, what)
        }));
        if failed {
            break;
        }
    }
}
