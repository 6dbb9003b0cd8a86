//! Nodes and addresses, planned so that two runs of one scenario compare.

use std::collections::{BTreeMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::model::endpoint::{Addresses, Family};

/// Pods per node: each node has a /23 of 10.244.0.0/16, first and last address left out.
pub(super) const PER_NODE: u16 = 510;
/// The highest node: 10.244.0.0/16 has room for 128.
pub(super) const NODES: u8 = 64;
/// Outside endpoints: 203.0.113.0/24, first and last address left out.
pub(super) const OUTSIDE: u16 = 254;
/// Pods without `node:` go round over these.
const ROUND: u8 = 2;

/// Gives out addresses in order, passing over those that the file gives itself.
pub(in crate::scenario) struct Plan {
    families: Vec<Family>,
    taken: HashSet<IpAddr>,
    pods: BTreeMap<u8, u16>,
    outside: u16,
    turn: u8,
}

impl Plan {
    /// Starts with every address the file gives.
    pub fn new(families: &[Family], taken: HashSet<IpAddr>) -> Self {
        Self { families: families.to_vec(), taken, pods: BTreeMap::new(), outside: 0, turn: 0 }
    }

    /// The node of the next pod that names none, counted from 1.
    pub fn next_node(&mut self) -> u8 {
        let node = self.turn % ROUND + 1;
        self.turn = (self.turn + 1) % ROUND;
        node
    }

    /// Addresses for the next pod of a node; none where the node is full.
    pub fn pod(&mut self, node: u8) -> Option<Addresses> {
        let mut place = self.pods.get(&node).copied().unwrap_or_default();
        let found = loop {
            place += 1;
            if place > PER_NODE {
                break None;
            }
            let [high, low] = place.to_be_bytes();
            let v4 = Ipv4Addr::new(10, 244, (node - 1) * 2 + high, low);
            let v6 = Ipv6Addr::new(0xfd00, 0x10, 0x244, u16::from(node), 0, 0, 0, place);
            if let Some(addresses) = self.free(v4, v6) {
                break Some(addresses);
            }
        };
        self.pods.insert(node, place.min(PER_NODE));
        found
    }

    /// Addresses for the next outside endpoint; none where all are given out.
    pub fn outside(&mut self) -> Option<Addresses> {
        while self.outside < OUTSIDE {
            self.outside += 1;
            let low = u8::try_from(self.outside).ok()?;
            let v4 = Ipv4Addr::new(203, 0, 113, low);
            let v6 = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, self.outside);
            if let Some(addresses) = self.free(v4, v6) {
                return Some(addresses);
            }
        }
        None
    }

    fn free(&self, v4: Ipv4Addr, v6: Ipv6Addr) -> Option<Addresses> {
        if self.taken.contains(&v4.into()) || self.taken.contains(&v6.into()) {
            return None;
        }
        Some(Addresses {
            v4: self.families.contains(&Family::V4).then_some(v4),
            v6: self.families.contains(&Family::V6).then_some(v6),
        })
    }
}

/// Why an address can be nobody's, where it cannot.
pub(super) fn unusable(address: IpAddr) -> Option<&'static str> {
    if address.is_unspecified() {
        return Some("it is the unspecified address");
    }
    if address.is_loopback() {
        return Some("it is a loopback address");
    }
    if address.is_multicast() {
        return Some("it is a multicast address");
    }
    match address {
        IpAddr::V4(v4) if v4.is_broadcast() => Some("it is the broadcast address"),
        IpAddr::V4(v4) if v4.is_link_local() => Some("it is a link-local address"),
        IpAddr::V4(v4) if v4.octets()[0] == 0 || v4.octets()[0] >= 240 => Some("it is reserved"),
        IpAddr::V6(v6) if v6.is_unicast_link_local() => Some("it is a link-local address"),
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => Some("it is an IPv4 address written as IPv6"),
        IpAddr::V4(_) | IpAddr::V6(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pod_of_every_node_has_an_address_of_its_own() {
        let mut plan = Plan::new(&[Family::V4, Family::V6], HashSet::new());
        let mut seen = HashSet::new();
        for node in 1..=NODES {
            for place in 0..PER_NODE {
                let addresses = plan.pod(node).unwrap_or_else(|| panic!("node {node} is full at {place}"));
                for address in addresses.iter() {
                    assert!(seen.insert(address), "{address} was given out twice");
                    assert_eq!(unusable(address), None, "{address}");
                }
            }
            assert_eq!(plan.pod(node), None, "node {node} is full, and stays so");
            assert_eq!(plan.pod(node), None, "node {node} is full, and stays so");
        }
    }

    #[test]
    fn an_address_given_in_the_file_is_passed_over() {
        let given: IpAddr = "10.244.0.2".parse().unwrap();
        let mut plan = Plan::new(&[Family::V4], HashSet::from([given]));
        let planned: Vec<_> = (0..3).filter_map(|_| plan.pod(1)).filter_map(|a| a.v4).collect();
        let expected: Vec<Ipv4Addr> = ["10.244.0.1", "10.244.0.3", "10.244.0.4"].map(|a| a.parse().unwrap()).into();
        assert_eq!(planned, expected);
    }
}
