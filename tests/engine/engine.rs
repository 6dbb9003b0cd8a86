//! The engine at work: a change in the cluster becomes rules on the nodes, at once or as late as a fault wants it.

use std::collections::{BTreeMap, VecDeque};

use leakproof::fabric::lab::{Elsewhere, Host, Leftover, Treatment, Trouble, Wrong};
use leakproof::model::endpoint::NodeOrdinal;
use leakproof::scenario::world::World;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep_until};

use super::Failure;
use super::faults::{Deed, Plan};
use super::objects::{Objects, Seen};

/// Whether faults have begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Faults {
    /// There is no policy: nothing to get wrong.
    Waiting,
    /// Since then.
    Begun(Instant),
}

struct Engine {
    plan: Plan,
    nodes: BTreeMap<String, NodeOrdinal>,
    filters: Elsewhere,
    /// What was seen last.
    seen: Option<Seen>,
    /// What is in force.
    enforced: Seen,
    /// What is to be enforced when; in order of time.
    waiting: VecDeque<(Instant, Seen)>,
    faults: Faults,
    flap: Treatment,
    next_flap: Option<Instant>,
    /// How much of the schedule is done.
    done: usize,
}

/// Enforces until told to end, then takes all rules away.
pub async fn run(hosts: Vec<Host>, leftover: Leftover, objects: &Objects, plan: Plan) -> Result<(), Failure> {
    let [mut end, mut interrupt] = [SignalKind::terminate(), SignalKind::interrupt()].map(signal);
    let (end, interrupt) = (end.as_mut().map_err(|e| e.to_string())?, interrupt.as_mut().map_err(|e| e.to_string())?);
    let nodes = hosts.iter().map(|host| (host.name.clone(), host.ordinal)).collect();
    let filters = Elsewhere::install(hosts, leftover, plan.denial)?;
    let mut engine = Engine {
        plan,
        nodes,
        filters,
        seen: None,
        enforced: Seen::default(),
        waiting: VecDeque::new(),
        faults: Faults::Waiting,
        flap: Treatment::Pass,
        next_flap: None,
        done: 0,
    };
    let result = tokio::select! {
        result = engine.work(objects) => result,
        _ = end.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    };
    for error in engine.filters.remove() {
        eprintln!("policy-engine: left behind: {error}");
    }
    result
}

impl Engine {
    async fn work(&mut self, objects: &Objects) -> Result<(), Failure> {
        self.take(objects)?;
        self.catch_up()?;
        println!("ready");
        loop {
            let next = [self.waiting.front().map(|(at, _)| *at), self.next_flap, self.next_deed()];
            let next = next.into_iter().flatten().min();
            tokio::select! {
                () = objects.changed.notified() => self.take(objects)?,
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
            }
            self.catch_up()?;
        }
    }

    /// Takes note of what is there by now. Most events change nothing that policies see.
    fn take(&mut self, objects: &Objects) -> Result<(), Failure> {
        let seen = objects.world(&self.nodes);
        if self.seen.as_ref() != Some(&seen) {
            self.waiting.push_back((Instant::now() + self.plan.late, seen.clone()));
            self.seen = Some(seen);
        }
        Ok(())
    }

    /// Does all that is due.
    fn catch_up(&mut self) -> Result<(), Failure> {
        let now = Instant::now();
        while self.waiting.front().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, seen)) = self.waiting.pop_front() {
                self.enforce(seen)?;
            }
        }
        if self.next_flap.is_some_and(|at| at <= now) {
            self.flap = match self.flap {
                Treatment::Pass => Treatment::Cut,
                Treatment::Cut => Treatment::Pass,
            };
            self.next_flap = self.plan.period.map(|period| now + period);
            let wrongs = self.wrongs();
            self.filters.mistreat(&wrongs)?;
        }
        while self.next_deed().is_some_and(|at| at <= now) {
            if let Some((_, node, deed)) = self.plan.schedule.get(self.done).copied() {
                eprintln!("policy-engine: {node}: {deed:?}");
                self.act(node, deed)?;
            }
            self.done += 1;
        }
        Ok(())
    }

    fn enforce(&mut self, seen: Seen) -> Result<(), Failure> {
        self.enforced = seen;
        match (self.enforced.world.policies.len(), self.faults) {
            (0, Faults::Begun(_)) => self.end_faults()?,
            (1.., Faults::Waiting) => {
                self.faults = Faults::Begun(Instant::now());
                self.next_flap = self.plan.period.map(|period| Instant::now() + period);
            }
            (0, Faults::Waiting) | (1.., Faults::Begun(_)) => {}
        }
        let wrongs = self.wrongs();
        let world = &self.enforced.world;
        self.filters.enforce(world, &wrongs)?;
        let (pods, policies) = (world.pods.len(), world.policies.len());
        eprintln!("policy-engine: enforced {policies} policies over {pods} pods, {} flows wrongly", wrongs.len());
        Ok(())
    }

    /// Puts right what the schedule left wrong, so that the next policy meets a sound engine.
    fn end_faults(&mut self) -> Result<(), Failure> {
        self.faults = Faults::Waiting;
        self.next_flap = None;
        self.flap = Treatment::Pass;
        self.done = 0;
        for node in self.nodes.values() {
            for trouble in [Trouble::Find, Trouble::Rebuild, Trouble::Resume] {
                self.filters.afflict(*node, trouble)?;
            }
        }
        Ok(())
    }

    fn act(&mut self, node: NodeOrdinal, deed: Deed) -> Result<(), Failure> {
        let wrongs = self.wrongs();
        let world = &self.enforced.world;
        match deed {
            Deed::Afflict(trouble) => self.filters.afflict(node, trouble)?,
            Deed::Empty => self.filters.refill(node, world, &World::default(), &wrongs)?,
            Deed::Fill => self.filters.refill(node, world, world, &wrongs)?,
        }
        Ok(())
    }

    fn next_deed(&self) -> Option<Instant> {
        match self.faults {
            Faults::Waiting => None,
            Faults::Begun(since) => self.plan.schedule.get(self.done).map(|(at, ..)| since + *at),
        }
    }

    fn wrongs(&self) -> Vec<Wrong> {
        match self.faults {
            Faults::Waiting => Vec::new(),
            Faults::Begun(_) => self.plan.wrongs(&self.enforced, self.flap),
        }
    }
}
