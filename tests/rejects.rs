//! Bad scenario files, each with the message a person gets beside it.
//!
//! To add one, put the file into `tests/rejects/` (one that is taken with warnings into `tests/rejects/warned/`) and run
//! `SNAPSHOTS=overwrite cargo test --test rejects`; then read what was written. Files named `x.*.yaml` belong to others.

use std::path::{Path, PathBuf};

use leakproof::model::document::Strictness;
use leakproof::scenario::{self, diagnostic::Colour};
use libtest_mimic::{Arguments, Failed, Trial};
use snapbox::data::DataFormat;

fn main() -> std::process::ExitCode {
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    for (folder, taken) in [("tests/rejects", Taken::No), ("tests/rejects/warned", Taken::WithWarnings)] {
        for file in files(Path::new(folder)) {
            let name = file.with_extension("").display().to_string();
            let name = name.trim_start_matches("tests/rejects/").to_owned();
            trials.push(Trial::test(name, move || check(&file, taken)));
        }
    }
    assert!(trials.len() > 20, "the files are not where they should be");
    libtest_mimic::run(&arguments, trials).exit_code()
}

#[derive(Clone, Copy)]
enum Taken {
    No,
    WithWarnings,
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "yaml"))
        .filter(|path| path.file_stem().is_some_and(|stem| !stem.to_string_lossy().contains('.')))
        .collect();
    files.sort();
    files
}

fn check(file: &Path, taken: Taken) -> Result<(), Failed> {
    let outcome = scenario::load(file, Strictness::Normal);
    let shown = match (outcome, taken) {
        (Err(refusal), Taken::No) => refusal.render(Colour::Never),
        (Ok(scenario), Taken::WithWarnings) if !scenario.warnings().is_empty() => {
            let rendered = scenario.remarks().iter().map(|remark| remark.render(Colour::Never));
            rendered.chain(scenario.warnings().iter().cloned()).collect::<Vec<_>>().join("\n\n")
        }
        (Ok(_), Taken::WithWarnings) => return Err("no warning was given".into()),
        (Ok(_), Taken::No) => return Err("the file was taken".into()),
        (Err(refusal), Taken::WithWarnings) => return Err(refusal.render(Colour::Never).into()),
    };
    // Raw: what stands in the file is what is expected, dots and brackets included.
    let expected = snapbox::Data::read_from(&file.with_extension("txt"), Some(DataFormat::Text)).raw();
    snapbox::Assert::new()
        .action_env(snapbox::assert::DEFAULT_ACTION_ENV)
        .try_eq(None, snapbox::Data::text(format!("{shown}\n")), expected)
        .map_err(|e| Failed::from(e.to_string()))
}
