//! What the lab cannot show: flows to Services, of which it has none, and flows that a policy could touch which is no
//! NetworkPolicy. These are told as not supported, never probed: what they would do here proves nothing.

use crate::model::endpoint::EndpointId;
use crate::model::flow::Flow;
use crate::policy::Policy;
use crate::scenario::world::World;

/// What the lab lacks to carry a flow, where it does.
pub(super) fn lacks(world: &World, flow: &Flow) -> Option<String> {
    if world.services.contains_key(&flow.destination) {
        return Some("Services".to_owned());
    }
    let home = |id: EndpointId| world.pods.get(&id).map(|pod| pod.namespace.as_str());
    let ends = [home(flow.source), home(flow.destination)];
    world.policies.iter().find_map(|policy| match policy {
        Policy::Network(_) => None,
        Policy::Unknown(policy) => {
            let reaches = match policy.reference.namespace.as_deref() {
                Some(namespace) => ends.contains(&Some(namespace)),
                None => ends.iter().any(Option::is_some),
            };
            reaches.then(|| format!("a policy engine that knows {}, which may touch this", policy.reference))
        }
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::document::Strictness;
    use crate::scenario::load_str;

    #[test]
    fn what_the_lab_cannot_show_is_told_flow_by_flow() {
        let scenario = load_str(
            "version: 1
namespaces: { a: {}, b: {}, c: {} }
pods: { one: { namespace: a }, two: { namespace: b, labels: { app: web } }, three: { namespace: c } }
services: { web: { namespace: b, selects: { app: web }, ports: [ 80/tcp -> 8080/tcp ] } }
policies:
  - { apiVersion: projectcalico.org/v3, kind: NetworkPolicy, metadata: { name: x, namespace: a }, spec: {} }
expect: [ { from: three, to: web, verdict: allowed } ]
steps:
  - apply: [ { apiVersion: projectcalico.org/v3, kind: GlobalNetworkPolicy, metadata: { name: \"y\" }, spec: {} } ]
",
            Strictness::Normal,
        )
        .unwrap();
        let told = |stage: usize| -> BTreeMap<String, String> {
            let stage = &scenario.stages()[stage];
            let lacking = |flow: &Flow| Some((scenario.named(flow).to_string(), lacks(&stage.world, flow)?));
            stage.cells.iter().filter_map(|(_, flow)| lacking(flow)).collect()
        };
        let x = "a policy engine that knows NetworkPolicy.projectcalico.org a/x, which may touch this";
        let rows = [
            ("one -> two:8080/tcp", x),
            ("one -> three:8080/tcp", x),
            ("two -> one:8080/tcp", x),
            ("three -> one:8080/tcp", x),
            ("three -> web:80/tcp", "Services"),
        ];
        assert_eq!(told(0), rows.map(|(flow, why)| (flow.to_owned(), why.to_owned())).into());
        assert_eq!(
            told(1).len(),
            scenario.stages()[1].cells.len(),
            "a policy without a namespace may touch everything"
        );
    }
}
