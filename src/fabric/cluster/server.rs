//! The API server, as this fabric talks to it: objects in and out as they are written, every request counted, and what
//! passes tried again.
//!
//! A request whose answer was lost may have been carried out. So another try of a creation that meets an object with
//! this run's mark takes it for its own, and another try of a deletion that finds nothing has done its work.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::version::Info;
use kube::api::{
    Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams, Preconditions, ValidationDirective,
};
use kube::client::ClientBuilder;
use kube::core::{ApiResource, Request};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::context;
use super::error::{ClusterError, Said, Sort};
use super::mark::{MANAGER, RUN};
use super::pages;

/// How long a server that is away may stay away.
const PATIENCE: Duration = Duration::from_secs(30);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_secs(1);

/// A connection to one cluster's API server. Clones share it.
#[derive(Clone)]
pub struct Server {
    client: kube::Client,
    context: Arc<str>,
    requests: Arc<AtomicU64>,
}

/// Which object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Its namespace; none where its kind has none.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl Place {
    /// An object in a namespace.
    pub fn inside(namespace: &str, name: &str) -> Self {
        Self { namespace: Some(namespace.to_owned()), name: name.to_owned() }
    }

    /// An object of the whole cluster.
    pub fn cluster(name: &str) -> Self {
        Self { namespace: None, name: name.to_owned() }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "`{namespace}/{}`", self.name),
            None => write!(f, "`{}`", self.name),
        }
    }
}

impl Server {
    /// Connects to the cluster of a context, as [`context::choose`] has it.
    ///
    /// # Errors
    /// Where there is no such context, or nobody answers.
    pub async fn connect(asked: Option<&str>) -> Result<(Self, Info), ClusterError> {
        let (config, context) = context::config(asked).await?;
        let requests = Arc::new(AtomicU64::new(0));
        let unreachable =
            |error: &kube::Error| ClusterError::Unreachable { context: context.clone(), source: Said::new(error) };
        let counter = Counter(Arc::clone(&requests));
        let client = ClientBuilder::try_from(config).map_err(|error| unreachable(&error))?.with_layer(&counter).build();
        let server = Self { client, context: context.as_str().into(), requests };
        let version = server.client.apiserver_version().await.map_err(|error| unreachable(&error))?;
        Ok((server, version))
    }

    /// One that talks to whatever is given, for tests.
    #[cfg(test)]
    pub(super) fn with(client: kube::Client) -> Self {
        Self { client, context: "kind-test".into(), requests: Arc::default() }
    }

    /// The client itself, for what needs more than objects: watches, streams, logs.
    pub fn client(&self) -> kube::Client {
        self.client.clone()
    }

    /// The context's name.
    pub fn context(&self) -> &str {
        &self.context
    }

    /// Requests made so far.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Gives an object, if it is there.
    ///
    /// # Errors
    /// Names the request.
    pub async fn get(&self, kind: &ApiResource, place: &Place) -> Result<Option<DynamicObject>, ClusterError> {
        let api = self.api(kind, place.namespace.as_deref());
        match self.persist("reading", kind, place, || api.get(&place.name)).await {
            Err(error) if error.sort() == Some(Sort::NotFound) => Ok(None),
            result => result.map(Some),
        }
    }

    /// All objects of a kind with these labels, in all namespaces.
    ///
    /// # Errors
    /// Names the request.
    pub async fn list(&self, kind: &ApiResource, selector: &str) -> Result<Vec<DynamicObject>, ClusterError> {
        let api = self.api(kind, None);
        let wanted = ListParams { label_selector: Some(selector.to_owned()), ..ListParams::default() };
        let place = Place::cluster("*");
        self.persist("listing", kind, &place, || pages::all(&api, &wanted)).await
    }

    /// All objects of a kind in one namespace.
    ///
    /// # Errors
    /// Names the request.
    pub async fn list_in(&self, kind: &ApiResource, namespace: &str) -> Result<Vec<DynamicObject>, ClusterError> {
        let api = self.api(kind, Some(namespace));
        let (place, wanted) = (Place::inside(namespace, "*"), ListParams::default());
        self.persist("listing", kind, &place, || pages::all(&api, &wanted)).await
    }

    /// All objects of a type, in all namespaces.
    ///
    /// # Errors
    /// Names the request.
    pub async fn list_as<K>(&self) -> Result<Vec<K>, ClusterError>
    where
        K: kube::Resource<DynamicType = ()> + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send,
    {
        let api: Api<K> = Api::all(self.client.clone());
        let (kind, wanted) = (ApiResource::erase::<K>(&()), ListParams::default());
        self.persist("listing", &kind, &Place::cluster("*"), || pages::all(&api, &wanted)).await
    }

    /// Creates an object from its manifest, which carries the run's mark. A field the server does not know is refused,
    /// not dropped.
    ///
    /// # Errors
    /// Names the request; one that met somebody else's object is [`Sort::AlreadyExists`].
    pub async fn create(
        &self,
        kind: &ApiResource,
        place: &Place,
        manifest: &Value,
    ) -> Result<DynamicObject, ClusterError> {
        let api = self.api(kind, place.namespace.as_deref());
        let body = manifest.to_string().into_bytes();
        let tries = AtomicU64::new(0);
        let created = self
            .persist("creating", kind, place, || {
                tries.fetch_add(1, Ordering::Relaxed);
                self.send(Request::new(api.resource_url()).create(&by_us(), body.clone()))
            })
            .await;
        match created {
            Err(error) if tries.into_inner() > 1 && error.sort() == Some(Sort::AlreadyExists) => {
                let run = manifest.pointer("/metadata/labels").and_then(|labels| labels.get(RUN)?.as_str());
                let there = self.get(kind, place).await?;
                let ours = |object: &DynamicObject| {
                    object.metadata.labels.as_ref().and_then(|labels| labels.get(RUN)).map(String::as_str) == run
                };
                there.filter(|object| run.is_some() && ours(object)).ok_or(error)
            }
            created => created,
        }
    }

    /// Puts a manifest in the place of an object of ours: of this UID, and as it was when we last wrote it.
    ///
    /// # Errors
    /// Names the request; [`ClusterError::Taken`] where it is not ours any more.
    pub async fn replace(
        &self,
        kind: &ApiResource,
        place: &Place,
        manifest: &Value,
    ) -> Result<DynamicObject, ClusterError> {
        let api = self.api(kind, place.namespace.as_deref());
        let body = manifest.to_string().into_bytes();
        self.persist("replacing", kind, place, || {
            self.send(Request::new(api.resource_url()).replace(&place.name, &by_us(), body.clone()))
        })
        .await
        .map_err(|error| taken(error, "replacing", kind, place))
    }

    /// Changes parts of an object of ours.
    ///
    /// # Errors
    /// Names the request; [`ClusterError::Taken`] where it is not ours any more.
    pub async fn merge(&self, kind: &ApiResource, place: &Place, patch: &Value) -> Result<DynamicObject, ClusterError> {
        let api = self.api(kind, place.namespace.as_deref());
        let merge = Patch::Merge(patch);
        let params = PatchParams { field_manager: Some(MANAGER.into()), ..PatchParams::default() };
        self.persist("changing", kind, place, || api.patch(&place.name, &params, &merge))
            .await
            .map_err(|error| taken(error, "changing", kind, place))
    }

    /// Deletes the object of this UID, with no more grace than `grace` seconds where that is given. One that is gone
    /// already, or whose name another has taken meanwhile, is none of ours.
    ///
    /// # Errors
    /// Names the request.
    pub async fn delete(
        &self,
        kind: &ApiResource,
        place: &Place,
        uid: &str,
        grace: Option<u32>,
    ) -> Result<(), ClusterError> {
        let api = self.api(kind, place.namespace.as_deref());
        let preconditions = Preconditions { uid: Some(uid.to_owned()), resource_version: None };
        let params = DeleteParams {
            preconditions: Some(preconditions),
            grace_period_seconds: grace,
            ..DeleteParams::background()
        };
        match self.persist("deleting", kind, place, || api.delete(&place.name, &params)).await {
            Err(error) if error.sort() == Some(Sort::NotFound) => Ok(()),
            Err(error) if error.sort() == Some(Sort::Conflict) => match self.get(kind, place).await? {
                Some(object) if object.metadata.uid.as_deref() == Some(uid) => Err(error),
                Some(_) | None => Ok(()),
            },
            result => result.map(|_| ()),
        }
    }

    fn api(&self, kind: &ApiResource, namespace: Option<&str>) -> Api<DynamicObject> {
        match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, kind),
            None => Api::all_with(self.client.clone(), kind),
        }
    }

    /// Sends an object; a field the server does not know is refused.
    async fn send(
        &self,
        request: Result<http::Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Result<DynamicObject, kube::Error> {
        self.client.request(strict(request.map_err(kube::Error::BuildRequest)?)?).await
    }

    /// Tries until it works, fails for good, or the server was away for too long.
    async fn persist<T, F>(
        &self,
        verb: &'static str,
        kind: &ApiResource,
        place: &Place,
        request: impl Fn() -> F + Send + Sync,
    ) -> Result<T, ClusterError>
    where
        F: Future<Output = Result<T, kube::Error>> + Send,
    {
        let give_up = Instant::now() + PATIENCE;
        let mut pause = FIRST_PAUSE;
        loop {
            let said = match request().await {
                Ok(result) => return Ok(result),
                Err(error) => Said::new(&error),
            };
            if said.sort() != Sort::Passing || Instant::now() + pause >= give_up {
                let what = format!("{} {place}", kind.kind);
                return Err(ClusterError::Request { verb, what, source: said });
            }
            sleep(pause).await;
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }
}

fn by_us() -> PostParams {
    PostParams { dry_run: false, field_manager: Some(MANAGER.into()) }
}

/// The client asks for strict validation only when applying.
fn strict<B>(mut request: http::Request<B>) -> Result<http::Request<B>, kube::Error> {
    let uri = request.uri().to_string();
    let joint = if uri.contains('?') { '&' } else { '?' };
    let uri = format!("{uri}{joint}fieldValidation={}", ValidationDirective::Strict.as_str());
    *request.uri_mut() = uri.parse().map_err(|error| kube::Error::HttpError(http::Error::from(error)))?;
    Ok(request)
}

fn taken(error: ClusterError, verb: &'static str, kind: &ApiResource, place: &Place) -> ClusterError {
    match error.sort() {
        Some(Sort::Conflict) => ClusterError::Taken { verb, what: format!("{} {place}", kind.kind) },
        Some(Sort::NotFound | Sort::AlreadyExists | Sort::Forbidden | Sort::Passing | Sort::Lasting) | None => error,
    }
}

/// Counts requests on their way out.
#[derive(Clone)]
struct Counter(Arc<AtomicU64>);

impl<S> tower::Layer<S> for Counter {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Counted<S> {
        Counted { inner, requests: Arc::clone(&self.0) }
    }
}

#[derive(Clone)]
struct Counted<S> {
    inner: S,
    requests: Arc<AtomicU64>,
}

impl<S: tower::Service<R>, R> tower::Service<R> for Counted<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: R) -> S::Future {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.inner.call(request)
    }
}
