fn main() {
    for f in std::env::args().skip(1) {
        match leakproof::scenario::load(std::path::Path::new(&f), leakproof::model::document::Strictness::Normal) {
            Ok(s) => println!(
                "{f}: {} stages, {} flows, {} warnings: {:?}",
                s.stages().len(),
                s.flows().len(),
                s.warnings().len(),
                s.warnings()
            ),
            Err(e) => println!("{f}: REFUSED {e}"),
        }
    }
}
