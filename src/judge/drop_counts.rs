//! What the kernels at both ends of a flow counted as dropped. It is told at windows and changes no verdict.

use std::collections::{BTreeMap, HashMap, VecDeque};

use crate::model::document::Document;
use crate::model::endpoint::EndpointId;
use crate::model::finding::{DropCount, DropsAt};
use crate::model::moment::Moment;

/// So many times of one agent are kept: those without a drop that follow on each other are one.
const KEPT: usize = 4096;

/// What was counted between two readings.
#[derive(Debug, Clone)]
struct Counted {
    from: Moment,
    until: Moment,
    moved: Vec<(String, u64)>,
}

/// What all agents counted.
#[derive(Debug, Clone, Default)]
pub(super) struct DropCounts {
    by: HashMap<EndpointId, VecDeque<Counted>>,
}

impl DropCounts {
    /// Takes what an agent counted between two readings; each begins with the reading that ended the one before.
    pub(super) fn see(&mut self, id: EndpointId, (from, until): (Moment, Moment), moved: &[(String, u64)]) {
        let all = self.by.entry(id).or_default();
        if let Some(last) =
            all.back_mut().filter(|last| last.moved.is_empty() && moved.is_empty() && from <= last.until)
        {
            last.until = last.until.max(until);
            return;
        }
        if all.len() >= KEPT {
            all.pop_front();
        }
        all.push_back(Counted { from, until, moved: moved.to_vec() });
    }

    /// What an agent counted from a reading before `from` to one after `until`; none where it was not read throughout.
    pub(super) fn between(&self, id: EndpointId, from: Moment, until: Moment) -> Option<Vec<DropCount>> {
        let mut known = from;
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        for counted in self.by.get(&id)?.iter().filter(|one| one.until >= from && one.from <= until) {
            if counted.from > known {
                return None;
            }
            known = known.max(counted.until);
            for (counter, by) in &counted.moved {
                *counts.entry(counter).or_default() += by;
            }
        }
        let count = |(counter, by): (&str, u64)| DropCount { counter: counter.to_owned(), by };
        (known >= until && known > from).then(|| counts.into_iter().map(count).collect())
    }
}

/// Names the node of each end at which drops were looked for, where it is known.
pub fn name_nodes_of_drops(document: &mut Document) {
    let Document { stages, endpoints, .. } = document;
    let node = |end: &str| endpoints.iter().find(|known| known.name == end).and_then(|known| known.node.clone());
    let place = |drops: &mut DropsAt| drops.node = node(&drops.end);
    for stage in stages {
        let cells = stage.cells.iter_mut().flat_map(|cell| &mut cell.windows);
        let findings = stage.findings.iter_mut().flat_map(|finding| &mut finding.windows);
        cells.chain(findings).flat_map(|window| &mut window.drops).for_each(place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::script::at;

    const ID: EndpointId = EndpointId(3);

    #[test]
    fn what_was_counted_is_told_of_a_time_that_was_read_throughout() {
        let mut counts = DropCounts::default();
        assert_eq!(counts.between(ID, at(1), at(2)), None, "nothing was read");
        counts.see(ID, (at(0), at(501)), &[]);
        counts.see(ID, (at(500), at(1001)), &[]);
        counts.see(ID, (at(1000), at(1501)), &[("TcpExt ListenDrops".to_owned(), 3)]);
        counts.see(ID, (at(1500), at(2001)), &[("TcpExt ListenDrops".to_owned(), 1), ("Ip InDiscards".to_owned(), 2)]);
        counts.see(ID, (at(4000), at(4501)), &[]);
        let count = |counter: &str, by| DropCount { counter: counter.to_owned(), by };
        for (from, until, expected, why) in [
            (100, 900, Some(vec![]), "no drop was counted, over two readings"),
            (1100, 1200, Some(vec![count("TcpExt ListenDrops", 3)]), "within one pair of readings"),
            (
                900,
                1600,
                Some(vec![count("Ip InDiscards", 2), count("TcpExt ListenDrops", 4)]),
                "over several, added up",
            ),
            (1900, 2100, None, "not read to the end"),
            (1900, 4100, None, "not read between"),
            (3900, 4100, None, "not read at the beginning"),
        ] {
            assert_eq!(counts.between(ID, at(from), at(until)), expected, "{why}");
        }
    }
}
