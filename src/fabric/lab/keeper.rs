//! The thread of one world. It moves through the world's network namespaces and starts the agents there, and agents
//! die with it: even if this whole process is killed, nothing of the world stays.

use std::sync::mpsc;
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use super::LabError;
use super::site::Site;

type Work = Box<dyn FnOnce(&mut Site) + Send>;

enum Job {
    Do(Work),
    /// The world was ended; so may the thread.
    End,
}

/// Sends work to a world's thread.
#[derive(Debug, Clone)]
pub(super) struct Keeper {
    jobs: mpsc::Sender<Job>,
}

impl Keeper {
    /// Starts the thread; `make` makes the world on it.
    pub(super) async fn start(
        make: impl FnOnce() -> Result<Site, LabError> + Send + 'static,
    ) -> Result<(Self, JoinHandle<()>), LabError> {
        let (jobs, queue) = mpsc::channel::<Job>();
        let (made, ready) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("lab".into())
            .spawn(move || match make() {
                Ok(mut site) => {
                    if made.send(Ok(())).is_ok() {
                        while let Ok(Job::Do(work)) = queue.recv() {
                            work(&mut site);
                        }
                    }
                    // Whoever wanted to hear of errors has asked for the end before.
                    drop(site.end());
                }
                Err(error) => drop(made.send(Err(error))),
            })
            .map_err(|source| LabError::Thread { name: "lab".into(), source })?;
        match ready.await {
            Ok(Ok(())) => Ok((Self { jobs }, thread)),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(gone()),
        }
    }

    /// Does something with the world, on its thread, and waits for the answer.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Site) -> Result<T, LabError> + Send + 'static,
    ) -> Result<T, LabError> {
        let (answer, answered) = oneshot::channel();
        // Where nobody waits for the answer any more, nobody misses it.
        let work: Work = Box::new(move |site| drop(answer.send(job(site))));
        self.jobs.send(Job::Do(work)).map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }

    /// Tells the thread to end, whoever else may still have work for it.
    pub(super) fn dismiss(&self) -> Result<(), LabError> {
        self.jobs.send(Job::End).map_err(|_| gone())
    }
}

fn gone() -> LabError {
    LabError::Gone { name: "lab".into() }
}
