//! Where files come from: the disk, or a list in memory for tests.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::diagnostic::Code;

/// The biggest file that is read, in bytes.
pub const MAX_FILE: u64 = 4 * 1024 * 1024;

/// Gives the content of files.
pub trait Source {
    /// Reads one file whole.
    ///
    /// # Errors
    /// Where there is none, or none that can be a scenario or a manifest.
    fn read(&self, path: &Path) -> Result<String, ReadError>;

    /// The manifest files at or below a folder, by path in byte order: names that end in `.yaml`, `.yml` or `.json`.
    /// Nothing where `path` is no folder.
    ///
    /// # Errors
    /// Where a folder cannot be listed, or a link leads to a folder: links could lead in a circle.
    fn list(&self, path: &Path) -> Result<Vec<PathBuf>, ReadError>;
}

/// Whether a file's name is that of a manifest, as kubectl has it.
fn is_manifest(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "yaml" || e == "yml" || e == "json")
}

/// Why a file was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The system said so.
    #[error("{0}")]
    System(#[from] std::io::Error),
    /// A folder, a pipe, a device.
    #[error("it is {0}, not a file")]
    NoFile(&'static str),
    /// Over [`MAX_FILE`].
    #[error("it is larger than {} MiB", MAX_FILE / 1024 / 1024)]
    TooLarge,
    /// A folder behind a link, below a folder that is read.
    #[error("`{}` is a link to a folder, which is not followed: name that folder itself", .0.display())]
    LinkedFolder(PathBuf),
    /// No text.
    #[error("it is not UTF-8 text: byte {at} is not part of a character")]
    Binary {
        /// The first byte that is not part of a character, counted from 0.
        at: usize,
    },
}

impl ReadError {
    /// The sort of trouble this is.
    pub fn code(&self) -> Code {
        match self {
            Self::TooLarge => Code::TooLarge,
            Self::System(_) | Self::NoFile(_) | Self::LinkedFolder(_) | Self::Binary { .. } => Code::Unreadable,
        }
    }
}

/// The files of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disk;

impl Source for Disk {
    fn read(&self, path: &Path) -> Result<String, ReadError> {
        // Asked before opening: opening a pipe waits for its other end.
        let about = std::fs::metadata(path)?;
        if about.is_dir() {
            return Err(ReadError::NoFile("a folder"));
        }
        if !about.is_file() {
            return Err(ReadError::NoFile("a pipe or device"));
        }
        if about.len() > MAX_FILE {
            return Err(ReadError::TooLarge);
        }
        let mut bytes = Vec::new();
        // A file may grow while it is read, and some claim to be empty.
        std::fs::File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_FILE {
            return Err(ReadError::TooLarge);
        }
        String::from_utf8(bytes).map_err(|e| ReadError::Binary { at: e.utf8_error().valid_up_to() })
    }

    fn list(&self, path: &Path) -> Result<Vec<PathBuf>, ReadError> {
        // An empty path is the current folder, of a scenario that was named without one.
        let named = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        if !named.is_dir() {
            return Ok(Vec::new());
        }
        let mut files = Vec::new();
        let mut folders = vec![path.to_owned()];
        while let Some(folder) = folders.pop() {
            let open = if folder.as_os_str().is_empty() { Path::new(".") } else { folder.as_path() };
            for entry in std::fs::read_dir(open)? {
                let entry = entry?;
                let found = folder.join(entry.file_name());
                let kind = entry.file_type()?;
                if kind.is_dir() {
                    folders.push(found);
                } else if kind.is_symlink() && found.is_dir() {
                    return Err(ReadError::LinkedFolder(found));
                } else if is_manifest(&found) {
                    files.push(found);
                }
            }
        }
        files.sort();
        Ok(files)
    }
}

/// Files that are only in memory.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    files: BTreeMap<PathBuf, String>,
}

impl Memory {
    /// Adds a file.
    #[must_use]
    pub fn with(mut self, path: impl Into<PathBuf>, content: impl Into<String>) -> Self {
        self.files.insert(path.into(), content.into());
        self
    }
}

impl Source for Memory {
    fn read(&self, path: &Path) -> Result<String, ReadError> {
        let content = self.files.get(path);
        let content = content.ok_or_else(|| ReadError::System(std::io::ErrorKind::NotFound.into()))?;
        if content.len() as u64 > MAX_FILE {
            return Err(ReadError::TooLarge);
        }
        Ok(content.clone())
    }

    fn list(&self, path: &Path) -> Result<Vec<PathBuf>, ReadError> {
        let below = |file: &&PathBuf| file.as_path() != path && file.starts_with(path) && is_manifest(file);
        Ok(self.files.keys().filter(below).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_a_scenario_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        // Sparse: it takes no room.
        std::fs::File::create(path("big")).unwrap().set_len(100 * 1024 * 1024).unwrap();
        std::fs::write(path("binary"), b"version: \xff").unwrap();
        std::fs::write(path("good"), "version: 1").unwrap();
        nix::unistd::mkfifo(&path("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let rows = [
            ("big", "it is larger than 4 MiB"),
            ("binary", "it is not UTF-8 text: byte 9 is not part of a character"),
            ("pipe", "it is a pipe or device, not a file"),
            (".", "it is a folder, not a file"),
            ("missing", "No such file or directory (os error 2)"),
        ];
        for (name, why) in rows {
            assert_eq!(Disk.read(&path(name)).unwrap_err().to_string(), why, "{name}");
        }
        assert_eq!(Disk.read(&path("good")).unwrap(), "version: 1");
    }

    #[test]
    fn a_folder_gives_its_manifests_in_order_and_follows_no_link_to_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(path("b/c")).unwrap();
        for name in ["z.yaml", "b/c/x.json", "b/y.yml", "b/notes.md", "a.yaml"] {
            std::fs::write(path(name), "").unwrap();
        }
        let expected = ["a.yaml", "b/c/x.json", "b/y.yml", "z.yaml"].map(path);
        assert_eq!(Disk.list(folder.path()).unwrap(), expected);
        assert_eq!(Disk.list(&path("a.yaml")).unwrap(), Vec::<PathBuf>::new(), "a file is no folder");
        std::os::unix::fs::symlink(folder.path(), path("b/circle")).unwrap();
        let refused = Disk.list(folder.path()).unwrap_err().to_string();
        assert!(refused.contains("b/circle` is a link to a folder"), "{refused}");
    }
}
