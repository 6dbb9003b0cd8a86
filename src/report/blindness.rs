//! Agents that could not see for a while, or were lost, in words. What came of it stands with the cells.

use crate::model::document::{AgentInfo, Document};

use super::duration::human_us;

/// So many agents that could not see for a while are told each for itself.
const AGENTS: usize = 2;

/// How much to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// Where many could not see, how many, and which of them for longest.
    Some,
    /// Each agent, with every time in which it could not see.
    All,
}

/// Agents that could not see for a while, one sentence each, or one for all of them.
pub fn blind(document: &Document, detail: Detail) -> Vec<String> {
    let blind: Vec<&AgentInfo> = document.agents.iter().filter(|agent| !agent.blind.is_empty()).collect();
    if blind.len() <= AGENTS || detail == Detail::All {
        return blind.iter().map(|agent| format!("agent of {}: {}", agent.endpoint, spans(agent))).collect();
    }
    let spans = blind.iter().flat_map(|agent| agent.blind.iter().map(move |span| (agent, span)));
    let longest = spans.max_by_key(|(_, span)| span.until_us.saturating_sub(span.from_us));
    let told = longest.map(|(agent, span)| {
        let lasted = human_us(span.until_us.saturating_sub(span.from_us));
        let worst = format!("the longest {} for {lasted}, as {}", agent.endpoint, span.why);
        format!("{} agents could not see for a while, {worst}", blind.len())
    });
    told.into_iter().collect()
}

fn spans(agent: &AgentInfo) -> String {
    let spans = agent.blind.iter().map(|span| {
        let lasted = human_us(span.until_us.saturating_sub(span.from_us));
        format!("from {} for {lasted}: {}", human_us(span.from_us), span.why)
    });
    spans.collect::<Vec<_>>().join("; ")
}

/// Agents that got no processor time for a while, however short.
pub fn starved(document: &Document) -> impl Iterator<Item = String> {
    let starved = document.agents.iter().filter_map(|agent| Some((agent, agent.starved.filter(|it| it.total_us > 0)?)));
    starved.map(|(agent, starved)| {
        let (longest, total) = (human_us(starved.longest_us), human_us(starved.total_us));
        format!("agent of {}: no processor time for {longest} at most, {total} in all", agent.endpoint)
    })
}

/// Agents that were lost, and why.
pub fn lost(document: &Document) -> impl Iterator<Item = String> {
    let lost = document.agents.iter().filter_map(|agent| Some((agent, agent.lost.as_ref()?)));
    lost.map(|(agent, why)| format!("agent of {}: {why}", agent.endpoint))
}
