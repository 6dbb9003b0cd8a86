//! Being told to stop: Ctrl-C, SIGTERM, or the end of a person's patience. The run then ends its current wait, tears
//! down, and says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::exit;

/// A cord that many may hold and one pull is enough of.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    token: CancellationToken,
    code: Arc<AtomicU8>,
}

impl Stop {
    /// One that SIGINT and SIGTERM pull. A second signal changes nothing: tear-down goes on, since what it leaves
    /// behind would be worse than the wait.
    pub fn on_signals() -> Self {
        let stop = Self::default();
        for (kind, code) in [(SignalKind::interrupt(), exit::INTERRUPTED), (SignalKind::terminate(), exit::TERMINATED)]
        {
            // Where a handler cannot be installed the signal ends the process, and the kernel removes the lab.
            if let Ok(mut signals) = signal(kind) {
                let stop = stop.clone();
                tokio::spawn(async move {
                    if signals.recv().await.is_some() {
                        stop.pull(code);
                    }
                });
            }
        }
        stop
    }

    /// Pulls it; the first code stays.
    pub fn pull(&self, code: u8) {
        let _ = self.code.compare_exchange(0, code, Ordering::AcqRel, Ordering::Acquire);
        self.token.cancel();
    }

    /// Whether it was pulled.
    pub fn pulled(&self) -> bool {
        self.token.is_cancelled()
    }

    /// The exit code it was pulled with; none while it was not, or where time ran out.
    pub fn code(&self) -> Option<u8> {
        Some(self.code.load(Ordering::Acquire)).filter(|code| *code != 0)
    }

    /// What is cancelled when it is pulled, for those who know nothing of cords.
    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// Waits until it is pulled.
    pub async fn wait(&self) {
        self.token.cancelled().await;
    }

    /// One that is pulled with this one, or alone after `patience`.
    pub fn within(&self, patience: Option<Duration>) -> Self {
        let inner = Self { token: self.token.child_token(), code: Arc::clone(&self.code) };
        if let Some(patience) = patience {
            let token = inner.token.clone();
            tokio::spawn(async move {
                tokio::select! {
                    () = tokio::time::sleep(patience) => token.cancel(),
                    () = token.cancelled() => {}
                }
            });
        }
        inner
    }
}
