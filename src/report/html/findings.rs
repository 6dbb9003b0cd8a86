//! What a person must look at: each finding with its story, and what could not be seen.

use maud::{Markup, html};

use crate::model::document::{Document, Stage};
use crate::model::finding::Call;
use crate::model::flow::NamedFlow;
use crate::model::verdict::{Intent, Meaning, Verdict};

use super::super::finding_groups::{self, FindingGroup};
use super::super::groups;
use super::super::mark::Mark;
use super::super::summary;
use super::{class, prose, safe, stage};

/// The section.
pub fn section(document: &Document) -> Markup {
    let none = document.stages.iter().all(|stage| stage.findings.is_empty() && groups::unsure(stage).is_empty());
    html! {
        section #findings aria-labelledby="findings-title" {
            h2 #findings-title { "Findings" }
            @if none && document.exit == 0 {
                p { (nothing(document)) }
            } @else if none && document.causes.is_empty() {
                p { (prose(&summary::exit(document))) "." }
            } @else if none {
                ul { @for cause in &document.causes { li { (prose(&cause.what)) } } }
            }
            @for stage in &document.stages {
                @for group in finding_groups::of_stage(document, stage) { (card(stage, &group)) }
            }
            @for stage in &document.stages {
                @for group in groups::unsure(stage) {
                    article .card .unsure {
                        h3 {
                            span .chip .unsure { "UNSURE" } " " (stage::cells(group.flows.len())) " of " (safe(&stage.name))
                        }
                        p { (prose(&group.sentence)) }
                        (stage::flow_list(&group.flows))
                    }
                }
            }
        }
    }
}

/// That there is nothing to look at. Every cell was seen, unless a watch could not observe one for a while.
fn nothing(document: &Document) -> &'static str {
    match document.watch.as_ref().and_then(|watch| watch.unobserved) {
        None => "Nothing to look at: every cell was seen, and is as it should be.",
        Some(_) => "Nothing to look at: every cell is as it should be, as far as it was observed.",
    }
}

/// One cause, and every flow it is the cause of.
fn card(stage: &Stage, group: &FindingGroup) -> Markup {
    let (told, alike) = (&group.story, &group.findings);
    let Some(finding) = alike.first() else { return html! {} };
    let mark = mark(finding.call);
    let flows: Vec<&NamedFlow> = alike.iter().map(|finding| &finding.flow).collect();
    let subject = safe(&group.title.clone().unwrap_or_else(|| finding.flow.to_string()));
    html! {
        article .card .(class(mark)) {
            h3 { span .chip .(class(mark)) { (told.word) } " "
                @if group.title.is_some() { (subject) } @else { code { (subject) } }
            }
            @if flows.len() > 1 { (stage::flow_list(&flows)) }
            table .readings {
                caption .vh { "The three readings of " (subject) }
                thead { tr { th scope="col" { "intent" } th scope="col" { "meaning" } th scope="col" { "reality" } } }
                tbody {
                    tr {
                        td { (intent(finding.intent)) }
                        td { (meaning(finding.meaning)) }
                        td {
                            @match &group.seen {
                                Some(seen) => (safe(seen)),
                                None => "nobody looked",
                            }
                        }
                    }
                }
            }
            dl .story {
                div { dt { "blame" } dd { (prose(&told.blame)) } }
                @if !told.because.is_empty() { div { dt { "because" } dd { (prose(&told.because)) } } }
                @if !told.next.is_empty() { div { dt { "next" } dd { strong { (prose(&told.next)) } } } }
                @if let Some(took_effect) = &told.took_effect { div { dt { "took effect" } dd { (safe(took_effect)) } } }
                @for window in &told.windows {
                    div { dt { "window" }
                        dd { (safe(&window.sentence))
                            @if !window.beside.is_empty() {
                                ". At that time:"
                                ul .beside { @for one in &window.beside { li { (safe(one)) } } }
                            }
                        }
                    }
                }
                div { dt { "stage" } dd { (safe(&stage.name)) } }
            }
        }
    }
}

/// The mark of a finding's call; a call that is none of a finding's is shown as unsure.
pub fn mark(call: Call) -> Mark {
    match call {
        Call::Leak => Mark::Leak,
        Call::Outage => Mark::Outage,
        Call::WrongServer => Mark::WrongServer,
        Call::Contradiction => Mark::Contradiction,
        Call::Ok | Call::Inconclusive | Call::Unjudged => Mark::Inconclusive,
        Call::Unsupported => Mark::Unsupported,
    }
}

fn intent(intent: Intent) -> &'static str {
    word(intent.verdict(), "not stated")
}

fn meaning(meaning: Meaning) -> &'static str {
    word(meaning.verdict(), "unknown")
}

fn word(verdict: Option<Verdict>, none: &'static str) -> &'static str {
    match verdict {
        Some(Verdict::Allowed) => "allowed",
        Some(Verdict::Denied) => "denied",
        None => none,
    }
}
