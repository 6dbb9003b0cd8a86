//! A program that can be started as an agent is: it takes streams at its socket, and does nothing else.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::process::ExitCode;

use leakproof::wire::{FromAgent, PROTOCOL, ToAgent};

/// Answers `Hello` with the token it was started with, so that a test can see it is the right one.
pub fn agent() -> ExitCode {
    if nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL).is_err() {
        return ExitCode::FAILURE;
    }
    let path = std::env::args().nth(3).unwrap_or_default();
    let path = path.strip_prefix("unix:").unwrap_or_default().to_owned();
    let Ok(listener) = UnixListener::bind(path) else { return ExitCode::FAILURE };
    let token = std::env::var("LEAKPROOF_AGENT_TOKEN").unwrap_or_default();
    for stream in listener.incoming().flatten() {
        let Ok(mut writer) = stream.try_clone() else { continue };
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let answer = match serde_json::from_str(&line) {
                Ok(ToAgent::Hello { .. }) => FromAgent::Refused { why: token.clone() },
                _ => FromAgent::Welcome {
                    protocol: PROTOCOL,
                    version: String::new(),
                    life: 0,
                    clock: leakproof::clock::now(),
                    oldest: 0,
                },
            };
            let _ = writeln!(writer, "{}", serde_json::to_string(&answer).unwrap_or_default());
        }
    }
    ExitCode::SUCCESS
}
