//! JUnit XML for CI systems: a suite per stage, a case per cell, named like the trials of `cargo test`.
//!
//! Finding = failure, inconclusive = error, unsupported = skipped.

use std::collections::HashMap;
use std::io::{self, Write};
use std::time::Duration;

use quick_junit::{NonSuccessKind, Property, Report, TestCase, TestCaseStatus, TestSuite};

use crate::exit::Exit;
use crate::model::document::{Cause, CauseOf, Cell, Convergence, Document, Stage};
use crate::model::finding::{Call, Finding, Subject};
use crate::model::flow::NamedFlow;
use crate::model::watch::Standing;

use super::text::{Charset, harmless};
use super::wrong_times::Context;
use super::{finding_groups, groups, name, story, summary, watched};

/// A finding, and the title of the group it belongs to.
struct Found<'a> {
    finding: &'a Finding,
    context: Context<'a>,
    title: Option<String>,
}

/// Writes the report of a run.
///
/// # Errors
/// Whatever the writer refuses.
pub fn render(document: &Document, writer: &mut dyn Write) -> io::Result<()> {
    let mut report = Report::new(safe(&format!("leakproof {}", summary::subject(document))));
    report.set_time(Duration::from_micros(document.took_us));
    report.timestamp = document.started.parse().ok();
    for stage in &document.stages {
        report.add_test_suite(suite(document, stage));
    }
    report.add_test_suites(causes(document));
    if let Some(why) = &document.aborted {
        report.add_test_suite(aborted(document, why));
    }
    // quick-junit writes to what is sized; a report is small enough to be made whole first.
    let text = report.to_string().map_err(io::Error::other)?;
    writer.write_all(text.as_bytes())?;
    writer.flush()
}

fn suite(document: &Document, stage: &Stage) -> TestSuite {
    let mut suite = TestSuite::new(safe(&format!("{}::{}", prefix(document), stage.name)));
    if let Some(took) = took(stage) {
        suite.set_time(took);
    }
    for (key, value) in properties(document) {
        suite.add_property(Property::new(safe(&key), safe(&value)));
    }
    let mut findings: HashMap<&NamedFlow, Found> = HashMap::new();
    for group in finding_groups::of_stage(document, stage) {
        let found = |finding| Found { finding, context: Context::of(document), title: group.title.clone() };
        let of_cells = group.findings.iter().filter(|finding| finding.subject.is_flow());
        findings.extend(of_cells.map(|finding| (&finding.flow, found(*finding))));
    }
    for cell in &stage.cells {
        suite.add_test_case(case(document, stage, cell, findings.get(&cell.flow)));
    }
    for finding in stage.findings.iter().filter(|finding| !finding.subject.is_flow()) {
        suite.add_test_case(beside_the_cells(document, stage, finding));
    }
    suite
}

/// A finding that is of no cell: of a connection that was held open, or of a newborn pod.
fn beside_the_cells(document: &Document, stage: &Stage, finding: &Finding) -> TestCase {
    let what = match finding.subject {
        Subject::Flow => "",
        Subject::Connection => " held open",
        Subject::Newborn => " of a newborn pod",
    };
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
    let word = finding.call.word();
    status.set_type(word).set_message(safe(&format!("{word}: {}", story::reality(finding))));
    status.set_description(telling(&Found { finding, context: Context::of(document), title: None }));
    let mut case = TestCase::new(safe(&format!("{}::{}{what}", prefix(document), finding.flow)), status);
    case.set_classname(safe(&format!("{}::{}", prefix(document), stage.name)));
    case
}

/// What sets the exit code and has no trial of its own elsewhere: a file without it would be green.
fn causes(document: &Document) -> Option<TestSuite> {
    let without_findings = |cause: &&Cause| match cause.of {
        CauseOf::Cells | CauseOf::Aborted => false,
        CauseOf::Connections | CauseOf::Newborns => cause.exit == Exit::Inconclusive.code(),
        CauseOf::Command | CauseOf::LeftBehind => true,
    };
    let causes: Vec<&Cause> = document.causes.iter().filter(without_findings).collect();
    if causes.is_empty() {
        return None;
    }
    let mut suite = TestSuite::new(safe(&format!("{}::causes", prefix(document))));
    for cause in causes {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
        status.set_type(format!("exit {}", cause.exit)).set_message(safe(&cause.what));
        suite.add_test_case(TestCase::new(safe(&format!("{}::{}", prefix(document), cause.what)), status));
    }
    Some(suite)
}

fn case(document: &Document, stage: &Stage, cell: &Cell, finding: Option<&Found>) -> TestCase {
    let trial =
        name::trial(document.fabric.kind, &document.scenario.name, &stage.name, &cell.flow, cell.intent, cell.meaning);
    let mut case = TestCase::new(trial, status(cell, finding));
    case.set_classname(safe(&format!("{}::{}", prefix(document), stage.name)));
    if let Some(us) = cell.time_to_enforce_us {
        case.set_time(Duration::from_micros(us));
    }
    case
}

/// The cell's call decides; a finding only tells the story, since a cell with a call and no finding must not pass.
fn status(cell: &Cell, finding: Option<&Found>) -> TestCaseStatus {
    if cell.standing == Standing::Known {
        let mut status = TestCaseStatus::skipped();
        status.set_message(safe(&format!("known {}: {}", cell.call, story::seen(&cell.reality))));
        return status;
    }
    match cell.call {
        Call::Ok => match finding {
            // A finding on a cell that is right in the end: it was wrong after convergence, in its windows.
            Some(finding) => failure(finding.finding.call.word(), cell, Some(finding)),
            None => TestCaseStatus::success(),
        },
        Call::Leak | Call::Outage | Call::WrongServer | Call::Contradiction => failure(cell.call.word(), cell, finding),
        Call::Inconclusive | Call::Unjudged => {
            let why = groups::reason_of_unsureness(cell).unwrap_or_default();
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
            status.set_type(cell.call.word()).set_message(safe(&why));
            if let Some(finding) = finding {
                status.set_description(telling(finding));
            }
            status
        }
        Call::Unsupported => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(safe(&story::seen(&cell.reality)));
            status
        }
    }
}

fn failure(word: &str, cell: &Cell, finding: Option<&Found>) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
    let readings = match finding {
        Some(finding) => story::tell(finding.finding, &finding.context).readings,
        None => {
            let seen = story::seen(&cell.reality);
            format!("{}, {}, seen: {seen}", story::intent(cell.intent), story::meaning(cell.meaning))
        }
    };
    status.set_type(word).set_message(safe(&format!("{word}: {readings}")));
    if let Some(finding) = finding {
        status.set_description(telling(finding));
    }
    status
}

fn telling(found: &Found) -> String {
    let finding = found.finding;
    let told = story::tell(finding, &found.context);
    let mut lines = vec![
        format!("{} {}", told.word, finding.flow),
        told.readings,
        format!("blame: {}", told.blame),
        format!("because: {}", told.because),
        format!("next: {}", told.next),
    ];
    lines.extend(found.title.iter().map(|title| format!("one of several: {title}")));
    lines.extend(told.took_effect.iter().map(|took_effect| format!("took effect: {took_effect}")));
    for window in &told.windows {
        lines.push(format!("window: {}", window.sentence));
        lines.extend(window.changed(watched::NAMED));
    }
    lines.iter().map(|line| safe(line)).collect::<Vec<_>>().join("\n")
}

/// A run that ended early must not look like one whose last stages were green.
fn aborted(document: &Document, why: &str) -> TestSuite {
    let mut suite = TestSuite::new(safe(&format!("{}::run", prefix(document))));
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
    status.set_type("STOPPED").set_message(safe(why));
    suite.add_test_case(TestCase::new(safe(&format!("{}::run is completed", prefix(document))), status));
    suite
}

fn prefix(document: &Document) -> String {
    format!("{}::{}", document.fabric.kind, document.scenario.name)
}

fn properties(document: &Document) -> Vec<(String, String)> {
    let mut properties = vec![
        ("leakproof".to_owned(), document.leakproof.clone()),
        ("run".to_owned(), document.run.clone()),
        ("scenario".to_owned(), document.scenario.file.clone()),
        ("fabric".to_owned(), summary::fabric(&document.fabric)),
        ("exit".to_owned(), document.exit.to_string()),
        ("took".to_owned(), summary::took(document)),
    ];
    properties.extend(document.fabric.fault.iter().map(|fault| ("fault".to_owned(), fault.clone())));
    properties.extend(document.fabric.facts.iter().map(|(key, value)| (format!("fabric.{key}"), value.clone())));
    properties
}

fn took(stage: &Stage) -> Option<Duration> {
    match stage.convergence {
        Convergence::Converged { proven_us, .. } => Some(Duration::from_micros(proven_us)),
        Convergence::TimedOut { after_us } => Some(Duration::from_micros(after_us)),
        Convergence::Interrupted => None,
    }
}

fn safe(text: &str) -> String {
    harmless(text, Charset::Unicode)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::{ClosedPipe, nasty, pipeline, troubled, watched};
    use snapbox::{IntoData, assert_data_eq, str};

    fn rendered(document: &Document) -> String {
        let mut bytes = Vec::new();
        render(document, &mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    fn only_trouble(mut document: Document) -> Document {
        for stage in &mut document.stages {
            stage
                .cells
                .retain(|cell| cell.call != Call::Ok || cell.flow.to == "intruder" && cell.flow.from == "impostor");
        }
        document
    }

    #[test]
    fn each_call_has_its_junit_status() {
        assert_data_eq!(rendered(&only_trouble(troubled())), str![[r#"
<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="leakproof ai-data-pipeline [lab: 2 nodes, nftables, Linux 6.18]" tests="8" skipped="1" failures="3" errors="2" timestamp="2026-11-23T04:05:06.000+00:00" time="1.420">
    <testsuite name="lab::ai-data-pipeline::baseline" tests="1" skipped="0" errors="0" failures="0" time="0.306">
        <properties>
            <property name="leakproof" value="0.1.0"/>
            <property name="run" value="k3f9"/>
            <property name="scenario" value="scenarios/ai-data-pipeline.yaml"/>
            <property name="fabric" value="lab: 2 nodes, nftables, Linux 6.18"/>
            <property name="exit" value="11"/>
            <property name="took" value="took 1.4 s: world 210 ms, agents 60 ms, baseline 410 ms, policies 650 ms, tear-down 90 ms"/>
            <property name="fault" value="leak:intruder-&gt;data-store-1:5432/tcp"/>
            <property name="fabric.kernel" value="6.18"/>
        </properties>
        <testcase name="lab::ai-data-pipeline::baseline::impostor -&gt; intruder:8080/tcp is allowed" classname="lab::ai-data-pipeline::baseline" time="0.000"/>
    </testsuite>
    <testsuite name="lab::ai-data-pipeline::policies" tests="7" skipped="1" errors="2" failures="3" time="10.000">
        <properties>
            <property name="leakproof" value="0.1.0"/>
            <property name="run" value="k3f9"/>
            <property name="scenario" value="scenarios/ai-data-pipeline.yaml"/>
            <property name="fabric" value="lab: 2 nodes, nftables, Linux 6.18"/>
            <property name="exit" value="11"/>
            <property name="took" value="took 1.4 s: world 210 ms, agents 60 ms, baseline 410 ms, policies 650 ms, tear-down 90 ms"/>
            <property name="fault" value="leak:intruder-&gt;data-store-1:5432/tcp"/>
            <property name="fabric.kernel" value="6.18"/>
        </properties>
        <testcase name="lab::ai-data-pipeline::ai-processing -&gt; data-store-2:9000/tcp is allowed" classname="lab::ai-data-pipeline::policies">
            <failure message="OUTAGE: intent allowed, meaning denied (a contradiction), seen: silent, 31 attempts" type="OUTAGE">OUTAGE ai-processing -&gt; data-store-2:9000/tcp
intent allowed, meaning denied (a contradiction), seen: silent, 31 attempts
blame: the policy: too strict
because: ai-data-pipeline/allow-ai-processing-to-data-store isolates the destination, and none of its rules matches port 9000/tcp
next: if the flow is wanted, add port 9000 to ingress[0].ports</failure>
        </testcase>
        <testcase name="lab::ai-data-pipeline::ai-processing -&gt; plain:8080/tcp is allowed" classname="lab::ai-data-pipeline::policies" time="0.000">
            <failure message="WRONG: intent allowed, meaning allowed, seen: `intruder` answered instead" type="WRONG">WRONG ai-processing -&gt; plain:8080/tcp
intent allowed, meaning allowed, seen: `intruder` answered instead
blame: the network: the policy says what was meant, and is not what happens
because: no policy selects either end
next: find out why packets to plain&apos;s address end at intruder</failure>
        </testcase>
        <testcase name="lab::ai-data-pipeline::impostor -&gt; intruder:8080/tcp is allowed" classname="lab::ai-data-pipeline::policies" time="0.000"/>
        <testcase name="lab::ai-data-pipeline::intruder -&gt; data-store-1:5432/tcp is denied" classname="lab::ai-data-pipeline::policies">
            <failure message="LEAK: intent denied, meaning denied, seen: reached" type="LEAK">LEAK intruder -&gt; data-store-1:5432/tcp
intent denied, meaning denied, seen: reached
blame: the network: the policy says what was meant, and is not what happens
because: the source is not isolated; ai-data-pipeline/allow-ai-processing-to-data-store isolates the destination, and none of its rules matches
next: the network lets through what the policy denies: look at the rules of node-2 for data-store-1
took effect: never for good; leak at 681 ms in 5 attempts, leak at 911 ms in 42 attempts</failure>
        </testcase>
        <testcase name="lab::ai-data-pipeline::plain -&gt; ai-processing:8080/tcp is allowed" classname="lab::ai-data-pipeline::policies">
            <error message="not seen: the agent got no processor time" type="UNSURE"/>
        </testcase>
        <testcase name="lab::ai-data-pipeline::plain -&gt; impostor:8080/tcp is allowed" classname="lab::ai-data-pipeline::policies" time="0.000">
            <skipped message="not supported here: this kernel has no SCTP"/>
        </testcase>
        <testcase name="lab::ai-data-pipeline::plain -&gt; intruder:8080/tcp is allowed" classname="lab::ai-data-pipeline::policies">
            <error message="not seen: the agent got no processor time" type="UNSURE"/>
        </testcase>
    </testsuite>
</testsuites>

"#]].raw());
    }

    #[test]
    fn a_run_as_meant_has_no_failures_and_every_cell() {
        let text = rendered(&pipeline());
        assert!(text.contains(r#"tests="100" skipped="0" failures="0" errors="0""#), "{}", &text[..400]);
    }

    #[test]
    fn a_finding_on_a_cell_that_came_right_is_still_a_failure() {
        let mut document = pipeline();
        let finding = troubled().stages[1].findings[0].clone();
        document.stages[1].findings = vec![finding];
        assert!(rendered(&document).contains(r#"failures="1""#));
    }

    #[test]
    fn what_is_within_its_budget_or_known_is_no_failure() {
        let text = rendered(&watched());
        assert!(text.contains(r#"tests="50" skipped="1" errors="1" failures="1""#), "{}", &text[..400]);
        let case = |flow: &str| {
            let place = text.rfind(&format!("{flow} is ")).unwrap();
            text[place..].split("<testcase").next().unwrap().to_owned()
        };
        assert!(!case("ai-processing -&gt; data-store-1:5432/tcp").contains("<failure"), "within its budget");
        assert!(case("data-store-1 -&gt; impostor:8080/tcp").contains("<skipped"), "known");
        assert!(case("plain -&gt; impostor:8080/tcp").contains("<error"), "perhaps over its budget");
        assert!(case("intruder -&gt; data-store-2:9000/tcp").contains("<failure"), "a leak");
    }

    #[test]
    fn a_run_that_ended_early_is_an_error() {
        let mut document = pipeline();
        document.aborted = Some("the node went away".into());
        let text = rendered(&document);
        assert!(text.contains(r#"errors="1""#) && text.contains("the node went away"), "{}", &text[..400]);
    }

    #[test]
    fn text_from_outside_does_no_harm() {
        let text = rendered(&nasty());
        assert!(!text.contains("<script"), "markup is escaped");
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "no control character is left");
        assert!(!text.contains('\u{202e}'), "writing direction stays");
    }

    #[test]
    fn a_closed_pipe_is_an_error_not_a_panic() {
        assert_eq!(render(&pipeline(), &mut ClosedPipe).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
