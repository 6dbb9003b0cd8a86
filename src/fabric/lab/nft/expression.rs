//! What rules are made of: small steps that load, compare, look up and decide.
//!
//! The constants are the kernel's (`include/uapi/linux/netfilter/nf_tables.h`), for what the crate has no words for.

use std::net::IpAddr;
use std::time::Duration;

use netlink_packet_core::{DefaultNla, Emitable, Nla};
use netlink_packet_netfilter::nftables::{
    Cmp, DataAttribute, Expressions, Immediate, Lookup, Meta, MetaKey, Operator, Payload, Register, Verdict,
    VerdictAttribute,
};

use crate::model::endpoint::Family;
use crate::model::port::Protocol;

/// Loading starts at the network header, or behind it.
const NETWORK_HEADER: u32 = 1;
const TRANSPORT_HEADER: u32 = 2;
/// `NF_DROP` and `NF_ACCEPT`.
const DROP: u32 = 0;
const ACCEPT: u32 = 1;
/// `NF_CT_STATE_BIT`: established and related.
const ESTABLISHED: u32 = 2;
const RELATED: u32 = 4;

/// One end of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    Source,
    Destination,
}

/// What becomes of a packet that a rule's steps all match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Decision {
    /// It passes this hook.
    Accept,
    /// It is gone.
    Drop,
    /// It goes on where the chain was jumped to from.
    Return,
    /// It goes through another chain first.
    Jump(String),
}

impl Decision {
    /// The last step of a rule.
    pub(super) fn step(&self) -> Expressions {
        Expressions::Immediate(vec![Immediate::DestinationRegister(Register::Verdict), Immediate::Data(self.data())])
    }

    /// As the value of a verdict map.
    pub(super) fn data(&self) -> DataAttribute {
        let code = |verdict| vec![VerdictAttribute::Code(verdict)];
        DataAttribute::Verdict(match self {
            Self::Accept => code(Verdict::Other(ACCEPT)),
            Self::Drop => code(Verdict::Other(DROP)),
            Self::Return => code(Verdict::Return),
            Self::Jump(chain) => {
                vec![VerdictAttribute::Code(Verdict::Jump), VerdictAttribute::Chain(chain.clone())]
            }
        })
    }
}

/// Only packets of this family.
pub(super) fn family(family: Family) -> [Expressions; 2] {
    let number = match family {
        Family::V4 => 2,
        Family::V6 => 10,
    };
    [load_meta(MetaKey::Nfproto, Register::Reg1), equal(Register::Reg1, vec![number])]
}

/// Only packets of this protocol.
pub(super) fn protocol(protocol: Protocol) -> [Expressions; 2] {
    [load_meta(MetaKey::L4Proto, Register::Reg1), equal(Register::Reg1, vec![number(protocol)])]
}

/// Only packets with these bytes for an address.
pub(super) fn address(family: Family, which: Which, address: Vec<u8>) -> [Expressions; 2] {
    [load_address(family, which, Register::Reg1), equal(Register::Reg1, address)]
}

/// Only packets to this port; to be used behind [`protocol`].
pub(super) fn port(number: u16) -> [Expressions; 2] {
    [load_port(Register::Reg1), equal(Register::Reg1, number.to_be_bytes().to_vec())]
}

/// An address as it stands in a packet.
pub(super) fn bytes(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

/// Loads an address: one register of 4 bytes, or four.
pub(super) fn load_address(family: Family, which: Which, to: Register) -> Expressions {
    let (offset, length) = match (family, which) {
        (Family::V4, Which::Source) => (12, 4),
        (Family::V4, Which::Destination) => (16, 4),
        (Family::V6, Which::Source) => (8, 16),
        (Family::V6, Which::Destination) => (24, 16),
    };
    load(NETWORK_HEADER, offset, length, to)
}

/// Loads the destination port: TCP, UDP and SCTP all have it in the same place.
pub(super) fn load_port(to: Register) -> Expressions {
    load(TRANSPORT_HEADER, 2, 2, to)
}

/// Loads the source port, which all three have before it.
pub(super) fn load_source_port(to: Register) -> Expressions {
    load(TRANSPORT_HEADER, 0, 2, to)
}

/// Loads the protocol's number.
pub(super) fn load_protocol(to: Register) -> Expressions {
    load_meta(MetaKey::L4Proto, to)
}

/// Only packets whose loaded registers are in the set.
pub(super) fn look_up(set: &str, from: Register) -> Expressions {
    Expressions::Lookup(vec![Lookup::Set(set.to_owned()), Lookup::SourceRegister(from)])
}

/// Does what the map says about the loaded registers, if it says anything.
pub(super) fn decide_by(map: &str, from: Register) -> Expressions {
    Expressions::Lookup(vec![
        Lookup::Set(map.to_owned()),
        Lookup::SourceRegister(from),
        Lookup::DestinationRegister(Register::Verdict),
    ])
}

/// Only packets whose loaded register was met before, and is remembered in the set for so long since. The kernel has
/// no word for that: each element has a limit of one packet, and what is over it was not the first.
pub(super) fn seen_before(set: &str, id: u32, from: Register, remembered: Duration) -> Expressions {
    // NFTA_LIMIT_FLAGS = NFT_LIMIT_F_INV: what is over it.
    let mut limit = one_in_a_day().to_vec();
    limit.push(number_nla(5, 1));
    // NFTA_EXPR_NAME, NFTA_EXPR_DATA.
    let limit = [DefaultNla::new(1, b"limit\0".to_vec()), nested_nla(2, &limit)];
    let milliseconds = u64::try_from(remembered.as_millis()).unwrap_or(u64::MAX);
    Expressions::Other {
        expression_type: "dynset".into(),
        // NFTA_DYNSET_SET_NAME, _SET_ID, _OP = NFT_DYNSET_OP_ADD, _SREG_KEY, _TIMEOUT (ms), _EXPR.
        attributes: vec![
            DefaultNla::new(1, [set.as_bytes(), b"\0"].concat()),
            number_nla(2, id),
            number_nla(3, 0),
            number_nla(4, from.into()),
            wide_nla(6, milliseconds),
            nested_nla(7, &limit),
        ],
    }
}

/// Only one packet, the first that comes: a limit that takes a day to fill again.
pub(super) fn only_one() -> Expressions {
    Expressions::Other { expression_type: "limit".into(), attributes: one_in_a_day().to_vec() }
}

fn one_in_a_day() -> [DefaultNla; 4] {
    // NFTA_LIMIT_RATE, _UNIT (s), _BURST, _TYPE = NFT_LIMIT_PKTS.
    [wide_nla(1, 1), wide_nla(2, 86_400), number_nla(3, 1), number_nla(4, 0)]
}

/// Only packets of connections that were let through before, and errors about them.
pub(super) fn known_connection() -> [Expressions; 3] {
    let state = Expressions::Other {
        expression_type: "ct".into(),
        // NFTA_CT_DREG, NFTA_CT_KEY = NFT_CT_STATE.
        attributes: vec![number_nla(1, Register::Reg1.into()), number_nla(2, 0)],
    };
    // The state is a number in the machine's own byte order.
    let bits = (ESTABLISHED | RELATED).to_ne_bytes().to_vec();
    let masked = Expressions::Other {
        expression_type: "bitwise".into(),
        // NFTA_BITWISE_SREG, _DREG, _LEN, _MASK, _XOR.
        attributes: vec![
            number_nla(1, Register::Reg1.into()),
            number_nla(2, Register::Reg1.into()),
            number_nla(3, 4),
            data_nla(4, bits),
            data_nla(5, vec![0; 4]),
        ],
    };
    [state, masked, compare(Register::Reg1, Operator::NotEqual, vec![0; 4])]
}

/// Answers with a TCP reset.
pub(super) fn reset() -> Expressions {
    // NFTA_REJECT_TYPE = NFT_REJECT_TCP_RST.
    Expressions::Other { expression_type: "reject".into(), attributes: vec![number_nla(1, 1)] }
}

/// Answers port unreachable, in the packet's own family.
pub(super) fn port_unreachable() -> Expressions {
    Expressions::Other {
        expression_type: "reject".into(),
        // NFTA_REJECT_TYPE = NFT_REJECT_ICMPX_UNREACH, NFTA_REJECT_ICMP_CODE = NFT_REJECT_ICMPX_PORT_UNREACH.
        attributes: vec![number_nla(1, 2), DefaultNla::new(2, vec![1])],
    }
}

/// Hands the packet to another port of this machine.
pub(super) fn redirect(port: u16) -> [Expressions; 2] {
    let number = Expressions::Immediate(vec![
        Immediate::DestinationRegister(Register::Reg1),
        Immediate::Data(DataAttribute::Value(port.to_be_bytes().to_vec())),
    ]);
    let redirect = Expressions::Other {
        expression_type: "redir".into(),
        // NFTA_REDIR_REG_PROTO_MIN, and NFTA_REDIR_FLAGS = NF_NAT_RANGE_PROTO_SPECIFIED.
        attributes: vec![number_nla(1, Register::Reg1.into()), number_nla(3, 2)],
    };
    [number, redirect]
}

/// The protocol's number in an IP header.
pub(super) fn number(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
        Protocol::Sctp => 132,
    }
}

fn load(base: u32, offset: u32, length: u32, to: Register) -> Expressions {
    Expressions::Payload(vec![
        Payload::DestinationRegister(to),
        Payload::Base(base),
        Payload::Offset(offset),
        Payload::Len(length),
    ])
}

fn load_meta(key: MetaKey, to: Register) -> Expressions {
    Expressions::Meta(vec![Meta::Key(key), Meta::DestinationRegister(to)])
}

fn equal(register: Register, value: Vec<u8>) -> Expressions {
    compare(register, Operator::Equal, value)
}

fn compare(register: Register, operator: Operator, value: Vec<u8>) -> Expressions {
    Expressions::Cmp(vec![Cmp::SourceRegister(register), Cmp::Op(operator), Cmp::Data(DataAttribute::Value(value))])
}

/// Only packets whose loaded register lies between these, both included; numbers are big-endian there.
pub(super) fn between(register: Register, first: Vec<u8>, last: Vec<u8>) -> Vec<Expressions> {
    if first == last {
        vec![equal(register, first)]
    } else {
        vec![compare(register, Operator::GreatherThanEqual, first), compare(register, Operator::LessThanEqual, last)]
    }
}

/// An attribute that holds a number; the kernel wants them big-endian here.
pub(super) fn number_nla(kind: u16, value: u32) -> DefaultNla {
    DefaultNla::new(kind, value.to_be_bytes().to_vec())
}

/// The same for a long one.
fn wide_nla(kind: u16, value: u64) -> DefaultNla {
    DefaultNla::new(kind, value.to_be_bytes().to_vec())
}

/// An attribute that holds plain data.
fn data_nla(kind: u16, value: Vec<u8>) -> DefaultNla {
    nested_nla(kind, &[DataAttribute::Value(value)])
}

/// An attribute that holds others.
pub(super) fn nested_nla<N: Nla>(kind: u16, inner: &[N]) -> DefaultNla {
    let mut bytes = vec![0; inner.buffer_len()];
    inner.emit(&mut bytes);
    DefaultNla::new(kind | netlink_packet_core::NLA_F_NESTED, bytes)
}
