//! Many reasons in little memory.
//!
//! A million cells may have as many different reasons, each naming dozens of rules. Kept as [`Reason`]s they would take
//! gigabytes, nearly all of it the same few names again and again. Kept here a reason is one bit for each rule that could
//! have been in it, and becomes a [`Reason`] when somebody asks for it.

use super::prediction::{Direction, PolicyRef, Reason, ReasonId, RuleRef};
use super::verdict::Verdict;

/// The reasons of one stage, by number.
#[derive(Debug, Clone, Default)]
pub struct Reasons {
    policies: Vec<PolicyRef>,
    rules: Vec<RuleEntry>,
    groups: Vec<Group>,
    kept: Vec<Kept>,
    words: Vec<u64>,
}

/// A policy's place in [`Reasons`]; counts from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PolicyPlace(u32);

/// A rule's place in [`Reasons`]; counts from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RulePlace(u32);

/// A group's place in [`Reasons`]; counts from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct GroupPlace(u32);

/// A [`RuleRef`] with the policy's place instead of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuleEntry {
    /// The policy.
    pub policy: PolicyPlace,
    /// The list the rule stands in.
    pub direction: Direction,
    /// Its place there; counts from 0.
    pub rule: u32,
    /// The entry of `from` or `to`, where there are any.
    pub peer: Option<u32>,
    /// The entry of `ports`, where there are any.
    pub port: Option<u32>,
}

/// The policies that together isolate some pods in one direction.
#[derive(Debug, Clone)]
struct Group {
    policies: Vec<PolicyPlace>,
    rules: Vec<RulePlace>,
}

#[derive(Debug, Clone)]
enum Kept {
    Whole(Reason),
    Isolated(GroupPlace),
    /// One bit for each rule of the group, from this word on.
    Allowed(GroupPlace, usize),
}

impl Reasons {
    /// Takes a policy's name, for rules and groups to refer to.
    pub fn add_policy(&mut self, policy: PolicyRef) -> PolicyPlace {
        self.policies.push(policy);
        PolicyPlace(place(self.policies.len()))
    }

    /// Takes a rule, for groups to refer to.
    pub fn add_rule(&mut self, rule: RuleEntry) -> RulePlace {
        self.rules.push(rule);
        RulePlace(place(self.rules.len()))
    }

    /// Takes a group: the policies that isolate some pods, and all rules they have for that direction.
    pub fn add_group(&mut self, policies: Vec<PolicyPlace>, rules: Vec<RulePlace>) -> GroupPlace {
        self.groups.push(Group { policies, rules });
        GroupPlace(place(self.groups.len()))
    }

    /// Keeps a reason as it is.
    pub fn keep(&mut self, reason: Reason) -> ReasonId {
        self.number(Kept::Whole(reason))
    }

    /// Keeps [`Reason::Isolated`] by all policies of the group.
    pub fn keep_isolated(&mut self, group: GroupPlace) -> ReasonId {
        self.number(Kept::Isolated(group))
    }

    /// Keeps [`Reason::Allowed`] by some rules of the group: the `n`th of them if bit `n % 64` of word `n / 64` is set.
    /// `words` has no bit for a rule the group has not, and as many words as the group's rules need.
    pub fn keep_allowed(&mut self, group: GroupPlace, words: &[u64]) -> ReasonId {
        let start = self.words.len();
        self.words.extend_from_slice(words);
        self.number(Kept::Allowed(group, start))
    }

    /// The reason of that number.
    pub fn get(&self, id: ReasonId) -> Option<Reason> {
        match self.kept.get(id.0 as usize)? {
            Kept::Whole(reason) => Some(reason.clone()),
            Kept::Isolated(group) => {
                let group = self.groups.get(group.0 as usize)?;
                let by = group.policies.iter().filter_map(|p| self.policies.get(p.0 as usize).cloned()).collect();
                Some(Reason::Isolated { by })
            }
            Kept::Allowed(group, start) => {
                let group = self.groups.get(group.0 as usize)?;
                let set = |n: usize| self.words.get(start + n / 64).is_some_and(|word| word >> (n % 64) & 1 == 1);
                let rules = group.rules.iter().enumerate().filter(|(n, _)| set(*n));
                Some(Reason::Allowed { by: rules.filter_map(|(_, rule)| self.rule(*rule)).collect() })
            }
        }
    }

    /// All, in order of number.
    pub fn iter(&self) -> impl Iterator<Item = Reason> {
        (0..self.kept.len()).filter_map(|number| self.get(ReasonId(u32::try_from(number).ok()?)))
    }

    /// What each says by itself, in order of number, without making it anew.
    pub fn verdicts(&self) -> impl Iterator<Item = Option<Verdict>> {
        self.kept.iter().map(|kept| match kept {
            Kept::Whole(reason) => reason.verdict(),
            Kept::Isolated(_) => Some(Verdict::Denied),
            Kept::Allowed(..) => Some(Verdict::Allowed),
        })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    fn number(&mut self, kept: Kept) -> ReasonId {
        self.kept.push(kept);
        ReasonId(place(self.kept.len()))
    }

    fn rule(&self, rule: RulePlace) -> Option<RuleRef> {
        let RuleEntry { policy, direction, rule, peer, port } = *self.rules.get(rule.0 as usize)?;
        let policy = self.policies.get(policy.0 as usize)?.clone();
        Some(RuleRef { policy, direction, rule, peer, port })
    }
}

impl From<Vec<Reason>> for Reasons {
    fn from(reasons: Vec<Reason>) -> Self {
        Self { kept: reasons.into_iter().map(Kept::Whole).collect(), ..Self::default() }
    }
}

/// The place of the last of so many. Cells are numbered in 32 bits and have two reasons each at most, so these fit; were
/// it otherwise, the place would be one that is not there, and whoever asks for it gets nothing.
fn place(count: usize) -> u32 {
    u32::try_from(count.saturating_sub(1)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_small_comes_back_whole() {
        let name = |n: &str| PolicyRef { kind: "NetworkPolicy".into(), namespace: Some("shop".into()), name: n.into() };
        let mut reasons = Reasons::default();
        let (a, b) = (reasons.add_policy(name("a")), reasons.add_policy(name("b")));
        let direction = Direction::Egress;
        let rules: Vec<_> = (0..70)
            .map(|rule| {
                let policy = if rule < 66 { a } else { b };
                reasons.add_rule(RuleEntry { policy, direction, rule, peer: Some(1), port: None })
            })
            .collect();
        let group = reasons.add_group(vec![a, b], rules);
        let plain = reasons.keep(Reason::NoPod);
        let denied = reasons.keep_isolated(group);
        let allowed = reasons.keep_allowed(group, &[1, 1 << 2]);
        let other = reasons.keep_allowed(group, &[1 << 5, 0]);

        let by = |policy: &str, rule| RuleRef { policy: name(policy), direction, rule, peer: Some(1), port: None };
        let expected = [
            (plain, Reason::NoPod, "a plain reason"),
            (denied, Reason::Isolated { by: vec![name("a"), name("b")] }, "all policies of the group"),
            (allowed, Reason::Allowed { by: vec![by("a", 0), by("b", 66)] }, "rules from both words"),
            (other, Reason::Allowed { by: vec![by("a", 5)] }, "and not those of the reason before"),
        ];
        for (id, reason, why) in &expected {
            assert_eq!(reasons.get(*id).as_ref(), Some(reason), "{why}");
        }
        assert!(reasons.verdicts().eq(expected.iter().map(|(_, reason, _)| reason.verdict())), "so do their verdicts");
        assert!(reasons.iter().eq(expected.into_iter().map(|(_, reason, _)| reason)), "all come in order");
        assert_eq!(reasons.get(ReasonId(4)), None, "a number not given out has no reason");
    }
}
