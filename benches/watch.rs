//! What a watch in the lab can hold and what it costs: `cargo bench --bench watch`.
//!
//! Prints; passes or fails nothing, since a machine's mood is no property of the code. Takes about three minutes; parts of
//! it may be asked for by name: `cargo bench --bench watch -- rate agents view page`.

#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use leakproof::model::document::{Cell, Document};
use leakproof::model::finding::{Call, Window};
use leakproof::model::verdict::Verdict;
use leakproof::model::watch::{Standing, WatchInfo};
use leakproof::report::{html, json};
use processes::{Pid, arguments, family, processor, weight};

mod processes;
mod world;

const PROGRAM: &str = env!("CARGO_BIN_EXE_leakproof");

/// Processes are looked at so often while a watch goes on.
const LOOK: Duration = Duration::from_millis(250);

type Failure = Box<dyn std::error::Error>;

/// Measures one thing and prints it; the folder is for worlds.
type Part = fn(&Path) -> Result<(), Failure>;

fn main() -> Result<(), Failure> {
    let asked: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("load of this machine before: {}; {} cores", load.trim(), cores());
    let folder = tempfile::tempdir()?;
    let parts: [(&str, Part); 4] = [("rate", rate), ("agents", agents), ("view", view), ("page", page)];
    for (name, part) in parts {
        if asked.is_empty() || asked.iter().any(|asked| asked == name) {
            part(folder.path())?;
        }
    }
    Ok(())
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get)
}

/// A watch that was made, and what was seen of it from outside.
struct Watched {
    document: Document,
    looks: Vec<Look>,
    /// What it said on standard error, line by line, and when.
    lines: Vec<(SystemTime, String)>,
}

/// One look at its processes.
struct Look {
    at: SystemTime,
    harness: Process,
    agents: Vec<Process>,
}

#[derive(Clone, Copy, Default)]
struct Process {
    processor: Duration,
    /// In KB; nought where nobody asked.
    weight: u64,
}

/// What is looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Measure {
    Time,
    TimeAndMemory,
}

fn watch(scenario: &Path, options: &[&str], measure: Measure) -> Result<Watched, Failure> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("watch.json");
    let mut child = Command::new(PROGRAM)
        .arg("watch")
        .arg(scenario)
        .args(options)
        .args(["--converge-within", "60s", "--json"])
        .arg(&path)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let said = BufReader::new(child.stderr.take().ok_or("no standard error")?).lines();
    let lines = thread::spawn(move || said.map_while(Result::ok).map(|line| (SystemTime::now(), line)).collect());
    let mut looks = Vec::new();
    while child.try_wait()?.is_none() {
        looks.push(look(Pid(child.id()), measure));
        thread::sleep(LOOK);
    }
    let lines = lines.join().map_err(|_| "nobody read what it said")?;
    let document = serde_json::from_slice(&fs::read(&path)?)?;
    Ok(Watched { document, looks, lines })
}

fn look(root: Pid, measure: Measure) -> Look {
    let process = |pid| Process {
        processor: processor(pid),
        weight: if measure == Measure::TimeAndMemory { weight(pid) } else { 0 },
    };
    let agents = family(root).into_iter().filter(|pid| arguments(*pid).get(1).is_some_and(|word| word == "agent"));
    Look { at: SystemTime::now(), harness: process(root), agents: agents.map(process).collect() }
}

/// What the processes took of a core while it was watched, as a share of one.
struct Cost {
    harness: f64,
    agents: f64,
}

impl Watched {
    /// The wall clock at a time of the run, to the millisecond.
    fn wall(&self, us: u64) -> Result<SystemTime, Failure> {
        let started: jiff::Timestamp = self.document.started.parse()?;
        Ok(SystemTime::from(started) + Duration::from_micros(us))
    }

    /// The looks while it was watched, after the trial of its pace.
    fn during(&self) -> Result<Vec<&Look>, Failure> {
        let phase = self.document.phases.iter().find(|phase| phase.name == "watch").ok_or("it did not watch")?;
        let (from, until) = (self.wall(phase.began_us)?, self.wall(phase.began_us + phase.took_us)?);
        Ok(self.looks.iter().filter(|look| look.at >= from && look.at <= until).collect())
    }

    fn cost(&self) -> Result<Cost, Failure> {
        let during = self.during()?;
        let [first, .., last] = during.as_slice() else { return Err("it was over too soon".into()) };
        let span = last.at.duration_since(first.at)?.as_secs_f64();
        let agents = |look: &Look| look.agents.iter().map(|agent| agent.processor).sum::<Duration>();
        let share = |first: Duration, last: Duration| last.saturating_sub(first).as_secs_f64() / span;
        Ok(Cost {
            harness: share(first.harness.processor, last.harness.processor),
            agents: share(agents(first), agents(last)),
        })
    }
}

/// Attempts that were seen, in a second.
fn per_second(watch: &WatchInfo) -> f64 {
    watch.seen as f64 / Duration::from_micros(watch.until_us.saturating_sub(watch.from_us)).as_secs_f64()
}

/// Raises the rate until attempts go unseen or the pace is refused, then looks once between the last two.
fn rate(folder: &Path) -> Result<(), Failure> {
    let scenario = world::write(folder, 10)?;
    println!("\nattempts held without loss, 90 flows between 10 pods");
    println!("{:>9} {:>9} {:>7} {:>8} {:>8}  per core", "each/s", "seen/s", "unseen", "agents", "harness");
    let mut held = 0;
    let mut lost = None;
    let mut next = 10;
    while next <= 1000 {
        if raise(&scenario, next)? {
            held = next;
        } else {
            lost = Some(next);
        }
        next = match lost {
            None => next * 2,
            Some(lost) if next == lost && lost - held > 1 => (held + lost) / 2,
            Some(_) => break,
        };
    }
    Ok(())
}

/// Watches at a rate, and tells how it went; whether nothing was lost.
fn raise(scenario: &Path, rate: u32) -> Result<bool, Failure> {
    let watched = watch(scenario, &["--for", "5s", "--rate", &rate.to_string()], Measure::Time)?;
    let Some(info) = &watched.document.watch else {
        println!("{rate:>9} refused: {}", watched.document.aborted.as_deref().unwrap_or("it did not converge"));
        return Ok(false);
    };
    let (seen, cost) = (per_second(info), watched.cost()?);
    println!(
        "{rate:>9} {seen:>9.0} {:>7} {:>6.1} % {:>6.1} %  {:.0} a second",
        info.unseen,
        cost.agents * 100.0,
        cost.harness * 100.0,
        seen / cores() as f64
    );
    Ok(info.unseen == 0)
}

/// Twenty flows at the usual pace.
fn agents(folder: &Path) -> Result<(), Failure> {
    let watched = watch(&world::write(folder, 5)?, &["--for", "20s"], Measure::TimeAndMemory)?;
    let Some(info) = &watched.document.watch else {
        println!("\nagents: nothing was watched: {:?}", watched.document.aborted);
        return Ok(());
    };
    let cost = watched.cost()?;
    let last = watched.during()?.pop().ok_or("nobody looked")?;
    let count = last.agents.len();
    let weight: u64 = last.agents.iter().map(|agent| agent.weight).sum();
    let heaviest = last.agents.iter().map(|agent| agent.weight).max().unwrap_or(0);
    let flows = watched.document.stages.last().map_or(0, |stage| stage.cells.len());
    println!(
        "\n{flows} flows, each tried once in {} ms for 20 s: {} attempts seen, {} not, and {} long ones",
        info.interval_us / 1000,
        info.seen,
        info.unseen,
        info.persistent
    );
    println!(
        "  {count} agents  {:>5.2} % of a core together, {:.2} % each; {:.1} MB together, the heaviest {:.1} MB",
        cost.agents * 100.0,
        cost.agents * 100.0 / count.max(1) as f64,
        weight as f64 / 1024.0,
        heaviest as f64 / 1024.0
    );
    println!("  harness   {:>5.2} % of a core; {:.1} MB", cost.harness * 100.0, last.harness.weight as f64 / 1024.0);
    Ok(())
}

/// How long it takes from an attempt's launch until what came of it is told: to the line that a window opened or closed
/// with. At a terminal it is drawn up to 100 ms later.
fn view(folder: &Path) -> Result<(), Failure> {
    /// What happens to a flow lies further apart than this.
    const APART: Duration = Duration::from_secs(3);
    let mut options = vec!["--for".to_owned(), "60s".to_owned()];
    for turn in 0..4 {
        let at = 7 + 12 * turn;
        options.extend(["--fault".into(), format!("lose-node=1@{at}s+400ms")]);
        options.extend(["--fault".into(), format!("stop-forwarding=1@{}s+400ms", at + 6)]);
    }
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let watched = watch(&world::write(folder, 5)?, &options, Measure::Time)?;
    let Some(info) = &watched.document.watch else {
        println!("\nview: nothing was watched: {:?}", watched.document.aborted);
        return Ok(());
    };
    let mut told: BTreeMap<(Call, Edge), Vec<Duration>> = BTreeMap::new();
    let mut untold = 0;
    for cell in watched.document.stages.last().map(|stage| stage.cells.as_slice()).unwrap_or_default() {
        for edge in [Edge::Opened, Edge::Closed] {
            let lines: Vec<SystemTime> =
                watched.lines.iter().filter(|(_, line)| edge.is_of(line, cell)).map(|(at, _)| *at).collect();
            for window in cell.windows.iter().filter(|window| window.first_wrong_us >= info.from_us) {
                let Some(launched) = edge.launched(window) else { continue };
                let launched = watched.wall(launched)?;
                // A long attempt that got through besides has a line too: the first is the window's.
                let line = lines.iter().filter_map(|line| line.duration_since(launched).ok()).min();
                match line.filter(|after| *after < APART) {
                    Some(after) => told.entry((window.call, edge)).or_default().push(after),
                    None => untold += 1,
                }
            }
        }
    }
    println!(
        "\nfrom an attempt's launch to the line that tells of it, {} ms between attempts",
        info.interval_us / 1000
    );
    for ((call, edge), mut times) in told {
        times.sort_unstable();
        let at = |share: usize| times.get((times.len() - 1) * share / 100).copied().unwrap_or_default().as_millis();
        println!(
            "  {:<18} {:>3} lines: median {:>3} ms, 95 of 100 within {:>3} ms, the last {:>3} ms",
            format!("{call} {}", edge.word()),
            times.len(),
            at(50),
            at(95),
            at(100)
        );
    }
    if untold > 0 {
        println!("  {untold} edges of windows without a line");
    }
    Ok(())
}

/// An edge of a window.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Edge {
    Opened,
    Closed,
}

impl Edge {
    fn word(self) -> &'static str {
        match self {
            Self::Opened => "begins",
            Self::Closed => "is over",
        }
    }

    /// The launch of the attempt that shows it.
    fn launched(self, window: &Window) -> Option<u64> {
        match self {
            Self::Opened => Some(window.first_wrong_us),
            Self::Closed => window.right_after_us,
        }
    }

    /// Whether a line tells of such an edge of this cell's.
    fn is_of(self, line: &str, cell: &Cell) -> bool {
        let flow = cell.flow.to_string();
        match self {
            Self::Opened => [Call::Leak, Call::Outage].iter().any(|call| line == format!("{} {flow}", call.word())),
            Self::Closed => line
                .strip_prefix("right again: ")
                .is_some_and(|rest| rest.strip_prefix(&flow).is_some_and(|rest| rest.starts_with(", "))),
        }
    }
}

/// One hour of 420 flows, each wrong three times, as a page: a short watch of so many, drawn out.
fn page(folder: &Path) -> Result<(), Failure> {
    let mut document = watch(&world::write(folder, 21)?, &["--for", "3s"], Measure::Time)?.document;
    if document.watch.is_none() {
        println!("\npage: nothing was watched: {:?}", document.aborted);
        return Ok(());
    }
    draw_out(&mut document);
    let mut page = Vec::new();
    let took = fastest(|| {
        page.clear();
        html::render(&document, &mut page)
    })?;
    let mut data = Vec::new();
    let wrote = fastest(|| {
        data.clear();
        json::write(&document, &mut data)
    })?;
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("an-hour-of-420-flows.html");
    fs::write(&path, &page)?;
    let kb = |bytes: &[u8]| bytes.len() / 1024;
    println!("\none hour of {} flows", document.counts.cells);
    println!("  HTML {} KiB, rendered in {:.1} ms: {}", kb(&page), took.as_secs_f64() * 1e3, path.display());
    println!("  JSON {} KiB, written in {:.1} ms", kb(&data), wrote.as_secs_f64() * 1e3);
    Ok(())
}

fn draw_out(document: &mut Document) {
    const SECOND: u64 = 1_000_000;
    let Some(watch) = &mut document.watch else { return };
    let from = watch.from_us;
    watch.until_us = from + 3_600 * SECOND;
    document.took_us = watch.until_us + SECOND;
    let Some(stage) = document.stages.last_mut() else { return };
    watch.seen = stage.cells.len() as u64 * 36_000;
    for (place, cell) in (0..).zip(&mut stage.cells) {
        let call = if cell.verdict == Some(Verdict::Denied) { Call::Leak } else { Call::Outage };
        for again in 0..3 {
            let first = from + (300 + 900 * again + (place * 37) % 700) * SECOND;
            let last = first + 100_000 + place * 2_000;
            cell.windows.push(Window {
                call,
                right_before_us: Some(first - 100_000),
                first_wrong_us: first,
                first_wrong_by_us: None,
                last_wrong_us: last,
                right_after_us: Some(last + 100_000),
                attempts: 4,
                persistent: 0,
                standing: Standing::WithinBudget,
                before_convergence: false,
                first_wrong_at: None,
                beside: Vec::new(),
                drops: Vec::new(),
            });
        }
    }
}

/// The fastest of ten times: what it takes when nothing is in the way.
fn fastest<E>(mut work: impl FnMut() -> Result<(), E>) -> Result<Duration, E> {
    let mut best = Duration::MAX;
    for _ in 0..10 {
        let began = Instant::now();
        work()?;
        best = best.min(began.elapsed());
    }
    Ok(best)
}
