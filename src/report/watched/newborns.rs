//! Pods that were born during a watch, in words.

use crate::model::flow::NamedFlow;
use crate::model::watch::{Newborn, WatchInfo};
use crate::report::duration::human_us;
use crate::report::text::{number, plural};

/// Newborn pods in a sentence; none where there were none.
pub fn newborns(watch: &WatchInfo) -> Option<String> {
    if watch.newborns.is_empty() {
        return None;
    }
    let connected: Vec<u64> = watch.newborns.iter().filter_map(|newborn| newborn.connected_after_us).collect();
    let cut_short = watch.newborns.iter().filter(|newborn| newborn.cut_short).count();
    let never = watch.newborns.len() - connected.len() - cut_short;
    let leaked = watch.newborns.iter().filter(|newborn| !newborn.leaked.is_empty()).count();
    let mut parts = vec![format!("{} born while watching", plural(watch.newborns.len() as u64, "pod", "pods"))];
    if let (Some(least), Some(most)) = (connected.iter().min(), connected.iter().max()) {
        parts.push(match least == most {
            true => format!("connected after {}", human_us(*most)),
            false => format!("connected after {} to {}", human_us(*least), human_us(*most)),
        });
    }
    if never > 0 {
        parts.push(format!("{} never connected", number(never as u64)));
    }
    if cut_short > 0 {
        parts.push(format!("{} not judged, since the watch ended first", number(cut_short as u64)));
    }
    parts.push(match leaked {
        0 => "none was ever open where it should not be".into(),
        leaked => format!("{} open where it should not be", plural(leaked as u64, "was", "were")),
    });
    Some(parts.join("; "))
}

/// A remark on a newborn pod: which flow it waited for, and why more is not known.
pub fn newborn_remark(newborn: &Newborn) -> String {
    let slowest = newborn.slowest.as_ref().map(|slow| {
        let node = slow.node.as_ref().map(|node| format!(", into {node}")).unwrap_or_default();
        format!("the last to work was {}{node}", slow.flow)
    });
    let cut_short = newborn.cut_short.then(|| "the watch ended before it was seen to work".to_owned());
    slowest.into_iter().chain(cut_short).chain(newborn.note.clone()).collect::<Vec<_>>().join("; ")
}

/// What became of one newborn pod.
pub fn newborn(newborn: &Newborn) -> String {
    let alive = match newborn.alive_us {
        Some(alive) => format!("alive after {}", human_us(alive.saturating_sub(newborn.asked_us))),
        None => "never alive".into(),
    };
    let connected = match newborn.connected_after_us {
        Some(after) => format!("connected {} later", human_us(after)),
        None if newborn.cut_short => "not judged".into(),
        None => "never connected".into(),
    };
    let list = |what: &str, flows: &[NamedFlow]| {
        let flows: Vec<String> = flows.iter().map(ToString::to_string).collect();
        if flows.is_empty() { String::new() } else { format!("; {what}: {}", flows.join(", ")) }
    };
    let (leaked, shut) = (list("was open", &newborn.leaked), list("shut to the end", &newborn.shut));
    let remark = Some(newborn_remark(newborn)).filter(|remark| !remark.is_empty());
    let note = remark.map(|remark| format!("; {remark}")).unwrap_or_default();
    format!("{alive}, {connected}{leaked}{shut}{note}")
}
