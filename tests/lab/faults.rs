//! Each fault does what it says, from the first change on, and nothing else.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use leakproof::clock;
use leakproof::fabric::Realised;
use leakproof::fabric::lab::{Agents, Done, Entered, Fault, Lab, Raised};
use leakproof::model::endpoint::Family;
use leakproof::model::moment::Moment;
use leakproof::model::port::{Port, Protocol};
use leakproof::scenario::Change;
use libtest_mimic::Failed;
use tokio::io::AsyncReadExt;
use tokio::runtime::Runtime;

use crate::policies::{raise, tear_down, text};
use crate::sockets::{Seen, attempt, compare, expected, matrix, serve};
use crate::worlds::{Made, pipeline, port};
use crate::{Body, block_on};

pub fn trials() -> Vec<(&'static str, Body)> {
    vec![
        ("leak: one flow passes, from the first change on", leak),
        ("leak-repeats: of one flow repeated first packets pass, and only those", leak_repeats),
        ("cut: one flow is dropped, from the first change on", cut),
        ("reject: what is denied is answered", reject),
        ("kill-listener: one port answers as if nobody listened", kill_listener),
        ("wrong-server: one port is answered by somebody else, to those who may reach it", wrong_server),
        ("a pod that comes back under its name has its agent, and the faults of its ports", comes_back),
        ("late: a change is enforced so much later", late),
        ("flap: one flow is let through and cut in turn", flap),
        ("lose-node: the node's rules are gone for a while", lose_node),
        ("open-moment: the node's filter is gone for a while", open_moment),
        ("late-set: the node knows no peers for a while", late_set),
        ("stop-forwarding: the node forwards nothing for a while", stop_forwarding),
        ("kill-agent, stop-agent and cut-stream meet that agent", agents),
    ]
}

/// What the pipeline policy means.
fn meant(from: &str, to: &str, _: Port, _: Family) -> bool {
    !to.starts_with("data-store") || from == "ai-processing"
}

/// The whole matrix before and after the first change, under faults.
async fn matrices(
    entered: Entered,
    made: &Made,
    faults: &[&str],
) -> Result<(BTreeMap<String, Seen>, BTreeMap<String, Seen>), Failed> {
    let mut raised = raise(entered, made, faults).await?;
    let _servers = serve(&raised, made).await?;
    let before = matrix(&raised, made).await;
    raised.enact(&[], &made.world).await.map_err(text)?;
    let after = matrix(&raised, made).await;
    let told = raised.info().fault;
    tear_down(raised).await?;
    if told.as_deref() != Some(&faults.join(", ")) {
        return Err(format!("it tells of {told:?}").into());
    }
    Ok((before, after))
}

async fn changes_one(entered: Entered, fault: &str, flow: &str, seen: Seen) -> Result<(), Failed> {
    let made = pipeline();
    let (before, after) = matrices(entered, &made, &[fault]).await?;
    compare("before the first change", &before, &expected(&made, &Seen::Silent, |_, _, _, _| true))?;
    let mut right = expected(&made, &Seen::Silent, meant);
    for family in [Family::V4, Family::V6] {
        right.insert(format!("{flow} {family}"), seen.clone());
    }
    compare("after it", &after, &right)?;
    Ok(())
}

fn leak(entered: Entered, runtime: Arc<Runtime>) -> Result<(), Failed> {
    let flow = "intruder -> data-store:5432/tcp";
    let seen = Seen::Reached("data-store".into());
    block_on(&runtime, changes_one(entered, "leak=intruder->data-store:5432/tcp", flow, seen))
}

fn leak_repeats(entered: Entered, runtime: Arc<Runtime>) -> Result<(), Failed> {
    block_on(&runtime, async {
        let made = pipeline();
        let mut raised = raise(entered, &made, &["leak-repeats=intruder->data-store:5432/tcp"]).await?;
        let _servers = serve(&raised, &made).await?;
        raised.enact(&[], &made.world).await.map_err(text)?;
        compare("first packets", &matrix(&raised, &made).await, &expected(&made, &Seen::Silent, meant))?;
        // The kernel repeats one after about 1 s, and again 2 s later.
        for (from, passes) in [("intruder", true), ("impostor", false)] {
            let at = made.world.addresses(made.find("data-store")).unwrap_or_default();
            for address in at.iter() {
                let at = SocketAddr::new(address, 5432);
                let began = clock::now();
                let patient = move || TcpStream::connect_timeout(&at, Duration::from_millis(2500)).is_ok();
                let passed = raised.inside(made.find(from), patient).await.map_err(text)?;
                let took = clock::now().since(began);
                if passed != passes || took < Duration::from_millis(900) {
                    return Err(format!("{from} to {at}: passed is {passed} after {took:?}").into());
                }
            }
        }
        tear_down(raised).await?;
        Ok(())
    })
}

fn cut(entered: Entered, runtime: Arc<Runtime>) -> Result<(), Failed> {
    let flow = "ai-processing -> data-store-2:53/udp";
    block_on(&runtime, changes_one(entered, "cut=ai-processing->data-store-2:53/udp", flow, Seen::Silent))
}

fn reject(entered: Entered, runtime: Arc<Runtime>) -> Result<(), Failed> {
    block_on(&runtime, async {
        let made = pipeline();
        let (_, after) = matrices(entered, &made, &["reject"]).await?;
        compare("rejecting", &after, &expected(&made, &Seen::Refused, meant))?;
        Ok(())
    })
}

fn kill_listener(entered: Entered, runtime: Arc<Runtime>) -> Result<(), Failed> {
    block_on(&runtime, async {
        for (protocol, number) in [(Protocol::Tcp, 9000), (Protocol::Udp, 53)] {
            let made = pipeline();
            let dead = port(number, protocol);
            let fault = format!("kill-listener=data-store:{dead}");
            let (before, after) = matrices(entered, &made, &[&fault]).await?;
            compare("before", &before, &expected(&made, &Seen::Silent, |_, _, _, _| true))?;
            let mut right = expected(&made, &Seen::Silent, meant);
            for family in [Family::V4, Family::V6] {
                right.insert(format!("ai-processing -> data-store:{dead} {family}"), Seen::Refused);
            }
            compare("after", &after, &right)?;
        }
        Ok(())
    })
}

fn wrong_server(entered: Entered, runtime: Arc<Runtime>) -> Result<(), Failed> {
    block_on(&runtime, async {
        for (protocol, number) in [(Protocol::Tcp, 5432), (Protocol::Udp, 53)] {
            let made = pipeline();
            let wrong = port(number, protocol);
            let fault: Fault = format!("wrong-server=data-store:{wrong}").parse()?;
            let lab = Lab::new(entered).with_faults(vec![fault]);
            let mut raised =
                lab.raise(&made.without_policies(), &made.names, std::num::NonZeroU8::MIN).await.map_err(text)?;
            let _servers = serve(&raised, &made).await?;
            let before = matrix(&raised, &made).await;
            raised.enact(&[], &made.world).await.map_err(text)?;
            let after = matrix(&raised, &made).await;
            tear_down(raised).await?;
            compare("before", &before, &expected(&made, &Seen::Silent, |_, _, _, _| true))?;
            let mut right = expected(&made, &Seen::Silent, meant);
            for family in [Family::V4, Family::V6] {
                let flow = format!("ai-processing -> data-store:{wrong} {family}");
                right.insert(flow, Seen::Reached("impostor".into()));
            }
            compare("after", &after, &right)?;
        }
        Ok(())
    })
}

fn comes_back(entered: Entered, runtime: Arc<Runtime>) -> Result<(), Failed> {
    block_on(&runtime, async {
        let kept = [
            ("kill-listener=data-store:5432/tcp", Seen::Refused),
            ("wrong-server=data-store:5432/tcp", Seen::Reached("impostor".into())),
        ];
        for (fault, wrong) in kept {
            let made = pipeline();
            let lab = Lab::new(entered).with_faults(vec![fault.parse()?]);
            let mut raised = lab.raise(&made.without_policies(), &made.names, std::num::NonZeroU8::MIN).await?;
            raised.enact(&[], &made.world).await.map_err(text)?;
            let (store, caller) = (made.find("data-store"), made.find("ai-processing"));
            let pod = made.world.pods.get(&store).cloned().ok_or("no such pod")?;
            let again = [Change::RemovePod(store), Change::AddPod(store, pod)];
            raised.enact(&again, &made.world).await.map_err(text)?;
            raised.dial().dial(store).await.map_err(|error| format!("its agent cannot be reached: {error}"))?;
            let _servers = serve(&raised, &made).await?;
            for address in made.world.addresses(store).unwrap_or_default().iter() {
                let seen = attempt(&raised, caller, address, port(5432, Protocol::Tcp)).await;
                if seen != wrong {
                    return Err(format!("{fault}: at {address} {seen:?}, not {wrong:?}").into());
                }
            }
            tear_down(raised).await?;
        }
        Ok(())
    })
}

/// Attempts of one flow, one after the other, with the moments between which each was made.
struct Watched {
    attempts: Vec<(Moment, Moment, Seen)>,
}

/// Attempts a flow again and again until `enough`, and gives what faults did meanwhile.
async fn watch(
    entered: Entered,
    fault: &str,
    flow: (&str, &str, Port),
    enough: impl Fn(&[Done], &Watched) -> bool,
) -> Result<(Vec<Done>, Watched), Failed> {
    let made = pipeline();
    let mut raised = raise(entered, &made, &[fault]).await?;
    let _servers = serve(&raised, &made).await?;
    let (from, to) = (made.find(flow.0), made.find(flow.1));
    let at: IpAddr = made.world.addresses(to).and_then(|addresses| addresses.v4).expect("an address").into();
    raised.enact(&[], &made.world).await.map_err(text)?;
    let mut watched = Watched { attempts: Vec::new() };
    while !enough(&raised.faults_done(), &watched) && watched.attempts.len() < 5000 {
        let began = clock::now();
        let seen = attempt(&raised, from, at, flow.2).await;
        watched.attempts.push((began, clock::now(), seen));
    }
    let done = raised.faults_done();
    tear_down(raised).await?;
    Ok((done, watched))
}

/// What attempts say of a window.
enum Said {
    /// It was as it should be.
    Enough,
    /// On a busy machine none may lie wholly before, in or after it: so many did.
    TooLittle([u32; 3]),
    /// On a busy machine one of its edges may be made late: it was this long.
    Late(Duration),
}

/// Inside the window everything is `wrong`, outside of it `right`; attempts that lie across its edges say nothing.
fn window(done: &[Done], watched: &Watched, right: &Seen, wrong: &Seen, long: Duration) -> Result<Said, Failed> {
    let [from, until] = done else { return Err(format!("it did {done:?}").into()) };
    let length = until.at.since(from.at);
    // Each edge is made on time, but takes its time to make.
    if length.abs_diff(long) > Duration::from_millis(100) {
        return Ok(Said::Late(length));
    }
    let mut counts = [0, 0, 0];
    for (began, ended, seen) in &watched.attempts {
        let (place, expected) = if *ended < from.at.minus(Duration::from_millis(20)) {
            (0, right)
        } else if *began > from.at && *ended < until.at.minus(Duration::from_millis(20)) {
            (1, wrong)
        } else if *began > until.at {
            (2, right)
        } else {
            continue;
        };
        counts[place] += 1;
        if seen != expected {
            let into = began.since(from.at);
            return Err(format!("{into:?} after the window's start, saw {seen:?}, not {expected:?}").into());
        }
    }
    if counts.contains(&0) { Ok(Said::TooLittle(counts)) } else { Ok(Said::Enough) }
}

const DENIED: (&str, &str) = ("intruder", "data-store");
const ALLOWED: (&str, &str) = ("ai-processing", "data-store");

fn gone_for_a_while(
    entered: Entered,
    runtime: &Runtime,
    fault: &str,
    flow: (&str, &str),
    (right, wrong): (Seen, Seen),
) -> Result<(), Failed> {
    block_on(runtime, async {
        let flow = (flow.0, flow.1, port(5432, Protocol::Tcp));
        let over = |done: &[Done], watched: &Watched| {
            done.len() == 2 && watched.attempts.last().is_some_and(|(began, ..)| *began > done[1].at)
        };
        // One that nobody saw is made anew; one that was seen wrong is not.
        let mut unseen = Vec::new();
        while unseen.len() < 5 {
            let (done, watched) = watch(entered, fault, flow, over).await?;
            match window(&done, &watched, &right, &wrong, Duration::from_millis(700))? {
                Said::Enough => return Ok(()),
                Said::TooLittle(counts) => unseen.push(format!("{counts:?} attempts before, in and after it")),
                Said::Late(length) => unseen.push(format!("it was {length:?} long")),
            }
        }
        Err(format!("of {} windows none is one to judge: {}", unseen.len(), unseen.join("; ")).into())
    })
}

fn lose_node(entered: Entered, runtime: Arc<Runtime>) -> Result<(), Failed> {
    let seen = (Seen::Silent, Seen::Reached("data-store".into()));
    gone_for_a_while(entered, &runtime, "lose-node=2@350ms+700ms", DENIED, seen)
}

fn open_moment(entered: Entered, runtime: Arc<Runtime>) -> Result<(), Failed> {
    let seen = (Seen::Silent, Seen::Reached("data-store".into()));
    gone_for_a_while(entered, &runtime, "open-moment=2@350ms+700ms", DENIED, seen)
}

fn late_set(entered: Entered, runtime: Arc<Runtime>) -> Result<(), Failed> {
    let seen = (Seen::Reached("data-store".into()), Seen::Silent);
    gone_for_a_while(entered, &runtime, "late-set=2@350ms+700ms", ALLOWED, seen)
}

fn stop_forwarding(entered: Entered, runtime: Arc<Runtime>) -> Result<(), Failed> {
    let seen = (Seen::Reached("data-store".into()), Seen::Silent);
    gone_for_a_while(entered, &runtime, "stop-forwarding=1@350ms+700ms", ALLOWED, seen)
}

fn late(entered: Entered, runtime: Arc<Runtime>) -> Result<(), Failed> {
    block_on(&runtime, async {
        let flow = (DENIED.0, DENIED.1, port(5432, Protocol::Tcp));
        let silent = |_: &[Done], watched: &Watched| watched.attempts.last().is_some_and(|(.., s)| *s == Seen::Silent);
        let (done, watched) = watch(entered, "late=400ms", flow, silent).await?;
        let [enforced] = done.as_slice() else { return Err(format!("it did {done:?}").into()) };
        let first = watched.attempts.first().map(|(began, ..)| *began).unwrap_or_default();
        let after = enforced.at.since(first);
        let early = watched.attempts.iter().filter(|(_, ended, _)| *ended < enforced.at);
        let early: Vec<&Seen> = early.map(|(.., seen)| seen).collect();
        let open = !early.is_empty() && early.iter().all(|seen| matches!(seen, Seen::Reached(_)));
        match (open, after > Duration::from_millis(350)) {
            (true, true) => Ok(()),
            other => Err(format!("{other:?}: enforced after {after:?}, before that {early:?}").into()),
        }
    })
}

fn flap(entered: Entered, runtime: Arc<Runtime>) -> Result<(), Failed> {
    block_on(&runtime, async {
        let (from, to) = DENIED;
        let fault = format!("flap={from}->{to}:5432/tcp@700ms");
        let enough = |done: &[Done], _: &Watched| done.len() >= 4;
        // One of whose turns nobody saw enough is made anew; one that was seen wrong is not.
        let mut unseen = Vec::new();
        while unseen.len() < 5 {
            let (done, watched) = watch(entered, &fault, (from, to, port(5432, Protocol::Tcp)), enough).await?;
            let mut turns = Vec::new();
            for pair in done.windows(2) {
                let inside =
                    watched.attempts.iter().filter(|(began, ended, _)| *began > pair[0].at && *ended < pair[1].at);
                let seen: Vec<&Seen> = inside.map(|(.., seen)| seen).collect();
                let passes = seen.iter().all(|seen| matches!(seen, Seen::Reached(_)));
                let cut = seen.iter().all(|seen| **seen == Seen::Silent);
                let right = if pair[0].what.ends_with("let through") { passes } else { cut };
                if !right {
                    return Err(format!("{}: {seen:?}", pair[0].what).into());
                }
                turns.push((passes, cut, seen.len()));
            }
            if [true, false].iter().all(|way| turns.iter().any(|(passes, _, n)| passes == way && *n > 0)) {
                return Ok(());
            }
            unseen.push(turns);
        }
        Err(format!("let through, cut, and attempts of each turn: {unseen:?}").into())
    })
}

/// A process's state, as the kernel's letter for it.
fn state(pid: u32) -> Option<char> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("State:"))?.trim().chars().next()
}

fn agents(entered: Entered, runtime: Arc<Runtime>) -> Result<(), Failed> {
    block_on(&runtime, async {
        let made = pipeline();
        let faults = ["kill-agent=nobody@0", "stop-agent=intruder@0+300ms", "cut-stream=impostor@100ms"];
        let faults = faults.iter().map(|text| text.parse::<Fault>()).collect::<Result<Vec<_>, _>>()?;
        let lab = Lab::new(entered).with_agents(Agents::OurOwn).with_faults(faults);
        let raised = lab.raise(&made.without_policies(), &made.names, std::num::NonZeroU8::MIN).await;
        let mut raised: Raised = raised.map_err(text)?;
        let mut stream = raised.dial().dial(made.find("impostor")).await?;
        raised.enact(&[], &made.world).await.map_err(text)?;
        let mut stopped = 0;
        while raised.faults_done().len() < 4 {
            let mine =
                std::fs::read_dir("/proc")?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
            stopped += mine.filter(|pid: &u32| state(*pid) == Some('T')).count();
            tokio::task::yield_now().await;
        }
        let cut = stream.read(&mut [0; 1]).await?;
        let dial = raised.dial();
        let killed = dial.dial(made.find("nobody")).await.map(drop).map_err(|error| error.kind());
        let others = dial.dial(made.find("intruder")).await.is_ok();
        let again = dial.dial(made.find("impostor")).await.is_ok();
        tear_down(raised).await?;
        match (stopped > 0, cut, killed, others, again) {
            (true, 0, Err(std::io::ErrorKind::ConnectionRefused), true, true) => Ok(()),
            other => Err(format!("{other:?}").into()),
        }
    })
}
