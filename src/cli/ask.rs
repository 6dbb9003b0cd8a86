//! `leakproof predict` and `leakproof explain`: what needs no network.

use std::io;
use std::path::PathBuf;

use clap::Args;

use super::output::{self, Look};
use crate::exit::{self, Exit};
use crate::model::document::Strictness;
use crate::model::port::Port;
use crate::report;
use crate::report::file::save;
use crate::run::{self, Refusal};
use crate::scenario::{Scenario, Stage};

/// Arguments of `predict`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Needs no lab and no cluster, and takes milliseconds.\n\n\
    Exit codes: 0 the policies say what `expect:` wants, 5 they do not (each such flow is listed with the policy to blame), \
    6 a policy of a kind leakproof does not understand may touch a flow, 3 the scenario is refused.\n\n\
    Examples:\n  \
    leakproof predict scenarios/ai-data-pipeline.yaml\n  \
    leakproof predict scenarios/ai-data-pipeline.yaml --verbose    (every flow with the rules that decided it)")]
pub struct PredictArguments {
    /// The scenario
    #[arg(value_name = "SCENARIO")]
    pub scenario: PathBuf,
    /// Refuse flows no expectation covers
    #[arg(long)]
    pub strict: bool,
    /// All of it as JSON: every cell of every stage with its reasons
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// Arguments of `explain`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:\n  leakproof explain scenarios/ai-data-pipeline.yaml impostor data-store 5432/tcp")]
pub struct ExplainArguments {
    /// The scenario
    #[arg(value_name = "SCENARIO")]
    pub scenario: PathBuf,
    /// Who opens the connection
    #[arg(value_name = "FROM")]
    pub from: String,
    /// Who is to answer
    #[arg(value_name = "TO")]
    pub to: String,
    /// At which port (`5432/tcp`); without it at each that is probed
    #[arg(value_name = "PORT", value_parser = port)]
    pub port: Option<Port>,
    /// In which stage: `policies` (the default) or a step's name
    #[arg(long, value_name = "STAGE")]
    pub stage: Option<String>,
}

/// Shows what the policies mean.
///
/// # Errors
/// Where output cannot be written.
pub fn predict(arguments: &PredictArguments, look: &Look) -> io::Result<u8> {
    let strictness = if arguments.strict { Strictness::Strict } else { Strictness::Normal };
    let scenario = match super::load(&arguments.scenario, strictness, look) {
        Ok(scenario) => scenario,
        Err(code) => return Ok(code),
    };
    let forecast = run::forecast(&scenario);
    output::print(|w| report::prediction::render(&forecast, look.style(), w))?;
    let mut code = forecast.exit;
    if let Some(file) = &arguments.json
        && let Err(error) = save(file, |w| report::json::write_forecast(&forecast, w))
    {
        output::complain(&run::chain(&error));
        code = exit::gravest(code, Exit::LeftBehind.code());
    }
    Ok(code)
}

/// Tells the story of one flow.
///
/// # Errors
/// Where output cannot be written.
pub fn explain(arguments: &ExplainArguments, look: &Look) -> io::Result<u8> {
    let scenario = match super::load(&arguments.scenario, Strictness::Normal, look) {
        Ok(scenario) => scenario,
        Err(code) => return Ok(code),
    };
    let told = stage(&scenario, arguments.stage.as_deref())
        .and_then(|stage| run::explain(&scenario, stage, &arguments.from, &arguments.to, arguments.port));
    match told {
        Ok(explanations) => {
            output::print(|w| report::explanation::render(&explanations, look.style(), w))?;
            Ok(0)
        }
        Err(refusal) => {
            output::complain(&run::chain(&refusal));
            Ok(refusal.exit())
        }
    }
}

fn stage<'a>(scenario: &'a Scenario, name: Option<&str>) -> Result<&'a Stage, Refusal> {
    let found = match name {
        None => scenario.stages().first(),
        Some(name) => scenario.stages().iter().find(|stage| stage.name == name),
    };
    found.ok_or_else(|| Refusal::NoStage {
        scenario: scenario.name().to_owned(),
        stage: name.unwrap_or_default().to_owned(),
        known: scenario.stages().iter().map(|s| format!("`{}`", s.name)).collect::<Vec<_>>().join(", "),
    })
}

fn port(text: &str) -> Result<Port, String> {
    text.parse().map_err(|error: crate::model::port::PortSyntax| error.to_string())
}
