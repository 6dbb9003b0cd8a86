//! The kernel's own counters of what it dropped, as the agent's network namespace has them: read at a slow, steady pace while
//! flows are watched. Only what moved between two readings is told.
//!
//! They say that something was lost here and not denied. They never say that a flow is right or wrong: a counter does not
//! name the packet. What a packet filter drops is in none of them.

use std::collections::BTreeMap;
use std::fs;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::sleep;

use crate::clock;
use crate::model::finding::WHOLE_MACHINE;
use crate::model::moment::Moment;
use crate::wire::Record;

use super::state::State;

/// Between two readings: short enough to lie close around a lost packet, and long enough that an agent's share of the time
/// for them cannot be noticed.
const EVERY: Duration = Duration::from_millis(500);

/// Counters of `snmp` and `netstat`, by the line and the column they stand in. Those that count retransmissions are left out:
/// long attempts on denied flows make some on purpose.
const NAMED: &[(&str, &[&str])] = &[
    ("Ip", &["InDiscards", "OutDiscards"]),
    ("Tcp", &["InErrs"]),
    ("Udp", &["RcvbufErrors", "SndbufErrors", "InCsumErrors", "MemErrors"]),
    (
        "TcpExt",
        &[
            "ListenOverflows",
            "ListenDrops",
            "TCPBacklogDrop",
            "PFMemallocDrop",
            "TCPReqQFullDrop",
            "TCPRcvQDrop",
            "TCPZeroWindowDrop",
        ],
    ),
    ("IpExt", &["InCsumErrors"]),
];
/// Counters of `snmp6`, which has one a line.
const NAMED6: &[&str] = &["Ip6InDiscards", "Ip6OutDiscards", "Udp6RcvbufErrors", "Udp6SndbufErrors"];

/// What the counters said at one time.
pub type Reading = BTreeMap<String, u64>;

/// Reads the counters; `file` gives the text of a file of `/proc/self/net`. Counters that this kernel lacks are left out.
pub fn reading(file: impl Fn(&str) -> Option<String>) -> Reading {
    let mut reading = Reading::new();
    for name in ["snmp", "netstat"] {
        tables(&file(name).unwrap_or_default(), &mut reading);
    }
    for line in file("snmp6").unwrap_or_default().lines() {
        let mut words = line.split_whitespace();
        if let (Some(name), Some(Ok(value))) = (words.next(), words.next().map(str::parse))
            && NAMED6.contains(&name)
        {
            reading.insert(name.to_owned(), value);
        }
    }
    links(&file("dev").unwrap_or_default(), &mut reading);
    // One line for each processor, and the second number of each is what its backlog dropped: of all namespaces.
    if let Some(text) = file("softnet_stat") {
        let dropped = text.lines().filter_map(|line| u64::from_str_radix(line.split_whitespace().nth(1)?, 16).ok());
        reading.insert(format!("softnet dropped {WHOLE_MACHINE}"), dropped.sum());
    }
    reading
}

/// Lines come in pairs: `Ip: InDiscards …`, then `Ip: 3 …`.
fn tables(text: &str, reading: &mut Reading) {
    let lines: Vec<&str> = text.lines().collect();
    for pair in lines.chunks_exact(2) {
        let [names, values] = pair else { continue };
        let (Some((table, names)), Some((_, values))) = (names.split_once(':'), values.split_once(':')) else {
            continue;
        };
        let Some((_, wanted)) = NAMED.iter().find(|(known, _)| *known == table) else { continue };
        for (name, value) in names.split_whitespace().zip(values.split_whitespace()) {
            if let (true, Ok(value)) = (wanted.contains(&name), value.parse()) {
                reading.insert(format!("{table} {name}"), value);
            }
        }
    }
}

/// One line for each link: `eth0: bytes packets errs drop …` received, and the same eight columns on sent.
fn links(text: &str, reading: &mut Reading) {
    for line in text.lines() {
        let Some((link, columns)) = line.split_once(':') else { continue };
        let columns: Vec<&str> = columns.split_whitespace().collect();
        for (way, column) in [("received", 3), ("sent", 11)] {
            if let Some(Ok(value)) = columns.get(column).map(|text| text.parse()) {
                reading.insert(format!("{} dropped when {way}", link.trim()), value);
            }
        }
    }
}

/// What moved since the last reading.
#[derive(Debug, Default)]
pub struct Counters {
    last: Option<(Moment, Reading)>,
}

impl Counters {
    /// Takes a reading that was made between two moments. The first one tells nothing.
    pub fn take(&mut self, (began, ended): (Moment, Moment), reading: Reading) -> Option<Record> {
        let (from, before) = self.last.replace((began, reading.clone()))?;
        let moved = reading.into_iter().filter_map(|(name, value)| {
            // One that was not there before is a link that is new, and counts from nothing.
            let by = value.saturating_sub(before.get(&name).copied().unwrap_or(0));
            (by > 0).then_some((name, by))
        });
        Some(Record::Counted { from, until: ended, moved: moved.collect() })
    }
}

/// Reads them until `until`, and records what moved.
pub async fn count(state: Rc<State>, until: Moment) {
    let mut counters = Counters::default();
    loop {
        let began = clock::now();
        if began >= until {
            return;
        }
        let reading = reading(|name| fs::read_to_string(format!("/proc/self/net/{name}")).ok());
        if reading.is_empty() {
            // Nothing to be read here, and so nothing will be said.
            return;
        }
        if let Some(record) = counters.take((began, clock::now()), reading) {
            state.ledger.borrow_mut().counted(record);
        }
        sleep(EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SNMP: &str = "Ip: Forwarding InDiscards OutDiscards\nIp: 1 4 0\nTcp: InErrs RetransSegs\nTcp: 0 99\n";
    const NETSTAT: &str = "TcpExt: SyncookiesSent ListenOverflows ListenDrops\nTcpExt: 7 2 3\n";
    const DEV: &str = "Inter-|   Receive                   |  Transmit\n face |bytes packets errs drop fifo frame compressed multicast|bytes packets errs drop fifo colls carrier compressed\n  eth0: 10 1 0 5 0 0 0 0 20 2 0 6 0 0 0 0\n";
    const SOFTNET: &str = "0000aa 00000001 00000000 0\n0000bb 0000000f 00000000 0\n";

    fn files(listen_drops: u64) -> impl Fn(&str) -> Option<String> {
        move |name| {
            Some(match name {
                "snmp" => SNMP.to_owned(),
                "netstat" => NETSTAT.replace("7 2 3", &format!("7 2 {listen_drops}")),
                "dev" => DEV.to_owned(),
                "softnet_stat" => SOFTNET.to_owned(),
                _ => return None,
            })
        }
    }

    #[test]
    fn counters_are_read_by_their_names_and_retransmissions_are_left_out() {
        let expected = [
            ("Ip InDiscards", 4),
            ("Ip OutDiscards", 0),
            ("Tcp InErrs", 0),
            ("TcpExt ListenDrops", 3),
            ("TcpExt ListenOverflows", 2),
            ("eth0 dropped when received", 5),
            ("eth0 dropped when sent", 6),
            ("softnet dropped (whole machine)", 16),
        ];
        let expected: Reading = expected.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        assert_eq!(reading(files(3)), expected);
        assert_eq!(reading(|_| None), Reading::new(), "nothing to be read is nothing, and no error");
        assert_eq!(reading(|_| Some("garbage: 1\n\n:::\nIp: x\n".to_owned())).get("Ip InDiscards"), None);
    }

    #[test]
    fn what_moved_between_two_readings_is_told_with_their_moments() {
        let mut counters = Counters::default();
        assert_eq!(counters.take((Moment(10), Moment(11)), reading(files(3))), None, "one reading says nothing");
        let record = |from, until, moved| Some(Record::Counted { from: Moment(from), until: Moment(until), moved });
        assert_eq!(counters.take((Moment(20), Moment(21)), reading(files(3))), record(10, 21, vec![]));
        let moved = vec![("TcpExt ListenDrops".to_owned(), 3)];
        assert_eq!(counters.take((Moment(30), Moment(31)), reading(files(6))), record(20, 31, moved));
        assert_eq!(
            counters.take((Moment(40), Moment(41)), reading(files(0))),
            record(30, 41, vec![]),
            "no less than none"
        );
    }

    #[test]
    fn this_kernel_has_counters() {
        let reading = reading(|name| fs::read_to_string(format!("/proc/self/net/{name}")).ok());
        assert!(reading.contains_key("TcpExt ListenDrops"), "{reading:?}");
    }
}
