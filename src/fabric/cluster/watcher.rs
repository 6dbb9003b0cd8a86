//! Follows all objects of one kind with kube's watcher: it lists them page by page, watches from the version of the list,
//! and opens the watch again from where it was when the watch ends or breaks.
//!
//! kube's watcher says when a watch broke. It does not say when the watch is open again, it opens a watch that ended in
//! order without any pause, and it waits without end for an answer. So each watcher gets a client of its own, whose
//! requests are seen on their way: see [`Seen`].

use std::fmt::Debug;
use std::task::{Context, Poll};
use std::time::Duration;

use backon::ExponentialBuilder;
use futures::future::BoxFuture;
use futures::stream::{BoxStream, StreamExt};
use kube::api::Api;
use kube::client::Body;
use kube::runtime::utils::ResetTimerBackoff;
use kube::runtime::watcher::{self, Event, ExponentialBackoff};
use kube::{Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep_until, timeout};

use super::error::{Said, Sort};
use super::pages::PAGE;
use crate::clock;
use crate::model::moment::Moment;

/// A watch is opened anew after so long, before proxies on the way grow tired of it.
const LIFE_SECONDS: u32 = 280;
/// An API server that does not even begin to answer within this is away.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// A page of a list is here within this once the API server began to answer.
const PAGE_WITHIN: Duration = Duration::from_secs(30);
/// A watch is opened no sooner than this after the one before: a server that ends every watch at once is asked five times
/// a second, and not as fast as it can answer.
const BETWEEN_WATCHES: Duration = Duration::from_millis(200);
/// Pause after an error; doubled each time, up to the last. kube's own last pause is 30 s: too long for a log of events
/// around a short outage of an API server.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(2);
/// The pause is the first one again after so long without an error.
const CALM: Duration = Duration::from_secs(10);

/// What became known of the objects of a kind.
#[derive(Debug)]
pub(super) enum Update<K> {
    /// The server accepted a watch: changes are heard of from now on.
    Open,
    /// What a list or a watch says.
    Event(Event<K>),
    /// A list or a watch failed; the next one begins by itself.
    Broken {
        /// Why.
        said: Said,
        /// Changes are not heard of since then.
        since: Moment,
    },
}

/// Follows the objects with these labels; with all where `selector` is empty. The stream does not end.
pub(super) fn watch<K>(
    client: &Client,
    api: impl FnOnce(Client) -> Api<K>,
    selector: &str,
) -> BoxStream<'static, Update<K>>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let (told, requests) = unbounded_channel();
    let seen = Seen { client: client.clone(), next_watch: Instant::now(), told };
    let api = api(Client::new(seen, client.default_namespace()));
    let config = watcher::Config {
        label_selector: (!selector.is_empty()).then(|| selector.to_owned()),
        ..watcher::Config::default().timeout(LIFE_SECONDS).page_size(PAGE)
    };
    let pauses = ExponentialBuilder::new()
        .with_min_delay(FIRST_PAUSE)
        .with_max_delay(LAST_PAUSE)
        .with_jitter()
        .without_max_times();
    let followed = Followed {
        events: watcher::watcher(api.clone(), config.clone()).boxed(),
        api,
        config,
        requests,
        asked: clock::now(),
        held_back: None,
        backoff: ResetTimerBackoff::new(pauses.into(), CALM),
        pause_until: Instant::now(),
    };
    futures::stream::unfold(followed, |mut followed| async { Some((followed.next().await, followed)) }).boxed()
}

struct Followed<K> {
    api: Api<K>,
    config: watcher::Config,
    events: BoxStream<'static, watcher::Result<Event<K>>>,
    requests: UnboundedReceiver<Request>,
    /// When the last request was made.
    asked: Moment,
    /// What the watcher said in the same moment as a watch was opened.
    held_back: Option<watcher::Result<Event<K>>>,
    backoff: ResetTimerBackoff<ExponentialBackoff>,
    pause_until: Instant,
}

impl<K: Resource + Clone + Debug + DeserializeOwned + Send + 'static> Followed<K> {
    async fn next(&mut self) -> Update<K> {
        if let Some(event) = self.held_back.take() {
            return self.read(event);
        }
        sleep_until(self.pause_until).await;
        loop {
            tokio::select! {
                biased;
                Some(request) = self.requests.recv() => if self.take(request) {
                    return Update::Open;
                },
                event = self.events.next() => {
                    let Some(event) = event else {
                        self.begin_anew();
                        continue;
                    };
                    let mut opened = false;
                    while let Ok(request) = self.requests.try_recv() {
                        opened |= self.take(request);
                    }
                    if opened {
                        self.held_back = Some(event);
                        return Update::Open;
                    }
                    return self.read(event);
                }
            }
        }
    }

    /// Whether it is a watch that was opened.
    fn take(&mut self, request: Request) -> bool {
        match request {
            Request::Asked(at) => {
                self.asked = at;
                false
            }
            Request::Opened => true,
        }
    }

    fn read(&mut self, event: watcher::Result<Event<K>>) -> Update<K> {
        let error = match event {
            Ok(event) => return Update::Event(event),
            Err(error) => error,
        };
        let now = clock::now();
        let (said, since) = match error {
            watcher::Error::WatchStartFailed(error) => {
                // kube's watcher asks for this version again and again. A server that knows it no longer, or allows lists
                // and no watches, is asked for a list.
                let said = Said::new(&error);
                if said.sort() != Sort::Passing {
                    self.begin_anew();
                }
                (said, self.asked)
            }
            watcher::Error::InitialListFailed(error) => (Said::new(&error), self.asked),
            watcher::Error::WatchFailed(error) => (Said::new(&error), now),
            watcher::Error::WatchError(status) => (Said::new(&kube::Error::Api(status)), now),
            watcher::Error::NoResourceVersion => {
                (Said::text("a list without a version cannot be followed"), self.asked)
            }
        };
        self.pause_until = Instant::now() + self.backoff.next().unwrap_or(LAST_PAUSE);
        Update::Broken { said, since }
    }

    fn begin_anew(&mut self) {
        self.events = watcher::watcher(self.api.clone(), self.config.clone()).boxed();
    }
}

/// What is seen of the requests of a watcher.
enum Request {
    /// One is made.
    Asked(Moment),
    /// The server accepted a watch.
    Opened,
}

/// Passes requests on: tells when they are made and when a watch is open, keeps watches apart, and gives up on a server
/// that does not answer.
struct Seen {
    client: Client,
    next_watch: Instant,
    told: UnboundedSender<Request>,
}

impl tower::Service<http::Request<Body>> for Seen {
    type Response = http::Response<Body>;
    type Error = tower::BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        // The client within queues for itself.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let is_watch = request.uri().query().is_some_and(|query| query.split('&').any(|part| part == "watch=true"));
        let mut begin = Instant::now();
        if is_watch {
            begin = begin.max(self.next_watch);
            self.next_watch = begin + BETWEEN_WATCHES;
        }
        let (client, told) = (self.client.clone(), self.told.clone());
        // Nobody is listening any more where it cannot be told.
        let _unheard = told.send(Request::Asked(clock::now()));
        Box::pin(async move {
            sleep_until(begin).await;
            let response =
                timeout(ANSWER_WITHIN, client.send(request)).await.map_err(|_| "the API server does not answer")??;
            if is_watch {
                if response.status().is_success() {
                    let _unheard = told.send(Request::Opened);
                }
                return Ok(response);
            }
            let (head, body) = response.into_parts();
            let page = timeout(PAGE_WITHIN, body.collect_bytes())
                .await
                .map_err(|_| "the API server stopped amid its answer")??;
            Ok(http::Response::from_parts(head, Body::from(page)))
        })
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;
    use serde_json::json;

    use super::*;
    use crate::fabric::cluster::fake::Fake;

    type Updates = BoxStream<'static, Update<Pod>>;

    fn pod(fake: &Fake, name: &str) {
        fake.put(("pods", Some("there"), name), json!({ "metadata": { "name": name, "namespace": "there" } }));
    }

    fn follow(fake: &Fake) -> Updates {
        watch(&fake.client(), Api::<Pod>::all, "")
    }

    /// In words: `open`, `broken: WHY`, `init`, `listed NAME`, `done`, `apply NAME`, `delete NAME`.
    fn in_words(update: &Update<Pod>) -> String {
        let name = |pod: &Pod| pod.metadata.name.clone().unwrap();
        match update {
            Update::Open => "open".into(),
            Update::Broken { said, .. } => format!("broken: {said}"),
            Update::Event(Event::Init) => "init".into(),
            Update::Event(Event::InitApply(pod)) => format!("listed {}", name(pod)),
            Update::Event(Event::InitDone) => "done".into(),
            Update::Event(Event::Apply(pod)) => format!("apply {}", name(pod)),
            Update::Event(Event::Delete(pod)) => format!("delete {}", name(pod)),
        }
    }

    /// All updates up to one.
    async fn until(updates: &mut Updates, last: &str) -> Vec<String> {
        let (end, mut all) = (Instant::now() + Duration::from_secs(60), Vec::new());
        while all.last().is_none_or(|update| update != last) {
            let update = tokio::time::timeout_at(end, updates.next()).await;
            let Ok(Some(update)) = update else { panic!("no `{last}` after {all:?}") };
            all.push(in_words(&update));
        }
        all
    }

    /// Lets time pass, and gives what was heard meanwhile.
    async fn during(updates: &mut Updates, time: Duration) -> Vec<String> {
        let (end, mut all) = (Instant::now() + time, Vec::new());
        while let Ok(Some(update)) = tokio::time::timeout_at(end, updates.next()).await {
            all.push(in_words(&update));
        }
        all
    }

    #[tokio::test(start_paused = true)]
    async fn changes_are_heard_of_once_and_a_watch_that_ends_at_once_is_not_asked_for_without_a_pause() {
        let fake = Fake::new();
        pod(&fake, "old");
        let mut updates = follow(&fake);
        assert_eq!(until(&mut updates, "open").await, ["init", "listed old", "done", "open"]);
        let heard = during(&mut updates, Duration::from_secs(10)).await;
        assert!(heard.iter().all(|update| update == "open"), "{heard:?}");
        let watches = fake.count(&["/api/v1/pods", "watch=true"]);
        assert!((40..=52).contains(&watches), "five a second: {watches}");
        assert_eq!(fake.count(&["/api/v1/pods"]) - watches, 1, "one list");

        pod(&fake, "new");
        fake.drop(("pods", Some("there"), "old"));
        let heard = during(&mut updates, Duration::from_secs(1)).await;
        let changes: Vec<&String> = heard.iter().filter(|update| *update != "open").collect();
        assert_eq!(changes, ["apply new", "delete old"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_version_that_the_server_forgot_leads_to_a_list_however_it_says_so() {
        for late in [false, true] {
            let fake = Fake::new();
            pod(&fake, "stays");
            pod(&fake, "goes");
            let mut updates = follow(&fake);
            until(&mut updates, "open").await;
            {
                let mut inside = fake.inside();
                inside.objects.retain(|(_, _, name), _| name != "goes");
                (inside.forgetful, inside.forgets_late) = (true, late);
            }
            let heard = until(&mut updates, "done").await;
            assert!(heard.ends_with(&["init".into(), "listed stays".into(), "done".into()]), "late {late}: {heard:?}");
            assert!(heard.iter().any(|update| update.contains("410")), "late {late}: {heard:?}");
            // As long as it forgets everything at once, it is not asked as fast as it can answer.
            let before = fake.inside().asked.len();
            during(&mut updates, Duration::from_secs(20)).await;
            let asked = fake.inside().asked.len() - before;
            assert!(asked < 60, "late {late}: {asked} requests in 20 s");

            fake.inside().forgetful = false;
            until(&mut updates, "done").await;
            pod(&fake, "new");
            until(&mut updates, "apply new").await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_of_several_pages_is_whole_even_where_a_page_expired() {
        let fake = Fake::new();
        let names = ["a", "b", "c", "d", "e"];
        names.iter().for_each(|name| pod(&fake, name));
        (fake.inside().page, fake.inside().expired_pages) = (Some(2), 1);
        let heard = until(&mut follow(&fake), "done").await;
        let begin = heard.iter().rposition(|update| update == "init").unwrap();
        let listed: Vec<String> = names.iter().map(|name| format!("listed {name}")).collect();
        assert_eq!(heard[begin + 1..heard.len() - 1], listed);
        assert!(heard[..begin].iter().any(|update| update.contains("410")), "one page was refused: {heard:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_is_away_or_mute_is_told_and_heard_of_again() {
        let fake = Fake::new();
        let mut updates = follow(&fake);
        until(&mut updates, "open").await;
        fake.inside().away = true;
        let before = fake.inside().asked.len();
        let heard = during(&mut updates, Duration::from_secs(60)).await;
        let asked = fake.inside().asked.len() - before;
        assert!(heard.iter().any(|update| update.contains("503")), "{heard:?}");
        assert!((15..=60).contains(&asked), "every two to four seconds at last: {asked}");
        fake.inside().away = false;
        assert!(until(&mut updates, "open").await.len() < 10);

        fake.inside().mute = true;
        until(&mut updates, "broken: the API server does not answer").await;
        fake.inside().mute = false;
        until(&mut updates, "open").await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_be_listed_and_not_watched_is_listed_again() {
        let fake = Fake::new();
        pod(&fake, "goes");
        fake.inside().unwatchable = vec!["pods"];
        let mut updates = follow(&fake);
        assert_eq!(until(&mut updates, "done").await, ["init", "listed goes", "done"]);
        fake.drop(("pods", Some("there"), "goes"));
        let heard = until(&mut updates, "done").await;
        assert!(!heard.iter().any(|update| update == "listed goes" || update == "open"), "{heard:?}");
    }
}
