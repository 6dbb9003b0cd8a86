//! `leakproof run`: scenarios made real, probed and judged.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::adopt::{self, AdoptArguments, Reading};
use super::cluster::{PodArguments, Which};
use super::output::{self, Look};
use super::reports::ReportFiles;
use crate::exit::{self, Exit};
use crate::model::document::{Document, Strictness};
use crate::report::{self, totals::Total};
use crate::run::{self, Again, ClusterOptions, Connected, Ground, Keep, Need, Order, Pick, Stop, Until, Vigil};
use crate::scenario::{self, Scenario};

/// Arguments of `run`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  \
    leakproof run scenarios/ai-data-pipeline.yaml\n  \
    leakproof run scenarios/*.yaml --junit report.xml\n  \
    leakproof run scenarios/ai-data-pipeline.yaml --fault 'leak=intruder->data-store:5432/tcp'\n  \
    leakproof run scenarios/ai-data-pipeline.yaml --only 'intruder->data-store:5432/tcp'\n  \
    leakproof run scenarios/ai-data-pipeline.yaml --on cluster --context kind-leak\n  \
    leakproof run scenarios/ai-data-pipeline.yaml --on cluster --context prod --adopt --make-namespace ai-staging")]
pub struct RunArguments {
    /// Scenario files, run one after the other; the gravest exit code wins
    #[arg(required_unless_present = "faults", value_name = "SCENARIO")]
    pub scenarios: Vec<PathBuf>,
    /// Where: network namespaces on this machine, or a cluster
    #[arg(long, value_enum, default_value = "lab")]
    pub on: On,
    /// Try no flow but this one and what vouches for it: the other flows of its two ends
    #[arg(long, value_name = "FROM->TO[:PORT]")]
    pub only: Option<Pick>,
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
    /// Keep the world after the verdicts and print how to look into it; Ctrl-C ends it
    #[arg(long)]
    pub keep: bool,
    /// Gather what explains a failure in a folder below this one (lab: only if given; cluster: the system's temporary
    /// folder)
    #[arg(long, value_name = "DIR")]
    pub artifacts: Option<PathBuf>,
    /// List what would be created in a cluster, and touch nothing; with --verbose, the whole objects
    #[arg(long)]
    pub dry_run: bool,
    /// The lab's options.
    #[command(flatten)]
    pub lab: LabArguments,
    /// Which cluster.
    #[command(flatten)]
    pub which: Which,
    /// How pods are made there.
    #[command(flatten)]
    pub pods: PodArguments,
    /// Somebody else's world.
    #[command(flatten)]
    pub adopting: AdoptArguments,
}

/// Where a scenario is made real.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum On {
    /// Network namespaces on this machine; no root, no Docker, no cluster.
    Lab,
    /// A Kubernetes cluster.
    Cluster,
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
    /// Try every cell anew so often (10ms for few cells, more beyond); refused where it cannot be held
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
}

impl RunArguments {
    /// What must be made ready before any thread starts.
    pub fn need(&self) -> Need {
        match self.on {
            On::Lab if self.asks_for_faults() => Need::Nothing,
            On::Lab => Need::Lab,
            On::Cluster => Need::Nothing,
        }
    }
}

/// Runs the scenarios, one after the other.
///
/// # Errors
/// Where output cannot be written.
pub async fn run(arguments: &RunArguments, ground: &Ground, look: &Look) -> io::Result<u8> {
    if arguments.asks_for_faults() {
        output::print(|w| w.write_all(run::fault_help().as_bytes()))?;
        return Ok(0);
    }
    if let Some(complaint) = arguments.misfit() {
        output::complain(complaint);
        return Ok(exit::USAGE);
    }
    if arguments.dry_run {
        return dry_run(arguments, look);
    }
    if let Err(complaint) = arguments.reports.check(&arguments.scenarios) {
        output::complain(&complaint);
        return Ok(exit::USAGE);
    }
    let site = match Site::prepare(arguments).await {
        Ok(site) => site,
        Err(code) => return Ok(code),
    };
    let stop = Stop::on_signals();
    let mut totals = Vec::new();
    let several = arguments.scenarios.len() > 1;
    for file in &arguments.scenarios {
        // A pattern of a shell finds policies beside their scenarios.
        if several && scenario::holds_manifest(file) {
            output::complain(&format!("`{}` is a manifest, not a scenario: skipped", file.display()));
            continue;
        }
        totals.push(one(arguments, file, &site, None, ground, look, &stop).await?);
        if stop.pulled() {
            break;
        }
    }
    if totals.is_empty() {
        output::complain("none of these files is a scenario");
        return Ok(exit::USAGE);
    }
    if several {
        output::print(|w| report::totals::render(&totals, &look.style(), w))?;
    }
    Ok(totals.iter().fold(0, |gravest, total| exit::gravest(gravest, total.code)))
}

/// Where scenarios are run, made ready once for all of them.
pub(super) enum Site {
    Lab,
    Cluster(Box<Connected>, Reading),
}

impl Site {
    /// Makes it ready, or says why it cannot and gives the exit code.
    pub(super) async fn prepare(arguments: &RunArguments) -> Result<Self, u8> {
        match arguments.on {
            On::Lab => Ok(Self::Lab),
            On::Cluster => {
                let reading = arguments.adopting.reading()?;
                match run::connect(arguments.which.context.as_deref(), arguments.options()).await {
                    Ok(connected) => Ok(Self::Cluster(Box::new(connected), reading)),
                    Err(refusal) => {
                        output::complain(&run::chain(&refusal));
                        Err(refusal.exit())
                    }
                }
            }
        }
    }

    fn reading(&self) -> &Reading {
        match self {
            Self::Lab => &Reading::Written,
            Self::Cluster(_, reading) => reading,
        }
    }
}

impl RunArguments {
    fn strictness(&self) -> Strictness {
        if self.strict { Strictness::Strict } else { Strictness::Normal }
    }

    /// The scenario that is to be run, or of which this is asked for; where it cannot be had that is told, and this is the
    /// exit code.
    fn load(&self, file: &Path, reading: &Reading, look: &Look) -> Result<Scenario, u8> {
        let scenario = adopt::load(file, self.strictness(), reading, look)?;
        let Some(pick) = &self.only else { return Ok(scenario) };
        run::only(&scenario, pick).map_err(|refusal| {
            output::complain(&run::chain(&refusal));
            refusal.exit()
        })
    }

    /// How worlds are made in a cluster.
    fn options(&self) -> ClusterOptions {
        ClusterOptions { adopt: self.adopting.options(), ..self.pods.options() }
    }

    /// What suggested commands need, so that they are about the same world.
    fn again(&self, site: &Site) -> Again {
        match site {
            Site::Lab => {
                let faults = self.lab.faults.iter().flat_map(|fault| ["--fault".to_owned(), fault.clone()]);
                Again { run: faults.collect(), explain: Vec::new() }
            }
            Site::Cluster(connected, _) => {
                let context = ["--context".to_owned(), connected.context().to_owned()];
                let adopting = self.adopting.words();
                let explain = if self.adopting.adopt { [&adopting[..], &context[..]].concat() } else { Vec::new() };
                let on = ["--on".to_owned(), "cluster".to_owned()];
                let selected = self.adopting.even_if_selected.then(|| "--even-if-selected".to_owned());
                let run = on.into_iter().chain(context).chain(self.pods.words()).chain(adopting).chain(selected);
                Again { run: run.collect(), explain }
            }
        }
    }

    /// Whether the list of faults is asked for, and nothing is to be run.
    pub(super) fn asks_for_faults(&self) -> bool {
        self.lab.faults.iter().any(|fault| fault == "help")
    }

    /// What is wrong with these arguments together.
    pub(super) fn misfit(&self) -> Option<&'static str> {
        match self.on {
            _ if self.scenarios.is_empty() => Some("which scenario?"),
            On::Lab if self.adopting.adopt => Some("--adopt is for --on cluster: in the lab nothing is there before"),
            On::Lab if self.dry_run => Some("--dry-run is for --on cluster: the lab creates nothing outside itself"),
            On::Cluster if !self.lab.faults.is_empty() => {
                Some("--fault is for the lab: a cluster cannot be told to be wrong")
            }
            On::Lab | On::Cluster => None,
        }
    }

    /// Where to gather what explains a failure: in the lab the same command shows it again, in a cluster nothing may.
    fn artifacts(&self) -> Option<PathBuf> {
        match self.on {
            On::Lab => self.artifacts.clone(),
            On::Cluster => Some(self.artifacts.clone().unwrap_or_else(std::env::temp_dir)),
        }
    }
}

/// Lists what runs would create and change.
fn dry_run(arguments: &RunArguments, look: &Look) -> io::Result<u8> {
    let reading = match arguments.adopting.reading() {
        Ok(reading) => reading,
        Err(code) => return Ok(code),
    };
    let mut gravest = 0;
    for file in &arguments.scenarios {
        let scenario = match arguments.load(file, &reading, look) {
            Ok(scenario) => scenario,
            Err(code) => {
                gravest = exit::gravest(gravest, code);
                continue;
            }
        };
        let deeds = match run::dry_run(&scenario, &arguments.options()) {
            Ok(deeds) => deeds,
            Err(refusal) => {
                output::complain(&run::chain(&refusal));
                gravest = exit::gravest(gravest, refusal.exit());
                continue;
            }
        };
        output::print(|w| {
            writeln!(w, "{}", scenario.name())?;
            for deed in deeds {
                writeln!(w, "  {}: {}", deed.phase, deed.what)?;
                if let Some(manifest) = deed.manifest.filter(|_| look.verbose) {
                    writeln!(w, "    {manifest}")?;
                }
            }
            Ok(())
        })?;
    }
    Ok(gravest)
}

/// Runs one scenario, and watches it where a vigil is given.
pub(super) async fn one(
    arguments: &RunArguments,
    file: &Path,
    site: &Site,
    vigil: Option<Vigil<'_>>,
    ground: &Ground,
    look: &Look,
    stop: &Stop,
) -> io::Result<Total> {
    let nothing = |code| Total { name: file.display().to_string(), code, judged: None };
    let scenario = match arguments.load(file, site.reading(), look) {
        Ok(scenario) => scenario,
        Err(code) => return Ok(nothing(code)),
    };
    let artifacts = arguments.artifacts();
    let order = Order {
        scenario: &scenario,
        deadline: arguments.probing.deadline,
        attempts: arguments.probing.attempts,
        // A watch has a pace of its own; convergence is looked for at the usual one.
        interval: arguments.probing.interval.filter(|_| vigil.is_none()),
        converge_within: arguments.probing.converge_within,
        strictness: arguments.strictness(),
        timeout: arguments.timeout,
        keep: if arguments.keep { Keep::World } else { Keep::Nothing },
        vigil: vigil.clone(),
        artifacts: artifacts.as_deref(),
        faults: &arguments.lab.faults,
        again: arguments.again(site),
    };
    let progress = look.progress();
    let mut written = Ok(());
    let mut shown = |document: &Document| {
        progress.finish();
        written = output::print(|w| report::terminal::render(document, look.style(), w));
    };
    let outcome = match site {
        Site::Lab => run::in_lab(&order, ground, &progress, stop, &mut shown, &output::say).await,
        Site::Cluster(connected, _) => {
            run::in_cluster(connected, &order, &progress, stop, &mut shown, &output::say).await
        }
    };
    progress.finish();
    let document = match outcome {
        Ok(document) => document,
        Err(refusal) => {
            output::complain(&run::chain(&refusal));
            return Ok(nothing(refusal.exit()));
        }
    };
    written = written.and_then(|()| output::print(|w| report::terminal::after_tear_down(&document, look.style(), w)));
    for error in &document.left_behind {
        output::complain(&format!("left behind: {error}"));
    }
    let mut code = document.exit;
    if let Err(error) = arguments.reports.save(&document) {
        output::complain(&run::chain(&error));
        code = exit::gravest(code, Exit::LeftBehind.code());
    }
    written?;
    // A watch without another end is ended by a signal as it is meant to be: then what was seen decides.
    let ended_by_signal = vigil.is_some_and(|vigil| matches!(vigil.until, Until::Told(_))) && document.watch.is_some();
    let code = if ended_by_signal { code } else { stop.code().unwrap_or(code) };
    Ok(Total { name: document.scenario.name.clone(), code, judged: Some((document.counts, document.took_us)) })
}

/// A duration with its unit: `300ms`, `10s`, `1m30s`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let parsed: jiff::SignedDuration = text.parse().map_err(|_| "write it with its unit, such as `300ms` or `10s`")?;
    let duration = Duration::try_from(parsed).map_err(|_| "a duration cannot be negative")?;
    if duration.is_zero() { Err("a duration of zero leaves no time to see anything".into()) } else { Ok(duration) }
}

/// A budget: a duration, or none at all.
pub(super) fn budget(text: &str) -> Result<Duration, String> {
    if matches!(text, "0" | "0s" | "0ms") { Ok(Duration::ZERO) } else { duration(text) }
}
