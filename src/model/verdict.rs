//! Allowed or denied, and who says so.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What should happen to, or did happen to, a connection. There is no third verdict: what could not be seen has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The connection comes about.
    Allowed,
    /// It does not.
    Denied,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
        })
    }
}

/// What the author wrote about a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Intent {
    /// An `expect:` entry covers the flow.
    Stated(Verdict),
    /// None does; meaning judges alone.
    Unstated,
}

impl Intent {
    /// The verdict, where one was stated.
    pub fn verdict(self) -> Option<Verdict> {
        match self {
            Self::Stated(verdict) => Some(verdict),
            Self::Unstated => None,
        }
    }
}

/// What the policies say about a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Meaning {
    /// The oracle knows every policy that could touch the flow.
    Known(Verdict),
    /// A policy of a kind the oracle does not know could touch it.
    Unknown,
}

impl Meaning {
    /// The verdict, where it is known.
    pub fn verdict(self) -> Option<Verdict> {
        match self {
            Self::Known(verdict) => Some(verdict),
            Self::Unknown => None,
        }
    }
}

/// In what form a denial has to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DenyForm {
    /// Silence only.
    Drop,
    /// A rejection only.
    Reject,
    /// Either; a rejection is shown as a warning, since at the socket it looks like a closed port.
    #[default]
    Either,
}
