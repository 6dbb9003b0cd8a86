//! Which source port an attempt takes.
//!
//! A four-tuple that is used again too soon would be judged by the connection tracking's memory of the one before, not
//! by policy: an answered UDP flow is remembered for half a minute or more. A random choice meets an old port soon;
//! so each cell goes through the whole range in order and comes back only after [`RANGE`] attempts.

/// The first source port.
const FIRST: u16 = 16_384;

/// How many there are: at an attempt every 10 ms a port comes again after eight minutes.
pub const RANGE: u32 = 49_152;

/// How many other ports are tried where one is in use.
const OTHERS: u32 = 8;

/// The source port of a cell's attempt. `life` lets a restarted agent begin elsewhere than the one before it.
pub fn source_port(life: u64, cell: u32, number: u32) -> u16 {
    let mixed = (life ^ u64::from(cell)).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
    at(mixed.wrapping_add(u64::from(number)))
}

/// The port itself, then others far from it, so that they are not the next attempts' own.
pub fn candidates(port: u16) -> impl Iterator<Item = u16> {
    let place = u64::from(port.saturating_sub(FIRST));
    (0..=OTHERS).map(move |turn| at(place + u64::from(turn * (RANGE / (OTHERS + 1)))))
}

fn at(place: u64) -> u16 {
    // Below 49,152, and 16,384 more is still a port.
    u16::try_from(place % u64::from(RANGE)).unwrap_or(0) + FIRST
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_cell_uses_every_port_before_it_uses_one_again() {
        let ports: HashSet<u16> = (0..RANGE).map(|number| source_port(99, 4, number)).collect();
        assert_eq!(ports.len(), RANGE as usize);
        assert!(ports.iter().all(|port| *port >= FIRST));
        assert_eq!(source_port(99, 4, 0), source_port(99, 4, RANGE));
    }

    #[test]
    fn a_port_in_use_has_several_stand_ins() {
        let ports: Vec<u16> = candidates(FIRST + 5).collect();
        assert_eq!(ports[0], FIRST + 5);
        assert_eq!(ports.iter().collect::<HashSet<_>>().len(), OTHERS as usize + 1);
    }
}
