//! Sysctls of network namespaces; they must be set before links are made, since links copy them.

use crate::fabric::lab::LabError;
use crate::fabric::lab::link::Families;
use crate::fabric::lab::netns::{Need, set};

type Setting = (&'static str, &'static str, Need);

/// A new address or link would otherwise be tested for a duplicate first, and the first connection wait 2 s for it.
const NO_DUPLICATE_DETECTION: [Setting; 6] = [
    ("ipv6/conf/all/disable_ipv6", "0", Need::May),
    ("ipv6/conf/default/disable_ipv6", "0", Need::May),
    ("ipv6/conf/all/accept_dad", "0", Need::Must),
    ("ipv6/conf/default/accept_dad", "0", Need::Must),
    ("ipv6/conf/all/dad_transmits", "0", Need::Must),
    ("ipv6/conf/default/dad_transmits", "0", Need::Must),
];

/// Links have no use for addresses the kernel makes up, nor for asking around for routers.
const QUIET: [Setting; 4] = [
    ("ipv6/conf/default/addr_gen_mode", "1", Need::May),
    ("ipv6/conf/default/accept_ra", "0", Need::May),
    ("ipv6/conf/default/router_solicitations", "0", Need::May),
    ("ipv4/conf/default/arp_notify", "0", Need::May),
];

/// Refusals are evidence: none may be held back because there were many.
const EVERY_REFUSAL: [Setting; 4] = [
    ("ipv4/icmp_ratelimit", "0", Need::May),
    ("ipv4/icmp_ratemask", "0", Need::May),
    ("ipv6/icmp/ratelimit", "0", Need::May),
    ("ipv6/icmp/ratemask", "", Need::May),
];

const FORWARD: [Setting; 1] = [("ipv4/ip_forward", "1", Need::Must)];
const FORWARD_V6: [Setting; 1] = [("ipv6/conf/all/forwarding", "1", Need::Must)];

/// Probes close by reset and are many: what is over is forgotten soon, so that the table never fills. What is
/// established is remembered as long as ever.
const FORGETFUL: [Setting; 11] = [
    ("netfilter/nf_conntrack_tcp_timeout_syn_sent", "5", Need::May),
    ("netfilter/nf_conntrack_tcp_timeout_syn_recv", "5", Need::May),
    ("netfilter/nf_conntrack_tcp_timeout_fin_wait", "1", Need::May),
    ("netfilter/nf_conntrack_tcp_timeout_close_wait", "1", Need::May),
    ("netfilter/nf_conntrack_tcp_timeout_last_ack", "1", Need::May),
    ("netfilter/nf_conntrack_tcp_timeout_time_wait", "1", Need::May),
    ("netfilter/nf_conntrack_tcp_timeout_close", "1", Need::May),
    ("netfilter/nf_conntrack_udp_timeout", "5", Need::May),
    ("netfilter/nf_conntrack_udp_timeout_stream", "5", Need::May),
    ("netfilter/nf_conntrack_icmp_timeout", "1", Need::May),
    ("netfilter/nf_conntrack_icmpv6_timeout", "1", Need::May),
];

/// Sets up the network namespace of a pod; the calling thread is in it.
pub(super) fn pod(name: &str, families: Families) -> Result<(), LabError> {
    families_alike(name, families)
}

/// Sets up the network namespace of a router.
pub(super) fn router(name: &str, families: Families) -> Result<(), LabError> {
    families_alike(name, families)?;
    set(name, &FORWARD)?;
    if families == Families::Both {
        set(name, &FORWARD_V6)?;
    }
    set(name, &FORGETFUL)
}

fn families_alike(name: &str, families: Families) -> Result<(), LabError> {
    if families == Families::Both {
        set(name, &NO_DUPLICATE_DETECTION)?;
    }
    set(name, &QUIET)?;
    set(name, &EVERY_REFUSAL)
}
