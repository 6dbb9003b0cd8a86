//! What the kernels at both ends of a flow counted as dropped in a window, in words.

use crate::model::finding::{DropsAt, Window};

/// `probably lost at data-store on worker2, not denied: TcpExt ListenDrops +3`, or that too little was counted to be all of it,
/// or nothing; none where the counters were not read, and so nothing can be said.
pub fn words(window: &Window) -> Option<String> {
    let counted: Vec<&DropsAt> = window.drops.iter().filter(|at| !at.counted.is_empty()).collect();
    if !counted.is_empty() {
        let told = counted.into_iter().map(|at| {
            let counts = at.counted.iter().map(|count| format!("{} +{}", count.counter, count.by));
            let (place, counts) = (place(at), counts.collect::<Vec<_>>().join(", "));
            match window.drops_can_explain_it() {
                true => format!("probably lost at {place}, not denied: {counts}"),
                false => format!("too few drops were counted at {place} to be all of it: {counts}"),
            }
        });
        return Some(told.collect::<Vec<_>>().join("; "));
    }
    match window.drops.as_slice() {
        [] => None,
        [one] => Some(format!("no drop was counted at {}", place(one))),
        _ => Some("no drop was counted at either end".to_owned()),
    }
}

/// The same after a sentence about the window: `; no drop was counted at either end`.
pub fn aside(window: &Window) -> String {
    words(window).map(|words| format!("; {words}")).unwrap_or_default()
}

fn place(at: &DropsAt) -> String {
    match &at.node {
        Some(node) => format!("{} on {node}", at.end),
        None => at.end.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::finding::{Call, DropCount};
    use crate::model::watch::Standing;
    use crate::report::fixture::wrong_window;

    fn at(end: &str, node: Option<&str>, counted: &[(&str, u64)]) -> DropsAt {
        let counted = counted.iter().map(|(counter, by)| DropCount { counter: (*counter).to_owned(), by: *by });
        DropsAt { end: end.to_owned(), node: node.map(str::to_owned), counted: counted.collect() }
    }

    #[test]
    fn a_window_says_where_a_packet_was_lost_or_that_nobody_counted_it() {
        for (drops, expected, why) in [
            (vec![], None, "not read"),
            (
                vec![at("a", None, &[]), at("b", None, &[])],
                Some("no drop was counted at either end"),
                "read, and nothing",
            ),
            (vec![at("a", Some("w1"), &[])], Some("no drop was counted at a on w1"), "the other end was not read"),
            (
                vec![at("a", Some("w1"), &[]), at("b", Some("w2"), &[("TcpExt ListenDrops", 3), ("Ip InDiscards", 1)])],
                Some("probably lost at b on w2, not denied: TcpExt ListenDrops +3, Ip InDiscards +1"),
                "counted at one end",
            ),
        ] {
            let window = Window { drops, ..wrong_window(Call::Outage, Standing::Counted, 200_000, 0, 1) };
            assert_eq!(words(&window).as_deref(), expected, "{why}");
        }
    }

    #[test]
    fn drops_that_cannot_be_all_of_a_window_do_not_speak_against_a_denial() {
        let machine = "softnet dropped (whole machine)";
        for (counter, by, attempts, lost, why) in [
            ("TcpExt ListenDrops", 3, 3, true, "as many as attempts were wrong"),
            ("TcpExt ListenDrops", 2, 3, false, "one attempt more than drops"),
            (machine, 900, 1, false, "anybody's on this machine"),
        ] {
            let drops = vec![at("a", None, &[]), at("b", None, &[(counter, by)])];
            let window = Window { drops, ..wrong_window(Call::Outage, Standing::Counted, 200_000, 0, attempts) };
            let expected = match lost {
                true => format!("probably lost at b, not denied: {counter} +{by}"),
                false => format!("too few drops were counted at b to be all of it: {counter} +{by}"),
            };
            assert_eq!(words(&window), Some(expected), "{why}");
        }
    }
}
