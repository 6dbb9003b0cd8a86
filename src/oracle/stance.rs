//! For which directions a policy speaks.

use crate::model::prediction::Direction;
use crate::policy::Clause;
use crate::policy::network_policy::{NetworkPolicy, Rule};

/// Whether a policy isolates the pods it selects in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::oracle) enum Stance {
    /// It does: only what its rules (and those of others) let through passes.
    Isolates,
    /// It does not speak about this direction; rules it has for it are without effect.
    Silent,
}

/// Reads `policyTypes`.
///
/// Left out, or given without entries, it means Ingress, and Egress too if there is at least one egress rule: the API
/// server looks at the lists' lengths and writes that into the object it stores (Kubernetes 1.35,
/// `SetDefaults_NetworkPolicy`), so `policyTypes: []` is never stored, and `egress: []` adds nothing.
pub(in crate::oracle) fn stance(policy: &NetworkPolicy, direction: Direction) -> Stance {
    let speaks = match (&policy.policy_types, direction) {
        (Clause::Given(types), _) if !types.is_empty() => types.contains(&direction),
        (Clause::Given(_) | Clause::Absent, Direction::Ingress) => true,
        (Clause::Given(_) | Clause::Absent, Direction::Egress) => !rules(policy, Direction::Egress).is_empty(),
    };
    if speaks { Stance::Isolates } else { Stance::Silent }
}

/// The rules for one direction. A list left out and an empty one are the same here: no rule.
pub(in crate::oracle) fn rules(policy: &NetworkPolicy, direction: Direction) -> &[Rule] {
    entries(match direction {
        Direction::Ingress => &policy.ingress,
        Direction::Egress => &policy.egress,
    })
}

/// The entries of a list for which being left out and being empty mean the same.
pub(in crate::oracle) fn entries<T>(clause: &Clause<T>) -> &[T] {
    match clause {
        Clause::Absent => &[],
        Clause::Given(entries) => entries,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policy_types_default_as_the_api_server_does() {
        use Clause::{Absent, Given};
        use Direction::{Egress, Ingress};
        let rule = || Rule { peers: Absent, ports: Absent };
        let rows = [
            (Absent, Absent, vec![Ingress], "nothing at all is a default deny for ingress"),
            (Absent, Given(vec![]), vec![Ingress], "an empty egress list adds no Egress"),
            (Absent, Given(vec![rule()]), vec![Ingress, Egress], "an egress rule adds Egress, and Ingress stays"),
            (Given(vec![]), Absent, vec![Ingress], "an empty policyTypes is the same as none"),
            (Given(vec![]), Given(vec![rule()]), vec![Ingress, Egress], "and so it is with an egress rule"),
            (Given(vec![Ingress]), Given(vec![rule()]), vec![Ingress], "Ingress alone makes egress rules inert"),
            (Given(vec![Egress]), Absent, vec![Egress], "Egress alone leaves ingress open, and denies all egress"),
            (Given(vec![Egress, Ingress]), Absent, vec![Ingress, Egress], "both, in any order"),
        ];
        for (policy_types, egress, expected, why) in rows {
            let policy = NetworkPolicy {
                namespace: "shop".into(),
                name: "p".into(),
                pod_selector: Default::default(),
                policy_types,
                ingress: Absent,
                egress,
                manifest: serde_json::Value::Null,
            };
            let spoken: Vec<_> =
                [Ingress, Egress].into_iter().filter(|d| stance(&policy, *d) == Stance::Isolates).collect();
            assert_eq!(spoken, expected, "{why}");
        }
    }
}
