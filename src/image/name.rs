//! The name of an image, such that a kubelet finds under it what was loaded under it.

use std::fmt;
use std::str::FromStr;

/// A name with a registry part and a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageName {
    repository: String,
    tag: String,
}

impl ImageName {
    /// The agent's image of this version of leakproof.
    pub fn of_this_version() -> Self {
        Self { repository: "localhost/leakproof-agent".to_owned(), tag: env!("CARGO_PKG_VERSION").to_owned() }
    }

    /// What follows the colon.
    pub fn tag(&self) -> &str {
        &self.tag
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.repository, self.tag)
    }
}

/// Why a name will not do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// No tag.
    #[error("`{0}` has no tag; write `{0}:TAG`")]
    NoTag(String),
    /// The one tag that makes kubelets ask a registry by default.
    #[error("the tag `latest` makes a kubelet ask a registry for an image that was loaded; choose another")]
    Latest,
    /// No registry: then a kubelet looks for it under `docker.io`, where it was not loaded.
    #[error("`{0}` has no registry part, and a kubelet would look for `docker.io/{0}`; write `localhost/{0}`")]
    NoRegistry(String),
    /// Characters that no name has.
    #[error("`{0}` is no image name; use lower-case letters, digits and `.`, `_`, `-` between slashes, and a tag")]
    Characters(String),
}

impl FromStr for ImageName {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        // A colon before the last slash belongs to the registry's port.
        let (repository, tag) = match text.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => (repository, tag),
            Some(_) | None => return Err(BadName::NoTag(text.to_owned())),
        };
        if tag == "latest" {
            return Err(BadName::Latest);
        }
        let (registry, path) = match repository.split_once('/') {
            Some((registry, path)) if registry == "localhost" || registry.contains(['.', ':']) => (registry, path),
            Some(_) | None => return Err(BadName::NoRegistry(text.to_owned())),
        };
        let good = |part: &str, also: &[char]| {
            let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || also.contains(&c);
            part.starts_with(|c: char| c.is_ascii_alphanumeric())
                && part.ends_with(|c: char| c.is_ascii_alphanumeric())
                && part.chars().all(known)
        };
        let tag_is_good = tag.len() <= 128
            && tag.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            && tag.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
        if !tag_is_good
            || !good(registry, &['.', '-', ':'])
            || !path.split('/').all(|part| good(part, &['.', '_', '-']))
        {
            return Err(BadName::Characters(text.to_owned()));
        }
        Ok(Self { repository: repository.to_owned(), tag: tag.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_is_what_pods_ask_for() {
        let asked = crate::fabric::cluster::options::LOCAL_IMAGE;
        assert_eq!(ImageName::of_this_version().to_string(), asked);
        assert_eq!(crate::fabric::cluster::Options::default().image, asked);
    }

    #[test]
    fn names_that_a_kubelet_would_not_find_are_refused() {
        for good in ["localhost/agent:1", "registry.example:5000/team/agent:v1.2_3-x", "quay.io/a/b:0.1.0"] {
            assert_eq!(good.parse::<ImageName>().map(|name| name.to_string()), Ok(good.to_owned()), "{good}");
        }
        assert_eq!(ImageName::of_this_version().to_string().parse(), Ok(ImageName::of_this_version()));
        for (bad, why) in [
            ("localhost/agent", BadName::NoTag("localhost/agent".to_owned())),
            ("registry:5000/agent", BadName::NoTag("registry:5000/agent".to_owned())),
            ("localhost/agent:latest", BadName::Latest),
            ("agent:1", BadName::NoRegistry("agent:1".to_owned())),
            ("team/agent:1", BadName::NoRegistry("team/agent:1".to_owned())),
            ("localhost/Agent:1", BadName::Characters("localhost/Agent:1".to_owned())),
            ("localhost//agent:1", BadName::Characters("localhost//agent:1".to_owned())),
            ("localhost/agent:", BadName::Characters("localhost/agent:".to_owned())),
            ("localhost/agent:a b", BadName::Characters("localhost/agent:a b".to_owned())),
        ] {
            assert_eq!(bad.parse::<ImageName>(), Err(why), "{bad}");
        }
    }
}
