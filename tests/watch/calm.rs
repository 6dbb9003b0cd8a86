//! A long watch in which nothing happens, on a machine that has something else to do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use leakproof::model::watch::WatchInfo;
use libtest_mimic::{Completion, Failed};

use super::{Ran, number, run};

/// Twenty pods, two of them behind a policy, for a long time, while every processor has something else to do.
pub fn quiet() -> Result<Completion, Failed> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("twenty.yaml");
    let pods: String =
        (0..20).map(|n| format!("  pod-{n:02}: {{ namespace: shop, labels: {{ app: a{} }} }}\n", n % 4)).collect();
    let text = format!(
        "version: 1\nnamespaces: {{ shop: {{}} }}\npods:\n{pods}policies:\n- apiVersion: networking.k8s.io/v1\n  kind: NetworkPolicy\n  \
         metadata: {{ name: half, namespace: shop }}\n  spec:\n    podSelector: {{ matchLabels: {{ app: a0 }} }}\n    \
         ingress: [ {{ from: [ {{ podSelector: {{ matchLabels: {{ app: a1 }} }} }} ] }} ]\n\
         expect:\n- {{ from: [ pod-01 ], to: [ pod-00 ], verdict: allowed }}\n"
    );
    std::fs::write(&file, text)?;
    let minutes = number("LEAKPROOF_MINUTES", 10);
    let stop = Arc::new(AtomicBool::new(false));
    let hogs: Vec<_> = (0..std::thread::available_parallelism().map_or(2, std::num::NonZeroUsize::get))
        .map(|_| {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            })
        })
        .collect();
    let ran = run(&file, &["--for", &format!("{minutes}m")]);
    stop.store(true, Ordering::Relaxed);
    hogs.into_iter().for_each(|hog| drop(hog.join()));
    let run = match ran? {
        Ran::NoLab(said) => return Ok(Completion::ignored_with(said)),
        Ran::Not(why) => return Err(why.into()),
        Ran::It(run) => run,
    };
    let WatchInfo { seen, unseen, interval_us, .. } = run.watch;
    let cells = run.document.stages.last().map(|stage| stage.cells.as_slice()).unwrap_or_default();
    let windows =
        cells.iter().flat_map(|cell| &cell.windows).filter(|window| window.last_wrong_us >= run.watch.from_us);
    let windows = windows.count();
    // Through a Completion nothing can be told; what was measured is worth reading all the same.
    let figures = format!("{seen} attempts seen, {unseen} not, every {} ms, {windows} windows\n", interval_us / 1000);
    std::io::Write::write_all(&mut std::io::stderr(), figures.as_bytes())?;
    if windows > 0 || unseen * 100 > seen + unseen {
        return Err(format!("{windows} windows, {unseen} of {} could not see:\n{}", seen + unseen, run.said).into());
    }
    Ok(Completion::Completed)
}
