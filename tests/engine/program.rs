//! A test double of a policy engine, with faults: it watches pods, namespaces and NetworkPolicies of a kind cluster whose
//! network plugin enforces nothing, and has the lab's packet filter enforce them on the nodes. It is no product: it
//! exists so that leakproof can be shown the green path and every finding on a real API server, kubelet and containerd,
//! where no real engine can be told to be wrong.
//!
//! ```text
//! cargo run --example policy-engine -- --context kind-demo [--fault FAULT]… [--leftover kept|removed]
//! ```
//!
//! It needs to be root on the machine whose docker runs the nodes. It prints `ready` once it enforces what is there, and
//! takes its rules away on SIGTERM and SIGINT. Killed in any other way it leaves them in force, as engines do, and the next
//! one takes them over without a moment between, unless it is told to be as careless as to remove them first. Faults are written as the lab's are, with pods by their names and nodes
//! counted from 1, workers first; they begin when the first policy is enforced, are over when the last one is gone, and
//! then begin anew.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "its output is how scripts and people follow it")]

mod engine;
mod faults;
mod nodes;
mod objects;

use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use kube::config::{KubeConfigOptions, Kubeconfig};
use leakproof::fabric::lab::{Fault, Leftover};

/// Enforces NetworkPolicies on a kind cluster, rightly or wrongly as told.
#[derive(Debug, Parser)]
struct Arguments {
    /// The cluster's context, `kind-NAME`
    #[arg(long)]
    context: String,
    /// Be wrong on purpose; repeatable; those of the lab that concern a policy engine
    #[arg(long = "fault")]
    faults: Vec<Fault>,
    /// What becomes at the start of rules that an engine before left behind
    #[arg(long, value_enum, default_value = "kept")]
    leftover: Rules,
}

/// See [`Leftover`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Rules {
    /// They hold until ours take their place
    Kept,
    /// They go first: everything passes until ours are there
    Removed,
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    match work(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprint!("policy-engine: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                eprint!(": {error}");
                cause = error.source();
            }
            eprintln!();
            ExitCode::FAILURE
        }
    }
}

async fn work(arguments: Arguments) -> Result<(), Failure> {
    let plan = faults::Plan::new(&arguments.faults)?;
    let cluster = arguments.context.strip_prefix("kind-").ok_or("the context is none of kind's")?;
    let nodes = nodes::find(cluster).await?;
    let options = KubeConfigOptions { context: Some(arguments.context.clone()), ..KubeConfigOptions::default() };
    let config = kube::Config::from_custom_kubeconfig(Kubeconfig::read()?, &options).await?;
    let objects = objects::Objects::watch(kube::Client::try_from(config)?).await?;
    let leftover = match arguments.leftover {
        Rules::Kept => Leftover::Kept,
        Rules::Removed => Leftover::Removed,
    };
    engine::run(nodes, leftover, &objects, plan).await
}
