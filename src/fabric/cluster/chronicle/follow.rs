//! Keeps up with one kind of object, and knows when it was not heard of: a log that did not could not tell quiet from deaf.

use std::collections::{HashMap, HashSet};
use std::fmt::Debug;
use std::time::Duration;

use futures::stream::{BoxStream, StreamExt};
use kube::Resource;
use kube::runtime::watcher::Event;
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use super::hearing::Hearing;
use crate::clock;
use crate::fabric::Happened;
use crate::fabric::cluster::error::{Said, Sort};
use crate::fabric::cluster::watcher::Update;
use crate::model::moment::Moment;

/// What is heard so soon after a gap may have happened in it.
const CATCHING_UP: Duration = Duration::from_secs(1);

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
pub(super) struct Followed<R: Reader> {
    /// In words.
    pub(super) what: String,
    pub(super) updates: BoxStream<'static, Update<R::Object>>,
    pub(super) reader: R,
    /// Hears whether it can be followed, once that is known.
    pub(super) first: oneshot::Sender<Option<Said>>,
}

/// Follows it for as long as it is polled.
pub(super) async fn follow<R: Reader>(followed: Followed<R>, hearing: Hearing) {
    let Followed { what, mut updates, reader, first } = followed;
    let mut ear =
        Ear { what, reader, hearing, known: HashMap::new(), listed: Vec::new(), first: Some(first), catching_up: None };
    while let Some(update) = updates.next().await {
        let now = clock::now();
        match update {
            Update::Open => {
                ear.hears_again(now);
                if let Some(first) = ear.first.take() {
                    // Nobody is waiting any more.
                    let _unheard = first.send(None);
                }
            }
            Update::Event(Event::Init) => ear.listed.clear(),
            Update::Event(Event::InitApply(object)) => ear.listed.push(object),
            Update::Event(Event::InitDone) => ear.take_list(now),
            Update::Event(Event::Apply(object)) => ear.see(&object, now),
            Update::Event(Event::Delete(object)) => ear.miss(&object, now),
            Update::Broken { said, since } => {
                if ear.hopeless(&said) {
                    return;
                }
                ear.hearing.lost(&ear.what, since);
            }
        }
    }
}

struct Ear<R: Reader> {
    what: String,
    reader: R,
    hearing: Hearing,
    /// What is there, by UID.
    known: HashMap<String, R::Facts>,
    /// Objects of a list in progress.
    listed: Vec<R::Object>,
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
    fn take_list(&mut self, now: Moment) {
        self.hears_again(now);
        let mut before = std::mem::take(&mut self.known);
        let listed = std::mem::take(&mut self.listed);
        let there: Vec<(String, R::Facts)> =
            listed.iter().filter_map(|object| Some((uid(object), self.reader.read(object)?))).collect();
        let still: HashSet<&String> = there.iter().map(|(uid, _)| uid).collect();
        let gone: Vec<String> = before.keys().filter(|uid| !still.contains(uid)).cloned().collect();
        for uid in gone {
            self.tell(before.remove(&uid).as_ref(), None, now);
        }
        for (uid, facts) in there {
            self.tell(before.get(&uid), Some(&facts), now);
            self.known.insert(uid, facts);
        }
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
