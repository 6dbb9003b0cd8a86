//! Pods that are born while a world is watched, rightly and wrongly.

use std::process::Command;

use leakproof::model::document::Document;
use leakproof::model::watch::Newborn;
use libtest_mimic::{Completion, Failed};

use super::windows::EDGE_US;
use super::{PROGRAM, Ran, TRIES, run, scenario};

/// What is done to pods at birth, and what must come of it.
pub struct Birth {
    like: &'static str,
    fault: Option<&'static str>,
    exit: i32,
    holds: fn(&Document, &Newborn) -> Result<(), String>,
}

/// A newborn's flows are tried once in this.
const NEWBORN_INTERVAL_US: u64 = 50_000;

/// When the lab's journal says something of a newborn.
fn told(document: &Document, name: &str, what: &str) -> Result<u64, String> {
    let event = document.events.iter().find(|event| event.subject == name && event.what == what);
    event.map(|event| event.at_us).ok_or_else(|| format!("nobody says of {name} that it {what}"))
}

pub const LATE: Birth = Birth {
    like: "ai-processing",
    fault: Some("late-pod=1500ms"),
    exit: 0,
    holds: |document, newborn| {
        let let_through = told(document, &newborn.name, "is let through")?;
        let (Some(alive), Some(after)) = (newborn.alive_us, newborn.connected_after_us) else {
            return Err(format!("it never connected: {newborn:?}"));
        };
        let apart = (alive + after).abs_diff(let_through);
        match apart <= 2 * NEWBORN_INTERVAL_US + EDGE_US.unsigned_abs() && newborn.leaked.is_empty() {
            true if newborn.slowest.as_ref().is_none_or(|slow| slow.node.is_none()) => {
                Err(format!("nothing names the flow that was late, and the node it leads into: {newborn:?}"))
            }
            true => Ok(()),
            false => Err(format!("let through at {let_through}, {apart} us from what was found: {newborn:?}")),
        }
    },
};

pub const OPEN: Birth = Birth {
    like: "intruder",
    fault: Some("open-pod=1500ms"),
    exit: 11,
    holds: |_, newborn| {
        let into = |name: &str| newborn.leaked.iter().any(|flow| flow.from == newborn.name && flow.to == name);
        let only_denied = newborn.leaked.iter().all(|flow| flow.to.starts_with("data-store"));
        match into("data-store") && only_denied {
            true => Ok(()),
            false => Err(format!("not the flows that were open: {newborn:?}")),
        }
    },
};

pub const SHUT: Birth = Birth {
    like: "ai-processing",
    fault: Some("cut=newborn-1->data-store:5432/tcp"),
    exit: 10,
    holds: |_, newborn| {
        let shut: Vec<String> = newborn.shut.iter().map(ToString::to_string).collect();
        match shut == ["newborn-1 -> data-store:5432/tcp"] && newborn.leaked.is_empty() {
            true => Ok(()),
            false => Err(format!("not the flow that was shut: {newborn:?}")),
        }
    },
};

pub const WELL: Birth = Birth {
    like: "ai-processing",
    fault: None,
    exit: 0,
    holds: |_, newborn| match newborn.connected_after_us {
        Some(after) if after <= 4 * NEWBORN_INTERVAL_US && newborn.leaked.is_empty() => Ok(()),
        Some(_) | None => Err(format!("it waited, or was open: {newborn:?}")),
    },
};

/// A watch with one birth after the other, of which the first is looked at.
pub fn newborns(birth: &Birth) -> Result<Completion, Failed> {
    let mut arguments = vec!["--for", "9s", "--newborns", "1s", "--newborn-like", birth.like, "--newborn-within", "5s"];
    arguments.extend(birth.fault.iter().flat_map(|fault| ["--fault", fault]));
    let mut last = String::new();
    for _ in 0..TRIES {
        let run = match run(&scenario("ai-data-pipeline.yaml"), &arguments)? {
            Ran::NoLab(said) => return Ok(Completion::ignored_with(said)),
            Ran::Not(why) => {
                last = why;
                continue;
            }
            Ran::It(run) => run,
        };
        let Some(newborn) = run.watch.newborns.first() else {
            return Err(format!("nobody was born:\n{}", run.said).into());
        };
        match (birth.holds)(&run.document, newborn) {
            Ok(()) if run.code == birth.exit => return Ok(Completion::Completed),
            Ok(()) => last = format!("exit {} instead of {}:\n{}", run.code, birth.exit, run.said),
            Err(why) => last = format!("{why}\n{}", run.said),
        }
        // What a starved machine makes late is late by the machine's doing; then somebody could not see.
        let blind = run.document.agents.iter().any(|agent| !agent.blind.is_empty());
        if !blind && run.watch.unseen == 0 {
            return Err(last.into());
        }
    }
    Err(format!("this machine was too busy {TRIES} times; the last time: {last}").into())
}

pub fn behind() -> Result<Completion, Failed> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("behind.yaml");
    std::fs::write(
        &file,
        "version: 1\nnamespaces: { shop: {} }\npods:\n  web: { namespace: shop, labels: { app: web } }\n  \
         db: { namespace: shop, labels: { app: db } }\nservices:\n  front: { namespace: shop, selects: { app: web }, \
         ports: [ 8080/tcp ] }\nexpect:\n- { from: db, to: front, verdict: allowed }\n",
    )?;
    let mut command = Command::new(PROGRAM);
    command.arg("watch").arg(&file).args(["--for", "1s", "--newborns", "1s", "--newborn-like", "web"]);
    let output = command.output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.code() == Some(4) {
        return Ok(Completion::ignored_with(said));
    }
    let told = said.contains("a newborn like `web` would be behind the Service `front`");
    if told && output.status.code() == Some(2) { Ok(Completion::Completed) } else { Err(said.into()) }
}
