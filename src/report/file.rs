//! Putting a report in the place of a file: the whole report, or the file as it was.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// Why a report could not be saved.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// The new file could not be made beside the old one.
    #[error("create `{path}`")]
    Create {
        /// The file asked for.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// It could not be written in full; a full disk, for instance.
    #[error("write `{path}`; {kept}")]
    Write {
        /// The file asked for.
        path: PathBuf,
        /// What became of what was there before.
        kept: Kept,
        /// The system's error.
        source: io::Error,
    },
    /// It was written, but could not take the place of the old one.
    #[error("replace `{path}`; {kept}")]
    Replace {
        /// The file asked for.
        path: PathBuf,
        /// What became of what was there before.
        kept: Kept,
        /// The system's error.
        source: io::Error,
    },
}

/// What became of what was there before a failed write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// Whatever was there is as it was.
    AsItWas,
    /// A device or pipe, which takes bytes as they come.
    WrittenInPart,
}

impl std::fmt::Display for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::AsItWas => "what was there before is untouched",
            Self::WrittenInPart => "it is no regular file, and may have taken a part",
        })
    }
}

/// Saves what `render` writes. A regular file is replaced in one step once everything is on disk; a link is followed,
/// so that the file it names is replaced and not the link; a device or pipe (`/dev/stdout`) is written straight to.
///
/// # Errors
/// Says at which step and for which file, and what became of what was there.
pub fn save(path: &Path, render: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), SaveError> {
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    match fs::metadata(&target) {
        Ok(there) if !there.is_file() => write_straight(path, render),
        Ok(there) => replace(path, &target, Some(there.permissions()), render),
        Err(_) => replace(path, &target, None, render),
    }
}

fn write_straight(path: &Path, render: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), SaveError> {
    let file = OpenOptions::new()
        .write(true)
        .open(path)
        .map_err(|source| SaveError::Create { path: path.to_owned(), source })?;
    let mut writer = BufWriter::new(file);
    render(&mut writer).and_then(|()| writer.flush()).map_err(|source| SaveError::Write {
        path: path.to_owned(),
        kept: Kept::WrittenInPart,
        source,
    })
}

fn replace(
    asked: &Path,
    target: &Path,
    permissions: Option<fs::Permissions>,
    render: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), SaveError> {
    let beside = beside(target).map_err(|source| SaveError::Create { path: asked.to_owned(), source })?;
    // Dropped on the way to an error, it takes its file with it.
    fill(beside.as_file(), permissions, render).map_err(|source| SaveError::Write {
        path: asked.to_owned(),
        kept: Kept::AsItWas,
        source,
    })?;
    beside.persist(target).map(drop).map_err(|failed| SaveError::Replace {
        path: asked.to_owned(),
        kept: Kept::AsItWas,
        source: failed.error,
    })
}

fn fill(
    file: &File,
    permissions: Option<fs::Permissions>,
    render: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let mut writer = BufWriter::new(file);
    render(&mut writer)?;
    writer.flush()?;
    if let Some(permissions) = permissions {
        file.set_permissions(permissions)?;
    }
    // Some file systems tell of a full disk only here.
    file.sync_all()
}

/// A new file in the same directory, since only there can a file be replaced in one step. It may be read by whom the
/// process's mask says, as any file a program makes.
fn beside(target: &Path) -> io::Result<NamedTempFile> {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let directory = target.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."));
    tempfile::Builder::new()
        .prefix(&format!(".{name}."))
        .suffix(".part")
        .permissions(fs::Permissions::from_mode(0o666))
        .tempfile_in(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run.json");
        fs::write(&path, "old").unwrap();
        let failed = save(&path, |writer| {
            writer.write_all(b"half of the new")?;
            Err(io::Error::from(io::ErrorKind::StorageFull))
        });
        let text = failed.unwrap_err().to_string();
        assert!(text.contains("untouched"), "{text} says what became of the old one");
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(names(directory.path()), ["run.json"], "no part of the new one lies about");
    }

    #[test]
    fn a_good_write_replaces_the_file_a_link_names() {
        let directory = tempfile::tempdir().unwrap();
        let (path, link) = (directory.path().join("run.json"), directory.path().join("latest.json"));
        fs::write(&path, "old").unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        save(&link, |writer| writer.write_all(b"new")).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink(), "the link is still one");
    }

    #[test]
    fn a_full_disk_is_told() {
        let failed = save(Path::new("/dev/full"), |writer| writer.write_all(&[b'x'; 100_000]));
        assert!(matches!(failed, Err(SaveError::Write { kept: Kept::WrittenInPart, .. })), "{failed:?}");
        assert!(fs::metadata("/dev/full").is_ok(), "and the device is still there");
    }

    #[test]
    fn a_directory_that_is_not_there_is_told() {
        let failed = save(Path::new("/nowhere/at/all/run.json"), |_| Ok(()));
        assert!(matches!(failed, Err(SaveError::Create { .. })), "{failed:?}");
    }
}
