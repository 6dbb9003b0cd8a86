//! The folder of one world: its agents' sockets and what they said on stderr. Nobody else may look into it.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::LabError;
use crate::fabric::secret::secret;
use crate::model::endpoint::EndpointId;

const PREFIX: &str = "leakproof-lab-";
/// Locked for as long as the world lives, so that whoever finds the folder later knows whether to clear it away.
const LOCK: &str = "alive";
/// A folder younger than this may have an owner who has not come to lock it yet.
const YOUNG: Duration = Duration::from_secs(30);
/// The longest path of a Unix socket, with its closing zero.
const SOCKET_PATH: usize = 108;

/// A private folder, removed with [`Folder::remove`].
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// Unlocks when it is closed, however the process ends.
    _lock: File,
}

impl Folder {
    /// Makes one among the machine's temporary files, and clears away those of processes that were killed.
    pub(super) fn make() -> Result<Self, LabError> {
        let parent = std::env::temp_dir();
        clear_away(&parent);
        let path = parent.join(format!("{PREFIX}{}", secret().map_err(|source| failed(&parent, source))?));
        let make = || -> io::Result<File> {
            DirBuilder::new().mode(0o700).create(&path)?;
            let lock = File::create(path.join(LOCK))?;
            lock.lock()?;
            Ok(lock)
        };
        let lock = make().map_err(|source| failed(&path, source))?;
        let folder = Self { path, _lock: lock };
        let longest = folder.socket(EndpointId(u32::MAX), "impostor");
        if longest.as_os_str().len() >= SOCKET_PATH {
            let _ = fs::remove_dir_all(&folder.path);
            return Err(LabError::LongPath { path: folder.path });
        }
        Ok(folder)
    }

    /// Where an endpoint's agent listens for the harness.
    pub(super) fn socket(&self, endpoint: EndpointId, role: &str) -> PathBuf {
        self.path.join(format!("{}-{role}.sock", endpoint.0))
    }

    /// Where its stderr goes.
    pub(super) fn log(&self, endpoint: EndpointId, role: &str) -> PathBuf {
        self.path.join(format!("{}-{role}.log", endpoint.0))
    }

    /// Removes it with all that is in it.
    pub(super) fn remove(self) -> Result<(), LabError> {
        fs::remove_dir_all(&self.path).map_err(|source| failed(&self.path, source))
    }
}

fn failed(path: &Path, source: io::Error) -> LabError {
    LabError::Folder { path: path.to_owned(), source }
}

/// Removes folders of ours whose owner is gone. What cannot be removed is left to the next one who tries.
fn clear_away(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let ours = entry.file_name().to_string_lossy().starts_with(PREFIX);
        let Ok(about) = fs::symlink_metadata(entry.path()) else { continue };
        let old = about.modified().is_ok_and(|then| then.elapsed().is_ok_and(|age| age > YOUNG));
        if ours && old && about.is_dir() && about.uid() == nix::unistd::geteuid().as_raw() {
            let abandoned = match File::open(entry.path().join(LOCK)) {
                Ok(lock) => lock.try_lock().is_ok(),
                Err(error) => error.kind() == io::ErrorKind::NotFound,
            };
            if abandoned {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }
}
