//! The files that a run's reports are written to.

use std::path::PathBuf;

use clap::Args;

use crate::model::document::Document;
use crate::report;
use crate::report::file::{SaveError, save};

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

impl ReportFiles {
    /// Whether the files can take the reports of all scenarios.
    pub(super) fn check(&self, scenarios: &[PathBuf]) -> Result<(), String> {
        let files = [("json", &self.json), ("junit", &self.junit), ("markdown", &self.markdown), ("html", &self.html)];
        for (option, file) in files {
            if let Some(file) = file
                && scenarios.len() > 1
                && !file.is_dir()
            {
                return Err(format!(
                    "--{option} {}: {} scenarios need a folder to put one file each into",
                    file.display(),
                    scenarios.len()
                ));
            }
        }
        Ok(())
    }

    /// Saves every report asked for; goes on after an error and gives the first.
    pub(super) fn save(&self, document: &Document) -> Result<(), SaveError> {
        let place = |file: &PathBuf, ending: &str| {
            if file.is_dir() { file.join(format!("{}.{ending}", document.scenario.name)) } else { file.clone() }
        };
        let mut first = Ok(());
        let mut note = |result: Result<(), SaveError>| {
            if first.is_ok() {
                first = result;
            }
        };
        if let Some(file) = &self.json {
            note(save(&place(file, "json"), |w| report::json::write(document, w)));
        }
        if let Some(file) = &self.junit {
            note(save(&place(file, "xml"), |w| report::junit::render(document, w)));
        }
        if let Some(file) = &self.markdown {
            note(save(&place(file, "md"), |w| report::markdown::render(document, w)));
        }
        if let Some(file) = &self.html {
            note(save(&place(file, "html"), |w| report::html::render(document, w)));
        }
        first
    }
}
