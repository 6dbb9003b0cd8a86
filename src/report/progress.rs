//! What a run is doing, told while it goes on: drawn anew at a terminal, in one line or, while watching, in one for each
//! flow in trouble; in plain lines anywhere else.
//!
//! Nothing is shown of what takes less than a second. The words come from pure functions of `State`; drawing them is
//! indicatif's.

mod lines;
mod live;
mod state;

use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::model::event::{Event, Listener};

use super::text::{Charset, harmless};
use lines::Lines;
use state::State;

/// Nothing is shown of a run before it has taken so long.
const PATIENCE: Duration = Duration::from_secs(1);
/// A bar is drawn anew so often.
const TICK: Duration = Duration::from_millis(100);

/// How progress is shown.
pub enum Manner {
    /// A line or a few, drawn anew, gone at the end. For a terminal.
    Bar {
        /// How many columns it has.
        width: usize,
    },
    /// Plain lines, now and then, to this writer. For logs and CI.
    Lines(Box<dyn Write + Send>),
    /// Nothing at all.
    Nothing,
}

/// Shows progress; what it drew is cleared when it is dropped.
pub struct Progress {
    state: Arc<Mutex<State>>,
    began: Instant,
    shown: Shown,
}

enum Shown {
    Bar(ProgressBar),
    Lines(Mutex<Lines>),
    Nothing,
}

impl Progress {
    /// Starts; time counts from here. A bar is drawn on the terminal that standard error is; if it is none, nothing is.
    pub fn start(manner: Manner) -> Self {
        match manner {
            Manner::Bar { width } => Self::draw_on(ProgressDrawTarget::stderr(), width),
            Manner::Lines(writer) => Self::with(Shown::Lines(Mutex::new(Lines::new(writer)))),
            Manner::Nothing => Self::with(Shown::Nothing),
        }
    }

    /// Clears what was drawn: from now on others may write.
    pub fn finish(&self) {
        if let Shown::Bar(bar) = &self.shown {
            bar.finish_and_clear();
        }
    }

    fn with(shown: Shown) -> Self {
        Self { state: Arc::default(), began: Instant::now(), shown }
    }

    fn draw_on(target: ProgressDrawTarget, width: usize) -> Self {
        let mut progress = Self::with(Shown::Nothing);
        let (state, began) = (Arc::clone(&progress.state), progress.began);
        let text = move |_: &ProgressState, out: &mut dyn std::fmt::Write| {
            let elapsed = began.elapsed();
            if elapsed >= PATIENCE {
                // A bar that cannot be written is no reason to stop a run.
                let _ = out.write_str(&lock(&state).lines(elapsed, width).join("\n"));
            }
        };
        // The template is a constant with one key, which cannot fail to parse; without it there is no bar.
        let Ok(style) = ProgressStyle::with_template("{lines}") else { return progress };
        let bar = ProgressBar::with_draw_target(None, target).with_style(style.with_key("lines", text));
        bar.enable_steady_tick(TICK);
        progress.shown = Shown::Bar(bar);
        progress
    }
}

impl Listener for Progress {
    fn hear(&self, event: Event) {
        let elapsed = self.began.elapsed();
        let note = match &event {
            Event::Note { text } => Some(harmless(text, Charset::Unicode)),
            Event::PhaseBegan { .. }
            | Event::Progress { .. }
            | Event::Waiting { .. }
            | Event::PhaseEnded { .. }
            | Event::Seen { .. }
            | Event::Watching { .. }
            | Event::Window { .. }
            | Event::Said { .. } => None,
        };
        match &self.shown {
            Shown::Bar(bar) => {
                lock(&self.state).take(event, elapsed);
                if let Some(note) = note {
                    bar.println(note);
                }
            }
            Shown::Lines(lines) => {
                let due = {
                    let mut state = lock(&self.state);
                    lock(lines).due(&event, &mut state, elapsed)
                };
                due.into_iter().chain(note).for_each(|line| lock(lines).write(&line));
            }
            Shown::Nothing => {}
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

/// What a panicking thread left is still good enough to show.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
