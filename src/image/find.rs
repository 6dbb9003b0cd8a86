//! The agent that was built for this machine: beside this program, or where `ci/agent-image` builds it.

use std::path::{Path, PathBuf};

use super::platform::Platform;
use super::{ImageError, elf};

const PROGRAM: &str = "leakproof-agent";

/// Finds the first binary that could run in an image. An ordinary build leaves a dynamic one beside this program, so
/// one that does not fit is passed over, and only told of where there is no other.
///
/// # Errors
/// Says where it could have been, and how to build it.
pub fn beside(program: &Path, platform: Platform) -> Result<PathBuf, ImageError> {
    let mut seen = Vec::new();
    for place in places(program, platform) {
        match std::fs::read(&place) {
            Ok(bytes) => match elf::check(&bytes, platform) {
                Ok(()) => return Ok(place),
                Err(unfit) => seen.push((place, Some(unfit))),
            },
            Err(_) => seen.push((place, None)),
        }
    }
    Err(ImageError::NotBuilt { platform, seen })
}

fn places(program: &Path, platform: Platform) -> Vec<PathBuf> {
    let Some(folder) = program.parent() else { return Vec::new() };
    let built = Path::new("agent-image").join(platform.target()).join("agent");
    let mut places = vec![folder.join(PROGRAM)];
    // `target/debug/leakproof` has `target/agent-image` for an uncle.
    places.extend(folder.parent().map(|target| target.join(built).join(PROGRAM)));
    places
}
