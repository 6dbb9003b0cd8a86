//! The nodes of a kind cluster: containers on this machine, whose network namespaces are open to root.

use std::fs::File;
use std::num::NonZeroU8;

use leakproof::fabric::lab::Host;
use leakproof::model::endpoint::NodeOrdinal;
use tokio::process::Command;

use super::Failure;

/// Finds them: workers first, each sort by name.
pub async fn find(cluster: &str) -> Result<Vec<Host>, Failure> {
    let format = "{{.Label \"io.x-k8s.kind.role\"}} {{.Names}}";
    let label = format!("label=io.x-k8s.kind.cluster={cluster}");
    let listed = docker(&["ps", "--filter", &label, "--format", format]).await?;
    let mut hosts = Vec::new();
    for name in order(&listed) {
        let pid = docker(&["inspect", "--format", "{{.State.Pid}}", &name]).await?;
        let netns = File::open(format!("/proc/{}/ns/net", pid.trim()))
            .map_err(|error| format!("the network namespace of node `{name}`: {error}"))?;
        let ordinal = u8::try_from(hosts.len() + 1).ok().and_then(NonZeroU8::new).ok_or("too many nodes")?;
        hosts.push(Host { ordinal: NodeOrdinal(ordinal), name, netns });
    }
    if hosts.is_empty() { Err(format!("docker has no node of a cluster `{cluster}`").into()) } else { Ok(hosts) }
}

/// Their names out of docker's list of roles and names.
fn order(listed: &str) -> Vec<String> {
    let mut workers = Vec::new();
    let mut others = Vec::new();
    for (role, name) in listed.lines().filter_map(|line| line.split_once(' ')) {
        match role {
            "worker" => workers.push(name.to_owned()),
            "control-plane" => others.push(name.to_owned()),
            // A load balancer runs no pods.
            _ => {}
        }
    }
    workers.sort();
    others.sort();
    workers.extend(others);
    workers
}

async fn docker(arguments: &[&str]) -> Result<String, Failure> {
    let output = Command::new("docker").args(arguments).output().await.map_err(|error| format!("docker: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8(output.stdout)?)
    } else {
        Err(format!("docker {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim()).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_come_first_each_sort_by_name() {
        let listed = "worker a-worker2\ncontrol-plane a-control-plane\nexternal-load-balancer a-lb\nworker a-worker\n";
        assert_eq!(order(listed), ["a-worker", "a-worker2", "a-control-plane"]);
    }
}
