//! The faults that go through a watched world, and what must come of each.

use leakproof::model::document::{Cell, Document};
use leakproof::model::finding::Call;
use leakproof::model::happening::About;
use leakproof::model::verdict::{Meaning, Verdict};
use leakproof::model::watch::{Fate, Standing, WatchInfo};

/// A fault, and what must come of it.
pub struct Case {
    pub claim: &'static str,
    pub arguments: &'static [&'static str],
    pub exit: u8,
    /// What the lab's journal says at the beginning and at the end of what was made; none for what makes no window, or is
    /// there all along.
    pub made: Option<(&'static str, &'static str)>,
    /// How each cell must have been wrong, given the node of its source and of its destination.
    pub wrong: fn(&Cell, &str, &str) -> Option<Call>,
    /// What else must hold.
    pub holds: fn(&Document, &WatchInfo) -> Result<(), String>,
}

fn nothing(_: &Cell, _: &str, _: &str) -> Option<Call> {
    None
}

fn denied(cell: &Cell) -> bool {
    cell.meaning == Meaning::Known(Verdict::Denied)
}

/// The policy of the scenario selects the data stores, so it is their nodes that enforce it.
fn leaks_into(cell: &Cell, node: &str, to: &str) -> Option<Call> {
    (denied(cell) && to == node).then_some(Call::Leak)
}

fn survived(_: &Document, watch: &WatchInfo) -> Result<(), String> {
    if watch.established.is_empty() {
        return Err("no connection was held".into());
    }
    match watch.established.iter().find(|held| held.fate != Fate::Survived) {
        Some(held) => Err(format!("a held connection did not survive: {held:?}")),
        None => Ok(()),
    }
}

pub const CASES: &[Case] = &[
    Case {
        claim: "a quiet watch finds nothing, and held connections survive",
        arguments: &["--for", "6s"],
        exit: 0,
        made: None,
        wrong: nothing,
        holds: |document, watch| match watch.persistent {
            0 => Err("no long attempt was made".into()),
            _ => survived(document, watch),
        },
    },
    Case {
        claim: "a flow of which only repeated first packets pass is a leak, which long attempts see",
        arguments: &["--for", "8s", "--fault", "leak-repeats=intruder->data-store:5432/tcp"],
        exit: 11,
        made: None,
        wrong: |cell, _, _| (cell.flow.to_string() == "intruder -> data-store:5432/tcp").then_some(Call::Leak),
        holds: survived,
    },
    Case {
        claim: "rules of a node lost for 300 ms are a leak of 300 ms into its pods",
        arguments: &["--for", "6s", "--fault", "lose-node=1@7s+300ms"],
        exit: 11,
        made: Some(("node-1 lost its rules", "node-1 found its rules again")),
        wrong: |cell, _, to| leaks_into(cell, "node-1", to),
        holds: survived,
    },
    Case {
        claim: "a late set update is an outage of those it should hold",
        arguments: &["--for", "6s", "--fault", "late-set=2@7s+400ms"],
        exit: 10,
        made: Some(("node-2 has no pods in its sets", "node-2 filled its sets")),
        wrong: |cell, _, to| {
            let held = cell.flow.to.starts_with("data-store") && !denied(cell) && to == "node-2";
            held.then_some(Call::Outage)
        },
        holds: survived,
    },
    Case {
        claim: "rules rebuilt in two transactions are a leak of the moment between",
        arguments: &["--for", "6s", "--fault", "open-moment=2@7s+300ms"],
        exit: 11,
        made: Some(("node-2 removed its packet filter", "node-2 built its packet filter again")),
        wrong: |cell, _, to| leaks_into(cell, "node-2", to),
        holds: survived,
    },
    Case {
        claim: "forwarding stopped for 1.5 s is an outage of all that passes the node, and stalls what is established",
        arguments: &["--for", "8s", "--fault", "stop-forwarding=1@7s+1500ms"],
        exit: 10,
        made: Some(("node-1 stopped forwarding", "node-1 forwards again")),
        wrong: |cell, from, to| {
            let passes = !denied(cell) && (from == "node-1" || to == "node-1");
            passes.then_some(Call::Outage)
        },
        holds: |document, watch| {
            let node = |name: &str| document.endpoints.iter().find(|e| e.name == name).and_then(|e| e.node.clone());
            for held in &watch.established {
                let passes =
                    [&held.flow.from, &held.flow.to].iter().any(|name| node(name).as_deref() == Some("node-1"));
                let expected = if passes { Fate::Stalled } else { Fate::Survived };
                let blind = held.note.as_ref().is_some_and(|note| note.contains("could not see"));
                if held.fate != expected && !blind {
                    return Err(format!("{held:?} is not {expected:?}"));
                }
            }
            Ok(())
        },
    },
    Case {
        claim: "no way from one pod to another is an outage between the two, and nothing of the others",
        arguments: &["--for", "6s", "--fault", "no-route=ai-processing->data-store@7s+500ms"],
        exit: 10,
        made: Some(("ai-processing has no way to data-store", "ai-processing has its way to data-store again")),
        wrong: |cell, _, _| {
            let ends = (cell.flow.from.as_str(), cell.flow.to.as_str());
            // Answers to the other's calls have no way, either.
            matches!(ends, ("ai-processing", "data-store") | ("data-store", "ai-processing")).then_some(Call::Outage)
        },
        holds: |document, _| {
            let cells = document.stages.last().map(|stage| stage.cells.as_slice()).unwrap_or_default();
            let stranded = |cell: &&Cell| cell.flow.from == "ai-processing" && cell.flow.to == "data-store";
            match cells.iter().filter(stranded).count() {
                0 => Err("the flow is not in the matrix".into()),
                _ => Ok(()),
            }
        },
    },
    Case {
        claim: "an agent stopped for 2 s could not see, and nothing was out",
        arguments: &["--for", "8s", "--fault", "stop-agent=data-store@7s+2s"],
        exit: 6,
        made: None,
        wrong: nothing,
        holds: |document, watch| {
            let agent = document.agents.iter().find(|agent| agent.endpoint == "data-store");
            let blind = agent.is_some_and(|agent| {
                agent.blind.iter().any(|span| span.until_us - span.from_us > 1_800_000 && span.from_us > watch.from_us)
            });
            let stage = document.stages.last().map(|stage| stage.cells.as_slice()).unwrap_or_default();
            let unsure = stage.iter().filter(|cell| cell.call == Call::Inconclusive);
            let others = unsure.clone().any(|cell| cell.flow.from != "data-store" && cell.flow.to != "data-store");
            match (blind, unsure.count(), others) {
                (false, ..) => Err(format!("the agent was not blind for 2 s: {agent:?}")),
                (_, 0, _) => Err("every flow was said to be seen".into()),
                (_, _, true) => Err("flows of others could not be seen".into()),
                (true, _, false) => Ok(()),
            }
        },
    },
    Case {
        claim: "a control stream that breaks costs nothing",
        arguments: &["--for", "6s", "--fault", "cut-stream=data-store@7s"],
        exit: 0,
        made: None,
        wrong: nothing,
        holds: |document, _| {
            let agent = document.agents.iter().find(|agent| agent.endpoint == "data-store");
            let again = agent.is_some_and(|agent| agent.reconnects > 0 && agent.lost.is_none());
            if again { Ok(()) } else { Err(format!("{agent:?} was not reached anew")) }
        },
    },
    Case {
        claim: "a leak within its budget is reported and does not count",
        arguments: &["--for", "6s", "--fault", "lose-node=1@7s+300ms", "--max-leak", "3s"],
        exit: 0,
        made: Some(("node-1 lost its rules", "node-1 found its rules again")),
        wrong: |cell, _, to| leaks_into(cell, "node-1", to),
        holds: |document, _| {
            let windows = document.stages.iter().flat_map(|stage| &stage.cells).flat_map(|cell| &cell.windows);
            let within = windows.filter(|window| window.standing == Standing::WithinBudget).count();
            if within > 0 { Ok(()) } else { Err("no window is within its budget".into()) }
        },
    },
    Case {
        claim: "a command that fails makes the watch inconclusive, though all was well",
        arguments: &["--quiet-for", "1s", "--", "sh", "-c", "echo upgrading; echo failed >&2; exit 3"],
        exit: 6,
        made: None,
        wrong: nothing,
        holds: |document, watch| {
            let command = watch.command.as_ref().ok_or("no command in the document")?;
            let events = document.events.iter().filter(|event| event.about == About::Command).count();
            let said = command.said.iter().any(|line| line == "failed");
            if command.status.as_deref() == Some("exit 3") && said && events == 2 {
                Ok(())
            } else {
                Err(format!("{command:?}"))
            }
        },
    },
];
