//! What a scenario asks of the place it is run in.

use std::fmt;
use std::str::FromStr;

use semver::{Version, VersionReq};

use crate::model::document::FabricInfo;

/// What the place must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// A cluster with Calico of these versions.
    pub calico: Versions,
}

impl Requirement {
    /// Why a place is not what is asked for; none where it is. A version that cannot be told is not the right one: the
    /// scenario would prove something of nobody knows what.
    pub fn unmet(&self, place: &FabricInfo) -> Option<String> {
        let fact = |name: &str| place.facts.get(name).map(String::as_str);
        let cni = fact("cni").unwrap_or_default();
        if !cni.eq_ignore_ascii_case("calico") {
            return Some(format!("it requires Calico {}, and this is {}", self.calico, place.summary));
        }
        match fact("cni-version") {
            Some(version) if self.calico.hold(version) => None,
            Some(version) => Some(format!("it requires Calico {}, and this is {version}", self.calico)),
            None => Some(format!("it requires Calico {}, and which version this is cannot be told", self.calico)),
        }
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Calico {}", self.calico)
    }
}

/// Conditions on a version, all of which have to hold: `>=3.31, <3.33`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versions {
    text: String,
    conditions: VersionReq,
}

impl Versions {
    /// Whether a version meets them: `v3.31.7`, `3.32.0`. A pre-release counts as the release it comes before: it is
    /// what people try a release with.
    pub fn hold(&self, version: &str) -> bool {
        release(version).is_some_and(|version| self.hold_for(&version))
    }

    /// The same for a release.
    pub(in crate::scenario) fn hold_for(&self, release: &Version) -> bool {
        self.conditions.matches(release)
    }

    /// The releases at which the answer may change. From one of them up to the next it is the same.
    pub(in crate::scenario) fn boundaries(&self) -> impl Iterator<Item = Version> + '_ {
        self.conditions.comparators.iter().flat_map(|condition| {
            let (major, minor, patch) =
                (condition.major, condition.minor.unwrap_or_default(), condition.patch.unwrap_or_default());
            [
                Version::new(major, minor, patch),
                Version::new(major, minor, patch.saturating_add(1)),
                Version::new(major, minor.saturating_add(1), 0),
                Version::new(major.saturating_add(1), 0, 0),
            ]
        })
    }
}

/// The release that a version names: `v3.31.7`, `3.32.0-0.dev`.
pub(in crate::scenario) fn release(version: &str) -> Option<Version> {
    let plain = version.trim().trim_start_matches('v');
    Version::parse(plain.split(['-', '+']).next().unwrap_or(plain)).ok()
}

/// The release of Calico in a place, where it is there and its version can be told.
pub(in crate::scenario) fn calico_in(place: &FabricInfo) -> Option<Version> {
    let fact = |name: &str| place.facts.get(name).map(String::as_str);
    fact("cni").filter(|cni| cni.eq_ignore_ascii_case("calico"))?;
    release(fact("cni-version")?)
}

impl FromStr for Versions {
    type Err = semver::Error;

    fn from_str(text: &str) -> Result<Self, semver::Error> {
        Ok(Self { text: text.to_owned(), conditions: text.parse()? })
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::document::FabricKind;

    #[test]
    fn between_two_boundaries_the_answer_is_the_same() {
        for text in [">=3.31, <3.33", "<3.32", ">3.31", "<=3.31.2", "=3.31", "~3.31.4", "^3.31.2", "3.*", ">0.0.3"] {
            let versions: Versions = text.parse().unwrap();
            let mut boundaries: Vec<Version> = versions.boundaries().collect();
            boundaries.extend([Version::new(0, 0, 0), Version::new(9, 0, 0)]);
            boundaries.sort();
            let of = |version: &Version| versions.hold_for(boundaries.iter().rfind(|one| *one <= version).unwrap());
            for (major, minor, patch) in (0..5).flat_map(|a| (0..40).flat_map(move |b| (0..9).map(move |c| (a, b, c))))
            {
                let version = Version::new(major, minor, patch);
                assert_eq!(versions.hold_for(&version), of(&version), "{text}: {version}");
            }
        }
    }

    #[test]
    fn a_place_meets_a_requirement_by_kind_and_version() {
        let rows = [
            (Some("Calico"), Some("3.31.7"), true, "inside the range"),
            (Some("calico"), Some("v3.32.1"), true, "as its image is tagged"),
            (Some("Calico"), Some("3.33.0"), false, "the first past the end"),
            (Some("Calico"), Some("3.32.0-0.dev"), true, "a pre-release is taken for its release"),
            (Some("Calico"), Some("3.30.9"), false, "before the beginning"),
            (Some("Calico"), Some("master"), false, "a version that is none"),
            (Some("Calico"), None, false, "a version that is not known"),
            (Some("Cilium"), Some("3.31.0"), false, "another CNI"),
            (None, None, false, "the lab"),
        ];
        let requirement = Requirement { calico: ">=3.31, <3.33".parse().unwrap() };
        for (cni, version, met, why) in rows {
            let facts = [("cni", cni), ("cni-version", version)];
            let facts: BTreeMap<String, String> =
                facts.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))).collect();
            let place = FabricInfo { kind: FabricKind::Cluster, summary: "a place".into(), facts, fault: None };
            assert_eq!(requirement.unmet(&place).is_none(), met, "{why}");
        }
    }
}
