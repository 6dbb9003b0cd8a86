//! The marks on everything this program creates in a cluster: by them it is found again, and nothing without them is
//! ever touched.
//!
//! A policy cannot select on them: scenarios and manifests that name a key under `leakproof.dev/` are refused, so neither
//! the oracle nor a cluster's policy engine ever sees a difference by them.

use std::fs;

use serde_json::{Map, Value};

/// The label that holds the run's id.
pub const RUN: &str = "leakproof.dev/run";
/// The annotation that says which process made it, as [`Owner`] writes it.
pub const OWNER: &str = "leakproof.dev/owner";
/// Who makes changes, in the words of `managedFields`.
pub const MANAGER: &str = "leakproof";

/// The selector for everything of one run, or of all.
pub fn selector(run: Option<&str>) -> String {
    run.map_or_else(|| RUN.to_owned(), |run| format!("{RUN}={run}"))
}

/// Puts the marks on a manifest.
pub fn mark(manifest: &mut Value, run: &str, owner: &Owner) {
    let Some(metadata) = map(manifest, "metadata") else { return };
    put(metadata, "labels", RUN, run);
    put(metadata, "annotations", OWNER, &owner.to_string());
}

fn put(metadata: &mut Map<String, Value>, part: &str, key: &str, value: &str) {
    let part = metadata.entry(part).or_insert_with(|| Value::Object(Map::new()));
    if !part.is_object() {
        *part = Value::Object(Map::new());
    }
    if let Some(part) = part.as_object_mut() {
        part.insert(key.to_owned(), value.into());
    }
}

fn map<'a>(value: &'a mut Value, key: &str) -> Option<&'a mut Map<String, Value>> {
    value.as_object_mut()?.entry(key).or_insert_with(|| Value::Object(Map::new())).as_object_mut()
}

/// The process that made something, so that another on the same machine can tell whether it still runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    boot: String,
    pid: u32,
    started: String,
}

/// Whether an owner still runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alive {
    /// It does.
    Yes,
    /// It does not.
    No,
    /// It ran on another machine, or nobody knows.
    Unknown,
}

impl Owner {
    /// This process.
    pub fn this() -> Self {
        let pid = std::process::id();
        Self { boot: boot(), pid, started: started(pid).unwrap_or_default() }
    }

    /// Reads what [`OWNER`] holds.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '/');
        let (boot, pid, started) = (parts.next()?, parts.next()?.parse().ok()?, parts.next()?);
        Some(Self { boot: boot.to_owned(), pid, started: started.to_owned() })
    }

    /// Whether it still runs, as far as this machine can tell.
    pub fn alive(&self) -> Alive {
        if self.boot.is_empty() || self.boot != boot() {
            return Alive::Unknown;
        }
        match started(self.pid) {
            Some(started) if started == self.started => Alive::Yes,
            Some(_) | None => Alive::No,
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.boot, self.pid, self.started)
    }
}

fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}

/// When a process started, in the kernel's ticks: with the process id it names one process of this boot.
fn started(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The program's name, in parentheses, may hold blanks.
    stat.rsplit_once(')')?.1.split_whitespace().nth(19).map(ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn marks_are_added_to_what_is_there() {
        let owner = Owner { boot: "b".into(), pid: 7, started: "9".into() };
        for (mut manifest, why) in [
            (json!({ "metadata": { "name": "x", "labels": { "a": "b" } } }), "labels stay"),
            (json!({ "metadata": { "name": "x", "labels": null } }), "null is as good as left out"),
            (json!({}), "no metadata at all"),
        ] {
            let before = manifest.pointer("/metadata/labels/a").cloned();
            mark(&mut manifest, "1234abcd", &owner);
            assert_eq!(manifest["metadata"]["labels"][RUN], "1234abcd", "{why}");
            assert_eq!(manifest["metadata"]["annotations"][OWNER], "b/7/9", "{why}");
            assert_eq!(manifest.pointer("/metadata/labels/a").cloned(), before, "{why}");
        }
    }

    #[test]
    fn an_owner_that_runs_is_known_to_run() {
        let this = Owner::this();
        assert_eq!(Owner::parse(&this.to_string()), Some(this.clone()));
        assert_eq!(this.alive(), Alive::Yes);
        let another = Owner { started: "1".into(), ..this.clone() };
        assert_eq!(another.alive(), Alive::No, "its process id was given to another process");
        assert_eq!(Owner { boot: "elsewhere".into(), ..this }.alive(), Alive::Unknown);
        assert_eq!(Owner::parse("nonsense"), None);
    }
}
