//! When windows began by the wall clock, so that they can be laid beside other logs.

use std::time::Duration;

use jiff::{Timestamp, Unit};

use crate::model::document::Stage;
use crate::model::finding::Window;

/// Dates every window after convergence, in a run that started then (RFC 3339). A start that is none dates nothing.
pub(super) fn add_wall_clock_times(stage: &mut Stage, started: &str) {
    let Ok(started) = started.parse::<Timestamp>() else { return };
    let in_cells = stage.cells.iter_mut().flat_map(|cell| &mut cell.windows);
    let in_findings = stage.findings.iter_mut().flat_map(|finding| &mut finding.windows);
    for window in in_cells.chain(in_findings).filter(|window| !window.before_convergence) {
        window.first_wrong_at = first_wrong_at(window, started);
    }
}

fn first_wrong_at(window: &Window, started: Timestamp) -> Option<String> {
    let at = started.checked_add(Duration::from_micros(window.first_wrong_us)).ok()?;
    let at = at.round(Unit::Millisecond).ok()?;
    Some(at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::watched;

    #[test]
    fn a_window_after_convergence_has_the_utc_time_of_its_first_wrong_attempt() {
        let mut stage = watched().stages.pop().unwrap();
        let dates = |windows: &[Window]| windows.iter().map(|w| w.first_wrong_at.clone()).collect::<Vec<_>>();
        let flow = stage.findings[0].flow.clone();
        for window in stage.cells.iter_mut().flat_map(|cell| &mut cell.windows) {
            window.first_wrong_at = None;
        }
        stage.findings.iter_mut().flat_map(|finding| &mut finding.windows).for_each(|w| w.first_wrong_at = None);
        for (started, expected) in [
            ("yesterday", None),
            ("2026-11-23T23:59:06Z", Some("2026-11-24T00:00:41.000Z".to_owned())),
            ("2026-11-23T04:05:06.1234Z", Some("2026-11-23T04:06:41.123Z".to_owned())),
        ] {
            add_wall_clock_times(&mut stage, started);
            let cell = stage.cells.iter().find(|cell| cell.flow == flow).unwrap();
            assert_eq!(dates(&cell.windows), [None, expected.clone()], "the first lies before convergence");
            assert_eq!(dates(&stage.findings[0].windows), dates(&cell.windows));
        }
    }
}
