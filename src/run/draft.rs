//! A document while it is being written, and the clock of its phases.

use std::io::Read;

use super::Order;
use super::assemble::{self, Judged};
use super::pipeline::Temper;
use super::wall_clock;
use crate::clock;
use crate::fabric::{Happened, Surveyed};
use crate::judge;
use crate::model::document::{Counts, Document, FORMAT, FabricInfo, FabricKind, Phase, ScenarioInfo};
use crate::model::event::{Event, Listener};
use crate::model::happening::Happening;
use crate::model::moment::Moment;
use crate::scenario::Scenario;

/// The document so far.
pub(super) struct Draft<'a> {
    pub(super) document: Document,
    began: Moment,
    secret: u64,
    phase: Option<(String, Moment)>,
    tell: &'a dyn Listener,
}

impl<'a> Draft<'a> {
    pub(super) fn new(order: &Order<'_>, temper: Temper, tell: &'a dyn Listener) -> Self {
        let began = clock::now();
        let scenario = order.scenario;
        let document = Document {
            format: FORMAT.into(),
            leakproof: env!("CARGO_PKG_VERSION").into(),
            started: jiff::Timestamp::now().round(jiff::Unit::Millisecond).unwrap_or_default().to_string(),
            took_us: 0,
            run: format!("{:08x}", random() as u32),
            scenario: ScenarioInfo {
                name: scenario.name().into(),
                file: scenario.file().display().to_string(),
                about: scenario.about().map(Into::into),
            },
            fabric: FabricInfo {
                kind: FabricKind::Lab,
                summary: String::new(),
                facts: std::collections::BTreeMap::new(),
                fault: None,
            },
            settings: assemble::settings_before(order, temper),
            endpoints: Vec::new(),
            phases: Vec::new(),
            stages: Vec::new(),
            watch: None,
            known: Vec::new(),
            agents: Vec::new(),
            events: Vec::new(),
            warnings: scenario.warnings().to_vec(),
            drift: Vec::new(),
            left_behind: Vec::new(),
            aborted: None,
            counts: Counts::default(),
            causes: Vec::new(),
            exit: 0,
        };
        Self { document, began, secret: random(), phase: None, tell }
    }

    pub(super) fn run(&self) -> &str {
        &self.document.run
    }

    pub(super) fn secret(&self) -> u64 {
        self.secret
    }

    pub(super) fn began(&self) -> Moment {
        self.began
    }

    pub(super) fn tell(&self) -> &'a dyn Listener {
        self.tell
    }

    pub(super) fn begin(&mut self, phase: &str, total: Option<u64>) {
        self.phase = Some((phase.to_owned(), clock::now()));
        self.tell.hear(Event::PhaseBegan { phase: phase.to_owned(), total });
    }

    /// Ends the present phase, if there is one.
    pub(super) fn end(&mut self) {
        let Some((name, began)) = self.phase.take() else { return };
        let took = clock::now().since(began);
        self.document.phases.push(Phase { name, began_us: self.micros(began), took_us: assemble::micros(took) });
        self.tell.hear(Event::PhaseEnded { took });
    }

    /// A word for a person, now and in the document.
    pub(super) fn warn(&mut self, text: String) {
        self.tell.hear(Event::Note { text: text.clone() });
        self.document.warnings.push(text);
    }

    /// Takes note of what was found in a world that was there before, and gives the scenario that is run in it.
    pub(super) fn adopt<'s>(&mut self, found: &'s Surveyed) -> &'s Scenario {
        found.remarks.iter().cloned().for_each(|remark| self.warn(remark));
        let drift = found.scenario.adopted().map(|adopted| adopted.drift.as_slice()).unwrap_or_default();
        drift.iter().for_each(|drift| self.warn(drift.to_string()));
        self.document.drift = drift.to_vec();
        &found.scenario
    }

    pub(super) fn add(&mut self, judged: Judged<'_>) {
        let mut stage = assemble::stage(judged, self.began);
        wall_clock::add_wall_clock_times(&mut stage, &self.document.started);
        // The watched stage is the last, and its watch is over by then.
        if let Some(watch) = &mut self.document.watch {
            watch.unobserved = judge::unobserved(&stage.cells, watch.budgets.max_unobserved_us);
            judge::add_watch_findings(&mut stage, watch);
        }
        self.document.stages.push(stage);
        judge::name_nodes_of_drops(&mut self.document);
    }

    /// Puts what happened on the run's own time axis, in order, and what was wrong meanwhile beside it.
    pub(super) fn happened(&mut self, happenings: Vec<Happened>) {
        for Happened { at, since, about, node, subject, what, turn, stamped } in happenings {
            let (at_us, since_us) = (self.micros(at), since.map(|since| self.micros(since)));
            self.document.events.push(Happening { at_us, since_us, about, node, subject, what, turn, stamped });
        }
        self.document.events.sort_by_key(|event| event.at_us);
        judge::lay_beside(&mut self.document);
    }

    /// Brings sums, duration and exit code up to date. The baseline is no part of the sums: it says nothing of any
    /// policy.
    pub(super) fn close(&mut self) {
        self.end();
        let mut counts = Counts::default();
        for stage in self.document.stages.iter().filter(|stage| stage.name != assemble::BASELINE) {
            counts.add(&stage.counts);
        }
        self.document.counts = counts;
        self.document.took_us = self.micros(clock::now());
        self.document.causes = judge::causes(&self.document);
        self.document.exit = judge::exit_of(&self.document.causes);
    }

    /// A moment in microseconds since the run's start.
    pub(super) fn micros(&self, at: Moment) -> u64 {
        assemble::micros(at.since(self.began))
    }
}

/// A number nobody can guess: nonces and names of a run must not be met by a stranger's.
fn random() -> u64 {
    let mut bytes = [0; 8];
    match std::fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes)) {
        Ok(()) => u64::from_le_bytes(bytes),
        // Without a source of randomness, at least two runs of this machine differ.
        Err(_) => clock::now().0 ^ (u64::from(std::process::id()) << 32),
    }
}
