//! What `leakproof doctor` found, for people: part by part, a line for each thing, and what to do below it.

use std::io::{self, Write};

use super::paint::{Role, paint};
use super::terminal::{Style, Verbosity};
use super::text::{harmless, plural, wrap};
use crate::model::checkup::{Check, Checkup, State};

/// Columns before the text of a line.
const INDENT: usize = 11;

/// Renders it.
///
/// # Errors
/// Where it cannot be written.
pub fn render(checkup: &Checkup, style: Style, to: &mut dyn Write) -> io::Result<()> {
    let width = style.width.clamp(40, 120);
    let shown = |check: &&Check| style.verbosity != Verbosity::Quiet || check.state >= State::Warning;
    for part in &checkup.parts {
        let checks: Vec<&Check> = part.checks.iter().filter(shown).collect();
        if checks.is_empty() {
            continue;
        }
        writeln!(to, "{}", part.title)?;
        for check in checks {
            line(check, style, width, to)?;
        }
        writeln!(to)?;
    }
    let (errors, warnings) = (checkup.count(State::Error), checkup.count(State::Warning));
    let many = |count: usize, word: &str| plural(count as u64, word, &format!("{word}s"));
    let sum = match (errors, warnings) {
        (0, 0) => "nothing is in the way".to_owned(),
        (0, warnings) => format!("{}; nothing is in the way", many(warnings, "warning")),
        (errors, 0) => many(errors, "error"),
        (errors, warnings) => format!("{}, {}", many(errors, "error"), many(warnings, "warning")),
    };
    writeln!(to, "{sum}")
}

fn line(check: &Check, style: Style, width: usize, to: &mut dyn Write) -> io::Result<()> {
    let role = match check.state {
        State::Fine => Role::Allowed,
        State::Note => Role::Faint,
        State::Warning => Role::Unsure,
        State::Error => Role::Leak,
    };
    let said = |text: &str, width: usize| wrap(&harmless(text, style.charset), width);
    let mut first = true;
    for text in said(&check.says, width.saturating_sub(INDENT)) {
        let state = if first { check.state.to_string() } else { String::new() };
        let blank = " ".repeat(INDENT.saturating_sub(state.len() + 2));
        writeln!(to, "  {}{blank}{text}", if first { paint(&state, role, style.colour) } else { state })?;
        first = false;
    }
    for text in check.advice.iter().flat_map(|advice| said(advice, width.saturating_sub(INDENT + 2))) {
        writeln!(to, "{:INDENT$}  {}", "", paint(&text, Role::Faint, style.colour))?;
    }
    Ok(())
}

/// The same as JSON.
///
/// # Errors
/// Where it cannot be written.
pub fn write(checkup: &Checkup, to: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *to, checkup).map_err(io::Error::from)?;
    writeln!(to)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::checkup::Part;
    use crate::report::paint::Colour;
    use crate::report::text::Charset;

    #[test]
    fn a_checkup_reads_calmly_and_says_what_to_do() {
        let checks = vec![
            Check::fine("Kubernetes 1.35.4 at kind-leak"),
            Check::note("metrics are not enabled"),
            Check::warning(
                "Calico 3.29.7 is tested with Kubernetes 1.29 to 1.32, and this is 1.35, which nobody there tried",
            )
            .advice("upgrade Calico first"),
            Check::error("no right to create pods"),
        ];
        let checkup = Checkup { parts: vec![Part { title: "Cluster".into(), checks }], ..Checkup::new() };
        let shown = |verbosity| {
            let style = Style { colour: Colour::Off, width: 72, charset: Charset::Unicode, verbosity };
            let mut text = Vec::new();
            render(&checkup, style, &mut text).unwrap();
            String::from_utf8(text).unwrap()
        };
        snapbox::assert_data_eq!(
            shown(Verbosity::Normal),
            snapbox::str![[r#"
Cluster
  ok       Kubernetes 1.35.4 at kind-leak
  note     metrics are not enabled
  warning  Calico 3.29.7 is tested with Kubernetes 1.29 to 1.32, and
           this is 1.35, which nobody there tried
             upgrade Calico first
  ERROR    no right to create pods

1 error, 1 warning

"#]]
        );
        let quiet = shown(Verbosity::Quiet);
        assert!(!quiet.contains("kind-leak") && quiet.contains("no right"), "{quiet}");
    }
}
