//! A time axis in per cent, so that a drawing can be stretched without stretching its text.

/// From a beginning to an end, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    from: u64,
    span: u64,
}

impl Scale {
    /// An axis of at least one microsecond.
    pub fn new(from: u64, until: u64) -> Self {
        Self { from, span: until.saturating_sub(from).max(1) }
    }

    /// Where a moment is; what lies outside is put at the edge.
    pub fn at(&self, us: u64) -> String {
        percent(us.saturating_sub(self.from).min(self.span), self.span)
    }

    /// How long a time is.
    pub fn length(&self, us: u64) -> String {
        percent(us.min(self.span), self.span)
    }

    /// Where a time span begins and how long it is, so far as it is on the axis; none where no part of it is.
    pub fn bar(&self, from: u64, until: u64) -> Option<(String, String)> {
        let end = self.from.saturating_add(self.span);
        let (from, until) = (from.max(self.from), until.min(end));
        (from <= until).then(|| (self.at(from), self.length(until - from)))
    }

    /// Whether a moment is on the axis.
    pub fn covers(&self, us: u64) -> bool {
        us.checked_sub(self.from).is_some_and(|after| after <= self.span)
    }

    /// Whether a text that began at a moment would not fit beside it.
    pub fn is_near_end(&self, us: u64) -> bool {
        us.saturating_sub(self.from) > self.span - self.span / 20
    }

    /// Round moments, at most `most` of them besides the beginning.
    pub fn ticks(&self, most: u64) -> Vec<u64> {
        let rough = self.span / most.max(1);
        let mut step = 1_u64;
        // 1, 2, 5, 10, 20, 50 … until few enough fit.
        while step <= rough {
            step = match step.to_string().starts_with('2') {
                true => step.saturating_mul(5) / 2,
                false => step.saturating_mul(2),
            };
        }
        let first = self.from.div_ceil(step);
        (first..).map_while(|n| n.checked_mul(step).filter(|us| *us <= self.from.saturating_add(self.span))).collect()
    }
}

fn percent(part: u64, whole: u64) -> String {
    format!("{:.3}%", part as f64 * 100.0 / whole as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_near_the_end_are_known() {
        let scale = Scale::new(1_000, 2_000);
        assert_eq!([1_000, 1_900, 1_951, 2_000].map(|us| scale.is_near_end(us)), [false, false, true, true]);
    }

    #[test]
    fn places_are_within_the_axis_and_ticks_are_round() {
        let scale = Scale::new(1_000, 3_000);
        assert_eq!(scale.at(2_000), "50.000%");
        assert_eq!(scale.at(0), "0.000%", "before the beginning is at it");
        assert_eq!(scale.at(u64::MAX), "100.000%", "after the end is at it");
        assert_eq!(scale.length(500), "25.000%");
        assert_eq!(scale.bar(500, 1_500), Some(("0.000%".into(), "25.000%".into())), "what lies outside is cut off");
        assert_eq!(scale.bar(100, 900), None, "what lies before it all is not drawn");
        assert!(scale.covers(1_000) && scale.covers(3_000) && !scale.covers(999) && !scale.covers(3_001));
        assert_eq!(
            Scale::new(0, 1_420_000).ticks(8),
            [0, 200_000, 400_000, 600_000, 800_000, 1_000_000, 1_200_000, 1_400_000]
        );
        assert_eq!(Scale::new(5, 5).ticks(4), [5, 6], "an axis of no length has one of a microsecond");
        assert!(Scale::new(0, u64::MAX).ticks(8).len() < 10, "the longest axis has no more ticks than asked");
    }
}
