//! Faults inside a pod's own network namespace, in a table of their own.

use netlink_packet_netfilter::nftables::Expressions;
use netlink_sys::protocols::NETLINK_NETFILTER;

use super::message::{self, Base};
use super::{commit, expression};
use crate::fabric::lab::netlink::{Channel, NetlinkError};
use crate::model::port::{Port, Protocol};

const TABLE: &str = "leakproof-fault";

/// Makes a port of the calling thread's network namespace answer as if nothing listened there, to its own pod too.
pub(in crate::fabric::lab) fn deafen(port: Port) -> Result<(), NetlinkError> {
    let mut steps = expression::protocol(port.protocol).to_vec();
    steps.extend(expression::port(port.number.get()));
    steps.push(match port.protocol {
        Protocol::Tcp => expression::reset(),
        Protocol::Udp | Protocol::Sctp => expression::port_unreachable(),
    });
    pod_fault("deaf", Base::Input, steps)
}

/// Hands what comes to a port of the calling thread's network namespace to another of its ports.
pub(in crate::fabric::lab) fn divert(port: Port, to: u16) -> Result<(), NetlinkError> {
    let mut steps = expression::protocol(port.protocol).to_vec();
    steps.extend(expression::port(port.number.get()));
    steps.extend(expression::redirect(to));
    pod_fault("divert", Base::Translation, steps)
}

fn pod_fault(chain: &str, base: Base, steps: Vec<Expressions>) -> Result<(), NetlinkError> {
    let mut channel = Channel::open(NETLINK_NETFILTER)?;
    let requests = vec![
        message::new_table(TABLE),
        message::new_base_chain(TABLE, chain, base),
        message::new_rule(TABLE, chain, steps),
    ];
    commit(&mut channel, requests)
}
