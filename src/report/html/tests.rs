use super::*;
use crate::report::fixture::{mesh, nasty, pipeline, spring, troubled};

#[test]
fn look() {
    let mut m50 = mesh(50, 3);
    spring(&mut m50, "pod-002", "pod-001", "8080/tcp");
    for (name, doc) in [
        ("pipeline", pipeline()),
        ("troubled", troubled()),
        ("mesh50", m50),
        ("odd30", mesh(30, 30)),
        ("odd100", mesh(100, 100)),
        ("nasty", nasty()),
    ] {
        let mut out = std::fs::File::create(format!("/tmp/w/report-out/{name}.html")).unwrap();
        render(&doc, &mut out).unwrap();
    }
}
