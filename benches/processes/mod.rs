//! What a process and its children weigh and cost, read from `/proc`.
#![allow(dead_code, reason = "each bench uses its part of it")]

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

/// A process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pid(pub u32);

/// A process and all its children, whoever is there of them now.
pub fn family(root: Pid) -> Vec<Pid> {
    let mut parents: BTreeMap<Pid, Vec<Pid>> = BTreeMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()).map(Pid) else { continue };
        let parent = fields(pid).get(1).and_then(|parent| parent.parse().ok()).unwrap_or(0);
        parents.entry(Pid(parent)).or_default().push(pid);
    }
    let mut found = vec![root];
    let mut place = 0;
    while let Some(pid) = found.get(place) {
        found.extend(parents.get(pid).into_iter().flatten().copied().collect::<Vec<_>>());
        place += 1;
    }
    found
}

/// Its share of memory, in KB: what several hold in common counts in parts. Nought for one that is gone.
pub fn weight(pid: Pid) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", pid.0)).unwrap_or_default();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// The processor time it has had; nought for one that is gone.
pub fn processor(pid: Pid) -> Duration {
    let fields = fields(pid);
    // utime and stime, in ticks of which Linux counts a hundred a second whatever its own are.
    let ticks = [11, 12].iter().filter_map(|at| fields.get(*at)?.parse::<u64>().ok()).sum::<u64>();
    Duration::from_millis(ticks * 10)
}

/// Its arguments.
pub fn arguments(pid: Pid) -> Vec<String> {
    let line = fs::read(format!("/proc/{}/cmdline", pid.0)).unwrap_or_default();
    line.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

/// The fields of its `stat` behind the name in brackets, which may hold anything: the state, the parent, …
fn fields(pid: Pid) -> Vec<String> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.0)).unwrap_or_default();
    stat.rsplit(')').next().unwrap_or_default().split_whitespace().map(str::to_owned).collect()
}
