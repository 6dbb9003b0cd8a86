//! Colour on a terminal. Every colour here only repeats what a word or symbol beside it says.

use anstyle::{AnsiColor, Style};

/// Whether to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Colour {
    /// Plain text.
    #[default]
    Off,
    /// ANSI escape sequences.
    On,
}

/// What a piece of text is, which decides how it is painted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// As it is.
    Plain,
    /// Headings and names that lead.
    Strong,
    /// What only guides the eye.
    Faint,
    /// As it should be, and reached.
    Allowed,
    /// As it should be, and denied.
    Denied,
    /// Leaks, wrong servers and bugs.
    Leak,
    /// Outages.
    Outage,
    /// Contradictions.
    Contradiction,
    /// What could not be seen.
    Unsure,
}

impl Role {
    fn style(self) -> Style {
        let fore = |colour: AnsiColor| Style::new().fg_color(Some(colour.into()));
        match self {
            Self::Plain => Style::new(),
            Self::Strong => Style::new().bold(),
            Self::Faint => Style::new().dimmed(),
            Self::Allowed => fore(AnsiColor::Green),
            Self::Denied => fore(AnsiColor::Cyan),
            Self::Leak => fore(AnsiColor::BrightWhite).bg_color(Some(AnsiColor::Red.into())).bold(),
            Self::Outage => fore(AnsiColor::Black).bg_color(Some(AnsiColor::Yellow.into())).bold(),
            Self::Contradiction => fore(AnsiColor::BrightWhite).bg_color(Some(AnsiColor::Magenta.into())).bold(),
            Self::Unsure => fore(AnsiColor::Yellow).bold(),
        }
    }
}

/// Paints a text.
pub fn paint(text: &str, role: Role, colour: Colour) -> String {
    match (colour, role) {
        (Colour::Off, _) | (Colour::On, Role::Plain) => text.to_owned(),
        (Colour::On, role) => {
            let style = role.style();
            format!("{style}{text}{style:#}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_is_wrapped_around_and_ends() {
        assert_eq!(paint("LEAK", Role::Leak, Colour::Off), "LEAK", "no colour, no sequences");
        let painted = paint("LEAK", Role::Leak, Colour::On);
        assert!(painted.starts_with('\u{1b}') && painted.ends_with("\u{1b}[0m"), "{painted:?} colours and resets");
    }
}
