//! How long a run in the lab takes, phase by phase, and what its processes weigh: `cargo bench --bench lab`.
//!
//! Prints; passes or fails nothing, since a machine's mood is no property of the code. Numbers of pods may be given:
//! `cargo bench --bench lab -- 10 25`.

#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use leakproof::model::document::Document;
use leakproof::model::verdict::Verdict;

const PROGRAM: &str = env!("CARGO_BIN_EXE_leakproof");

/// The sizes of the table.
const PODS: [u32; 5] = [10, 25, 50, 100, 200];

/// Memory is looked at so often while a run goes on.
const LOOK: Duration = Duration::from_millis(50);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let asked: Vec<u32> = std::env::args().skip(1).filter_map(|argument| argument.parse().ok()).collect();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("load of this machine before: {}", load.trim());
    let pipeline = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/ai-data-pipeline.yaml");
    show("ai-data-pipeline", &measure(&pipeline)?);
    let folder = tempfile::tempdir()?;
    for pods in if asked.is_empty() { PODS.to_vec() } else { asked } {
        let scenario = write_world(folder.path(), pods)?;
        show(&format!("{pods} pods"), &measure(&scenario)?);
    }
    Ok(())
}

/// One run.
struct Measured {
    took: Duration,
    /// The most that all its processes together held at a time, in KB.
    pss: u64,
    exit: Option<i32>,
    document: Document,
}

fn measure(scenario: &Path) -> Result<Measured, Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let json = folder.path().join("run.json");
    let began = Instant::now();
    let mut child = Command::new(PROGRAM)
        .arg("run")
        .arg(scenario)
        .arg("--json")
        .arg(&json)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let mut pss = 0;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        pss = pss.max(weight(child.id()));
        std::thread::sleep(LOOK);
    };
    let took = began.elapsed();
    let document = serde_json::from_slice(&fs::read(&json)?)?;
    Ok(Measured { took, pss, exit: status.code(), document })
}

fn show(name: &str, measured: &Measured) {
    let Measured { took, pss, exit, document } = measured;
    let judged = document.stages.iter().filter(|stage| stage.name != "baseline").flat_map(|stage| &stage.cells);
    let denied = judged.filter(|cell| cell.verdict == Some(Verdict::Denied)).count();
    let counts = &document.counts;
    println!(
        "\n{name}: {:.2} s, exit {}, {} cells ({denied} denied, {} inconclusive), {} MB",
        took.as_secs_f64(),
        exit.map_or("by signal".to_owned(), |code| code.to_string()),
        counts.cells,
        counts.inconclusive,
        pss / 1024
    );
    for phase in &document.phases {
        println!("  {:<12} {:>9.1} ms", phase.name, phase.took_us as f64 / 1000.0);
    }
}

/// Proportional share of memory of a process and all its children, in KB; nought for those that are gone.
fn weight(root: u32) -> u64 {
    let mut parents: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // Behind the name in brackets, which may hold anything: the state, then the parent.
        let parent = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)?.parse().ok());
        parents.entry(parent.unwrap_or(0)).or_default().push(pid);
    }
    let mut sum = 0;
    let mut left = vec![root];
    while let Some(pid) = left.pop() {
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
        sum += line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0_u64);
        left.extend(parents.get(&pid).into_iter().flatten());
    }
    sum
}

/// So many pods in two halves: each half lets in only its own, so that about half of all flows are denied.
fn write_world(folder: &Path, pods: u32) -> std::io::Result<std::path::PathBuf> {
    let mut scenario = String::from("version: 1\nnamespaces: { bench: {} }\npods:\n");
    for pod in 0..pods {
        let half = if pod % 2 == 0 { "even" } else { "odd" };
        // A string takes whatever is written to it.
        let _written = writeln!(scenario, "  pod-{pod}: {{ namespace: bench, labels: {{ half: {half} }} }}");
    }
    let policy = format!("bench-{pods}.policy.yaml");
    scenario.push_str(&format!("policies: [ {policy} ]\n"));
    let policies: Vec<String> = ["even", "odd"]
        .iter()
        .map(|half| {
            format!(
                "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n\
                 metadata: {{ name: {half}, namespace: bench }}\n\
                 spec:\n  podSelector: {{ matchLabels: {{ half: {half} }} }}\n  policyTypes: [ Ingress ]\n  \
                 ingress:\n  - from: [ {{ podSelector: {{ matchLabels: {{ half: {half} }} }} }} ]\n"
            )
        })
        .collect();
    fs::write(folder.join(policy), policies.join("---\n"))?;
    let path = folder.join(format!("bench-{pods}.yaml"));
    fs::write(&path, scenario)?;
    Ok(path)
}
