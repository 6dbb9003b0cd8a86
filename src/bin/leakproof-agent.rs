//! The agent alone: what runs in every pod.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(leakproof::agent::main(std::env::args().skip(1), &mut std::io::stderr()))
}
