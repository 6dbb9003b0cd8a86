//! Sets of addresses as sorted ranges that neither touch nor overlap, which is the form the kernel takes.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::policy::network_policy::IpBlock;

/// Addresses of both families, as ranges with both ends in them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(in crate::fabric::lab) struct AddressSet {
    /// IPv4, in order.
    pub(in crate::fabric::lab) v4: Vec<(u32, u32)>,
    /// IPv6, in order.
    pub(in crate::fabric::lab) v6: Vec<(u128, u128)>,
}

impl AddressSet {
    /// The union of single addresses and blocks.
    pub(super) fn new(addresses: &BTreeSet<IpAddr>, blocks: &[&IpBlock]) -> Self {
        let mut v4 = Vec::new();
        let mut v6 = Vec::new();
        for address in addresses {
            match address {
                IpAddr::V4(a) => v4.push((a.to_bits(), a.to_bits())),
                IpAddr::V6(a) => v6.push((a.to_bits(), a.to_bits())),
            }
        }
        for block in blocks {
            match block.cidr {
                IpNet::V4(net) => {
                    let holes = block.except.iter().filter_map(|hole| match hole {
                        IpNet::V4(hole) => Some((hole.network().to_bits(), hole.broadcast().to_bits())),
                        IpNet::V6(_) => None,
                    });
                    v4.extend(cut((net.network().to_bits(), net.broadcast().to_bits()), holes));
                }
                IpNet::V6(net) => {
                    let holes = block.except.iter().filter_map(|hole| match hole {
                        IpNet::V6(hole) => Some((hole.network().to_bits(), hole.broadcast().to_bits())),
                        IpNet::V4(_) => None,
                    });
                    v6.extend(cut((net.network().to_bits(), net.broadcast().to_bits()), holes));
                }
            }
        }
        Self { v4: merge(v4), v6: merge(v6) }
    }

    /// Whether nothing is in it.
    pub(super) fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// Whether an address is in it.
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(a) => self.v4.iter().any(|(first, last)| (*first..=*last).contains(&a.to_bits())),
            IpAddr::V6(a) => self.v6.iter().any(|(first, last)| (*first..=*last).contains(&a.to_bits())),
        }
    }
}

/// A number with neighbours.
pub(super) trait Step: Copy + Ord {
    /// The one after it.
    fn next(self) -> Option<Self>;
    /// The one before it.
    fn previous(self) -> Option<Self>;
}

macro_rules! step {
    ($($number:ty),*) => {$(
        impl Step for $number {
            fn next(self) -> Option<Self> { self.checked_add(1) }
            fn previous(self) -> Option<Self> { self.checked_sub(1) }
        }
    )*};
}
step!(u16, u32, u128);

/// Sorts ranges, and joins those that touch or overlap.
pub(super) fn merge<N: Step>(mut ranges: Vec<(N, N)>) -> Vec<(N, N)> {
    ranges.sort_unstable();
    let mut merged: Vec<(N, N)> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match merged.last_mut() {
            Some((_, end)) if end.next().is_none_or(|after| first <= after) => *end = (*end).max(last),
            Some(_) | None => merged.push((first, last)),
        }
    }
    merged
}

/// What is left of a range once the holes are cut out of it.
fn cut<N: Step>(whole: (N, N), holes: impl Iterator<Item = (N, N)>) -> Vec<(N, N)> {
    let mut left = Vec::new();
    let mut from = Some(whole.0);
    for (first, last) in merge(holes.collect()) {
        let Some(start) = from else { break };
        if first > start
            && let Some(before) = first.previous()
        {
            left.push((start, before.min(whole.1)));
        }
        from = last.next().map(|after| after.max(start));
    }
    if let Some(start) = from.filter(|start| *start <= whole.1) {
        left.push((start, whole.1));
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_are_cut_out_wherever_they_lie() {
        let rows: [(&[(u16, u16)], &[(u16, u16)], &str); 8] = [
            (&[], &[(10, 20)], "no hole"),
            (&[(12, 14)], &[(10, 11), (15, 20)], "in the middle"),
            (&[(10, 14)], &[(15, 20)], "at the start"),
            (&[(15, 20)], &[(10, 14)], "at the end"),
            (&[(10, 20)], &[], "all of it"),
            (&[(12, 12), (13, 14), (18, 18)], &[(10, 11), (15, 17), (19, 20)], "several, two of which touch"),
            (&[(14, 16), (12, 15)], &[(10, 11), (17, 20)], "two that overlap, out of order"),
            (&[(10, 10), (20, 20)], &[(11, 19)], "both ends"),
        ];
        for (holes, expected, why) in rows {
            assert_eq!(cut((10, 20), holes.iter().copied()), expected, "{why}");
        }
        assert_eq!(cut((0, u16::MAX), [(0, 0), (u16::MAX, u16::MAX)].into_iter()), [(1, u16::MAX - 1)], "the edges");
        assert_eq!(cut((0, u16::MAX), [(0, u16::MAX)].into_iter()), [], "everything there is");
    }

    #[test]
    fn ranges_that_touch_or_overlap_become_one() {
        let rows: [(&[(u16, u16)], &[(u16, u16)], &str); 5] = [
            (&[(5, 6), (1, 2)], &[(1, 2), (5, 6)], "apart, out of order"),
            (&[(1, 2), (3, 4)], &[(1, 4)], "touching"),
            (&[(1, 5), (2, 3)], &[(1, 5)], "one in the other"),
            (&[(1, 3), (2, 9)], &[(1, 9)], "overlapping"),
            (&[(0, u16::MAX), (7, 8)], &[(0, u16::MAX)], "one up to the last number there is"),
        ];
        for (ranges, expected, why) in rows {
            assert_eq!(merge(ranges.to_vec()), expected, "{why}");
        }
    }
}
