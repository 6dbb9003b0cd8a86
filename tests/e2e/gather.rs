//! What a run gathers of a failure before it removes the world.

use std::path::{Path, PathBuf};

use libtest_mimic::Failed;

use super::{Site, document, ensure, json, told};

/// What its author wants is not what its policy says.
const SCENARIO: &str = "version: 1
about: A policy that is too strict.
namespaces: { leakproof-gather: {} }
pods:
  caller: { namespace: leakproof-gather, node: 1 }
  store: { namespace: leakproof-gather, labels: { role: store }, node: 2 }
policies:
- apiVersion: networking.k8s.io/v1
  kind: NetworkPolicy
  metadata: { name: nobody, namespace: leakproof-gather }
  spec: { podSelector: { matchLabels: { role: store } } }
expect:
- { from: caller, to: store, verdict: allowed }
- { from: store, to: caller, verdict: allowed }
converge_within: 30s
";

/// A run that fails leaves a folder with what the policy engine said on the nodes concerned.
pub fn a_failure(site: &Site) -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    gathered(site, folder.path())?;
    site.nothing_left()
}

fn gathered(site: &Site, folder: &Path) -> Result<(), Failed> {
    let file = folder.join("too-strict.yaml");
    std::fs::write(&file, SCENARIO)?;
    let json = json("gather");
    let [scenario, into, json_text] = [file.as_path(), folder, &json].map(|path| path.display().to_string());
    let output =
        site.say(&["run", &scenario, "--on", "cluster", "--quiet", "--artifacts", &into, "--json", &json_text])?;
    ensure(output.status.code() == Some(10), || format!("{}: {}", output.status, told(&output)))?;
    let document = document(&json)?;
    let gathered = folder.join(format!("leakproof-too-strict-{}", document.run));
    let read = |name: &str| std::fs::read_to_string(gathered.join(name)).unwrap_or_default();
    ensure(read("errors.txt").is_empty(), || format!("not everything was had: {}", read("errors.txt")))?;
    for name in
        ["pods.json", "policies-leakproof-gather.json", "events-leakproof-gather.txt", "commands.txt", "run.json"]
    {
        ensure(!read(name).is_empty(), || format!("`{name}` is missing or empty among {:?}", names(&gathered)))?;
    }
    let again = read("leakproof.txt");
    ensure(again.contains("leakproof explain ") && again.contains("--context "), || again.clone())?;
    ensure(again.contains(" --only 'caller->store:"), || again.clone())?;
    let engine = read("policy-engine.txt");
    if !engine.starts_with("Calico") {
        return ensure(engine.contains("there is no calico-node to ask"), || engine.clone());
    }
    let nodes = ["caller", "store"].map(|name| {
        let found = document.endpoints.iter().find(|endpoint| endpoint.name == name);
        found.and_then(|endpoint| endpoint.node.clone()).unwrap_or_default()
    });
    for node in nodes {
        let log = read(&format!("calico-node-{node}.log"));
        ensure(!log.is_empty(), || format!("nothing said by calico-node on {node}: {:?}", names(&gathered)))?;
        if !engine.contains("not enabled") {
            let metrics = read(&format!("calico-node-{node}.metrics"));
            ensure(metrics.contains("felix_"), || format!("no metrics of {node}: {metrics}"))?;
        }
    }
    Ok(())
}

fn names(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).collect()
}
