//! This machine's boot-time clock. The one place that reads it, so that pure rooms can be seen not to.

use crate::model::moment::Moment;

/// Now, on `CLOCK_BOOTTIME`: monotonic, and running on while the machine is suspended, so that a record made before
/// and one made after a suspend are as far apart as they were.
pub fn now() -> Moment {
    let time = nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME)
        .or_else(|_| nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC));
    // Both clocks are there on every Linux that can run this; if not even one is, time stands still, which reads as
    // an agent that is never heard of again: inconclusive, never a verdict.
    time.map_or(Moment(0), |t| Moment(t.tv_sec().unsigned_abs() * 1_000_000_000 + t.tv_nsec().unsigned_abs()))
}
