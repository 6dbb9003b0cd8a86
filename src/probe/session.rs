//! The conversation with one agent: goes on when its stream breaks, until the agent is lost or dismissed.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use crate::fabric::Dial;
use crate::model::endpoint::EndpointId;
use crate::model::flow::FlowId;
use crate::model::moment::Moment;
use crate::model::observation::Sighting;
use crate::model::port::Port;
use crate::wire::{FromAgent, HeldEnd, HeldReport, PROTOCOL, Record, ServedReport, ToAgent};

use super::offset::ClockOffset;
use super::order::{HeldBy, Order, Unanswered};
use super::report::Report;
use super::stream::{Hear, Speak, StreamError, apart};
use super::translate::translate;

/// Pings come this often until the clock is known,
const FIRST_PINGS: Duration = Duration::from_millis(20);
/// and this often afterwards.
const PINGS: Duration = Duration::from_secs(1);
/// So many exchanges make the clock known.
const KNOWN: usize = 5;
/// A stream on which nothing was answered for so long is dead.
const DEAD: Duration = Duration::from_secs(5);
/// The first wait before a stream is made anew; doubled each time, up to the last.
const FIRST_WAIT: Duration = Duration::from_millis(20);
/// The longest.
const LAST_WAIT: Duration = Duration::from_secs(1);
/// Attempt numbers that an agent may have used without our hearing of it, when it starts a new life.
const UNHEARD: u32 = 1 << 20;

/// What a session is begun with.
pub struct Session {
    /// Whose agent.
    pub endpoint: EndpointId,
    /// What to show it.
    pub token: String,
    /// The way to it.
    pub dial: Arc<dyn Dial>,
    /// How long it may be out of reach before it is lost.
    pub grace: Duration,
    /// Where sightings go.
    pub sightings: mpsc::UnboundedSender<Sighting>,
    /// What it is to do.
    pub orders: mpsc::UnboundedReceiver<Order>,
    /// What is known of it, for others to read.
    pub report: Arc<Mutex<Report>>,
    /// The harness's clock.
    pub clock: fn() -> Moment,
    /// The attempts' numbers that are free, from an earlier life of the agent.
    pub numbers: HashMap<FlowId, u32>,
}

/// Why one stream ended.
#[derive(Debug)]
enum End {
    /// It broke; another may be made.
    Broken(String),
    /// There is no use in another.
    Lost(String),
    /// The conversation is over.
    Over,
}

impl From<StreamError> for End {
    fn from(error: StreamError) -> Self {
        Self::Broken(error.to_string())
    }
}

/// What goes on from stream to stream.
struct Talk {
    session: Session,
    /// Orders not yet carried out; the first may be under way.
    todo: VecDeque<Order>,
    underway: Underway,
    offset: ClockOffset,
    life: Option<u64>,
    /// The next record wanted.
    next_record: u64,
    /// The watermarks given out last, on the harness's clock.
    marks: (Moment, Moment),
    pings: VecDeque<(u64, Moment)>,
    next_ping: u64,
    /// When the agent was last heard.
    heard: Instant,
}

/// Whether the first order of the list was sent on this stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Underway {
    No,
    Yes,
    /// Sent; done when this ping is answered.
    UntilPong(u64),
}

impl Session {
    /// Talks with the agent until it is lost or the order to end comes. Gives the attempts' numbers that are free for
    /// another life of the same endpoint's agent.
    pub async fn talk(self) -> HashMap<FlowId, u32> {
        let now = (self.clock)();
        let mut talk = Talk {
            session: self,
            todo: VecDeque::new(),
            underway: Underway::No,
            offset: ClockOffset::default(),
            life: None,
            next_record: 0,
            marks: (now, now),
            pings: VecDeque::new(),
            next_ping: 0,
            heard: Instant::now(),
        };
        talk.go_on().await;
        talk.session.numbers.values_mut().for_each(|next| *next = next.saturating_add(UNHEARD));
        talk.session.numbers
    }
}

impl Talk {
    async fn go_on(&mut self) {
        let mut wait = FIRST_WAIT;
        loop {
            let before = self.heard;
            match self.one_stream().await {
                End::Over => return,
                End::Lost(why) => return self.mourn(why).await,
                End::Broken(why) => {
                    if self.heard.elapsed() >= self.session.grace {
                        let why = format!("out of reach for {:?}: {why}", self.session.grace);
                        return self.mourn(why).await;
                    }
                    self.report().problem = Some(why);
                }
            }
            self.underway = Underway::No;
            self.pings.clear();
            if self.heard > before {
                wait = FIRST_WAIT;
            }
            let give_up = self.heard + self.session.grace;
            let until = (Instant::now() + wait).min(give_up);
            if self.idle(until).await.is_err() {
                return;
            }
            wait = (wait * 2).min(LAST_WAIT);
        }
    }

    /// Waits without a stream, and still takes orders.
    async fn idle(&mut self, until: Instant) -> Result<(), ()> {
        loop {
            tokio::select! {
                () = sleep_until(until) => return Ok(()),
                order = self.session.orders.recv() => self.note(order).map_err(|_over| ())?,
            }
        }
    }

    fn note(&mut self, order: Option<Order>) -> Result<(), End> {
        match order {
            Some(Order::End) | None => Err(End::Over),
            Some(order) => {
                self.todo.push_back(order);
                Ok(())
            }
        }
    }

    async fn one_stream(&mut self) -> End {
        let dialled = {
            let dial = Arc::clone(&self.session.dial);
            let endpoint = self.session.endpoint;
            let dialling = timeout(DEAD, async move { dial.dial(endpoint).await });
            tokio::pin!(dialling);
            loop {
                tokio::select! {
                    dialled = &mut dialling => break dialled,
                    order = self.session.orders.recv() => if let Err(end) = self.note(order) { return end },
                }
            }
        };
        let (hear, speak) = match dialled {
            Ok(Ok(stream)) => apart(stream),
            Ok(Err(error)) => return End::Broken(error.to_string()),
            Err(_elapsed) => return End::Broken(format!("no stream within {DEAD:?}")),
        };
        self.converse(hear, speak).await.unwrap_or_else(|end| end)
    }

    async fn converse(&mut self, mut hear: Hear, mut speak: Speak) -> Result<End, End> {
        self.greet(&mut hear, &mut speak).await?;
        let mut next_ping = Instant::now();
        let mut dead = Instant::now() + DEAD;
        loop {
            self.begin_next(&mut speak).await?;
            tokio::select! {
                message = hear.hear() => {
                    let message = message?;
                    self.heard = Instant::now();
                    dead = self.heard + DEAD;
                    self.take(message)?;
                }
                order = self.session.orders.recv() => {
                    if let Err(end) = self.note(order) {
                        // The agent may be gone already: then it has ended, which is what was wanted.
                        let _gone = say(&mut speak, &ToAgent::Exit).await;
                        return Ok(end);
                    }
                }
                () = sleep_until(next_ping) => {
                    self.ping(&mut speak).await?;
                    let known = self.offset.exchanges() >= KNOWN;
                    next_ping = Instant::now() + if known { PINGS } else { FIRST_PINGS };
                }
                () = sleep_until(dead) => return Err(End::Broken(format!("nothing heard for {DEAD:?}"))),
            }
        }
    }

    async fn greet(&mut self, hear: &mut Hear, speak: &mut Speak) -> Result<(), End> {
        let token = self.session.token.clone();
        let sent = (self.session.clock)();
        say(speak, &ToAgent::Hello { protocol: PROTOCOL, token, resume: self.next_record }).await?;
        let heard = timeout(DEAD, hear.hear()).await.map_err(|_| End::Broken(format!("no answer within {DEAD:?}")))?;
        match heard? {
            FromAgent::Welcome { protocol, version, life, clock, oldest } => {
                if protocol != PROTOCOL {
                    return Err(End::Lost(format!("agent {version} speaks protocol {protocol}, not {PROTOCOL}")));
                }
                if self.life.is_some_and(|known| known != life) {
                    return Err(End::Lost("the agent was started anew: its records are gone".to_owned()));
                }
                if self.life.replace(life).is_some() {
                    self.report().reconnects += 1;
                }
                self.learn(sent, clock);
                // What it dropped it owns up to in a record of its own.
                self.next_record = self.next_record.max(oldest);
                self.heard = Instant::now();
                Ok(())
            }
            FromAgent::Refused { why } => Err(End::Lost(format!("the agent refused: {why}"))),
            FromAgent::Serving { .. }
            | FromAgent::Planned { .. }
            | FromAgent::Holding { .. }
            | FromAgent::Held { .. }
            | FromAgent::Pong { .. }
            | FromAgent::Records { .. } => Err(End::Broken("the agent did not greet first".to_owned())),
        }
    }

    /// Sends the next order, if none is under way.
    async fn begin_next(&mut self, speak: &mut Speak) -> Result<(), End> {
        if self.underway != Underway::No {
            return Ok(());
        }
        match self.todo.front_mut() {
            None => Ok(()),
            Some(Order::Serve(serve, _)) => {
                self.underway = Underway::Yes;
                say(speak, &ToAgent::Serve(serve.clone())).await
            }
            Some(Order::Plan(plan, _)) => {
                for cell in &mut plan.cells {
                    cell.first_number = self.session.numbers.get(&FlowId(cell.cell)).copied().unwrap_or(0);
                }
                self.underway = Underway::Yes;
                say(speak, &ToAgent::Plan(plan.clone())).await
            }
            Some(Order::Hold(hold, _)) => {
                self.underway = Underway::Yes;
                say(speak, &ToAgent::Hold(hold.clone())).await
            }
            Some(Order::Report(id, _)) => {
                self.underway = Underway::Yes;
                say(speak, &ToAgent::Report { id: *id }).await
            }
            Some(Order::Halt(_)) => {
                // There is no answer to a halt; but what is asked after it is answered after it.
                self.underway = Underway::UntilPong(self.next_ping);
                say(speak, &ToAgent::Halt).await?;
                self.ping(speak).await
            }
            Some(Order::End) => Err(End::Over),
        }
    }

    async fn ping(&mut self, speak: &mut Speak) -> Result<(), End> {
        let id = self.next_ping;
        self.next_ping += 1;
        self.pings.push_back((id, (self.session.clock)()));
        say(speak, &ToAgent::Ping { id, acknowledged: self.next_record }).await
    }

    fn take(&mut self, message: FromAgent) -> Result<(), End> {
        match message {
            FromAgent::Welcome { .. } => Err(End::Broken("the agent greeted twice".to_owned())),
            FromAgent::Refused { why } => match self.underway {
                // It closes the stream now, and goes on with what it did before.
                Underway::Yes => {
                    self.answer(Err(Unanswered::Refused(why.clone())));
                    Err(End::Broken(why))
                }
                Underway::No | Underway::UntilPong(_) => Err(End::Broken(why)),
            },
            FromAgent::Serving { failed, lacks } => {
                let failed: Vec<_> = failed.into_iter().filter(|(port, _)| !lacks.contains(&lack(*port))).collect();
                let now = (self.session.clock)();
                self.answer(if failed.is_empty() { Ok(now) } else { Err(Unanswered::NotServing(failed)) });
                Ok(())
            }
            FromAgent::Planned { id, start } => {
                if matches!(self.todo.front(), Some(Order::Plan(plan, _)) if plan.id == id) {
                    self.answer(Ok(self.ours(start)));
                }
                Ok(())
            }
            FromAgent::Holding { id } => {
                if matches!(self.todo.front(), Some(Order::Hold(hold, _)) if hold.id == id) {
                    self.answer(Ok((self.session.clock)()));
                }
                Ok(())
            }
            FromAgent::Held { id, held, served, late } => {
                let late = late.iter().map(|(from, until)| (self.ours(*from), self.ours(*until))).collect();
                self.report().late = late;
                let asked = |order: &mut Order| matches!(order, Order::Report(asked, _) if *asked == id);
                if let Some(Order::Report(_, to)) = self.todo.pop_front_if(asked) {
                    self.underway = Underway::No;
                    let _unheard = to.send(Ok(self.bring_over(held, served)));
                }
                Ok(())
            }
            FromAgent::Pong { id, clock, starved } => {
                self.report().starved = Some(starved);
                while let Some((pinged, sent)) = self.pings.pop_front_if(|(pinged, _)| *pinged <= id) {
                    if pinged == id {
                        self.learn(sent, clock);
                    }
                }
                if self.underway == Underway::UntilPong(id) {
                    self.answer(Ok((self.session.clock)()));
                }
                Ok(())
            }
            FromAgent::Records { first, records, launched, arrived } => {
                self.record(first, records, launched, arrived);
                Ok(())
            }
        }
    }

    /// Tells whoever gave the first order of the list what came of it.
    fn answer(&mut self, answer: Result<Moment, Unanswered>) {
        self.underway = Underway::No;
        match self.todo.pop_front() {
            Some(Order::Serve(_, to) | Order::Plan(_, to) | Order::Hold(_, to) | Order::Halt(to)) => {
                // Who does not wait any more has given up already.
                let _unheard = to.send(answer);
            }
            Some(Order::Report(_, to)) => {
                let _unheard = to.send(answer.map(|_| HeldBy::default()));
            }
            Some(Order::End) | None => {}
        }
    }

    /// What an agent says of held connections, on our clock.
    fn bring_over(&self, held: Vec<HeldReport>, served: Vec<ServedReport>) -> HeldBy {
        let end = |end: Option<(Moment, HeldEnd)>| end.map(|(at, how)| (self.ours(at), how));
        let held = held.into_iter().map(|report| HeldReport {
            opened: report.opened.map(|at| self.ours(at)),
            gaps: report.gaps.iter().map(|(from, until)| (self.ours(*from), self.ours(*until))).collect(),
            end: end(report.end),
            ..report
        });
        let served = served.into_iter().map(|report| ServedReport { end: end(report.end), ..report });
        HeldBy { held: held.collect(), served: served.collect() }
    }

    fn record(&mut self, first: u64, records: Vec<Record>, launched: Moment, arrived: Moment) {
        let doubles = self.next_record.saturating_sub(first);
        self.next_record = self.next_record.max(first.saturating_add(records.len() as u64));
        for record in records.into_iter().skip(usize::try_from(doubles).unwrap_or(usize::MAX)) {
            let endpoint = self.session.endpoint;
            let Some(sighting) = translate(endpoint, record, |theirs| self.ours(theirs)) else { continue };
            match &sighting {
                Sighting::Tried { flow, first_number, count, .. } => {
                    self.report().attempts += u64::from(*count);
                    let next = self.session.numbers.entry(*flow).or_default();
                    *next = (*next).max(first_number.saturating_add(*count));
                }
                Sighting::Blind { from, until, why, .. } => self.report().note_blind(*from, *until, *why),
                Sighting::Delivered { .. }
                | Sighting::Persisted { .. }
                | Sighting::Counted { .. }
                | Sighting::SelfDialled { .. }
                | Sighting::Complete { .. }
                | Sighting::Lost { .. } => {}
            }
            self.emit(sighting);
        }
        let marks = (self.marks.0.max(self.ours(launched)), self.marks.1.max(self.ours(arrived)));
        if marks != self.marks {
            self.marks = marks;
            self.emit(Sighting::Complete { endpoint: self.session.endpoint, until: marks.0, arrived: marks.1 });
        }
    }

    /// The agent is lost: says so, and answers every order with it until the end.
    async fn mourn(&mut self, why: String) {
        self.report().lost = Some(why.clone());
        let since = self.marks.0.min(self.marks.1);
        self.emit(Sighting::Lost { endpoint: self.session.endpoint, since, why: why.clone() });
        while !self.todo.is_empty() {
            self.answer(Err(Unanswered::Lost(why.clone())));
        }
        while let Some(order) = self.session.orders.recv().await {
            if self.note(Some(order)).is_err() {
                return;
            }
            self.answer(Err(Unanswered::Lost(why.clone())));
        }
    }

    fn learn(&mut self, sent: Moment, theirs: Moment) {
        let now = (self.session.clock)();
        self.offset.learn(sent, theirs, now);
        self.report().clock = self.offset.estimate(now);
    }

    fn ours(&self, theirs: Moment) -> Moment {
        self.offset.ours(theirs, (self.session.clock)())
    }

    fn emit(&self, sighting: Sighting) {
        // Nobody judges any more: the run is ending.
        let _unheard = self.session.sightings.send(sighting);
    }

    fn report(&self) -> MutexGuard<'_, Report> {
        self.session.report.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says something, but does not wait for ever for an agent that does not listen.
async fn say(speak: &mut Speak, message: &ToAgent) -> Result<(), End> {
    match timeout(DEAD, speak.say(message)).await {
        Ok(said) => Ok(said?),
        Err(_elapsed) => Err(End::Broken(format!("the agent did not listen for {DEAD:?}"))),
    }
}

/// The word for a missing kernel feature that excuses a port.
fn lack(port: Port) -> String {
    port.protocol.to_string()
}

#[cfg(test)]
mod tests;
