//! Services lead somewhere at every stage.

use super::cast::Cast;
use super::stages::PlayedStage;
use crate::scenario::diagnostic::Code;
use crate::scenario::log::{Log, error};

/// Refuses a Service with no pod behind it, and one that leads to a port where such a pod does not listen: a connection
/// that nobody takes is refused by the network itself, and says nothing of any policy.
pub(super) fn check(stages: &[PlayedStage], cast: &Cast, log: &mut Log) {
    for (id, service) in &cast.services {
        let name = cast.name(*id);
        // A namespace that is not there has been said.
        for stage in stages.iter().filter(|stage| stage.world.namespaces.contains_key(&service.namespace)) {
            let behind: Vec<_> = stage.world.behind(service).collect();
            if behind.is_empty() {
                let message = format!("no pod is behind the Service `{name}` at stage `{}`", stage.name);
                let help =
                    format!("`selects` finds pods of the namespace `{}`, by all of its labels", service.namespace);
                log.push(error(Code::NoEffect, message).at(cast.span(*id)).help(help));
                break;
            }
            let deaf = behind.iter().find_map(|pod| {
                let port = service.ports.iter().find(|port| !serves(stage, *pod, port.behind()))?;
                Some((*pod, port))
            });
            if let Some((pod, port)) = deaf {
                let pod_name = cast.name(pod);
                let message = format!("`{name}` leads to {} of `{pod_name}`, which does not serve it", port.behind());
                log.push(
                    error(Code::NoEffect, message)
                        .note(cast.span(*id), "this Service")
                        .note(cast.span(pod), "this pod")
                        .help(format!("add `{}` under `serves` of `{pod_name}`", port.behind())),
                );
                break;
            }
        }
    }
}

fn serves(stage: &PlayedStage, pod: crate::model::endpoint::EndpointId, port: crate::model::port::Port) -> bool {
    stage.world.serves(pod).iter().any(|served| served.port == port)
}
