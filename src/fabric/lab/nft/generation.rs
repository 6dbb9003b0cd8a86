//! One node's guards as chains and sets, all under names of their own generation, so that they can be loaded beside
//! the ones in force and be switched to by one jump.

use std::collections::{BTreeMap, HashMap};

use netlink_packet_netfilter::nftables::{Expressions, Register};

use super::Denial;
use super::expression::{self, Decision, Which};
use super::message::{self, Elements, Key};
use crate::fabric::lab::compile::{AddressSet, Allow, Guard, Peering, PortRange, Porting};
use crate::fabric::lab::netlink::Request;
use crate::model::endpoint::Family;
use crate::model::prediction::Direction;

/// A generation as it is loaded, and what its removal needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::fabric::lab) struct Generation {
    /// The chain to jump to.
    pub(super) entry: String,
    chains: Vec<String>,
    sets: Vec<String>,
}

impl Generation {
    /// Everything it consists of, in an order in which nothing is named before it is there, and how to remove it.
    pub(super) fn build(table: &str, number: u64, guards: &[Guard], denial: Denial) -> (Self, Vec<Request>) {
        let mut writer = Writer { table, number, chains: Vec::new(), sets: Sets::default() };
        let entry = writer.chain("");
        let mut rules = Vec::new();
        let mut jumps: BTreeMap<(Direction, Family), Entries> = BTreeMap::new();
        for (place, guard) in guards.iter().enumerate() {
            let chain = writer.chain(&format!("-{}-{place}", guard.direction));
            for allow in &guard.allows {
                for mut steps in writer.matching(guard.direction, allow) {
                    steps.push(Decision::Return.step());
                    rules.push(message::new_rule(table, &chain, steps));
                }
            }
            rules.extend(denial.rules().into_iter().map(|steps| message::new_rule(table, &chain, steps)));
            for pod in &guard.pods {
                let entries = jumps.entry((guard.direction, Family::of(*pod))).or_default();
                entries.push((expression::bytes(*pod), Decision::Jump(chain.clone())));
            }
        }
        // A packet meets its source's guard first, then its destination's, as it would with two nodes between them.
        let mut maps = Vec::new();
        for direction in [Direction::Egress, Direction::Ingress] {
            for (family, key) in [(Family::V4, Key::V4), (Family::V6, Key::V6)] {
                if let Some(entries) = jumps.get(&(direction, family)) {
                    let name = format!("g{number}-{direction}-{family}");
                    let id = writer.sets.claim(name.clone());
                    maps.extend(message::new_map(table, &name, id, key, entries));
                    let which = match direction {
                        Direction::Egress => Which::Source,
                        Direction::Ingress => Which::Destination,
                    };
                    let mut steps = expression::family(family).to_vec();
                    steps.push(expression::load_address(family, which, Register::Reg1));
                    steps.push(expression::decide_by(&name, Register::Reg1));
                    rules.push(message::new_rule(table, &entry, steps));
                }
            }
        }
        let mut requests: Vec<Request> = writer.chains.iter().map(|chain| message::new_chain(table, chain)).collect();
        requests.append(&mut writer.sets.requests);
        requests.extend(maps);
        requests.extend(rules);
        (Self { entry, chains: writer.chains, sets: writer.sets.names }, requests)
    }

    /// Removes it; nothing may jump to it any more.
    pub(super) fn removal(&self, table: &str) -> Vec<Request> {
        let rules = self.chains.iter().map(|chain| message::flush_chain(table, chain));
        let sets = self.sets.iter().map(|set| message::delete_set(table, set));
        let chains = self.chains.iter().map(|chain| message::delete_chain(table, chain));
        rules.chain(sets).chain(chains).collect()
    }
}

/// What a map says about each address.
type Entries = Vec<(Vec<u8>, Decision)>;

struct Writer<'a> {
    table: &'a str,
    number: u64,
    chains: Vec<String>,
    sets: Sets,
}

/// Sets made so far; rules that want the same elements share one.
#[derive(Default)]
struct Sets {
    names: Vec<String>,
    made: HashMap<(Key, Elements), String>,
    requests: Vec<Request>,
}

impl Sets {
    /// Takes note of a set that is made elsewhere; gives its number.
    fn claim(&mut self, name: String) -> u32 {
        self.names.push(name);
        self.names.len() as u32
    }
}

impl Writer<'_> {
    fn chain(&mut self, suffix: &str) -> String {
        let name = format!("g{}{suffix}", self.number);
        self.chains.push(name.clone());
        name
    }

    fn set(&mut self, key: Key, elements: Elements) -> String {
        let wanted = (key, elements);
        if let Some(name) = self.sets.made.get(&wanted) {
            return name.clone();
        }
        let name = format!("g{}-set-{}", self.number, self.sets.made.len());
        let id = self.sets.claim(name.clone());
        self.sets.requests.extend(message::new_set(self.table, &name, id, key, &wanted.1));
        self.sets.made.insert(wanted, name.clone());
        name
    }

    /// The steps of the rules that together match what is allowed, without their decision.
    fn matching(&mut self, direction: Direction, allow: &Allow) -> Vec<Vec<Expressions>> {
        match allow {
            Allow::Across { peers, ports } => {
                let ports = match ports {
                    Porting::Anything => Vec::new(),
                    Porting::These(ranges) => self.port_steps(ranges),
                };
                match peers {
                    Peering::Anyone => vec![ports],
                    Peering::These(addresses) => {
                        let which = match direction {
                            Direction::Ingress => Which::Source,
                            Direction::Egress => Which::Destination,
                        };
                        let mut rules = self.address_steps(addresses, which);
                        for steps in &mut rules {
                            steps.extend(ports.iter().cloned());
                        }
                        rules
                    }
                }
            }
            Allow::Servers(servers) => {
                let mut rules = Vec::new();
                for (family, key) in [(Family::V4, Key::V4ProtocolPort), (Family::V6, Key::V6ProtocolPort)] {
                    let keys: Vec<Vec<u8>> = servers
                        .iter()
                        .filter(|(address, _)| Family::of(*address) == family)
                        .map(|(address, port)| {
                            let mut key = expression::bytes(*address);
                            key.extend(port_key(expression::number(port.protocol), port.number.get()));
                            key
                        })
                        .collect();
                    if keys.is_empty() {
                        continue;
                    }
                    let set = self.set(key, Elements::Exactly(keys));
                    // The fields of a key lie one behind the other in registers of 4 bytes.
                    let (protocol, port) = match family {
                        Family::V4 => (Register::Reg32_01, Register::Reg32_02),
                        Family::V6 => (Register::Reg32_04, Register::Reg32_05),
                    };
                    let mut steps = expression::family(family).to_vec();
                    steps.push(expression::load_address(family, Which::Destination, Register::Reg32_00));
                    steps.push(expression::load_protocol(protocol));
                    steps.push(expression::load_port(port));
                    steps.push(expression::look_up(&set, Register::Reg32_00));
                    rules.push(steps);
                }
                rules
            }
        }
    }

    fn port_steps(&mut self, ranges: &[PortRange]) -> Vec<Expressions> {
        // A set costs the kernel about a millisecond to make; most rules have one port, and need none.
        if let [only] = ranges {
            let mut steps = expression::protocol(only.protocol).to_vec();
            if (only.first, only.last) != (0, u16::MAX) {
                let [first, last] = [only.first, only.last].map(|port| port.to_be_bytes().to_vec());
                steps.push(expression::load_port(Register::Reg1));
                steps.extend(expression::between(Register::Reg1, first, last));
            }
            return steps;
        }
        let boxes = ranges.iter().map(|range| {
            let number = expression::number(range.protocol);
            (port_key(number, range.first), port_key(number, range.last))
        });
        let set = self.set(Key::ProtocolPort, Elements::Boxes(boxes.collect()));
        vec![
            expression::load_protocol(Register::Reg32_00),
            expression::load_port(Register::Reg32_01),
            expression::look_up(&set, Register::Reg32_00),
        ]
    }

    /// A rule's beginning for each family there is an address of.
    fn address_steps(&mut self, addresses: &AddressSet, which: Which) -> Vec<Vec<Expressions>> {
        let v4 = addresses.v4.iter().map(|(first, last)| {
            let after = last.checked_add(1).map(|after| after.to_be_bytes().to_vec());
            (first.to_be_bytes().to_vec(), last.to_be_bytes().to_vec(), after)
        });
        let v6 = addresses.v6.iter().map(|(first, last)| {
            let after = last.checked_add(1).map(|after| after.to_be_bytes().to_vec());
            (first.to_be_bytes().to_vec(), last.to_be_bytes().to_vec(), after)
        });
        let families = [(Family::V4, Key::V4, v4.collect::<Vec<_>>()), (Family::V6, Key::V6, v6.collect())];
        let mut rules = Vec::new();
        for (family, key, ranges) in families {
            let mut steps = expression::family(family).to_vec();
            steps.push(expression::load_address(family, which, Register::Reg1));
            match ranges.as_slice() {
                [] => continue,
                [(first, last, _)] => steps.extend(expression::between(Register::Reg1, first.clone(), last.clone())),
                several => {
                    let set = self.set(key, elements(several));
                    steps.push(expression::look_up(&set, Register::Reg1));
                }
            }
            rules.push(steps);
        }
        rules
    }
}

/// The first of a range, its last, and the one after it where there is one.
type Range = (Vec<u8>, Vec<u8>, Option<Vec<u8>>);

/// Single addresses where there is nothing else: the kernel finds those by hash.
fn elements(ranges: &[Range]) -> Elements {
    if ranges.iter().all(|(first, last, _)| first == last) {
        Elements::Exactly(ranges.iter().map(|(first, ..)| first.clone()).collect())
    } else {
        Elements::Ranges(ranges.iter().map(|(first, _, after)| (first.clone(), after.clone())).collect())
    }
}

/// Protocol and port as the kernel lays them out: each in 4 bytes, padded behind.
fn port_key(protocol: u8, port: u16) -> Vec<u8> {
    let [high, low] = port.to_be_bytes();
    vec![protocol, 0, 0, 0, high, low, 0, 0]
}
