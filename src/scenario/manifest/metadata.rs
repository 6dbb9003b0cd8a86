//! `metadata` of a manifest.

use super::{KUBERNETES, drop_filled, texts};
use crate::model::labels::{Labels, check_dns_label, check_subdomain};
use crate::scenario::decode::{At, Fields, text};
use crate::scenario::diagnostic::Code;
use crate::scenario::log::{Log, error};
use crate::scenario::raw::read::{Own, labels_in};

/// What a server, or something that runs in a cluster, fills in.
pub(super) const FILLED: [&str; 9] = [
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "generation",
    "managedFields",
    "selfLink",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "ownerReferences",
];

/// The parts of `metadata` that matter.
pub(super) struct Metadata {
    /// `name`.
    pub name: At<String>,
    /// `namespace`.
    pub namespace: Option<At<String>>,
    /// `labels`.
    pub labels: Labels,
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
    let labels = fields.optional("labels").map(|node| labels_in(node, KUBERNETES, own, log)).unwrap_or_default();
    if let Some(node) = fields.optional("annotations") {
        texts(node, "the annotation", log);
    }
    // Read by nobody here and kept in the manifest.
    fields.optional("finalizers");
    drop_filled(&mut fields, &FILLED, log);
    fields.close(log);
    Some(Metadata { name: name?, namespace, labels })
}
