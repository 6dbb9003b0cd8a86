//! Arguments, the user namespace while there is one thread, the runtime, the exit code; nothing else.

use std::process::ExitCode;

use clap::Parser;
use leakproof::cli::{self, Cli};
use leakproof::{agent, exit, run};

fn main() -> ExitCode {
    let mut arguments = std::env::args();
    // Agents are this very program; hundreds are started, so they do not pass through the command line's parser.
    if arguments.by_ref().nth(1).as_deref() == Some("agent") {
        return ExitCode::from(agent::main(arguments, &mut std::io::stderr()));
    }
    let cli = Cli::parse();
    let ground = match run::Ground::prepare(cli.need()) {
        Ok(ground) => ground,
        Err(refusal) => {
            cli::output::complain(&run::chain(&refusal));
            return ExitCode::from(refusal.exit());
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            cli::output::complain(&format!("the runtime could not be built: {error}"));
            return ExitCode::from(exit::Exit::NoWorld.code());
        }
    };
    let code = runtime.block_on(cli::execute(&cli, &ground)).unwrap_or_else(|error| {
        cli::output::complain(&format!("output could not be written: {error}"));
        exit::Exit::LeftBehind.code()
    });
    // Nothing is left to wait for: every world was torn down before its command returned.
    runtime.shutdown_background();
    ExitCode::from(code)
}
