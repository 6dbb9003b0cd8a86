//! How output looks and where it goes: data on stdout, talk on stderr; no colour and no bars when not a terminal or in
//! CI, unless asked for.

use std::io::{self, IsTerminal, Write};

use clap::{Args, ValueEnum};

use crate::report::paint::Colour;
use crate::report::progress::{Manner, Progress};
use crate::report::terminal::{Style, Verbosity};
use crate::report::text::Charset;
use crate::scenario::diagnostic;

/// Options of every command.
#[derive(Debug, Clone, Args)]
pub struct Look {
    /// Colour in output; `auto` means on a terminal, without NO_COLOR, not in CI
    #[arg(long, value_enum, default_value = "auto", global = true, help_heading = "Output")]
    pub colour: When,
    /// Plain ASCII instead of symbols and lines
    #[arg(long, global = true, help_heading = "Output")]
    pub ascii: bool,
    /// Every cell with its times
    #[arg(short, long, global = true, help_heading = "Output", conflicts_with = "quiet")]
    pub verbose: bool,
    /// The summary line and findings only, no progress
    #[arg(short, long, global = true, help_heading = "Output")]
    pub quiet: bool,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// Where a person looks.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Look {
    /// How reports on stdout look.
    pub fn style(&self) -> Style {
        Style {
            colour: self.colour_of(&io::stdout()),
            width: self.width(),
            charset: self.charset(),
            verbosity: if self.quiet {
                Verbosity::Quiet
            } else if self.verbose {
                Verbosity::Verbose
            } else {
                Verbosity::Normal
            },
        }
    }

    /// Shows progress on stderr, as suits it.
    pub fn progress(&self) -> Progress {
        Progress::start(if self.quiet {
            Manner::Nothing
        } else if io::stderr().is_terminal() && !set("CI") {
            Manner::Bar { width: self.width() }
        } else {
            Manner::Lines(Box::new(io::stderr()))
        })
    }

    /// Which characters may be used.
    pub fn charset(&self) -> Charset {
        if self.ascii { Charset::Ascii } else { Charset::Unicode }
    }

    /// Colour for what goes to a stream.
    pub fn colour_of(&self, stream: &impl IsTerminal) -> Colour {
        if self.coloured(stream) { Colour::On } else { Colour::Off }
    }

    /// Colour of diagnostics, which go to stderr.
    pub fn colour_of_talk(&self) -> diagnostic::Colour {
        if self.coloured(&io::stderr()) { diagnostic::Colour::Always } else { diagnostic::Colour::Never }
    }

    fn coloured(&self, stream: &impl IsTerminal) -> bool {
        match self.colour {
            When::Always => true,
            When::Never => false,
            When::Auto => stream.is_terminal() && !set("NO_COLOR") && !set("CI"),
        }
    }

    /// Columns there are: those of the terminal, else 80.
    fn width(&self) -> usize {
        let asked = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
        asked.or_else(|| terminal_size::terminal_size().map(|(width, _)| usize::from(width.0))).unwrap_or(80)
    }
}

/// Whether an environment variable is there and not empty.
fn set(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| !value.is_empty())
}

/// Writes to stdout what `render` makes. A reader that stopped reading (`… | head`) is no error.
///
/// # Errors
/// Any other failure to write, a full disk behind a redirection for instance.
pub fn print(render: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut stdout = io::BufWriter::new(io::stdout().lock());
    match render(&mut stdout).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Says lines to a person, on stderr.
pub fn say(lines: &[String]) {
    let mut stderr = io::stderr().lock();
    for line in lines {
        // There is nobody left to tell that telling failed.
        let _unheard = writeln!(stderr, "{line}");
    }
}

/// Says what is wrong, on stderr.
pub fn complain(text: &str) {
    say(&[format!("leakproof: {text}")]);
}
