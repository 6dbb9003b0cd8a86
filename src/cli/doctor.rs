//! `leakproof doctor`: what is there, before anything is touched.

use std::io;
use std::path::PathBuf;

use clap::Args;

use super::cluster::Which;
use super::output::{self, Look};
use super::run::On;
use crate::exit::{self, Exit};
use crate::model::checkup::{Checkup, State};
use crate::report;
use crate::report::file::save;
use crate::run::{self, CalicoMinor, Ground, Need};

/// Arguments of `doctor`.
#[derive(Debug, Clone, Args)]
#[command(
    long_about = "Tell what is there before anything is touched: whether this machine can make a lab; the cluster, what \
        enforces policy in it and how that is, which of its versions do not fit together, and which rights are missing.\n\n\
        With --upgrade-to it also tells what is in use that this version of Calico treats otherwise.",
    after_help = "Exit code 4 where something is in the way of running anything.\n\n\
        Examples:\n  leakproof doctor\n  leakproof doctor --on cluster --context prod --upgrade-to 3.32"
)]
pub struct DoctorArguments {
    /// Which cluster.
    #[command(flatten)]
    pub which: Which,
    /// Look at this alone; without it at both
    #[arg(long, value_enum, value_name = "FABRIC")]
    pub on: Option<On>,
    /// What an upgrade of Calico to this version would change
    #[arg(long, value_name = "VERSION")]
    pub upgrade_to: Option<CalicoMinor>,
    /// Everything that was found, as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Only try the lab, in this very process.
    #[arg(long, hide = true)]
    pub try_lab: bool,
}

impl DoctorArguments {
    /// What must be made ready before any thread starts.
    pub fn need(&self) -> Need {
        if self.try_lab { Need::Lab } else { Need::Nothing }
    }
}

/// Looks, and tells.
///
/// # Errors
/// Where output cannot be written.
pub async fn doctor(arguments: &DoctorArguments, ground: &Ground, look: &Look) -> io::Result<u8> {
    if arguments.try_lab {
        return Ok(match run::doctor::try_lab(ground).await {
            Ok(()) => 0,
            Err(refusal) => {
                output::complain(&run::chain(&refusal));
                refusal.exit()
            }
        });
    }
    let mut checkup = Checkup::new();
    if arguments.on != Some(On::Cluster) {
        run::doctor::machine(&mut checkup).await;
    }
    if arguments.on != Some(On::Lab) {
        run::doctor::cluster(arguments.which.context.as_deref(), arguments.upgrade_to, &mut checkup).await;
    }
    output::print(|w| report::checkup::render(&checkup, look.style(), w))?;
    let mut code = match checkup.worst() {
        State::Fine | State::Note | State::Warning => Exit::Ok.code(),
        State::Error => Exit::NoWorld.code(),
    };
    if let Some(file) = &arguments.json
        && let Err(error) = save(file, |w| report::checkup::write(&checkup, w))
    {
        output::complain(&run::chain(&error));
        code = exit::gravest(code, Exit::LeftBehind.code());
    }
    Ok(code)
}
