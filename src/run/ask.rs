//! Questions about one flow: why it is allowed or denied, which needs no network, and what a run of it alone takes.

use std::collections::BTreeSet;

use super::error::Refusal;
use crate::model::endpoint::EndpointId;
use crate::model::explanation::Explanation;
use crate::model::flow::Flow;
use crate::model::port::Port;
use crate::oracle;
use crate::scenario::world::{Service, ServicePort, World};
use crate::scenario::{Pick, Scenario, Stage};

/// The story of every flow from `from` to `to` in one stage, at `port` if one is given. The port need not be one that
/// is probed: any may be asked about.
///
/// # Errors
/// Names what there is where a name leads nowhere.
pub fn explain(
    scenario: &Scenario,
    stage: &Stage,
    from: &str,
    to: &str,
    port: Option<Port>,
) -> Result<Vec<Explanation>, Refusal> {
    let (source, destination) = (find(scenario, from)?, find(scenario, to)?);
    let mut flows: Vec<Flow> = scenario
        .families()
        .iter()
        .flat_map(|family| {
            let asked = port.map(|port| Flow { source, destination, family: *family, port });
            let cells = stage.cells.iter().map(|(_, flow)| *flow);
            let between = cells
                .filter(move |flow| flow.source == source && flow.destination == destination && flow.family == *family);
            if port.is_some() { asked.into_iter().collect() } else { between.collect::<Vec<Flow>>() }
        })
        .collect();
    if let Some(service) = stage.world.services.get(&destination) {
        flows = flows.iter().flat_map(|flow| behind(&stage.world, service, flow)).collect();
    }
    flows.sort_unstable();
    if flows.is_empty() || source == destination {
        return Err(Refusal::NoCell { scenario: scenario.name().to_owned(), from: from.to_owned(), to: to.to_owned() });
    }
    let name_of = |id| scenario.name_of(id).to_owned();
    Ok(flows.iter().map(|flow| oracle::explain(&stage.world, flow, name_of)).collect())
}

/// The scenario with no cells but those of one flow, in every stage, and of what vouches for it.
///
/// # Errors
/// Names what there is where a name leads nowhere, or no stage tries the flow.
pub fn only(scenario: &Scenario, pick: &Pick) -> Result<Scenario, Refusal> {
    let (source, destination) = (find(scenario, &pick.from)?, find(scenario, &pick.to)?);
    scenario.narrowed(source, destination, pick.port).ok_or_else(|| {
        let between = scenario.flows().iter().map(|(_, flow)| flow);
        let between = between.filter(|flow| flow.source == source && flow.destination == destination);
        let ports: BTreeSet<String> = between.map(|flow| flow.port.to_string()).collect();
        let ports = ports.into_iter().collect::<Vec<_>>().join(", ");
        let (from, to) = (&pick.from, &pick.to);
        Refusal::Untried {
            scenario: scenario.name().to_owned(),
            pick: pick.to_string(),
            instead: match ports.as_str() {
                "" => format!("it tries none from `{from}` to `{to}`"),
                ports => format!("from `{from}` to `{to}` it tries {ports}"),
            },
        }
    })
}

/// An endpoint by name.
///
/// # Errors
/// Names what there is where a name leads nowhere, or to several pods.
pub(super) fn find(scenario: &Scenario, name: &str) -> Result<EndpointId, Refusal> {
    scenario.find(name).ok_or_else(|| no_endpoint(scenario, name))
}

/// Why a name is that of no endpoint.
pub(super) fn no_endpoint(scenario: &Scenario, name: &str) -> Refusal {
    let candidates = scenario.candidates(name);
    if candidates.is_empty() {
        let known = scenario.endpoints().iter().map(|e| format!("`{}`", e.name)).collect::<Vec<_>>().join(", ");
        Refusal::NoEndpoint { scenario: scenario.name().to_owned(), name: name.to_owned(), known }
    } else {
        let candidates = candidates.join(" or ");
        Refusal::Ambiguous { scenario: scenario.name().to_owned(), name: name.to_owned(), candidates }
    }
}

/// The flows that one to a Service may become: policies see these, so theirs are the stories to tell.
fn behind(world: &World, service: &Service, flow: &Flow) -> Vec<Flow> {
    let leads_to = service.ports.iter().filter(|port| port.port == flow.port);
    let to = |port: &ServicePort| {
        let others = world.behind(service).filter(|destination| *destination != flow.source);
        others.map(|destination| Flow { destination, port: port.behind(), ..*flow }).collect::<Vec<_>>()
    };
    leads_to.flat_map(to).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::model::document::Strictness;

    #[test]
    fn a_pod_is_asked_for_by_namespace_and_name_where_its_name_is_another_pods_too() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/one-name-in-two-namespaces.yaml");
        let scenario = crate::scenario::load(&file, Strictness::Strict).unwrap();
        let stage = &scenario.stages()[0];
        let names: Vec<&str> = scenario.endpoints().iter().map(|endpoint| endpoint.name.as_str()).collect();
        assert_eq!(names, ["client", "ops/web", "shop/web"]);
        let told = explain(&scenario, stage, "shop/client", "shop/web", None).unwrap();
        assert_eq!(told[0].flow.to_string(), "client -> shop/web:8080/tcp");
        let one = only(&scenario, &"ops/web->shop/web:8080/tcp".parse().unwrap()).unwrap();
        assert!(!one.stages()[0].cells.is_empty());
        let refused = explain(&scenario, stage, "client", "web", None).unwrap_err();
        let said = "`web` is the name of several pods of `one-name-in-two-namespaces`; write `ops/web` or `shop/web`";
        assert_eq!(refused.to_string(), said);
        let unknown = only(&scenario, &"client->shop/wbe".parse().unwrap()).unwrap_err();
        assert!(matches!(unknown, Refusal::NoEndpoint { .. }), "{unknown}");
    }
}
