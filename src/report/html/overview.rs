//! The head of the page: what came of the run, where, and how long its phases took.

use maud::{Markup, html};

use crate::model::document::{Counts, Document};

use super::super::duration::human_us;
use super::super::paint::Role;
use super::super::summary;
use super::super::text::number;
use super::axis::Scale;
use super::{prose, safe};

/// The head.
pub fn header(document: &Document) -> Markup {
    let outcome = summary::outcome(document.exit, &document.counts);
    html! {
        header {
            p .verdict {
                span .chip .(chip(outcome.role)) { (outcome.word) }
                span .where { (safe(&summary::fabric(&document.fabric))) }
            }
            h1 { (safe(&document.scenario.name)) }
            @if let Some(about) = &document.scenario.about { p .about { (safe(about)) } }
            @if let Some(fault) = summary::fault(document) {
                p .banner .outage { strong { "FAULT" } " " (prose(&fault)) }
            }
            @if let Some(why) = &document.aborted {
                p .banner .leak { strong { "STOPPED" } " the run ended early: " (prose(why)) }
            }
            @for lead in summary::lead(document) { p .lead { strong { (prose(&lead)) } } }
            p .result { (summary::counts(&document.counts)) "; " strong { (prose(&summary::exit(document))) } }
            (tiles(&document.counts))
            @if let Some(unstated) = summary::unstated(&document.counts) { p .soft { (unstated) } }
            @if !document.warnings.is_empty() || !document.left_behind.is_empty() {
                ul .remarks {
                    @for warning in &document.warnings { li { strong { "warning" } " " (prose(warning)) } }
                    @for left in &document.left_behind { li { strong { "left behind" } " " (prose(left)) } }
                }
            }
            (phases(document))
        }
    }
}

fn chip(role: Role) -> &'static str {
    match role {
        Role::Allowed => "allowed",
        Role::Denied => "denied",
        Role::Leak => "leak",
        Role::Outage => "outage",
        Role::Contradiction => "contra",
        Role::Unsure => "unsure",
        Role::Plain | Role::Strong | Role::Faint => "na",
    }
}

fn tiles(counts: &Counts) -> Markup {
    let tiles = [
        (counts.cells, "cells", "na"),
        (counts.ok, "ok", "allowed"),
        (counts.leaks, "leaks", "leak"),
        (counts.wrong_servers, "wrong servers", "wrong"),
        (counts.outages, "outages", "outage"),
        (counts.contradictions, "contradictions", "contra"),
        (counts.inconclusive, "inconclusive", "unsure"),
        (counts.unjudged, "unjudged", "unsure"),
        (counts.unsupported, "unsupported", "na"),
    ];
    let singular =
        |count: u64, word: &'static str| if count == 1 { word.strip_suffix('s').unwrap_or(word) } else { word };
    html! {
        ul .tiles aria-label="Counts over all stages" {
            @for (place, (count, word, class)) in tiles.iter().enumerate() {
                @if place < 3 || *count > 0 {
                    li .tile .(class) .none[*count == 0] {
                        span .count { (number(*count)) }
                        " "
                        span { (singular(*count, word)) }
                    }
                }
            }
        }
    }
}

fn phases(document: &Document) -> Markup {
    let end = document.phases.iter().map(|phase| phase.began_us.saturating_add(phase.took_us)).max().unwrap_or(0);
    let scale = Scale::new(0, end.max(document.took_us));
    html! {
        figure .phases {
            figcaption { "Took " strong { (human_us(document.took_us)) }
                @if summary::tear_down(document).is_none() { ", tear-down not counted" }
            }
            svg width="100%" height="14" aria-hidden="true" {
                @for (place, phase) in document.phases.iter().enumerate() {
                    rect .{ "phase p" (place % 6) } x=(scale.at(phase.began_us)) y="0" height="14"
                        width=(scale.length(phase.took_us)) {}
                }
            }
            ul .key {
                @for (place, phase) in document.phases.iter().enumerate() {
                    li { span .{ "swatch p" (place % 6) } {} (safe(&phase.name)) " " (human_us(phase.took_us)) }
                }
            }
        }
    }
}
