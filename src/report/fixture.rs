//! Documents to render in tests: the pipeline scenario, all well and in trouble, and meshes of any size.

use std::io;

use crate::model::document::{
    AgentInfo, BlindSpan, Cell, Convergence, Counts, Document, EndpointInfo, FORMAT, FabricInfo, FabricKind, Phase,
    ScenarioInfo, Settings, Stage, Strictness,
};
use crate::model::endpoint::{Addresses, EndpointKind, Family};
use crate::model::finding::{Blame, Call, Contradiction, Finding, Window};
use crate::model::flow::NamedFlow;
use crate::model::forecast::{self, Forecast, Foreseen, Outlook};
use crate::model::happening::{About, Beside, Happening, Lies, Turn};
use crate::model::labels::Labels;
use crate::model::observation::{Blindness, Observation, Refusal, Witness};
use crate::model::port::{Port, Protocol, ServedPort};
use crate::model::prediction::{Direction, PolicyRef, Reason, RuleRef};
use crate::model::verdict::{DenyForm, Intent, Meaning, Verdict};
use crate::model::watch::{
    Budgets, CommandInfo, Established, Fate, Gap, KnownInfo, KnownOutcome, Newborn, Standing, WatchInfo,
};
use crate::report::story;

/// A writer whose reader has gone.
pub struct ClosedPipe;

impl io::Write for ClosedPipe {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }
    fn flush(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::BrokenPipe.into())
    }
}

/// A port from its text.
pub fn port(text: &str) -> Port {
    let (number, protocol) = text.split_once('/').unwrap();
    let protocol = match protocol {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        _ => Protocol::Sctp,
    };
    Port { number: number.parse().unwrap(), protocol }
}

/// An IPv4 flow.
pub fn flow(from: &str, to: &str, at: &str) -> NamedFlow {
    NamedFlow { from: from.into(), to: to.into(), family: Family::V4, port: port(at) }
}

/// The pods of the pipeline scenario with their namespaces, roles and ports.
const PODS: [(&str, &str, &str, &[&str]); 6] = [
    ("ai-processing", "ai-data-pipeline", "ai-processing", &["8080/tcp"]),
    ("data-store-1", "ai-data-pipeline", "data-store", &["53/udp", "5432/tcp", "9000/tcp"]),
    ("data-store-2", "ai-data-pipeline", "data-store", &["53/udp", "5432/tcp", "9000/tcp"]),
    ("impostor", "ai-staging", "ai-processing", &["8080/tcp"]),
    ("intruder", "ai-data-pipeline", "intruder", &["8080/tcp"]),
    ("plain", "ai-data-pipeline", "", &["8080/tcp"]),
];

fn policy() -> PolicyRef {
    PolicyRef {
        kind: "NetworkPolicy".into(),
        namespace: Some("ai-data-pipeline".into()),
        name: "allow-ai-processing-to-data-store".into(),
    }
}

fn reasons() -> Vec<Reason> {
    let rule = RuleRef { policy: policy(), direction: Direction::Ingress, rule: 0, peer: Some(0), port: None };
    vec![Reason::NotIsolated, Reason::Allowed { by: vec![rule] }, Reason::Isolated { by: vec![policy()] }]
}

fn cell(flow: NamedFlow, verdict: Verdict, intent: Intent, ingress: u32, place: u64) -> Cell {
    let denied = verdict == Verdict::Denied;
    Cell {
        flow,
        intent,
        meaning: Meaning::Known(verdict),
        egress: 0,
        ingress,
        reality: if denied { Observation::Silent { attempts: 31 } } else { Observation::Reached },
        verdict: Some(verdict),
        call: Call::Ok,
        standing: Standing::Counted,
        witness: denied.then(|| Witness::Strong {
            answered: "ai-processing".into(),
            source: "intruder -> plain:8080/tcp was answered".into(),
        }),
        time_to_enforce_us: Some(if denied { 21_000 + place * 317 % 15_000 } else { 0 }),
        slowest_us: (!denied).then_some(400 + place * 13),
        attempts: 34,
        unseen: 0,
        windows: Vec::new(),
        note: None,
    }
}

fn count(cells: &[Cell], findings: &[Finding]) -> Counts {
    let counted = |cell: &&Cell| cell.standing != Standing::Known;
    let of = |call: Call| cells.iter().filter(counted).filter(|cell| cell.call == call).count() as u64;
    Counts {
        cells: cells.len() as u64,
        ok: of(Call::Ok),
        leaks: of(Call::Leak),
        outages: of(Call::Outage),
        wrong_servers: of(Call::WrongServer),
        contradictions: findings.iter().filter(|f| f.contradiction == Contradiction::Present).count() as u64,
        inconclusive: of(Call::Inconclusive),
        unjudged: of(Call::Unjudged),
        unsupported: of(Call::Unsupported),
        unstated: cells.iter().filter(|cell| cell.intent == Intent::Unstated).count() as u64,
        known: cells.iter().filter(|cell| cell.standing == Standing::Known).count() as u64,
    }
}

fn stage(name: &str, changes: Vec<String>, sent_us: u64, cells: Vec<Cell>) -> Stage {
    let counts = count(&cells, &[]);
    let after_us = cells.iter().filter_map(|cell| cell.time_to_enforce_us).max().unwrap_or(0);
    Stage {
        name: name.into(),
        changes,
        sent_us,
        acknowledged_us: sent_us + 4_000,
        convergence: Convergence::Converged { after_us, proven_us: after_us + 306_000 },
        cells,
        findings: Vec::new(),
        counts,
        reasons: reasons(),
    }
}

fn document(name: &str, endpoints: Vec<EndpointInfo>, stages: Vec<Stage>) -> Document {
    let mut counts = Counts::default();
    for stage in &stages {
        counts.add(&stage.counts);
    }
    let agents = endpoints.iter().enumerate().map(|(place, endpoint)| AgentInfo {
        endpoint: endpoint.name.clone(),
        clock_offset_ns: 1_200 * place as i64 - 900,
        clock_error_ns: 41_000,
        attempts: 340,
        reconnects: 0,
        blind: Vec::new(),
        lost: None,
    });
    Document {
        format: FORMAT.into(),
        leakproof: "0.1.0".into(),
        started: "2026-11-23T04:05:06Z".into(),
        took_us: 1_420_000,
        run: "k3f9".into(),
        scenario: ScenarioInfo {
            name: name.into(),
            file: format!("scenarios/{name}.yaml"),
            about: Some("Only ai-processing pods of the pipeline's own namespace may reach the data store.".into()),
        },
        fabric: FabricInfo {
            kind: FabricKind::Lab,
            summary: "lab: 2 nodes, nftables, Linux 6.18".into(),
            facts: [("kernel".to_owned(), "6.18".to_owned())].into(),
            fault: None,
        },
        settings: Settings {
            deadline_us: 300_000,
            attempts: 4,
            interval_us: 10_000,
            converge_within_us: 10_000_000,
            max_enforce_us: None,
            deny: DenyForm::Either,
            strictness: Strictness::Normal,
        },
        agents: agents.collect(),
        endpoints,
        phases: [
            ("world", 0, 210_000),
            ("agents", 210_000, 60_000),
            ("baseline", 270_000, 410_000),
            ("policies", 680_000, 650_000),
            ("tear-down", 1_330_000, 90_000),
        ]
        .map(|(name, began_us, took_us)| Phase { name: name.into(), began_us, took_us })
        .into(),
        stages,
        watch: None,
        known: Vec::new(),
        events: Vec::new(),
        warnings: Vec::new(),
        drift: Vec::new(),
        left_behind: Vec::new(),
        aborted: None,
        counts,
        exit: 0,
    }
}

/// The pipeline scenario with everything as meant.
pub fn pipeline() -> Document {
    let (mut bare, mut cells) = (Vec::new(), Vec::new());
    for (from, namespace, role, _) in PODS {
        for (to, _, _, serves) in PODS.iter().filter(|pod| pod.0 != from) {
            for at in *serves {
                let flow = flow(from, to, at);
                let place = cells.len() as u64;
                bare.push(cell(flow.clone(), Verdict::Allowed, Intent::Unstated, 0, place));
                let allowed =
                    !to.starts_with("data-store") || (namespace, role) == ("ai-data-pipeline", "ai-processing");
                let verdict = if allowed { Verdict::Allowed } else { Verdict::Denied };
                let ingress = match (to.starts_with("data-store"), allowed) {
                    (false, _) => 0,
                    (true, true) => 1,
                    (true, false) => 2,
                };
                let intent = if from == "plain" { Intent::Unstated } else { Intent::Stated(verdict) };
                let mut cell = cell(flow, verdict, intent, ingress, place);
                if let (Verdict::Denied, Some(took)) = (verdict, cell.time_to_enforce_us) {
                    cell.windows = vec![Window {
                        call: Call::Leak,
                        right_before_us: None,
                        first_wrong_us: 681_000 + place * 100,
                        last_wrong_us: 680_000 + took - 10_000,
                        right_after_us: Some(680_000 + took),
                        attempts: 2,
                        persistent: 0,
                        standing: Standing::Counted,
                        beside: Vec::new(),
                    }];
                }
                cells.push(cell);
            }
        }
    }
    let endpoints = PODS.iter().enumerate().map(|(place, (name, namespace, role, serves))| EndpointInfo {
        name: (*name).into(),
        kind: EndpointKind::Pod,
        namespace: Some((*namespace).into()),
        labels: (!role.is_empty()).then(|| ("role".to_owned(), (*role).to_owned())).into_iter().collect::<Labels>(),
        node: Some(format!("node-{}", place % 2 + 1)),
        addresses: Addresses { v4: Some([10, 65, 0, place as u8 + 2].into()), v6: None },
        serves: serves.iter().map(|at| ServedPort { port: port(at), name: None }).collect(),
    });
    let created = format!("created NetworkPolicy {}", policy());
    let stages = vec![stage("baseline", Vec::new(), 270_000, bare), stage("policies", vec![created], 680_000, cells)];
    document("ai-data-pipeline", endpoints.collect(), stages)
}

fn cell_at<'a>(document: &'a mut Document, from: &str, to: &str, at: &str) -> &'a mut Cell {
    let flow = flow(from, to, at);
    document.stages.last_mut().unwrap().cells.iter_mut().find(|cell| cell.flow == flow).unwrap()
}

fn finding(cell: &Cell, blame: Blame, contradiction: Contradiction, because: &str, next: &str) -> Finding {
    Finding {
        flow: cell.flow.clone(),
        call: cell.call,
        contradiction,
        intent: cell.intent,
        meaning: cell.meaning,
        reality: Some(cell.reality.clone()),
        blame,
        because: because.into(),
        next: next.into(),
        windows: cell.windows.clone(),
    }
}

/// The pipeline scenario with one of each: a leak, an outage, a wrong server, a contradiction, cells that could not be
/// seen, one unsupported, a rejection, weak witnesses, a blind agent, events, warnings and something left behind.
pub fn troubled() -> Document {
    let mut document = pipeline();
    let mut findings = Vec::new();

    let leak = cell_at(&mut document, "intruder", "data-store-1", "5432/tcp");
    leak.call = Call::Leak;
    leak.reality = Observation::Reached;
    leak.verdict = Some(Verdict::Allowed);
    leak.witness = None;
    leak.time_to_enforce_us = None;
    leak.windows = vec![
        Window {
            call: Call::Leak,
            right_before_us: None,
            first_wrong_us: 681_000,
            last_wrong_us: 721_000,
            right_after_us: Some(731_000),
            attempts: 5,
            persistent: 0,
            standing: Standing::Counted,
            beside: Vec::new(),
        },
        Window {
            call: Call::Leak,
            right_before_us: Some(901_000),
            first_wrong_us: 911_000,
            last_wrong_us: 1_320_000,
            right_after_us: None,
            attempts: 42,
            persistent: 0,
            standing: Standing::Counted,
            beside: Vec::new(),
        },
    ];
    let because = "the source is not isolated; ai-data-pipeline/allow-ai-processing-to-data-store isolates the \
                   destination, and none of its rules matches";
    let next = "the network lets through what the policy denies: look at the rules of node-2 for data-store-1";
    findings.push(finding(leak, Blame::Network, Contradiction::None, because, next));

    let wrong = cell_at(&mut document, "ai-processing", "plain", "8080/tcp");
    wrong.call = Call::WrongServer;
    wrong.reality = Observation::SomeoneElse { who: "intruder".into() };
    wrong.verdict = None;
    let next = "find out why packets to plain's address end at intruder";
    findings.push(finding(wrong, Blame::Network, Contradiction::None, "no policy selects either end", next));

    let outage = cell_at(&mut document, "ai-processing", "data-store-2", "9000/tcp");
    outage.call = Call::Outage;
    outage.intent = Intent::Stated(Verdict::Allowed);
    outage.meaning = Meaning::Known(Verdict::Denied);
    outage.ingress = 2;
    outage.reality = Observation::Silent { attempts: 31 };
    outage.verdict = Some(Verdict::Denied);
    outage.time_to_enforce_us = None;
    let because = "ai-data-pipeline/allow-ai-processing-to-data-store isolates the destination, and none of its rules \
                   matches port 9000/tcp";
    let next = "if the flow is wanted, add port 9000 to ingress[0].ports";
    findings.push(finding(outage, Blame::PolicyTooStrict, Contradiction::Present, because, next));

    for to in ["ai-processing", "intruder"] {
        let unseen = cell_at(&mut document, "plain", to, "8080/tcp");
        unseen.call = Call::Inconclusive;
        unseen.reality = Observation::NotSeen { why: "the agent got no processor time".into() };
        unseen.verdict = None;
        unseen.time_to_enforce_us = None;
        unseen.unseen = 34;
        unseen.attempts = 0;
    }
    let lacking = cell_at(&mut document, "plain", "impostor", "8080/tcp");
    lacking.call = Call::Unsupported;
    lacking.reality = Observation::Unsupported { what: "this kernel has no SCTP".into() };
    lacking.verdict = None;
    let rejected = cell_at(&mut document, "intruder", "data-store-2", "5432/tcp");
    rejected.reality = Observation::Refused { how: Refusal::Prohibited, after_us: 310 };
    rejected.note = Some("denied by rejection, which at the socket looks like a closed port".into());
    for at in ["53/udp", "5432/tcp", "9000/tcp"] {
        let weak = cell_at(&mut document, "impostor", "data-store-1", at);
        weak.witness = Some(Witness::Weak { cut_off: vec!["impostor".into()] });
    }

    let stage = document.stages.last_mut().unwrap();
    stage.convergence = Convergence::TimedOut { after_us: 10_000_000 };
    stage.counts = count(&stage.cells, &findings);
    stage.findings = findings;
    let mut counts = Counts::default();
    for stage in &document.stages {
        counts.add(&stage.counts);
    }
    document.counts = counts;
    document.exit = 11;
    document.fabric.fault = Some("leak:intruder->data-store-1:5432/tcp".into());
    document.warnings = vec![
        "the policy names no port: every port and protocol of the data store is open to its \
                              peers, also those it may serve one day"
            .into(),
    ];
    document.left_behind = vec!["remove netns `lp-k3f9-plain`: device or resource busy".into()];
    document.agents[5].blind = vec![BlindSpan { from_us: 690_000, until_us: 1_300_000, why: Blindness::Starved }];
    document.agents[5].reconnects = 1;
    document.events = vec![
        happened(684_000, About::Other, "lab", "rules of node-1 switched"),
        happened(905_000, About::Fault, "node-2", "rules lost by the fault asked for"),
    ];
    document
}

fn wrong_window(call: Call, standing: Standing, from_us: u64, lasted_us: u64, attempts: u32) -> Window {
    Window {
        call,
        right_before_us: Some(from_us - 100_000),
        first_wrong_us: from_us,
        last_wrong_us: from_us + lasted_us,
        right_after_us: Some(from_us + lasted_us + 100_000),
        attempts,
        persistent: 0,
        standing,
        beside: Vec::new(),
    }
}

/// Something that happened, and no more of it.
pub fn happened(at_us: u64, about: About, subject: &str, what: &str) -> Happening {
    Happening {
        at_us,
        since_us: None,
        about,
        node: None,
        subject: subject.into(),
        what: what.into(),
        turn: Turn::None,
        stamped: None,
    }
}

fn begins(state: &str) -> Turn {
    Turn::Begins { state: state.into() }
}

/// The pipeline scenario, watched through an upgrade: a leak, an outage within its budget, one that may be over it, one
/// that is known, connections and newborn pods of every fate.
pub fn watched() -> Document {
    const S: u64 = 1_000_000;
    let mut document = pipeline();
    let leak = cell_at(&mut document, "intruder", "data-store-2", "9000/tcp");
    leak.call = Call::Leak;
    let beside = vec![
        Beside { event: 1, lies: Lies::During, apart_us: 6 * S },
        Beside { event: 2, lies: Lies::Within, apart_us: 40_000 },
        Beside { event: 3, lies: Lies::After, apart_us: 1_800_000 },
        Beside { event: 0, lies: Lies::During, apart_us: 92 * S },
    ];
    leak.windows.push(Window { beside, ..wrong_window(Call::Leak, Standing::Counted, 95 * S, 200_000, 3) });
    let next = "lay its windows beside what changed at that time";
    let found = vec![finding(leak, Blame::Network, Contradiction::None, "no rule matches", next)];
    let budget = cell_at(&mut document, "ai-processing", "data-store-1", "5432/tcp");
    budget.windows = vec![
        wrong_window(Call::Outage, Standing::WithinBudget, 60 * S, 300_000, 4),
        wrong_window(Call::Outage, Standing::WithinBudget, 90 * S, 400_000, 5),
    ];
    budget.note =
        Some("outage: at least 700.0 ms and at most 1.10 s in 2 windows, within the 2.00 s it may last".into());
    let unsure = cell_at(&mut document, "plain", "impostor", "8080/tcp");
    unsure.call = Call::Inconclusive;
    unsure.windows = vec![wrong_window(Call::Outage, Standing::Undecided, 120 * S, 1_900_000, 20)];
    unsure.note = Some("outage: 1 window, which may be more than the 2 s it may last".into());
    let known = cell_at(&mut document, "data-store-1", "impostor", "8080/tcp");
    (known.call, known.standing) = (Call::Outage, Standing::Known);
    known.windows =
        vec![Window { right_after_us: None, ..wrong_window(Call::Outage, Standing::Known, 298 * S, 3 * S, 31) }];
    let fate = |from: &str, to: &str, fate, gap: Option<(u64, u64)>, note: Option<&str>| Established {
        flow: flow(from, to, "8080/tcp"),
        opened_us: S,
        fate,
        answered: 2_998,
        lost: u64::from(gap.is_some()) * 2,
        longest_gap: gap.map(|(from_us, until_us)| Gap { from_us, until_us }),
        denied_by: None,
        note: note.map(Into::into),
    };
    let born = |name: &str, alive, connected, leaked: Vec<NamedFlow>, note: Option<&str>| Newborn {
        name: name.into(),
        like: "ai-processing".into(),
        node: Some("node-1".into()),
        asked_us: 100 * S,
        alive_us: alive,
        connected_after_us: connected,
        leaked,
        note: note.map(Into::into),
    };
    let reset = Fate::Ended { at_us: 96 * S, how: "reset".into(), by: "the destination".into() };
    let lost = Fate::NotSeen { why: "the agent of plain was lost".into() };
    document.watch = Some(WatchInfo {
        from_us: 2 * S,
        until_us: 302 * S,
        waited_for: "the command, and quiet after it".into(),
        command: Some(CommandInfo {
            argv: vec!["./upgrade-calico".into(), "3.32.1".into()],
            began_us: 3 * S,
            ended_us: Some(243 * S),
            status: Some("exit 0".into()),
            said: ["applied", "waiting for calico-node", "still waiting", "rolled out"].map(Into::into).into(),
        }),
        seen: 149_988,
        unseen: 12,
        interval_us: 100_000,
        persistent: 480,
        budgets: Budgets { max_outage_us: 2 * S, max_leak_us: 0 },
        established: vec![
            fate("impostor", "plain", Fate::Survived, None, None),
            fate(
                "intruder",
                "plain",
                Fate::Survived,
                None,
                Some("denied since 680 ms: a denial cuts no open connection"),
            ),
            fate("ai-processing", "plain", Fate::Stalled, Some((90 * S, 91_500_000)), None),
            fate("ai-processing", "impostor", reset, None, None),
            fate("plain", "impostor", lost, None, None),
        ],
        newborns: vec![
            born("newborn-1", Some(101 * S), Some(900_000), Vec::new(), None),
            born("newborn-2", Some(102 * S), Some(8_800_000), vec![flow("newborn-2", "data-store-1", "53/udp")], None),
            born("newborn-3", None, None, Vec::new(), Some("create pod: timed out")),
        ],
    });
    let entry = |flows: &str, outcome| KnownInfo {
        flows: flows.into(),
        call: Call::Outage,
        reason: "restarts during the upgrade".into(),
        until: "2027-03-31".into(),
        outcome,
    };
    document.known = vec![
        entry("data-store-1 -> impostor:8080/tcp", KnownOutcome::Happened),
        entry("any -> plain", KnownOutcome::Passed),
    ];
    document.events = vec![
        Happening { turn: begins("running"), ..happened(3 * S, About::Command, "the command", "was started") },
        Happening {
            node: Some("node-1".into()),
            turn: begins("restarting"),
            stamped: Some("2026-11-23T04:06:35Z".into()),
            ..happened(89 * S, About::Engine, "calico-node on node-1", "pod calico-node-x7k was told to end")
        },
        happened(95 * S + 40_000, About::Policy, "NetworkPolicy ai-staging/open", "was created by kubectl"),
        Happening {
            node: Some("node-1".into()),
            since_us: Some(96 * S),
            turn: Turn::Ends,
            ..happened(97 * S, About::Engine, "calico-node on node-1", "pod calico-node-q2m is ready")
        },
        Happening { turn: Turn::Ends, ..happened(243 * S, About::Command, "the command", "ended: exit 0") },
    ];
    document.agents[2].blind = vec![BlindSpan { from_us: 130 * S, until_us: 131 * S, why: Blindness::Starved }];
    document.took_us = 303 * S;
    document.phases.insert(4, Phase { name: "watch".into(), began_us: 2 * S, took_us: 300 * S });
    let stage = document.stages.last_mut().unwrap();
    stage.counts = count(&stage.cells, &found);
    stage.findings = found;
    document.counts = stage.counts;
    document.exit = 11;
    document
}

/// An hour's watch of so many pods, every flow wrong a few times, with what happened around it.
pub fn hour(pods: usize) -> Document {
    const S: u64 = 1_000_000;
    let mut document = mesh(pods, 3);
    let stage = document.stages.last_mut().unwrap();
    for (place, cell) in stage.cells.iter_mut().enumerate() {
        let call = if cell.verdict == Some(Verdict::Denied) { Call::Leak } else { Call::Outage };
        for again in 0..3 {
            let from_us = (300 + 900 * again + (place as u64 * 37) % 700) * S;
            cell.windows.push(wrong_window(call, Standing::WithinBudget, from_us, 100_000 + place as u64 * 2_000, 4));
        }
    }
    let established =
        stage.cells.iter().filter(|cell| cell.verdict == Some(Verdict::Allowed)).map(|cell| Established {
            flow: cell.flow.clone(),
            opened_us: S,
            fate: Fate::Survived,
            answered: 36_000,
            lost: 0,
            longest_gap: Some(Gap { from_us: 900 * S, until_us: 900 * S + 130_000 }),
            denied_by: None,
            note: None,
        });
    let established = established.collect();
    document.watch = Some(WatchInfo {
        established,
        newborns: Vec::new(),
        from_us: 2 * S,
        until_us: 3_602 * S,
        waited_for: "1h".into(),
        command: None,
        seen: document.counts.cells * 36_000,
        ..watched().watch.unwrap()
    });
    document.events = (0..60)
        .map(|minute| {
            let subject = format!("calico-node on node-{}", minute % 3);
            happened(minute * 60 * S, About::Engine, &subject, "container calico-node runs again (restart 1)")
        })
        .collect();
    document.took_us = 3_603 * S;
    document
}

/// The pipeline's policies, held against an author who wanted more than they allow and less than they let through, and
/// cells that a policy of an unknown kind may touch.
pub fn forecast() -> Forecast {
    let document = pipeline();
    let stage = &document.stages[1];
    let mut findings = Vec::new();
    let mut counts = Counts::default();
    let mut foresee = |cell: &Cell| {
        counts.cells += 1;
        counts.unstated += u64::from(cell.intent == Intent::Unstated);
        let mut foreseen = Foreseen {
            flow: cell.flow.clone(),
            intent: cell.intent,
            meaning: cell.meaning,
            call: Call::Ok,
            egress: cell.egress,
            ingress: cell.ingress,
        };
        let blame = match (cell.flow.from.as_str(), cell.flow.to.as_str(), cell.flow.port.number.get()) {
            ("impostor", "data-store-1", 5432) => Some((Blame::PolicyTooStrict, Verdict::Allowed)),
            ("intruder", "plain", _) => Some((Blame::PolicyTooOpen, Verdict::Denied)),
            _ => None,
        };
        if let Some((blame, wanted)) = blame {
            foreseen.intent = Intent::Stated(wanted);
            foreseen.call = Call::Contradiction;
            let because = story::reasons(&stage.reasons, cell.egress, cell.ingress);
            let next = format!("`leakproof explain` {} {} says why", cell.flow.from, cell.flow.to);
            let mut told = finding(cell, blame, Contradiction::Present, &because, &next);
            (told.call, told.intent, told.reality) = (Call::Contradiction, foreseen.intent, None);
            (told.windows, counts.contradictions) = (Vec::new(), counts.contradictions + 1);
            findings.push(told);
        } else if cell.flow.to == "impostor" {
            (foreseen.meaning, foreseen.call, foreseen.ingress) = (Meaning::Unknown, Call::Unjudged, 3);
            counts.unjudged += 1;
        } else {
            counts.ok += 1;
        }
        foreseen
    };
    let cells = stage.cells.iter().map(&mut foresee).collect();
    let admin = PolicyRef { kind: "AdminNetworkPolicy".into(), namespace: None, name: "strict".into() };
    let mut reasons = stage.reasons.clone();
    reasons.push(Reason::Unknown { by: vec![admin] });
    let stage = Outlook { name: stage.name.clone(), changes: stage.changes.clone(), cells, findings, counts, reasons };
    Forecast {
        format: forecast::FORMAT.into(),
        leakproof: document.leakproof,
        scenario: document.scenario,
        stages: vec![stage],
        warnings: Vec::new(),
        counts,
        exit: 5,
    }
}

/// A mesh of `size` pods on one port in `tiers` tiers by turns, each allowed to reach its own tier and the next only.
pub fn mesh(size: usize, tiers: usize) -> Document {
    let names: Vec<String> = (0..size).map(|place| format!("pod-{place:03}")).collect();
    let mut cells = Vec::new();
    for (i, from) in names.iter().enumerate() {
        for (j, to) in names.iter().enumerate().filter(|(j, _)| *j != i) {
            let (a, b) = (i % tiers, j % tiers);
            let verdict = if a == b || (a + 1) % tiers == b { Verdict::Allowed } else { Verdict::Denied };
            let ingress = if verdict == Verdict::Allowed { 1 } else { 2 };
            cells.push(cell(flow(from, to, "8080/tcp"), verdict, Intent::Unstated, ingress, cells.len() as u64));
        }
    }
    let endpoints = names.iter().enumerate().map(|(place, name)| EndpointInfo {
        name: name.clone(),
        kind: EndpointKind::Pod,
        namespace: Some("mesh".into()),
        labels: Labels::default(),
        node: Some(format!("node-{}", place % 2 + 1)),
        addresses: Addresses { v4: Some([10, 65, (place / 250) as u8, (place % 250) as u8 + 2].into()), v6: None },
        serves: vec![ServedPort { port: port("8080/tcp"), name: None }],
    });
    document("mesh", endpoints.collect(), vec![stage("policies", vec!["created 3 policies".into()], 680_000, cells)])
}

/// Makes a leak of a cell that was denied, with a finding.
pub fn spring(document: &mut Document, from: &str, to: &str, at: &str) {
    let leak = cell_at(document, from, to, at);
    leak.call = Call::Leak;
    leak.reality = Observation::Reached;
    leak.verdict = Some(Verdict::Allowed);
    leak.time_to_enforce_us = None;
    let told = finding(leak, Blame::Network, Contradiction::None, "no rule matches", "look at the rules");
    let stage = document.stages.last_mut().unwrap();
    stage.findings.push(told);
    stage.counts = count(&stage.cells, &stage.findings);
    document.counts = stage.counts;
    document.exit = 11;
}

/// Text that would do harm in every format, were it let through.
pub const NASTY: &str = "\u{1b}[31m<script>alert('x')</script>\u{7}|`*_]]>&\u{202e}\nnext";

/// A document with such text wherever text can come from outside.
pub fn nasty() -> Document {
    let mut document = troubled();
    let mean = |text: &mut String| *text = NASTY.to_owned();
    mean(&mut document.scenario.name);
    mean(&mut document.scenario.file);
    mean(&mut document.fabric.summary);
    mean(&mut document.run);
    mean(&mut document.started);
    mean(&mut document.leakproof);
    document.scenario.about = Some(NASTY.into());
    document.fabric.fault = Some(NASTY.into());
    document.fabric.facts = [(NASTY.to_owned(), NASTY.to_owned())].into();
    document.warnings = vec![NASTY.into()];
    document.left_behind = vec![NASTY.into()];
    document.aborted = Some(NASTY.into());
    for endpoint in &mut document.endpoints {
        mean(&mut endpoint.name);
        endpoint.namespace = Some(NASTY.into());
        endpoint.node = Some(NASTY.into());
        endpoint.labels = [(NASTY.to_owned(), NASTY.to_owned())].into_iter().collect();
        endpoint.serves.iter_mut().for_each(|served| served.name = Some(NASTY.into()));
    }
    for agent in &mut document.agents {
        mean(&mut agent.endpoint);
        agent.lost = Some(NASTY.into());
    }
    for event in &mut document.events {
        mean(&mut event.subject);
        mean(&mut event.what);
        (event.node, event.stamped, event.turn) = (Some(NASTY.into()), Some(NASTY.into()), begins(NASTY));
    }
    document.phases.iter_mut().for_each(|phase| mean(&mut phase.name));
    let policy = PolicyRef { kind: NASTY.into(), namespace: Some(NASTY.into()), name: NASTY.into() };
    for stage in &mut document.stages {
        stage.changes = vec![NASTY.into()];
        stage.reasons = vec![Reason::Isolated { by: vec![policy.clone()] }; 3];
        for cell in &mut stage.cells {
            cell.flow.from.push_str(NASTY);
            cell.flow.to.push_str(NASTY);
            cell.note = Some(NASTY.into());
            cell.witness = Some(Witness::Weak { cut_off: vec![NASTY.into()] });
            if cell.call == Call::WrongServer {
                cell.reality = Observation::SomeoneElse { who: NASTY.into() };
            }
        }
        for finding in &mut stage.findings {
            finding.flow.from.push_str(NASTY);
            finding.flow.to.push_str(NASTY);
            mean(&mut finding.because);
            mean(&mut finding.next);
            finding.reality = Some(Observation::SomeoneElse { who: NASTY.into() });
        }
    }
    if let Some(stage) = document.stages.last_mut() {
        stage.name = NASTY.into();
    }
    let watched = watched();
    let mut watch = watched.watch.unwrap();
    mean(&mut watch.waited_for);
    watch.command.iter_mut().for_each(|command| {
        (command.argv, command.said, command.status) = (vec![NASTY.into()], vec![NASTY.into()], Some(NASTY.into()));
    });
    for one in &mut watch.established {
        one.flow.from.push_str(NASTY);
        one.note = Some(NASTY.into());
        one.fate = Fate::Ended { at_us: 1, how: NASTY.into(), by: NASTY.into() };
    }
    for one in &mut watch.newborns {
        mean(&mut one.name);
        mean(&mut one.like);
        (one.node, one.note) = (Some(NASTY.into()), Some(NASTY.into()));
        one.leaked = vec![flow(NASTY, NASTY, "80/tcp")];
    }
    document.watch = Some(watch);
    document.known = watched.known;
    for known in &mut document.known {
        mean(&mut known.flows);
        mean(&mut known.reason);
        mean(&mut known.until);
    }
    document
}
