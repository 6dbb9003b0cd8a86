use snapbox::{IntoData, assert_data_eq, str};

use super::*;
use crate::report::finding_groups;
use crate::report::fixture::{ClosedPipe, flow, mesh, nasty, pipeline, spring, troubled, watched};

fn rendered(document: &Document, style: Style) -> String {
    let mut bytes = Vec::new();
    render(document, style, &mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

fn style(colour: Colour, charset: Charset, verbosity: Verbosity) -> Style {
    Style { colour, charset, verbosity, width: 80 }
}

#[test]
fn a_run_as_meant() {
    assert_data_eq!(
        rendered(&pipeline(), Style::default()),
        str![[r#"
ai-data-pipeline [lab: 2 nodes, nftables, Linux 6.18]
Only ai-processing pods of the pipeline's own namespace may reach the data
store.

baseline: 50 cells, all as they should be
  converged after 0 ms, proven after 306 ms

policies: 50 cells, all as they should be
  created NetworkPolicy ai-data-pipeline/allow-ai-processing-to-data-store
  converged after 36 ms, proven after 342 ms; slowest:
  plain -> data-store-2:9000/tcp 36 ms, plain -> data-store-2:5432/tcp 36 ms,
  plain -> data-store-2:53/udp 35 ms

                 ┌ ai-processing:8080/tcp
                 │ ┌ data-store-1:53/udp
                 │ │ ┌ data-store-1:5432/tcp
                 │ │ │ ┌ data-store-1:9000/tcp
                 │ │ │ │ ┌ data-store-2:53/udp
                 │ │ │ │ │ ┌ data-store-2:5432/tcp
                 │ │ │ │ │ │ ┌ data-store-2:9000/tcp
                 │ │ │ │ │ │ │ ┌ impostor:8080/tcp
                 │ │ │ │ │ │ │ │ ┌ intruder:8080/tcp
                 │ │ │ │ │ │ │ │ │ ┌ plain:8080/tcp
  ai-processing    · · · · · · · · ·
  data-store-1   ·       x x x · · ·
  data-store-2   · x x x       · · ·
  impostor       · x x x x x x   · ·
  intruder       · x x x x x x ·   ·
  plain          · x x x x x x · ·

  · allowed, as it should be   x denied, as it should be

  ok      ai-data-pipeline [lab: 2 nodes, nftables, Linux 6.18]
          100 cells, all as they should be; exit 0: as meant
          59 cells have no stated intent: what the policies say judged them
          alone
          took 1.4 s: world 210 ms, agents 60 ms, baseline 410 ms, policies
          650 ms, tear-down 90 ms

"#]]
    );
}

#[test]
fn a_run_with_one_of_each_trouble_in_ascii() {
    let ascii = style(Colour::Off, Charset::Ascii, Verbosity::Normal);
    assert_data_eq!(
        rendered(&troubled(), ascii),
        str![[r#"
ai-data-pipeline [lab: 2 nodes, nftables, Linux 6.18]
Only ai-processing pods of the pipeline's own namespace may reach the data
store.
  FAULT   deliberate fault `leak:intruder->data-store-1:5432/tcp`: this run
          proves nothing about a policy

baseline: 50 cells, all as they should be
  converged after 0 ms, proven after 306 ms

policies: 1 leak, 1 wrong server, 1 outage, 1 contradiction, 2 inconclusive, 1
unsupported, 44 ok of 50 cells
  created NetworkPolicy ai-data-pipeline/allow-ai-processing-to-data-store
  did not converge within 10.0 s; slowest: plain -> data-store-2:9000/tcp 36 ms,
  plain -> data-store-2:5432/tcp 36 ms, plain -> data-store-2:53/udp 35 ms

                 + ai-processing:8080/tcp
                 | + data-store-1:53/udp
                 | | + data-store-1:5432/tcp
                 | | | + data-store-1:9000/tcp
                 | | | | + data-store-2:53/udp
                 | | | | | + data-store-2:5432/tcp
                 | | | | | | + data-store-2:9000/tcp
                 | | | | | | | + impostor:8080/tcp
                 | | | | | | | | + intruder:8080/tcp
                 | | | | | | | | | + plain:8080/tcp
  ai-processing    . . . . . O . . W < WRONG
  data-store-1   .       x x x . . .
  data-store-2   . x x x       . . .
  impostor       . x x x x x x   . .
  intruder       . x L x x x x .   . < LEAK
  plain          ? x x x x x x - ?   < UNSURE

  - not supported here   . allowed, as it should be   x denied, as it should be
  ? UNSURE: could not be seen   O OUTAGE   W WRONG server   L LEAK

  LEAK    intruder -> data-store-1:5432/tcp
          intent denied, meaning denied, seen: reached
          blame: the network: the policy says what was meant, and is not what
          happens
          because: the source is not isolated;
          ai-data-pipeline/allow-ai-processing-to-data-store isolates the
          destination, and none of its rules matches
          next: the network lets through what the policy denies: look at the
          rules of node-2 for data-store-1
          took effect: never for good; leak at 681 ms in 5 attempts, leak at
          911 ms in 42 attempts
  WRONG   ai-processing -> plain:8080/tcp
          intent allowed, meaning allowed, seen: `intruder` answered instead
          blame: the network: the policy says what was meant, and is not what
          happens
          because: no policy selects either end
          next: find out why packets to plain's address end at intruder
  OUTAGE  ai-processing -> data-store-2:9000/tcp
          intent allowed, meaning denied (a contradiction), seen: silent, 31
          attempts
          blame: the policy: too strict
          because: ai-data-pipeline/allow-ai-processing-to-data-store isolates
          the destination, and none of its rules matches port 9000/tcp
          next: if the flow is wanted, add port 9000 to ingress[0].ports
  UNSURE  2 cells: not seen: the agent got no processor time
            plain -> ai-processing:8080/tcp
            plain -> intruder:8080/tcp
  weak    3 denials rest on a weak witness: `impostor` is cut off both ways;
          only this run's baseline and its own agent speak for it (--verbose
          lists them; --strict makes them inconclusive)
  n/a     1 cell: not supported here: this kernel has no SCTP
            plain -> impostor:8080/tcp
  note    1 cell: denied by rejection, which at the socket looks like a closed
          port
            intruder -> data-store-2:5432/tcp

  blind   agent of plain: from 690 ms for 610 ms: the agent got no processor
          time
  warning the policy names no port: every port and protocol of the data store is
          open to its peers, also those it may serve one day
  LEFT    left behind: remove netns `lp-k3f9-plain`: device or resource busy

  LEAK    ai-data-pipeline [lab: 2 nodes, nftables, Linux 6.18]
          deliberate fault; 1 leak, 1 wrong server, 1 outage, 1 contradiction, 2
          inconclusive, 1 unsupported, 94 ok of 100 cells; exit 11: a flow that
          should not work does, or the wrong server answered
          59 cells have no stated intent: what the policies say judged them
          alone
          took 1.4 s: world 210 ms, agents 60 ms, baseline 410 ms, policies
          650 ms, tear-down 90 ms

"#]]
    );
}

#[test]
fn a_watch_tells_what_was_wrong_and_by_how_much() {
    let text = rendered(&watched(), Style::default());
    let watch = text.split_once("\nwatch: ").unwrap().1;
    assert_data_eq!(
        watch,
        str![[r#"
5 min long; waited for the command, and quiet after it
  149,988 attempts seen, 12 more could not see; every flow tried once in 100 ms;
  480 long attempts on denied flows
  a flow's budget is 2.0 s of outage and no leak, unless its expectation says
  otherwise
  command `./upgrade-calico 3.32.1`: exit 0 after 4 min
    | waiting for calico-node
    | still waiting
    | rolled out
  LEAK    intruder -> data-store-2:9000/tcp
          leak in 1 window, at least 200 ms and at most 400 ms, seen by 3
          attempts: more than its budget
  UNSURE  plain -> impostor:8080/tcp
          outage in 1 window, at least 1.9 s and at most 2.1 s, seen by 20
          attempts: perhaps more than its budget, perhaps not
            outage at 2 min for at least 1.9 s and at most 2.1 s (20 attempts)
  budget  ai-processing -> data-store-1:5432/tcp
          outage in 2 windows, at least 700 ms and at most 1.1 s together, seen
          by 9 attempts: within its budget
            outage at 1 min for at least 300 ms and at most 500 ms (4 attempts)
            outage at 1 min 30 s for at least 400 ms and at most 600 ms (5
            attempts)
  known   data-store-1 -> impostor:8080/tcp
          outage in 1 window, at least 3.0 s, seen by 31 attempts: known, and
          put up with
            outage at 4 min 58 s for at least 3.0 s, and not over when the stage
            ended (31 attempts)
  open    5 connections held open throughout: 2 survived, 1 stalled for a while,
          1 ended before, 1 could not be seen
            ai-processing -> plain:8080/tcp: stalled, longest gap 1.5 s from
            1 min 30 s on
            ai-processing -> impostor:8080/tcp: reset by the destination at
            1 min 36 s
            plain -> impostor:8080/tcp: not seen: the agent of plain was lost
            intruder -> plain:8080/tcp: survived; denied since 680 ms: a denial
            cuts no open connection
  newborn 4 pods born while watching; connected after 900 ms to 8.8 s; 2 never
          connected; 1 was open where it should not be
            newborn-2 like ai-processing on node-1: alive after 2.0 s, connected
            8.8 s later; was open: newborn-2 -> data-store-1:53/udp
            newborn-4 like ai-processing on node-1: alive after 3.0 s, never
            connected; shut to the end: newborn-4 -> plain:8080/tcp; not all it
            may do worked within 1m
            newborn-3 like ai-processing on node-1: never alive, never
            connected; create pod: timed out
            newborn-1 like ai-processing on node-1: alive after 1.0 s, connected
            900 ms later
  events  5 things happened around it: command 2, network plugin 2, policies 1
            3.0 s: the command: was started
            1 min 29 s: calico-node on node-1: pod calico-node-x7k was told to
            end
            1 min 35 s: NetworkPolicy ai-staging/open: was created by kubectl
            1 min 37 s: calico-node on node-1: pod calico-node-q2m is ready
            (some time since 1 min 36 s)
            4 min 3 s: the command: ended: exit 0

  blind   agent of data-store-2: from 2 min 10 s for 1.0 s: the agent got no
          processor time
  known   outage of data-store-1 -> impostor:8080/tcp until 2027-03-31 (restarts
          during the upgrade): happened, and is put up with
  known   outage of any -> plain until 2027-03-31 (restarts during the upgrade):
          did not happen: the entry may go

  LEAK    ai-data-pipeline [lab: 2 nodes, nftables, Linux 6.18]
          1 leak, 1 inconclusive, 1 known to be wrong, 47 ok of 50 cells; exit
          11: a flow that should not work does, or the wrong server answered
          9 cells have no stated intent: what the policies say judged them alone
          took 5 min 3 s: world 210 ms, agents 60 ms, baseline 410 ms, policies
          650 ms, watch 5 min, tear-down 90 ms

"#]]
    );
}

#[test]
fn a_quiet_watch_is_calm() {
    let mut document = pipeline();
    let mut watch = watched().watch.unwrap();
    (watch.established, watch.newborns, watch.command) = (Vec::new(), Vec::new(), None);
    (watch.unseen, watch.persistent) = (0, 0);
    document.watch = Some(watch);
    let text = rendered(&document, Style::default());
    let watch = text.split_once("\nwatch: ").unwrap().1;
    assert_data_eq!(
        watch,
        str![[r#"
5 min long; waited for the command, and quiet after it
  149,988 attempts seen, every one of them could see; every flow tried once in
  100 ms
  a flow's budget is 2.0 s of outage and no leak, unless its expectation says
  otherwise
  ok      no flow was wrong at any time

  ok      ai-data-pipeline [lab: 2 nodes, nftables, Linux 6.18]
          100 cells, all as they should be; exit 0: as meant
          59 cells have no stated intent: what the policies say judged them
          alone
          took 1.4 s: world 210 ms, agents 60 ms, baseline 410 ms, policies
          650 ms, tear-down 90 ms

"#]]
    );
}

#[test]
fn many_agents_that_could_not_see_are_told_in_one_line() {
    let mut document = pipeline();
    for (place, agent) in document.agents.iter_mut().enumerate() {
        let until_us = 100_000 * (place as u64 + 1);
        agent.blind = vec![crate::model::document::BlindSpan {
            from_us: 0,
            until_us,
            why: crate::model::observation::Blindness::Starved,
        }];
    }
    let text = rendered(&document, Style::default());
    assert_eq!(text.matches("  blind ").count(), 1, "{text}");
    assert!(text.contains("6 agents could not see for a while, the longest plain for 600 ms"), "{text}");
    let verbose = rendered(&document, Style { verbosity: Verbosity::Verbose, ..Style::default() });
    assert_eq!(verbose.matches("  blind   agent of").count(), 6, "each for itself when asked");
}

#[test]
fn how_long_agents_starved_is_told_when_asked() {
    let mut document = pipeline();
    document.agents[1].starved = Some(crate::model::document::StarvedTime { longest_us: 30_000, total_us: 90_000 });
    document.agents[2].starved = Some(crate::model::document::StarvedTime { longest_us: 0, total_us: 0 });
    assert!(!rendered(&document, Style::default()).contains("starved"));
    let verbose = rendered(&document, Style { verbosity: Verbosity::Verbose, ..Style::default() });
    assert_eq!(verbose.matches("  starved ").count(), 1, "{verbose}");
    let told = verbose.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains("no processor time for 30 ms at most, 90 ms in all"), "{verbose}");
}

#[test]
fn fifty_pods_that_look_alike_are_folded_and_a_leak_is_not() {
    let mut document = mesh(50, 3);
    spring(&mut document, "pod-002", "pod-001", "8080/tcp");
    let text = rendered(&document, Style::default());
    let matrix: String = text.split_inclusive('\n').skip(10).take(16).collect();
    assert_data_eq!(
        matrix,
        str![[r#"
               ┌ pod-000 +16:8080/tcp
               │ ┌ pod-001:8080/tcp
               │ │ ┌ pod-002:8080/tcp
               │ │ │ ┌ pod-004 +15:8080/tcp
               │ │ │ │ ┌ pod-005 +14:8080/tcp
  pod-000 +16  · · x · x
  pod-001      x   · · ·
  pod-002      · L   x · < LEAK
  pod-004 +15  x · · · ·
  pod-005 +14  · x · x ·

  · allowed, as it should be   x denied, as it should be   L LEAK
  pod-000 +16: pod-000, pod-003, pod-006, pod-009, pod-012, pod-015, pod-018,
    pod-021, pod-024, pod-027, pod-030, pod-033, pod-036, pod-039, pod-042,
    pod-045, pod-048
  pod-004 +15: pod-004, pod-007, pod-010, pod-013, pod-016, pod-019, pod-022,

"#]]
    );
}

#[test]
fn fifty_pods_that_do_not_look_alike_fit_into_eighty_columns() {
    let mut document = mesh(50, 50);
    spring(&mut document, "pod-002", "pod-049", "8080/tcp");
    let text = rendered(&document, Style::default());
    let matrix: String = text.split_inclusive('\n').skip(10).take(7).collect();
    assert_data_eq!(
        matrix,
        str![[r#"
  columns have the numbers of the rows; every port is 8080/tcp
                      1 1111111112 2222222223 3333333334 4444444445
             1234567890 1234567890 1234567890 1234567890 1234567890
   1 pod-000  ·xxxxxxxx xxxxxxxxxx xxxxxxxxxx xxxxxxxxxx xxxxxxxxxx
   2 pod-001 x ·xxxxxxx xxxxxxxxxx xxxxxxxxxx xxxxxxxxxx xxxxxxxxxx
   3 pod-002 xx ·xxxxxx xxxxxxxxxx xxxxxxxxxx xxxxxxxxxx xxxxxxxxxL < LEAK
   4 pod-003 xxx ·xxxxx xxxxxxxxxx xxxxxxxxxx xxxxxxxxxx xxxxxxxxxx

"#]]
    );
}

#[test]
fn many_columns_of_several_ports_are_numbered_and_named_below() {
    let mut document = mesh(40, 40);
    for cell in &mut document.stages[0].cells {
        if cell.flow.to == "pod-007" {
            cell.flow = flow(&cell.flow.from, &cell.flow.to, "5432/tcp");
        }
    }
    let text = rendered(&document, Style::default());
    assert!(text.contains("columns are numbered; their names stand below"), "{text}");
    assert!(text.contains(" 8 pod-007:5432/tcp"), "{text}");
    assert!(text.contains(" 9 pod-008:8080/tcp"), "{text}");
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    let mut long = pipeline();
    let name = "a-name-that-is-as-long-as-the-api-server-lets-a-name-be-63-letters";
    for cell in &mut long.stages[1].cells {
        if cell.flow.from == "intruder" {
            cell.flow.from = name.into();
        }
        if cell.flow.to == "intruder" {
            cell.flow.to = name.into();
        }
    }
    for (document, what) in [
        (pipeline(), "pipeline"),
        (troubled(), "troubled"),
        (watched(), "watched"),
        (nasty(), "nasty"),
        (mesh(60, 60), "mesh"),
        (long, "long"),
    ] {
        for width in [40, 80, 132] {
            for verbosity in [Verbosity::Normal, Verbosity::Verbose] {
                let text = rendered(&document, Style { width, verbosity, ..Style::default() });
                for line in text.lines() {
                    let taken = crate::report::text::width(line);
                    assert!(taken <= width, "{what} in {width} columns: {taken} are taken by {line}");
                }
            }
        }
    }
}

#[test]
fn colour_adds_nothing_but_colour() {
    let colour = rendered(&troubled(), style(Colour::On, Charset::Unicode, Verbosity::Normal));
    let plain = rendered(&troubled(), Style::default());
    assert_ne!(colour, plain);
    let mut bare = String::new();
    let mut rest = colour.as_str();
    while let Some((before, sequence)) = rest.split_once('\u{1b}') {
        bare.push_str(before);
        rest = sequence.split_once('m').unwrap().1;
    }
    bare.push_str(rest);
    assert_eq!(bare, plain, "without its sequences it is the plain report");
    let leak = colour.lines().find(|line| line.contains("intruder") && line.contains("< ")).unwrap();
    assert_data_eq!(leak.replace('\u{1b}', "<ESC>"), str!["  intruder       <ESC>[32m·<ESC>[0m <ESC>[36mx<ESC>[0m <ESC>[1m<ESC>[97m<ESC>[41mL<ESC>[0m <ESC>[36mx<ESC>[0m <ESC>[36mx<ESC>[0m <ESC>[36mx<ESC>[0m <ESC>[36mx<ESC>[0m <ESC>[32m·<ESC>[0m   <ESC>[32m·<ESC>[0m < <ESC>[1m<ESC>[97m<ESC>[41mLEAK<ESC>[0m"].raw());
}

#[test]
fn quiet_is_one_line_that_says_where_and_what() {
    let quiet = style(Colour::Off, Charset::Unicode, Verbosity::Quiet);
    assert_data_eq!(
        rendered(&pipeline(), quiet),
        str![[r#"
ok  ai-data-pipeline [lab: 2 nodes, nftables, Linux 6.18]: 100 cells, all as they should be; exit 0: as meant

"#]]
    );
    assert_data_eq!(
        rendered(&troubled(), quiet),
        str![[r#"
LEAK  ai-data-pipeline [lab: 2 nodes, nftables, Linux 6.18]: deliberate fault; 1 leak, 1 wrong server, 1 outage, 1 contradiction, 2 inconclusive, 1 unsupported, 94 ok of 100 cells; exit 11: a flow that should not work does, or the wrong server answered

"#]]
    );
}

#[test]
fn verbose_tells_every_cell() {
    let text = rendered(&troubled(), style(Colour::Off, Charset::Unicode, Verbosity::Verbose));
    let cell: String = text
        .split_inclusive('\n')
        .skip_while(|line| !line.contains("note    1 cell"))
        .skip_while(|line| !line.ends_with("intruder -> data-store-1:5432/tcp\n"))
        .take(9)
        .collect();
    assert_data_eq!(
        cell,
        str![[r#"
  LEAK    intruder -> data-store-1:5432/tcp
            intent denied, meaning denied, seen: reached
            never right for good, 34 attempts
            egress: no policy selects it; ingress: isolated by
            ai-data-pipeline/allow-ai-processing-to-data-store; no rule matches
            window: leak at 681 ms from the stage's start, for at least 40 ms (5
            attempts)
            window: leak at 911 ms for at least 409 ms, and not over when the
            stage ended (42 attempts)

"#]]
    );
    let denied: String = text
        .split_inclusive('\n')
        .skip_while(|line| !line.ends_with("ok      plain -> data-store-1:53/udp\n"))
        .collect();
    assert!(text.matches("ok      plain -> data-store-1:53/udp").count() == 2, "in both stages");
    assert!(denied.contains("witness: the listener answered ai-processing"), "{denied}");
}

#[test]
fn the_fault_and_the_fabric_stand_in_the_first_lines() {
    let text = rendered(&troubled(), Style::default());
    let lines: Vec<&str> = text.lines().take(4).collect();
    assert!(lines[0].contains("[lab: 2 nodes, nftables, Linux 6.18]"), "{lines:?}");
    assert!(lines[3].contains("FAULT"), "{lines:?}");
}

#[test]
fn a_flood_of_findings_is_counted_and_listed_in_full_when_asked() {
    let mut document = mesh(12, 12);
    for from in 0..11 {
        for to in (0..12).filter(|to| *to != from && *to != from + 1) {
            spring(&mut document, &format!("pod-{from:03}"), &format!("pod-{to:03}"), "8080/tcp");
        }
    }
    let findings = document.stages[0].findings.len();
    let sizes: Vec<usize> =
        finding_groups::of_stage(&document, &document.stages[0]).iter().map(|group| group.findings.len()).collect();
    let most = *sizes.iter().max().unwrap();
    assert!(most > LISTED_FINDINGS, "one cause has more flows than are listed: {sizes:?}");
    let is_flow = |line: &&str| {
        let line = line.trim_start().trim_start_matches("LEAK").trim_start();
        line.starts_with("pod-") && line.split(' ').nth(1) == Some("->") && line.split(' ').count() == 3
    };
    let listed = |text: &str| text.lines().filter(is_flow).count();
    let normal = rendered(&document, Style::default());
    assert_eq!(listed(&normal), sizes.iter().map(|size| *size.min(&LISTED_FINDINGS)).sum::<usize>(), "{normal}");
    assert!(normal.contains(&format!("and {} more of the kind", most - LISTED_FINDINGS)), "{normal}");
    let verbose = rendered(&document, Style { verbosity: Verbosity::Verbose, ..Style::default() });
    assert!(listed(&verbose) >= findings, "every one of {findings}");
}

#[test]
fn text_from_outside_does_no_harm() {
    for verbosity in [Verbosity::Quiet, Verbosity::Normal, Verbosity::Verbose] {
        let text = rendered(&nasty(), style(Colour::Off, Charset::Unicode, verbosity));
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "no control character is left");
        assert!(!text.contains('\u{202e}'), "writing direction stays");
        let ascii = rendered(&nasty(), style(Colour::Off, Charset::Ascii, verbosity));
        assert!(ascii.is_ascii(), "ASCII is ASCII");
    }
}

#[test]
fn a_closed_pipe_is_an_error_not_a_panic() {
    for verbosity in [Verbosity::Quiet, Verbosity::Normal, Verbosity::Verbose] {
        let style = style(Colour::Off, Charset::Unicode, verbosity);
        assert_eq!(render(&troubled(), style, &mut ClosedPipe).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
