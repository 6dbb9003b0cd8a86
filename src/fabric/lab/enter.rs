//! Gaining, without root, the right to make network namespaces.
//!
//! A process that enters a user namespace of its own may do in it what only root may do outside: make network
//! namespaces, links, routes and packet filters. The kernel lets only a single-threaded process in, so this is called
//! first thing in `main`, before any runtime.

use std::fs;
use std::io;
use std::path::Path;

use nix::sched::CloneFlags;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{getegid, geteuid};

/// Proof that this process may make network namespaces; only [`enter`] gives it.
#[derive(Debug, Clone, Copy)]
pub struct Entered {
    pub(super) way: Way,
    pub(super) descriptors: u64,
}

/// How the right was gained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// In a user namespace of our own, without root.
    UserNamespace,
    /// The kernel refused that, but we are root, who needs none.
    Root,
}

/// Why this machine lets nobody make a lab. The text names the system call and the setting that would allow it.
#[derive(Debug, thiserror::Error)]
pub enum EnterError {
    /// The kernel gives no user namespace, or no network namespace in it.
    #[error("unshare(CLONE_NEWUSER | CLONE_NEWNET): this machine gives no namespaces of our own: {advice}")]
    Unshare {
        /// What would allow it.
        advice: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The namespace was given, but not the right to be its root.
    #[error("writing `{file}`: the user namespace cannot be used: {advice}")]
    Map {
        /// Which file.
        file: &'static str,
        /// What would allow it.
        advice: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// We are in, but the rights that should come with it are withheld.
    #[error("unshare(CLONE_NEWNET): inside a user namespace, still no network namespaces: {advice}")]
    Withheld {
        /// What would allow it.
        advice: String,
        /// What the kernel said.
        source: io::Error,
    },
}

/// Raises the limit on open files, and enters a user namespace and an empty network namespace: from then on nothing
/// this process does can touch the machine's own network. Must be called while the process has one thread.
///
/// # Errors
/// Names the system call that was refused and the setting that would allow it.
pub fn enter() -> Result<Entered, EnterError> {
    let descriptors = raise_descriptors();
    let (uid, gid) = (geteuid(), getegid());
    match nix::sched::unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET) {
        Ok(()) => {
            write("/proc/self/setgroups", "deny")?;
            write("/proc/self/uid_map", &format!("0 {uid} 1"))?;
            write("/proc/self/gid_map", &format!("0 {gid} 1"))?;
            // Where a security module withholds the rights, everything up to here succeeds; ask for one more
            // namespace now, so that the refusal is told here and not far away.
            nix::sched::unshare(CloneFlags::CLONE_NEWNET)
                .map_err(|errno| EnterError::Withheld { advice: advice(), source: errno.into() })?;
            Ok(Entered { way: Way::UserNamespace, descriptors })
        }
        Err(_) if uid.is_root() && nix::sched::unshare(CloneFlags::CLONE_NEWNET).is_ok() => {
            Ok(Entered { way: Way::Root, descriptors })
        }
        Err(errno) => Err(EnterError::Unshare { advice: advice(), source: errno.into() }),
    }
}

fn write(file: &'static str, text: &str) -> Result<(), EnterError> {
    fs::write(file, text).map_err(|source| EnterError::Map { file, advice: advice(), source })
}

/// The limit that holds afterwards. A lab of many pods needs some descriptors for each; too low a limit is met later,
/// by an error that says so.
fn raise_descriptors() -> u64 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return 0 };
    if setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() { hard } else { soft }
}

/// Reads what the machine's settings say, and names the one that is in the way; all of them where none says so.
fn advice() -> String {
    advise(|name| fs::read_to_string(Path::new("/proc/sys").join(name)).ok().map(|text| text.trim().to_owned()))
}

fn advise(setting: impl Fn(&str) -> Option<String>) -> String {
    const ROOT: &str = "or run leakproof as root";
    if setting("kernel/unprivileged_userns_clone").as_deref() == Some("0") {
        return format!("allow them with `sysctl kernel.unprivileged_userns_clone=1`, {ROOT}");
    }
    if setting("user/max_user_namespaces").as_deref() == Some("0") {
        return format!("allow them with `sysctl user.max_user_namespaces=10000`, {ROOT}");
    }
    if setting("user/max_net_namespaces").as_deref() == Some("0") {
        return "allow network namespaces with `sysctl user.max_net_namespaces=10000`".into();
    }
    if setting("kernel/apparmor_restrict_unprivileged_userns").as_deref() == Some("1") {
        return format!("allow them with `sysctl kernel.apparmor_restrict_unprivileged_userns=0`, {ROOT}");
    }
    format!(
        "no sysctl forbids it, so a security module or a container's seccomp profile does \
         (Docker: `--security-opt seccomp=unconfined`); allow the calls unshare and setns there, {ROOT}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_advice_names_the_setting_that_is_in_the_way() {
        let rows = [
            ("kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone=1", "Debian's own switch"),
            ("user/max_user_namespaces", "0", "user.max_user_namespaces=10000", "none may be made"),
            ("user/max_net_namespaces", "0", "user.max_net_namespaces=10000", "users, but no networks"),
            (
                "kernel/apparmor_restrict_unprivileged_userns",
                "1",
                "kernel.apparmor_restrict_unprivileged_userns=0",
                "Ubuntu since 24.04",
            ),
            ("user/max_user_namespaces", "96343", "seccomp", "nothing in sight forbids it"),
        ];
        for (name, value, expected, why) in rows {
            let advice = advise(|asked| (asked == name).then(|| value.to_owned()));
            assert!(advice.contains(expected), "{why}: {advice}");
        }
    }
}
