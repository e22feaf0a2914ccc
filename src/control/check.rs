//! `fieldgate check`: everything there is to say of a folder, at once, with no device and no broker at hand.

use std::{fmt::Write as _, path::Path, sync::Arc};

use mapper_api::Mapper;
use serde::Serialize;
use serde_json::Value as Json;

use super::{
    catalog::{Catalog, Judge, Serve},
    files::FileSource,
    fix::Fix,
    heads::is_settings,
    issue::{Finding, Issue, Places, Severity},
    schema, yaml,
};

/// What there is to say of a settings file, by its name and text.
pub type Settings = fn(&str, &str) -> Vec<Issue>;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// How many files were read.
    pub files: usize,
    /// How many Devices stand in them.
    pub devices: usize,
    /// How many DeviceModels.
    pub models: usize,
    /// How many issues are errors.
    pub errors: usize,
    /// How many are notes.
    pub notes: usize,
    /// All of them, by file and line.
    pub issues: Vec<Issue>,
    /// What was mended before, or could not be.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fixes: Vec<Fix>,
}

impl Report {
    /// Whether nothing must be mended. Notes do not fail.
    pub fn passed(&self) -> bool {
        self.errors == 0 && self.fixes.iter().all(|fix| fix.failed.is_none())
    }

    /// One line an issue, and the summary.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for fix in &self.fixes {
            let _ = writeln!(text, "{fix}");
        }
        for issue in &self.issues {
            let _ = writeln!(text, "{issue}");
        }
        let _ = writeln!(
            text,
            "{} in {}: {}, {}",
            [count(self.devices, "device"), count(self.models, "model")].join(" and "),
            count(self.files, "file"),
            count(self.errors, "error"),
            count(self.notes, "note"),
        );
        text
    }
}

fn count(n: usize, word: &str) -> String {
    format!("{n} {word}{}", if n == 1 { "" } else { "s" })
}

/// Checks every Device and DeviceModel of a folder, and has the `fieldgate.yaml` in it judged by `settings`.
///
/// # Errors
/// The folder cannot be read.
pub fn check(folder: &Path, mappers: Vec<Arc<dyn Mapper>>, settings: Settings) -> anyhow::Result<Report> {
    let objects = FileSource::read_once(folder)?;
    let catalog = Catalog::build(&objects, &Judge::new(mappers, Serve::All), &Catalog::default());
    let mut issues = catalog.issues;
    for file in objects.texts.iter().filter(|f| is_settings(&f.name)) {
        if file.error.is_none() {
            issues.extend(settings(&file.name, &file.text));
        }
    }
    issues.sort();
    let errors = issues.iter().filter(|i| i.severity == Severity::Error).count();
    Ok(Report {
        files: objects.texts.len(),
        devices: catalog.devices.len() + catalog.elsewhere.len(),
        models: catalog.models,
        errors,
        notes: issues.len() - errors,
        issues,
        fixes: Vec::new(),
    })
}

/// Checks one document, such as `fieldgate.yaml`, against a schema from [`mapper_api::schema_of`]. No other reading of
/// YAML matters here: only this program reads the file.
pub fn check_document(name: &str, text: &str, schema: &Json) -> Vec<Issue> {
    let parsed = yaml::parse(text, 0);
    let mut found = Vec::new();
    let documents = parsed.unwrap_or_else(|error| {
        found.push(Finding::on(error.mark, error.message));
        yaml::Documents::default()
    });
    let schema = fieldgate_crds::structural_schema(schema);
    for (n, root) in documents.roots.iter().enumerate() {
        if n > 0 {
            found.push(Finding::at(root, "is a second document; the file holds one"));
        }
        schema::walk(root, &schema, &mut found);
    }
    let mut places = Places::default();
    places.add(0, name.into(), &documents.roots);
    let mut issues: Vec<Issue> = found.into_iter().map(|f| places.issue(f)).collect();
    issues.sort();
    issues.dedup();
    issues
}

#[cfg(test)]
mod tests {
    use std::fs;

    use schemars::JsonSchema;
    use serde_json::json;

    use super::{check, check_document};
    use crate::control::testing;

    #[derive(JsonSchema)]
    #[schemars(deny_unknown_fields)]
    #[allow(dead_code)] // only its schema is used
    struct Settings {
        /// The broker.
        broker: String,
        #[serde(default)]
        #[schemars(range(min = 1, max = 65535))]
        port: Option<u16>,
    }

    #[test]
    fn any_document_is_checked_against_its_schema() {
        let schema = mapper_api::schema_of::<Settings>();
        let lines =
            |text: &str| check_document("f.yaml", text, &schema).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(lines("broker: mqtt://x\nport: 1883\n"), Vec::<String>::new());
        assert_eq!(
            lines("brokr: x\nport: 70000\n"),
            [
                "f.yaml:1: broker: is required; write a text",
                "f.yaml:1: brokr: unknown key; did you mean \"broker\"?",
                "f.yaml:2: port: 70000 is not in 1..65535",
            ]
        );
        assert_eq!(lines("broker: x\n---\nbroker: y\n"), ["f.yaml:3: is a second document; the file holds one"]);
        assert_eq!(lines("a: [").len(), 1);
    }

    #[test]
    fn a_report_counts_and_fails_on_errors_only() {
        let folder = std::env::temp_dir().join(format!("fieldgate-check-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let head = "apiVersion: fieldgate.dev/v1alpha1\nkind: Device\nmetadata: {name: a}\n";
        let device = "spec: {protocol: {wire: {tcp: h, unit: 1}}, properties: [{name: p, type: int16, wire: {register: 40001}}]}";
        fs::write(folder.join("a.yaml"), format!("{head}{device}\n")).unwrap();
        fs::write(folder.join("fieldgate.yaml"), "broker: x\n").unwrap();
        let judge = |name: &str, text: &str| check_document(name, text, &mapper_api::schema_of::<Settings>());
        let run = || check(&folder, testing::mappers(), judge).unwrap();
        let report = run();
        assert!(report.passed(), "{}", report.text());
        assert!(report.text().ends_with("1 device and 0 models in 2 files: 0 errors, 1 note\n"), "{}", report.text());
        fs::write(folder.join("fieldgate.yaml"), "broker: 1\n").unwrap();
        let report = run();
        assert!(!report.passed());
        let first = serde_json::to_value(&report).unwrap();
        assert_eq!(first["issues"][1]["path"], json!("broker"));
        assert_eq!(first["issues"][1]["severity"], json!("error"));
        fs::remove_dir_all(&folder).unwrap();
    }
}
