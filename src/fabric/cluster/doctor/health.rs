//! Asks every calico-node how it is: its readiness and its metrics, over HTTP through a port-forward to its pod. It runs
//! in its node's network, where both listen.

use futures::future::join_all;

use super::calico::NodePod;
use super::felix::Metrics;
use crate::fabric::cluster::overheard::{Answer, get};
use crate::fabric::cluster::server::Server;
use crate::model::checkup::Check;

/// Where Felix says whether it is ready.
const HEALTH_PORT: u16 = 9099;

/// Asks all of them at once.
pub(super) async fn ask(server: &Server, pods: &[NodePod], metrics: Metrics) -> Vec<Check> {
    let mut checks = Vec::new();
    let ready = join_all(pods.iter().map(|pod| get(server, &pod.place, HEALTH_PORT, "readiness"))).await;
    let mut well = 0;
    for (pod, answer) in pods.iter().zip(ready) {
        match readiness(pod, answer) {
            None => well += 1,
            Some(check) => checks.push(check),
        }
    }
    if well > 0 {
        checks.insert(0, Check::fine(format!("{well} of {} say over HTTP that they are ready", pods.len())));
    }
    match metrics {
        Metrics::Off => checks.push(Check::note("metrics are not enabled").advice(
            "FelixConfiguration `prometheusMetricsEnabled: true` makes calico-node tell of itself when something fails",
        )),
        Metrics::On(port) => {
            let answers = join_all(pods.iter().map(|pod| get(server, &pod.place, port, "metrics"))).await;
            let told: Vec<Check> = pods.iter().zip(answers).flat_map(|(pod, answer)| felix(pod, answer)).collect();
            if told.is_empty() && !pods.is_empty() {
                checks.push(Check::fine("metrics: every Felix is in sync, and none has failed to program anything"));
            }
            checks.extend(told);
        }
    }
    checks
}

/// What its readiness says, where that is not that it is ready.
fn readiness(pod: &NodePod, answer: Result<Answer, String>) -> Option<Check> {
    match answer {
        Ok(Answer { status: 200..=299, .. }) => None,
        Ok(Answer { status, body }) => {
            let said = body.trim();
            let said = if said.is_empty() { String::new() } else { format!(": {}", excerpt(said)) };
            Some(Check::warning(format!("calico-node on {} says it is not ready ({status}){said}", pod.node)))
        }
        Err(why) => Some(Check::warning(format!("calico-node on {} cannot be asked: {why}", pod.node))),
    }
}

fn excerpt(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    line.chars().take(200).collect()
}

/// What its metrics say, where that is not that all is well.
fn felix(pod: &NodePod, answer: Result<Answer, String>) -> Vec<Check> {
    let body = match answer {
        Ok(Answer { status: 200..=299, body }) => body,
        Ok(Answer { status, .. }) => {
            return vec![Check::warning(format!("the metrics of calico-node on {} answer {status}", pod.node))];
        }
        Err(why) => {
            return vec![Check::warning(format!(
                "metrics are enabled, and those of {} cannot be had: {why}",
                pod.node
            ))];
        }
    };
    let mut checks = Vec::new();
    if let Some(state) = value(&body, "felix_resync_state").filter(|state| *state != IN_SYNC) {
        checks.push(Check::warning(format!("Felix on {} is not in sync with its datastore (state {state})", pod.node)));
    }
    for (name, what) in FAILURES {
        if let Some(count) = value(&body, name).filter(|count| *count > 0.0) {
            checks.push(Check::note(format!("Felix on {} has {what} {count} times since it started", pod.node)));
        }
    }
    checks
}

/// `felix_resync_state` of a Felix that has caught up.
const IN_SYNC: f64 = 3.0;
/// Counters that should stay at zero.
const FAILURES: [(&str, &str); 4] = [
    ("felix_int_dataplane_failures", "failed to program its dataplane"),
    ("felix_iptables_restore_errors", "failed to write iptables"),
    ("felix_ipset_errors", "failed to write an IP set"),
    ("felix_nft_errors", "failed to write nftables"),
];

/// A metric without labels, by name.
fn value(body: &str, name: &str) -> Option<f64> {
    let line = body.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')))?;
    line.rsplit_once(' ')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::calico::Ready;
    use super::*;
    use crate::fabric::cluster::server::Place;
    use crate::model::checkup::State;

    fn pod() -> NodePod {
        NodePod {
            place: Place::inside("kube-system", "calico-node-x"),
            node: "worker".into(),
            version: None,
            ready: Ready::Yes,
        }
    }

    fn said(status: u16, body: &str) -> Result<Answer, String> {
        Ok(Answer { status, body: body.into() })
    }

    #[test]
    fn readiness_is_what_the_status_says() {
        assert!(readiness(&pod(), said(204, "")).is_none());
        let check = readiness(&pod(), said(503, "felix is not live\nmore")).unwrap();
        assert_eq!(check.says, "calico-node on worker says it is not ready (503): felix is not live");
        let check = readiness(&pod(), Err("no answer within 5 s".into())).unwrap();
        assert_eq!((check.state, check.says.contains("cannot be asked")), (State::Warning, true));
    }

    #[test]
    fn metrics_tell_of_a_felix_that_lags_or_fails() {
        let well = "# TYPE felix_resync_state gauge\nfelix_resync_state 3\nfelix_int_dataplane_failures 0\n";
        assert_eq!(felix(&pod(), said(200, well)), []);
        let ill = "felix_resync_state 1\nfelix_int_dataplane_failures 2\nfelix_int_dataplane_failures_more 9\n";
        let told: Vec<String> = felix(&pod(), said(200, ill)).into_iter().map(|check| check.says).collect();
        assert_eq!(
            told,
            [
                "Felix on worker is not in sync with its datastore (state 1)",
                "Felix on worker has failed to program its dataplane 2 times since it started",
            ]
        );
        assert_eq!(felix(&pod(), said(404, ""))[0].state, State::Warning);
        assert_eq!(felix(&pod(), said(200, "")), [], "metrics that say nothing of it");
    }
}
