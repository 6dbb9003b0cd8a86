//! The command line: one file per command. Commands turn arguments into orders for [`crate::run`] and write what comes
//! back; they judge nothing.

pub mod adopt;
pub mod ask;
pub mod cluster;
pub mod doctor;
pub mod image;
pub mod output;
pub mod render;
pub mod reports;
pub mod run;
pub mod watch;

use std::io;
use std::path::Path;

use clap::{Parser, Subcommand};

use crate::exit;
use crate::model::document::Strictness;
use crate::run::{self as runs, Ground, Need, Refusal};
use crate::scenario::{self, Scenario};

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
    /// Make a scenario real and watch every flow while the network changes, until a command has ended
    Watch(watch::WatchArguments),
    /// Show what a scenario's policies mean, without touching a network
    Predict(ask::PredictArguments),
    /// Tell why one flow is allowed or denied, policy by policy and rule by rule
    Explain(ask::ExplainArguments),
    /// Render the reports of an earlier run from its JSON
    Report(render::ReportArguments),
    /// Compare two runs cell by cell
    Diff(render::DiffArguments),
    /// Remove what killed runs left in a cluster
    Clean(cluster::CleanArguments),
    /// Pack the agent into an image archive, without Docker
    Image(image::ImageArguments),
    /// Tell what is there before anything is touched: this machine, a cluster, its policy engine, our rights
    Doctor(doctor::DoctorArguments),
    /// Print the JSON Schema of scenario files, for editors
    Schema,
}

impl Cli {
    /// What must be made ready before any thread starts.
    pub fn need(&self) -> Need {
        match &self.command {
            Command::Run(arguments) => arguments.need(),
            Command::Watch(arguments) => arguments.run.need(),
            Command::Doctor(arguments) => arguments.need(),
            Command::Predict(_)
            | Command::Explain(_)
            | Command::Report(_)
            | Command::Diff(_)
            | Command::Clean(_)
            | Command::Image(_)
            | Command::Schema => Need::Nothing,
        }
    }
}

/// Carries out a command. Gives the exit code.
///
/// # Errors
/// Where output cannot be written.
pub async fn execute(cli: &Cli, ground: &Ground) -> io::Result<u8> {
    let look = &cli.look;
    match &cli.command {
        Command::Run(arguments) => run::run(arguments, ground, look).await,
        Command::Watch(arguments) => watch::watch(arguments, ground, look).await,
        Command::Predict(arguments) => ask::predict(arguments, look),
        Command::Explain(arguments) => ask::explain(arguments, look).await,
        Command::Report(arguments) => render::report(arguments, look),
        Command::Diff(arguments) => render::diff(arguments, look),
        Command::Doctor(arguments) => doctor::doctor(arguments, ground, look).await,
        Command::Clean(arguments) => cluster::clean(arguments, look).await,
        Command::Image(arguments) => image::image(arguments, look),
        Command::Schema => {
            let schema = serde_json::to_string_pretty(&crate::scenario::schema())?;
            output::print(|w| writeln!(w, "{schema}"))?;
            Ok(0)
        }
    }
}

/// Loads a scenario that says everything itself, telling its warnings; or tells every error of it, and gives the exit code.
fn load(file: &Path, strictness: Strictness, look: &output::Look) -> Result<Scenario, u8> {
    let scenario = load_open(file, strictness, look)?;
    match scenario.labelled() {
        Ok(()) => Ok(scenario),
        Err(source) => {
            let refusal = Refusal::Unlabelled { scenario: scenario.name().to_owned(), source };
            output::complain(&runs::chain(&refusal));
            Err(refusal.exit())
        }
    }
}

/// Loads one that may leave to a cluster what labels pods have.
fn load_open(file: &Path, strictness: Strictness, look: &output::Look) -> Result<Scenario, u8> {
    match scenario::load(file, strictness) {
        Ok(scenario) => {
            if !look.quiet {
                for warning in scenario.warnings() {
                    output::complain(&format!("warning: {warning}"));
                }
            }
            Ok(scenario)
        }
        Err(refusal) => {
            output::complain(&refusal.render(look.colour_of_talk()));
            Err(exit::REFUSED)
        }
    }
}
