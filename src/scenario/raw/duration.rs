//! Durations as written: `300ms`, `1m 30s`.

use std::time::Duration;

use crate::scenario::decode::{At, Dialect, Fields, text};
use crate::scenario::diagnostic::Code;
use crate::scenario::log::{Log, error};
use crate::scenario::tree::{Resolved, Value, resolve};

/// Reads the duration under a key, where there is one.
pub(super) fn read(fields: &mut Fields<'_>, key: &'static str, log: &mut Log) -> Option<At<Duration>> {
    read_within(fields, key, Duration::from_millis(1), "1ms", log)
}

/// The same where none at all is a duration too, which needs no unit.
pub(super) fn read_from_zero(fields: &mut Fields<'_>, key: &'static str, log: &mut Log) -> Option<At<Duration>> {
    read_within(fields, key, Duration::ZERO, "0", log)
}

fn read_within(
    fields: &mut Fields<'_>,
    key: &'static str,
    least: Duration,
    shown: &str,
    log: &mut Log,
) -> Option<At<Duration>> {
    let node = fields.optional(key)?;
    let what = format!("`{key}`");
    if let Value::Scalar(raw, style) = &node.value
        && let Resolved::Integer(number) = resolve(raw, *style)
    {
        if number == 0 && least.is_zero() {
            return Some(At::new(Duration::ZERO, node.span));
        }
        let draft = error(Code::InvalidValue, format!("{what} has no unit")).at(node.span);
        log.push(draft.help(format!("write `{number}s` or `{number}ms`")));
        return None;
    }
    let text = text(node, &what, Dialect::Scenario, log)?;
    let parsed: Result<jiff::SignedDuration, _> = text.value.parse();
    let Ok(signed) = parsed else {
        let message = format!("{what} is no duration: `{}`", text.value);
        log.push(error(Code::InvalidValue, message).at(text.span).help("write `300ms`, `10s` or `1m 30s`"));
        return None;
    };
    let bounds = least..=Duration::from_secs(3600);
    match Duration::try_from(signed) {
        Ok(duration) if bounds.contains(&duration) => Some(At::new(duration, text.span)),
        _ => {
            let message = format!("{what} must be from {shown} to 1h, not `{}`", text.value);
            log.push(error(Code::InvalidValue, message).at(text.span));
            None
        }
    }
}
