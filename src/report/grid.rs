//! The layout of a matrix, apart from how it is drawn: rows are sources, columns destinations with port.
//!
//! Where there is much to show, endpoints that could change places without the matrix changing are one row and one
//! column: nothing is lost by it, since every cell of the group has the same mark.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::model::endpoint::Family;
use crate::model::flow::NamedFlow;
use crate::model::port::Port;

use super::mark::Mark;

/// Whether endpoints that look alike are folded into one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Folding {
    /// Each has its own row and columns.
    Never,
    /// Those that could change places share them.
    Alike,
}

/// A matrix laid out.
#[derive(Debug, Clone, PartialEq)]
pub struct Grid {
    /// Rows: each one endpoint, or several that are alike.
    pub rows: Vec<Group>,
    /// Columns, in order of destination, then port.
    pub columns: Vec<Column>,
    cells: Vec<Option<Mark>>,
}

/// One endpoint, or several that are alike; in order of name, never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Their names.
    pub members: Vec<String>,
}

/// One column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The destinations: a place in the grid's rows.
    pub group: usize,
    /// Its ports; several only where folded, because their marks are alike.
    pub ports: Vec<(Family, Port)>,
}

impl Group {
    /// The name, or the first and how many more.
    pub fn label(&self) -> String {
        match self.members.as_slice() {
            [] => String::new(),
            [one] => one.clone(),
            [first, more @ ..] => format!("{first} +{}", more.len()),
        }
    }
}

impl Column {
    /// Its ports in words: `5432/tcp`, `5432/tcp (IPv6)`, `53/udp,5432/tcp`; where both families look alike, once.
    pub fn ports_label(&self) -> String {
        let mut families: BTreeMap<Vec<Port>, Vec<Family>> = BTreeMap::new();
        for family in [Family::V4, Family::V6] {
            let ports: Vec<Port> = self.ports.iter().filter(|(f, _)| *f == family).map(|(_, port)| *port).collect();
            if !ports.is_empty() {
                families.entry(ports).or_default().push(family);
            }
        }
        let mut parts = Vec::new();
        for (ports, families) in families {
            let ports: Vec<String> = ports.iter().map(Port::to_string).collect();
            let family = match families.as_slice() {
                [Family::V6] => " (IPv6)",
                [Family::V4] => "",
                _ => " (both)",
            };
            parts.push(format!("{}{family}", ports.join(",")));
        }
        parts.join(" ")
    }
}

impl Grid {
    /// Lays out cells.
    pub fn lay_out<'a>(cells: impl IntoIterator<Item = (&'a NamedFlow, Mark)>, folding: Folding) -> Self {
        let profiles = Profiles::gather(cells);
        let groups = match folding {
            Folding::Never => (0..profiles.names.len()).map(|endpoint| vec![endpoint]).collect(),
            Folding::Alike => profiles.alike(),
        };
        profiles.grid(&groups, folding)
    }

    /// The mark of a cell; none where there is no such cell.
    pub fn at(&self, row: usize, column: usize) -> Option<Mark> {
        self.cells.get(row * self.columns.len() + column).copied().flatten()
    }

    /// The marks that occur.
    pub fn marks(&self) -> BTreeSet<Mark> {
        self.cells.iter().copied().flatten().collect()
    }

    /// What a column is called.
    pub fn column_label(&self, column: &Column) -> String {
        let group = self.rows.get(column.group).map(Group::label).unwrap_or_default();
        format!("{group}:{}", column.ports_label())
    }

    /// The port that every column has, each row being one column: then rows and columns can share their numbers.
    pub fn shared_port(&self) -> Option<String> {
        let first = self.columns.first()?;
        let square = self.columns.len() == self.rows.len();
        let same = self.columns.iter().enumerate().all(|(place, c)| c.group == place && c.ports == first.ports);
        (square && same).then(|| first.ports_label())
    }
}

/// For every ordered pair of endpoints, which marks it has at which ports. Equal profiles have equal numbers; 0 is none.
struct Profiles<'a> {
    names: Vec<&'a str>,
    pairs: Vec<usize>,
    profiles: Vec<Profile>,
}

type Profile = Vec<((Family, Port), Mark)>;

impl<'a> Profiles<'a> {
    fn gather(cells: impl IntoIterator<Item = (&'a NamedFlow, Mark)>) -> Self {
        let mut by_pair: BTreeMap<(&str, &str), Profile> = BTreeMap::new();
        for (flow, mark) in cells {
            by_pair.entry((&flow.from, &flow.to)).or_default().push(((flow.family, flow.port), mark));
        }
        let names: Vec<&str> =
            by_pair.keys().flat_map(|(from, to)| [*from, *to]).collect::<BTreeSet<_>>().into_iter().collect();
        let places: HashMap<&str, usize> = names.iter().enumerate().map(|(place, name)| (*name, place)).collect();
        let mut profiles: Vec<Profile> = vec![Vec::new()];
        let mut numbers: HashMap<Profile, usize> = HashMap::new();
        let mut pairs = vec![0; names.len() * names.len()];
        for ((from, to), mut profile) in by_pair {
            profile.sort_unstable();
            let number = *numbers.entry(profile).or_insert_with_key(|profile| {
                profiles.push(profile.clone());
                profiles.len() - 1
            });
            pairs[places[from] * names.len() + places[to]] = number;
        }
        Self { names, pairs, profiles }
    }

    fn pair(&self, from: usize, to: usize) -> usize {
        self.pairs[from * self.names.len() + to]
    }

    /// Whether the matrix stays the same when two endpoints change places. That makes classes: if `a` and `b` can, and
    /// `b` and `c`, then `a` and `c` can, and every ordered pair within a class has the same profile.
    fn could_change_places(&self, a: usize, b: usize) -> bool {
        self.pair(a, b) == self.pair(b, a)
            && (0..self.names.len())
                .filter(|c| *c != a && *c != b)
                .all(|c| self.pair(a, c) == self.pair(b, c) && self.pair(c, a) == self.pair(c, b))
    }

    fn alike(&self) -> Vec<Vec<usize>> {
        let mut groups: Vec<Vec<usize>> = Vec::new();
        for endpoint in 0..self.names.len() {
            match groups.iter_mut().find(|group| self.could_change_places(group[0], endpoint)) {
                Some(group) => group.push(endpoint),
                None => groups.push(vec![endpoint]),
            }
        }
        groups
    }

    /// The profile of a whole group towards another, or among its own.
    fn between(&self, from: &[usize], to: &[usize]) -> &Profile {
        let pair = match (from, to) {
            ([a, ..], [b, ..]) if a != b => Some((*a, *b)),
            ([a, b, ..], _) => Some((*a, *b)),
            _ => None,
        };
        &self.profiles[pair.map_or(0, |(a, b)| self.pair(a, b))]
    }

    fn grid(&self, groups: &[Vec<usize>], folding: Folding) -> Grid {
        let mut columns: Vec<(Column, Vec<Option<Mark>>)> = Vec::new();
        for (place, to) in groups.iter().enumerate() {
            let towards: Vec<&Profile> = groups.iter().map(|from| self.between(from, to)).collect();
            let keys: BTreeSet<_> = towards.iter().flat_map(|profile| profile.iter().map(|(key, _)| *key)).collect();
            let first = columns.len();
            for key in keys {
                let marks: Vec<Option<Mark>> = towards
                    .iter()
                    .map(|profile| profile.iter().find(|(other, _)| *other == key).map(|(_, mark)| *mark))
                    .collect();
                let same = columns[first..].iter_mut().find(|(_, other)| *other == marks);
                match (folding, same) {
                    (Folding::Alike, Some((column, _))) => column.ports.push(key),
                    _ => columns.push((Column { group: place, ports: vec![key] }, marks)),
                }
            }
        }
        let rows: Vec<Group> = groups
            .iter()
            .map(|group| Group { members: group.iter().map(|endpoint| self.names[*endpoint].to_owned()).collect() })
            .collect();
        let cells =
            (0..rows.len()).flat_map(|row| columns.iter().map(move |(_, marks)| marks[row])).collect::<Vec<_>>();
        Grid { rows, columns: columns.into_iter().map(|(column, _)| column).collect(), cells }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::flow;

    fn square(names: &[&str], mark: impl Fn(&str, &str) -> Mark) -> Vec<(NamedFlow, Mark)> {
        let pairs = names.iter().flat_map(|from| names.iter().map(move |to| (*from, *to)));
        pairs.filter(|(from, to)| from != to).map(|(from, to)| (flow(from, to, "80/tcp"), mark(from, to))).collect()
    }

    fn lay_out(cells: &[(NamedFlow, Mark)], folding: Folding) -> Grid {
        Grid::lay_out(cells.iter().map(|(flow, mark)| (flow, *mark)), folding)
    }

    #[test]
    fn every_cell_is_where_its_flow_says() {
        let cells = square(&["a", "b", "c"], |from, _| if from == "a" { Mark::Denied } else { Mark::Allowed });
        let grid = lay_out(&cells, Folding::Never);
        assert_eq!(grid.at(0, 0), None, "a pod to itself is no cell");
        assert_eq!(grid.at(0, 1), Some(Mark::Denied), "a to b");
        assert_eq!(grid.at(1, 0), Some(Mark::Allowed), "b to a");
        assert_eq!(grid.shared_port().as_deref(), Some("80/tcp"), "one port for all");
    }

    #[test]
    fn only_endpoints_that_could_change_places_are_folded() {
        // b and c look alike; d differs from them by one leak out of it.
        let cells = square(&["a", "b", "c", "d"], |from, to| match (from, to) {
            ("d", "a") => Mark::Leak,
            (_, "a") => Mark::Denied,
            _ => Mark::Allowed,
        });
        let grid = lay_out(&cells, Folding::Alike);
        let labels: Vec<String> = grid.rows.iter().map(Group::label).collect();
        assert_eq!(labels, ["a", "b +1", "d"]);
        assert_eq!(grid.at(2, 0), Some(Mark::Leak), "the leak still has a row of its own");
        assert_eq!(grid.at(1, 1), Some(Mark::Allowed), "among themselves b and c have a mark");
        assert_eq!(grid.at(0, 0), None, "a alone has none");
    }

    #[test]
    fn a_leak_within_a_group_breaks_it() {
        let cells = square(&["a", "b", "c"], |from, to| match (from, to) {
            ("a", "b") => Mark::Leak,
            _ => Mark::Denied,
        });
        let grid = lay_out(&cells, Folding::Alike);
        assert_eq!(grid.rows.len(), 3, "a and b are not alike, and c is like neither");
    }

    #[test]
    fn ports_of_one_destination_are_folded_where_their_marks_are_alike() {
        let mut cells = Vec::new();
        for port in ["53/udp", "5432/tcp", "9000/tcp"] {
            let mark = if port == "53/udp" { Mark::Leak } else { Mark::Denied };
            cells.push((flow("a", "b", port), mark));
            cells.push((flow("c", "b", port), Mark::Allowed));
        }
        let labels = |folding| {
            let grid = lay_out(&cells, folding);
            grid.columns.iter().map(|column| grid.column_label(column)).collect::<Vec<_>>()
        };
        assert_eq!(labels(Folding::Never), ["b:53/udp", "b:5432/tcp", "b:9000/tcp"], "in order of number, then kind");
        assert_eq!(labels(Folding::Alike), ["b:53/udp", "b:5432/tcp,9000/tcp"]);
    }
}
