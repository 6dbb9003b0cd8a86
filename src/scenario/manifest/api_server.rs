//! Mutated manifests are answered as an API server answers them.
//!
//! `tests/api-server` holds the server's answers and says how they were recorded.

mod meaning;
mod mutants;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Manifest, policy_from_json, read};
use crate::scenario::adopted::METADATA_NAME;
use crate::scenario::log::Log;
use crate::scenario::yaml;
use meaning::policy_meaning;
use mutants::{Step, general, manifests, mutants, root, shown, write};

/// What the loader makes of a text: what it means, or why it is refused.
fn answer(text: &str) -> Result<Value, String> {
    let mut log = Log::default();
    let (file, _) = log.add_text("mutant", text);
    let documents = yaml::parse(file, text, &mut log);
    let found: Vec<Manifest> = documents.iter().flat_map(|document| read(document, &mut log)).collect();
    if let Err(refusal) = log.finish("mutant") {
        return Err(refusal.diagnostics[0].message.clone());
    }
    let mut meanings = Vec::new();
    for manifest in &found {
        meanings.push(match manifest {
            Manifest::Namespace { name, labels } => {
                let mut labels = labels.clone();
                labels.0.insert(METADATA_NAME.to_owned(), name.value.clone());
                json!({ "kind": "Namespace", "name": name.value, "labels": labels })
            }
            Manifest::Policy { policy, .. } => {
                let meaning = policy_meaning(policy);
                // What a cluster is sent means the same.
                match policy_from_json(policy.manifest(), "sent") {
                    Ok((sent, _)) => assert_eq!(policy_meaning(&sent), meaning, "sent for {text}"),
                    Err(refusal) => panic!("what is sent for {text} is refused: {refusal:?}"),
                }
                meaning
            }
        });
    }
    Ok(Value::Array(meanings))
}

fn digest(meaning: &Value) -> String {
    hex(meaning.to_string().as_bytes(), 10)
}

fn hex(bytes: &[u8], digits: usize) -> String {
    let mut text = String::new();
    for byte in Sha256::digest(bytes) {
        let _ = write!(text, "{byte:02x}");
    }
    text.truncate(digits);
    text
}

/// What the server said to the mutants of one manifest.
struct Recorded {
    texts: String,
    original: String,
    answers: Vec<(String, Vec<String>)>,
}

fn recorded() -> BTreeMap<String, Recorded> {
    let mut all = BTreeMap::new();
    let mut last: Option<(String, Recorded)> = None;
    for line in include_str!("../../../tests/api-server/answers.tsv").lines() {
        let parts: Vec<&str> = line.split('\t').collect();
        match (line.strip_prefix("# "), parts.as_slice()) {
            (Some(_), [manifest, texts, original]) => {
                all.extend(last.take());
                let recorded =
                    Recorded { texts: (*texts).to_owned(), original: (*original).to_owned(), answers: Vec::new() };
                last = Some((manifest.trim_start_matches("# ").to_owned(), recorded));
            }
            (None, [path, answers]) => {
                let answers = answers.split(' ').map(ToOwned::to_owned).collect();
                last.as_mut().unwrap().1.answers.push(((*path).to_owned(), answers));
            }
            _ => panic!("`{line}` is no line of the table"),
        }
    }
    all.extend(last);
    all
}

/// Where the loader may refuse what the server accepts: `place`, mutations, reason.
struct Exception {
    place: &'static str,
    mutations: Vec<&'static str>,
    used: Vec<bool>,
}

fn exceptions() -> Vec<Exception> {
    let lines = include_str!("../../../tests/api-server/stricter.tsv").lines().filter(|line| !line.starts_with('#'));
    let read = lines.map(|line| {
        let [place, mutations, reason] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        assert!(!reason.is_empty(), "{line}");
        let mutations: Vec<&str> = mutations.split(" | ").collect();
        Exception { place, used: vec![false; mutations.len()], mutations }
    });
    read.collect()
}

#[test]
fn every_mutant_is_answered_as_the_api_server_answers_it() {
    let recorded = recorded();
    let manifests = manifests();
    let mut exceptions = exceptions();
    let mut wrong = Vec::new();
    let (mut judged, mut agreed) = (0, 0);
    let mut names: Vec<&String> = manifests.iter().map(|(name, _)| name).collect();
    names.sort();
    assert_eq!(recorded.keys().collect::<Vec<_>>(), names, "record the answers again");
    for (name, manifest) in &manifests {
        let recorded = &recorded[name];
        let mutants = mutants(manifest);
        let original = write(manifest, &[], "");
        let texts: String = [original.as_str()].into_iter().chain(mutants.iter().map(|m| m.text.as_str())).collect();
        assert_eq!(hex(texts.as_bytes(), 16), recorded.texts, "{name} is another text: record the answers again");
        assert_eq!(answer(&original).map(|meaning| digest(&meaning)), Ok(recorded.original.clone()), "{name}");
        let answers = recorded.answers.iter().flat_map(|(_, answers)| answers);
        assert_eq!(answers.clone().count(), mutants.len(), "{name}");
        for (mutant, said) in mutants.iter().zip(answers) {
            judged += 1;
            let said = if said == "=" { &recorded.original } else { said };
            let at = || format!("{name}, {} {}", shown(&mutant.path), mutant.mutation);
            match answer(&mutant.text) {
                Ok(meaning) if *said == digest(&meaning) => agreed += 1,
                Ok(meaning) if said == "-" => wrong.push(format!("{}: accepted as {meaning}", at())),
                Ok(meaning) => wrong.push(format!("{}: ANOTHER MEANING: {meaning}", at())),
                Err(_) if said == "-" => agreed += 1,
                Err(why) => {
                    let place = general(&mutant.path);
                    let listed = exceptions
                        .iter_mut()
                        .filter(|e| place.strip_suffix(e.place).is_some_and(|rest| rest.ends_with('.')))
                        .find_map(|exception| {
                            let which = exception.mutations.iter().position(|mutation| *mutation == mutant.mutation)?;
                            exception.used.get_mut(which)
                        });
                    match listed {
                        Some(used) => *used = true,
                        None => wrong.push(format!("{}: `{place}` refused: {why}", at())),
                    }
                }
            }
        }
    }
    for exception in &exceptions {
        for (mutation, used) in exception.mutations.iter().zip(&exception.used) {
            if !used {
                wrong.push(format!("stale: `{}` `{mutation}` is in stricter.tsv for nothing", exception.place));
            }
        }
    }
    let listed = judged - agreed;
    assert!(wrong.is_empty(), "{} of {judged} wrong, {agreed} agree:\n{}", wrong.len(), wrong.join("\n"));
    println!("{judged} mutants: {agreed} answered as the server does, {listed} refused and listed");
}

#[test]
#[ignore = "writes the mutants for the recording program"]
fn write_the_mutants() {
    let mut all = String::new();
    for (name, manifest) in manifests() {
        let mut line = |path: &[Step], text: &str| {
            let line = json!({ "Manifest": name, "Path": shown(path), "Text": text });
            let _ = writeln!(all, "{line}");
        };
        line(&[], &write(&manifest, &[], ""));
        for mutant in mutants(&manifest) {
            line(&mutant.path, &mutant.text);
        }
    }
    let file = root().join("target/api-server-mutants.jsonl");
    fs::write(file, all).unwrap();
}
