//! Keeps the rooms apart: the table of who may use what, held against the imports of every source file.
//!
//! A room is a module at the crate's root. Test modules (from `#[cfg(test)]` to the end of a file) may use more, since
//! they check one room with another's eyes.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The crates that some rooms must never name.
const GUARDED: &[&str] = &[
    "clap",
    "indicatif",
    "kube",
    "k8s_openapi",
    "maud",
    "netlink_packet_netfilter",
    "netlink_packet_route",
    "nix",
    "quick_junit",
    "reqwest",
    "rtnetlink",
    "socket2",
    "tokio",
];

/// One room's rights.
struct Room {
    name: &'static str,
    /// Rooms it may use; a path with `::` is a part of one.
    rooms: &'static [&'static str],
    /// Guarded crates it may use.
    crates: &'static [&'static str],
    /// Parts of rooms it may not use though the room itself is allowed.
    except: &'static [&'static str],
}

const CONCRETE: &[&str] = &["fabric::lab", "fabric::cluster"];

const TABLE: &[Room] = &[
    Room { name: "model", rooms: &[], crates: &[], except: &[] },
    Room { name: "exit", rooms: &["model"], crates: &[], except: &[] },
    Room { name: "clock", rooms: &["model"], crates: &["nix"], except: &[] },
    Room { name: "policy", rooms: &["model"], crates: &["k8s_openapi"], except: &[] },
    Room { name: "scenario", rooms: &["model", "policy"], crates: &[], except: &[] },
    Room { name: "oracle", rooms: &["model", "policy", "scenario"], crates: &[], except: &[] },
    Room { name: "wire", rooms: &["model"], crates: &[], except: &[] },
    Room { name: "agent", rooms: &["clock", "model", "wire"], crates: &["nix", "socket2", "tokio"], except: &[] },
    Room { name: "fabric", rooms: &["clock", "model", "policy", "scenario", "wire"], crates: &["tokio"], except: &[] },
    Room {
        name: "fabric::lab",
        rooms: &["clock", "fabric", "model", "policy", "scenario", "wire"],
        crates: &["netlink_packet_netfilter", "netlink_packet_route", "nix", "rtnetlink", "socket2", "tokio"],
        except: &["fabric::cluster"],
    },
    Room {
        name: "fabric::cluster",
        rooms: &["clock", "fabric", "model", "policy", "scenario", "wire"],
        crates: &["k8s_openapi", "kube", "reqwest", "tokio"],
        except: &["fabric::lab"],
    },
    Room { name: "probe", rooms: &["clock", "fabric", "model", "wire"], crates: &["tokio"], except: CONCRETE },
    Room { name: "compare", rooms: &["model"], crates: &[], except: &[] },
    // The exit code follows from what was judged.
    Room { name: "judge", rooms: &["exit", "model"], crates: &[], except: &[] },
    Room { name: "image", rooms: &[], crates: &[], except: &[] },
    Room { name: "watch", rooms: &["clock", "judge", "model", "probe"], crates: &["tokio"], except: &[] },
    Room { name: "report", rooms: &["exit", "model"], crates: &["indicatif", "maud", "quick_junit"], except: &[] },
    Room {
        name: "run",
        rooms: &[
            "clock", "exit", "fabric", "judge", "model", "oracle", "policy", "probe", "report", "scenario", "watch",
            "wire",
        ],
        // The command under watch ends as a group, and by signals.
        crates: &["nix", "tokio"],
        except: &[],
    },
    Room {
        name: "cli",
        rooms: &["compare", "agent", "exit", "image", "model", "report", "run", "scenario"],
        crates: &["clap", "tokio"],
        except: &[],
    },
    Room { name: "main", rooms: &["agent", "cli", "exit", "run"], crates: &["clap", "tokio"], except: &[] },
    Room { name: "bin", rooms: &["agent"], crates: &[], except: &[] },
    // The crate's root names every room, to declare it, and uses none.
    Room { name: "lib", rooms: &[], crates: &[], except: &[] },
];

#[test]
fn every_room_uses_only_what_the_table_lets_it() {
    let mut wrong = Vec::new();
    let mut files = Vec::new();
    gather(&source(), &mut files);
    assert!(files.len() > 20, "found only {} source files: is this test looking in the right place?", files.len());
    for file in &files {
        let inside = file.strip_prefix(source()).expect("files lie below the source folder");
        let text = fs::read_to_string(file).expect("a source file is readable text");
        wrong.extend(offences(inside, &text));
    }
    assert!(wrong.is_empty(), "rooms that use what they may not:\n{}", wrong.join("\n"));
}

#[test]
fn an_import_the_table_forbids_is_noticed() {
    let cases = [
        ("judge/window.rs", "use crate::probe::Crew;", "judge uses the room `probe::Crew`"),
        ("oracle.rs", "use crate::{model::flow::Flow, fabric::Fabric};", "oracle uses the room `fabric::Fabric`"),
        ("oracle.rs", "let t = tokio::time::now();", "oracle names the crate `tokio`"),
        ("fabric/lab/compile.rs", "use crate::oracle::predict;", "fabric::lab uses the room `oracle::predict`"),
        ("probe.rs", "use crate::fabric::lab::Lab;", "probe uses the room `fabric::lab`"),
        ("cli/run.rs", "use kube::Client;", "cli names the crate `kube`"),
        ("novel.rs", "", "novel is in no row of the table"),
    ];
    for (file, text, expected) in cases {
        let found = offences(Path::new(file), text);
        assert!(found.iter().any(|f| f.contains(expected)), "{file}: `{text}` gave {found:?}");
    }
    let fine = [
        ("judge.rs", "use crate::model::flow::Flow;"),
        ("oracle.rs", "// crate::fabric is never named here\nlet kubernetes = 1;"),
        ("oracle.rs", "#[cfg(test)]\nmod tests { use kube::core::Selector; }"),
        ("run.rs", "use leakproof_is_not_a_crate_here::x;"),
    ];
    for (file, text) in fine {
        assert_eq!(offences(Path::new(file), text), Vec::<String>::new(), "{file}: `{text}`");
    }
}

#[test]
fn the_architecture_page_names_every_room_and_only_files_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/architecture.md")).expect("docs/architecture.md is readable");
    let quoted: Vec<&str> = page.split('`').skip(1).step_by(2).collect();
    for room in TABLE.iter().map(|r| r.name).filter(|name| !["main", "bin", "lib"].contains(name)) {
        assert!(quoted.contains(&room), "docs/architecture.md has no row for the module `{room}`");
    }
    let folders = ["src/", "tests/", "docs/", "ci/", "scenarios/"];
    let paths: Vec<&&str> = quoted.iter().filter(|text| folders.iter().any(|f| text.starts_with(f))).collect();
    assert!(paths.len() > 30, "found only {} paths: is this test reading the page rightly?", paths.len());
    for path in paths {
        assert!(root.join(path).exists(), "docs/architecture.md names {path}, which does not exist");
    }
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn gather(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the source folder is readable") {
        let path = entry.expect("its entries are readable").path();
        if path.is_dir() {
            gather(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            into.push(path);
        }
    }
}

/// Everything a file uses that its room may not.
fn offences(file: &Path, text: &str) -> Vec<String> {
    let path: Vec<String> =
        file.with_extension("").components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
    let name = match path.as_slice() {
        [fabric, part, ..] if fabric == "fabric" && CONCRETE.contains(&format!("fabric::{part}").as_str()) => {
            format!("fabric::{part}")
        }
        [first, ..] => first.clone(),
        [] => return Vec::new(),
    };
    let Some(room) = TABLE.iter().find(|room| room.name == name) else {
        return vec![format!("{}: {name} is in no row of the table", file.display())];
    };
    let code = code_of(text);
    let own = name.split("::").next().unwrap_or_default();
    let mut wrong = Vec::new();
    for used in used_rooms(&code) {
        let whole = used.split("::").next().unwrap_or_default();
        let allowed = whole == own || room.rooms.contains(&whole);
        let excepted = room.except.iter().any(|e| used == *e || used.starts_with(&format!("{e}::")));
        if (!allowed && is_room(whole)) || excepted {
            wrong.push(format!("{}: {name} uses the room `{used}`", file.display()));
        }
    }
    for guarded in GUARDED {
        if names_crate(&code, guarded) && !room.crates.contains(guarded) {
            wrong.push(format!("{}: {name} names the crate `{guarded}`", file.display()));
        }
    }
    wrong
}

fn is_room(name: &str) -> bool {
    TABLE.iter().any(|room| room.name == name)
}

/// The code without comments and test modules.
fn code_of(text: &str) -> String {
    text.split("#[cfg(test)]")
        .next()
        .unwrap_or_default()
        .lines()
        .map(|l| l.split("//").next().unwrap_or_default())
        .fold(String::new(), |mut all, line| {
            all.push_str(line);
            all.push('\n');
            all
        })
}

/// Every `room::part` that follows `crate::`, also inside braces.
fn used_rooms(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for prefix in ["crate::", "leakproof::"] {
        for (at, _) in code.match_indices(prefix) {
            if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
                continue;
            }
            let rest = &code[at + prefix.len()..];
            if let Some(group) = rest.strip_prefix('{') {
                for item in top_level(group) {
                    found.insert(two_parts(item.trim()));
                }
            } else {
                found.insert(two_parts(rest));
            }
        }
    }
    found
}

/// The items of a brace group, without those inside inner braces.
fn top_level(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut items) = (0, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                items.push(&group[start..at]);
                return items;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                items.push(&group[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    items
}

fn two_parts(path: &str) -> String {
    let end = path.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(path.len());
    path[..end].trim_end_matches(':').split("::").take(2).collect::<Vec<_>>().join("::")
}

fn names_crate(code: &str, name: &str) -> bool {
    let path = format!("{name}::");
    code.match_indices(&path)
        .any(|(at, _)| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':'))
        || code.contains(&format!("use {name};"))
}
