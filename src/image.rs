//! The agent's image: static binaries in, an OCI archive out, without Docker or any other container tool.
//!
//! One archive holds one image for several platforms, the same program built for each. The same binaries give the same
//! bytes, so that an archive can be compared, cached and signed.
//!
//! - [`platform`], [`name`]: the words of an image
//! - [`elf`]: whether a binary can run in an image that holds nothing else
//! - [`find`]: the agent that was built for this machine
//! - `archive`: the files that make an image, and their order

mod archive;
pub mod elf;
pub mod find;
pub mod name;
pub mod platform;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use elf::Unfit;
use name::ImageName;
use platform::Platform;

/// How to build a binary that fits. An explicit target keeps the flags away from build scripts and macros, which cannot
/// be linked like this; a folder of its own keeps the build from throwing other builds away.
pub const BUILD: &str = "RUSTFLAGS='-C target-feature=+crt-static' cargo build --no-default-features \
    --bin leakproof-agent --profile agent --target TARGET --target-dir target/agent-image";

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// A binary could not be read.
    #[error("read the agent's binary `{path}`")]
    Read {
        /// Which.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A binary is not one that runs in an empty image of its platform.
    #[error("`{path}` cannot be the agent for {platform}: {unfit}{}", cure(unfit, *platform))]
    Unfit {
        /// Which.
        path: PathBuf,
        /// What it was given for.
        platform: Platform,
        /// What is wrong with it.
        unfit: Unfit,
    },
    /// Two binaries for one platform.
    #[error("two binaries are given for {platform}: `{first}` and `{second}`")]
    Twice {
        /// Which platform.
        platform: Platform,
        /// The one given first.
        first: PathBuf,
        /// The one given after it.
        second: PathBuf,
    },
    /// Nobody built an agent for this machine.
    #[error("no static agent for {platform} was found{}; build one with `{}`, or name one with \
        `--binary {platform}=PATH`", looked(seen), build(*platform))]
    NotBuilt {
        /// This machine's platform.
        platform: Platform,
        /// Where it could have been, and what is wrong with what is there.
        seen: Vec<(PathBuf, Option<Unfit>)>,
    },
    /// Images are not made for a machine like this one, so there is no default.
    #[error(
        "no image can be made for this machine's processor (`{processor}`); name a binary for a platform with \
        `--binary PLATFORM=PATH`, where PLATFORM is one of {}",
        Platform::list()
    )]
    Processor {
        /// As Rust calls it.
        processor: &'static str,
    },
}

/// The command that builds an agent for a platform.
fn build(platform: Platform) -> String {
    BUILD.replace("TARGET", platform.target())
}

fn cure(unfit: &Unfit, platform: Platform) -> String {
    match unfit {
        Unfit::Dynamic { .. } => format!("; build it with `{}`", build(platform)),
        Unfit::NotElf | Unfit::Damaged | Unfit::NotRunnable { .. } | Unfit::Machine { .. } => String::new(),
    }
}

fn looked(seen: &[(PathBuf, Option<Unfit>)]) -> String {
    let places: Vec<String> = seen
        .iter()
        .map(|(path, unfit)| match unfit {
            Some(unfit) => format!("`{}`, but {unfit}", path.display()),
            None => format!("no `{}`", path.display()),
        })
        .collect();
    if places.is_empty() { String::new() } else { format!(" (there is {})", places.join("; ")) }
}

/// An image that can be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    name: ImageName,
    binaries: BTreeMap<Platform, Vec<u8>>,
}

impl Image {
    /// Reads the binaries, and refuses what would not run.
    ///
    /// # Errors
    /// Says which binary, and what is wrong with it.
    pub fn read(name: ImageName, binaries: &[(Platform, PathBuf)]) -> Result<Self, ImageError> {
        let mut from: BTreeMap<Platform, &Path> = BTreeMap::new();
        let mut read = BTreeMap::new();
        for (platform, path) in binaries {
            if let Some(first) = from.insert(*platform, path) {
                return Err(ImageError::Twice { platform: *platform, first: first.into(), second: path.clone() });
            }
            let bytes = std::fs::read(path).map_err(|source| ImageError::Read { path: path.clone(), source })?;
            elf::check(&bytes, *platform).map_err(|unfit| ImageError::Unfit {
                path: path.clone(),
                platform: *platform,
                unfit,
            })?;
            read.insert(*platform, bytes);
        }
        Ok(Self { name, binaries: read })
    }

    /// Writes the archive: what `kind load image-archive`, `ctr images import` and `docker load` take.
    ///
    /// # Errors
    /// Where the archive cannot be written.
    pub fn write(&self, to: &mut dyn Write) -> io::Result<()> {
        archive::write(&self.name, &self.binaries, to)
    }

    /// Its name.
    pub fn name(&self) -> &ImageName {
        &self.name
    }

    /// Its platforms, and how many bytes the binary for each has.
    pub fn platforms(&self) -> impl Iterator<Item = (Platform, usize)> {
        self.binaries.iter().map(|(platform, bytes)| (*platform, bytes.len()))
    }
}

#[cfg(test)]
mod tests;
