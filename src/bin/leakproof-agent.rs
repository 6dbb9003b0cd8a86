//! The agent alone: what runs in every pod.

use std::process::ExitCode;

fn main() -> ExitCode {
    // A fabric starts any agent's program alike, and `leakproof` itself needs the command.
    let mut arguments = std::env::args().skip(1).peekable();
    arguments.next_if_eq("agent");
    ExitCode::from(leakproof::agent::main(arguments, &mut std::io::stderr()))
}
