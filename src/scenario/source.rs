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
            Self::System(_) | Self::NoFile(_) | Self::Binary { .. } => Code::Unreadable,
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
}
