//! All agents of a world, led as one.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};

use crate::clock;
use crate::fabric::Dial;
use crate::model::document::AgentInfo;
use crate::model::endpoint::EndpointId;
use crate::model::flow::FlowId;
use crate::model::moment::Moment;
use crate::model::observation::Sighting;
use crate::wire::Serve;

use super::order::{Answer, Order, Unanswered};
use super::report::Report;
use super::session::Session;
use super::sweep::{Planned, SweepPlan, split};
use super::{Absence, Member, ProbeError};

/// How long an agent may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(2);

/// What the crew works under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// This run's secret, which every nonce carries.
    pub secret: u64,
    /// How long to wait for agents to get ready, and for answers to plans.
    pub patience: Duration,
    /// How long an agent may be out of reach before it is lost.
    pub grace: Duration,
}

/// Agents that were greeted and serve.
pub struct Crew {
    dial: Arc<dyn Dial>,
    terms: Terms,
    hands: BTreeMap<EndpointId, Hand>,
    members: BTreeMap<EndpointId, Member>,
    sightings: mpsc::UnboundedSender<Sighting>,
    plans: u64,
    /// Free attempt numbers of cells whose agent was dismissed.
    numbers: HashMap<FlowId, u32>,
    /// What is known of agents that were dismissed.
    dismissed: Vec<(String, Report)>,
}

struct Hand {
    orders: mpsc::UnboundedSender<Order>,
    report: Arc<Mutex<Report>>,
    talk: JoinHandle<HashMap<FlowId, u32>>,
}

/// Whose answer is waited for, and where it will come.
pub(super) type Awaited = (EndpointId, oneshot::Receiver<Result<Moment, Unanswered>>);

/// What it means for an order that an agent is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loss {
    /// The order failed.
    Fails,
    /// Nothing: that the agent is lost is told as a sighting.
    Passes,
}

impl Hand {
    fn report(&self) -> Report {
        self.report.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Crew {
    /// Greets every member's agent and has it listen, all at once. What they see comes through the receiver from then
    /// on; it ends when the crew is disbanded.
    ///
    /// # Errors
    /// When any agent does not come within `terms.patience`, refuses, or cannot listen.
    pub async fn muster(
        dial: Arc<dyn Dial>,
        members: Vec<Member>,
        terms: Terms,
    ) -> Result<(Self, mpsc::UnboundedReceiver<Sighting>), ProbeError> {
        let (sightings, receiver) = mpsc::unbounded_channel();
        let mut crew = Self {
            dial,
            terms,
            hands: BTreeMap::new(),
            members: BTreeMap::new(),
            sightings,
            plans: 0,
            numbers: HashMap::new(),
            dismissed: Vec::new(),
        };
        crew.enlist_all(members).await?;
        Ok((crew, receiver))
    }

    /// Takes one more agent into the crew, for a pod that was added. It has no plan until the next.
    ///
    /// # Errors
    /// As [`Crew::muster`] has them; the crew is as before then.
    pub async fn enlist(&mut self, member: Member) -> Result<(), ProbeError> {
        self.enlist_all(vec![member]).await
    }

    async fn enlist_all(&mut self, members: Vec<Member>) -> Result<(), ProbeError> {
        let mut answers = Vec::new();
        let endpoints: Vec<EndpointId> = members.iter().map(|member| member.endpoint).collect();
        for member in members {
            self.dismiss(member.endpoint).await;
            let (answer, answered) = oneshot::channel();
            let serve = serve(&member, self.terms.secret);
            let hand = self.begin(&member);
            // The session lives as long as the hand.
            let _sent = hand.orders.send(Order::Serve(serve, answer));
            self.hands.insert(member.endpoint, hand);
            answers.push((member.endpoint, answered));
            self.members.insert(member.endpoint, member);
        }
        let result = self.gather(answers, Loss::Fails).await;
        if result.is_err() {
            for endpoint in endpoints {
                self.hands.remove(&endpoint).inspect(|hand| hand.talk.abort());
                self.members.remove(&endpoint);
            }
        }
        result.map(|_| ())
    }

    fn begin(&self, member: &Member) -> Hand {
        let (orders, queue) = mpsc::unbounded_channel();
        let report = Arc::default();
        let session = Session {
            endpoint: member.endpoint,
            token: member.token.clone(),
            dial: Arc::clone(&self.dial),
            grace: self.terms.grace,
            sightings: self.sightings.clone(),
            orders: queue,
            report: Arc::clone(&report),
            clock: clock::now,
            numbers: self.numbers.clone(),
        };
        Hand { orders, report, talk: tokio::spawn(session.talk()) }
    }

    /// Ends the agent of an endpoint that is about to be removed. Its cells' sources make no more attempts; those that
    /// others make on it are theirs to stop, by a new plan.
    pub async fn dismiss(&mut self, endpoint: EndpointId) {
        let Some(hand) = self.hands.remove(&endpoint) else { return };
        let name = self.members.remove(&endpoint).map(|member| member.name).unwrap_or_default();
        let report = Arc::clone(&hand.report);
        let numbers = say_goodbye(hand).await;
        self.numbers.extend(numbers);
        let report = report.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.dismissed.push((name, report));
    }

    /// Changes what one agent says and listens on, as a fault may want it: its name, its ports.
    ///
    /// # Errors
    /// When the agent does not answer or cannot listen.
    pub async fn reassign(&mut self, member: Member) -> Result<(), ProbeError> {
        let Some(hand) = self.hands.get(&member.endpoint) else { return Ok(()) };
        let (answer, answered) = oneshot::channel();
        let _sent = hand.orders.send(Order::Serve(serve(&member, self.terms.secret), answer));
        self.gather(vec![(member.endpoint, answered)], Loss::Fails).await.map(|_| ())
    }

    /// Gives every agent its part of the plan, in place of the plan before. Attempt numbers of each cell run on. Agents
    /// that are lost are passed over: that they are is among the sightings.
    ///
    /// # Errors
    /// When a cell cannot be dialled, or an agent does not answer in time or refuses.
    pub async fn plan(&mut self, plan: &SweepPlan) -> Result<Planned, ProbeError> {
        let id = self.plans + 1;
        let mut parts = split(plan, id, &self.members)?;
        self.plans = id;
        let mut answers = Vec::new();
        for (endpoint, hand) in self.living() {
            let Some(part) = parts.remove(&endpoint) else { continue };
            let (answer, answered) = oneshot::channel();
            let _sent = hand.orders.send(Order::Plan(part, answer));
            answers.push((endpoint, answered));
        }
        let start = self.gather(answers, Loss::Passes).await?;
        Ok(Planned { id, start, swept: start.plus(plan.pace.interval) })
    }

    /// Has every agent make no more attempts; they go on serving.
    ///
    /// # Errors
    /// When an agent does not answer in time.
    pub async fn halt(&mut self) -> Result<(), ProbeError> {
        let answers = self.send_to_each(|_, answer| Order::Halt(answer));
        self.gather_from_living(answers).await.map(|_| ())
    }

    /// Hands whose agents are not lost.
    fn living(&self) -> impl Iterator<Item = (EndpointId, &Hand)> {
        self.hands.iter().filter(|(_, hand)| hand.report().lost.is_none()).map(|(endpoint, hand)| (*endpoint, hand))
    }

    /// Sends every living agent an order.
    pub(super) fn send_to_each(&self, order: impl Fn(EndpointId, Answer) -> Order) -> Vec<Awaited> {
        let send = |(endpoint, hand): (EndpointId, &Hand)| {
            let (answer, answered) = oneshot::channel();
            let _sent = hand.orders.send(order(endpoint, answer));
            (endpoint, answered)
        };
        self.living().map(send).collect()
    }

    pub(super) fn orders_of_the_living(&self) -> impl Iterator<Item = &mpsc::UnboundedSender<Order>> {
        self.living().map(|(_, hand)| &hand.orders)
    }

    /// Waits for the answers to an order that the loss of an agent does not fail.
    pub(super) async fn gather_from_living(&self, answers: Vec<Awaited>) -> Result<Moment, ProbeError> {
        self.gather(answers, Loss::Passes).await
    }

    /// Whether an endpoint has an agent.
    pub fn has(&self, endpoint: EndpointId) -> bool {
        self.members.contains_key(&endpoint)
    }

    /// The id of the next plan, or of what is answered like one.
    pub(super) fn next_plan(&mut self) -> u64 {
        self.plans += 1;
        self.plans
    }

    pub(super) fn members(&self) -> &BTreeMap<EndpointId, Member> {
        &self.members
    }

    pub(super) fn patience(&self) -> Duration {
        self.terms.patience
    }

    pub(super) fn report_of(&self, endpoint: EndpointId) -> Option<Report> {
        self.hands.get(&endpoint).map(Hand::report)
    }

    /// What is known of every agent, those dismissed first; times count from `start`.
    pub fn report(&self, start: Moment) -> Vec<AgentInfo> {
        let dismissed = self.dismissed.iter().map(|(name, report)| report.info(name, start));
        let present = self.hands.iter().filter_map(|(endpoint, hand)| {
            self.members.get(endpoint).map(|member| hand.report().info(&member.name, start))
        });
        dismissed.chain(present).collect()
    }

    /// Ends all agents and gives what is known of them, in order of name; times count from `start`.
    pub async fn disband(mut self, start: Moment) -> Vec<AgentInfo> {
        let mut report = self.report(start);
        report.sort_by(|a, b| a.endpoint.cmp(&b.endpoint));
        join_all(std::mem::take(&mut self.hands).into_values().map(say_goodbye)).await;
        report
    }

    /// Leaves the agents where they are, serving but attempting nothing, for a person to look at; gives what is known of
    /// them as [`Crew::disband`] does.
    pub async fn leave(mut self, start: Moment) -> Vec<AgentInfo> {
        // One that does not answer stops when its plan expires.
        let _unanswered = self.halt().await;
        let mut report = self.report(start);
        report.sort_by(|a, b| a.endpoint.cmp(&b.endpoint));
        report
    }

    /// Waits for all answers; gives the latest moment among them.
    async fn gather(&self, answers: Vec<Awaited>, loss: Loss) -> Result<Moment, ProbeError> {
        let until = Instant::now() + self.terms.patience;
        let waits = answers
            .into_iter()
            .map(|(endpoint, answered)| async move { (endpoint, timeout_at(until, answered).await) });
        let mut missing = Vec::new();
        let mut latest = Moment(0);
        for (endpoint, answer) in join_all(waits).await {
            let name = || self.members.get(&endpoint).map(|member| member.name.clone()).unwrap_or_default();
            let problem = || self.hands.get(&endpoint).and_then(|hand| hand.report().problem);
            match answer {
                Ok(Ok(Ok(at))) => latest = latest.max(at),
                Ok(Ok(Err(Unanswered::Refused(why)))) => return Err(ProbeError::Refused { name: name(), why }),
                Ok(Ok(Err(Unanswered::NotServing(failed)))) => {
                    let failed = failed.into_iter().next();
                    if let Some((port, error)) = failed {
                        return Err(ProbeError::NotServing { name: name(), port, error });
                    }
                }
                Ok(Ok(Err(Unanswered::Lost(why)))) => match loss {
                    Loss::Fails => missing.push(Absence { name: name(), problem: Some(why) }),
                    Loss::Passes => {}
                },
                Ok(Err(_)) | Err(_) => missing.push(Absence { name: name(), problem: problem() }),
            }
        }
        if missing.is_empty() {
            return Ok(latest);
        }
        Err(match loss {
            Loss::Fails => ProbeError::Absent(missing),
            Loss::Passes => ProbeError::Unanswered(missing),
        })
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        // Only after an early end: agents on this machine end with us, those in pods with their plan.
        self.hands.values().for_each(|hand| hand.talk.abort());
    }
}

fn serve(member: &Member, secret: u64) -> Serve {
    let addresses = member.addresses.iter().collect();
    Serve { name: member.name.clone(), secret, addresses, ports: member.ports.clone() }
}

async fn say_goodbye(mut hand: Hand) -> HashMap<FlowId, u32> {
    let _sent = hand.orders.send(Order::End);
    match timeout(GOODBYE, &mut hand.talk).await {
        Ok(Ok(numbers)) => numbers,
        Ok(Err(_)) | Err(_) => {
            hand.talk.abort();
            HashMap::new()
        }
    }
}
