//! What happened around a run: rows of the timeline, one for each subject where these are few, and a list. What is of no
//! interest is hidden by boxes to tick, which need no script.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use maud::{Markup, html};

use crate::model::document::Document;
use crate::model::happening::{About, Happening, Turn, states};

use super::super::duration::human_us;
use super::super::text::{number, plural};
use super::super::watched;
use super::axis::Scale;
use super::safe;
use super::timeline::TRACK;

/// More subjects than that share a row with others of their sort.
const SUBJECTS: usize = 24;
/// More than that are neither numbered in the drawing, nor listed unfolded, and only what lies beside a window has a line
/// through all rows.
const FEW: usize = 40;

/// The class by which things of one sort are hidden.
pub fn class(about: About) -> &'static str {
    match about {
        About::Command => "of-command",
        About::Engine => "of-engine",
        About::Rollout => "of-rollout",
        About::Node => "of-node",
        About::Policy => "of-policy",
        About::Fault => "of-fault",
        About::Probe => "of-probe",
        About::Log => "of-log",
        About::Other => "of-other",
    }
}

/// Boxes to tick, one for each sort of thing that something happened to. They stand before all that they hide.
pub fn filters(document: &Document) -> Markup {
    let counts: Vec<(About, usize)> = About::ALL
        .into_iter()
        .map(|about| (about, document.events.iter().filter(|event| event.about == about).count()))
        .filter(|(_, count)| *count > 0)
        .collect();
    html! {
        @if counts.len() > 1 {
            @for (about, count) in counts {
                input .{ "show show-" (class(about)) } type="checkbox" id={ "show-" (class(about)) } checked;
                label for={ "show-" (class(about)) } { span .vh { "show " } (about.word()) " " (number(count as u64)) }
            }
        }
    }
}

/// Rows of the timeline.
pub fn rows(document: &Document, scale: Scale) -> Markup {
    let subjects: BTreeSet<(About, &str)> =
        document.events.iter().map(|event| (event.about, event.subject.as_str())).collect();
    let apart = subjects.len() <= SUBJECTS;
    let mut rows: BTreeMap<(About, &str), Vec<usize>> = BTreeMap::new();
    for (place, event) in document.events.iter().enumerate() {
        let name = if apart { event.subject.as_str() } else { event.about.word() };
        rows.entry((event.about, name)).or_default().push(place);
    }
    let states: HashMap<usize, Option<u64>> =
        states(&document.events).into_iter().map(|state| (state.began, state.until_us)).collect();
    let lasted = |place: usize| states.get(&place).copied();
    // A drawing of another time has no row for what is not in it.
    let in_it = |place: &usize| {
        document.events.get(*place).is_some_and(|event| {
            let until = lasted(*place).map_or(event.at_us, |until| until.unwrap_or(u64::MAX));
            scale.bar(event.at_us, until).is_some()
        })
    };
    rows.retain(|_, places| places.iter().any(in_it));
    html! {
        @for ((about, name), places) in &rows {
            div .{ "row " (class(*about)) } {
                span .name title=(safe(name)) { (safe(name)) }
                svg .track height=(TRACK) role="img" aria-label={ "What happened to " (safe(name)) ", listed below" } {
                    @for place in places {
                        @if let (Some(event), Some(until)) = (document.events.get(*place), lasted(*place)) {
                            (bar(event, until, scale))
                        }
                    }
                    @for place in places {
                        @if let Some(event) = document.events.get(*place).filter(|event| scale.covers(event.at_us)) {
                            (mark(*place, event, scale, document.events.len()))
                        }
                    }
                }
            }
        }
    }
}

/// A state, from its beginning to its end or that of the drawing.
fn bar(event: &Happening, until: Option<u64>, scale: Scale) -> Markup {
    let state = match &event.turn {
        Turn::Begins { state } => safe(state),
        Turn::None | Turn::Ends => String::new(),
    };
    let end = until.map_or_else(|| "not over at the end".to_owned(), |us| format!("until {}", human_us(us)));
    html! {
        @if let Some((x, width)) = scale.bar(event.at_us, until.unwrap_or(u64::MAX)) {
            rect .state x=(x) y="7" height="8" width=(width) {
                title { (safe(&event.subject)) " was " (state) " from " (human_us(event.at_us)) " on, " (end) }
            }
        }
    }
}

fn mark(place: usize, event: &Happening, scale: Scale, all: usize) -> Markup {
    let few = all <= FEW;
    html! {
        @if let Some((x, width)) = event.since_us.and_then(|since| scale.bar(since, event.at_us)) {
            rect .since x=(x) y="10" height="2" width=(width) {}
        }
        circle .event cx=(scale.at(event.at_us)) cy="11" r=(if few { "8" } else { "3.5" }) {
            title { (safe(&watched::happening(event))) }
        }
        @if few { text .number x=(scale.at(event.at_us)) y="14.5" text-anchor="middle" { (place + 1) } }
    }
}

/// What has a line through all rows, so that windows can be laid beside it.
pub fn guiding(document: &Document) -> impl Iterator<Item = &Happening> {
    let windows = document.stages.iter().flat_map(|stage| &stage.cells).flat_map(|cell| &cell.windows);
    let beside =
        windows.flat_map(|window| window.beside.iter().take(watched::NAMED)).map(|beside| beside.event as usize);
    let beside: BTreeSet<usize> = beside.collect();
    let few = document.events.len() <= FEW;
    let guides = move |place: &usize| few || beside.contains(place);
    document.events.iter().enumerate().filter(move |(place, _)| guides(place)).map(|(_, event)| event)
}

/// All of it, in order of time.
pub fn list(document: &Document) -> Markup {
    let all = document.events.len();
    html! {
        @if all > 0 {
            h3 { "Events" }
            p .soft {
                "A time is when this was heard of. Whoever made it happen may have another one, to the second and by another "
                "machine's clock. That something lies beside a window does not make it the cause."
            }
            @if all > FEW {
                details { summary { (plural(all as u64, "event", "events")) } (table(document)) }
            } @else {
                (table(document))
            }
        }
    }
}

fn table(document: &Document) -> Markup {
    html! {
        div .scroll role="region" tabindex="0" aria-label="Events" {
            table .list {
                caption .vh { "Events in order of time" }
                thead {
                    tr {
                        @for title in ["no.", "heard of at", "what", "happened", "by its own account"] {
                            th scope="col" { (title) }
                        }
                    }
                }
                tbody {
                    @for (place, event) in document.events.iter().enumerate() {
                        tr .(class(event.about)) {
                            th scope="row" { (place + 1) }
                            td .figure {
                                @if let Some(since) = event.since_us { (human_us(since)) " to " }
                                (human_us(event.at_us))
                            }
                            td { (safe(&event.subject)) }
                            td { (safe(&event.what)) }
                            td { (event.stamped.as_deref().map(safe).unwrap_or_default()) }
                        }
                    }
                }
            }
        }
    }
}
