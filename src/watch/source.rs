//! Where sightings come from.

use std::future::Future;

use tokio::sync::mpsc;

use crate::model::observation::Sighting;

/// A stream of sightings: a channel of them, one by one or in batches, bounded or not.
pub trait Sightings: Send {
    /// Waits for sightings and puts those that are there, some `about` of them, behind what `into` holds. Loses none
    /// when it is dropped while waiting.
    fn next(&mut self, into: &mut Vec<Sighting>, about: usize) -> impl Future<Output = Supply> + Send;
}

/// Whether more may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Supply {
    /// Sightings were taken, and more may come.
    More,
    /// None came, and none will.
    Dry,
}

fn woken(received: usize) -> Supply {
    if received == 0 { Supply::Dry } else { Supply::More }
}

impl Sightings for mpsc::Receiver<Sighting> {
    async fn next(&mut self, into: &mut Vec<Sighting>, about: usize) -> Supply {
        woken(self.recv_many(into, about).await)
    }
}

impl Sightings for mpsc::UnboundedReceiver<Sighting> {
    async fn next(&mut self, into: &mut Vec<Sighting>, about: usize) -> Supply {
        woken(self.recv_many(into, about).await)
    }
}

impl Sightings for mpsc::Receiver<Vec<Sighting>> {
    async fn next(&mut self, into: &mut Vec<Sighting>, _about: usize) -> Supply {
        match self.recv().await {
            Some(batch) => {
                into.extend(batch);
                Supply::More
            }
            None => Supply::Dry,
        }
    }
}

impl Sightings for mpsc::UnboundedReceiver<Vec<Sighting>> {
    async fn next(&mut self, into: &mut Vec<Sighting>, _about: usize) -> Supply {
        match self.recv().await {
            Some(batch) => {
                into.extend(batch);
                Supply::More
            }
            None => Supply::Dry,
        }
    }
}
