//! Every folder of `examples/` that holds resources passes `fieldgate check`, with no error and no note.

use std::{fs, path::Path};

use fieldgate::{control::check, registry, settings::Settings};

#[test]
fn every_example_passes_check() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut checked = 0;
    for entry in fs::read_dir(examples).unwrap() {
        let folder = entry.unwrap().path();
        let is_yaml = |e: &fs::DirEntry| e.path().extension().is_some_and(|x| x == "yaml");
        if !folder.is_dir() || !fs::read_dir(&folder).unwrap().flatten().any(|e| is_yaml(&e)) {
            continue;
        }
        let report = check::check(&folder, registry::mappers(), Settings::issues).unwrap();
        assert!(report.issues.is_empty(), "{}", report.text());
        let resources = report.devices + report.models;
        assert!(resources > 0 || folder.join("fieldgate.yaml").exists(), "{} holds no resource", folder.display());
        assert!(folder.join("README.md").exists(), "{} needs a README.md", folder.display());
        checked += 1;
    }
    assert!(checked >= 3, "only {checked} examples were found");
}
