//! Flows that are treated wrongly on purpose, whatever the policies say, and the rules that do it.

use std::net::IpAddr;
use std::time::Duration;

use netlink_packet_netfilter::nftables::{Expressions, Register};

use super::expression::{self, Decision, Which};
use super::message::{self, Key};
use super::{FAULT, TABLE};
use crate::fabric::lab::netlink::Request;
use crate::model::endpoint::Family;
use crate::model::port::Port;

/// The source ports that first packets came from; the kernel puts a number in.
const REPEATING: &str = "repeating%d";
/// The kernel repeats a first packet after 1 s and 3 s, and every node between has to have met it before; long after that
/// the port may be another attempt's.
const REPEATS_WITHIN: Duration = Duration::from_secs(5);

/// A flow treated wrongly on purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// The source.
    pub from: IpAddr,
    /// The destination, of the same family.
    pub to: IpAddr,
    /// The destination's port.
    pub port: Port,
    /// Which of its packets.
    pub which: Packets,
    /// How.
    pub how: Treatment,
}

/// Which packets of a flow are treated wrongly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packets {
    /// All of them.
    All,
    /// Those from a source port that sent one just before: as long as nothing comes back, repeats of a first packet.
    Repeated,
    /// The first one that comes, and no other.
    One,
}

/// How a flow is treated whatever the policies say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Treatment {
    /// It passes.
    Pass,
    /// It is dropped.
    Cut,
}

/// The rules that treat these flows wrongly, each with what it needs.
pub(super) fn rules(wrongs: &[Wrong]) -> Vec<Request> {
    // Far from the ids of a generation's sets, which may be in the same batch.
    wrongs.iter().zip((0..=u32::MAX).rev()).flat_map(|(wrong, id)| wrong.rule(id)).collect()
}

impl Wrong {
    /// Its rule; `id` is for a set that the rule may need.
    fn rule(&self, id: u32) -> Vec<Request> {
        let mut steps = self.steps();
        let decision = match self.how {
            Treatment::Pass => Decision::Accept,
            Treatment::Cut => Decision::Drop,
        };
        let memory = match self.which {
            Packets::All => None,
            Packets::One => {
                steps.push(expression::only_one());
                None
            }
            Packets::Repeated => {
                steps.push(expression::load_source_port(Register::Reg1));
                steps.push(expression::seen_before(REPEATING, id, Register::Reg1, REPEATS_WITHIN));
                Some(message::new_memory(TABLE, REPEATING, id, Key::Port))
            }
        };
        steps.push(decision.step());
        memory.into_iter().chain([message::new_rule(TABLE, FAULT, steps)]).collect()
    }

    fn steps(&self) -> Vec<Expressions> {
        let family = Family::of(self.to);
        let mut steps = expression::family(family).to_vec();
        steps.extend(expression::address(family, Which::Source, expression::bytes(self.from)));
        steps.extend(expression::address(family, Which::Destination, expression::bytes(self.to)));
        steps.extend(expression::protocol(self.port.protocol));
        steps.extend(expression::port(self.port.number.get()));
        steps
    }
}
