//! Who may know whom, held by what cargo and git see rather than by memory.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Crates that come before the protocols: not mappers.
const COMMON: [&str; 4] = ["mapper-api", "mapper-values", "mapper-tty", "mapper-testkit"];
/// The top level of the repository, beside hidden tool files.
const TOP_LEVEL: &[&str] = &[
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "Dockerfile",
    "LICENSE",
    "README.md",
    "crds",
    "docs",
    "examples",
    "hardware-tests",
    "mappers",
    "src",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("hardware-tests lies in the workspace")
}

fn output(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).current_dir(root()).output().expect(program);
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The files of the repository that fit a pattern (`*` crosses folders), new ones included, deleted ones not.
fn files(pattern: &str) -> Vec<String> {
    let files = output("git", &["ls-files", "--cached", "--others", "--exclude-standard", "--", pattern]);
    files.lines().filter(|path| root().join(path).exists()).map(str::to_owned).collect()
}

/// The workspace's packages: name to manifest.
fn members() -> BTreeMap<String, PathBuf> {
    let metadata = output(env!("CARGO"), &["metadata", "--no-deps", "--locked", "--format-version", "1"]);
    let metadata: serde_json::Value = serde_json::from_str(&metadata).expect("JSON");
    let text = |value: &serde_json::Value| value.as_str().expect("text").to_owned();
    let packages = metadata["packages"].as_array().expect("packages");
    packages.iter().map(|package| (text(&package["name"]), text(&package["manifest_path"]).into())).collect()
}

/// The mappers of protocols: crate to protocol.
fn mappers() -> BTreeMap<String, String> {
    let names = members().into_keys().filter(|name| !COMMON.contains(&name.as_str()));
    names.filter_map(|name| Some((name.clone(), name.strip_prefix("mapper-")?.to_owned()))).collect()
}

/// All that a package is built from, with all of its features, tests left out.
fn dependencies(package: &str) -> BTreeSet<String> {
    let args = ["tree", "--locked", "--all-features", "--edges", "normal,build", "--prefix", "none", "--format", "{p}"];
    let tree = output(env!("CARGO"), &[&args[..], &["--package", package]].concat());
    tree.lines().skip(1).filter_map(|line| Some(line.split_whitespace().next()?.to_owned())).collect()
}

/// The packages of `dependencies` that are named, or belong to a family that is (`kube` names `kube-client`).
fn forbidden<'a>(dependencies: &'a BTreeSet<String>, names: &[&str]) -> Vec<&'a String> {
    let of_family = |package: &str, family: &&str| {
        package.strip_prefix(family).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    };
    dependencies.iter().filter(|package| names.iter().any(|family| of_family(package, family))).collect()
}

/// The members of the workspace among a package's dependencies.
fn own(package: &str) -> Vec<String> {
    let members = members();
    dependencies(package).into_iter().filter(|name| members.contains_key(name)).collect()
}

#[test]
fn a_mapper_knows_neither_kubernetes_nor_mqtt() {
    assert!(!mappers().is_empty());
    for package in mappers().keys().map(String::as_str).chain(COMMON) {
        let dependencies = dependencies(package);
        let found = forbidden(&dependencies, &["kube", "k8s-openapi", "rumqttc", "rumqttd", "fieldgate"]);
        assert!(found.is_empty(), "{package} depends on {found:?}");
    }
}

#[test]
fn mappers_do_not_know_each_other() {
    for package in mappers().keys() {
        let others: Vec<_> = own(package).into_iter().filter(|name| !COMMON[..3].contains(&name.as_str())).collect();
        assert!(
            others.is_empty(),
            "{package} depends on {others:?}; a mapper is built on mapper-api, mapper-values and mapper-tty"
        );
    }
}

#[test]
fn the_contract_stands_on_nothing_of_ours_and_on_no_runtime() {
    assert_eq!(own("mapper-api"), [""; 0]);
    assert_eq!(own("mapper-values"), ["mapper-api"]);
    for package in ["mapper-api", "mapper-values"] {
        let dependencies = dependencies(package);
        let found = forbidden(&dependencies, &["tokio", "mio", "async-std", "smol"]);
        assert!(found.is_empty(), "{package} depends on {found:?}");
    }
}

#[test]
fn the_resources_are_types_without_client_runtime_or_protocol() {
    let others: Vec<_> =
        own("fieldgate-crds").into_iter().filter(|name| !COMMON[..2].contains(&name.as_str())).collect();
    assert!(others.is_empty(), "fieldgate-crds depends on {others:?}");
    let dependencies = dependencies("fieldgate-crds");
    let found =
        forbidden(&dependencies, &["tokio", "hyper", "tower", "rustls", "rumqttc", "kube-client", "kube-runtime"]);
    assert!(found.is_empty(), "fieldgate-crds depends on {found:?}");
}

#[test]
fn without_its_feature_there_is_no_kubernetes_client() {
    let features = ["--no-default-features", "--features", "ble,modbus,serial,virtual,demo"];
    let args =
        ["tree", "--locked", "--edges", "normal", "--prefix", "none", "--format", "{p}", "--package", "fieldgate"];
    let tree = output(env!("CARGO"), &[&args[..], &features].concat());
    let packages = tree.lines().filter_map(|line| Some(line.split_whitespace().next()?.to_owned())).collect();
    let found = forbidden(&packages, &["kube-client", "kube-runtime", "rustls", "ring"]);
    assert!(found.is_empty(), "the daemon depends on {found:?} without the feature kubernetes");
}

#[test]
fn the_kubernetes_client_stays_in_its_room() {
    for path in files("src/*.rs").into_iter().filter(|path| !path.starts_with("src/kubernetes/")) {
        let source = fs::read_to_string(root().join(&path)).expect(&path);
        let found = program_text(&source).find(|(_, line)| line.contains("kube::") || line.contains("k8s_openapi"));
        assert!(found.is_none(), "{path}:{} names the client; only src/kubernetes/ does", found.map_or(0, |f| f.0));
    }
}

/// The lines of `directions.txt`: where the daemon may name a protocol, each with its reason.
fn allowed() -> BTreeMap<String, String> {
    let list = fs::read_to_string(root().join("hardware-tests/tests/directions.txt")).expect("directions.txt");
    let lines = list.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (path, reason) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            assert!(!reason.trim().is_empty(), "directions.txt: {path} has no reason");
            (path.to_owned(), reason.trim().to_owned())
        })
        .collect()
}

/// The program text of a file: no comments, nothing of its unit tests, which stand at its end. A declaration of a test
/// module in another file ends nothing.
fn program_text(source: &str) -> impl Iterator<Item = (usize, &str)> {
    let all: Vec<&str> = source.lines().collect();
    let begins_tests = |at: usize| {
        let item = all[at + 1..].iter().find(|line| !line.trim().starts_with('#'));
        all[at].trim() == "#[cfg(test)]" && item.is_some_and(|line| line.trim_end().ends_with('{'))
    };
    let end = (0..all.len()).find(|at| begins_tests(*at)).unwrap_or(all.len());
    let lines = (1..).zip(all).take(end);
    lines.map(|(number, line)| (number, line.split("//").next().unwrap_or_default()))
}

#[test]
fn the_daemon_names_protocols_in_its_registry_only() {
    let protocols: Vec<String> = mappers().into_values().collect();
    let allowed = allowed();
    let mut used = BTreeSet::new();
    let mut found = Vec::new();
    for path in files("src/*.rs") {
        if path == "src/registry.rs" || path.ends_with("tests.rs") || path.contains("/tests/") {
            continue;
        }
        let source = fs::read_to_string(root().join(&path)).expect(&path);
        for (number, line) in program_text(&source) {
            let words = line.split(|c: char| !c.is_ascii_alphanumeric()).map(str::to_lowercase);
            let Some(protocol) = words.into_iter().find(|word| protocols.contains(word)) else { continue };
            match allowed.keys().find(|entry| path == **entry || entry.ends_with('/') && path.starts_with(*entry)) {
                Some(entry) => _ = used.insert(entry.clone()),
                None => found.push(format!("{path}:{number} names {protocol}")),
            }
        }
    }
    assert!(
        found.is_empty(),
        "protocols are named in src/registry.rs only (or see directions.txt):\n{}",
        found.join("\n")
    );
    let unused: Vec<_> = allowed.keys().filter(|entry| !used.contains(*entry)).collect();
    assert!(unused.is_empty(), "directions.txt allows what is not there: {unused:?}");
}

#[test]
fn a_protocol_is_a_folder_a_feature_a_registry_line_and_an_example() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("Cargo.toml");
    let registry = fs::read_to_string(root().join("src/registry.rs")).expect("src/registry.rs");
    let registered: Vec<&str> = program_text(&registry).map(|(_, line)| line).collect();
    let examples = files("examples/*.yaml");
    for (package, protocol) in mappers() {
        let folder = root().join("mappers").join(&protocol);
        assert!(folder.join("Cargo.toml").exists(), "{package} does not lie in mappers/{protocol}");
        let feature = format!("{protocol} = [\"dep:{package}\"");
        assert!(manifest.lines().any(|line| line.starts_with(&feature)), "no feature `{protocol}` in Cargo.toml");
        let line = registered.iter().any(|line| line.contains(&package.replace('-', "_")));
        assert!(line, "src/registry.rs does not register {package}");
        let key = format!("{protocol}:");
        let shown = examples.iter().find(|path| {
            let text = fs::read_to_string(root().join(path)).unwrap_or_default();
            text.lines().any(|line| line.trim_start().starts_with(&key))
        });
        let shown = shown.unwrap_or_else(|| panic!("no YAML in examples/ has the key `{key}`"));
        let folder = shown.split('/').take(2).collect::<PathBuf>();
        assert!(root().join(&folder).join("README.md").exists(), "{} has no README.md", folder.display());
    }
}

/// A crate that is no member would be built and tested by nobody.
#[test]
fn every_manifest_is_a_member_and_inherits_the_lints() {
    let members = members();
    // A fuzz target is a workspace of its own: it needs nightly, and nobody else may.
    for path in files("*Cargo.toml").into_iter().filter(|path| !path.ends_with("/fuzz/Cargo.toml")) {
        assert!(
            members.values().any(|manifest| *manifest == root().join(&path)),
            "{path} is no member of the workspace"
        );
    }
    for (name, manifest) in members {
        let text = fs::read_to_string(&manifest).expect("manifest");
        assert!(
            text.contains("\n[lints]\nworkspace = true\n"),
            "{name}: {} has no `[lints] workspace = true`",
            manifest.display()
        );
    }
}

#[test]
fn the_top_level_holds_what_is_named() {
    let files = files("*");
    let top: BTreeSet<&str> = files.iter().filter_map(|path| path.split('/').next()).collect();
    let foreign: Vec<_> = top.iter().filter(|name| !name.starts_with('.') && !TOP_LEVEL.contains(name)).collect();
    assert!(foreign.is_empty(), "{foreign:?}: not among {TOP_LEVEL:?}");
}

/// `cargo image` names its features, as no flag leaves one out.
#[test]
fn the_image_has_every_feature_but_the_demonstration() {
    let text = fs::read_to_string(root().join(".cargo/config.toml")).unwrap();
    let line = text.lines().find(|line| line.contains("--no-default-features")).unwrap();
    let given: BTreeSet<&str> = line.rsplit('"').nth(1).unwrap().split(',').collect();
    let metadata = output(env!("CARGO"), &["metadata", "--no-deps", "--locked", "--format-version", "1"]);
    let metadata: serde_json::Value = serde_json::from_str(&metadata).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let daemon = packages.iter().find(|package| package["name"] == "fieldgate").unwrap();
    let all = daemon["features"].as_object().unwrap().keys().map(String::as_str);
    let wanted: BTreeSet<&str> = all.filter(|name| !matches!(*name, "default" | "demo")).collect();
    assert_eq!(given, wanted);
}
