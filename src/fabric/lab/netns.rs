//! Network namespaces, held by descriptor: nothing is mounted or named, so nothing can be left behind.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::Arc;

use nix::sched::CloneFlags;

use super::LabError;

/// One network namespace, kept alive by this descriptor and whatever runs inside.
#[derive(Debug, Clone)]
pub(super) struct Netns {
    name: Arc<str>,
    file: Arc<File>,
}

impl Netns {
    /// Makes a new one. The calling thread is inside it from now on, so this belongs on a thread made for it.
    pub(super) fn create(name: &str) -> Result<Self, LabError> {
        nix::sched::unshare(CloneFlags::CLONE_NEWNET).map_err(|errno| LabError::Netns {
            call: "unshare(CLONE_NEWNET)",
            netns: name.to_owned(),
            source: errno.into(),
        })?;
        let file = File::open("/proc/thread-self/ns/net").map_err(|source| LabError::Netns {
            call: "open(/proc/thread-self/ns/net)",
            netns: name.to_owned(),
            source,
        })?;
        Ok(Self { name: name.into(), file: Arc::new(file) })
    }

    /// One that somebody else made.
    pub(super) fn open(name: &str, file: File) -> Self {
        Self { name: name.into(), file: Arc::new(file) }
    }

    /// Moves the calling thread into it, for good or until its next move. Never to be called on a runtime's worker.
    pub(super) fn enter(&self) -> Result<(), LabError> {
        nix::sched::setns(self.file.as_fd(), CloneFlags::CLONE_NEWNET).map_err(|errno| LabError::Netns {
            call: "setns(CLONE_NEWNET)",
            netns: self.name.to_string(),
            source: errno.into(),
        })
    }

    /// Does `work` on a thread inside. A socket made there belongs to this namespace for good, and can be used from
    /// anywhere.
    pub(super) fn inside<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, LabError> {
        let netns = self.clone();
        let thread = std::thread::Builder::new()
            .name(format!("in {}", self.name))
            .spawn(move || netns.enter().map(|()| work()))
            .map_err(|source| LabError::Thread { name: self.name.to_string(), source })?;
        thread.join().map_err(|_| LabError::Gone { name: self.name.to_string() })?
    }

    /// Its name in messages.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The descriptor, for messages to the kernel and for `nsenter`.
    pub(super) fn descriptor(&self) -> RawFd {
        self.file.as_raw_fd()
    }
}

/// Whether a sysctl must be set, or is merely better set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// Without it verdicts would be wrong or slow.
    Must,
    /// A kernel without it does as well, for a while.
    May,
}

/// Sets sysctls of the namespace the calling thread is in; names below `/proc/sys/net/`.
pub(super) fn set(netns: &str, settings: &[(&'static str, &'static str, Need)]) -> Result<(), LabError> {
    for (name, value, need) in settings {
        let written = fs::write(format!("/proc/sys/net/{name}"), value);
        match (written, need) {
            (Ok(()), _) | (Err(_), Need::May) => {}
            (Err(source), Need::Must) => {
                return Err(LabError::Sysctl { name, value, netns: netns.to_owned(), source });
            }
        }
    }
    Ok(())
}

/// Whether this kernel speaks IPv6 at all, as seen from the calling thread's namespace.
pub(super) fn speaks_ipv6() -> bool {
    fs::exists("/proc/sys/net/ipv6/conf/all/forwarding").unwrap_or(false)
}

/// A number from the kernel's settings, as seen from the calling thread's namespace.
pub(super) fn read_number(name: &str) -> io::Result<u64> {
    fs::read_to_string(format!("/proc/sys/net/{name}"))?.trim().parse().map_err(io::Error::other)
}
