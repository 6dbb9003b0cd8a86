//! Labels, in scenarios and in manifests.

use super::decode::{Dialect, entries, text};
use super::diagnostic::Code;
use super::log::{Log, error};
use super::text::Span;
use super::tree::{Key, Node};
use crate::model::labels::{Labels, check_key, check_value};

/// Labels under this prefix are leakproof's own: oracle and lab do not see them.
const OWN_PREFIX: &str = "leakproof.dev";

/// Whether labels of leakproof's own may stand there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::scenario) enum Own {
    /// Where policies could see them.
    Refused,
    /// On objects no policy selects, such as the policies themselves.
    Taken,
}

/// Labels of a manifest or a scenario.
pub(in crate::scenario) fn read(node: &Node, dialect: Dialect, own: Own, log: &mut Log) -> Labels {
    let mut all = Labels::default();
    for (key, node) in entries(node, "labels", log) {
        check_label_key(&key.text, key.span, own, log);
        if dialect == Dialect::Manifest {
            check_bare_key(key, log);
        }
        let what = format!("the label `{}`", key.text);
        if let Some(value) = text(node, &what, dialect, log) {
            if let Err(why) = check_value(&value.value) {
                log.push(error(Code::InvalidValue, format!("the label value `{}` {why}", value.value)).at(value.span));
            }
            all.0.insert(key.text.clone(), value.value);
        }
    }
    all
}

/// Refuses a bare key of a manifest that kubectl reads as another key.
pub(in crate::scenario) fn check_bare_key(key: &Key, log: &mut Log) {
    if let Some(read) = key.as_kubectl_reads_it() {
        let message = format!("kubectl reads the bare key `{}` as `{read}`", key.text);
        log.push(error(Code::WrongType, message).at(key.span).help(format!("write `\"{}\":`", key.text)));
    }
}

/// Checks a label's key, and that it is none of leakproof's own where those are refused.
pub(in crate::scenario) fn check_label_key(key: &str, span: Span, own: Own, log: &mut Log) {
    if let Err(why) = check_key(key) {
        log.push(error(Code::InvalidValue, format!("the label key `{key}` {why}")).at(span));
    }
    let prefix = key.split_once('/').map(|(prefix, _)| prefix).unwrap_or_default();
    let ours = prefix == OWN_PREFIX || prefix.strip_suffix(OWN_PREFIX).is_some_and(|rest| rest.ends_with('.'));
    if ours && own == Own::Refused {
        let message = format!("the label `{key}` is leakproof's own: no policy sees it");
        log.push(error(Code::Reserved, message).at(span).help("use another label"));
    }
}
