//! `leakproof report` and `leakproof diff`: what can be told from the JSON of earlier runs.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::output::{self, Look};
use crate::compare::compare;
use crate::exit::{self, Exit};
use crate::model::comparison::Sameness;
use crate::model::document::Document;
use crate::report;
use crate::report::file::save;
use crate::run::chain;

/// Arguments of `report`.
#[derive(Debug, Clone, Args)]
pub struct ReportArguments {
    /// The JSON of a run
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// In which form, to stdout
    #[arg(long, value_enum, default_value = "terminal")]
    pub form: Form,
}

/// The forms of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// As `run` shows it
    Terminal,
    /// JUnit XML
    Junit,
    /// Markdown for a job summary
    Markdown,
    /// One self-contained page
    Html,
    /// The JSON itself, checked and laid out anew
    Json,
}

/// Arguments of `diff`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Cells are matched by stage and flow. Told are: intent, meaning, reality and call that differ, cells and stages \
    that only one run has, versions of both worlds, and times to enforce that differ by more than chance. Of two watches \
    besides: for each flow that was wrong in one of them, the number, the longest and the sum of its windows where their \
    bounds leave no doubt that they differ; held connections that fared otherwise; what newborn pods waited.\n\n\
    Exit codes: 0 nothing differs but times, 5 something does: a reading or a call, a cell or stage that only one run has, a \
    held connection that fared otherwise (but for stalls within the budget), newborn pods that were open where they should \
    not be, or never worked, in one run only. A window counts by the call it gave its cell.\n\n\
    Examples:\n  \
    leakproof run scenarios/ai-data-pipeline.yaml --json before.json\n  \
    leakproof run scenarios/ai-data-pipeline.yaml --json after.json\n  \
    leakproof diff before.json after.json\n  \
    leakproof diff upgrade-3.31-3.32.json upgrade-3.32-3.33.json"
)]
pub struct DiffArguments {
    /// The JSON of the earlier run
    #[arg(value_name = "A")]
    pub before: PathBuf,
    /// The JSON of the later run
    #[arg(value_name = "B")]
    pub after: PathBuf,
    /// The comparison as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// Renders a report. Gives the exit code: 0, whatever the run's was.
///
/// # Errors
/// Where output cannot be written.
pub fn report(arguments: &ReportArguments, look: &Look) -> io::Result<u8> {
    let document = match read(&arguments.file) {
        Ok(document) => document,
        Err(code) => return Ok(code),
    };
    output::print(|w| match arguments.form {
        Form::Terminal => report::terminal::render(&document, look.style(), w),
        Form::Junit => report::junit::render(&document, w),
        Form::Markdown => report::markdown::render(&document, w),
        Form::Html => report::html::render(&document, w),
        Form::Json => report::json::write(&document, w),
    })?;
    Ok(0)
}

/// Compares two runs.
///
/// # Errors
/// Where output cannot be written.
pub fn diff(arguments: &DiffArguments, look: &Look) -> io::Result<u8> {
    let (before, after) = match (read(&arguments.before), read(&arguments.after)) {
        (Ok(before), Ok(after)) => (before, after),
        (Err(code), _) | (_, Err(code)) => return Ok(code),
    };
    let comparison = compare(&before, &after);
    output::print(|w| report::diff::render(&comparison, look.style(), w))?;
    let mut code = match comparison.outcome {
        Sameness::Same => 0,
        Sameness::Different => Exit::Contradiction.code(),
    };
    if let Some(file) = &arguments.json
        && let Err(error) = save(file, |w| report::json::write_comparison(&comparison, w))
    {
        output::complain(&chain(&error));
        code = exit::gravest(code, Exit::LeftBehind.code());
    }
    Ok(code)
}

/// Reads a document, or says why not and gives the exit code.
fn read(path: &Path) -> Result<Document, u8> {
    let complain = |text: String| {
        output::complain(&format!("`{}`: {text}", path.display()));
        exit::USAGE
    };
    let file = File::open(path).map_err(|error| complain(error.to_string()))?;
    report::json::read(&mut BufReader::new(file)).map_err(|error| complain(chain(&error)))
}
