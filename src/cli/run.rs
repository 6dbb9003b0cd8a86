//! `leakproof run`: scenarios made real, probed and judged.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::World;
use super::output::{self, Look};
use crate::exit::{self, Exit};
use crate::model::document::{Document, Strictness};
use crate::report;
use crate::run::{self, Keep, Order, Patience};

/// Arguments of `run`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  \
    leakproof run scenarios/ai-data-pipeline.yaml\n  \
    leakproof run scenarios/*.yaml --junit report.xml\n  \
    leakproof run scenarios/ai-data-pipeline.yaml --fault 'leak=intruder->data-store:5432/tcp'\n  \
    leakproof run scenarios/ai-data-pipeline.yaml --on cluster --context kind-leak")]
pub struct RunArguments {
    /// Scenario files, run one after the other; the gravest exit code wins
    #[arg(required = true, value_name = "SCENARIO")]
    pub scenarios: Vec<PathBuf>,
    /// Where: network namespaces on this machine, or a cluster
    #[arg(long, value_enum, default_value = "lab")]
    pub on: On,
    /// Refuse flows no expectation covers, and take weak witnesses for inconclusive
    #[arg(long)]
    pub strict: bool,
    /// End the whole run after so long (`90s`, `5m`), tear-down included
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    pub timeout: Option<Duration>,
    /// Reports to write.
    #[command(flatten)]
    pub reports: ReportFiles,
    /// How to probe.
    #[command(flatten)]
    pub probing: Probing,
    /// The lab's options.
    #[command(flatten)]
    pub lab: LabArguments,
}

/// Where a scenario is made real.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum On {
    /// Network namespaces on this machine; no root, no Docker, no cluster.
    Lab,
}

/// Files to write reports to. With several scenarios a name that is a folder gets one file each.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Reports")]
pub struct ReportFiles {
    /// Everything about the run as JSON; all other reports can be made from it later
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// JUnit XML for CI
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Markdown for a job summary
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
    /// One self-contained HTML page
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

/// How to probe; what is given here goes over what the scenario says.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Probing")]
pub struct Probing {
    /// Silence counts after so long (lab: 300ms, cluster: 1s)
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    pub deadline: Option<Duration>,
    /// So many silent attempts make a denial (4)
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100), value_name = "N")]
    pub attempts: Option<u32>,
    /// Try every cell anew so often (10ms up to 60 cells, more beyond)
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    pub interval: Option<Duration>,
    /// Convergence has to come within this (10s)
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    pub converge_within: Option<Duration>,
}

/// The lab's options.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Lab")]
pub struct LabArguments {
    /// Make the lab wrong on purpose, to see that it is noticed; repeatable (`--fault help` lists them)
    #[arg(long = "fault", value_name = "FAULT")]
    pub faults: Vec<String>,
    /// Keep the lab after the verdicts and print how to step into it; Ctrl-C ends it
    #[arg(long)]
    pub keep: bool,
}

impl RunArguments {
    /// What the command needs.
    pub fn world(&self) -> World {
        match self.on {
            On::Lab => World::Lab,
        }
    }
}

/// Runs the scenarios, one after the other.
///
/// # Errors
/// Where output cannot be written.
pub async fn run(arguments: &RunArguments, look: &Look) -> io::Result<u8> {
    if arguments.lab.faults.iter().any(|f| f == "help") {
        output::print(|w| w.write_all(run::fault_help().as_bytes()))?;
        return Ok(0);
    }
    if let Err(complaint) = arguments.reports.check(arguments.scenarios.len()) {
        output::complain(&complaint);
        return Ok(exit::USAGE);
    }
    let stop = run::Stop::on_signals();
    let mut gravest = Gravest::default();
    for file in &arguments.scenarios {
        let strictness = if arguments.strict { Strictness::Strict } else { Strictness::Normal };
        let scenario = match super::load(file, strictness, look) {
            Ok(scenario) => scenario,
            Err(code) => {
                gravest.add(code);
                continue;
            }
        };
        let listener = report::progress::Progress::new(look.progress());
        let order = Order {
            scenario: &scenario,
            deadline: arguments.probing.deadline,
            attempts: arguments.probing.attempts,
            interval: arguments.probing.interval,
            converge_within: arguments.probing.converge_within,
            strictness,
            patience: arguments.timeout.map_or(Patience::Unlimited, Patience::Limited),
            keep: if arguments.lab.keep { Keep::World } else { Keep::Nothing },
            faults: &arguments.lab.faults,
        };
        let shown = |document: &Document| {
            listener.finish();
            output::print(|w| report::terminal::render(document, &look.style(), w))
        };
        let told = |lines: &[String]| output::say(lines);
        let document = match run::in_lab(&order, &listener, &stop, shown, told).await {
            Ok(document) => document,
            Err(refusal) => {
                listener.finish();
                output::complain(&refusal.to_string());
                gravest.add(refusal.exit());
                continue;
            }
        };
        arguments.reports.write(&document)?;
        gravest.add(document.exit);
        if stop.pulled() {
            break;
        }
    }
    Ok(gravest.code())
}
