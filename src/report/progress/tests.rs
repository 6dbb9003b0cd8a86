use super::*;
use crate::model::event::Turn;
use crate::model::finding::Call;

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
    let progress = Progress::draw_on(ProgressDrawTarget::hidden(), 80);
    progress.hear(Event::PhaseBegan { phase: "world".into(), total: Some(3) });
    progress.hear(Event::Progress { done: 1 });
    assert!(matches!(&progress.shown, Shown::Bar(bar) if bar.is_hidden()));
    assert_eq!(lock(&progress.state).phase(), Some("world"));
}

#[test]
fn a_watch_at_a_terminal_has_a_row_for_each_flow_in_trouble() {
    let progress = Progress::draw_on(ProgressDrawTarget::hidden(), 80);
    let flow = crate::report::fixture::flow("a", "b", "80/tcp");
    progress.hear(Event::PhaseBegan { phase: "watch".into(), total: None });
    let elapsed = Duration::from_secs(9);
    progress.hear(Event::Watching { elapsed, seen: 540, unseen: 0, per_second: 60 });
    progress.hear(Event::Window { flow, call: Call::Leak, turn: Turn::Opened });
    progress.hear(Event::Said { line: "rolling out".into() });
    let lines = lock(&progress.state).lines(elapsed, 80);
    assert_eq!(lines[0], "watch: 9.0 s, 540 attempts seen, 60 a second; 1 flow wrong now");
    assert!(lines[1].starts_with("  LEAK ") && lines[1].ends_with("a -> b:80/tcp"), "{lines:?}");
    assert_eq!(lines[2..], ["  | rolling out"]);
}
