//! Renderings of the one [`Document`](crate::model::document::Document) of a run, and of what the oracle predicts.
//!
//! Reports compute nothing: no verdict, no sum that the document does not hold. So two reports of one run cannot
//! differ in substance. They sort, group and word; and whatever text comes from outside (names, notes, errors) is made
//! harmless by [`text`] or by the escaping of the format. Nothing here opens a terminal or knows standard output: every
//! report takes a writer, and what a writer refuses (a closed pipe, a full disk) is an error handed back.
//!
//! - for people at a terminal: [`terminal`], [`progress`], [`prediction`], [`diff`], [`checkup`]
//! - for people in a browser: [`html`], [`markdown`]
//! - for programs: [`json`], [`junit`]
//! - what these share: [`name`], [`story`], [`watched`], [`drops`], [`grid`], [`mark`], [`groups`], [`duration`], [`text`], [`paint`]
//! - putting a report in the place of a file, whole or not at all: [`file`](mod@file)

pub mod blindness;
pub mod checkup;
pub mod diff;
pub mod drops;
pub mod duration;
pub mod explanation;
pub mod file;
pub mod finding_groups;
pub mod grid;
pub mod groups;
pub mod html;
pub mod json;
pub mod junit;
pub mod mark;
pub mod markdown;
pub mod name;
pub mod paint;
pub mod prediction;
pub mod progress;
pub mod story;
pub mod summary;
pub mod terminal;
pub mod text;
pub mod totals;
pub mod watched;
pub mod wrong_times;

#[cfg(test)]
pub(crate) mod fixture;
