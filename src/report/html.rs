//! One self-contained HTML file per run: no network, no script, light and dark, for screens, paper and screen readers.
//!
//! Every text from outside goes through `safe`, and through maud's escaping after it; a content security policy in the
//! page forbids scripts besides, whatever might get in.

mod agents;
mod axis;
mod events;
mod findings;
mod matrix;
mod overview;
mod plot;
mod stage;
mod timeline;
mod watch;

use std::io::{self, Write};

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::model::document::Document;

use super::duration::human_us;
use super::mark::Mark;
use super::text::{Charset, harmless};
use super::{story, summary};

/// The style sheet, inside the page.
const STYLE: &str = include_str!("html/style.css");
/// Nothing may be loaded, run or sent from this page.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'";

/// Writes the report of a run.
///
/// # Errors
/// Whatever the writer refuses.
pub fn render(document: &Document, writer: &mut dyn Write) -> io::Result<()> {
    writer.write_all(page(document).into_string().as_bytes())?;
    writer.write_all(b"\n")?;
    writer.flush()
}

fn page(document: &Document) -> Markup {
    let outcome = summary::outcome(document.exit, &document.counts);
    let timeline_leads = timeline::leads(document);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                title { (outcome.word) ": " (safe(&summary::subject(document))) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a .skip href="#findings" { "Skip to the findings" }
                (overview::header(document))
                (contents(document, timeline_leads))
                main #main {
                    @if timeline_leads { (timeline::section(document)) }
                    (findings::section(document))
                    @for (place, stage) in document.stages.iter().enumerate() {
                        (stage::section(place, stage))
                    }
                    (watch::section(document))
                    @if !timeline_leads { (timeline::section(document)) }
                    (agents::section(document))
                    (settings(document))
                }
                footer {
                    "leakproof " (safe(&document.leakproof)) ", run " (safe(&document.run)) ", format "
                    (safe(&document.format))
                }
            }
        }
    }
}

fn contents(document: &Document, timeline_leads: bool) -> Markup {
    html! {
        nav aria-label="Contents" {
            ul {
                @if timeline_leads { li { a href="#timeline" { "Timeline" } } }
                li { a href="#findings" { "Findings" } }
                @for (place, stage) in document.stages.iter().enumerate() {
                    li { a href={ "#stage-" (place) } { (safe(&stage.name)) } }
                }
                @if document.watch.is_some() { li { a href="#watch" { "Watch" } } }
                @if !timeline_leads { li { a href="#timeline" { "Timeline" } } }
                li { a href="#agents" { "Endpoints and agents" } }
                li { a href="#settings" { "Settings" } }
            }
        }
    }
}

fn settings(document: &Document) -> Markup {
    let settings = &document.settings;
    html! {
        section #settings aria-labelledby="settings-title" {
            h2 #settings-title { "Settings and versions" }
            dl .facts {
                div { dt { "scenario" } dd { (safe(&document.scenario.file)) } }
                div { dt { "started" } dd { (safe(&document.started)) } }
                div { dt { "connect deadline" } dd { (human_us(settings.deadline_us)) } }
                div { dt { "silent attempts that make a denial" } dd { (settings.attempts) } }
                div { dt { "each cell tried every" } dd { (human_us(settings.interval_us)) } }
                div { dt { "had to converge within" } dd { (human_us(settings.converge_within_us)) } }
                @if let Some(us) = settings.max_enforce_us {
                    div { dt { "had to be enforced within" } dd { (human_us(us)) } }
                }
                div { dt { "a denial is" } dd { (story::deny_form(settings.deny)) } }
                @for (key, value) in &document.fabric.facts {
                    div { dt { (safe(key)) } dd { (safe(value)) } }
                }
            }
        }
    }
}

/// A text from outside: nothing in it moves, hides or breaks a line; markup is left for maud to escape.
fn safe(text: &str) -> String {
    harmless(text, Charset::Unicode)
}

/// A sentence, as [`safe`] has it, with what stands between backticks as code.
fn prose(text: &str) -> Markup {
    let text = safe(text);
    // A backtick without its partner is itself.
    let paired = text.rfind('`').filter(|_| text.matches('`').count().is_multiple_of(2));
    let (marked, rest) = paired.map_or(("", text.as_str()), |last| text.split_at(last + 1));
    html! {
        @for (place, part) in marked.split('`').enumerate() {
            @if place % 2 == 0 { (part) } @else { code { (part) } }
        }
        (rest)
    }
}

/// The class that a mark's cells, chips and windows are styled by.
fn class(mark: Mark) -> &'static str {
    match mark {
        Mark::Unsupported | Mark::Known => "na",
        Mark::Allowed => "allowed",
        Mark::Denied => "denied",
        Mark::Unjudged | Mark::Inconclusive => "unsure",
        Mark::Contradiction => "contra",
        Mark::Outage => "outage",
        Mark::WrongServer => "wrong",
        Mark::Leak => "leak",
    }
}

#[cfg(test)]
mod tests;
