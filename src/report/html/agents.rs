//! Endpoints as they were placed, and their agents as they were heard.

use std::collections::HashMap;

use maud::{Markup, html};

use crate::model::document::{AgentInfo, Document, EndpointInfo};

use super::super::duration::human_us;
use super::super::text::number;
use super::safe;

/// The section.
pub fn section(document: &Document) -> Markup {
    let agents: HashMap<&str, &AgentInfo> =
        document.agents.iter().map(|agent| (agent.endpoint.as_str(), agent)).collect();
    html! {
        section #agents aria-labelledby="agents-title" {
            h2 #agents-title { "Endpoints and agents" }
            div .scroll role="region" tabindex="0" aria-label="Endpoints and agents" {
                table .list {
                    caption .vh { "Each endpoint with its place, and what its agent could see" }
                    thead {
                        tr {
                            @for title in ["endpoint", "namespace", "labels", "node", "addresses", "serves", "clock", "attempts", "could not see"] {
                                th scope="col" { (title) }
                            }
                        }
                    }
                    tbody {
                        @for endpoint in &document.endpoints { (row(endpoint, agents.get(endpoint.name.as_str()).copied())) }
                    }
                }
            }
            p .soft { "Clock is the agent's less the harness's, right to within half a round trip." }
        }
    }
}

fn row(endpoint: &EndpointInfo, agent: Option<&AgentInfo>) -> Markup {
    let joined = |parts: Vec<String>| safe(&parts.join(", "));
    html! {
        tr {
            th scope="row" { (safe(&endpoint.name)) }
            td { (endpoint.namespace.as_deref().map(safe).unwrap_or_default()) }
            td { (safe(&endpoint.labels.to_string())) }
            td { (endpoint.node.as_deref().map(safe).unwrap_or_default()) }
            td { (joined(endpoint.addresses.iter().map(|address| address.to_string()).collect())) }
            td { (joined(endpoint.serves.iter().map(ToString::to_string).collect())) }
            @match agent {
                Some(agent) => {
                    td { (clock(agent)) }
                    td { (number(agent.attempts)) }
                    td { (sight(agent)) }
                }
                None => { td colspan="3" { "no agent was heard" } }
            }
        }
    }
}

/// `+12 µs ± 41 µs`: clocks are told finer than probes.
fn clock(agent: &AgentInfo) -> String {
    let sign = if agent.clock_offset_ns < 0 { "−" } else { "+" };
    format!("{sign}{} ± {}", fine(agent.clock_offset_ns.unsigned_abs()), fine(agent.clock_error_ns))
}

fn fine(nanoseconds: u64) -> String {
    match nanoseconds {
        0..1_000 => format!("{nanoseconds} ns"),
        1_000..1_000_000 => format!("{} µs", nanoseconds / 1_000),
        _ => human_us(nanoseconds / 1_000),
    }
}

fn sight(agent: &AgentInfo) -> Markup {
    html! {
        @if agent.blind.is_empty() && agent.lost.is_none() && agent.reconnects == 0 { "never" }
        ul .plain {
            @for span in &agent.blind {
                li { (human_us(span.from_us)) " to " (human_us(span.until_us)) ": " (span.why) }
            }
            @if let Some(why) = &agent.lost { li { strong { "lost: " } (safe(why)) } }
            @match agent.reconnects {
                0 => {},
                1 => li { "its stream was made anew once" },
                times => li { "its stream was made anew " (times) " times" },
            }
        }
    }
}
