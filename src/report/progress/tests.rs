use super::*;

/// A writer whose text can be looked at.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        lock(&self.0).extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn notes_are_written_and_made_harmless() {
    let written = Shared::default();
    let progress = Progress::start(Manner::Lines(Box::new(written.clone())));
    progress.hear(Event::PhaseBegan { phase: "world".into(), total: None });
    progress.hear(Event::Note { text: "kept: \u{1b}[2Jnsenter".into() });
    drop(progress);
    assert_eq!(String::from_utf8(lock(&written.0).clone()).unwrap(), "kept: \\u{1b}[2Jnsenter\n");
}

#[test]
fn a_writer_that_fails_stops_nothing() {
    let progress = Progress::start(Manner::Lines(Box::new(crate::report::fixture::ClosedPipe)));
    progress.hear(Event::Note { text: "nobody reads this".into() });
}

#[test]
fn a_bar_where_there_is_no_terminal_draws_nothing_and_ends() {
    let progress = Progress::draw_on(ProgressDrawTarget::hidden());
    progress.hear(Event::PhaseBegan { phase: "world".into(), total: Some(3) });
    progress.hear(Event::Progress { done: 1 });
    assert!(matches!(&progress.shown, Shown::Bar(bar) if bar.is_hidden()));
    assert_eq!(lock(&progress.state).phase(), Some("world"));
}
