//! One stream from the harness: reads what it says, sends what was seen.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use crate::clock;
use crate::model::moment::Moment;
use crate::wire::lines::{Lines, TooLong};
use crate::wire::{FromAgent, MAX_HELLO, MAX_LINE, PROTOCOL, ToAgent};

use super::control::Desk;

/// How long a stream may take to show the token.
const INTRODUCTION: Duration = Duration::from_secs(5);

/// The most records in one message.
const BATCH: usize = 512;

/// The most answers waiting to be sent: a harness that asks faster than it reads has to wait.
const ANSWERS: usize = 16;

/// Why a stream ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("read or write the stream")]
    Stream(#[from] io::Error),
    #[error("read a line")]
    TooLong(#[from] TooLong),
    #[error("understand a line")]
    Garbage(#[from] serde_json::Error),
    #[error("the other side closed")]
    Closed,
    #[error("`{0}`")]
    Refused(String),
}

/// An answer on its way out. Clocks are read when it goes, not when it is asked for.
enum Say {
    Pong(u64),
    This(FromAgent),
}

/// Attends to a stream until it ends, is replaced, or says what cannot be understood. The plan goes on without it.
pub async fn attend(desk: &Rc<Desk>, stream: impl AsyncRead + AsyncWrite + Unpin) {
    let (read, mut write) = split(stream);
    let mut read = Reader { read, lines: Lines::default() };
    let hello = timeout(INTRODUCTION, greet(desk, &mut read)).await;
    desk.strangers.set(desk.strangers.get().saturating_sub(1));
    let resume = match hello {
        Ok(Ok(resume)) => resume,
        Ok(Err(ended)) => return refuse(&mut write, ended).await,
        Err(_too_slow) => return,
    };
    let superseded = desk.take_over();
    let (answers, queue) = mpsc::channel(ANSWERS);
    let ended = tokio::select! {
        ended = listen(desk, &mut read, &answers) => ended,
        ended = tell(desk, &mut write, queue, resume) => ended,
        () = superseded.notified() => Err(Ended::Closed),
    };
    if let Err(ended) = ended {
        refuse(&mut write, ended).await;
    }
}

/// Says why the stream ends, where the other side is at fault and may want to know.
async fn refuse(write: &mut (impl AsyncWrite + Unpin), ended: Ended) {
    let why = match &ended {
        Ended::Stream(_) | Ended::Closed => return,
        Ended::TooLong(cause) => format!("{ended}: {cause}"),
        Ended::Garbage(cause) => format!("{ended}: {cause}"),
        Ended::Refused(why) => why.clone(),
    };
    let last_words = FromAgent::Refused { why };
    let _unheard = timeout(INTRODUCTION, send(write, &last_words)).await;
}

/// Reads the first line; gives the record to go on from.
async fn greet(desk: &Desk, read: &mut Reader<impl AsyncRead + Unpin>) -> Result<u64, Ended> {
    let said = serde_json::from_slice(read.line(MAX_HELLO).await?)?;
    let ToAgent::Hello { protocol, token, resume } = said else {
        return Err(Ended::Refused("the first line must be a hello".to_owned()));
    };
    if protocol != PROTOCOL {
        return Err(Ended::Refused(format!("this agent speaks protocol {PROTOCOL}, not {protocol}")));
    }
    if !same(token.as_bytes(), desk.token.as_bytes()) {
        return Err(Ended::Refused("the token is wrong".to_owned()));
    }
    Ok(resume)
}

/// Compares without telling by its time where the first difference is.
fn same(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len() && left.iter().zip(right).fold(0, |differ, (l, r)| differ | (l ^ r)) == 0
}

async fn listen(
    desk: &Desk,
    read: &mut Reader<impl AsyncRead + Unpin>,
    answers: &mpsc::Sender<Say>,
) -> Result<(), Ended> {
    loop {
        let answer = match serde_json::from_slice(read.line(MAX_LINE).await?)? {
            ToAgent::Hello { .. } => return Err(Ended::Refused("a second hello on one stream".to_owned())),
            ToAgent::Serve(serve) => {
                let served = desk.listeners.serve(serve).await;
                let served = served.map_err(|unservable| Ended::Refused(unservable.to_string()))?;
                Say::This(FromAgent::Serving { failed: served.failed, lacks: served.lacks.into_iter().collect() })
            }
            ToAgent::Plan(plan) => {
                Say::This(desk.plan(plan).map_err(|unplannable| Ended::Refused(unplannable.to_string()))?)
            }
            ToAgent::Hold(hold) => {
                let id = hold.id;
                desk.holder.hold(hold).map_err(|unholdable| Ended::Refused(unholdable.to_string()))?;
                Say::This(FromAgent::Holding { id })
            }
            ToAgent::Report { id } => {
                let (held, served) = (desk.holder.report(), desk.state.served.borrow().report());
                Say::This(FromAgent::Held { id, held, served, late: desk.state.late() })
            }
            ToAgent::Ping { id, acknowledged } => {
                desk.state.ledger.borrow_mut().outbox().acknowledge(acknowledged);
                Say::Pong(id)
            }
            ToAgent::Halt => {
                desk.halt();
                continue;
            }
            ToAgent::Exit => {
                desk.state.exit.notify_one();
                continue;
            }
        };
        answers.send(answer).await.map_err(|_| Ended::Closed)?;
    }
}

/// Welcomes the harness, then sends answers as they come and records as they gather.
async fn tell(
    desk: &Desk,
    write: &mut (impl AsyncWrite + Unpin),
    mut answers: mpsc::Receiver<Say>,
    resume: u64,
) -> Result<(), Ended> {
    let state = &desk.state;
    let (oldest, mut next) = {
        let mut ledger = state.ledger.borrow_mut();
        ledger.outbox().acknowledge(resume);
        let oldest = ledger.outbox().oldest();
        (oldest, resume.max(oldest).min(ledger.outbox().end()))
    };
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let clock = clock::now();
    send(write, &FromAgent::Welcome { protocol: PROTOCOL, version, life: state.life, clock, oldest }).await?;
    let mut flush = Instant::now();
    let mut marks = (Moment(0), Moment(0));
    loop {
        tokio::select! {
            biased;
            answer = answers.recv() => match answer {
                Some(Say::Pong(id)) => {
                    let (clock, starved) = (clock::now(), state.starved());
                    send(write, &FromAgent::Pong { id, clock, starved }).await?;
                },
                Some(Say::This(answer)) => send(write, &answer).await?,
                None => return Ok(()),
            },
            () = sleep_until(flush) => {
                flush = Instant::now() + state.flush.get();
                let arrived = state.look();
                let launched = state.ledger.borrow_mut().close(arrived);
                // What is numbered now holds for these watermarks; so only the last of several messages carries them.
                let end = state.ledger.borrow_mut().outbox().end();
                let mut whole = true;
                loop {
                    let message = {
                        let mut ledger = state.ledger.borrow_mut();
                        let left = usize::try_from(end.saturating_sub(next)).unwrap_or(usize::MAX);
                        let (first, records) = ledger.outbox().from(next, left.min(BATCH));
                        let records: Vec<_> = records.cloned().collect();
                        // Dropped while earlier ones were being sent: the next messages own up to it.
                        whole &= first == next;
                        next = first + records.len() as u64;
                        if next >= end && whole {
                            marks = (launched, arrived);
                        }
                        FromAgent::Records { first, records, launched: marks.0, arrived: marks.1 }
                    };
                    send(write, &message).await?;
                    if next >= end {
                        break;
                    }
                }
            }
        }
    }
}

async fn send(write: &mut (impl AsyncWrite + Unpin), message: &FromAgent) -> Result<(), Ended> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    write.write_all(&line).await?;
    write.flush().await?;
    Ok(())
}

/// Reads lines from a stream.
struct Reader<R> {
    read: R,
    lines: Lines,
}

impl<R: AsyncRead + Unpin> Reader<R> {
    async fn line(&mut self, limit: usize) -> Result<&[u8], Ended> {
        // Looking twice keeps the borrow of a found line apart from the reading of more.
        while !self.lines.is_whole(limit)? {
            let mut buffer = [0; 1024];
            match self.read.read(&mut buffer).await? {
                0 => return Err(Ended::Closed),
                bytes => self.lines.feed(&buffer[..bytes]),
            }
        }
        self.lines.next(limit)?.ok_or(Ended::Closed)
    }
}

#[cfg(test)]
mod tests;
