//! The command line: one file per command. Commands turn arguments into orders for [`crate::run`] and write what comes
//! back; they judge nothing.

pub mod ask;
pub mod output;
pub mod render;
pub mod run;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Proves that a Kubernetes NetworkPolicy does what its author meant.
#[derive(Debug, Parser)]
#[command(
    name = "leakproof",
    version,
    about = "Proves that a Kubernetes NetworkPolicy does what its author meant",
    long_about = "Proves that a Kubernetes NetworkPolicy does what its author meant.\n\n\
        A policy has three readings: intent (what you wrote under `expect:` in a scenario), meaning (what the policies \
        say, computed offline) and reality (what real connections do). Leakproof shows where they differ: a leak, an \
        outage, or a policy that does not say what you wanted. What it could not see it never calls denied.\n\n\
        Start here:  leakproof run scenarios/ai-data-pipeline.yaml",
    after_help = "Exit codes: 0 as meant, 1 bug, 2 usage, 3 scenario refused, 4 world could not be made, 5 contradiction, \
        6 inconclusive, 7 something left behind, 10 outage, 11 leak or wrong server, 130/143 by signal.",
    arg_required_else_help = true
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// How output looks.
    #[command(flatten)]
    pub look: output::Look,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a scenario real, probe every flow, and judge
    Run(run::RunArguments),
    /// Show what a scenario's policies mean, without touching a network
    Predict(ask::PredictArguments),
    /// Tell why one flow is allowed or denied, policy by policy and rule by rule
    Explain(ask::ExplainArguments),
    /// Render the reports of an earlier run from its JSON
    Report(render::ReportArguments),
    /// Compare two runs cell by cell
    Diff(render::DiffArguments),
    /// Print the JSON Schema of scenario files, for editors
    Schema,
}

impl Cli {
    /// Whether the command makes network namespaces, so that `main` enters the user namespace before any thread starts.
    pub fn world(&self) -> World {
        match &self.command {
            Command::Run(run) => run.world(),
            Command::Predict(_) | Command::Explain(_) | Command::Report(_) | Command::Diff(_) | Command::Schema => {
                World::None
            }
        }
    }
}

/// What sort of world a command needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum World {
    /// None.
    None,
    /// Network namespaces of this machine.
    Lab,
    /// A cluster.
    Cluster,
}

/// A file a command reads or writes.
pub type File = PathBuf;
