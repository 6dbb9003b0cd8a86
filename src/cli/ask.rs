//! `leakproof predict` and `leakproof explain`: what needs no network, unless the policies are to be read from a cluster.

use std::io;
use std::path::PathBuf;

use clap::Args;

use super::adopt::{self, AdoptArguments};
use super::cluster::Which;
use super::output::{self, Look};
use crate::exit::{self, Exit};
use crate::model::document::Strictness;
use crate::model::port::Port;
use crate::report;
use crate::report::file::save;
use crate::run::{self, ClusterOptions, Refusal};
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
#[command(
    after_help = "Without --adopt no cluster is asked anything. With it the policies, labels and workloads that are in the \
    cluster now take the place of what the file says, as they do in `leakproof run --adopt`; nothing is made there.\n\n\
    Examples:\n  \
    leakproof explain scenarios/ai-data-pipeline.yaml impostor data-store 5432/tcp\n  \
    leakproof explain scenarios/ai-data-pipeline.yaml impostor data-store 5432/tcp --adopt --context prod"
)]
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
    /// Which cluster.
    #[command(flatten)]
    pub which: Which,
    /// Somebody else's world.
    #[command(flatten)]
    pub adopting: AdoptArguments,
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
pub async fn explain(arguments: &ExplainArguments, look: &Look) -> io::Result<u8> {
    let scenario = match read(arguments, look).await {
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

/// The scenario as it is written, or as it is in a cluster; where it cannot be had that is told, and this is the exit code.
async fn read(arguments: &ExplainArguments, look: &Look) -> Result<Scenario, u8> {
    let (adopting, context) = (&arguments.adopting, arguments.which.context.as_deref());
    if !adopting.adopt {
        if context.is_some() {
            output::complain(
                "--context is for --adopt: without it what the file says is explained, and no cluster asked",
            );
            return Err(exit::USAGE);
        }
        return super::load(&arguments.scenario, Strictness::Normal, look);
    }
    let scenario = adopt::load(&arguments.scenario, Strictness::Normal, &adopting.reading()?, look)?;
    let looked = async {
        let options = ClusterOptions { adopt: adopting.options(), ..ClusterOptions::default() };
        let connected = run::connect(context, options).await?;
        run::adopted(&connected, &scenario).await
    };
    match looked.await {
        Ok((scenario, told)) => {
            if !look.quiet {
                told.iter().for_each(|text| output::complain(&format!("warning: {text}")));
            }
            Ok(scenario)
        }
        Err(refusal) => {
            output::complain(&run::chain(&refusal));
            Err(refusal.exit())
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
