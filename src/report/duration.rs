//! Durations as people say them: `36 ms`, `1.2 s`, `2 min 5 s`.

use std::time::Duration;

/// A duration in at most three significant digits. Never finer than a tenth of a millisecond: no probe is.
pub fn human(duration: Duration) -> String {
    // Rounded to the unit shown first, so that 999.6 ms is not `1000 ms`.
    let tenths_of_ms = (duration.as_micros() + 50) / 100;
    let ms = (duration.as_micros() + 500) / 1000;
    let tenths_of_s = (duration.as_millis() + 50) / 100;
    let s = (duration.as_millis() + 500) / 1000;
    if duration.is_zero() {
        "0 ms".into()
    } else if tenths_of_ms == 0 {
        "<0.1 ms".into()
    } else if tenths_of_ms < 100 {
        with_tenths(tenths_of_ms, "ms")
    } else if ms < 1000 {
        format!("{ms} ms")
    } else if tenths_of_s < 600 {
        with_tenths(tenths_of_s, "s")
    } else if s < 3600 {
        two_units(s, "min", "s")
    } else {
        two_units((s + 30) / 60, "h", "min")
    }
}

/// The same for the document's microseconds.
pub fn human_us(microseconds: u64) -> String {
    human(Duration::from_micros(microseconds))
}

fn with_tenths(tenths: u128, unit: &str) -> String {
    match tenths % 10 {
        0 if unit == "ms" => format!("{} {unit}", tenths / 10),
        tenth => format!("{}.{tenth} {unit}", tenths / 10),
    }
}

fn two_units(count: u128, large: &str, small: &str) -> String {
    match count % 60 {
        0 => format!("{} {large}", count / 60),
        rest => format!("{} {large} {rest} {small}", count / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short_and_never_overflow_their_unit() {
        let table = [
            (0, "0 ms", "nothing at all"),
            (20, "<0.1 ms", "less than any probe resolves"),
            (100, "0.1 ms", "the finest that is told"),
            (3_240, "3.2 ms", "one decimal below ten milliseconds"),
            (3_000, "3 ms", "no idle decimal"),
            (9_990, "10 ms", "rounding up to the next form"),
            (36_400, "36 ms", "whole milliseconds"),
            (999_400, "999 ms", "the last before the second"),
            (999_600, "1.0 s", "rounded, it is a second"),
            (1_240_000, "1.2 s", "seconds with a decimal, which tells them from a limit"),
            (59_960_000, "1 min", "rounded, it is a minute"),
            (125_000_000, "2 min 5 s", "minutes and seconds"),
            (3_600_000_000, "1 h", "a whole hour"),
            (3_840_000_000, "1 h 4 min", "hours and minutes"),
        ];
        for (us, expected, why) in table {
            assert_eq!(human_us(us), expected, "{why}");
        }
        assert!(human_us(u64::MAX).ends_with("min"), "the largest there is does not overflow");
    }
}
