//! What a system call's error says about an attempt.

use std::io;

use nix::errno::Errno;

use crate::model::observation::{Failure, Outcome, Refusal};

/// What an attempt was doing when the error came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    /// `socket`.
    Opening,
    /// `bind` to a source address and port.
    Binding,
    /// `connect`, until the handshake is done; for a datagram until its answer comes.
    Connecting,
    /// Question and answer on a connection that came about.
    Asking,
}

impl Doing {
    fn call(self) -> &'static str {
        match self {
            Self::Opening => "socket",
            Self::Binding => "bind",
            Self::Connecting => "connect",
            Self::Asking => "exchange",
        }
    }
}

/// What the error makes of the attempt.
pub fn classify(doing: Doing, error: &io::Error) -> Outcome {
    let Some(code) = error.raw_os_error() else {
        return failed(doing, error);
    };
    match Errno::from_raw(code) {
        Errno::ECONNREFUSED => refused(Refusal::Refused),
        Errno::EACCES | Errno::EPERM => match doing {
            Doing::Connecting | Doing::Asking => refused(Refusal::Prohibited),
            // No packet was sent: this is the agent's own lack of rights.
            Doing::Opening | Doing::Binding => failed(doing, error),
        },
        Errno::ECONNRESET | Errno::EPIPE => refused(Refusal::Reset),
        // The kernel itself gave up: nothing came back.
        Errno::ETIMEDOUT => match doing {
            Doing::Connecting => Outcome::Silent,
            Doing::Asking => Outcome::HalfOpen,
            Doing::Opening | Doing::Binding => failed(doing, error),
        },
        errno @ (Errno::ENETUNREACH | Errno::EHOSTUNREACH | Errno::EHOSTDOWN | Errno::ENETDOWN | Errno::ENONET) => {
            Outcome::Unreachable { error: errno.desc().to_owned() }
        }
        errno @ (Errno::EPROTONOSUPPORT
        | Errno::ESOCKTNOSUPPORT
        | Errno::EAFNOSUPPORT
        | Errno::EPFNOSUPPORT
        | Errno::ENOPROTOOPT) => Outcome::Unsupported { what: errno.desc().to_owned() },
        Errno::EMFILE
        | Errno::ENFILE
        | Errno::ENOBUFS
        | Errno::ENOMEM
        | Errno::EADDRNOTAVAIL
        | Errno::EADDRINUSE
        | Errno::EAGAIN => Outcome::Failed { why: Failure::Exhausted { error: said(doing, error) } },
        // Errno is not ours, and what is not listed says nothing about the network.
        _ => failed(doing, error),
    }
}

/// Whether a lack of descriptors or memory ended the call, which passes.
pub fn is_exhaustion(error: &io::Error) -> bool {
    error.raw_os_error().is_some_and(|code| {
        matches!(Errno::from_raw(code), Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM)
    })
}

/// Whether the kernel lacks what was asked for.
pub fn is_unsupported(error: &io::Error) -> bool {
    matches!(classify(Doing::Opening, error), Outcome::Unsupported { .. })
}

fn refused(how: Refusal) -> Outcome {
    Outcome::Refused { how }
}

fn failed(doing: Doing, error: &io::Error) -> Outcome {
    Outcome::Failed { why: Failure::Other { error: said(doing, error) } }
}

fn said(doing: Doing, error: &io::Error) -> String {
    format!("{}: {error}", doing.call())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Eq)]
    enum Sort {
        Silent,
        HalfOpen,
        Refused(Refusal),
        Unreachable,
        Unsupported,
        Exhausted,
        Other,
    }

    fn sort(outcome: &Outcome) -> Sort {
        match outcome {
            Outcome::Silent => Sort::Silent,
            Outcome::HalfOpen => Sort::HalfOpen,
            Outcome::Refused { how } => Sort::Refused(*how),
            Outcome::Unreachable { .. } => Sort::Unreachable,
            Outcome::Unsupported { .. } => Sort::Unsupported,
            Outcome::Failed { why: Failure::Exhausted { .. } } => Sort::Exhausted,
            Outcome::Failed { .. } | Outcome::Reached | Outcome::SomeoneElse { .. } | Outcome::Translated { .. } => {
                Sort::Other
            }
        }
    }

    #[test]
    fn errors_say_what_they_say_and_no_more() {
        use Doing::{Asking, Binding, Connecting, Opening};
        for (doing, errno, expected, sentence) in [
            (Connecting, Errno::ECONNREFUSED, Sort::Refused(Refusal::Refused), "a reset in answer to SYN is a refusal"),
            (Connecting, Errno::EACCES, Sort::Refused(Refusal::Prohibited), "an administrative prohibition is one too"),
            (Asking, Errno::EPERM, Sort::Refused(Refusal::Prohibited), "a filter on our own output prohibits"),
            (Binding, Errno::EACCES, Sort::Other, "a port we may not bind says nothing about the network"),
            (Asking, Errno::ECONNRESET, Sort::Refused(Refusal::Reset), "a reset after the handshake is told apart"),
            (Connecting, Errno::ETIMEDOUT, Sort::Silent, "the kernel waited longer than we would have"),
            (Asking, Errno::ETIMEDOUT, Sort::HalfOpen, "the handshake had been done"),
            (Connecting, Errno::EHOSTUNREACH, Sort::Unreachable, "no neighbour is never a denial"),
            (Connecting, Errno::ENETUNREACH, Sort::Unreachable, "no route is never a denial"),
            (Opening, Errno::EPROTONOSUPPORT, Sort::Unsupported, "a kernel without the protocol"),
            (Opening, Errno::EAFNOSUPPORT, Sort::Unsupported, "a kernel without the family"),
            (Opening, Errno::EMFILE, Sort::Exhausted, "no descriptor is our failure, not a denial"),
            (Connecting, Errno::EADDRNOTAVAIL, Sort::Exhausted, "no source port left"),
            (Connecting, Errno::EAGAIN, Sort::Exhausted, "the kernel had no room for it"),
            (Connecting, Errno::EINVAL, Sort::Other, "what we do not know says nothing"),
        ] {
            let outcome = classify(doing, &io::Error::from_raw_os_error(errno as i32));
            assert_eq!(sort(&outcome), expected, "{sentence}");
        }
    }
}
