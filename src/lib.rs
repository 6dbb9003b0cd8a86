//! Leakproof proves that a Kubernetes NetworkPolicy does what its author meant.
//!
//! A policy has three readings: **intent** (what the author wrote under `expect:`), **meaning** (what the policies
//! say, computed by the [`oracle`]) and **reality** (what connections do, seen by probes). Trouble is where two of
//! them differ.
//!
//! ```text
//! scenario ──► oracle ──► meaning ───────────────┐
//!     │                                          ▼
//!     └──► fabric ──► probe ──► reality ──► judge ──► report
//!                       ▲
//!                     agent (in each pod)
//! ```
//!
//! Each module is a room with its own rights; `tests/layering.rs` holds the table and fails on a wrong import.

pub mod clock;
pub mod model;
pub mod wire;

pub mod agent;

#[cfg(feature = "harness")]
pub mod cli;
#[cfg(feature = "harness")]
pub mod compare;
#[cfg(feature = "harness")]
pub mod exit;
#[cfg(feature = "harness")]
pub mod fabric;
#[cfg(feature = "harness")]
pub mod image;
#[cfg(feature = "harness")]
pub mod judge;
#[cfg(feature = "harness")]
pub mod oracle;
#[cfg(feature = "harness")]
pub mod policy;
#[cfg(feature = "harness")]
pub mod probe;
#[cfg(feature = "harness")]
pub mod report;
#[cfg(feature = "harness")]
pub mod run;
#[cfg(feature = "harness")]
pub mod scenario;
#[cfg(feature = "harness")]
pub mod watch;
