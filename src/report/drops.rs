//! What the kernels at both ends of a flow counted as dropped in a window, in words.

use crate::model::finding::{DropsAt, Window};

/// `probably lost at data-store on worker2, not denied: TcpExt ListenDrops +3`, or that nothing was counted; none where the
/// counters were not read, and so nothing can be said.
pub fn words(window: &Window) -> Option<String> {
    let counted: Vec<&DropsAt> = window.drops.iter().filter(|at| !at.counted.is_empty()).collect();
    if !counted.is_empty() {
        let told = counted.into_iter().map(|at| {
            let counts = at.counted.iter().map(|count| format!("{} +{}", count.counter, count.by));
            let counts: Vec<String> = counts.collect();
            format!("probably lost at {}, not denied: {}", place(at), counts.join(", "))
        });
        return Some(told.collect::<Vec<_>>().join("; "));
    }
    match window.drops.as_slice() {
        [] => None,
        [one] => Some(format!("no drop was counted at {}", place(one))),
        _ => Some("no drop was counted at either end".to_owned()),
    }
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
}
