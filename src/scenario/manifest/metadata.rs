//! `metadata` of a manifest.

use super::filled::{Shape, drop_filled};
use super::{KUBERNETES, texts};
use crate::model::labels::{Labels, check_dns_label, check_key, check_subdomain};
use crate::scenario::decode::{At, Fields, items, text};
use crate::scenario::diagnostic::Code;
use crate::scenario::labels::{self, Own};
use crate::scenario::log::{Log, error};
use crate::scenario::tree::Node;

/// What a server, or something that runs in a cluster, fills in.
pub(super) const FILLED: [(&str, Shape); 9] = [
    ("uid", Shape::Text),
    ("resourceVersion", Shape::Text),
    ("creationTimestamp", Shape::Time),
    ("generation", Shape::Integer),
    ("managedFields", Shape::List),
    ("selfLink", Shape::Text),
    ("deletionTimestamp", Shape::Time),
    ("deletionGracePeriodSeconds", Shape::Integer),
    ("ownerReferences", Shape::List),
];

/// Finalizers that need no domain before their name (kubernetes `pkg/apis/core/helper`, `IsStandardFinalizerName`).
const STANDARD_FINALIZERS: [&str; 3] = ["kubernetes", "orphan", "foregroundDeletion"];

/// The parts of `metadata` that matter.
pub(super) struct Metadata {
    /// `name`.
    pub name: At<String>,
    /// `namespace`.
    pub namespace: Option<At<String>>,
    /// `labels`.
    pub labels: Labels,
    /// `finalizers`.
    pub finalizers: Vec<At<String>>,
}

/// Reads `metadata` of a manifest.
pub(super) fn read(manifest: &mut Fields<'_>, own: Own, log: &mut Log) -> Option<Metadata> {
    let node = manifest.required("metadata", log)?;
    let key = manifest.key_span("metadata");
    let mut fields = Fields::open(node, "`metadata`", KUBERNETES, log)?.placed(key);
    let name = fields.required("name", log).and_then(|node| text(node, "`name`", KUBERNETES, log));
    if let Some(name) = &name
        && let Err(why) = check_subdomain(&name.value)
    {
        log.push(error(Code::InvalidValue, format!("the name `{}` {why}", name.value)).at(name.span));
    }
    let namespace = fields.optional("namespace").and_then(|node| text(node, "`namespace`", KUBERNETES, log));
    if let Some(namespace) = &namespace
        && let Err(why) = check_dns_label(&namespace.value)
    {
        log.push(error(Code::InvalidValue, format!("the namespace `{}` {why}", namespace.value)).at(namespace.span));
    }
    let labels = fields.optional("labels").map(|node| labels::read(node, KUBERNETES, own, log)).unwrap_or_default();
    if let Some(node) = fields.optional("annotations") {
        texts(node, "the annotation", log);
    }
    // Kept in the manifest.
    let finalizers = fields.optional("finalizers").map(|node| finalizers(node, log)).unwrap_or_default();
    drop_filled(&mut fields, &FILLED, log);
    fields.close(log);
    Some(Metadata { name: name?, namespace, labels, finalizers })
}

/// The finalizers in a list.
pub(super) fn finalizers(node: &Node, log: &mut Log) -> Vec<At<String>> {
    items(node, "`finalizers`", log).iter().filter_map(|item| text(item, "a finalizer", KUBERNETES, log)).collect()
}

/// Checks finalizers as the API server does for its own kinds.
pub(super) fn check_finalizers(finalizers: &[At<String>], log: &mut Log) {
    for finalizer in finalizers {
        let name = finalizer.value.as_str();
        let message = match check_key(name) {
            Err(why) => format!("the finalizer `{name}` {why}"),
            Ok(()) if !name.contains('/') && !STANDARD_FINALIZERS.contains(&name) => {
                format!("the finalizer `{name}` needs a domain before it: `example.com/{name}`")
            }
            Ok(()) => continue,
        };
        log.push(error(Code::InvalidValue, message).at(finalizer.span));
    }
}
