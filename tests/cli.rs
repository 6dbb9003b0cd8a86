//! The program from outside: arguments, exit codes, reports and what the README says of them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;
use std::process::{Command, Output};

use leakproof::model::comparison::{Comparison, Sameness};
use leakproof::model::document::Document;
use leakproof::model::finding::Call;
use leakproof::model::forecast::Forecast;
use place::{Needs, PROGRAM, Place, scenario};

mod place;

fn main() -> std::process::ExitCode {
    place::run(vec![
        place::test("the_readmes_exit_codes_are_the_programs", Needs::Nothing, the_readmes_exit_codes_are_the_programs),
        place::test(
            "what_does_not_fit_one_scenario_hides_no_finding_of_another",
            Needs::Lab,
            what_does_not_fit_one_scenario_hides_no_finding_of_another,
        ),
        place::test("bad_arguments_are_usage_errors", Needs::Nothing, bad_arguments_are_usage_errors),
        place::test("the_list_of_faults_needs_no_scenario", Needs::Nothing, the_list_of_faults_needs_no_scenario),
        place::test(
            "a_flow_that_is_not_there_is_neither_run_nor_planned",
            Needs::Nothing,
            a_flow_that_is_not_there_is_neither_run_nor_planned,
        ),
        place::test(
            "a_refused_scenario_is_exit_3_and_makes_nothing",
            Needs::Nothing,
            a_refused_scenario_is_exit_3_and_makes_nothing,
        ),
        place::test(
            "the_json_of_a_run_makes_every_other_report",
            Needs::Lab,
            the_json_of_a_run_makes_every_other_report,
        ),
        place::test(
            "predict_needs_no_network_and_its_exit_code_tells_whether_the_policy_says_what_was_wanted",
            Needs::Nothing,
            predict_needs_no_network_and_its_exit_code_tells_whether_the_policy_says_what_was_wanted,
        ),
        place::test(
            "the_readme_shows_what_its_first_command_prints",
            Needs::Lab,
            the_readme_shows_what_its_first_command_prints,
        ),
        place::test(
            "an_expectation_that_waits_for_a_version_of_calico_is_told",
            Needs::Lab,
            an_expectation_that_waits_for_a_version_of_calico_is_told,
        ),
        place::test("the_readme_names_every_command", Needs::Nothing, the_readme_names_every_command),
        place::test(
            "an_image_is_made_of_static_binaries_only",
            Needs::Nothing,
            an_image_is_made_of_static_binaries_only,
        ),
        place::test(
            "commands_that_are_gathered_show_the_same_cell_again",
            Needs::Lab,
            commands_that_are_gathered_show_the_same_cell_again,
        ),
    ])
}

fn the_readmes_exit_codes_are_the_programs() {
    use leakproof::exit::{self, Exit};
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let rows = [
        (Exit::Ok.code(), "as meant"),
        (Exit::Bug.code(), "bug in leakproof"),
        (exit::USAGE, "usage"),
        (exit::REFUSED, "scenario refused"),
        (Exit::NoWorld.code(), "the world could not be made"),
        (Exit::Contradiction.code(), "contradiction"),
        (Exit::Inconclusive.code(), "inconclusive"),
        (Exit::LeftBehind.code(), "verdicts fine, but something was left behind"),
        (Exit::Outage.code(), "outage"),
        (Exit::Leak.code(), "leak or wrong server"),
    ];
    for (code, words) in rows {
        assert!(readme.contains(&format!("| {code} | {words} |")), "the README lacks `| {code} | {words} |`");
    }
}

/// Two scenarios, of which only the first has the flow that is asked for, and the policy that lies beside it.
fn what_does_not_fit_one_scenario_hides_no_finding_of_another() {
    let place = Place::new();
    let (pipeline, ports) = (scenario("ai-data-pipeline.yaml"), scenario("ports.yaml"));
    let mut run = place.leakproof();
    run.arg("run").args([&pipeline, &scenario("ai-data-pipeline.policy.yaml"), &ports]);
    run.args(["--only", "intruder->data-store:5432/tcp", "--fault", "leak=intruder->data-store:5432/tcp"]);
    let output = run.output().unwrap();
    let (shown, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(11), "the leak, though `ports` has no such flow: {shown}{said}");
    assert!(said.contains("ai-data-pipeline.policy.yaml` is a manifest, not a scenario: skipped"), "{said}");
    let totals = shown.split_once("2 scenarios: 0 as meant").unwrap_or_else(|| panic!("{shown}")).1;
    assert!(totals.contains("LEAK") && totals.contains("REFUSED"), "{totals}");
    let alone = place.leakproof().arg("run").arg(scenario("ai-data-pipeline.policy.yaml")).output().unwrap();
    assert_eq!(alone.status.code(), Some(3));
    let said = String::from_utf8_lossy(&alone.stderr).into_owned();
    assert!(said.contains("is a Kubernetes manifest, not a scenario"), "{said}");
}

fn bad_arguments_are_usage_errors() {
    for arguments in [
        &["run"][..],
        &["rum", "x.yaml"],
        &["run", "x.yaml", "--deadline", "fast"],
        &["run", "x.yaml", "--attempts", "0"],
        &["run", "x.yaml", "--only", "intruder"],
        &["run", "--fault", "flap=a->b"],
        &["watch", "--fault", "flap=a->b"],
    ] {
        let output = Place::new().leakproof().args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty(), "{arguments:?} wrote to stdout");
    }
}

fn the_list_of_faults_needs_no_scenario() {
    for command in ["run", "watch"] {
        let output = Place::new().leakproof().args([command, "--fault", "help"]).output().unwrap();
        let listed = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(listed.contains("late-pod=DURATION"), "{command}: {listed}");
    }
}

fn a_flow_that_is_not_there_is_neither_run_nor_planned() {
    let scenario = scenario("ai-data-pipeline.yaml").display().to_string();
    for (only, expected) in [
        ("nobody->data-store", "has no endpoint `nobody`"),
        ("intruder->intruder", "it tries none from `intruder` to `intruder`"),
        ("intruder->data-store:1/tcp", "from `intruder` to `data-store` it tries 5432/tcp, 8125/udp, 9000/tcp"),
    ] {
        for arguments in [&["--only", only][..], &["--only", only, "--on", "cluster", "--dry-run"]] {
            let output = Place::new().leakproof().args(["run", &scenario]).args(arguments).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
            assert!(said.contains(expected), "{arguments:?}: {said}");
        }
    }
}

fn a_refused_scenario_is_exit_3_and_makes_nothing() {
    let place = Place::new();
    let cases: [(&str, &[u8], &str); 4] = [
        ("empty.yaml", b"", "empty"),
        ("binary.yaml", b"\x00\xff\xfe\x01", "binary.yaml"),
        ("wrong.yaml", b"version: 2\npodz: {}\n", "podz"),
        ("list.yaml", b"- 1\n- 2\n", "list.yaml"),
    ];
    for (name, bytes, expected) in cases {
        let file = place.file(name);
        std::fs::write(&file, bytes).unwrap();
        let output = place.leakproof().arg("run").arg(&file).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{name}: {said}");
        assert!(said.contains(expected), "{name}: {said}");
    }
    let output = place.leakproof().args(["run", "no-such-file.yaml"]).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no-such-file.yaml"));
    place.assert_no_files_left();
}

fn the_json_of_a_run_makes_every_other_report() {
    let place = Place::new();
    let json = place.file("run.json");
    let output =
        place.leakproof().arg("run").arg(scenario("ai-data-pipeline.yaml")).arg("--json").arg(&json).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(shown.lines().next().unwrap().contains("lab"), "the first line says where: {shown}");
    let document: Document = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    assert_eq!((document.exit, document.counts.cells, document.counts.ok), (0, 40, 40));
    let again = place.leakproof().arg("report").arg(&json).output().unwrap();
    // All but the time: `run` shows its verdicts before the tear-down, of which the JSON knows.
    let before_times = |report: &str| report.split("          took ").next().unwrap_or_default().to_owned();
    let again = String::from_utf8_lossy(&again.stdout).into_owned();
    assert_eq!(before_times(&again), before_times(&shown), "`report` shows what `run` showed");
    for form in ["junit", "markdown", "html", "json"] {
        let output = place.leakproof().arg("report").arg(&json).args(["--form", form]).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{form}");
        assert!(String::from_utf8_lossy(&output.stdout).contains("ai-data-pipeline"), "{form}");
    }
    let same = place.leakproof().arg("diff").arg(&json).arg(&json).output().unwrap();
    assert_eq!(same.status.code(), Some(0));
    let mut other = document;
    other.stages[1].cells.pop();
    let (file, diff) = (place.file("other.json"), place.file("diff.json"));
    std::fs::write(&file, serde_json::to_vec(&other).unwrap()).unwrap();
    let differs = place.leakproof().arg("diff").arg(&json).arg(&file).arg("--json").arg(&diff).output().unwrap();
    assert_eq!(differs.status.code(), Some(5), "{}", String::from_utf8_lossy(&differs.stdout));
    let comparison: Comparison = serde_json::from_slice(&std::fs::read(&diff).unwrap()).unwrap();
    assert_eq!((comparison.outcome, comparison.stages[1].only_before.len()), (Sameness::Different, 1));
    place.assert_no_files_left();
    place.assert_nothing_left();
}

fn predict_needs_no_network_and_its_exit_code_tells_whether_the_policy_says_what_was_wanted() {
    let place = Place::new();
    let json = place.file("forecast.json");
    let predict = |file: &Path| place.leakproof().arg("predict").arg(file).arg("--json").arg(&json).output().unwrap();
    let fine = predict(&scenario("ai-data-pipeline.yaml"));
    let shown = String::from_utf8_lossy(&fine.stdout).into_owned();
    assert_eq!(fine.status.code(), Some(0), "{shown}");
    assert!(shown.contains("40 cells, 24 allowed, 16 denied"), "{shown}");
    let forecast: Forecast = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    assert_eq!((forecast.counts.cells, forecast.counts.ok, forecast.exit), (40, 40, 0));

    // The same scenario by an author who wants of the intruder what the policy does not give.
    let text = std::fs::read_to_string(scenario("ai-data-pipeline.yaml")).unwrap();
    let wrong = text.replace("from: [ intruder, impostor,", "from: [ impostor,");
    assert_ne!(wrong, text, "the scenario names the intruder where this test thinks it does");
    let wrong = format!("{wrong}\n  - {{ from: intruder, to: data-store, port: 5432/tcp, verdict: allowed }}\n");
    let file = place.file("wrong.yaml");
    std::fs::write(&file, wrong).unwrap();
    std::fs::copy(scenario("ai-data-pipeline.policy.yaml"), place.file("ai-data-pipeline.policy.yaml")).unwrap();
    let contradiction = predict(&file);
    let shown = String::from_utf8_lossy(&contradiction.stdout).into_owned();
    assert_eq!(contradiction.status.code(), Some(5), "{shown}{}", String::from_utf8_lossy(&contradiction.stderr));
    assert!(shown.contains("CONTRA  intruder -> data-store:5432/tcp"), "{shown}");
    assert!(shown.contains("too strict") && shown.contains("leakproof explain"), "{shown}");
    place.assert_no_files_left();
}

/// What a report says apart from times, versions and what a busy machine adds to it.
fn substance(report: &str) -> Vec<String> {
    let mut lines: Vec<&str> = Vec::new();
    let mut remark = false;
    for line in report.lines() {
        remark = ["blind", "note", "warning"].iter().any(|word| line.starts_with(&format!("  {word} ")))
            || (remark && line.starts_with("          "));
        if !remark {
            lines.push(line);
        }
    }
    let words = lines.join("\n").replace("; slowest:", ";\nslowest:");
    let paragraphs = words.split("\n").filter(|line| !line.trim().is_empty());
    let mut told = Vec::new();
    let mut slowest = false;
    for line in paragraphs {
        // Which flows are slowest is chance; their list ends where the matrix begins.
        slowest = line.starts_with("slowest:") || (slowest && !line.contains('┌'));
        if !slowest {
            let word =
                |word: &str| if word.starts_with(|c: char| c.is_ascii_digit()) { "N".into() } else { word.to_owned() };
            let kept = |word: &&str| !matches!(word.trim_end_matches([',', ';', ':']), "ms" | "s" | "min");
            let line: Vec<String> = line.split_whitespace().filter(kept).map(word).collect();
            told.push(line.join(" ").trim_end_matches(';').to_owned());
        }
    }
    // Lines break where times are long.
    let summary = told.iter().position(|line| line.starts_with("took")).unwrap_or(told.len());
    let took = told.split_off(summary).join(" ");
    told.push(took);
    told
}

fn the_readme_shows_what_its_first_command_prints() {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    assert!(readme.contains("cargo run -- run scenarios/ai-data-pipeline.yaml"), "the first command");
    let shown = readme.split_once("```text\n").unwrap().1.split_once("```").unwrap().0;
    let place = Place::new();
    // A machine that is too busy to see says so instead; then the claim is held against another run.
    let printed = (0..5).map(|_| {
        let output = place.leakproof().arg("run").arg(scenario("ai-data-pipeline.yaml")).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    });
    let (_, printed) =
        printed.take_while(|(code, _)| matches!(code, Some(0 | 6))).find(|(code, _)| *code == Some(0)).unwrap();
    assert_eq!(substance(shown), substance(&printed), "\n{printed}");
}

fn an_expectation_that_waits_for_a_version_of_calico_is_told() {
    let place = Place::new();
    let file = place.file("waits.yaml");
    let expect = "{ from: b, to: a, verdict: allowed, calico: '>=3.32' }, { from: a, to: b, verdict: allowed }";
    let pods = "{ a: { namespace: n }, b: { namespace: n } }";
    let text = format!("version: 1\nnamespaces: {{ n: {{}} }}\npods: {pods}\nexpect: [ {expect} ]\n");
    std::fs::write(&file, text).unwrap();
    for command in ["predict", "run"] {
        let output = until_seen(|| place.leakproof().arg(command).arg(&file).output().unwrap());
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{command}: {said}");
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        let told = "what is expected of 1 cell depends on Calico's version, which is not known here";
        assert!(said.contains(told), "{command}: {said}");
    }
}

fn the_readme_names_every_command() {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let place = Place::new();
    let help = place.leakproof().arg("--help").output().unwrap();
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    let commands = help.split_once("Commands:").unwrap().1.lines().skip(1).take_while(|line| !line.trim().is_empty());
    // Farther in stand the second lines of what is said of a command.
    let commands = commands.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let commands: Vec<&str> = commands.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(commands.len() > 5, "{commands:?}");
    for command in commands.into_iter().filter(|command| *command != "help") {
        assert!(readme.contains(&format!("`leakproof {command}")), "the README names `leakproof {command}`");
    }
}

fn an_image_is_made_of_static_binaries_only() {
    let place = Place::new();
    let archive = place.file("agent.tar");
    let output = place.leakproof().arg("image").arg(&archive).arg(format!("--binary=linux/amd64={PROGRAM}")).output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "this very program is linked dynamically: {said}");
    assert!(said.contains("linux/amd64") && said.contains(PROGRAM), "{said}");
    assert!(output.stdout.is_empty() && !archive.exists(), "and nothing was written");
    let twice = [format!("--binary=linux/arm64={PROGRAM}"), "--name=agent:1".to_owned()];
    let output = place.leakproof().arg("image").arg(&archive).args(twice).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "a kubelet would not find such a name");
    place.assert_no_files_left();
}

/// A run that could see: on a machine that is too busy it says so (6), and the claim is held against another run.
fn until_seen(run: impl Fn() -> Output) -> Output {
    (0..5).map(|_| run()).find(|output| output.status.code() != Some(6)).expect("one of five runs could see")
}

fn commands_that_are_gathered_show_the_same_cell_again() {
    let place = Place::new();
    let folder = place.file("gathered");
    let run = |place: &Place, arguments: &[&str]| place.leakproof().args(arguments).output().unwrap();
    let (scenario, into) = (scenario("ai-data-pipeline.yaml").display().to_string(), folder.display().to_string());
    let leak = "leak=intruder->data-store:5432/tcp";
    let failed = until_seen(|| {
        // Of a run before there may be a folder.
        let _ = std::fs::remove_dir_all(&folder);
        run(&place, &["run", &scenario, "--fault", leak, "--artifacts", &into])
    });
    assert_eq!(failed.status.code(), Some(11), "{}", String::from_utf8_lossy(&failed.stderr));
    let gathered = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    let commands = std::fs::read_to_string(gathered.join("leakproof.txt")).unwrap();
    let again = commands.lines().find(|line| line.contains(" --only ")).unwrap_or_else(|| panic!("{commands}"));
    // As somebody would who pastes it, with leakproof in PATH.
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{path}", Path::new(PROGRAM).parent().unwrap().display());
    let output = until_seen(|| {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("{again} --json {}", place.file("again.json").display())]);
        shell.env("PATH", &path).env("TMPDIR", place.temporary()).output().unwrap()
    });
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(11), "{again}: {said}");
    let document: Document = serde_json::from_slice(&std::fs::read(place.file("again.json")).unwrap()).unwrap();
    let cells = || document.stages.iter().filter(|stage| stage.name != "baseline").flat_map(|stage| &stage.cells);
    let wrong: Vec<String> = cells()
        .filter(|cell| cell.call != Call::Ok)
        .map(|cell| format!("{} {}", cell.call.word(), cell.flow))
        .collect();
    assert_eq!(wrong, ["LEAK intruder -> data-store:5432/tcp"], "{again}: {said}");
    assert!(cells().count() < 40, "only it and what vouches for it is tried: {said}");
}
