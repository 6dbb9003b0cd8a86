//! What a scenario's policies mean, for people at a terminal: a matrix per stage, and where meaning is not intent.

use std::collections::BTreeSet;
use std::io::{self, Write};

use crate::exit;
use crate::model::finding::Call;
use crate::model::forecast::{Forecast, Foreseen, Outlook};
use crate::model::verdict::{Meaning, Verdict};

use super::finding_groups;
use super::grid::Grid;
use super::groups::{self, Group};
use super::mark::{Mark, role_of};
use super::paint::Role;
use super::terminal::{LISTED_FINDINGS, Page, Style, Verbosity, findings, grouped, matrix, page};
use super::text::{number, plural};
use super::{story, summary};

/// So many addresses that leakproof chose are named.
const SHOWN: usize = 8;

/// Writes what is foreseen.
///
/// # Errors
/// Whatever the writer refuses.
pub fn render(forecast: &Forecast, style: Style, writer: &mut dyn Write) -> io::Result<()> {
    let mut page = Page::new(style, writer);
    if style.verbosity > Verbosity::Quiet {
        page.heading(&format!("{}: what the policies mean", forecast.scenario.name))?;
        if let Some(about) = &forecast.scenario.about {
            page.text(0, about)?;
        }
        for stage in &forecast.stages {
            page.blank()?;
            outlook(stage, &mut page)?;
        }
        page.blank()?;
        forecast.warnings.iter().try_for_each(|warning| page.entry("warning", Role::Unsure, warning))?;
    }
    conclusion(forecast, &mut page)?;
    page.flush()
}

fn outlook<'a>(stage: &'a Outlook, page: &mut Page) -> io::Result<()> {
    page.heading(&format!("{}: {}", stage.name, sums(stage)))?;
    for change in &stage.changes {
        page.text(2, change)?;
    }
    let marked = |cell: &'a Foreseen| (&cell.flow, Mark::of_prediction(cell.call, cell.intent, cell.meaning));
    let cells: Vec<_> = stage.cells.iter().map(marked).collect();
    let grid = Grid::lay_out(cells.iter().copied(), matrix::folding(&cells));
    page.blank()?;
    for line in matrix::draw(&grid, page.style()) {
        page.raw(&line)?;
    }
    let unknown = unknown(stage);
    if !stage.findings.is_empty() || !unknown.is_empty() {
        page.blank()?;
    }
    findings::render(&finding_groups::by_story(&stage.findings), page)?;
    for group in unknown {
        grouped("UNSURE", Role::Unsure, &group, LISTED_FINDINGS, page)?;
    }
    if let Some(note) = planned(stage) {
        page.blank()?;
        page.text(2, &note)?;
    }
    if page.style().verbosity == Verbosity::Verbose {
        page.blank()?;
        for cell in &stage.cells {
            page.entry(cell.call.word(), role_of(cell.call), &cell.flow.to_string())?;
            let readings = format!("{}, {}", story::intent(cell.intent), story::meaning(cell.meaning));
            page.text(page::INDENT + 2, &readings)?;
            page.text(page::INDENT + 2, &story::reasons(&stage.reasons, cell.egress, cell.ingress))?;
            if !cell.planned.is_empty() {
                page.text(page::INDENT + 2, &story::planned(&cell.planned))?;
            }
        }
    }
    Ok(())
}

/// `40 cells, 24 allowed, 16 denied`.
fn sums(stage: &Outlook) -> String {
    let of = |meaning| stage.cells.iter().filter(|cell| cell.meaning == meaning).count() as u64;
    let mut parts = vec![plural(stage.counts.cells, "cell", "cells")];
    for (meaning, word) in [
        (Meaning::Known(Verdict::Allowed), "allowed"),
        (Meaning::Known(Verdict::Denied), "denied"),
        (Meaning::Unknown, "unknown"),
    ] {
        if of(meaning) > 0 {
            parts.push(format!("{} {word}", number(of(meaning))));
        }
    }
    parts.join(", ")
}

/// Cells whose meaning rests on addresses that leakproof chose.
fn planned(stage: &Outlook) -> Option<String> {
    let cells: Vec<&Foreseen> = stage.cells.iter().filter(|cell| !cell.planned.is_empty()).collect();
    let addresses: BTreeSet<String> = cells
        .iter()
        .flat_map(|cell| &cell.planned)
        .map(|planned| format!("{} {}", planned.endpoint, planned.address))
        .collect();
    if cells.is_empty() {
        return None;
    }
    let mut shown: Vec<String> = addresses.iter().take(SHOWN).cloned().collect();
    let more = addresses.len() - shown.len();
    shown.extend((more > 0).then(|| format!("{} more", number(more as u64))));
    Some(format!(
        "{} on an address that leakproof chose ({}): an `ipBlock` decides, and with another address it could be the \
         opposite; give `address:` where the block is meant to hold it or not",
        plural(cells.len() as u64, "cell rests", "cells rest"),
        shown.join(", ")
    ))
}

/// Cells whose meaning is unknown, by what it is unknown for.
fn unknown(stage: &Outlook) -> Vec<Group<'_>> {
    let cells = stage.cells.iter().filter(|cell| cell.call == Call::Unjudged);
    groups::by_sentence(cells.map(|cell| {
        let why = story::reasons(&stage.reasons, cell.egress, cell.ingress);
        (&cell.flow, format!("meaning unknown: {why}"))
    }))
}

fn conclusion(forecast: &Forecast, page: &mut Page) -> io::Result<()> {
    let outcome = summary::outcome(forecast.exit, &forecast.counts);
    let name = &forecast.scenario.name;
    let exit = format!("exit {}: {}", forecast.exit, exit::meaning(forecast.exit));
    let result = format!("{}; {exit}", summary::counts(&forecast.counts));
    if page.style().verbosity == Verbosity::Quiet {
        return page.summary(outcome, &format!("{name} [no network]: {result}"));
    }
    page.entry(outcome.word, outcome.role, &format!("{name} [no network: meaning against intent]"))?;
    page.text(page::INDENT, &result)?;
    match forecast.counts.unstated {
        0 => Ok(()),
        unstated => {
            let cells = plural(unstated, "cell has", "cells have");
            page.text(page::INDENT, &format!("{cells} no stated intent, so nothing to hold the policies against"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::prediction::PlannedAddress;
    use crate::report::fixture::{NASTY, forecast};
    use crate::report::text::Charset;
    use snapbox::{assert_data_eq, str};

    fn rendered(forecast: &Forecast, style: Style) -> String {
        let mut bytes = Vec::new();
        render(forecast, style, &mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_contradiction_is_told_with_its_reason_and_the_next_step() {
        assert_data_eq!(
            rendered(&forecast(), Style::default()),
            str![[r#"
ai-data-pipeline: what the policies mean
Only ai-processing pods of the pipeline's own namespace may reach the data
store.

policies: 50 cells, 21 allowed, 24 denied, 5 unknown
  created NetworkPolicy ai-data-pipeline/allow-ai-processing-to-data-store

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
  ai-processing    · · · · · · u · · < UNSURE
  data-store-1   ·       x x x u · · < UNSURE
  data-store-2   · x x x       u · · < UNSURE
  impostor       · x C x x x x   · · < CONTRA
  intruder       · x x x x x x u   C < CONTRA
  plain          · x x x x x x u ·   < UNSURE

  · allowed, as it should be   x denied, as it should be
  u UNSURE: nothing to judge it by   C CONTRA: meaning is not intent

  CONTRA  impostor -> data-store-1:5432/tcp
          intent allowed, meaning denied (a contradiction), nobody looked
          blame: the policy: too strict
          because: egress: no policy selects it; ingress: isolated by
          ai-data-pipeline/allow-ai-processing-to-data-store; no rule matches
          next: `leakproof explain` impostor data-store-1 says why
  CONTRA  intruder -> plain:8080/tcp
          intent denied, meaning allowed (a contradiction), nobody looked
          blame: the policy: too open
          because: egress: no policy selects it; ingress: no policy selects it
          next: `leakproof explain` intruder plain says why
  UNSURE  5 cells: meaning unknown: egress: no policy selects it; ingress:
          unknown: AdminNetworkPolicy strict may touch it
            ai-processing -> impostor:8080/tcp
            data-store-1 -> impostor:8080/tcp
            data-store-2 -> impostor:8080/tcp
            intruder -> impostor:8080/tcp
            plain -> impostor:8080/tcp

  CONTRA  ai-data-pipeline [no network: meaning against intent]
          2 contradictions, 5 unjudged, 43 ok of 50 cells; exit 5: the policy
          does not say what its author wanted
          9 cells have no stated intent, so nothing to hold the policies against

"#]]
        );
    }

    #[test]
    fn quiet_is_one_line() {
        let style = Style { verbosity: Verbosity::Quiet, ..Style::default() };
        assert_data_eq!(
            rendered(&forecast(), style),
            str![[r#"
CONTRA  ai-data-pipeline [no network]: 2 contradictions, 5 unjudged, 43 ok of 50 cells; exit 5: the policy does not say what its author wanted

"#]]
        );
    }

    #[test]
    fn verbose_tells_every_cell_with_the_reasons_of_both_sides() {
        let style = Style { verbosity: Verbosity::Verbose, ..Style::default() };
        let text = rendered(&forecast(), style);
        let stage = &forecast().stages[0];
        let (cells, findings) = (stage.cells.len(), stage.findings.len());
        assert_eq!(text.matches("egress: no policy selects it; ingress: ").count(), cells + findings);
    }

    #[test]
    fn cells_that_rest_on_an_address_that_leakproof_chose_are_counted_and_told() {
        let mut forecast = forecast();
        let planned = PlannedAddress { endpoint: "intruder".into(), address: "10.244.0.2".parse().unwrap() };
        for cell in forecast.stages[0].cells.iter_mut().take(2) {
            cell.planned = vec![planned.clone()];
        }
        let text = rendered(&forecast, Style::default());
        let whole = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(whole.contains("2 cells rest on an address that leakproof chose (intruder 10.244.0.2): "), "{text}");
        let verbose = rendered(&forecast, Style { verbosity: Verbosity::Verbose, ..Style::default() });
        let whole = verbose.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(whole.matches("this rests on 10.244.0.2, the address that leakproof chose for intruder").count(), 2);
    }

    #[test]
    fn text_from_outside_does_no_harm_and_fits() {
        let mut nasty = forecast();
        nasty.scenario.name = NASTY.into();
        nasty.scenario.about = Some(NASTY.into());
        for stage in &mut nasty.stages {
            stage.name = NASTY.into();
            stage.changes = vec![NASTY.into()];
            stage.findings.iter_mut().for_each(|finding| finding.because = NASTY.into());
            stage.cells.iter_mut().for_each(|cell| cell.flow.from.push_str(NASTY));
        }
        let text = rendered(&nasty, Style { charset: Charset::Ascii, ..Style::default() });
        assert!(text.is_ascii() && text.chars().all(|c| c == '\n' || !c.is_control()));
        assert!(text.lines().all(|line| line.len() <= 80), "{text}");
    }
}
