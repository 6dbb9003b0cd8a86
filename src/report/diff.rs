//! Two runs side by side, for people at a terminal: what changed, the gravest first, and what only one of them has.

mod watch;

use std::io::{self, Write};

use crate::exit;
use crate::model::comparison::{CellChange, Change, Comparison, Readings, Sameness, Side, StageChange};
use crate::model::document::Convergence;
use crate::model::flow::NamedFlow;
use crate::model::verdict::{Intent, Meaning};

use super::duration::human_us;
use super::mark::{Mark, role_of};
use super::paint::Role;
use super::terminal::{LISTED_FINDINGS, Page, Style, Verbosity, page};
use super::text::plural;

/// So many of the times that differ most are told.
const TIMES: usize = 5;

/// Writes a comparison.
///
/// # Errors
/// Whatever the writer refuses.
pub fn render(comparison: &Comparison, style: Style, writer: &mut dyn Write) -> io::Result<()> {
    let mut page = Page::new(style, writer);
    if style.verbosity > Verbosity::Quiet {
        head(comparison, &mut page)?;
        for change in &comparison.stages {
            page.blank()?;
            stage(change, &mut page)?;
        }
        let alone = [("only A", &comparison.stages_only_before), ("only B", &comparison.stages_only_after)];
        for (word, names) in alone.into_iter().filter(|(_, names)| !names.is_empty()) {
            page.blank()?;
            let stages = if names.len() == 1 { "the stage" } else { "the stages" };
            page.entry(word, Role::Unsure, &format!("{stages} {}", names.join(", ")))?;
        }
        if let Some(change) = &comparison.watch {
            page.blank()?;
            watch::render(change, &mut page)?;
        }
        page.blank()?;
    }
    conclusion(comparison, &mut page)?;
    page.flush()
}

fn head(comparison: &Comparison, page: &mut Page) -> io::Result<()> {
    page.heading(&match comparison.before.scenario == comparison.after.scenario {
        true => format!("{}: two runs", comparison.before.scenario),
        false => format!("{} against {}", comparison.before.scenario, comparison.after.scenario),
    })?;
    side("A", &comparison.before, page)?;
    side("B", &comparison.after, page)?;
    for fact in &comparison.facts {
        let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "not told".into());
        let text = format!("{} {} -> {}", fact.name, value(&fact.value.before), value(&fact.value.after));
        page.entry("differs", Role::Strong, &text)?;
    }
    Ok(())
}

fn side(word: &str, side: &Side, page: &mut Page) -> io::Result<()> {
    page.entry(word, Role::Strong, &side.fabric)?;
    let exit = format!("exit {}: {}", side.exit, exit::meaning(side.exit));
    page.text(page::INDENT, &format!("{}, run {}, leakproof {}; {exit}", side.started, side.run, side.leakproof))?;
    match &side.fault {
        Some(fault) => page.text(page::INDENT, &format!("deliberate fault `{fault}`")),
        None => Ok(()),
    }
}

fn stage(stage: &StageChange, page: &mut Page) -> io::Result<()> {
    let cells = plural(stage.cells, "cell", "cells");
    let changed = match stage.changed.len() {
        0 => "no reading differs".into(),
        1 => "1 differs".into(),
        many => format!("{many} differ"),
    };
    page.heading(&format!("{}: {cells} in both, {changed}", stage.name))?;
    page.text(2, &convergence(&stage.convergence))?;
    for (readings, flows) in alike(&stage.changed) {
        let call = readings.call;
        let graver = if call.before.gravity() > call.after.gravity() { call.before } else { call.after };
        // Where both runs call it alike, the word is that something differs all the same.
        let (word, role) = match call.differs() {
            true => (call.after.word(), role_of(graver)),
            false => ("differs", Role::Strong),
        };
        page.entry(word, role, &format!("{}: {}", plural(flows.len() as u64, "cell", "cells"), sentence(&readings)))?;
        page.flows(&flows, LISTED_FINDINGS)?;
    }
    for (word, flows) in [("only A", &stage.only_before), ("only B", &stage.only_after)] {
        if !flows.is_empty() {
            page.entry(word, Role::Unsure, &plural(flows.len() as u64, "cell", "cells"))?;
            page.flows(&flows.iter().collect::<Vec<_>>(), LISTED_FINDINGS)?;
        }
    }
    times(stage, page)
}

/// Cells that changed in the same way, in the order they come.
fn alike(changed: &[CellChange]) -> Vec<(Readings, Vec<&NamedFlow>)> {
    let mut groups: Vec<(Readings, Vec<&NamedFlow>)> = Vec::new();
    for change in changed {
        match groups.last_mut() {
            Some((readings, flows)) if *readings == change.readings => flows.push(&change.flow),
            _ => groups.push((change.readings, vec![&change.flow])),
        }
    }
    groups
}

/// `intent denied, meaning denied, reality silent -> reached, ok -> leak`.
fn sentence(readings: &Readings) -> String {
    let Readings { intent, meaning, reality, call } = readings;
    let stated = |intent: Intent| intent.verdict().map_or("not stated".into(), |verdict| verdict.to_string());
    let said = |meaning: Meaning| meaning.verdict().map_or("unknown".into(), |verdict| verdict.to_string());
    let parts = [
        format!("intent {}", arrow(stated(intent.before), stated(intent.after))),
        format!("meaning {}", arrow(said(meaning.before), said(meaning.after))),
        format!("reality {}", arrow(reality.before.to_string(), reality.after.to_string())),
        match call.differs() {
            true => arrow(call.before.to_string(), call.after.to_string()),
            false => format!("{} in both", call.after),
        },
    ];
    parts.join(", ")
}

fn arrow(before: String, after: String) -> String {
    if before == after { before } else { format!("{before} -> {after}") }
}

fn convergence(change: &Change<Convergence>) -> String {
    let told = |convergence: &Convergence| match convergence {
        Convergence::Converged { after_us, .. } => format!("converged after {}", human_us(*after_us)),
        Convergence::TimedOut { after_us } => format!("did not converge within {}", human_us(*after_us)),
        Convergence::Interrupted => "was interrupted".into(),
    };
    format!("A {}, B {}", told(&change.before), told(&change.after))
}

fn times(stage: &StageChange, page: &mut Page) -> io::Result<()> {
    if stage.times.is_empty() {
        return Ok(());
    }
    let middle = |us: Option<u64>| us.map_or("none".into(), human_us);
    let count = plural(stage.times.len() as u64, "cell", "cells");
    let median = arrow(middle(stage.median_us.before), middle(stage.median_us.after));
    page.entry("time", Role::Strong, &format!("to enforce differs for {count}; the middle of all: {median}"))?;
    let listed = if page.style().verbosity == Verbosity::Verbose { stage.times.len() } else { TIMES };
    for time in stage.times.iter().take(listed) {
        let us = arrow(human_us(time.us.before), human_us(time.us.after));
        page.text(page::INDENT + 2, &format!("{us}: {}", time.flow))?;
    }
    match stage.times.len().saturating_sub(listed) {
        0 => Ok(()),
        more => page.text(page::INDENT + 2, &format!("and {more} more (listed with --verbose, and in the JSON)")),
    }
}

fn conclusion(comparison: &Comparison, page: &mut Page) -> io::Result<()> {
    let stages = || comparison.stages.iter();
    let changed: u64 = stages().map(|stage| stage.changed.len() as u64).sum();
    let alone: u64 = stages().map(|stage| (stage.only_before.len() + stage.only_after.len()) as u64).sum();
    let slower: u64 = stages().map(|stage| stage.times.len() as u64).sum();
    let mut parts = vec![match changed {
        0 => "no reading of a cell that both runs have differs".to_owned(),
        _ => format!("{} with other readings", plural(changed, "cell", "cells")),
    }];
    if alone > 0 {
        parts.push(format!("{} in one run only", plural(alone, "cell", "cells")));
    }
    let one_sided = comparison.stages_only_before.len() + comparison.stages_only_after.len();
    if one_sided > 0 {
        parts.push(format!("{} in one run only", plural(one_sided as u64, "stage", "stages")));
    }
    if slower > 0 {
        parts.push(format!("{} with another time to enforce, which does not count", plural(slower, "cell", "cells")));
    }
    parts.extend(comparison.watch.iter().flat_map(watch::conclusion));
    let (word, role, code) = match comparison.outcome {
        Sameness::Same => ("same", Role::Allowed, 0),
        Sameness::Different => ("DIFFERS", gravest(comparison), 5),
    };
    let text = format!("{}; exit {code}", parts.join(", "));
    match page.style().verbosity {
        Verbosity::Quiet => page.summary(super::summary::Outcome { word, role }, &text),
        Verbosity::Normal | Verbosity::Verbose => page.entry(word, role, &text),
    }
}

/// How the gravest thing in either run is painted.
fn gravest(comparison: &Comparison) -> Role {
    let calls = comparison.stages.iter().flat_map(|stage| &stage.changed).flat_map(|change| {
        let Change { before, after } = change.readings.call;
        [before, after]
    });
    calls.max_by_key(|call| call.gravity()).map_or(Role::Unsure, |call| match Mark::of_call(call).role() {
        Role::Allowed | Role::Denied | Role::Faint | Role::Plain => Role::Strong,
        role => role,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::compare;
    use crate::model::finding::Call;
    use crate::model::watch::{Fate, Standing};
    use crate::report::fixture::{ClosedPipe, mesh, nasty, pipeline, spring, troubled, watched};
    use crate::report::text::Charset;
    use snapbox::{assert_data_eq, str};

    fn rendered(comparison: &Comparison, style: Style) -> String {
        let mut bytes = Vec::new();
        render(comparison, style, &mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn what_changed_is_told_the_gravest_first_with_both_versions_in_the_head() {
        let mut after = troubled();
        after.fabric.facts.insert("cni-version".into(), "3.32.1".into());
        after.stages[1].cells.retain(|cell| cell.flow.from != "data-store-2");
        after.stages[1].cells[0].time_to_enforce_us = Some(4_400_000);
        assert_data_eq!(
            rendered(&compare(&pipeline(), &after), Style::default()),
            str![[r#"
ai-data-pipeline: two runs
  A       lab: 2 nodes, nftables, Linux 6.18
          2026-11-23T04:05:06Z, run k3f9, leakproof 0.1.0; exit 0: as meant
  B       lab: 2 nodes, nftables, Linux 6.18
          2026-11-23T04:05:06Z, run k3f9, leakproof 0.1.0; exit 11: a flow that
          should not work does, or the wrong server answered
          deliberate fault `leak:intruder->data-store-1:5432/tcp`
  differs cni-version not told -> 3.32.1

baseline: 50 cells in both, no reading differs
  A converged after 0 ms, B converged after 0 ms

policies: 43 cells in both, 7 differ
  A converged after 36 ms, B did not converge within 10.0 s
  LEAK    1 cell: intent denied, meaning denied, reality silent -> reached,
          ok -> leak
            intruder -> data-store-1:5432/tcp
  WRONG   1 cell: intent allowed, meaning allowed, reality reached -> somebody
          else, ok -> wrong server
            ai-processing -> plain:8080/tcp
  OUTAGE  1 cell: intent allowed, meaning allowed -> denied, reality
          reached -> silent, ok -> outage
            ai-processing -> data-store-2:9000/tcp
  UNSURE  2 cells: intent not stated, meaning allowed, reality reached -> not
          seen, ok -> inconclusive
            plain -> ai-processing:8080/tcp
            plain -> intruder:8080/tcp
  differs 1 cell: intent denied, meaning denied, reality silent -> refused, ok
          in both
            intruder -> data-store-2:5432/tcp
  n/a     1 cell: intent not stated, meaning allowed, reality reached -> not
          supported, ok -> unsupported
            plain -> impostor:8080/tcp
  only A  7 cells
            data-store-2 -> ai-processing:8080/tcp
            data-store-2 -> data-store-1:53/udp
            data-store-2 -> data-store-1:5432/tcp
            data-store-2 -> data-store-1:9000/tcp
            data-store-2 -> impostor:8080/tcp
            data-store-2 -> intruder:8080/tcp
            data-store-2 -> plain:8080/tcp
  time    to enforce differs for 1 cell; the middle of all: 31 ms -> 32 ms
            0 ms -> 4.4 s: ai-processing -> data-store-1:53/udp

  DIFFERS 7 cells with other readings, 7 cells in one run only, 1 cell with
          another time to enforce, which does not count; exit 5

"#]]
        );
    }

    #[test]
    fn two_runs_alike_are_told_in_a_few_lines() {
        assert_data_eq!(
            rendered(&compare(&pipeline(), &pipeline()), Style::default()),
            str![[r#"
ai-data-pipeline: two runs
  A       lab: 2 nodes, nftables, Linux 6.18
          2026-11-23T04:05:06Z, run k3f9, leakproof 0.1.0; exit 0: as meant
  B       lab: 2 nodes, nftables, Linux 6.18
          2026-11-23T04:05:06Z, run k3f9, leakproof 0.1.0; exit 0: as meant

baseline: 50 cells in both, no reading differs
  A converged after 0 ms, B converged after 0 ms

policies: 50 cells in both, no reading differs
  A converged after 36 ms, B converged after 36 ms

  same    no reading of a cell that both runs have differs; exit 0

"#]]
        );
        let quiet = Style { verbosity: Verbosity::Quiet, ..Style::default() };
        assert_data_eq!(
            rendered(&compare(&pipeline(), &troubled()), quiet),
            str![[r#"
DIFFERS  7 cells with other readings; exit 5

"#]]
        );
    }

    #[test]
    fn two_watches_are_told_flow_by_flow_with_both_sides() {
        let mut after = watched();
        let watch = after.watch.as_mut().unwrap();
        watch.established[0].fate = Fate::Ended { at_us: 9, how: "reset".into(), by: "the destination".into() };
        watch.newborns[1].leaked.clear();
        for cell in after.stages.iter_mut().flat_map(|stage| &mut stage.cells) {
            cell.windows.retain(|window| window.call != Call::Leak || window.last_wrong_us < 2_000_000);
            for window in cell.windows.iter_mut().filter(|window| window.standing == Standing::WithinBudget) {
                window.last_wrong_us += 600_000;
                window.right_after_us = window.right_after_us.map(|us| us + 600_000);
            }
        }
        let text = rendered(&compare(&watched(), &after), Style::default());
        let watch = text.split_once("watch: ").unwrap().1;
        assert_data_eq!(
            watch,
            str![[r#"
A 5 min long, B 5 min long
  A 149,988 attempts seen, 12 could not see; every flow tried once in 100 ms;
  the command: exit 0
  B 149,988 attempts seen, 12 could not see; every flow tried once in 100 ms;
  the command: exit 0
  LEAK    intruder -> data-store-2:9000/tcp
          A leak in 1 window, 200 ms to 400 ms: more than its budget
          B never
  budget  ai-processing -> data-store-1:5432/tcp
          A outage in 2 windows, 700 ms to 1.1 s together, the longest 400 ms to
          600 ms: within its budget
          B outage in 2 windows, 1.9 s to 2.3 s together, the longest 1.0 s to
          1.2 s: within its budget
          2 flows more wrong alike in both
  open    4 connections held open in both fared alike, 1 otherwise
            survived -> ended before: impostor -> plain:8080/tcp
  newborn pods born while watching
          A 4 born; connected after 8.8 s (the middle), 8.8 s at most; 2 never
          connected; 1 open where it should not be
          B 4 born; connected after 8.8 s (the middle), 8.8 s at most; 2 never
          connected; none was ever open where it should not be

  DIFFERS no reading of a cell that both runs have differs, 2 flows wrong for
          other times while watched, which counts by what it made of a cell, 1
          connection that fared otherwise; exit 5

"#]]
        );
    }

    #[test]
    fn many_cells_that_changed_alike_are_counted() {
        let mut after = mesh(12, 12);
        for from in 0..11 {
            for to in (0..12).filter(|to| *to != from && *to != from + 1) {
                spring(&mut after, &format!("pod-{from:03}"), &format!("pod-{to:03}"), "8080/tcp");
            }
        }
        let text = rendered(&compare(&mesh(12, 12), &after), Style::default());
        assert!(text.lines().count() < 50, "{text}");
        assert!(text.contains("more (listed with --verbose, and in the JSON)"), "{text}");
    }

    #[test]
    fn text_from_outside_does_no_harm_and_fits() {
        let comparison = compare(&pipeline(), &nasty());
        for width in [40, 80] {
            let text = rendered(&comparison, Style { width, charset: Charset::Ascii, ..Style::default() });
            assert!(text.is_ascii() && text.chars().all(|c| c == '\n' || !c.is_control()));
            assert!(text.lines().all(|line| line.len() <= width), "{text}");
        }
    }

    #[test]
    fn a_closed_pipe_is_an_error_not_a_panic() {
        let comparison = compare(&pipeline(), &troubled());
        let refused = render(&comparison, Style::default(), &mut ClosedPipe).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::BrokenPipe);
    }
}
