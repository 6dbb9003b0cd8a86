//! The words of the domain. Everything here is plain data over `std` and serde: no I/O, no clock, no other room.
//!
//! - who: [`endpoint`], [`labels`], [`port`]
//! - what could be sent: [`flow`], laid out as a [`matrix`]
//! - the three readings: intent and meaning as [`verdict`] and [`prediction`] with its [`reasons`] (and the whole story of
//!   one flow as [`explanation`]), reality as [`observation`]
//! - what came of it: [`finding`], gathered in the one [`document`] of a run, with what was seen while a [`watch`] went on;
//!   [`event`] tells of it while it happens, and [`happening`] of what happened around it
//! - what can be said besides: a [`forecast`] without any network, a [`comparison`] of two runs, the [`drift`] between a
//!   file and what was adopted

pub mod checkup;
pub mod comparison;
pub mod document;
pub mod drift;
pub mod endpoint;
pub mod event;
pub mod explanation;
pub mod finding;
pub mod flow;
pub mod forecast;
pub mod foreign;
pub mod happening;
pub mod labels;
pub mod matrix;
pub mod moment;
pub mod observation;
pub mod port;
pub mod prediction;
pub mod reasons;
pub mod verdict;
pub mod watch;
