//! The watch: how well it could be seen, the flows that were wrong, the connections that were held open, and the pods
//! that were born meanwhile.

use std::collections::HashSet;

use maud::{Markup, html};

use crate::model::document::Document;
use crate::model::finding::{Call, Window};
use crate::model::flow::NamedFlow;
use crate::model::happening::Happening;
use crate::model::watch::{Established, Fate, Newborn, Standing, WatchInfo};

use super::super::duration::human_us;
use super::super::text::{number, plural};
use super::super::{story, watched};
use super::{class, findings, safe};

/// So many windows of one flow are listed openly; the rest is folded away.
const WINDOWS: usize = 6;

/// The section; nothing where nobody watched.
pub fn section(document: &Document) -> Markup {
    let Some(watch) = &document.watch else { return html! {} };
    html! {
        section #watch aria-labelledby="watch-title" {
            h2 #watch-title { "Watch" }
            p { "Watched: " (safe(&watched::span(watch))) "." }
            dl .facts {
                div { dt { "seen" } dd { (watched::sight(watch)) } }
                div { dt { "budgets" } dd { (watched::budgets(watch)) } }
                @if let Some(unobserved) = watched::unobserved(document) {
                    div { dt { "not observed" } dd { (unobserved) } }
                }
            }
            (command(watch))
            (flows(document))
            (established(watch))
            (newborns(watch))
            (known(document))
        }
    }
}

fn command(watch: &WatchInfo) -> Markup {
    html! {
        @if let (Some(command), Some(sentence)) = (&watch.command, watched::command(watch)) {
            h3 { "The command under watch" }
            p { (safe(&sentence)) "; started " (human_us(command.began_us)) " after the run." }
            @if !command.said.is_empty() {
                details { summary { "What it last said" } pre .said { @for line in &command.said { (safe(line)) "\n" } } }
            }
        }
    }
}

fn flows(document: &Document) -> Markup {
    let flows = watched::flows(document);
    let (found, _) = watched::found_and_others(document);
    let found: HashSet<&NamedFlow> = found.into_iter().flat_map(|found| found.group.flows).collect();
    html! {
        h3 { "Flows that were wrong" }
        @if flows.is_empty() {
            p { (watched::no_flow_was_wrong(document)) "." }
        } @else {
            p .soft {
                "A window reaches from the last right attempt before it to the first right one after: its true length lies "
                "between the two bounds, and the upper one is held against the budget."
            }
            div .scroll role="region" tabindex="0" aria-label="Flows that were wrong" {
                table .list {
                    caption .vh { "Flows that were wrong while watched, what counts first" }
                    thead {
                        tr {
                            @for title in ["", "flow", "as", "counts as", "windows", "at least", "at most", "attempts"] {
                                th scope="col" { (title) }
                            }
                        }
                    }
                    // What happened beside windows of a finding stands with the finding.
                    tbody { @for flow in &flows { (row(flow, if found.contains(flow.flow) { &[] } else { &document.events })) } }
                }
            }
        }
    }
}

fn row(flow: &watched::Watched, events: &[Happening]) -> Markup {
    let chip = match flow.standing {
        Standing::Counted => class(findings::mark(flow.call)),
        Standing::Undecided => "unsure",
        Standing::WithinBudget | Standing::Known => "na",
    };
    // What is put up with is told by its sums; its windows are there for who asks.
    let shown = match flow.standing {
        Standing::Counted | Standing::Undecided => WINDOWS,
        Standing::WithinBudget | Standing::Known => 0,
    };
    let (open, folded) = flow.windows.split_at(flow.windows.len().min(shown));
    html! {
        tr {
            td { span .chip .(chip) { (flow.word()) } }
            th scope="row" { code { (safe(&flow.flow.to_string())) } }
            td { (flow.call) }
            td { (watched::standing(flow.standing, flow.call)) }
            td .told {
                ul .plain { @for window in open { (told(window, events)) } }
                @if !folded.is_empty() {
                    details {
                        summary { (folded.len()) (if shown > 0 { " more" } else { "" }) }
                        ul .plain { @for window in folded { (told(window, events)) } }
                    }
                }
            }
            td .figure { (human_us(flow.least_us())) }
            td .figure { (flow.most_us().map_or("not known".into(), human_us)) }
            td .figure { (number(flow.attempts())) }
        }
    }
}

/// A window, and what happened beside it.
fn told(window: &Window, events: &[Happening]) -> Markup {
    let beside = watched::beside(window, events);
    html! {
        li {
            (safe(&story::window(window)))
            @if !beside.is_empty() {
                ul .beside { @for one in &beside { li { (safe(one)) } } }
            }
        }
    }
}

fn established(watch: &WatchInfo) -> Markup {
    let table = |caption: &str, rows: &[&Established]| {
        html! {
            div .scroll role="region" tabindex="0" aria-label=(caption) {
                table .list {
                    caption .vh { (caption) }
                    thead {
                        tr {
                            @for title in ["flow", "became", "longest gap", "answered", "lost", "remark"] {
                                th scope="col" { (title) }
                            }
                        }
                    }
                    tbody { @for one in rows { (connection(one)) } }
                }
            }
        }
    };
    let (calm, told): (Vec<_>, Vec<_>) = watch.established.iter().partition(|one| one.fate == Fate::Survived);
    html! {
        @if let Some(sentence) = watched::established(watch) {
            h3 { "Connections held open" }
            p { (sentence) "." }
            p .soft { "A new denial does not cut a connection that is open: that is how policies work, and no leak." }
            @if !told.is_empty() { (table("Connections worth a look", &told)) }
            @if !calm.is_empty() {
                details {
                    summary { (plural(calm.len() as u64, "connection", "connections")) " that survived" }
                    (table("Connections that survived", &calm))
                }
            }
        }
    }
}

fn connection(one: &Established) -> Markup {
    let (class, word) = match &one.fate {
        Fate::Survived => ("allowed", "survived".to_owned()),
        Fate::Stalled => ("outage", "stalled".to_owned()),
        Fate::Ended { at_us, how, by } => ("outage", format!("{how} by {by} at {}", human_us(*at_us))),
        Fate::NotSeen { why } => ("unsure", format!("not seen: {why}")),
    };
    html! {
        tr {
            th scope="row" { code { (safe(&one.flow.to_string())) } }
            td { span .mini .(class) { (safe(&word)) } }
            td { (watched::gap(one).unwrap_or_default()) }
            td .figure { (number(one.answered)) }
            td .figure { (number(one.lost)) }
            td { (one.note.as_deref().map(safe).unwrap_or_default()) }
        }
    }
}

fn newborns(watch: &WatchInfo) -> Markup {
    html! {
        @if let Some(sentence) = watched::newborns(watch) {
            h3 { "Pods born while watching" }
            p { (sentence) "." }
            div .scroll role="region" tabindex="0" aria-label="Pods born while watching" {
                table .list {
                    caption .vh { "Pods born while watching, in order of birth" }
                    thead {
                        tr {
                            @for title in ["pod", "like", "node", "asked for at", "alive after", "connected after", "was open", "remark"] {
                                th scope="col" { (title) }
                            }
                        }
                    }
                    tbody { @for one in &watch.newborns { (born(one)) } }
                }
            }
        }
    }
}

fn born(one: &Newborn) -> Markup {
    let alive = one.alive_us.map(|alive| human_us(alive.saturating_sub(one.asked_us)));
    html! {
        tr {
            th scope="row" { (safe(&one.name)) }
            td { (safe(&one.like)) }
            td { (one.node.as_deref().map(safe).unwrap_or_default()) }
            td .figure { (human_us(one.asked_us)) }
            td .figure { (alive.unwrap_or("never".into())) }
            td .figure { (one.connected_after_us.map_or(if one.cut_short { "not judged" } else { "never" }.into(), human_us)) }
            td {
                @for flow in &one.leaked { span .mini .leak { (Call::Leak.word()) } " " code { (safe(&flow.to_string())) } " " }
                @for flow in &one.shut { span .mini .outage { (Call::Outage.word()) } " " code { (safe(&flow.to_string())) } " " }
            }
            td { (safe(&watched::newborn_remark(one))) }
        }
    }
}

fn known(document: &Document) -> Markup {
    html! {
        @if !document.known.is_empty() {
            h3 { "Known to go wrong" }
            ul { @for entry in &document.known { li { (safe(&watched::known(entry))) } } }
        }
    }
}
