//! How long a run in the lab takes, phase by phase, and what its processes weigh: `cargo bench --bench lab`.
//!
//! Prints; passes or fails nothing, since a machine's mood is no property of the code. Numbers of pods may be given:
//! `cargo bench --bench lab -- 10 25`.

#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use leakproof::model::document::Document;
use leakproof::model::verdict::Verdict;
use processes::{Pid, family, weight};

mod processes;
mod world;

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
        let scenario = world::write(folder.path(), pods)?;
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
        pss = pss.max(family(Pid(child.id())).into_iter().map(weight).sum());
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
