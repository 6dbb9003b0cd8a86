//! Worlds come and go, with their agents, and nothing stays behind.

use std::fs;
use std::num::NonZeroU8;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use leakproof::fabric::lab::{Agents, Entered, Fault, Lab, LabError, Raised};
use leakproof::fabric::{Fabric, Realised};
use leakproof::model::document::Strictness;
use leakproof::model::endpoint::EndpointId;
use leakproof::model::event::Event;
use leakproof::model::port::Protocol;
use leakproof::scenario::{self, Change, Phases};
use leakproof::wire::{FromAgent, PROTOCOL, ToAgent};
use libtest_mimic::Failed;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::policies::{tear_down, text};
use crate::sockets::{Seen, attempt, serve, serve_one};
use crate::worlds::{Made, pipeline, port, served};
use crate::{Body, block_on};

pub fn trials() -> Vec<(&'static str, Body)> {
    vec![
        ("every endpoint has an agent, reached with its own token", agents_answer),
        ("tear-down ends stopped agents too and leaves no process and no folder", nothing_stays),
        ("an agent that ends at once is an error with its last words, and nothing stays", agent_ends),
        ("a program that is not there is an error that names it", no_program),
        ("a killed process leaves no agent behind", killed),
        ("a pod that comes meets its policies, one that goes is gone", pods_come_and_go),
        ("steps are made in the order that every fabric keeps", steps_are_made_in_the_order_that_every_fabric_keeps),
        ("worlds live beside each other", beside),
        ("the step into a pod is a command that works", steps),
        ("a fault that names what is not there is refused before anything is made", wrong_names),
        ("two hundred pods can be had", two_hundred),
    ]
}

async fn raise(entered: Entered, made: &Made) -> Result<Raised, LabError> {
    Lab::new(entered).raise(&made.world, &made.names, NonZeroU8::MIN).await
}

/// This process's children, with the folder each was told to put its socket in.
fn agents_of(pid: u32) -> Vec<(u32, PathBuf)> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").expect("/proc").flatten() {
        let Some(child) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let status = fs::read_to_string(entry.path().join("status")).unwrap_or_default();
        let mine = status.lines().any(|line| line.strip_prefix("PPid:").is_some_and(|p| p.trim() == pid.to_string()));
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let socket = line.split(|byte| *byte == 0).find_map(|part| part.strip_prefix(b"unix:"));
        if let (true, Some(socket)) = (mine, socket) {
            let socket = PathBuf::from(String::from_utf8_lossy(socket).into_owned());
            found.push((child, socket.parent().expect("a folder").to_owned()));
        }
    }
    found
}

/// The folder of a world, as its agents' processes tell.
fn folder_of(raised: &Raised) -> Result<PathBuf, Failed> {
    let mine = raised.placements().len();
    // Other trials run in this process too: a world is told by the number of its agents.
    let mut folders: Vec<PathBuf> = agents_of(std::process::id()).into_iter().map(|(_, folder)| folder).collect();
    folders.sort();
    folders.dedup();
    for folder in folders {
        let count = agents_of(std::process::id()).iter().filter(|(_, f)| *f == folder).count();
        if count == mine && fs::read_dir(&folder).is_ok() {
            return Ok(folder);
        }
    }
    Err(format!("no folder of {mine} agents").into())
}

async fn token_of(raised: &Raised, id: EndpointId) -> Result<String, Failed> {
    let mut stream = BufReader::new(raised.dial().dial(id).await?);
    let hello = ToAgent::Hello { protocol: PROTOCOL, token: String::new(), resume: 0 };
    stream.write_all(format!("{}\n", serde_json::to_string(&hello)?).as_bytes()).await?;
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    match serde_json::from_str(&line)? {
        FromAgent::Refused { why } => Ok(why),
        other => Err(format!("{other:?}").into()),
    }
}

fn agents_answer(entered: Entered, runtime: Arc<Runtime>) -> Result<(), Failed> {
    block_on(&runtime, async {
        let made = pipeline();
        let raised = raise(entered, &made).await.map_err(text)?;
        for (id, placement) in raised.placements().clone() {
            let token = token_of(&raised, id).await?;
            if token != placement.token || token.len() != 32 {
                return Err(format!("{id:?} has token `{token}`, not `{}`", placement.token).into());
            }
        }
        let twice = token_of(&raised, EndpointId(0)).await;
        tear_down(raised).await?;
        twice.map(drop)
    })
}

fn nothing_stays(entered: Entered, runtime: Arc<Runtime>) -> Result<(), Failed> {
    block_on(&runtime, async {
        // A number of pods that no other trial has, so that the agents can be told apart.
        let made = pipeline().pod("seventh", "ai-staging", 1, &[], &[]);
        let raised = raise(entered, &made).await.map_err(text)?;
        let folder = folder_of(&raised)?;
        let agents: Vec<u32> =
            agents_of(std::process::id()).into_iter().filter(|(_, f)| *f == folder).map(|(pid, _)| pid).collect();
        let stopped = nix::unistd::Pid::from_raw(agents[0].cast_signed());
        nix::sys::signal::kill(stopped, nix::sys::signal::Signal::SIGSTOP)?;
        tear_down(raised).await?;
        let left: Vec<&u32> = agents.iter().filter(|pid| fs::exists(format!("/proc/{pid}")).unwrap_or(true)).collect();
        match (left.is_empty(), fs::exists(&folder)?) {
            (true, false) => Ok(()),
            (empty, folder) => Err(format!("processes {left:?} ({empty}), folder {folder}").into()),
        }
    })
}

async fn fails(entered: Entered, agents: Agents) -> Result<String, Failed> {
    let made = pipeline();
    let lab = Lab::new(entered).with_agents(agents);
    match lab.raise(&made.world, &made.names, NonZeroU8::MIN).await {
        Err(error) => Ok(text(error)),
        Ok(raised) => {
            tear_down(raised).await?;
            Err("nothing went wrong".into())
        }
    }
}

fn contains(text: &str, part: &str) -> Result<(), Failed> {
    if text.contains(part) { Ok(()) } else { Err(format!("`{text}` does not say `{part}`").into()) }
}

fn agent_ends(entered: Entered, runtime: Arc<Runtime>) -> Result<(), Failed> {
    block_on(&runtime, async {
        let error = fails(entered, Agents::Program("/bin/cat".into())).await?;
        contains(&error, "ended at once (exit status: 1); it said: /bin/cat:")
    })
}

fn no_program(entered: Entered, runtime: Arc<Runtime>) -> Result<(), Failed> {
    block_on(&runtime, async {
        let error = fails(entered, Agents::Program("/nowhere/agent".into())).await?;
        contains(&error, "starting the agent of `ai-processing` from `/nowhere/agent`")
    })
}

/// The trial starts this binary again as a process that raises a world and waits, and kills that.
fn killed(entered: Entered, runtime: Arc<Runtime>) -> Result<(), Failed> {
    if std::env::var_os("LEAKPROOF_TEST_VICTIM").is_some() {
        return block_on(&runtime, async {
            let made = pipeline();
            let _raised = raise(entered, &made).await.map_err(text)?;
            std::future::pending().await
        });
    }
    let mut victim = Command::new(std::env::current_exe()?)
        .args(["--exact", "a killed process leaves no agent behind"])
        .env("LEAKPROOF_TEST_VICTIM", "1")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let deadline = Instant::now() + Duration::from_secs(20);
    let agents = loop {
        let agents = agents_of(victim.id());
        if agents.len() == pipeline().names.len() {
            break agents;
        }
        if Instant::now() > deadline {
            victim.kill()?;
            return Err(format!("the victim has {} agents", agents.len()).into());
        }
        std::thread::yield_now();
    };
    victim.kill()?;
    victim.wait()?;
    let alive = |pid: &u32| {
        // One that is dead but not yet seen off by its new parent is dead.
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.lines().any(|line| line.starts_with("State:") && !line.contains('Z') && !line.contains('X'))
    };
    let deadline = Instant::now() + Duration::from_secs(5);
    while agents.iter().any(|(pid, _)| alive(pid)) {
        if Instant::now() > deadline {
            return Err("agents outlive the process".into());
        }
        std::thread::yield_now();
    }
    // Its folder is cleared away by a later run; this one need not wait for it to be old.
    fs::remove_dir_all(&agents[0].1)?;
    Ok(())
}

fn pods_come_and_go(entered: Entered, runtime: Arc<Runtime>) -> Result<(), Failed> {
    block_on(&runtime, async {
        let mut made = pipeline();
        let mut raised =
            Lab::new(entered).raise(&made.without_policies(), &made.names_for_more(), NonZeroU8::MIN).await?;
        let _servers = serve(&raised, &made).await?;
        let store = made.find("data-store");
        let at = made.world.addresses(store).and_then(|a| a.v4).expect("an address").into();
        raised.enact(&[], &made.world).await.map_err(text)?;
        let (id, pod) = made.next("newcomer", "ai-data-pipeline", 2, &[("role", "ai-processing")], &[]);
        made.world.pods.insert(id, pod.clone());
        raised.enact(&[Change::AddPod(id, pod)], &made.world).await.map_err(text)?;
        let token = token_of(&raised, id).await?;
        if Some(&token) != raised.placements().get(&id).map(|placement| &placement.token) {
            return Err("the newcomer's agent is not the one placed".into());
        }
        let mut servers = JoinSet::new();
        serve_one(&raised, &made.world, id, "newcomer", &mut servers).await?;
        let seen = attempt(&raised, id, at, port(5432, Protocol::Tcp)).await;
        if seen != Seen::Reached("data-store".into()) {
            return Err(format!("the newcomer saw {seen:?}").into());
        }
        made.world.pods.remove(&store);
        raised.enact(&[Change::RemovePod(store)], &made.world).await.map_err(text)?;
        let gone = attempt(&raised, id, at, port(5432, Protocol::Tcp)).await;
        let dial = raised.dial().dial(store).await.map(drop);
        let placed = raised.placements().contains_key(&store);
        tear_down(raised).await?;
        match (gone, dial.map_err(|error| error.kind()), placed) {
            (Seen::Other(_) | Seen::Silent, Err(std::io::ErrorKind::NotFound), false) => Ok(()),
            other => Err(format!("the removed pod: {other:?}").into()),
        }
    })
}

/// The cluster's test of the same name holds the cluster against the same file.
fn steps_are_made_in_the_order_that_every_fabric_keeps(entered: Entered, runtime: Arc<Runtime>) -> Result<(), Failed> {
    block_on(&runtime, async {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/steps-in-order.yaml");
        let scenario = scenario::load(&file, Strictness::Strict).map_err(text)?;
        let (lab, enough) = (Lab::new(entered), CancellationToken::new());
        let mut raised = lab.realise(&scenario, "cafe0001", &|_: Event| {}, enough).await.map_err(text)?;
        let mut told = String::new();
        for stage in scenario.stages() {
            let before = raised.operations().await.map_err(text)?.len();
            raised.enact(&stage.changes, &stage.world).await.map_err(text)?;
            let mut done = raised.operations().await.map_err(text)?.split_off(before);
            // The lab puts all policies in force with every step, since sets hold the addresses of pods.
            if Phases::of(&stage.changes).changed.is_empty() {
                done.retain(|done| done != "change");
            }
            told.push_str(&format!("{}: {done:?}\n", stage.name));
        }
        tear_down(raised).await?;
        let expected = include_str!("steps-in-order.txt");
        if told == expected { Ok(()) } else { Err(format!("{told}, not {expected}").into()) }
    })
}

fn beside(entered: Entered, runtime: Arc<Runtime>) -> Result<(), Failed> {
    block_on(&runtime, async {
        // The same addresses in both; only one of them has the policy.
        let made = pipeline();
        let (mut one, other) = (raise(entered, &made).await?, raise(entered, &made).await?);
        let (_a, _b) = (serve(&one, &made).await?, serve(&other, &made).await?);
        one.enact(&[], &made.world).await.map_err(text)?;
        let at = made.world.addresses(made.find("data-store")).and_then(|a| a.v4).expect("an address").into();
        let intruder = made.find("intruder");
        let seen = attempt(&one, intruder, at, port(9000, Protocol::Tcp)).await;
        tear_down(one).await?;
        let beside = attempt(&other, intruder, at, port(9000, Protocol::Tcp)).await;
        tear_down(other).await?;
        match (seen, beside) {
            (Seen::Silent, Seen::Reached(_)) => Ok(()),
            other => Err(format!("{other:?}").into()),
        }
    })
}

fn wrong_names(entered: Entered, runtime: Arc<Runtime>) -> Result<(), Failed> {
    block_on(&runtime, async {
        let rows = [
            (
                "leak=intruder->data-sore:5432/tcp",
                "there is no `data-sore` in this scenario; there are `ai-processing`,",
            ),
            ("lose-node=7@1s+1s", "there is no `node-7` in this scenario; there are `1`, `2`"),
        ];
        let made = pipeline();
        for (fault, expected) in rows {
            let lab = Lab::new(entered).with_faults(vec![fault.parse::<Fault>()?]);
            match lab.raise(&made.world, &made.names, NonZeroU8::MIN).await {
                Err(error) => contains(&text(error), expected)?,
                Ok(_) => return Err("it was taken".into()),
            }
        }
        Ok(())
    })
}

fn two_hundred(entered: Entered, runtime: Arc<Runtime>) -> Result<(), Failed> {
    block_on(&runtime, async {
        let mut made = Made::default().namespace("one");
        for number in 0..200 {
            let node = if number % 2 == 0 { 1 } else { 2 };
            made = made.pod(&format!("p{number}"), "one", node, &[], &[served(80, Protocol::Tcp)]);
        }
        let raised = raise(entered, &made).await.map_err(text)?;
        let _servers = serve(&raised, &made).await?;
        let (first, last) = (EndpointId(0), EndpointId(199));
        let mut wrong = Vec::new();
        for (from, to) in [(first, last), (last, first)] {
            for address in made.world.addresses(to).unwrap_or_default().iter() {
                let seen = attempt(&raised, from, address, port(80, Protocol::Tcp)).await;
                if seen != Seen::Reached(made.names[to.index()].clone()) {
                    wrong.push(seen);
                }
            }
        }
        tear_down(raised).await?;
        if wrong.is_empty() { Ok(()) } else { Err(format!("{wrong:?}").into()) }
    })
}

fn steps(entered: Entered, runtime: Arc<Runtime>) -> Result<(), Failed> {
    block_on(&runtime, async {
        let made = pipeline();
        let raised = raise(entered, &made).await.map_err(text)?;
        let steps = raised.commands_inside();
        let (_, step) = steps.iter().find(|(name, _)| name == "intruder").ok_or("no step into intruder")?;
        // What this process starts is in its user namespace already; a person's shell is not.
        let step = step.split(' ').filter(|part| !part.starts_with("--user=") && !part.starts_with("--preserve"));
        let step = step.collect::<Vec<_>>().join(" ");
        let output = Command::new("sh").args(["-c", &format!("{step} cat /proc/net/fib_trie")]).output();
        tear_down(raised).await?;
        let output = output?;
        let at = made.world.addresses(made.find("intruder")).and_then(|a| a.v4).expect("an address").to_string();
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        contains(&said, &at)?;
        let names: Vec<&str> = steps.iter().map(|(name, _)| name.as_str()).collect();
        contains(&names.join(" "), "node-1 node-2 core")
    })
}
