//! Messages that make and remove tables, chains, sets and rules, each with what it does in words.

use netlink_packet_core::{DefaultNla, NLM_F_APPEND, NLM_F_CREATE, NLM_F_REQUEST, NetlinkMessage};
use netlink_packet_netfilter::nftables::{
    ChainAttribute, ChainMessage, Expressions, Hook, HookNumber, InetHookNumber, ListAttribute, NfTablesMessage,
    RuleAttribute, RuleMessage, SetAttribute, SetDescription, SetElementAttribute, SetElementFlags, SetElementList,
    SetElementMessage, SetFlags, SetMessage, TableAttribute, TableMessage,
};
use netlink_packet_netfilter::none::ControlMessage;
use netlink_packet_netfilter::{NetfilterHeader, NetfilterMessage, NetfilterProtoFamily};

use super::expression::{Decision, nested_nla, number_nla};
use crate::fabric::lab::netlink::Request;

/// `NFNL_SUBSYS_NFTABLES`: what a batch is for.
const NFTABLES: u16 = 10;
/// The kernel takes an attribute of up to 64 KiB; so many elements are well below it.
const ELEMENTS_A_MESSAGE: usize = 400;
/// The most that a set holds which is filled by packets: every port there is.
const REMEMBERED: u32 = 65_536;
/// `NFT_DATA_VERDICT`.
const VERDICT: u32 = 0xffff_ff00;

/// The type of a set's key. The kernel needs the lengths only; the numbers are for `nft list ruleset`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Port,
    V4,
    V6,
    ProtocolPort,
    V4ProtocolPort,
    V6ProtocolPort,
}

impl Key {
    /// `nft`'s number for the type.
    fn number(self) -> u32 {
        const V4: u32 = 7;
        const V6: u32 = 8;
        const PROTOCOL: u32 = 12;
        const PORT: u32 = 13;
        match self {
            Self::Port => PORT,
            Self::V4 => V4,
            Self::V6 => V6,
            Self::ProtocolPort => PROTOCOL << 6 | PORT,
            Self::V4ProtocolPort => V4 << 12 | PROTOCOL << 6 | PORT,
            Self::V6ProtocolPort => V6 << 12 | PROTOCOL << 6 | PORT,
        }
    }

    /// The length of the whole, in bytes: several fields are padded to 4 each.
    fn length(self) -> u32 {
        match self.fields() {
            [only] => *only,
            several => several.iter().map(|field| field.next_multiple_of(4)).sum(),
        }
    }

    /// The length of each field, in bytes.
    fn fields(self) -> &'static [u32] {
        match self {
            Self::Port => &[2],
            Self::V4 => &[4],
            Self::V6 => &[16],
            Self::ProtocolPort => &[1, 2],
            Self::V4ProtocolPort => &[4, 1, 2],
            Self::V6ProtocolPort => &[16, 1, 2],
        }
    }
}

/// What a set holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Elements {
    /// Single keys.
    Exactly(Vec<Vec<u8>>),
    /// Ranges of a key of one field: the first in it, and the first behind it where there is one.
    Ranges(Vec<(Vec<u8>, Option<Vec<u8>>)>),
    /// Ranges of a key of several fields: the lowest and the highest of each field.
    Boxes(Vec<(Vec<u8>, Vec<u8>)>),
}

/// Where a chain hooks into the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Base {
    /// Packets on their way through.
    Forward,
    /// Packets for this network namespace.
    Input,
    /// Packets that come in, before routing; for address translation.
    Translation,
}

/// Begins a batch.
pub(super) fn begin() -> Request {
    control("beginning", ControlMessage::BatchBegin)
}

/// Ends it: everything since the beginning happens at once, or nothing does.
pub(super) fn end() -> Request {
    control("ending", ControlMessage::BatchEnd)
}

fn control(what: &str, message: ControlMessage) -> Request {
    let header = NetfilterHeader::new(NetfilterProtoFamily::Unspec, 0, NFTABLES);
    serialise(what.into(), NetfilterMessage::new(header, message), 0)
}

pub(super) fn new_table(table: &str) -> Request {
    let attributes = vec![TableAttribute::Name(table.into())];
    request(format!("making table `{table}`"), NfTablesMessage::NewTable(TableMessage { attributes }), NLM_F_CREATE)
}

pub(super) fn delete_table(table: &str) -> Request {
    let attributes = vec![TableAttribute::Name(table.into())];
    request(format!("removing table `{table}`"), NfTablesMessage::DeleteTable(TableMessage { attributes }), 0)
}

pub(super) fn new_chain(table: &str, chain: &str) -> Request {
    let attributes = vec![ChainAttribute::Table(table.into()), ChainAttribute::Name(chain.into())];
    request(format!("making chain `{chain}`"), NfTablesMessage::NewChain(ChainMessage { attributes }), NLM_F_CREATE)
}

pub(super) fn new_base_chain(table: &str, chain: &str, base: Base) -> Request {
    let (kind, hook, priority) = match base {
        Base::Forward => ("filter", InetHookNumber::Forward, 0),
        Base::Input => ("filter", InetHookNumber::LocalIn, 0),
        Base::Translation => ("nat", InetHookNumber::PreRouting, -100_i32),
    };
    let attributes = vec![
        ChainAttribute::Table(table.into()),
        ChainAttribute::Name(chain.into()),
        ChainAttribute::Hook(vec![Hook::Number(HookNumber::Inet(hook)), Hook::Priority(priority.cast_unsigned())]),
        // NF_ACCEPT: what no rule decides passes.
        ChainAttribute::Policy(1),
        ChainAttribute::Type(kind.into()),
    ];
    request(format!("making chain `{chain}`"), NfTablesMessage::NewChain(ChainMessage { attributes }), NLM_F_CREATE)
}

pub(super) fn delete_chain(table: &str, chain: &str) -> Request {
    let attributes = vec![ChainAttribute::Table(table.into()), ChainAttribute::Name(chain.into())];
    request(format!("removing chain `{chain}`"), NfTablesMessage::DeleteChain(ChainMessage { attributes }), 0)
}

/// Empties a chain.
pub(super) fn flush_chain(table: &str, chain: &str) -> Request {
    let attributes = vec![RuleAttribute::Table(table.into()), RuleAttribute::Chain(chain.into())];
    request(format!("emptying chain `{chain}`"), NfTablesMessage::DeleteRule(RuleMessage { attributes }), 0)
}

/// Adds a rule at a chain's end.
pub(super) fn new_rule(table: &str, chain: &str, steps: impl IntoIterator<Item = Expressions>) -> Request {
    let attributes = vec![
        RuleAttribute::Table(table.into()),
        RuleAttribute::Chain(chain.into()),
        RuleAttribute::Expressions(steps.into_iter().map(ListAttribute::from).collect()),
    ];
    request(
        format!("adding a rule to chain `{chain}`"),
        NfTablesMessage::NewRule(RuleMessage { attributes }),
        NLM_F_CREATE | NLM_F_APPEND,
    )
}

/// Makes a set with all its elements. `id` need only be unique within the batch.
pub(super) fn new_set(table: &str, set: &str, id: u32, key: Key, elements: &Elements) -> Vec<Request> {
    let flags = match elements {
        Elements::Exactly(_) => SetFlags::empty(),
        Elements::Ranges(_) => SetFlags::Interval,
        Elements::Boxes(_) => SetFlags::Interval | SetFlags::Concat,
    };
    let mut requests = vec![make_set(table, set, id, key, elements, flags, None)];
    let elements: Vec<Vec<SetElementAttribute>> = match elements {
        Elements::Exactly(keys) => keys.iter().map(|key| vec![element_key(key)]).collect(),
        Elements::Ranges(ranges) => ranges
            .iter()
            .flat_map(|(first, after)| {
                let end = after
                    .as_ref()
                    .map(|after| vec![element_key(after), SetElementAttribute::Flags(SetElementFlags::IntervalEnd)]);
                [Some(vec![element_key(first)]), end].into_iter().flatten()
            })
            .collect(),
        Elements::Boxes(boxes) => boxes
            .iter()
            .map(|(low, high)| {
                // NFTA_DATA_VALUE.
                let high = DefaultNla::new(1, high.clone());
                vec![element_key(low), SetElementAttribute::KeyEnd(vec![high])]
            })
            .collect(),
    };
    requests.extend(fill(table, set, id, elements));
    requests
}

/// Makes a map from keys to decisions, with all its elements.
pub(super) fn new_map(table: &str, map: &str, id: u32, key: Key, entries: &[(Vec<u8>, Decision)]) -> Vec<Request> {
    let keys = Elements::Exactly(entries.iter().map(|(key, _)| key.clone()).collect());
    let mut requests = vec![make_set(table, map, id, key, &keys, SetFlags::Map, Some(VERDICT))];
    let elements = entries
        .iter()
        .map(|(key, decision)| vec![element_key(key), SetElementAttribute::Data(decision.data())])
        .collect();
    requests.extend(fill(table, map, id, elements));
    requests
}

/// Makes a set that a rule of the same batch fills as packets come by; it goes when the rule does. `set` is a pattern.
pub(super) fn new_memory(table: &str, set: &str, id: u32, key: Key) -> Request {
    let attributes = vec![
        SetAttribute::Table(table.into()),
        SetAttribute::Name(set.into()),
        SetAttribute::Flags(SetFlags::Anonymous | SetFlags::Timeout | SetFlags::Eval),
        SetAttribute::KeyType(key.number()),
        SetAttribute::KeyLen(key.length()),
        SetAttribute::Id(id),
        SetAttribute::Description(vec![SetDescription::Size(REMEMBERED)]),
    ];
    request(format!("making set `{set}`"), NfTablesMessage::NewSet(SetMessage { attributes }), NLM_F_CREATE)
}

pub(super) fn delete_set(table: &str, set: &str) -> Request {
    let attributes = vec![SetAttribute::Table(table.into()), SetAttribute::Name(set.into())];
    request(format!("removing set `{set}`"), NfTablesMessage::DeleteSet(SetMessage { attributes }), 0)
}

fn make_set(
    table: &str,
    set: &str,
    id: u32,
    key: Key,
    elements: &Elements,
    flags: SetFlags,
    data: Option<u32>,
) -> Request {
    let count = match elements {
        Elements::Exactly(keys) => keys.len(),
        Elements::Ranges(ranges) => 2 * ranges.len(),
        Elements::Boxes(boxes) => boxes.len(),
    };
    let mut description = vec![SetDescription::Size(u32::try_from(count.max(1)).unwrap_or(u32::MAX))];
    if let Elements::Boxes(_) = elements {
        // NFTA_LIST_ELEM around NFTA_SET_FIELD_LEN.
        let fields = key.fields().iter().map(|length| nested_nla(1, &[number_nla(1, *length)])).collect();
        description.push(SetDescription::Concat(fields));
    }
    let mut attributes = vec![
        SetAttribute::Table(table.into()),
        SetAttribute::Name(set.into()),
        SetAttribute::Flags(flags),
        SetAttribute::KeyType(key.number()),
        SetAttribute::KeyLen(key.length()),
        SetAttribute::Id(id),
        SetAttribute::Description(description),
    ];
    attributes.extend(data.map(SetAttribute::DataType));
    request(format!("making set `{set}`"), NfTablesMessage::NewSet(SetMessage { attributes }), NLM_F_CREATE)
}

fn fill(table: &str, set: &str, id: u32, elements: Vec<Vec<SetElementAttribute>>) -> Vec<Request> {
    elements
        .chunks(ELEMENTS_A_MESSAGE)
        .map(|some| {
            let attributes = vec![
                SetElementList::Table(table.into()),
                SetElementList::Set(set.into()),
                SetElementList::SetId(id),
                SetElementList::Elements(some.iter().cloned().map(ListAttribute::Element).collect()),
            ];
            request(
                format!("filling set `{set}`"),
                NfTablesMessage::NewSetElement(SetElementMessage { attributes }),
                NLM_F_CREATE,
            )
        })
        .collect()
}

fn element_key(key: &[u8]) -> SetElementAttribute {
    SetElementAttribute::Key(netlink_packet_netfilter::nftables::DataAttribute::Value(key.to_vec()))
}

fn request(what: String, message: NfTablesMessage, flags: u16) -> Request {
    let header = NetfilterHeader::new(NetfilterProtoFamily::Inet, 0, 0);
    serialise(what, NetfilterMessage::new(header, message), flags)
}

fn serialise(what: String, message: NetfilterMessage, flags: u16) -> Request {
    let mut message = NetlinkMessage::from(message);
    message.header.flags = NLM_F_REQUEST | flags;
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    Request { what, bytes }
}
