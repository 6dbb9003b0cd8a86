//! `--adopt`: options of commands that run in a world which is somebody else's, and names that their program gave it.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;

use super::output::{self, Look};
use crate::exit;
use crate::model::document::Strictness;
use crate::run::{self, Adopt, Refusal, Selected};
use crate::scenario::Scenario;
use crate::scenario::outputs::Outputs;

/// How to run in a world that is there already.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Adopting")]
pub struct AdoptArguments {
    /// Take the scenario's namespaces and policies as they are in the cluster, deployed by somebody else, and change nothing
    /// of them: only probe pods are made there, which no workload adopts and no Service sends anything
    #[arg(long)]
    pub adopt: bool,
    /// Names that the scenario's `names:` take from a program's outputs: the JSON that `pulumi stack output --json` prints,
    /// in a file, or `-` for stdin
    #[arg(long, value_name = "FILE", requires = "adopt")]
    pub pulumi_outputs: Option<PathBuf>,
    /// This namespace of the scenario is not there: make it, and remove it again; repeatable
    #[arg(long = "make-namespace", value_name = "NAME", requires = "adopt")]
    pub makes: Vec<String>,
    /// Make probe pods also where a Service that publishes addresses which are not ready, or a PodDisruptionBudget,
    /// selects them
    #[arg(long, requires = "adopt")]
    pub even_if_selected: bool,
}

/// How scenarios are read.
pub(super) enum Reading {
    /// As they are written, and whole.
    Written,
    /// What they leave open, a cluster tells.
    Adopting(Option<Given>),
}

/// Outputs, and where they came from.
pub(super) struct Given {
    outputs: Outputs,
    from: String,
}

impl AdoptArguments {
    /// As the fabric takes them.
    pub(super) fn options(&self) -> Option<Adopt> {
        let selected = if self.even_if_selected { Selected::Accepted } else { Selected::Refused };
        self.adopt.then(|| Adopt { makes: self.makes.iter().cloned().collect(), selected })
    }

    /// The options that say which world is adopted, as they would be typed.
    pub(super) fn words(&self) -> Vec<String> {
        let outputs =
            self.pulumi_outputs.iter().flat_map(|file| ["--pulumi-outputs".to_owned(), file.display().to_string()]);
        let makes = self.makes.iter().flat_map(|name| ["--make-namespace".to_owned(), name.clone()]);
        self.adopt.then(|| "--adopt".to_owned()).into_iter().chain(outputs).chain(makes).collect()
    }

    /// How scenarios are read; outputs are read here, once for all of them.
    pub(super) fn reading(&self) -> Result<Reading, u8> {
        if !self.adopt {
            return Ok(Reading::Written);
        }
        let Some(file) = &self.pulumi_outputs else { return Ok(Reading::Adopting(None)) };
        let from = if file.as_os_str() == "-" { "stdin".to_owned() } else { format!("`{}`", file.display()) };
        let read = content(file).map_err(|error| error.to_string());
        let read = read.and_then(|text| Outputs::read(&text).map_err(|error| error.to_string()));
        match read {
            Ok(outputs) => Ok(Reading::Adopting(Some(Given { outputs, from }))),
            Err(why) => {
                output::complain(&format!("--pulumi-outputs: reading {from}: {why}"));
                Err(exit::USAGE)
            }
        }
    }
}

fn content(file: &Path) -> std::io::Result<String> {
    if file.as_os_str() != "-" {
        return std::fs::read_to_string(file);
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    Ok(text)
}

/// Loads a scenario, or tells why not and gives the exit code.
pub(super) fn load(file: &Path, strictness: Strictness, reading: &Reading, look: &Look) -> Result<Scenario, u8> {
    let given = match reading {
        Reading::Written => return super::load(file, strictness, look),
        Reading::Adopting(given) => given,
    };
    let scenario = super::load_open(file, strictness, look)?;
    let Some(Given { outputs, from }) = given else { return Ok(scenario) };
    scenario.named_by(outputs).map_err(|source| {
        let scenario = scenario.name().to_owned();
        let refusal = Refusal::Outputs { scenario, from: from.clone(), source: Box::new(source) };
        output::complain(&run::chain(&refusal));
        refusal.exit()
    })
}
