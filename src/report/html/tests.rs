use std::collections::BTreeSet;

use super::*;
use crate::model::finding::Call;
use crate::model::happening::{About, Beside, Lies};
use crate::model::watch::{Unobserved, WatchInfo};
use crate::report::fixture::{ClosedPipe, happened, hour, mesh, nasty, pipeline, spring, troubled, watched};
use crate::report::watched as words;

fn rendered(document: &Document) -> String {
    let mut bytes = Vec::new();
    render(document, &mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

/// Documents of every kind, with what they are.
fn every_kind() -> Vec<(&'static str, Document)> {
    let mut alike = mesh(50, 3);
    spring(&mut alike, "pod-002", "pod-001", "8080/tcp");
    vec![
        ("pipeline", pipeline()),
        ("troubled", troubled()),
        ("watched", watched()),
        ("an-hour-of-400-flows", hour(21)),
        ("fifty-alike", alike),
        ("thirty-different", mesh(30, 30)),
        ("nasty", nasty()),
    ]
}

/// The values of an attribute, in order.
fn values<'a>(page: &'a str, attribute: &str) -> Vec<&'a str> {
    let lead = format!(" {attribute}=\"");
    page.split(&lead).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

#[test]
fn every_link_and_label_leads_somewhere_and_no_name_is_taken_twice() {
    for (what, document) in every_kind() {
        let page = rendered(&document);
        let ids = values(&page, "id");
        let names: BTreeSet<&str> = ids.iter().copied().collect();
        assert_eq!(names.len(), ids.len(), "{what}: an id stands twice");
        let targets = values(&page, "href").into_iter().map(|href| href.trim_start_matches('#'));
        let labels = values(&page, "for").into_iter().chain(values(&page, "aria-labelledby"));
        for target in targets.chain(labels) {
            assert!(names.contains(target), "{what}: nothing is called {target}");
        }
    }
}

#[test]
fn every_element_that_opens_closes_where_it_should() {
    const VOID: [&str; 3] = ["meta", "input", "br"];
    for (what, document) in every_kind() {
        let page = rendered(&document);
        let mut open: Vec<&str> = Vec::new();
        for tag in page.split('<').skip(1).filter_map(|rest| rest.split('>').next()) {
            let name = tag.trim_start_matches('/').split(' ').next().unwrap_or_default();
            match tag.starts_with('/') {
                true => assert_eq!(open.pop(), Some(name), "{what}: closed in the wrong order"),
                false if VOID.contains(&name) || tag.starts_with('!') => {}
                false => open.push(name),
            }
        }
        assert_eq!(open, Vec::<&str>::new(), "{what}: left open");
    }
}

#[test]
fn the_page_needs_no_network_and_no_script() {
    for (what, document) in every_kind() {
        let page = rendered(&document);
        for forbidden in ["<script", "<link", "<img", "<iframe", "url(", "@import", "javascript:", " src=", " onload="]
        {
            assert!(!page.contains(forbidden), "{what}: {forbidden} in the page");
        }
        assert!(page.contains("default-src 'none'"), "{what}: and a policy forbids them besides");
        assert!(values(&page, "href").iter().all(|href| href.starts_with('#')), "{what}: links stay in the page");
    }
}

#[test]
fn text_from_outside_does_no_harm() {
    let page = rendered(&nasty());
    assert!(page.contains("&lt;script&gt;alert"), "markup is shown, not obeyed");
    assert!(page.chars().all(|c| c == '\n' || !c.is_control()), "no control character is left");
    assert!(!page.contains('\u{202e}'), "writing direction stays");
}

#[test]
fn every_finding_stands_in_the_page_with_its_readings_and_what_to_do_next() {
    let document = troubled();
    let page = rendered(&document);
    for finding in document.stages.iter().flat_map(|stage| &stage.findings) {
        let told = story::tell(finding, &crate::report::wrong_times::Context::of(&document));
        for text in [finding.flow.to_string(), told.blame, told.because, told.next]
            .iter()
            .chain(&told.took_effect)
            .chain(told.windows.iter().map(|window| &window.sentence))
        {
            assert!(page.contains(&prose(text).into_string()), "{text} stands in the page");
        }
    }
    assert!(rendered(&pipeline()).contains("Nothing to look at"), "and where there is nothing, that is said");
}

#[test]
fn no_page_says_that_something_is_unsure_and_that_every_cell_was_seen() {
    for (what, document) in every_kind() {
        for exit in [0, 4, 5, 6, 7, 10, 11, 130] {
            // Also a document whose causes were not written down.
            for causes in [document.causes.clone(), Vec::new()] {
                let page = rendered(&Document { exit, causes, ..document.clone() });
                let seen = page.contains("every cell was seen") || page.contains("Nothing to look at");
                assert!(!seen || (exit == 0 && !page.contains("UNSURE</span>")), "{what}, exit {exit}");
            }
        }
    }
    let mut quiet = pipeline();
    quiet.watch = watched().watch.map(|watch| WatchInfo {
        unobserved: Some(Unobserved { flows: 1, of: 9, longest_us: 9, from_us: 1, until_us: 10, over: 0 }),
        established: Vec::new(),
        newborns: Vec::new(),
        ..watch
    });
    let page = rendered(&quiet);
    assert!(page.contains("as far as it was observed") && !page.contains("every cell was seen"), "within a budget");
}

#[test]
fn the_timeline_stands_before_the_findings_where_something_was_wrong_or_watched() {
    let place = |page: &str, id: &str| page.find(&format!("<section id=\"{id}\"")).unwrap();
    for (what, document) in every_kind() {
        let page = rendered(&document);
        let first = place(&page, "timeline") < place(&page, "findings");
        let wrong = document.watch.is_some() || page.contains("class=\"solid leak");
        assert_eq!(first, wrong && what != "pipeline", "{what}");
    }
}

#[test]
fn names_in_the_timeline_and_the_matrix_are_shown_whole() {
    for line in STYLE.lines().filter(|line| line.contains(".row .name{") || line.contains(".matrix")) {
        assert!(!line.contains("ellipsis"), "names differ at their ends: {line}");
    }
}

#[test]
fn a_watch_stands_in_the_page_with_every_window_connection_and_newborn() {
    let document = watched();
    let page = rendered(&document);
    let watch = document.watch.as_ref().unwrap();
    for flow in words::flows(&document) {
        for text in [flow.flow.to_string(), words::standing(flow.standing, flow.call).into()] {
            assert!(page.contains(&html! { (text) }.into_string()), "{text} stands in the page");
        }
        for window in flow.windows {
            let row = format!("{}: {}", flow.flow, story::window(window));
            assert!(page.contains(&html! { (row) }.into_string()), "{row} stands in the timeline");
        }
    }
    assert!(watch.established.iter().all(|one| page.contains(&html! { (one.flow) }.into_string())));
    for one in &watch.newborns {
        assert!(page.contains(&one.name));
        let (leaked, shut) =
            (one.leaked.iter().map(|flow| ("LEAK", flow)), one.shut.iter().map(|flow| ("OUTAGE", flow)));
        for (word, flow) in leaked.chain(shut) {
            let told = html! { (word) }.into_string() + "</span> " + &html! { code { (flow) } }.into_string();
            assert!(page.contains(&told), "{told} stands in the page");
        }
    }
    assert!(!rendered(&pipeline()).contains("id=\"watch\""), "and where nobody watched there is no such section");
}

#[test]
fn what_lies_beside_a_window_stands_with_it_and_in_the_list_of_events() {
    let document = watched();
    let page = rendered(&document);
    for window in words::flows(&document).into_iter().flat_map(|flow| flow.windows) {
        for told in words::beside(window, &document.events) {
            assert!(page.contains(&html! { (told) }.into_string()), "{told}");
        }
    }
    let rows = page.matches("<tr class=\"of-").count();
    assert_eq!(rows, document.events.len(), "each event once in the list");
    let bars = page.matches("class=\"state\"").count();
    assert_eq!(bars, 2, "the command was running, and calico-node restarting");
}

#[test]
fn hundreds_of_events_stay_readable_and_can_be_hidden_by_sort() {
    let mut document = watched();
    let few = rendered(&document);
    assert!(few.contains("class=\"number\""), "a few are numbered in the drawing");
    document.events = (0..600)
        .map(|n| {
            let (about, kind) =
                [(About::Engine, "calico-node on node"), (About::Node, "node"), (About::Policy, "NetworkPolicy")]
                    [n as usize % 3];
            happened(n * 500_000, about, &format!("{kind}-{}", n % 90), "something of some length happened to it")
        })
        .collect();
    for cell in document.stages.iter_mut().flat_map(|stage| &mut stage.cells) {
        for (place, window) in cell.windows.iter_mut().enumerate() {
            window.beside = vec![Beside { event: place as u32 * 7, lies: Lies::Before, apart_us: 100_000 }];
        }
    }
    let page = rendered(&document);
    assert!(!page.contains("class=\"number\""), "numbers would lie over each other");
    assert_eq!(page.matches("listed below\"").count(), 3, "a row for each sort, not for each of 90 subjects");
    let guides = page.matches("class=\"guide ").count();
    assert!((1..9).contains(&guides), "{guides} lines: only through what lies beside a window");
    assert!(page.contains("<summary>600 events</summary>"), "the list is folded away");
    assert_eq!(page.matches("type=\"checkbox\"").count(), 3, "a box for each sort");
    for about in ["engine", "node", "policy"] {
        assert!(page.contains(&format!(".show-of-{about}:not(:checked)~* .of-{about}")), "{about} can be hidden");
    }
    assert!(page.len() - few.len() < 600 * 600, "{} bytes for 600 events", page.len() - few.len());
}

#[test]
fn every_flow_of_an_hour_is_drawn() {
    let document = hour(21);
    let page = rendered(&document);
    let drawn = page.matches("class=\"solid ").count();
    let windows: usize = document.stages[0].cells.iter().map(|cell| cell.windows.len()).sum();
    assert_eq!((document.counts.cells, windows), (420, 1260));
    assert_eq!(drawn, windows, "each window once");
}

#[test]
fn a_command_in_a_sentence_is_code_and_a_lone_backtick_is_itself() {
    let told = |text: &str| prose(text).into_string();
    assert_eq!(
        told("type `leakproof clean`, then `<b>`"),
        "type <code>leakproof clean</code>, then <code>&lt;b&gt;</code>"
    );
    assert_eq!(told("a ` alone"), "a ` alone");
    assert_eq!(told("none"), "none");
}

#[test]
fn what_long_attempts_alone_saw_is_not_drawn_as_if_it_were_open_all_the_time() {
    let mut document = watched();
    let sampled = |document: &Document| rendered(document).matches(" sampled\"").count();
    assert_eq!(sampled(&document), 0);
    for cell in document.stages.iter_mut().flat_map(|stage| &mut stage.cells) {
        if let Some(window) = cell.windows.last_mut().filter(|_| cell.call == Call::Leak) {
            window.persistent = window.attempts;
        }
    }
    assert!(sampled(&document) > 0);
}

#[test]
fn every_cell_of_a_small_matrix_has_its_sign_in_words_too() {
    let page = rendered(&troubled());
    let signs = page.matches("<td class=\"").count() - page.matches("<td class=\"self\"").count();
    assert!(signs >= troubled().stages.iter().map(|stage| stage.cells.len()).sum(), "{signs} cells");
    assert_eq!(page.matches("<span class=\"vh\">LEAK</span>").count(), 1, "one leak, for a screen reader too");
}

#[test]
fn a_closed_pipe_is_an_error_not_a_panic() {
    assert_eq!(render(&pipeline(), &mut ClosedPipe).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
}

/// `cargo test --lib html::tests::look -- --ignored` leaves pages in `target/look` for a person to look at.
#[test]
#[ignore = "for a person to look at what it writes"]
fn look() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("target/look");
    std::fs::create_dir_all(&folder).unwrap();
    for (what, document) in every_kind() {
        let began = std::time::Instant::now();
        let page = rendered(&document);
        let (took, size) = (began.elapsed(), page.len() / 1024);
        println!("{what}: {size} KiB, rendered in {} ms", took.as_millis());
        std::fs::write(folder.join(format!("{what}.html")), &page).unwrap();
    }
}
