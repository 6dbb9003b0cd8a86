//! Control streams to agents: Unix sockets in the world's folder, which no network namespace and no policy touches.

use std::collections::BTreeMap;
use std::io;
use std::net::Shutdown;
use std::os::unix::net::UnixStream as Plain;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep};

use crate::fabric::{Dial, Stream};
use crate::model::endpoint::EndpointId;

/// An agent makes its socket's file a moment before it listens there.
const PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(1);

/// Whether streams may have to be cut from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Streams {
    /// No: whoever opens one alone decides how long it lives.
    #[default]
    Whole,
    /// Yes: a second handle is kept on each agent's latest.
    Cuttable,
}

/// Where every agent listens. Clones share the list.
#[derive(Debug, Clone, Default)]
pub(super) struct Doors {
    streams: Streams,
    doors: Arc<Mutex<BTreeMap<EndpointId, Door>>>,
}

#[derive(Debug)]
struct Door {
    path: PathBuf,
    answered: Answered,
    /// A second handle on the stream in use, where it may have to be cut.
    latest: Option<Plain>,
}

/// Whether the agent ever took a stream: one that did and now refuses is not about to come up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answered {
    Never,
    Once,
}

impl Doors {
    /// None yet.
    pub(super) fn new(streams: Streams) -> Self {
        Self { streams, doors: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<EndpointId, Door>> {
        // Nothing panics while holding it, and if it did the list would be no less true.
        self.doors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An agent has come.
    pub(super) fn add(&self, endpoint: EndpointId, path: PathBuf) {
        self.lock().insert(endpoint, Door { path, answered: Answered::Never, latest: None });
    }

    /// It has gone.
    pub(super) fn remove(&self, endpoint: EndpointId) {
        self.lock().remove(&endpoint);
    }

    /// Cuts the latest stream to an agent.
    pub(super) fn cut(&self, endpoint: EndpointId) {
        let latest = self.lock().get_mut(&endpoint).and_then(|door| door.latest.take());
        if let Some(stream) = latest {
            // One that its user has closed already needs no cutting.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn path(&self, endpoint: EndpointId) -> io::Result<(PathBuf, Answered)> {
        let doors = self.lock();
        let door = doors.get(&endpoint).ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no such agent"))?;
        Ok((door.path.clone(), door.answered))
    }

    async fn open(&self, endpoint: EndpointId) -> io::Result<Box<dyn Stream>> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (path, answered) = self.path(endpoint)?;
            match UnixStream::connect(&path).await {
                Ok(stream) => {
                    let stream = stream.into_std()?;
                    if let Some(door) = self.lock().get_mut(&endpoint) {
                        door.answered = Answered::Once;
                        door.latest = match self.streams {
                            Streams::Whole => None,
                            Streams::Cuttable => Some(stream.try_clone()?),
                        };
                    }
                    return Ok(Box::new(UnixStream::from_std(stream)?));
                }
                Err(error) => {
                    let early = matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused);
                    if answered == Answered::Once || !early || Instant::now() >= deadline {
                        return Err(error);
                    }
                    sleep(PAUSE).await;
                }
            }
        }
    }
}

impl Dial for Doors {
    fn dial(&self, endpoint: EndpointId) -> BoxFuture<'_, io::Result<Box<dyn Stream>>> {
        self.open(endpoint).boxed()
    }
}
