//! Which endpoints a GlobalNetworkPolicy selects: its three selectors, combined into one text as Calico combines them.
//!
//! Calico reads a `namespaceSelector` over labels with the prefix `pcns.`, and a `serviceAccountSelector` over `pcsa.`. One
//! of these two that does not parse vanishes, and the policy then selects more. Where the combined text does not parse,
//! Calico drops the whole policy. The combination is textual there, so it is here.

use super::{Node, NodeKind, Selector, SelectorError};

/// What an endpoint's labels of its namespace begin with.
pub const NAMESPACE_PREFIX: &str = "pcns.";
/// What an endpoint's labels of its service account begin with.
pub const SERVICE_ACCOUNT_PREFIX: &str = "pcsa.";

/// What a GlobalNetworkPolicy selects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GlobalSubject {
    /// The combined selector, over an endpoint's labels; an error where Calico drops the policy.
    pub selector: Result<Selector, SelectorError>,
    /// The fields that do not parse and so vanish, with what is wrong.
    pub vanished: Vec<(&'static str, SelectorError)>,
}

impl GlobalSubject {
    /// Combines the selectors of a policy; one that is left out is empty.
    pub fn new(selector: &str, namespace_selector: &str, service_account_selector: &str) -> Self {
        let mut text = selector.to_owned();
        let mut vanished = Vec::new();
        let more = [
            ("namespaceSelector", namespace_selector, NAMESPACE_PREFIX, "has(projectcalico.org/namespace)"),
            (
                "serviceAccountSelector",
                service_account_selector,
                SERVICE_ACCOUNT_PREFIX,
                "has(projectcalico.org/serviceaccount)",
            ),
        ];
        for (field, given, prefix, instead_of_all) in more {
            if given.is_empty() {
                continue;
            }
            match Selector::parse(given) {
                Ok(parsed) => {
                    let prefixed = parsed.prefixed(prefix);
                    text = if text.is_empty() { prefixed.to_string() } else { format!("({text}) && {prefixed}") };
                }
                Err(error) => vanished.push((field, error)),
            }
            // Also in the text of the selectors before, and in a quoted value.
            text = text.replace("all()", instead_of_all);
        }
        Self { selector: Selector::parse(&text), vanished }
    }
}

impl Selector {
    /// The same, with a prefix before every label.
    fn prefixed(&self, prefix: &str) -> Self {
        let longer = |label: &String| format!("{prefix}{label}");
        let nodes = self.nodes.iter().map(|node| {
            let kind = match &node.kind {
                NodeKind::Has(label) => NodeKind::Has(longer(label)),
                NodeKind::Compare { label, operator, value } => {
                    NodeKind::Compare { label: longer(label), operator: *operator, value: value.clone() }
                }
                NodeKind::Set { label, negated, values } => {
                    NodeKind::Set { label: longer(label), negated: *negated, values: values.clone() }
                }
                NodeKind::All | NodeKind::Global | NodeKind::Not | NodeKind::And(_) | NodeKind::Or(_) => {
                    node.kind.clone()
                }
            };
            Node { kind, span: node.span.clone() }
        });
        Self { nodes: nodes.collect() }
    }
}
