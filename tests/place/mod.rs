//! A place of its own for each run of the program, so that what it leaves behind can be told.

#![allow(dead_code, reason = "every test target takes what it needs")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Completion, Trial};
use tempfile::TempDir;

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_leakproof");

/// A scenario of the repository.
pub fn scenario(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios").join(name)
}

/// A place of its own for each test: the program's temporary files go there.
pub struct Place {
    folder: TempDir,
}

impl Place {
    pub fn new() -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap() };
        std::fs::create_dir(place.temporary()).unwrap();
        place
    }

    pub fn temporary(&self) -> PathBuf {
        self.folder.path().join("tmp")
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn leakproof(&self) -> Command {
        let mut command = Command::new(PROGRAM);
        command.env("TMPDIR", self.temporary()).env_remove("NO_COLOR").env_remove("CI").stdin(Stdio::null());
        command
    }

    /// Fails if a file or a process of this place's runs is still there. Processes that were just killed are given a
    /// moment to go: the kernel ends them, nobody waits for a result.
    pub fn assert_nothing_left(&self) {
        let deadline = Instant::now() + Duration::from_secs(5);
        let mut left = self.processes();
        while !left.is_empty() && Instant::now() < deadline {
            std::thread::yield_now();
            left = self.processes();
        }
        assert!(left.is_empty(), "processes left behind: {left:?}");
    }

    pub fn assert_no_files_left(&self) {
        let files: Vec<_> = std::fs::read_dir(self.temporary()).unwrap().map(|e| e.unwrap().path()).collect();
        assert!(files.is_empty(), "files left behind: {files:?}");
    }

    /// The agents of this place's runs, by process.
    pub fn agents(&self) -> Vec<i32> {
        let all = self.processes();
        let agents = all.iter().filter_map(|process| process.split_once(": "));
        let agents = agents.filter(|(_, arguments)| arguments.split(' ').nth(1) == Some("agent"));
        agents.filter_map(|(process, _)| process.parse().ok()).collect()
    }

    /// Processes whose arguments or environment name this place.
    fn processes(&self) -> Vec<String> {
        let mark = self.temporary().display().to_string();
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let read = |what: &str| std::fs::read(entry.path().join(what)).unwrap_or_default();
            let arguments = String::from_utf8_lossy(&read("cmdline")).replace('\0', " ");
            let environment = String::from_utf8_lossy(&read("environ")).into_owned();
            // A zombie has neither; the test's own process has no such TMPDIR.
            if arguments.contains(&mark) || environment.contains(&mark) {
                found.push(format!("{}: {arguments}", entry.file_name().to_string_lossy()));
            }
        }
        found
    }
}

/// What a test needs of this machine.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    Nothing,
    /// The lab. Without one the test is ignored with the reason, and not passed.
    Lab,
}

/// A test as `cargo test` lists it.
pub fn test(name: &'static str, needs: Needs, body: fn()) -> Trial {
    Trial::ignorable_test(name, move || {
        if needs == Needs::Lab && !has_lab() {
            return Ok(Completion::ignored_with("this machine has no lab"));
        }
        body();
        Ok(Completion::Completed)
    })
}

/// Runs tests as the arguments of `cargo test` say.
pub fn run(tests: Vec<Trial>) -> std::process::ExitCode {
    libtest_mimic::run(&Arguments::from_args(), tests).exit_code()
}

/// Whether this machine has a lab, or must have one.
fn has_lab() -> bool {
    if std::env::var_os("LEAKPROOF_REQUIRE_LAB").is_some() {
        return true;
    }
    static LAB: OnceLock<bool> = OnceLock::new();
    *LAB.get_or_init(|| {
        nix::unistd::Uid::effective().is_root()
            || Command::new("unshare").args(["-Urn", "true"]).status().is_ok_and(|status| status.success())
    })
}

/// Waits until the run's agents are up, so that a signal meets it in full flight.
pub fn until_agents_run(place: &Place, child: &mut Child) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while place.processes().len() < 4 {
        assert!(child.try_wait().unwrap().is_none(), "the run ended before its agents were seen");
        assert!(Instant::now() < deadline, "no agents came up");
        std::thread::yield_now();
    }
}
