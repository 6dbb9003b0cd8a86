//! The pipeline: the one place that knows every room.
//!
//! ```text
//! realise ─► muster agents ─► baseline ─► for each stage: predict, enact, converge, judge ─► show ─► tear down
//!                                                                    └─► the last one: watch ─┘
//! ```
//!
//! Verdicts are shown before tear-down, so that a tear-down that hangs or fails costs nobody a verdict.

mod again;
mod ask;
mod assemble;
mod baseline;
mod carry;
mod cluster;
mod command;
pub mod doctor;
mod draft;
mod error;
mod established;
mod forecast;
mod ground;
mod keepsakes;
mod lab;
mod members;
mod newborns;
mod open;
mod pacing;
mod pipeline;
mod stop;
mod suspect;
mod through;
mod tolerance;
mod turnover;
mod vigil;
mod voyage;
mod wall_clock;

use std::path::Path;
use std::time::Duration;

pub use crate::scenario::Pick;
pub use crate::watch::Quiet;
pub use again::Again;
pub use ask::{explain, only};
pub use cluster::{
    Adopt, Connected, Deed, Leftovers, OptionSyntax, Options as ClusterOptions, PullSecret, Selected, Toleration,
    adopted, clean, connect, dry_run, in_cluster, leftovers,
};
pub use doctor::Minor as CalicoMinor;
pub use error::{Refusal, chain};
pub use established::Hold;
pub use forecast::forecast;
pub use ground::{Ground, Need};
pub use lab::{fault_help, in_lab};
pub use newborns::Births;
pub use stop::Stop;
pub use vigil::{INTERVAL, Key, Until, Vigil};

use crate::model::document::Strictness;
use crate::scenario::Scenario;

/// What to run, and how. What is given here goes over what the scenario says, and that over the fabric's defaults.
#[derive(Debug, Clone)]
pub struct Order<'a> {
    /// The scenario.
    pub scenario: &'a Scenario,
    /// Silence counts after so long.
    pub deadline: Option<Duration>,
    /// So many silent attempts make a denial.
    pub attempts: Option<u32>,
    /// Every cell is tried anew so often.
    pub interval: Option<Duration>,
    /// Convergence has to come within this.
    pub converge_within: Option<Duration>,
    /// Whether what is merely weak is refused.
    pub strictness: Strictness,
    /// When to give up, tear-down included.
    pub timeout: Option<Duration>,
    /// What to keep after the verdicts.
    pub keep: Keep,
    /// How to watch after the last stage has converged; none: the run ends there.
    pub vigil: Option<Vigil<'a>>,
    /// Where to gather what explains a failure; nowhere where it is left out.
    pub artifacts: Option<&'a Path>,
    /// Deliberate faults of the lab, as written.
    pub faults: &'a [String],
    /// What suggested commands need.
    pub again: Again,
}

/// What to keep after the verdicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Nothing.
    Nothing,
    /// The world, until the run is told to stop.
    World,
}
