//! Points in time as data.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Nanoseconds on one machine's boot-time clock (`CLOCK_BOOTTIME`: monotonic, and running on through suspend).
///
/// Which machine's clock it is, the field that holds it says; two clocks are never compared without an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Moment(pub u64);

impl Moment {
    /// This moment, later by `by`; the far end of time where that overflows.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(nanoseconds(by)))
    }

    /// This moment, earlier by `by`; the clock's zero where that underflows.
    #[must_use]
    pub fn minus(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(nanoseconds(by)))
    }

    /// How long after `earlier` this is; zero if it is not after it.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The same moment on another clock that shows `offset` nanoseconds more than this one.
    #[must_use]
    pub fn shifted(self, offset: i64) -> Self {
        Self(self.0.saturating_add_signed(offset))
    }
}

/// A duration in nanoseconds; the largest `u64` (584 years) where it is longer.
pub fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
