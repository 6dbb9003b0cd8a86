//! Control streams to agents in pods: one port-forward each, through the API server and the kubelet.
//!
//! Why not exec of a bridging command: a port-forward is carried by the container runtime, which connects to 127.0.0.1
//! *inside the pod's network namespace*. No policy engine sees that packet, no process is started for it in the pod, and
//! nothing of it counts against the pod's limits. An exec costs a process per stream and a second program path in the
//! image, and its websocket was seen to drop output; it takes longer to open (figures: `docs/cluster.md`).
//!
//! A stream may break at any time, with the API server, the kubelet or the runtime. The session that uses it dials anew,
//! and no record is lost.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::Pod;
use kube::api::Api;

use super::error::Said;
use super::server::{Place, Server};
use crate::fabric::{Dial, Stream};
use crate::model::endpoint::EndpointId;

/// Where every agent is. Clones share the list.
#[derive(Clone)]
pub(super) struct Doors {
    server: Server,
    doors: Arc<Mutex<BTreeMap<EndpointId, Door>>>,
}

/// Where one agent is.
#[derive(Debug, Clone)]
struct Door {
    place: Place,
    port: u16,
}

impl Doors {
    /// None yet.
    pub(super) fn new(server: &Server) -> Self {
        Self { server: server.clone(), doors: Arc::default() }
    }

    /// An agent has come.
    pub(super) fn add(&self, endpoint: EndpointId, place: Place, port: u16) {
        self.lock().insert(endpoint, Door { place, port });
    }

    /// It has gone.
    pub(super) fn remove(&self, endpoint: EndpointId) {
        self.lock().remove(&endpoint);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<EndpointId, Door>> {
        // Nothing panics while holding it, and if it did the list would be no less true.
        self.doors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn open(&self, endpoint: EndpointId) -> io::Result<Box<dyn Stream>> {
        let door = self.lock().get(&endpoint).cloned();
        let door = door.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no such agent"))?;
        let api: Api<Pod> = Api::namespaced(self.server.client(), door.place.namespace.as_deref().unwrap_or_default());
        let said = |error: &kube::Error| {
            io::Error::other(format!("forwarding port {} of pod {}: {}", door.port, door.place, Said::new(error)))
        };
        let mut forwarder = api.portforward(&door.place.name, &[door.port]).await.map_err(|error| said(&error))?;
        // The forwarder's task lives as long as the stream does; when the stream is dropped it sends what is left and ends.
        let stream = forwarder.take_stream(door.port);
        stream.map(|stream| Box::new(stream) as Box<dyn Stream>).ok_or_else(|| io::Error::other("no stream"))
    }
}

impl Dial for Doors {
    fn dial(&self, endpoint: EndpointId) -> BoxFuture<'_, io::Result<Box<dyn Stream>>> {
        self.open(endpoint).boxed()
    }
}
