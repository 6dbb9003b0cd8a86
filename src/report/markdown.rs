//! Markdown for the summary page of a CI job: the result, a table of findings, and the matrices folded away.

use std::io::{self, Write};

use crate::model::document::{Document, Stage};
use crate::model::flow::NamedFlow;

use super::blindness::{self, Detail};
use super::duration::human_us;
use super::finding_groups::{self, FindingGroup};
use super::grid::Grid;
use super::groups::{self, Group};
use super::mark::Mark;
use super::story::Story;
use super::terminal::{Style, matrix};
use super::text::{Charset, harmless, plural};
use super::watched::Found;
use super::{drops, story, summary, watched};

/// So many rows of findings; job summaries have a size limit, and the other reports hold all.
const FINDINGS: usize = 100;
/// So many flows of one cause are listed.
const GROUPED: usize = 30;
/// So many windows of one finding are told.
const WINDOWS: usize = 4;
/// So many sentences are told of connections that were held open.
const HELD: usize = 10;
/// So many flows are named beside one sentence.
const FLOWS: usize = 3;

/// Writes the report of a run.
///
/// # Errors
/// Whatever the writer refuses.
pub fn render(document: &Document, out: &mut dyn Write) -> io::Result<()> {
    let outcome = summary::outcome(document.exit, &document.counts);
    writeln!(out, "### {}: {}\n", outcome.word, escape(&summary::subject(document)))?;
    if let Some(fault) = summary::fault(document) {
        writeln!(out, "> **FAULT**: {}\n", prose(&fault))?;
    }
    for lead in summary::lead(document) {
        writeln!(out, "**{}**\n", prose(&lead))?;
    }
    writeln!(out, "{}; {}\n", summary::counts(&document.counts), prose(&summary::exit(document)))?;
    for stage in &document.stages {
        let counts = summary::counts(&stage.counts);
        writeln!(out, "- **{}**: {counts}; {}", escape(&stage.name), story::convergence(stage))?;
    }
    writeln!(out)?;
    findings(document, out)?;
    watch(document, out)?;
    remarks(document, out)?;
    for stage in &document.stages {
        folded_matrix(stage, out)?;
    }
    writeln!(
        out,
        "leakproof {}, started {}, {}",
        escape(&document.leakproof),
        escape(&document.started),
        escape(&summary::took(document))
    )?;
    out.flush()
}

fn findings(document: &Document, out: &mut dyn Write) -> io::Result<()> {
    let of_stage = |stage| finding_groups::of_stage(document, stage).into_iter().map(move |group| (stage, group));
    let all: Vec<(&Stage, FindingGroup)> = document.stages.iter().flat_map(of_stage).collect();
    if all.is_empty() {
        return Ok(());
    }
    writeln!(out, "| | Flow | Readings | Blame | Next | Stage |\n|---|---|---|---|---|---|")?;
    for (stage, group) in all.iter().take(FINDINGS) {
        let told = &group.story;
        writeln!(
            out,
            "| **{}** | {} | {} | {} | {} | {} |",
            told.word,
            flows_of(group),
            readings(told),
            prose(&told.blame),
            prose(&told.next),
            escape(&stage.name)
        )?;
    }
    if let Some(more) = all.len().checked_sub(FINDINGS).filter(|more| *more > 0) {
        writeln!(out, "\n{} more; the JSON lists every one.", plural(more as u64, "finding", "findings"))?;
    }
    writeln!(out)
}

/// The readings, and on lines of their own when it was wrong and what changed at that time.
fn readings(told: &Story) -> String {
    let mut lines = vec![prose(&told.readings)];
    lines.extend(told.took_effect.iter().map(|took_effect| format!("took effect: {}", prose(took_effect))));
    for window in told.windows.iter().take(WINDOWS) {
        lines.push(prose(&window.sentence));
        lines.extend(window.changed(watched::NAMED).map(|changed| prose(&changed)));
    }
    if let Some(more) = told.windows.len().checked_sub(WINDOWS).filter(|more| *more > 0) {
        lines.push(format!("and {}", plural(more as u64, "more window", "more windows")));
    }
    lines.join("<br>")
}

/// A flow, or the title of many and each of them on a line of its own.
fn flows_of(group: &FindingGroup) -> String {
    let title = group.title.iter().map(|title| format!("**{}**", prose(title)));
    let flows = group.findings.iter().take(GROUPED).map(|finding| code(&finding.flow.to_string()));
    let more = group.findings.len().checked_sub(GROUPED).filter(|more| *more > 0);
    title.chain(flows).chain(more.map(|more| format!("and {more} more"))).collect::<Vec<_>>().join("<br>")
}

fn watch(document: &Document, out: &mut dyn Write) -> io::Result<()> {
    let Some(watch) = &document.watch else { return Ok(()) };
    writeln!(out, "#### Watch\n\n{}.\n", prose(&watched::span(watch)))?;
    let mut lines = vec![watched::sight(watch), watched::budgets(watch)];
    lines.extend(watched::unobserved(document));
    lines.extend(watched::command(watch));
    lines.extend(watched::established(watch));
    lines.extend(watched::newborns(watch));
    for line in &lines {
        writeln!(out, "- {}", prose(line))?;
    }
    let held = watched::held(watch);
    for group in held.iter().take(HELD) {
        writeln!(out, "  - {}: {}", flows_in_short(&group.flows), prose(&group.sentence))?;
    }
    if let Some(more) = held.len().checked_sub(HELD).filter(|more| *more > 0) {
        writeln!(out, "  - and {more} more; the JSON lists every one")?;
    }
    let in_trouble = watch.newborns.iter().filter(|born| !born.leaked.is_empty() || !born.shut.is_empty());
    for born in in_trouble.take(FLOWS) {
        writeln!(out, "  - {}: {}", escape(&born.name), prose(&watched::newborn(born)))?;
    }
    writeln!(out)?;
    let flows = watched::flows(document);
    if flows.is_empty() {
        writeln!(out, "{}.\n", watched::no_flow_was_wrong(document))?;
        return events(document, out);
    }
    // Findings have told their windows.
    let (found, flows) = watched::found_and_others(document);
    for Found { call, group } in &found {
        let flows = flows_in_short(&group.flows);
        writeln!(out, "- **{}** {flows}: {}", call.word(), prose(&group.sentence))?;
    }
    if flows.is_empty() {
        writeln!(out)?;
        return events(document, out);
    }
    if !found.is_empty() {
        writeln!(out)?;
    }
    writeln!(out, "| | Flow | Windows | At least | At most | Counts as | Beside it |\n|---|---|---|---|---|---|---|")?;
    for flow in flows.iter().take(FINDINGS) {
        writeln!(
            out,
            "| **{}** | {} | {} | {} | {} | {} | {} |",
            flow.word(),
            code(&flow.flow.to_string()),
            flow.windows.len(),
            human_us(flow.least_us()),
            flow.most_us().map_or("not known".into(), human_us),
            watched::standing(flow.standing, flow.call),
            prose(&beside(document, flow))
        )?;
    }
    if let Some(more) = flows.len().checked_sub(FINDINGS).filter(|more| *more > 0) {
        writeln!(out, "\n{} more; the JSON lists every one.", plural(more as u64, "flow", "flows"))?;
    }
    writeln!(out)?;
    events(document, out)
}

/// What lies beside a flow's first window that anything lies beside, and what was counted as dropped in its first window of
/// which that is known.
fn beside(document: &Document, flow: &watched::Watched) -> String {
    let told = flow.windows.iter().find_map(|window| watched::beside_in_short(window, &document.events, 1));
    let drops = flow.windows.iter().find_map(|window| drops::words(window));
    told.into_iter().chain(drops).collect::<Vec<_>>().join("; ")
}

/// What happened around the watch, folded away.
fn events(document: &Document, out: &mut dyn Write) -> io::Result<()> {
    let Some(sentence) = watched::around(&document.events) else { return Ok(()) };
    writeln!(out, "<details><summary>{}</summary>\n", escape(&sentence))?;
    for event in document.events.iter().take(FINDINGS) {
        writeln!(out, "- {}", prose(&watched::happening(event)))?;
    }
    if let Some(more) = document.events.len().checked_sub(FINDINGS).filter(|more| *more > 0) {
        writeln!(out, "\n{more} more; the HTML report and the JSON list them all.")?;
    }
    writeln!(out, "\n</details>\n")
}

fn remarks(document: &Document, out: &mut dyn Write) -> io::Result<()> {
    let mut items: Vec<String> = Vec::new();
    for stage in &document.stages {
        let mut told = |word: &str, groups: Vec<Group>| {
            items.extend(groups.iter().map(|group| format!("**{word}** {}", sentence(stage, group))));
        };
        told("UNSURE", groups::unsure(stage));
        told("n/a", groups::unsupported(stage));
        told("note", groups::notes(stage));
        let weakness = groups::weakness(stage);
        items.extend(weakness.map(|weak| format!("**weak** {}: {}", escape(&stage.name), prose(&weak.sentence()))));
    }
    items.extend(blindness::blind(document, Detail::Some).iter().map(|told| format!("**blind** {}", prose(told))));
    items.extend(blindness::lost(document).map(|told| format!("**lost** {}", prose(&told))));
    items.extend(document.known.iter().map(|known| format!("**known** {}", prose(&watched::known(known)))));
    items.extend(document.warnings.iter().map(|text| format!("**warning** {}", prose(text))));
    items.extend(document.left_behind.iter().map(|text| format!("**left behind** {}", prose(text))));
    items.extend(document.aborted.iter().map(|text| format!("**ended early** {}", prose(text))));
    items.extend(summary::unstated(&document.counts));
    for item in &items {
        writeln!(out, "- {item}")?;
    }
    if items.is_empty() { Ok(()) } else { writeln!(out) }
}

fn sentence(stage: &Stage, group: &Group) -> String {
    let count = plural(group.flows.len() as u64, "cell", "cells");
    let flows = flows_in_short(&group.flows);
    format!("{}: {count}: {} ({flows})", escape(&stage.name), prose(&group.sentence))
}

/// The first of several flows, and how many more there are.
fn flows_in_short(flows: &[&NamedFlow]) -> String {
    let mut told: Vec<String> = flows.iter().take(FLOWS).map(|flow| code(&flow.to_string())).collect();
    if let Some(more) = flows.len().checked_sub(FLOWS).filter(|more| *more > 0) {
        told.push(format!("and {more} more"));
    }
    told.join(", ")
}

fn folded_matrix(stage: &Stage, out: &mut dyn Write) -> io::Result<()> {
    let cells: Vec<_> = stage.cells.iter().map(|cell| (&cell.flow, Mark::of_cell(cell))).collect();
    let grid = Grid::lay_out(cells.iter().copied(), matrix::folding(&cells));
    writeln!(out, "<details><summary>Matrix of {}</summary>\n\n<pre>", escape(&stage.name))?;
    for line in matrix::draw(&grid, Style { width: 120, ..Style::default() }) {
        writeln!(out, "{}", escape(&line))?;
    }
    writeln!(out, "</pre>\n\n</details>\n")
}

/// A sentence, as [`escape`] has it, with what stands between two backticks as code. Only for places that are read as Markdown:
/// inside HTML a backtick is no mark.
fn prose(text: &str) -> String {
    // A backtick without its partner is itself.
    let paired = text.rfind('`').filter(|_| text.matches('`').count().is_multiple_of(2));
    let (marked, rest) = paired.map_or(("", text), |last| text.split_at(last + 1));
    let parts = marked.split('`').enumerate();
    let told = parts.map(|(place, part)| if place % 2 == 0 { escape(part) } else { code(part) });
    told.collect::<String>() + &escape(rest)
}

/// Text from outside as code. Between backticks nothing is markup but a backtick, and in a table a bar: such text is an HTML
/// element with entities instead, and so is what Markdown would take blanks or backticks of.
fn code(text: &str) -> String {
    let safe = harmless(text, Charset::Unicode);
    let plain = !safe.is_empty() && safe.trim() == safe && !safe.contains(['`', '|', '\\']);
    if plain { format!("`{safe}`") } else { format!("<code>{}</code>", escape(text)) }
}

/// Text from outside: whatever Markdown or HTML could read as more than a character becomes a numbered entity, which
/// both show as the character and never read as markup.
fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in harmless(text, Charset::Unicode).chars() {
        match c {
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '<' | '>' | '#' | '!' | '|' | '~' | '&' | '@' | '$'
            | '"' | '\'' => {
                safe.push_str("&#");
                safe.push_str(&u32::from(c).to_string());
                safe.push(';');
            }
            c => safe.push(c),
        }
    }
    // Addresses would become links by themselves.
    safe.replace("://", "&#58;//").replace("www.", "www&#46;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::{ClosedPipe, mesh, nasty, pipeline, spring, troubled, watched};
    use snapbox::{assert_data_eq, str};

    fn rendered(document: &Document) -> String {
        let mut bytes = Vec::new();
        render(document, &mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn trouble_is_told_in_a_table() {
        let text = rendered(&troubled());
        let head: String = text.split_inclusive('\n').take_while(|line| !line.starts_with("<details>")).collect();
        assert_data_eq!(
            head,
            str![[r#"
### LEAK: ai-data-pipeline &#91;lab: 2 nodes, nftables, Linux 6.18&#93;

> **FAULT**: deliberate fault `leak:intruder->data-store-1:5432/tcp`: this run proves nothing about a policy

1 leak, 1 wrong server, 1 outage, 1 contradiction, 2 inconclusive, 1 unsupported, 94 ok of 100 cells; exit 11: a flow that should not work does, or the wrong server answered

- **baseline**: 50 cells, all as they should be; converged after 0 ms, proven after 306 ms
- **policies**: 1 leak, 1 wrong server, 1 outage, 1 contradiction, 2 inconclusive, 1 unsupported, 44 ok of 50 cells; did not converge within 10.0 s

| | Flow | Readings | Blame | Next | Stage |
|---|---|---|---|---|---|
| **LEAK** | `intruder -> data-store-1:5432/tcp` | intent denied, meaning denied, seen: reached<br>took effect: never for good; leak at 681 ms in 5 attempts, leak at 911 ms in 42 attempts | the network: the policy says what was meant, and is not what happens | the network lets through what the policy denies: look at the rules of node-2 for data-store-1 | policies |
| **WRONG** | `ai-processing -> plain:8080/tcp` | intent allowed, meaning allowed, seen: `intruder` answered instead | the network: the policy says what was meant, and is not what happens | find out why packets to plain&#39;s address end at intruder | policies |
| **OUTAGE** | `ai-processing -> data-store-2:9000/tcp` | intent allowed, meaning denied (a contradiction), seen: silent, 31 attempts | the policy: too strict | if the flow is wanted, add port 9000 to ingress&#91;0&#93;.ports | policies |

- **UNSURE** policies: 2 cells: not seen: the agent got no processor time (`plain -> ai-processing:8080/tcp`, `plain -> intruder:8080/tcp`)
- **n/a** policies: 1 cell: not supported here: this kernel has no SCTP (`plain -> impostor:8080/tcp`)
- **note** policies: 1 cell: denied by rejection, which at the socket looks like a closed port (`intruder -> data-store-2:5432/tcp`)
- **weak** policies: 3 denials rest on a weak witness: `impostor` is cut off both ways; only this run&#39;s baseline and its own agent speak for it
- **blind** agent of plain: from 690 ms for 610 ms: the agent got no processor time
- **warning** the policy names no port: every port and protocol of the data store is open to its peers, also those it may serve one day
- **left behind** remove netns `lp-k3f9-plain`: device or resource busy
- 59 cells have no stated intent: what the policies say judged them alone


"#]]
        );
        assert_eq!(text.matches("<details>").count(), 2, "a matrix per stage, folded away");
        assert_eq!(text.matches("<details>").count(), text.matches("</details>").count());
    }

    #[test]
    fn a_watch_is_told_in_a_table_of_its_own() {
        let text = rendered(&watched());
        let watch = text.split_once("#### Watch").unwrap().1.split_once("<details>").unwrap().0;
        assert_data_eq!(
            watch,
            str![[r#"


5 min long; waited for the command, and quiet after it.

- 149,988 attempts seen, 12 more could not see; every flow tried once in 100 ms; 480 long attempts on denied flows
- a flow&#39;s budget is 2.0 s of outage and no leak, unless its expectation says otherwise
- command `./upgrade-calico 3.32.1`: exit 0 after 4 min
- 5 connections held open throughout: 2 survived, 1 stalled for a while, 1 ended before, 1 could not be seen
- 4 pods born while watching; connected after 900 ms to 8.8 s; 2 never connected; 1 was open where it should not be
  - `ai-processing -> plain:8080/tcp`: stalled, longest gap 1.5 s from 1 min 30 s on
  - `ai-processing -> impostor:8080/tcp`: reset by the destination at 1 min 36 s
  - `plain -> impostor:8080/tcp`: not seen: the agent of plain was lost
  - `intruder -> plain:8080/tcp`: survived; denied since 680 ms: a denial cuts no open connection
  - newborn-2: alive after 2.0 s, connected 8.8 s later; was open: newborn-2 -&#62; data-store-1:53/udp
  - newborn-4: alive after 3.0 s, never connected; shut to the end: newborn-4 -&#62; plain:8080/tcp; not all it may do worked within 1m

- **LEAK** `intruder -> data-store-2:9000/tcp`: leak in 1 window, at least 200 ms and at most 400 ms, seen by 3 attempts: more than its budget

| | Flow | Windows | At least | At most | Counts as | Beside it |
|---|---|---|---|---|---|---|
| **UNSURE** | `plain -> impostor:8080/tcp` | 1 | 1.9 s | 2.1 s | perhaps more than its budget, perhaps not |  |
| **budget** | `ai-processing -> data-store-1:5432/tcp` | 2 | 700 ms | 1.1 s | within its budget |  |
| **known** | `data-store-1 -> impostor:8080/tcp` | 1 | 3.0 s | not known | known, and put up with |  |


"#]]
        );
    }

    #[test]
    fn a_run_as_meant_is_short() {
        let text = rendered(&pipeline());
        assert!(text.starts_with("### ok: ai-data-pipeline &#91;lab: 2 nodes"), "{}", &text[..80]);
        assert!(!text.contains("| Flow |"), "no findings, no table");
    }

    #[test]
    fn a_flood_of_findings_is_counted_not_cut_off_silently() {
        let mut document = mesh(12, 12);
        for from in 0..11 {
            for to in (0..12).filter(|to| *to != from && *to != from + 1) {
                spring(&mut document, &format!("pod-{from:03}"), &format!("pod-{to:03}"), "8080/tcp");
            }
        }
        // Each has a reason of its own, so that no two are one cause.
        for (place, finding) in document.stages[0].findings.iter_mut().enumerate() {
            finding.because = format!("rule {place} does not match");
        }
        let findings = document.stages[0].findings.len();
        let text = rendered(&document);
        assert_eq!(text.matches("| **LEAK** |").count(), FINDINGS);
        assert!(text.contains(&format!("{} findings more; the JSON", findings - FINDINGS)), "{findings} in all");
    }

    #[test]
    fn text_from_outside_does_no_harm() {
        let text = rendered(&nasty());
        assert!(!text.contains("<script"), "no markup comes through");
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "no control character is left");
        for line in text.lines().filter(|line| line.starts_with('|')) {
            assert_eq!(line.matches('|').count(), 7, "{line} still has its six columns");
        }
        assert_eq!(prose("run `a | <b>` on"), "run <code>a &#124; &#60;b&#62;</code> on", "a bar ends no cell");
        assert_eq!(prose("run `a <b> *c*` & go"), "run `a <b> *c*` &#38; go", "code is code to its end");
        assert_eq!(prose("a ` alone"), "a &#96; alone");
        assert_eq!(prose("``"), "<code></code>");
        assert_eq!(code("a`b"), "<code>a&#96;b</code>");
        assert_eq!(escape("see https://x.y and `a_b`"), "see https&#58;//x.y and &#96;a&#95;b&#96;");
    }

    #[test]
    fn a_closed_pipe_is_an_error_not_a_panic() {
        assert_eq!(render(&pipeline(), &mut ClosedPipe).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
