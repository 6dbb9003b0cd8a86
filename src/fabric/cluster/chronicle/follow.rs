//! Keeps up with one kind of object: a list, then a watch from there, opened anew whenever it breaks, from where it was.
//!
//! Why not kube's own watcher: it says when a watch broke, and not when it is open again. A log has to know both, or it
//! could not tell quiet from deaf.

use std::collections::HashMap;
use std::fmt::Debug;
use std::time::Duration;

use futures::TryStreamExt;
use kube::Resource;
use kube::api::{Api, ListParams, WatchParams};
use kube::core::WatchEvent;
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use super::hearing::Hearing;
use crate::clock;
use crate::fabric::Happened;
use crate::fabric::cluster::error::{Said, Sort};
use crate::model::moment::Moment;

/// A watch is opened anew after so long, before proxies on the way grow tired of it.
const LIFE_SECONDS: u32 = 280;
/// Pause before the next try; doubled each time, up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(2);
/// An API server that does not even begin to answer within this is away.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// What is heard so soon after a gap may have happened in it.
const CATCHING_UP: Duration = Duration::from_secs(1);
/// A watch that ends within this did not live.
const BRIEF: Duration = Duration::from_secs(1);
/// The API server no longer knows what came after.
const GONE: u16 = 410;

/// Turns one kind of object into sentences.
pub(super) trait Reader: Send + 'static {
    /// The kind.
    type Object: Resource<DynamicType: Send + Sync> + Clone + Debug + DeserializeOwned + Send + Sync + 'static;
    /// What of an object can change in a way that is told.
    type Facts: Clone + PartialEq + Send + Sync;

    /// The facts of an object; none where it is none of ours to tell of.
    fn read(&self, object: &Self::Object) -> Option<Self::Facts>;

    /// What happened, going by what was there before and what is there now: sentences without a time, in order. It is
    /// asked about all there is at the beginning, too.
    fn tell(&mut self, before: Option<&Self::Facts>, after: Option<&Self::Facts>, at: Moment) -> Vec<Happened>;
}

/// What is followed.
pub(super) struct Followed<K> {
    /// In words.
    pub(super) what: String,
    pub(super) api: Api<K>,
    /// Labels that objects must have; empty for all.
    pub(super) selector: String,
    /// Hears whether it can be followed, once that is known.
    pub(super) first: oneshot::Sender<Option<Said>>,
}

/// Follows it for as long as it is polled.
pub(super) async fn follow<R: Reader>(followed: Followed<R::Object>, reader: R, hearing: Hearing) {
    let Followed { what, api, selector, first } = followed;
    let mut ear =
        Ear { what, api, selector, reader, hearing, known: HashMap::new(), first: Some(first), catching_up: None };
    let mut pause = FIRST_PAUSE;
    let mut version = None;
    loop {
        let heard_until = clock::now();
        let result = match version.take() {
            None => ear.list().await,
            Some(version) => ear.watch(version).await,
        };
        match result {
            Ok(next) => {
                // A server that ends every watch at once must not be asked without a pause.
                let rest = |lasted: Duration| if lasted < BRIEF { FIRST_PAUSE } else { Duration::ZERO };
                let lasted = clock::now().since(heard_until);
                match next {
                    Next::FromList(from) => version = Some(from),
                    Next::From(from) => {
                        (version, pause) = (Some(from), FIRST_PAUSE);
                        sleep(rest(lasted)).await;
                    }
                    Next::Anew => sleep(rest(lasted)).await,
                }
            }
            Err(Broke { said, resume, since }) => {
                if ear.hopeless(&said) {
                    return;
                }
                version = resume;
                ear.hearing.lost(&ear.what, since.unwrap_or(heard_until));
                sleep(pause).await;
                pause = (pause * 2).min(LAST_PAUSE);
            }
        }
    }
}

/// How to go on.
enum Next {
    /// Watching from this version on, which a list gave.
    FromList(String),
    /// Watching from this version on.
    From(String),
    /// By a list.
    Anew,
}

/// Why it did not go on.
struct Broke {
    said: Said,
    /// The version to try again from; none: by a list.
    resume: Option<String>,
    /// When it broke; none: it did not begin.
    since: Option<Moment>,
}

struct Ear<R: Reader> {
    what: String,
    api: Api<R::Object>,
    selector: String,
    reader: R,
    hearing: Hearing,
    /// What is there, by UID.
    known: HashMap<String, R::Facts>,
    /// Until all there was at the beginning is known.
    first: Option<oneshot::Sender<Option<Said>>>,
    /// What is heard until then may have happened since.
    catching_up: Option<(Moment, Moment)>,
}

impl<R: Reader> Ear<R> {
    /// Whether it need not be tried again: what is not served or not allowed at the beginning never will be.
    fn hopeless(&mut self, said: &Said) -> bool {
        let for_good = match said.sort() {
            Sort::NotFound | Sort::Forbidden => true,
            Sort::AlreadyExists | Sort::Conflict | Sort::Passing | Sort::Lasting => false,
        };
        match self.first.take() {
            Some(first) if for_good => {
                // Nobody is waiting any more.
                let _unheard = first.send(Some(said.clone()));
                true
            }
            first => {
                self.first = first;
                false
            }
        }
    }

    /// Takes all there is; at the beginning silently, later for what changed meanwhile.
    async fn list(&mut self) -> Result<Next, Broke> {
        let wanted = ListParams { label_selector: self.selector(), ..ListParams::default() };
        let broke = |said| Broke { said, resume: None, since: None };
        let listed = match timeout(ANSWER_WITHIN, self.api.list(&wanted)).await {
            Ok(listed) => listed.map_err(|error| broke(Said::new(&error)))?,
            Err(_) => return Err(broke(Said::text("no answer"))),
        };
        let now = clock::now();
        self.hears_again(now);
        let mut before = std::mem::take(&mut self.known);
        let there: Vec<(String, R::Facts)> =
            listed.items.iter().filter_map(|object| Some((uid(object), self.reader.read(object)?))).collect();
        let gone: Vec<String> =
            before.keys().filter(|uid| !there.iter().any(|(other, _)| other == *uid)).cloned().collect();
        for uid in gone {
            self.tell(before.remove(&uid).as_ref(), None, now);
        }
        for (uid, facts) in there {
            self.tell(before.get(&uid), Some(&facts), now);
            self.known.insert(uid, facts);
        }
        match listed.metadata.resource_version.filter(|version| !version.is_empty()) {
            Some(version) => Ok(Next::FromList(version)),
            None => Err(broke(Said::text("a list without a version cannot be followed"))),
        }
    }

    /// Hears of changes until the watch ends or breaks.
    async fn watch(&mut self, from: String) -> Result<Next, Broke> {
        let mut params = WatchParams::default().timeout(LIFE_SECONDS);
        params.label_selector = self.selector();
        let api = self.api.clone();
        let opened = match timeout(ANSWER_WITHIN, api.watch(&params, &from)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(kube::Error::Api(status))) if status.code == GONE => return Ok(Next::Anew),
            Ok(Err(error)) => return Err(Broke { said: Said::new(&error), resume: Some(from), since: None }),
            Err(_) => return Err(Broke { said: Said::text("no answer"), resume: Some(from), since: None }),
        };
        self.hears_again(clock::now());
        if let Some(first) = self.first.take() {
            let _unheard = first.send(None);
        }
        let mut version = from;
        let mut events = std::pin::pin!(opened);
        loop {
            let event = events.try_next().await;
            let now = clock::now();
            let broke = |said, resume| Err(Broke { said, resume, since: Some(now) });
            match event {
                Ok(Some(WatchEvent::Added(object) | WatchEvent::Modified(object))) => {
                    take_version(&mut version, object.meta().resource_version.as_ref());
                    self.see(&object, now);
                }
                Ok(Some(WatchEvent::Deleted(object))) => {
                    take_version(&mut version, object.meta().resource_version.as_ref());
                    self.miss(&object, now);
                }
                Ok(Some(WatchEvent::Bookmark(mark))) => {
                    take_version(&mut version, Some(&mark.metadata.resource_version));
                }
                Ok(Some(WatchEvent::Error(status))) if status.code == GONE => return Ok(Next::Anew),
                Ok(Some(WatchEvent::Error(status))) => {
                    return broke(Said::new(&kube::Error::Api(status)), Some(version));
                }
                // It has ended, at its own time or with its server: to open it anew tells which.
                Ok(None) => return Ok(Next::From(version)),
                Err(error) => return broke(Said::new(&error), Some(version)),
            }
        }
    }

    fn selector(&self) -> Option<String> {
        (!self.selector.is_empty()).then(|| self.selector.clone())
    }

    fn hears_again(&mut self, now: Moment) {
        if let Some(since) = self.hearing.found(&self.what) {
            self.catching_up = Some((since, now.plus(CATCHING_UP)));
        }
    }

    fn see(&mut self, object: &R::Object, now: Moment) {
        let uid = uid(object);
        let Some(facts) = self.reader.read(object) else { return };
        let before = self.known.insert(uid, facts.clone());
        self.tell(before.as_ref(), Some(&facts), now);
    }

    fn miss(&mut self, object: &R::Object, now: Moment) {
        if let Some(before) = self.known.remove(&uid(object)) {
            self.tell(Some(&before), None, now);
        }
    }

    fn tell(&mut self, before: Option<&R::Facts>, after: Option<&R::Facts>, now: Moment) {
        if before == after {
            return;
        }
        let told = self.reader.tell(before, after, now);
        // All there is at the beginning has not happened just now.
        if self.first.is_some() {
            return;
        }
        let since = self.catching_up.filter(|(_, until)| now <= *until).map(|(since, _)| since);
        for happened in told {
            self.hearing.note(Happened { since, ..happened });
        }
    }
}

fn uid<K: Resource>(object: &K) -> String {
    object.meta().uid.clone().unwrap_or_default()
}

fn take_version(version: &mut String, newer: Option<&String>) {
    if let Some(newer) = newer.filter(|newer| !newer.is_empty()) {
        version.clone_from(newer);
    }
}
