//! A leak that stays: the watch ends as soon as quiet would have, and nobody says that it was quiet.

use leakproof::model::finding::Call;
use libtest_mimic::{Completion, Failed};

use super::{Clarity, Run, until_clear};

const QUIET_FOR_US: u64 = 2_000_000;
/// Much longer than a watch that ends in time can take.
const QUIET_AT_MOST_US: u64 = 40_000_000;

const ARGUMENTS: &[&str] =
    &["--fault", "lose-node=1@7s+600s", "--quiet-for", "2s", "--quiet-at-most", "40s", "--", "sleep", "8"];

pub fn stays() -> Result<Completion, Failed> {
    until_clear(ARGUMENTS, |run| match check(run) {
        Ok(()) => Ok(Clarity::Clear),
        Err(why) if run.watch.unseen > 0 => Ok(Clarity::Blurred(why)),
        Err(why) => Err(why),
    })
}

fn check(run: &Run) -> Result<(), String> {
    let Run { document, watch, code, .. } = run;
    let cells = &document.stages.last().ok_or("no stage")?.cells;
    let leaks = cells.iter().filter(|cell| cell.call == Call::Leak);
    let began: Option<u64> = leaks.flat_map(|cell| &cell.windows).map(|window| window.first_wrong_us).max();
    let (Some(began), 11) = (began, code) else { return Err(format!("exit {code}, the leak began at {began:?}")) };
    let over = watch.command.as_ref().and_then(|command| command.ended_us).ok_or("the command did not end")?;
    let watched_on = watch.until_us.saturating_sub(began.max(over));
    if !(QUIET_FOR_US..QUIET_AT_MOST_US).contains(&watched_on) {
        return Err(format!("watched on for {watched_on} us with a leak that stayed"));
    }
    if watch.waited_for.contains("quiet") {
        return Err(format!("a network that leaks was said to be quiet: {}", watch.waited_for));
    }
    Ok(())
}
