//! The order of Calico policies of one tier that have the same order number: what the first matching rule decides depends
//! on it, and Calico 3.32 decides it otherwise than versions before.
//!
//! - up to 3.31 by the name under which the policy is stored: `ns/default.a` for a namespaced one, `default.a` for a
//!   global one, `ns/knp.default.a` for a Kubernetes one
//! - from 3.32 on by the text `name/namespace/kind`
//!
//! So `a-b` comes after `a` in the first, and before it in the second, since `-` sorts before `/`.

use std::cmp::Ordering;

use super::versions::Minor;

/// A policy as far as its place among others goes.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranked {
    /// `NetworkPolicy`, `GlobalNetworkPolicy`, `KubernetesNetworkPolicy`.
    pub kind: String,
    /// Its namespace; none for a global one.
    pub namespace: Option<String>,
    /// Its name, without a tier before it.
    pub name: String,
    /// Its tier.
    pub tier: String,
    /// Its order number; none is after all that have one.
    pub order: Option<f64>,
    /// What its rules do.
    pub does: Does,
}

/// What a policy's rules do with the traffic they match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Does {
    /// Let it through.
    Allow,
    /// Do not.
    Deny,
    /// Some of both, or pass it on to another tier.
    Both,
}

impl std::fmt::Display for Ranked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} {namespace}/{}", self.kind, self.name),
            None => write!(f, "{} {}", self.kind, self.name),
        }
    }
}

/// The first version with the new rule.
const NEW_RULE: Minor = Minor { major: 3, minor: 32 };

/// Which of two policies of equal order is looked at first by a version.
pub fn tie(a: &Ranked, b: &Ranked, version: Minor) -> Ordering {
    if version >= NEW_RULE {
        let key = |one: &Ranked| format!("{}/{}/{}", one.name, one.namespace.as_deref().unwrap_or_default(), one.kind);
        return key(a).cmp(&key(b));
    }
    let key = |one: &Ranked| match (&one.namespace, one.kind.as_str()) {
        (Some(namespace), "KubernetesNetworkPolicy") => format!("{namespace}/knp.default.{}", one.name),
        (Some(namespace), _) => format!("{namespace}/{}.{}", one.tier, one.name),
        (None, _) => format!("{}.{}", one.tier, one.name),
    };
    key(a).cmp(&key(b))
}

/// The pairs of policies that two versions order otherwise and where that can decide: in one tier, of equal order, able
/// to select the same pods, and not both of the same mind. The first of each pair is the one looked at first by `from`.
pub fn turned(policies: &[Ranked], from: Minor, to: Minor) -> Vec<(&Ranked, &Ranked)> {
    let mut pairs = Vec::new();
    for (place, a) in policies.iter().enumerate() {
        for b in policies.iter().skip(place + 1) {
            let meet = match (&a.namespace, &b.namespace) {
                (Some(a), Some(b)) => a == b,
                (None, _) | (_, None) => true,
            };
            let agree = a.does == b.does && a.does != Does::Both;
            if a.tier != b.tier || a.order != b.order || !meet || agree {
                continue;
            }
            let (before, after) = (tie(a, b, from), tie(a, b, to));
            if before != after {
                pairs.push(if before == Ordering::Greater { (b, a) } else { (a, b) });
            }
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(kind: &str, namespace: Option<&str>, name: &str, does: Does) -> Ranked {
        Ranked {
            kind: kind.into(),
            namespace: namespace.map(Into::into),
            name: name.into(),
            tier: "default".into(),
            order: Some(100.0),
            does,
        }
    }

    const OLD: Minor = Minor { major: 3, minor: 31 };
    const NEW: Minor = Minor { major: 3, minor: 32 };

    #[test]
    fn equal_policies_are_ordered_by_each_versions_rule() {
        use Ordering::{Greater, Less};
        let own = |name| policy("NetworkPolicy", Some("shop"), name, Does::Deny);
        let global = |name| policy("GlobalNetworkPolicy", None, name, Does::Deny);
        let kubernetes = |name| policy("KubernetesNetworkPolicy", Some("shop"), name, Does::Allow);
        let rows = [
            (own("a"), own("b"), Less, Less, "names that differ at once"),
            (own("a"), own("a-b"), Less, Greater, "one name begins the other, before a dash"),
            (own("a"), own("a.b"), Less, Greater, "and before a dot"),
            (own("a"), own("ab"), Less, Less, "but not before a letter"),
            (global("z"), own("a"), Less, Greater, "`default.z` is before `shop/…`, and `z` after `a`"),
            (global("a"), own("z"), Less, Less, "both rules agree here"),
            (kubernetes("a"), own("b"), Greater, Less, "`knp.` is after `default.`"),
        ];
        for (a, b, old, new, why) in rows {
            assert_eq!((tie(&a, &b, OLD), tie(&a, &b, NEW)), (old, new), "{why}");
            assert_eq!((tie(&b, &a, OLD), tie(&b, &a, NEW)), (old.reverse(), new.reverse()), "{why}, turned round");
        }
    }

    #[test]
    fn only_ties_that_can_decide_are_told() {
        let a = policy("NetworkPolicy", Some("shop"), "a", Does::Deny);
        let dashed = |change: fn(&mut Ranked)| {
            let mut one = policy("NetworkPolicy", Some("shop"), "a-b", Does::Allow);
            change(&mut one);
            one
        };
        let rows: [(Ranked, usize, &str); 6] = [
            (dashed(|_| ()), 1, "a deny before an allow, and then after it"),
            (dashed(|one| one.does = Does::Deny), 0, "two that deny"),
            (dashed(|one| one.order = Some(200.0)), 0, "the order number decides"),
            (dashed(|one| one.tier = "other".into()), 0, "the tier decides"),
            (dashed(|one| one.namespace = Some("other".into())), 0, "they never select the same pods"),
            (dashed(|one| one.does = Does::Both), 1, "one that does both"),
        ];
        for (b, expected, why) in rows {
            let all = [b, a.clone()];
            let found = turned(&all, OLD, NEW);
            assert_eq!(found.len(), expected, "{why}");
            assert!(found.iter().all(|(first, _)| first.name == "a"), "{why}: 3.31 looks at `a` first");
            assert_eq!(turned(&all, OLD, OLD), [], "{why}: the same rule turns nothing");
        }
    }
}
