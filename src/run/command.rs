//! The command under watch: the change itself, an upgrade say. What it says goes to whoever listens, and its last lines
//! into the document.

use std::collections::VecDeque;
use std::io::IsTerminal;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::Child;
use tokio::time::timeout;

use super::assemble::micros;
use crate::clock;
use crate::model::event::{Event, Listener};
use crate::model::happening::Turn;
use crate::model::moment::Moment;
use crate::model::watch::CommandInfo;

/// So many of its last lines are kept.
const LAST_LINES: usize = 50;
/// Of each line, so many bytes.
const LONGEST_LINE: u64 = 2_000;
/// How long it may take to end once it was told to.
const GOODBYE: Duration = Duration::from_secs(10);
/// How long its children may keep its output open once it has ended.
const AFTERWORDS: Duration = Duration::from_secs(1);

/// A command, to be run once.
pub(super) struct Command<'a> {
    argv: &'a [String],
    tell: &'a dyn Listener,
    ran: Ran,
    child: Option<Child>,
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Ran {
    argv: Vec<String>,
    began: Option<Moment>,
    ended: Option<(Moment, ExitStatus)>,
    failed: Option<String>,
    said: VecDeque<String>,
}

impl<'a> Command<'a> {
    pub(super) fn new(argv: &'a [String], tell: &'a dyn Listener) -> Self {
        Self { argv, tell, ran: Ran { argv: argv.to_vec(), ..Ran::default() }, child: None }
    }

    /// Runs it to its end. Where this is dropped before, [`Command::end`] sees to what is left.
    pub(super) async fn run(&mut self) {
        let Some((program, arguments)) = self.argv.split_first() else { return };
        // At a terminal, keys are for the watch; input from anywhere else is meant for the command.
        let stdin = if std::io::stdin().is_terminal() { Stdio::null() } else { Stdio::inherit() };
        let spawned = tokio::process::Command::new(program)
            .args(arguments)
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C is for the watch, which tells the command itself, once.
            .process_group(0)
            .spawn();
        self.ran.began = Some(clock::now());
        let child = match spawned {
            Ok(child) => self.child.insert(child),
            Err(error) => {
                self.ran.failed = Some(format!("starting `{program}`: {error}"));
                return;
            }
        };
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let (tell, said) = (self.tell, std::cell::RefCell::new(&mut self.ran.said));
        let keep = |line: String| {
            tell.hear(Event::Said { line: line.clone() });
            let mut said = said.borrow_mut();
            if said.len() == LAST_LINES {
                said.pop_front();
            }
            said.push_back(line);
        };
        let listen = async { tokio::join!(lines(out, &keep), lines(err, &keep)) };
        let mut listen = std::pin::pin!(listen);
        let status = tokio::select! {
            biased;
            // Both closed: it is about to end, or has something else to do.
            _ = &mut listen => child.wait().await,
            status = child.wait() => {
                // What it left running may hold its output open: that is no reason to wait.
                let _late = timeout(AFTERWORDS, listen).await;
                status
            }
        };
        let now = clock::now();
        match status {
            Ok(status) => self.ran.ended = Some((now, status)),
            Err(error) => self.ran.failed = Some(format!("waiting for `{program}`: {error}")),
        }
    }

    /// Ends it, if it runs: with SIGTERM, then with a signal that nothing outlives.
    pub(super) async fn end(mut self) -> Ran {
        if self.ran.ended.is_none()
            && let Some(mut child) = self.child.take()
            && let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok())
        {
            let group = Pid::from_raw(pid);
            // Not SIGINT, even where that is what told us: who is started in the background by a shell inherits that it is
            // ignored. Where the command has ended by itself just now there is nobody to tell.
            let _gone = killpg(group, Signal::SIGTERM);
            let mut status = timeout(GOODBYE, child.wait()).await;
            if status.is_err() {
                let _gone = killpg(group, Signal::SIGKILL);
                status = timeout(GOODBYE, child.wait()).await;
            }
            if let Ok(Ok(status)) = status {
                self.ran.ended = Some((clock::now(), status));
            }
        }
        self.ran
    }
}

/// Reads lines until their end, whatever bytes they hold.
async fn lines(stream: Option<impl AsyncRead + Unpin>, keep: &impl Fn(String)) {
    let Some(stream) = stream else { return };
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut bounded = tokio::io::AsyncReadExt::take(&mut reader, LONGEST_LINE);
        match bounded.read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => keep(String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned()),
        }
    }
}

impl Ran {
    pub(super) fn info(&self, micros_at: impl Fn(Moment) -> u64) -> CommandInfo {
        CommandInfo {
            argv: self.argv.clone(),
            began_us: self.began.map(&micros_at).unwrap_or_default(),
            ended_us: self.ended.map(|(at, _)| micros_at(at)),
            status: self.status(),
            said: self.said.iter().cloned().collect(),
        }
    }

    /// How it ended, in words.
    fn status(&self) -> Option<String> {
        let (_, status) = self.ended?;
        Some(match (status.code(), status.signal()) {
            (Some(code), _) => format!("exit {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => "no status".into(),
        })
    }

    /// What went wrong with it, if anything did.
    pub(super) fn failure(&self) -> Option<String> {
        if let Some(failed) = &self.failed {
            return Some(failed.clone());
        }
        match (self.ended, self.status()) {
            (Some((_, status)), Some(words)) => (!status.success()).then(|| format!("the command failed ({words})")),
            (None, _) | (_, None) => Some("the command did not end".into()),
        }
    }

    /// When it began and ended.
    pub(super) fn story(&self) -> Vec<(Moment, String, Turn)> {
        let began = self.began.map(|at| (at, "was started".to_owned(), Turn::Begins { state: "running".into() }));
        let ended = self.ended.map(|(at, _)| (at, format!("ended: {}", self.status().unwrap_or_default())));
        let took = self.began.zip(self.ended).map(|(began, (ended, _))| micros(ended.since(began)));
        let ended = ended.map(|(at, what)| {
            (at, took.map_or(what.clone(), |us| format!("{what} after {} ms", us / 1000)), Turn::Ends)
        });
        began.into_iter().chain(ended).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    async fn run(script: &str) -> (Ran, Vec<String>) {
        let argv: Vec<String> = ["sh", "-c", script].map(str::to_owned).into();
        let heard = Mutex::new(Vec::new());
        let listener = |event: Event| {
            if let Event::Said { line } = event {
                heard.lock().unwrap().push(line);
            }
        };
        let mut command = Command::new(&argv, &listener);
        command.run().await;
        let ran = command.end().await;
        (ran, heard.into_inner().unwrap())
    }

    #[tokio::test]
    async fn what_it_says_is_heard_and_its_last_lines_are_kept() {
        let (ran, heard) =
            run("i=0; while [ $i -lt 60 ]; do echo out $i; i=$((i+1)); done; echo bad >&2; exit 3").await;
        assert_eq!(heard.len(), 61);
        let info = ran.info(|_| 7);
        assert_eq!((info.said.len(), info.status.as_deref()), (LAST_LINES, Some("exit 3")));
        assert_eq!(ran.failure().as_deref(), Some("the command failed (exit 3)"));
        assert!(info.said.contains(&"out 59".to_owned()) && !info.said.contains(&"out 0".to_owned()));
    }

    #[tokio::test]
    async fn a_child_that_keeps_the_output_open_holds_nobody_up() {
        let (ran, _) = run("sleep 30 & echo done").await;
        assert_eq!(ran.failure(), None);
        let (began, (ended, _)) = (ran.began.unwrap(), ran.ended.unwrap());
        assert!(ended.since(began) < Duration::from_secs(5));
    }

    #[tokio::test]
    async fn a_command_that_is_not_there_failed() {
        let argv = vec!["/nowhere/at-all".to_owned()];
        let quiet = |_: Event| {};
        let mut command = Command::new(&argv, &quiet);
        command.run().await;
        let failure = command.end().await.failure().unwrap();
        assert!(failure.starts_with("starting `/nowhere/at-all`"), "{failure}");
    }

    #[tokio::test]
    async fn one_that_is_left_is_ended() {
        let argv: Vec<String> = ["sh", "-c", "echo on; sleep 60"].map(str::to_owned).into();
        let quiet = |_: Event| {};
        let mut command = Command::new(&argv, &quiet);
        let cut_short = timeout(Duration::from_millis(300), command.run()).await;
        assert!(cut_short.is_err());
        let ran = command.end().await;
        assert_eq!(ran.status().as_deref(), Some("signal 15"));
    }
}
