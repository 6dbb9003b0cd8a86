//! Random worlds: who lives where, under which labels and addresses, serving what.
//!
//! Everything is drawn from small pools, so that things collide: labels that several pods have, names that mean
//! different numbers, addresses on both sides of a block's edge.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::num::{NonZeroU8, NonZeroU16};
use std::sync::Arc;

use leakproof::model::endpoint::{Addresses, EndpointId, Family};
use leakproof::model::flow::{CellSet, Flow, FlowTable, NamedFlow};
use leakproof::model::labels::Labels;
use leakproof::model::port::{Port, Protocol, ServedPort};
use leakproof::scenario::world::{Outside, Pod, World};

use crate::dice::Dice;

pub const METADATA_NAME: &str = "kubernetes.io/metadata.name";
pub const NAMESPACES: [&str; 4] = ["blue", "green", "pink", "red"];
pub const POD_KEYS: [(&str, &[&str]); 3] =
    [("app", &["api", "db", "web"]), ("tier", &["back", "front"]), ("team", &["a", "b", ""])];
pub const NAMESPACE_KEYS: [(&str, &[&str]); 2] = [("env", &["dev", "prod"]), ("team", &["a", "b"])];
pub const NUMBERS: [u16; 8] = [53, 80, 81, 82, 443, 8080, 8081, 9000];
pub const PORT_NAMES: [&str; 4] = ["dns", "http", "metrics", "web"];
const PODS: [&str; 9] = ["ant", "bee", "cat", "dog", "elk", "fox", "gnu", "hen", "imp"];
const OUTSIDE: [&str; 2] = ["sky", "sun"];
const LAST_BITS: [u16; 11] = [1, 2, 3, 4, 7, 8, 9, 16, 31, 127, 128];

/// A world with the names of what is in it and the cells between.
#[derive(Debug, Clone)]
pub struct Ground {
    pub names: Vec<String>,
    /// No policies in it.
    pub world: World,
    pub cells: Arc<CellSet>,
}

impl Ground {
    /// Draws one.
    pub fn draw(dice: &mut Dice) -> Self {
        let namespaces = NAMESPACES.iter().take(dice.between(3, 4));
        let namespaces: BTreeMap<String, Labels> =
            namespaces.map(|name| ((*name).to_owned(), namespace_labels(name, dice))).collect();
        let homes: Vec<String> = namespaces.keys().cloned().collect();
        let mut addresses = Drawn::default();
        let count = dice.between(6, 9);
        let mut pods = BTreeMap::new();
        for place in 0..count {
            let pod = Pod {
                namespace: dice.pick(&homes[..3]).clone(),
                labels: pod_labels(dice),
                serves: serves(dice),
                node: leakproof::model::endpoint::NodeOrdinal(
                    NonZeroU8::new(dice.between(1, 2) as u8).expect("one or two"),
                ),
                addresses: addresses.pod(dice),
            };
            pods.insert(EndpointId(place as u32), pod);
        }
        let outsiders = dice.between(1, 2);
        let outside = (0..outsiders)
            .map(|place| {
                let serves = vec![served(8080, Protocol::Tcp, None), served(53, Protocol::Udp, Some("dns"))];
                (EndpointId((count + place) as u32), Outside { serves, addresses: addresses.outside(dice) })
            })
            .collect();
        let names = PODS.iter().take(count).chain(OUTSIDE.iter().take(outsiders)).map(|n| (*n).to_owned()).collect();
        Self::of(names, World { namespaces, pods, outside, ..World::default() })
    }

    /// The cells of a world: as a scenario has them that expects something of everything.
    pub fn of(names: Vec<String>, world: World) -> Self {
        let mut flows = Vec::new();
        for source in world.endpoints() {
            for destination in world.endpoints() {
                if world.outside.contains_key(&source) && world.outside.contains_key(&destination) {
                    continue;
                }
                for family in [Family::V4, Family::V6] {
                    let ports = world.serves(destination).iter();
                    flows.extend(ports.map(|served| Flow { source, destination, family, port: served.port }));
                }
            }
        }
        let cells = Arc::new(CellSet::new(Arc::new(FlowTable::new(flows)), |_| true));
        Self { names, world, cells }
    }

    pub fn name(&self, id: EndpointId) -> &str {
        &self.names[id.index()]
    }

    pub fn named(&self, flow: &Flow) -> NamedFlow {
        NamedFlow {
            from: self.name(flow.source).to_owned(),
            to: self.name(flow.destination).to_owned(),
            family: flow.family,
            port: flow.port,
        }
    }
}

/// Whether the lab can have a look at a flow: the kernels it runs on have no SCTP.
pub fn probed(flow: &Flow) -> bool {
    match flow.port.protocol {
        Protocol::Tcp | Protocol::Udp => true,
        Protocol::Sctp => false,
    }
}

/// Labels of a pod; possibly none.
pub fn pod_labels(dice: &mut Dice) -> Labels {
    labels(&POD_KEYS, 60, dice)
}

/// Labels of a namespace, with the one the API server sets.
pub fn namespace_labels(name: &str, dice: &mut Dice) -> Labels {
    let mut labels = labels(&NAMESPACE_KEYS, 70, dice);
    labels.0.insert(METADATA_NAME.to_owned(), name.to_owned());
    labels
}

fn labels(keys: &[(&str, &[&str])], percent: u64, dice: &mut Dice) -> Labels {
    let mut labels = Labels::default();
    for (key, values) in keys {
        if dice.happens(percent) {
            labels.0.insert((*key).to_owned(), (*dice.pick(values)).to_owned());
        }
    }
    labels
}

pub fn port(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).expect("no port of the pools is zero")
}

fn served(number: u16, protocol: Protocol, name: Option<&str>) -> ServedPort {
    ServedPort { port: Port { number: port(number), protocol }, name: name.map(str::to_owned) }
}

/// Two or three ports; numbers and names meet in every way, and several ports of a pod may have one name.
fn serves(dice: &mut Dice) -> Vec<ServedPort> {
    let mut all: Vec<ServedPort> = Vec::new();
    let count = dice.between(2, 3);
    while all.len() < count {
        let protocol = dice.weigh(&[(9, Protocol::Tcp), (6, Protocol::Udp), (1, Protocol::Sctp)]);
        let number = *dice.pick(&NUMBERS);
        if all.iter().any(|s| s.port.number.get() == number && s.port.protocol == protocol) {
            continue;
        }
        let name = dice.happens(65).then(|| *dice.pick(&PORT_NAMES));
        all.push(served(number, protocol, name));
    }
    all.sort();
    all
}

/// Addresses given out, each once.
#[derive(Default)]
struct Drawn {
    v4: BTreeSet<Ipv4Addr>,
    v6: BTreeSet<Ipv6Addr>,
}

impl Drawn {
    fn pod(&mut self, dice: &mut Dice) -> Addresses {
        self.fresh(|| {
            let v4 = Ipv4Addr::new(10, 244, dice.between(1, 2) as u8, *dice.pick(&LAST_BITS) as u8);
            let subnet = dice.between(1, 2) as u16;
            (v4, Ipv6Addr::new(0xfd00, 0x10, 0x244, subnet, 0, 0, 0, *dice.pick(&LAST_BITS)))
        })
    }

    fn outside(&mut self, dice: &mut Dice) -> Addresses {
        self.fresh(|| {
            // Some are in blocks that pods are in too.
            let last = *dice.pick(&LAST_BITS);
            let v4 = *dice.pick(&[Ipv4Addr::new(203, 0, 113, last as u8), Ipv4Addr::new(10, 9, 0, last as u8)]);
            let v6 = *dice.pick(&[
                Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last),
                Ipv6Addr::new(0xfd00, 0x10, 9, 0, 0, 0, 0, last),
            ]);
            (v4, v6)
        })
    }

    fn fresh(&mut self, mut draw: impl FnMut() -> (Ipv4Addr, Ipv6Addr)) -> Addresses {
        loop {
            let (v4, v6) = draw();
            if !self.v4.contains(&v4) && !self.v6.contains(&v6) {
                self.v4.insert(v4);
                self.v6.insert(v6);
                return Addresses { v4: Some(v4), v6: Some(v6) };
            }
        }
    }
}
