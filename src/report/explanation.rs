//! The story of one flow, as the oracle tells it, painted.

use std::io::{self, Write};

use super::paint::{Role, paint};
use super::terminal::Style;
use super::text::{Charset, harmless};
use crate::model::explanation::{Explanation, Met, lines};
use crate::model::verdict::Verdict;

/// Writes the stories of some flows, an empty line between two.
///
/// # Errors
/// Whatever the writer refuses.
pub fn render(explanations: &[Explanation], style: Style, writer: &mut dyn Write) -> io::Result<()> {
    for (place, explanation) in explanations.iter().enumerate() {
        if place > 0 {
            writeln!(writer)?;
        }
        for line in lines::tell(explanation) {
            let mut text = harmless(&line.to_string(), style.charset);
            if style.charset == Charset::Ascii {
                text = text.replace('✓', "+").replace('✗', "-");
            }
            writeln!(writer, "{}", paint(&text, role(line.mark), style.colour))?;
        }
    }
    Ok(())
}

fn role(mark: lines::Mark) -> Role {
    match mark {
        lines::Mark::Title(Some(Verdict::Allowed)) | lines::Mark::Heading(Some(Verdict::Allowed)) => Role::Allowed,
        lines::Mark::Title(Some(Verdict::Denied)) | lines::Mark::Heading(Some(Verdict::Denied)) => Role::Denied,
        lines::Mark::Title(None) | lines::Mark::Heading(None) | lines::Mark::Policy => Role::Strong,
        lines::Mark::Blank | lines::Mark::Plain | lines::Mark::Hint | lines::Mark::Held(Met::Yes) => Role::Plain,
        lines::Mark::Held(Met::No) | lines::Mark::Aside => Role::Faint,
    }
}
