//! `fieldgate check --fix`: writes the label `fieldgate.dev/node` into the files of a folder. A file is replaced as a
//! whole or not at all.

use std::{
    fmt, fs,
    io::{self, Write as _},
    path::Path,
};

use anyhow::Context as _;
use fieldgate_crds::NODE_LABEL;
use serde::Serialize;

use super::{files::FileSource, heads::is_settings, label::labelled};

/// What became of one Device's label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Fix {
    /// The file.
    pub file: String,
    /// The line where the Device begins.
    pub line: u32,
    /// The Device, as namespace and name.
    pub device: String,
    /// What the label is to say: the `spec.nodeName`.
    pub node: String,
    /// What it said before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub was: Option<String>,
    /// Why it was not written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

impl fmt::Display for Fix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, device, node, was, failed } = self;
        if let Some(why) = failed {
            return write!(f, "{file}:{line}: not fixed: Device {device}: label {NODE_LABEL}: {node}: {why}");
        }
        write!(f, "{file}:{line}: fixed: Device {device}: label {NODE_LABEL}: {node}")?;
        if let Some(was) = was { write!(f, " (was {was})") } else { Ok(()) }
    }
}

/// Puts the labels in a folder right.
///
/// # Errors
/// The folder cannot be read, or a file not written; the files before it have been written then.
pub fn fix(folder: &Path) -> anyhow::Result<Vec<Fix>> {
    let mut fixes = Vec::new();
    for file in FileSource::read_once(folder)?.texts {
        if file.error.is_some() || is_settings(&file.name) {
            continue;
        }
        let (text, said) = labelled(&file.text);
        if text != *file.text {
            replace(Path::new(&*file.name), &text).with_context(|| format!("cannot write {}", file.name))?;
        }
        fixes.extend(said.into_iter().map(|said| Fix {
            file: file.name.to_string(),
            line: said.line,
            device: said.device.to_string(),
            node: said.node,
            was: said.was,
            failed: said.failed,
        }));
    }
    Ok(fixes)
}

/// Puts a new file in the old one's place, with its permissions. A link stays one: its target is replaced.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let path = fs::canonicalize(path)?;
    let permissions = fs::metadata(&path)?.permissions();
    if permissions.readonly() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the file is read-only"));
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // A name with a dot in front is no device file to anybody.
    let beside = path.with_file_name(format!(".{name}.{}", std::process::id()));
    let written = (|| {
        let mut file = fs::File::create_new(&beside)?;
        file.write_all(text.as_bytes())?;
        file.set_permissions(permissions)?;
        file.sync_all()?;
        fs::rename(&beside, &path)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{PermissionsExt as _, symlink},
    };

    use super::fix;

    #[test]
    fn files_are_replaced_with_their_permissions_and_links_stay_links() {
        let folder = std::env::temp_dir().join(format!("fieldgate-fix-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let device = "apiVersion: fieldgate.dev/v1alpha1\nkind: Device\nmetadata: {name: a}\nspec: {nodeName: gw-1}\n";
        let (file, target, link) = (folder.join("a.yaml"), folder.join("target"), folder.join("b.yaml"));
        fs::write(&file, device).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        fs::write(&target, device.replace("{name: a}", "{name: b, labels: {fieldgate.dev/node: gw-2}}")).unwrap();
        symlink(&target, &link).unwrap();
        fs::write(folder.join("fieldgate.yaml"), device).unwrap();

        let said: Vec<String> = fix(&folder).unwrap().iter().map(ToString::to_string).collect();
        let at = |name: &str| folder.join(name).display().to_string();
        assert_eq!(
            said,
            [
                format!("{}:1: fixed: Device default/a: label fieldgate.dev/node: gw-1", at("a.yaml")),
                format!("{}:1: fixed: Device default/b: label fieldgate.dev/node: gw-1 (was gw-2)", at("b.yaml")),
            ]
        );
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(fs::read_to_string(&target).unwrap().contains("{fieldgate.dev/node: gw-1}"));
        assert_eq!(fs::read_to_string(folder.join("fieldgate.yaml")).unwrap(), device);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 4, "nothing is left lying about");
        assert_eq!(fix(&folder).unwrap(), []);
        fs::remove_dir_all(&folder).unwrap();
    }
}
