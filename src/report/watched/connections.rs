//! Connections that were held open during a watch, in words.

use crate::model::watch::{Established, Fate, WatchInfo};
use crate::report::duration::human_us;
use crate::report::groups::{self, Group};
use crate::report::text::{number, plural};

/// Connections by what became of them, in a sentence; none where there were none.
pub fn established(watch: &WatchInfo) -> Option<String> {
    let count = |of: fn(&Fate) -> bool| watch.established.iter().filter(|one| of(&one.fate)).count() as u64;
    let fates = [
        (count(|fate| matches!(fate, Fate::Survived)), "survived"),
        (count(|fate| matches!(fate, Fate::Stalled)), "stalled for a while"),
        (count(|fate| matches!(fate, Fate::Ended { .. })), "ended before"),
        (count(|fate| matches!(fate, Fate::NotSeen { .. })), "could not be seen"),
    ];
    if watch.established.is_empty() {
        return None;
    }
    let told: Vec<String> = fates
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{} {word}", number(count)))
        .collect();
    let all = plural(watch.established.len() as u64, "connection", "connections");
    Some(format!("{all} held open throughout: {}", told.join(", ")))
}

/// What became of one connection.
pub fn fate(established: &Established) -> String {
    let fate = match &established.fate {
        Fate::Survived => "survived".to_owned(),
        Fate::Stalled => "stalled".to_owned(),
        Fate::Ended { at_us, how, by } => format!("{how} by {by} at {}", human_us(*at_us)),
        Fate::NotSeen { why } => format!("not seen: {why}"),
    };
    let note = established.note.as_ref().map(|note| format!("; {note}")).unwrap_or_default();
    match gap(established) {
        Some(gap) => format!("{fate}, longest gap {gap}{note}"),
        None => format!("{fate}{note}"),
    }
}

/// The longest time in which nothing came through: `1.5 s from 12.1 s on`.
pub fn gap(established: &Established) -> Option<String> {
    let gap = established.longest_gap?;
    Some(format!("{} from {} on", human_us(gap.until_us.saturating_sub(gap.from_us)), human_us(gap.from_us)))
}

/// Whether a person should look at a connection.
fn is_calm(established: &Established) -> bool {
    match established.fate {
        Fate::Survived => established.note.is_none(),
        Fate::Stalled | Fate::Ended { .. } | Fate::NotSeen { .. } => false,
    }
}

/// Connections that a person should look at, those of which the same is told together: those that did not survive first.
pub fn held(watch: &WatchInfo) -> Vec<Group<'_>> {
    let (survived, troubled): (Vec<&Established>, Vec<&Established>) =
        watch.established.iter().filter(|held| !is_calm(held)).partition(|held| held.fate == Fate::Survived);
    let tell = |held: &&'_ Established| fate(held);
    let mut groups = groups::by_sentence(troubled.iter().map(|held| (&held.flow, tell(held))));
    groups.extend(groups::by_pattern(survived.iter().map(|held| (&held.flow, remark_on_survivor(held)))));
    groups
}

/// A healthy connection has a longest gap like any other: its remark is all there is to tell.
fn remark_on_survivor(held: &Established) -> String {
    let note = held.note.as_ref().map(|note| format!("; {note}")).unwrap_or_default();
    format!("survived{note}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::watched;

    #[test]
    fn healthy_connections_with_one_remark_are_one_line() {
        let mut watch = watched().watch.unwrap();
        let survivor = watch.established[1].clone();
        for ms in 1..=60 {
            let note = format!("for {ms} ms of a silence the agent of one end could not see");
            watch.established.push(Established { note: Some(note), ..survivor.clone() });
        }
        let told: Vec<(usize, String)> =
            held(&watch).into_iter().map(|group| (group.flows.len(), group.sentence)).collect();
        assert_eq!(told.len(), 5, "{told:?}");
        assert!(told[0].1.starts_with("stalled"), "what did not survive comes first: {told:?}");
        let last = (60, "survived; for 1 to 60 ms of a silence the agent of one end could not see".to_owned());
        assert_eq!(told[4], last);
    }
}
