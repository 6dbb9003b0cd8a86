//! What is there, before anything is run: this machine's lab, and a cluster.

use std::process::Stdio;
use std::time::Duration;

use tokio::time::timeout;

use super::cluster::{Options, connect};
use super::error::{Refusal, chain};
use super::ground::Ground;
use crate::fabric::cluster::doctor;
use crate::fabric::lab::{Agents, Lab};
use crate::fabric::{Fabric, Realised};
use crate::model::checkup::{Check, Checkup, Part};
use crate::model::document::Strictness;
use crate::model::event::{Event, Listener};
use crate::scenario;

pub use crate::fabric::cluster::doctor::versions::{Minor, MinorSyntax};

/// The hidden option under which this program tries the lab, in a process of its own: it must not be in the lab itself
/// while it talks to a cluster.
pub const TRY_LAB: &str = "--try-lab";

/// The API server says its version within this, or is taken not to answer.
const FIRST_ANSWER: Duration = Duration::from_secs(30);
/// And everything else within this.
const ALL_ANSWERS: Duration = Duration::from_secs(120);

/// Two pods and a policy: enough to need all that the lab needs.
const SMALLEST: &str = "version: 1
namespaces: { a: {} }
pods: { one: { namespace: a }, two: { namespace: a, node: 2 } }
policies: [ { apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: { name: p, namespace: a }, spec: { podSelector: {} } } ]
expect: [ { from: any, to: any, verdict: denied } ]
";

struct Deaf;

impl Listener for Deaf {
    fn hear(&self, _event: Event) {}
}

/// Makes the smallest world in the lab, enforces a policy, and removes it all.
///
/// # Errors
/// Names the system call that failed, and the setting that would allow it.
pub async fn try_lab(ground: &Ground) -> Result<(), Refusal> {
    let scenario = scenario::load_str(SMALLEST, Strictness::Normal)
        .map_err(|refusal| Refusal::World { scenario: "the smallest".into(), source: refusal.to_string().into() })?;
    let failed =
        |source: Box<dyn std::error::Error + Send + Sync>| Refusal::World { scenario: "the smallest".into(), source };
    let lab = Lab::new(ground.lab()?).with_agents(Agents::None);
    let enough = tokio_util::sync::CancellationToken::new();
    let mut world = lab.realise(&scenario, "doctor", &Deaf, enough).await.map_err(|error| failed(error.into()))?;
    let enacted = match scenario.stages() {
        [stage, ..] => world.enact(&stage.changes, &stage.world).await.map(|_| ()),
        [] => Ok(()),
    };
    let mut errors = world.tear_down().await;
    match (enacted, errors.pop()) {
        (Err(error), _) | (Ok(()), Some(error)) => Err(failed(error.into())),
        (Ok(()), None) => Ok(()),
    }
}

/// Looks at this machine: whether it can make a lab.
pub async fn machine(checkup: &mut Checkup) {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    checkup.facts.insert("kernel".into(), release.trim().into());
    let tried = match std::env::current_exe() {
        Ok(program) => {
            let mut command = tokio::process::Command::new(program);
            command.args(["doctor", TRY_LAB]).stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
            command.output().await
        }
        Err(error) => Err(error),
    };
    let check = match tried {
        Ok(output) if output.status.success() => {
            Check::fine("the lab can be made: user and network namespaces, nftables, a policy put in force")
        }
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let said = said.trim().trim_start_matches("leakproof: ");
            Check::warning(format!("no lab can be made on this machine: {said}"))
                .advice("`--on cluster` needs none; the lab does")
        }
        Err(error) => Check::warning(format!("whether a lab can be made cannot be told: {}", chain(&error))),
    };
    checkup.parts.push(Part { title: "This machine".into(), checks: vec![check] });
}

/// Looks at the cluster of a context, and with `target` at what an upgrade of Calico to it would change. That none
/// answers is an error only where one was asked about.
pub async fn cluster(context: Option<&str>, target: Option<Minor>, checkup: &mut Checkup) {
    let connected = match timeout(FIRST_ANSWER, connect(context, Options::default())).await {
        Ok(Ok(connected)) => Ok(connected),
        Ok(Err(refusal)) => Err(chain(&refusal)),
        Err(_) => Err(format!("the API server does not answer within {} s", FIRST_ANSWER.as_secs())),
    };
    let check = match connected {
        Ok(connected) => match timeout(ALL_ANSWERS, doctor::examine(connected.cluster(), target, checkup)).await {
            Ok(()) => return,
            Err(_) => Check::error(format!(
                "the API server did not answer everything within {} s: what is told here is not all",
                ALL_ANSWERS.as_secs()
            )),
        },
        Err(why) if context.is_some() || target.is_some() => Check::error(why),
        Err(why) => Check::note(why).advice("`--context NAME` looks at the cluster of that context"),
    };
    checkup.parts.push(Part { title: "API server".into(), checks: vec![check] });
}
