//! One line for each of several scenarios, after all of them were run.

use std::io::{self, Write};

use crate::exit;
use crate::model::document::Counts;

use super::duration::human_us;
use super::paint::paint;
use super::summary;
use super::terminal::Style;
use super::text::{harmless, plural};

/// What one scenario came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Total {
    /// Its name, or its file where it could not be loaded.
    pub name: String,
    /// The exit code it would have had alone.
    pub code: u8,
    /// Its sums and how long it took in microseconds; none where nothing was run.
    pub judged: Option<(Counts, u64)>,
}

/// Writes the table, in the order of the command line.
///
/// # Errors
/// Whatever the writer refuses.
pub fn render(totals: &[Total], style: &Style, out: &mut dyn Write) -> io::Result<()> {
    let green = totals.iter().filter(|total| total.code == 0).count();
    writeln!(out, "\n{}: {green} as meant", plural(totals.len() as u64, "scenario", "scenarios"))?;
    let widest = totals.iter().map(|total| total.name.chars().count()).max().unwrap_or_default();
    for total in totals {
        let (word, role, what) = match &total.judged {
            Some((counts, took)) => {
                let outcome = summary::outcome(total.code, counts);
                (outcome.word, outcome.role, format!("{}; {}", summary::counts(counts), human_us(*took)))
            }
            None => {
                let outcome = summary::outcome(4, &Counts::default());
                let word =
                    if total.code == exit::REFUSED || total.code == exit::USAGE { "REFUSED" } else { outcome.word };
                (word, outcome.role, exit::meaning(total.code).to_owned())
            }
        };
        let word = paint(&format!("{word:<8}"), role, style.colour);
        writeln!(out, "  {word} {:>3}  {:<widest$}  {what}", total.code, harmless(&total.name, style.charset))?;
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_has_a_line_and_one_that_was_not_run_says_so() {
        let counts = Counts { cells: 3, ok: 3, ..Counts::default() };
        let leaky = Counts { cells: 3, ok: 2, leaks: 1, ..Counts::default() };
        let total = |name: &str, code, judged| Total { name: name.into(), code, judged };
        let totals = [
            total("ports", 0, Some((counts, 700_000))),
            total("steps/a.yaml", exit::REFUSED, None),
            total("pipeline", 11, Some((leaky, 1_200_000))),
        ];
        let mut out = Vec::new();
        render(&totals, &Style::default(), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(
            text,
            "\n3 scenarios: 1 as meant\n  \
             ok         0  ports         3 cells, all as they should be; 700 ms\n  \
             REFUSED    3  steps/a.yaml  the scenario was refused\n  \
             LEAK      11  pipeline      1 leak, 2 ok of 3 cells; 1.2 s\n"
        );
    }
}
