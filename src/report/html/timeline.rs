//! What happened when: stages, events, when agents could not see, and for each flow the windows in which it was wrong.
//!
//! Drawn in per cent and stretched by a choice of zoom that needs no script.

use std::collections::{BTreeMap, HashSet};

use maud::{Markup, html};

use crate::model::document::{Convergence, Document, Stage};
use crate::model::finding::{SeenBy, Window};
use crate::model::flow::NamedFlow;
use crate::model::watch::Standing;

use super::super::duration::human_us;
use super::super::text::plural;
use super::super::{story, watched};
use super::axis::Scale;
use super::{class, events, findings, safe};

/// So many flows are drawn; the JSON holds all.
const DRAWN: usize = 500;
pub(super) const TRACK: &str = "22";

/// One flow's windows over all stages.
type Rows<'a> = BTreeMap<&'a NamedFlow, Vec<&'a Window>>;

/// Whether it stands before the findings: where something was watched, or wrong beyond its time to enforce. Then it shows at
/// one look which flows were wrong together, and what happened then.
pub fn leads(document: &Document) -> bool {
    document.watch.is_some() || !rows(document).0.is_empty()
}

/// The section.
pub fn section(document: &Document) -> Markup {
    let (trouble, settling) = rows(document);
    let whole = Scale::new(0, end(document));
    html! {
        section #timeline aria-labelledby="timeline-title" {
            h2 #timeline-title { "Timeline" }
            p .soft {
                "Time counts from the start of the run. A solid bar reaches from the first wrong attempt to the last; the pale "
                "ends reach to the nearest right ones, between which the truth lies. Hollow bars are within a budget, or known; "
                "dotted ones were seen by long attempts alone, which are rare."
            }
            (events::filters(document))
            (drawing("t", document, whole, &trouble))
            @if trouble.is_empty() { p { "No flow was wrong beyond its time to enforce." } }
            @if !settling.is_empty() {
                details {
                    summary { "While changes took effect: " (flows(settling.len())) " wrong for a time" }
                    (drawing("s", document, close(&settling), &settling))
                }
            }
            (events::list(document))
        }
    }
}

/// Flows with windows: those with a finding or wrong while watched, and those that only took their time.
fn rows(document: &Document) -> (Rows<'_>, Rows<'_>) {
    let found: HashSet<&NamedFlow> =
        document.stages.iter().flat_map(|stage| &stage.findings).map(|finding| &finding.flow).collect();
    let watched_from = document.watch.as_ref().map_or(u64::MAX, |watch| watch.from_us);
    let (mut trouble, mut settling) = (Rows::new(), Rows::new());
    let cells = document.stages.iter().flat_map(|stage| stage.cells.iter().map(move |cell| (stage, cell)));
    for (stage, cell) in cells {
        for window in &cell.windows {
            let late = window.last_wrong_us >= watched_from;
            // Where the stage converged, what was wrong before that is time to enforce.
            let enforced = window.before_convergence && matches!(stage.convergence, Convergence::Converged { .. });
            let wrong = late || (found.contains(&cell.flow) && !enforced);
            let rows = if wrong { &mut trouble } else { &mut settling };
            rows.entry(&cell.flow).or_default().push(window);
        }
    }
    (trouble, settling)
}

/// An axis just long enough for these windows, with a little room at both ends.
fn close(rows: &Rows) -> Scale {
    let spans = || rows.values().flatten().map(|window| outer(window));
    let from = spans().map(|(from, _)| from).min().unwrap_or(0);
    let until = spans().map(|(_, until)| until).max().unwrap_or(from);
    let room = until.saturating_sub(from) / 20;
    Scale::new(from.saturating_sub(room), until.saturating_add(room))
}

/// The last moment that is to be drawn.
fn end(document: &Document) -> u64 {
    let stages = document.stages.iter().map(stage_end);
    let windows = document.stages.iter().flat_map(|stage| &stage.cells).flat_map(|cell| &cell.windows);
    let windows = windows.map(|window| window.right_after_us.unwrap_or(window.last_wrong_us));
    let events = document.events.iter().map(|event| event.at_us);
    let phases = document.phases.iter().map(|phase| phase.began_us.saturating_add(phase.took_us));
    let watch = document.watch.iter().map(|watch| watch.until_us);
    stages.chain(windows).chain(events).chain(phases).chain(watch).max().unwrap_or(0).max(document.took_us)
}

fn stage_end(stage: &Stage) -> u64 {
    let took = match stage.convergence {
        Convergence::Converged { proven_us, .. } => proven_us,
        Convergence::TimedOut { after_us } => after_us,
        Convergence::Interrupted => stage.acknowledged_us.saturating_sub(stage.sent_us),
    };
    stage.sent_us.saturating_add(took)
}

fn drawing(id: &str, document: &Document, scale: Scale, rows: &Rows) -> Markup {
    let blind: Vec<_> = document.agents.iter().filter(|agent| !agent.blind.is_empty()).collect();
    html! {
        div .zoomer {
            @for (place, zoom) in ["1", "4", "16"].iter().enumerate() {
                input .{ "zoom zoom-" (zoom) } type="radio" name={ "zoom-" (id) } id={ "zoom-" (id) "-" (zoom) }
                    checked[place == 0];
                label for={ "zoom-" (id) "-" (zoom) } { (zoom) "×" span .vh { " zoom" } }
            }
            div .scroll role="region" tabindex="0" aria-label="Timeline" {
                div .rows {
                    (guides(document, scale))
                    (axis(scale))
                    (stages(document, scale))
                    (events::rows(document, scale))
                    @for agent in blind {
                        div .row {
                            span .name { "blind: " (safe(&agent.endpoint)) }
                            svg .track height=(TRACK) role="img" aria-label={ "When the agent of " (safe(&agent.endpoint)) " could not see" } {
                                @for span in &agent.blind {
                                    @if let Some((x, width)) = scale.bar(span.from_us, span.until_us) {
                                        rect .blind x=(x) y="5" height="12" width=(width) {
                                            title { (human_us(span.from_us)) " to " (human_us(span.until_us)) ": " (span.why) }
                                        }
                                    }
                                }
                            }
                        }
                    }
                    @for (flow, windows) in rows.iter().take(DRAWN) { (windows_row(flow, windows, scale)) }
                }
            }
            @if rows.len() > DRAWN {
                p .soft { (flows(rows.len() - DRAWN)) " more are not drawn; the JSON holds their windows." }
            }
        }
    }
}

fn windows_row(flow: &NamedFlow, windows: &[&Window], scale: Scale) -> Markup {
    let name = safe(&flow.to_string());
    html! {
        div .row {
            span .name title=(name) { (name) }
            svg .track height=(TRACK) role="img" aria-label={ "When " (name) " was wrong" } {
                @for window in windows {
                    @let class = class(findings::mark(window.call));
                    @let (from, until) = outer(window);
                    @if let Some((x, width)) = scale.bar(from, until) {
                        rect .{ "pale " (class) } x=(x) y="7" height="8" width=(width) {}
                    }
                    @if let Some((x, width)) = scale.bar(window.first_wrong_us, window.last_wrong_us) {
                        rect .{ "solid " (class) (standing(window)) (seen_by(window)) } x=(x) y="4" height="14" width=(width) {
                            title { (name) ": " (safe(&story::window(window))) (remark(window)) }
                        }
                    }
                }
            }
        }
    }
}

/// How a window that does not count is styled.
fn standing(window: &Window) -> &'static str {
    match window.standing {
        Standing::Counted | Standing::Undecided => "",
        Standing::WithinBudget | Standing::Known => " tolerated",
    }
}

/// How a window is styled that was shut to all attempts but the long ones.
fn seen_by(window: &Window) -> &'static str {
    match window.seen_by() {
        SeenBy::Any => "",
        SeenBy::LongAttempts => " sampled",
    }
}

/// What a window counts as, where that is not the ordinary.
fn remark(window: &Window) -> String {
    match window.standing {
        Standing::Counted => String::new(),
        Standing::Undecided | Standing::WithinBudget | Standing::Known => {
            format!("; {}", watched::standing(window.standing, window.call))
        }
    }
}

/// The widest a window can have been; where nothing right was seen on a side, as far as was seen at all.
fn outer(window: &Window) -> (u64, u64) {
    (window.right_before_us.unwrap_or(window.first_wrong_us), window.right_after_us.unwrap_or(window.last_wrong_us))
}

fn axis(scale: Scale) -> Markup {
    let coarse = scale.ticks(8);
    let fine: Vec<u64> = scale.ticks(32).into_iter().filter(|tick| !coarse.contains(tick)).collect();
    let finest: Vec<u64> =
        scale.ticks(128).into_iter().filter(|tick| !coarse.contains(tick) && !fine.contains(tick)).collect();
    let ticks = |class: &str, ticks: &[u64]| {
        let anchor = |tick| if scale.is_near_end(tick) { "end" } else { "start" };
        html! {
            @for tick in ticks {
                text .(class) x=(scale.at(*tick)) y="15" text-anchor=(anchor(*tick)) { (human_us(*tick)) }
            }
        }
    };
    html! {
        div .row .time {
            span .name { "time" }
            svg .track height=(TRACK) aria-hidden="true" {
                (ticks("mark", &coarse))
                (ticks("mark fine", &fine))
                (ticks("mark finest", &finest))
            }
        }
    }
}

fn stages(document: &Document, scale: Scale) -> Markup {
    html! {
        div .row {
            span .name { "stages" }
            svg .track height=(TRACK) role="img" aria-label="Stages" {
                @for (place, stage) in document.stages.iter().enumerate() {
                    @if let Some((x, width)) = scale.bar(stage.sent_us, stage_end(stage)) {
                        rect .{ "phase p" (place % 6) } x=(x) y="3" height="16" width=(width) {
                            title { (safe(&stage.name)) " from " (human_us(stage.sent_us)) ": " (story::convergence(stage)) }
                        }
                        // Cut off where its stage ends, so that names do not lie over each other.
                        svg x=(x) width=(width) height=(TRACK) { text .inside x="5" y="15" { (safe(&stage.name)) } }
                    }
                }
                @if let Some(watch) = &document.watch && let Some((x, width)) = scale.bar(watch.from_us, watch.until_us) {
                    rect .{ "phase p" (document.stages.len() % 6) } x=(x) y="3" height="16" width=(width) {
                        title { "watch from " (human_us(watch.from_us)) ": " (safe(&watched::span(watch))) }
                    }
                    svg x=(x) width=(width) height=(TRACK) { text .inside x="5" y="15" { "watch" } }
                }
            }
        }
    }
}

/// Lines through all rows, so that a window can be laid beside what happened.
fn guides(document: &Document, scale: Scale) -> Markup {
    html! {
        svg .guides aria-hidden="true" {
            @for tick in scale.ticks(8) { line .tick x1=(scale.at(tick)) x2=(scale.at(tick)) y1="0" y2="100%" {} }
            @for event in events::guiding(document).filter(|event| scale.covers(event.at_us)) {
                line .{ "guide " (events::class(event.about)) } x1=(scale.at(event.at_us)) x2=(scale.at(event.at_us)) y1="0" y2="100%" {}
            }
        }
    }
}

fn flows(count: usize) -> String {
    plural(count as u64, "flow", "flows")
}
