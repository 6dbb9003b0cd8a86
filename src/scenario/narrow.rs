//! A scenario with fewer cells than its file has: one flow, and what vouches for it.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::{Scenario, Stage};
use crate::model::endpoint::EndpointId;
use crate::model::flow::{CellSet, Flow};
use crate::model::matrix::Matrix;
use crate::model::port::{Port, PortSyntax};
use crate::model::verdict::Intent;

/// What is picked of a scenario, by names: `FROM->TO`, or `FROM->TO:PORT/PROTOCOL`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pick {
    /// The source.
    pub from: String,
    /// The destination.
    pub to: String,
    /// The destination's port; all of them where it is left out.
    pub port: Option<Port>,
}

/// Why a text picks nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PickSyntax {
    /// It is of another form.
    #[error("a flow is picked by `FROM->TO` or `FROM->TO:PORT/PROTOCOL`, as in `intruder->data-store:5432/tcp`")]
    Form,
    /// Its port is none.
    #[error(transparent)]
    Port(#[from] PortSyntax),
}

impl FromStr for Pick {
    type Err = PickSyntax;

    fn from_str(text: &str) -> Result<Self, PickSyntax> {
        let (from, rest) = text.split_once("->").ok_or(PickSyntax::Form)?;
        let (to, port) = match rest.split_once(':') {
            Some((to, port)) => (to, Some(port.trim().parse()?)),
            None => (rest, None),
        };
        let (from, to) = (from.trim(), to.trim());
        if from.is_empty() || to.is_empty() {
            return Err(PickSyntax::Form);
        }
        Ok(Self { from: from.to_owned(), to: to.to_owned(), port })
    }
}

impl fmt::Display for Pick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}->{}", self.from, self.to)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl Scenario {
    /// The same scenario with no cells but the flows from `from` to `to`, at `port` if one is given, and the others of
    /// these two, which are its witnesses: without one that answers, silence proves nothing. `None` if no stage has such
    /// a flow.
    pub fn narrowed(&self, from: EndpointId, to: EndpointId, port: Option<Port>) -> Option<Self> {
        let mut ends = BTreeSet::from([from, to]);
        for world in self.stages.iter().map(|stage| &stage.world) {
            // Who answers for a Service are the pods behind it.
            ends.extend(world.services.get(&to).into_iter().flat_map(|service| world.behind(service)));
        }
        let picked = |flow: &Flow| flow.source == from && flow.destination == to && port.is_none_or(|p| p == flow.port);
        let keeps = |flow: &Flow| {
            let touches = ends.contains(&flow.source) || ends.contains(&flow.destination);
            touches && (flow.destination != to || port.is_none_or(|port| port == flow.port))
        };
        let narrow = |cells: &CellSet| Arc::new(cells.only(|_, flow| keeps(flow)));
        if !self.stages.iter().any(|stage| stage.cells.iter().any(|(_, flow)| picked(flow))) {
            return None;
        }
        let stages = self.stages.iter().map(|stage| {
            let cells = narrow(&stage.cells);
            let intent =
                Matrix::build(Arc::clone(&cells), |id, _| stage.intent.get(id).copied().unwrap_or(Intent::Unstated));
            Stage { cells, intent, ..stage.clone() }
        });
        let stages: Vec<Stage> = stages.collect();
        let tried: usize = stages.iter().map(|stage| stage.cells.len()).sum();
        let all: usize = self.stages.iter().map(|stage| stage.cells.len()).sum();
        let pick = Pick { from: self.name_of(from).into(), to: self.name_of(to).into(), port };
        let mut warnings = self.warnings.clone();
        warnings.push(format!("only {pick} and what vouches for it: {tried} of {all} cells are tried"));
        // Of what is known, only what can happen here can fail to.
        let known = self.known.iter().filter(|known| known.flows.iter().any(keeps)).cloned().collect();
        Some(Self { stages, baseline: narrow(&self.baseline), warnings, known, ..self.clone() })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::model::document::Strictness;

    fn load(name: &str) -> Scenario {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("scenarios/{name}.yaml"));
        crate::scenario::load(&file, Strictness::Normal).unwrap()
    }

    fn narrowed(scenario: &Scenario, text: &str) -> Option<Scenario> {
        let Pick { from, to, port } = text.parse().unwrap();
        scenario.narrowed(scenario.find(&from).unwrap(), scenario.find(&to).unwrap(), port)
    }

    #[test]
    fn a_pick_is_read_as_findings_write_it() {
        for text in ["a->b", "intruder->data-store:5432/tcp", "a->b:53/udp"] {
            assert_eq!(text.parse::<Pick>().unwrap().to_string(), text);
        }
        assert_eq!("a -> b:80/tcp".parse::<Pick>().unwrap().to_string(), "a->b:80/tcp", "as in a report");
        for (text, why) in
            [("a", "one end"), ("->b", "no source"), ("a->", "no destination"), ("a->:80/tcp", "only a port")]
        {
            assert_eq!(text.parse::<Pick>(), Err(PickSyntax::Form), "{why}");
        }
        assert!(matches!("a->b:http".parse::<Pick>(), Err(PickSyntax::Port(_))));
    }

    #[test]
    fn one_flow_keeps_its_witnesses_and_nothing_else() {
        let whole = load("ai-data-pipeline");
        let one = narrowed(&whole, "intruder->data-store:5432/tcp").unwrap();
        let cells = &one.stages()[0].cells;
        let flows: BTreeSet<String> = cells.iter().map(|(_, flow)| one.named(flow).to_string()).collect();
        assert!(flows.contains("intruder -> data-store:5432/tcp"), "{flows:?}");
        assert!(flows.contains("ai-processing -> data-store:5432/tcp"), "the listener's witness: {flows:?}");
        assert!(flows.contains("intruder -> ai-processing:8080/tcp"), "the source's: {flows:?}");
        assert!(!flows.contains("intruder -> data-store:9000/tcp"), "another port: {flows:?}");
        assert!(!flows.contains("impostor -> ai-processing:8080/tcp"), "none of the two: {flows:?}");
        assert_eq!(one.baseline().len(), cells.len(), "what is not judged needs no baseline");
        for (id, _, intent) in one.stages()[0].intent.iter() {
            assert_eq!(whole.stages()[0].intent.get(id), Some(intent), "nobody means anything else by it");
        }
        let told = one.warnings().last().unwrap();
        assert!(told.contains(&format!("{} of {} cells", cells.len(), whole.stages()[0].cells.len())), "{told}");
    }

    #[test]
    fn a_service_keeps_those_who_answer_for_it() {
        let whole = load("service");
        let service = whole.bare().services.keys().next().copied().unwrap();
        let source = whole.bare().pods.keys().find(|id| {
            whole.stages()[0].cells.iter().any(|(_, flow)| flow.source == **id && flow.destination == service)
        });
        let one = whole.narrowed(*source.unwrap(), service, None).unwrap();
        let behind: Vec<_> = whole.bare().behind(&whole.bare().services[&service]).collect();
        assert!(!behind.is_empty());
        for pod in behind {
            assert!(one.stages()[0].cells.iter().any(|(_, flow)| flow.destination == pod), "{}", whole.name_of(pod));
        }
    }

    #[test]
    fn what_is_known_of_others_is_not_missed() {
        let known = |from: &str| {
            let entry = "call: leak, reason: known, until: 2999-01-01";
            let rest = format!(
                "pods: {{ a: {{ namespace: n }}, b: {{ namespace: n }}, c: {{ namespace: n }}, d: {{ namespace: n }} }}\nknown: [ {{ from: {from}, to: d, {entry} }} ]\n"
            );
            crate::scenario::load_str(&format!("version: 1\nnamespaces: {{ n: {{}} }}\n{rest}"), Strictness::Normal)
                .unwrap()
        };
        assert_eq!(narrowed(&known("a"), "a->b").unwrap().known().len(), 1, "it is tried, and may not happen");
        assert_eq!(narrowed(&known("c"), "a->b").unwrap().known().len(), 0, "it is not tried, so cannot");
    }

    #[test]
    fn a_flow_that_is_no_cell_is_none() {
        let whole = load("ai-data-pipeline");
        assert!(narrowed(&whole, "intruder->data-store:1/tcp").is_none(), "nobody serves that port");
        assert!(narrowed(&whole, "intruder->intruder").is_none(), "no policy can deny it");
    }
}
