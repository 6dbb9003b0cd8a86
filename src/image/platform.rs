//! What a binary was built for, in the words of container images.

use std::fmt;
use std::str::FromStr;

/// An operating system and processor that agents are built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Platform {
    /// 64-bit Intel and AMD.
    Amd64,
    /// 64-bit Arm.
    Arm64,
}

/// All there are.
const ALL: [Platform; 2] = [Platform::Amd64, Platform::Arm64];

impl Platform {
    /// The operating system, as images name it.
    pub const OS: &'static str = "linux";

    /// This machine's, or what Rust calls its processor where no image can be made for it.
    ///
    /// # Errors
    /// Where agents are not built for such a processor.
    pub fn of_this_machine() -> Result<Self, &'static str> {
        match std::env::consts::ARCH {
            "x86_64" => Ok(Self::Amd64),
            "aarch64" => Ok(Self::Arm64),
            other => Err(other),
        }
    }

    /// The processor, as images name it.
    pub fn architecture(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// What cargo builds for it.
    pub fn target(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64-unknown-linux-gnu",
            Self::Arm64 => "aarch64-unknown-linux-gnu",
        }
    }

    /// All platforms, for a message.
    pub fn list() -> String {
        ALL.map(|platform| format!("`{platform}`")).join(", ")
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Self::OS, self.architecture())
    }
}

/// Not a platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no platform; there are {list}", list = Platform::list())]
pub struct UnknownPlatform(pub String);

impl FromStr for Platform {
    type Err = UnknownPlatform;

    fn from_str(text: &str) -> Result<Self, UnknownPlatform> {
        ALL.into_iter().find(|platform| platform.to_string() == text).ok_or_else(|| UnknownPlatform(text.to_owned()))
    }
}
