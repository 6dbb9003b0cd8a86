//! Worlds of any size to measure in.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// So many pods in two halves: each half lets in only its own, so that about half of all flows are denied.
pub fn write(folder: &Path, pods: u32) -> io::Result<PathBuf> {
    let mut scenario = String::from("version: 1\nnamespaces: { bench: {} }\npods:\n");
    for pod in 0..pods {
        let half = if pod % 2 == 0 { "even" } else { "odd" };
        // A string takes whatever is written to it.
        let _written = writeln!(scenario, "  pod-{pod}: {{ namespace: bench, labels: {{ half: {half} }} }}");
    }
    let policy = format!("bench-{pods}.policy.yaml");
    scenario.push_str(&format!("policies: [ {policy} ]\n"));
    let policies: Vec<String> = ["even", "odd"]
        .iter()
        .map(|half| {
            format!(
                "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n\
                 metadata: {{ name: {half}, namespace: bench }}\n\
                 spec:\n  podSelector: {{ matchLabels: {{ half: {half} }} }}\n  policyTypes: [ Ingress ]\n  \
                 ingress:\n  - from: [ {{ podSelector: {{ matchLabels: {{ half: {half} }} }} }} ]\n"
            )
        })
        .collect();
    fs::write(folder.join(policy), policies.join("---\n"))?;
    let path = folder.join(format!("bench-{pods}.yaml"));
    fs::write(&path, scenario)?;
    Ok(path)
}
