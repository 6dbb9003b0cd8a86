//! Which Calico is tested with which Kubernetes. From Calico's own pages on requirements; other pairs may work, so a
//! pair that is not in the table is a warning and no more.

use std::fmt;
use std::str::FromStr;

use crate::model::checkup::Check;

/// Major and minor of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Minor {
    /// The first number.
    pub major: u32,
    /// The second.
    pub minor: u32,
}

/// The table: Calico, the oldest and the newest Kubernetes its makers test it with.
const TESTED: [(Minor, Minor, Minor); 5] = [
    (minor(3, 29), minor(1, 29), minor(1, 32)),
    (minor(3, 30), minor(1, 31), minor(1, 35)),
    (minor(3, 31), minor(1, 32), minor(1, 35)),
    (minor(3, 32), minor(1, 34), minor(1, 36)),
    (minor(3, 33), minor(1, 35), minor(1, 37)),
];

const fn minor(major: u32, minor: u32) -> Minor {
    Minor { major, minor }
}

impl Minor {
    /// Those of a version: `v3.31.7`, `1.35.4+k3s1`, `3.32`.
    pub fn of(version: &str) -> Option<Self> {
        let mut parts = version.trim().trim_start_matches('v').split(['.', '-', '+']);
        let (major, minor) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        Some(Self { major, minor })
    }
}

impl fmt::Display for Minor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Why a text is no version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no version: write major and minor, such as `3.32`")]
pub struct MinorSyntax(String);

impl FromStr for Minor {
    type Err = MinorSyntax;

    fn from_str(text: &str) -> Result<Self, MinorSyntax> {
        Self::of(text).ok_or_else(|| MinorSyntax(text.to_owned()))
    }
}

/// Whether the two fit together.
pub(super) fn fit(calico: Minor, kubernetes: Minor) -> Check {
    let Some((_, oldest, newest)) = TESTED.iter().find(|(version, ..)| *version == calico) else {
        return Check::note(format!("which Kubernetes Calico {calico} is tested with is not known here"));
    };
    let range = format!("Calico {calico} is tested with Kubernetes {oldest} to {newest}");
    if (*oldest..=*newest).contains(&kubernetes) {
        Check::fine(range)
    } else {
        Check::warning(format!("{range}, and this is {kubernetes}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::checkup::State;

    #[test]
    fn versions_fit_by_the_table() {
        let rows = [
            ("v3.31.7", "v1.35.4", State::Fine, "within the range"),
            ("3.32.0-0.dev", "1.34.0+k3s1", State::Fine, "the oldest, with endings"),
            ("3.32.1", "1.33.9", State::Warning, "older than the oldest"),
            ("3.33.0", "1.38.0", State::Warning, "newer than the newest"),
            ("3.40.0", "1.40.0", State::Note, "a version the table has not"),
        ];
        for (calico, kubernetes, state, why) in rows {
            let check = fit(Minor::of(calico).unwrap(), Minor::of(kubernetes).unwrap());
            assert_eq!(check.state, state, "{why}: {}", check.says);
        }
        for text in ["", "3", "three.two", "v"] {
            assert_eq!(Minor::of(text), None, "`{text}`");
        }
    }
}
