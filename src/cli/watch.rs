//! `leakproof watch`: a scenario made real, and every flow watched while the network changes.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::output::{self, Look};
use super::run::{self, RunArguments, Site, budget, duration};
use crate::exit;
use crate::run::{Births, Ground, Hold, Key, Quiet, Stop, Until, Vigil};

/// Arguments of `watch`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  \
    leakproof watch scenarios/ai-data-pipeline.yaml --for 10m\n  \
    leakproof watch scenarios/ai-data-pipeline.yaml --max-outage 2s -- ./upgrade-calico 3.32.1\n  \
    leakproof watch scenarios/ai-data-pipeline.yaml --for 5s --fault lose-node=1@4s+300ms\n\n\
    Without --for and COMMAND it goes on until Enter or Ctrl-C, and the exit code is that of what was seen.\n\
    A command that fails makes the exit code at least 6: the change did not happen as meant.\n\
    A command under the lab runs without a network of its own.")]
pub struct WatchArguments {
    /// As `run` has them.
    #[command(flatten)]
    pub run: RunArguments,
    /// How to watch.
    #[command(flatten)]
    pub vigil: VigilArguments,
    /// The change to be watched: an upgrade, a rollout, anything. It is started once everything is as it should be, and
    /// the watch ends when the network has been quiet for a while after it, or flows have stayed wrong for that while
    #[arg(last = true, value_name = "COMMAND", conflicts_with = "lasts")]
    pub command: Vec<String>,
}

/// How to watch.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Watching")]
pub struct VigilArguments {
    /// Watch for so long
    #[arg(long = "for", id = "lasts", value_parser = duration, value_name = "DURATION")]
    pub lasts: Option<Duration>,
    /// Try every flow so many times a second (10), instead of --interval
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000), value_name = "N", conflicts_with = "interval")]
    pub rate: Option<u32>,
    /// The network is quiet when nothing was wrong for so long after the command
    #[arg(long, value_parser = duration, value_name = "DURATION", default_value = "5s")]
    pub quiet_for: Duration,
    /// Do not wait longer than this for quiet, where flows go on changing between right and wrong
    #[arg(long, value_parser = duration, value_name = "DURATION", default_value = "5m")]
    pub quiet_at_most: Duration,
    /// A flow's outages may last so long together, unless its expectation says otherwise
    #[arg(long, value_parser = budget, value_name = "DURATION", default_value = "0")]
    pub max_outage: Duration,
    /// Connections that are opened before and held open: one for every allowed TCP flow, or none. Those whose flow a
    /// step denies are held through it
    #[arg(long, value_enum, value_name = "WHICH", default_value = "all")]
    pub established: Held,
    /// Every so often a pod is made that is a copy of one of the scenario's: how long until all it may do works, and
    /// whether it could do more
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    pub newborns: Option<Duration>,
    /// Copies of these pods only, one after the other; else of every pod that is behind no Service. One behind a Service is
    /// refused: its copy would answer for it
    #[arg(long, value_name = "POD", value_delimiter = ',', requires = "newborns")]
    pub newborn_like: Vec<String>,
    /// A newborn whose flows do not all work by then is waited for no longer; those that were seen shut are outages
    #[arg(long, value_parser = duration, value_name = "DURATION", default_value = "60s", requires = "newborns")]
    pub newborn_within: Duration,
    /// A flow's leaks may last so long together, unless its expectation says otherwise
    #[arg(long, value_parser = budget, value_name = "DURATION", default_value = "0")]
    pub max_leak: Duration,
    /// A flow may go unobserved for so long, in its longest gap; beyond it the flow is inconclusive. 0: for no longer than a
    /// denial takes to be seen. What was observed to be wrong is a finding in any case
    #[arg(long, value_parser = budget, value_name = "DURATION", default_value = "0")]
    pub max_unobserved: Duration,
}

/// Which connections are held open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Held {
    /// One for every allowed TCP flow.
    All,
    /// None.
    None,
}

/// Watches one scenario.
///
/// # Errors
/// Where output cannot be written.
pub async fn watch(arguments: &WatchArguments, ground: &Ground, look: &Look) -> io::Result<u8> {
    if arguments.run.asks_for_faults() || arguments.run.dry_run {
        return run::run(&arguments.run, ground, look).await;
    }
    let [scenario] = arguments.run.scenarios.as_slice() else {
        output::complain("watch one scenario at a time; a command to be watched comes behind `--`");
        return Ok(exit::USAGE);
    };
    if let Err(complaint) = arguments.run.reports.check(&arguments.run.scenarios).and_then(|()| arguments.findable()) {
        output::complain(&complaint);
        return Ok(exit::USAGE);
    }
    if let Some(complaint) = arguments.run.misfit() {
        output::complain(complaint);
        return Ok(exit::USAGE);
    }
    let site = match Site::prepare(&arguments.run).await {
        Ok(site) => site,
        Err(code) => return Ok(code),
    };
    let stop = Stop::on_signals();
    let total = run::one(&arguments.run, scenario, &site, Some(arguments.vigil()), ground, look, &stop).await?;
    Ok(total.code)
}

impl WatchArguments {
    fn vigil(&self) -> Vigil<'_> {
        let until = match (self.vigil.lasts, self.command.as_slice()) {
            (Some(duration), _) => Until::Over(duration),
            (None, []) => Until::Told(if io::stdin().is_terminal() { Key::Enter } else { Key::None }),
            (None, command) => Until::Command(command),
        };
        let by_rate = self.vigil.rate.map(|rate| Duration::from_secs(1) / rate);
        Vigil {
            until,
            interval: by_rate.or(self.run.probing.interval),
            quiet: Quiet { lasts: self.vigil.quiet_for, at_most: self.vigil.quiet_at_most },
            max_outage: self.vigil.max_outage,
            max_leak: self.vigil.max_leak,
            max_unobserved: self.vigil.max_unobserved,
            births: self.vigil.newborns.map(|every| Births {
                every,
                like: &self.vigil.newborn_like,
                within: self.vigil.newborn_within,
            }),
            hold: match self.vigil.established {
                Held::All => Hold::All,
                Held::None => Hold::None,
            },
        }
    }

    /// Whether the command is there: better to know it now than when a world has been made for it.
    fn findable(&self) -> Result<(), String> {
        let Some(program) = self.command.first() else { return Ok(()) };
        let found = if program.contains('/') {
            Path::new(program).is_file()
        } else {
            let path = std::env::var_os("PATH").unwrap_or_default();
            std::env::split_paths(&path).any(|folder: PathBuf| folder.join(program).is_file())
        };
        if found { Ok(()) } else { Err(format!("there is no command `{program}` to be watched")) }
    }
}
