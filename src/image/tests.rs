//! An archive is read back the way a container runtime does: from the index down, by digest.

use std::collections::BTreeMap;
use std::io::Read;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::elf::tests::program;
use super::*;

const AMD64: u16 = 62;
const ARM64: u16 = 183;

/// A folder with binaries of these names.
fn folder(binaries: &[(&str, Vec<u8>)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in binaries {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

fn both() -> (tempfile::TempDir, Vec<(Platform, PathBuf)>) {
    let folder = folder(&[("amd64", program(AMD64, None)), ("arm64", program(ARM64, None))]);
    let binaries = vec![(Platform::Arm64, folder.path().join("arm64")), (Platform::Amd64, folder.path().join("amd64"))];
    (folder, binaries)
}

fn written(binaries: &[(Platform, PathBuf)]) -> Vec<u8> {
    let mut archive = Vec::new();
    let name = "localhost/agent:7".parse().unwrap();
    Image::read(name, binaries).unwrap().write(&mut archive).unwrap();
    archive
}

/// The files of an archive, and what the headers say beside.
fn files(archive: &[u8]) -> BTreeMap<String, (Vec<u8>, u32)> {
    let mut files = BTreeMap::new();
    for entry in tar::Archive::new(archive).entries().unwrap() {
        let mut entry = entry.unwrap();
        let header = entry.header();
        let (mode, owner, time) = (header.mode().unwrap(), header.uid().unwrap(), header.mtime().unwrap());
        let path = entry.path().unwrap().display().to_string();
        assert_eq!((owner, header.gid().unwrap(), time), (0, 0, 0), "{path}: owner, group and time");
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        assert!(files.insert(path.clone(), (bytes, mode)).is_none(), "{path} is there twice");
    }
    files
}

/// The blob that a descriptor names; its size and digest must be those it says.
fn blob<'a>(files: &'a BTreeMap<String, (Vec<u8>, u32)>, descriptor: &Value) -> &'a [u8] {
    let digest = descriptor["digest"].as_str().unwrap();
    let hex = digest.strip_prefix("sha256:").unwrap();
    let (bytes, _) = &files[&format!("blobs/sha256/{hex}")];
    assert_eq!(descriptor["size"], bytes.len(), "{digest}: size");
    let found: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(found, hex, "what is in a blob is what its name says");
    bytes
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

#[test]
fn an_archive_leads_from_its_name_to_each_platforms_binary() {
    let (_folder, binaries) = both();
    let files = files(&written(&binaries));
    assert_eq!(files["oci-layout"].0, br#"{"imageLayoutVersion":"1.0.0"}"#);

    let index = json(&files["index.json"].0);
    let [image] = index["manifests"].as_array().unwrap().as_slice() else { panic!("one image: {index}") };
    assert_eq!(image["annotations"]["io.containerd.image.name"], "localhost/agent:7");
    assert_eq!(image["annotations"]["org.opencontainers.image.ref.name"], "7");
    let platforms = json(blob(&files, image));
    let platforms = platforms["manifests"].as_array().unwrap();
    let names: Vec<_> = platforms.iter().map(|p| p["platform"]["architecture"].as_str().unwrap()).collect();
    assert_eq!(names, ["amd64", "arm64"], "in an order of their own, whatever the order they were given in");

    let mut reached = 1;
    for (platform, machine) in platforms.iter().zip([AMD64, ARM64]) {
        let manifest = json(blob(&files, platform));
        let config = json(blob(&files, &manifest["config"]));
        assert_eq!(config["architecture"], platform["platform"]["architecture"]);
        assert_eq!(config["config"]["User"], "65532:65532");
        assert_eq!(config["config"]["Entrypoint"], serde_json::json!(["/leakproof-agent"]));
        assert_eq!(config["config"]["Labels"]["org.opencontainers.image.version"], env!("CARGO_PKG_VERSION"));
        let [layer] = manifest["layers"].as_array().unwrap().as_slice() else { panic!("one layer: {manifest}") };
        assert_eq!(config["rootfs"]["diff_ids"], serde_json::json!([layer["digest"]]), "not compressed");
        let inside = self::files(blob(&files, layer));
        let expected = BTreeMap::from([("leakproof-agent".to_owned(), (program(machine, None), 0o755))]);
        assert_eq!(inside, expected, "the binary and nothing else");
        reached += 3;
    }
    let blobs = files.keys().filter(|path| path.starts_with("blobs/")).count();
    assert_eq!(blobs, reached, "every blob is named by something");
}

#[test]
fn older_tools_find_one_platform_under_the_same_name() {
    let (_folder, binaries) = both();
    let files = files(&written(&binaries));
    let manifest = json(&files["manifest.json"].0);
    let [only] = manifest.as_array().unwrap().as_slice() else { panic!("one image: {manifest}") };
    assert_eq!(only["RepoTags"], serde_json::json!(["localhost/agent:7"]));
    let config = json(&files[only["Config"].as_str().unwrap()].0);
    assert_eq!(config["architecture"], "amd64");
    let layer = only["Layers"][0].as_str().unwrap();
    assert_eq!(config["rootfs"]["diff_ids"][0], format!("sha256:{}", layer.strip_prefix("blobs/sha256/").unwrap()));
    assert!(files.contains_key(layer));
}

#[test]
fn the_same_binaries_give_the_same_bytes() {
    let (_one, binaries) = both();
    let first = written(&binaries);
    let (_other, mut elsewhere) = both();
    elsewhere.reverse();
    assert!(first == written(&elsewhere), "other paths, times and another order make no difference");
    let (folder, changed) = both();
    let mut longer = program(AMD64, None);
    longer.push(1);
    std::fs::write(folder.path().join("amd64"), longer).unwrap();
    assert!(first != written(&changed), "another binary does");
}

#[test]
fn what_cannot_be_packed_is_refused_with_the_way_out() {
    let folder = folder(&[
        ("script", b"#!/bin/sh\n".to_vec()),
        ("dynamic", program(AMD64, Some("/lib64/ld.so\0"))),
        ("arm64", program(ARM64, None)),
        ("amd64", program(AMD64, None)),
    ]);
    let at = |name: &str| (Platform::Amd64, folder.path().join(name));
    let refused = |binaries: &[(Platform, PathBuf)]| {
        let error = Image::read(ImageName::of_this_version(), binaries).unwrap_err();
        error.to_string().replace(&folder.path().display().to_string(), "DIR")
    };
    assert_eq!(
        refused(&[at("script")]),
        "`DIR/script` cannot be the agent for linux/amd64: it is no 64-bit little-endian ELF file"
    );
    assert_eq!(refused(&[at("arm64")]), "`DIR/arm64` cannot be the agent for linux/amd64: it was built for arm64");
    let dynamic = refused(&[at("dynamic")]);
    assert!(dynamic.contains("linked dynamically and needs `/lib64/ld.so`"), "{dynamic}");
    assert!(dynamic.contains("cargo build"), "and how to build one: {dynamic}");
    assert!(dynamic.contains("--target x86_64-unknown-linux-gnu"), "for that platform: {dynamic}");
    assert_eq!(refused(&[at("nothing")]), "read the agent's binary `DIR/nothing`");
    assert_eq!(
        refused(&[at("amd64"), at("amd64")]),
        "two binaries are given for linux/amd64: `DIR/amd64` and `DIR/amd64`"
    );
}

#[test]
fn an_agent_that_fits_is_found_past_one_that_does_not() {
    let target = tempfile::tempdir().unwrap();
    let built = target.path().join("agent-image/x86_64-unknown-linux-gnu/agent");
    let program_file = target.path().join("debug/leakproof");
    std::fs::create_dir_all(&built).unwrap();
    std::fs::create_dir_all(program_file.parent().unwrap()).unwrap();
    let error = find::beside(&program_file, Platform::Amd64).unwrap_err().to_string();
    assert!(error.contains("cargo build"), "with nothing there, it says how to build one: {error}");

    let beside = program_file.with_file_name("leakproof-agent");
    std::fs::write(&beside, program(AMD64, Some("/lib64/ld.so\0"))).unwrap();
    let error = find::beside(&program_file, Platform::Amd64).unwrap_err().to_string();
    assert!(error.contains("debug/leakproof-agent`, but it is linked dynamically"), "{error}");

    std::fs::write(built.join("leakproof-agent"), program(AMD64, None)).unwrap();
    assert_eq!(find::beside(&program_file, Platform::Amd64).unwrap(), built.join("leakproof-agent"));
    std::fs::write(&beside, program(AMD64, None)).unwrap();
    assert_eq!(find::beside(&program_file, Platform::Amd64).unwrap(), beside, "the nearest that fits");
}
