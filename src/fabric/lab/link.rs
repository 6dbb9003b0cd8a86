//! Messages that make links, addresses, routes and neighbours.
//!
//! Every link is a veth pair between two network namespaces, and both its ends look alike: the far end is reached
//! under one fixed link-local address by a permanent neighbour entry, and every route over the link goes through that
//! address. So nothing is ever resolved, nothing can expire, and permanent entries do not count against the kernel's
//! limit on neighbours.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::RawFd;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkMessage};
use netlink_packet_route::address::{AddressHeaderFlags, AddressMessage};
use netlink_packet_route::link::{InfoData, InfoKind, InfoVeth, LinkMessage};
use netlink_packet_route::neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState};
use netlink_packet_route::route::RouteType;
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::{AddressMessageBuilder, LinkMessageBuilder, LinkUnspec, LinkVeth, RouteMessageBuilder};

use super::netlink::Request;

/// The loopback interface of every network namespace.
pub(super) const LOOPBACK: u32 = 1;
/// How the far end of any link is reached.
const FAR_V4: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);
/// The same for IPv6.
const FAR_V6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
/// The address of the end that makes the link; a pair has two ends, so two addresses are enough for all.
const NEAR_MAC: [u8; 6] = [0x02, 0x4c, 0x50, 0, 0, 1];
/// The address of the other end.
const FAR_MAC: [u8; 6] = [0x02, 0x4c, 0x50, 0, 0, 2];

/// One end of a link to be made.
#[derive(Debug, Clone, Copy)]
pub(super) struct End<'a> {
    /// The interface's name; at most 15 bytes.
    pub(super) name: &'a str,
    /// The interface's number: chosen by us, so that it need not be asked for.
    pub(super) index: u32,
}

/// Which end of a link something is said about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// The one that made it.
    Near,
    /// The other.
    Far,
}

/// The IP versions a link carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Families {
    /// This kernel has no IPv6.
    V4Only,
    /// Both.
    Both,
}

/// Makes a link; to be sent in the near end's network namespace. The near end is up; the far end cannot be before the
/// link is there, and waits for [`up`].
pub(super) fn create(near: End<'_>, far: End<'_>, far_netns: RawFd) -> Request {
    let other: LinkMessage =
        LinkUnspec::new_with_index(far.index).name(far.name).address(FAR_MAC.to_vec()).setns_by_fd(far_netns).build();
    let message = LinkMessageBuilder::<LinkVeth>::new_with_info_kind(InfoKind::Veth)
        .index(near.index)
        .name(near.name)
        .address(NEAR_MAC.to_vec())
        .set_info_data(InfoData::Veth(InfoVeth::Peer(other)))
        .up()
        .build();
    request(
        format!("making the link `{}` to `{}`", near.name, far.name),
        RouteNetlinkMessage::NewLink(message),
        NLM_F_CREATE | NLM_F_EXCL,
    )
}

/// Removes a link, with every route over it; its other end goes with it.
pub(super) fn remove(index: u32) -> Request {
    let message = LinkUnspec::new_with_index(index).build();
    request(format!("removing link {index}"), RouteNetlinkMessage::DelLink(message), 0)
}

/// Brings an interface up.
pub(super) fn up(index: u32) -> Request {
    let message = LinkUnspec::new_with_index(index).up().build();
    request(format!("bringing link {index} up"), RouteNetlinkMessage::SetLink(message), 0)
}

/// Gives an interface an address of its own, without a network around it.
pub(super) fn address(index: u32, address: IpAddr) -> Request {
    let mut message: AddressMessage = match address {
        IpAddr::V4(v4) => AddressMessageBuilder::<Ipv4Addr>::new().index(index).address(v4, 32).build(),
        IpAddr::V6(v6) => AddressMessageBuilder::<Ipv6Addr>::new().index(index).address(v6, 128).build(),
    };
    if address.is_ipv6() {
        message.header.flags |= AddressHeaderFlags::Nodad;
    }
    request(
        format!("giving the address {address}"),
        RouteNetlinkMessage::NewAddress(message),
        NLM_F_CREATE | NLM_F_REPLACE,
    )
}

/// Says how the far end of a link is reached, from this side of it.
pub(super) fn neighbours(index: u32, side: Side, families: Families) -> Vec<Request> {
    let mac = match side {
        Side::Near => FAR_MAC,
        Side::Far => NEAR_MAC,
    };
    let entry = |family, destination| {
        let mut message = NeighbourMessage::default();
        message.header.family = family;
        message.header.ifindex = index;
        message.header.state = NeighbourState::Permanent;
        message.header.kind = RouteType::Unspec;
        message.attributes =
            vec![NeighbourAttribute::Destination(destination), NeighbourAttribute::LinkLayerAddress(mac.to_vec())];
        request(
            format!("naming the neighbour on link {index}"),
            RouteNetlinkMessage::NewNeighbour(message),
            NLM_F_CREATE | NLM_F_REPLACE,
        )
    };
    let v4 = entry(AddressFamily::Inet, NeighbourAddress::Inet(FAR_V4));
    match families {
        Families::V4Only => vec![v4],
        Families::Both => vec![v4, entry(AddressFamily::Inet6, NeighbourAddress::Inet6(FAR_V6))],
    }
}

/// Sends one address over a link.
pub(super) fn route(destination: IpAddr, index: u32) -> Request {
    let message = route_message(destination, index);
    request(format!("routing {destination}"), RouteNetlinkMessage::NewRoute(message), NLM_F_CREATE | NLM_F_REPLACE)
}

/// Takes back [`route`].
pub(super) fn unroute(destination: IpAddr, index: u32) -> Request {
    let message = route_message(destination, index);
    request(format!("no longer routing {destination}"), RouteNetlinkMessage::DelRoute(message), 0)
}

fn route_message(destination: IpAddr, index: u32) -> netlink_packet_route::route::RouteMessage {
    match destination {
        IpAddr::V4(v4) => RouteMessageBuilder::<Ipv4Addr>::new()
            .destination_prefix(v4, 32)
            .gateway(FAR_V4)
            .output_interface(index)
            .onlink()
            .build(),
        IpAddr::V6(v6) => RouteMessageBuilder::<Ipv6Addr>::new()
            .destination_prefix(v6, 128)
            .gateway(FAR_V6)
            .output_interface(index)
            .onlink()
            .build(),
    }
}

/// Says that there is no way to one address, whatever leads there otherwise.
pub(super) fn strand(destination: IpAddr) -> Request {
    let message = no_way(destination);
    request(format!("taking the way to {destination}"), RouteNetlinkMessage::NewRoute(message), NLM_F_CREATE)
}

/// Takes back [`strand`].
pub(super) fn relieve(destination: IpAddr) -> Request {
    let message = no_way(destination);
    request(format!("giving back the way to {destination}"), RouteNetlinkMessage::DelRoute(message), 0)
}

fn no_way(destination: IpAddr) -> netlink_packet_route::route::RouteMessage {
    match destination {
        IpAddr::V4(v4) => {
            RouteMessageBuilder::<Ipv4Addr>::new().destination_prefix(v4, 32).kind(RouteType::Unreachable).build()
        }
        IpAddr::V6(v6) => {
            RouteMessageBuilder::<Ipv6Addr>::new().destination_prefix(v6, 128).kind(RouteType::Unreachable).build()
        }
    }
}

/// Sends whatever has no better way over a link.
pub(super) fn default_routes(index: u32, families: Families) -> Vec<Request> {
    let add = |message| {
        request(
            format!("making link {index} the default way"),
            RouteNetlinkMessage::NewRoute(message),
            NLM_F_CREATE | NLM_F_REPLACE,
        )
    };
    let v4 = RouteMessageBuilder::<Ipv4Addr>::new().gateway(FAR_V4).output_interface(index).onlink().build();
    let v6 = RouteMessageBuilder::<Ipv6Addr>::new().gateway(FAR_V6).output_interface(index).onlink().build();
    match families {
        Families::V4Only => vec![add(v4)],
        Families::Both => vec![add(v4), add(v6)],
    }
}

fn request(what: String, message: RouteNetlinkMessage, flags: u16) -> Request {
    let mut message = NetlinkMessage::from(message);
    message.header.flags = NLM_F_REQUEST | flags;
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    Request { what, bytes }
}
