//! Who can send or receive.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

/// An endpoint's place in its scenario's list of endpoints; counts from 0.
///
/// The list holds every endpoint the scenario ever names, those added in later steps included, in order of name, so
/// an id means the same endpoint from the first stage to the last and in two runs of one scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EndpointId(pub u32);

impl EndpointId {
    /// As an index into the scenario's list.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// What sort of thing an endpoint is, which decides whether policies can select it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndpointKind {
    /// A pod: policies select it, and match it as a peer by labels or address.
    Pod,
    /// A Service's address: policy is judged after its translation to a backend.
    Service,
    /// An address outside the cluster: no policy selects it, only an IP block matches it as a peer.
    Outside,
}

/// The IP version of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Family {
    /// IPv4.
    #[serde(rename = "ipv4")]
    V4,
    /// IPv6.
    #[serde(rename = "ipv6")]
    V6,
}

impl Family {
    /// The family of an address.
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// The addresses of one endpoint, at most one of each family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Addresses {
    /// The IPv4 address, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub v4: Option<Ipv4Addr>,
    /// The IPv6 address, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub v6: Option<Ipv6Addr>,
}

impl Addresses {
    /// The address of one family.
    pub fn of(&self, family: Family) -> Option<IpAddr> {
        match family {
            Family::V4 => self.v4.map(IpAddr::V4),
            Family::V6 => self.v6.map(IpAddr::V6),
        }
    }

    /// Those present, IPv4 first.
    pub fn iter(&self) -> impl Iterator<Item = IpAddr> {
        self.of(Family::V4).into_iter().chain(self.of(Family::V6))
    }
}

/// A node, by its place among the world's nodes; counts from 1, as a scenario's `node:` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeOrdinal(pub std::num::NonZeroU8);

impl fmt::Display for NodeOrdinal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node-{}", self.0)
    }
}
