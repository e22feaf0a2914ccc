use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use tokio::time::timeout;

use super::FileSource;
use crate::control::source::{Objects, Source as _};

/// A folder of its own for each test, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("fieldgate-files-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.join(name), text).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn texts(objects: &Objects, folder: &Path) -> Vec<(String, String)> {
    let short = |name: &str| Path::new(name).strip_prefix(folder).unwrap().to_string_lossy().into_owned();
    objects.texts.iter().map(|f| (short(&f.name), f.text.to_string())).collect()
}

async fn changed(source: &mut FileSource) -> Objects {
    timeout(Duration::from_secs(1), source.next()).await.expect("a change is visible within a second")
}

async fn unchanged(source: &mut FileSource) {
    assert!(timeout(Duration::from_millis(700), source.next()).await.is_err());
}

fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
    of.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
}

#[tokio::test]
async fn reads_what_is_ours_and_leaves_the_rest() {
    let folder = Folder::new();
    fs::create_dir(folder.0.join("sub")).unwrap();
    fs::create_dir(folder.0.join(".hidden")).unwrap();
    for name in ["b.yaml", "a.json", "sub/c.yml", "d.txt", ".e.yaml", ".hidden/f.yaml", "g.yaml~"] {
        folder.write(name, "{}");
    }
    symlink(".", folder.0.join("circle")).unwrap();
    let mut source = FileSource::new(&folder.0).unwrap();
    let objects = source.next().await;
    assert_eq!(texts(&objects, &folder.0), pairs(&[("a.json", "{}"), ("b.yaml", "{}"), ("sub/c.yml", "{}")]));
    assert_eq!(objects.error, None);
    unchanged(&mut source).await; // its own reading is no change
}

#[tokio::test]
async fn sees_writes_renames_deletions_and_new_folders() {
    let folder = Folder::new();
    folder.write("a.yaml", "a: 1");
    let mut source = FileSource::new(&folder.0).unwrap();
    source.next().await;

    folder.write("a.yaml", "a: 2");
    assert_eq!(texts(&changed(&mut source).await, &folder.0), pairs(&[("a.yaml", "a: 2")]));
    folder.write(".a.yaml.swp", "a: 3");
    fs::rename(folder.0.join(".a.yaml.swp"), folder.0.join("a.yaml")).unwrap();
    assert_eq!(texts(&changed(&mut source).await, &folder.0), pairs(&[("a.yaml", "a: 3")]));
    folder.write("a.yaml", "a: 3");
    unchanged(&mut source).await; // the same content is no change

    fs::create_dir(folder.0.join("sub")).unwrap();
    folder.write("sub/b.yaml", "b: 1");
    assert_eq!(changed(&mut source).await.texts.len(), 2);
    folder.write("sub/b.yaml", "b: 2");
    assert_eq!(texts(&changed(&mut source).await, &folder.0)[1].1, "b: 2");
    fs::remove_file(folder.0.join("a.yaml")).unwrap();
    assert_eq!(texts(&changed(&mut source).await, &folder.0), pairs(&[("sub/b.yaml", "b: 2")]));
}

#[tokio::test]
async fn the_folder_may_go_and_come_back() {
    let folder = Folder::new();
    folder.write("a.yaml", "a: 1");
    let mut source = FileSource::new(&folder.0).unwrap();
    source.next().await;
    fs::remove_dir_all(&folder.0).unwrap();
    let mut gone = changed(&mut source).await;
    while gone.error.is_none() {
        gone = changed(&mut source).await; // the file may be seen to go before the folder does
    }
    assert!(gone.error.unwrap().contains("cannot list"));
    fs::create_dir(&folder.0).unwrap();
    folder.write("b.yaml", "b: 1");
    let mut back = changed(&mut source).await;
    while back.texts.is_empty() {
        back = changed(&mut source).await;
    }
    assert_eq!((texts(&back, &folder.0), back.error), (pairs(&[("b.yaml", "b: 1")]), None));
    folder.write("b.yaml", "b: 2");
    assert_eq!(texts(&changed(&mut source).await, &folder.0), pairs(&[("b.yaml", "b: 2")]));
}

#[tokio::test]
async fn a_config_map_is_swapped_as_a_whole() {
    let folder = Folder::new();
    for (version, text) in [("..1", "a: 1"), ("..2", "a: 2")] {
        fs::create_dir(folder.0.join(version)).unwrap();
        folder.write(&format!("{version}/a.yaml"), text);
    }
    symlink("..1", folder.0.join("..data")).unwrap();
    symlink("..data/a.yaml", folder.0.join("a.yaml")).unwrap();
    let mut source = FileSource::new(&folder.0).unwrap();
    assert_eq!(texts(&source.next().await, &folder.0), pairs(&[("a.yaml", "a: 1")]));
    symlink("..2", folder.0.join("..data_tmp")).unwrap();
    fs::rename(folder.0.join("..data_tmp"), folder.0.join("..data")).unwrap();
    fs::remove_dir_all(folder.0.join("..1")).unwrap();
    assert_eq!(texts(&changed(&mut source).await, &folder.0), pairs(&[("a.yaml", "a: 2")]));
}

#[tokio::test]
async fn the_target_of_a_link_is_watched_too() {
    let (folder, other) = (Folder::new(), Folder::new());
    other.write("real.yaml", "a: 1");
    symlink(other.0.join("real.yaml"), folder.0.join("a.yaml")).unwrap();
    let mut source = FileSource::new(&folder.0).unwrap();
    source.next().await;
    other.write("real.yaml", "a: 2");
    assert_eq!(texts(&changed(&mut source).await, &folder.0), pairs(&[("a.yaml", "a: 2")]));
}

#[tokio::test]
async fn a_broken_file_keeps_its_last_good_text_and_hides_nothing() {
    let folder = Folder::new();
    folder.write("a.yaml", "a: 1");
    folder.write("b.yaml", "b: [");
    let mut source = FileSource::new(&folder.0).unwrap();
    let first = source.next().await;
    assert_eq!(texts(&first, &folder.0), pairs(&[("a.yaml", "a: 1"), ("b.yaml", "")]));
    assert_eq!(first.texts[1].error.as_ref().unwrap().0, 1);
    folder.write("a.yaml", "a: 2\na: 3");
    let broken = changed(&mut source).await;
    assert_eq!(&*broken.texts[0].text, "a: 1");
    let (line, message) = broken.texts[0].error.clone().unwrap();
    assert!(line == 2 && message.contains("stands twice") && message.contains("last good content"), "{message}");
    fs::write(folder.0.join("a.yaml"), [0xff, 0xfe]).unwrap();
    assert!(changed(&mut source).await.texts[0].error.as_ref().unwrap().1.contains("no UTF-8"));
    folder.write("a.yaml", "a: 4");
    assert_eq!((&*changed(&mut source).await.texts[0].text), "a: 4");

    fs::remove_file(folder.0.join("a.yaml")).unwrap();
    fs::create_dir(folder.0.join("a.yaml")).unwrap(); // a folder of that name is no file
    assert_eq!(texts(&changed(&mut source).await, &folder.0), pairs(&[("b.yaml", "")]));
}

#[tokio::test]
async fn a_file_that_is_being_uploaded_is_not_a_deletion() {
    let folder = Folder::new();
    folder.write("a.yaml", "a: 1");
    let mut source = FileSource::new(&folder.0).unwrap();
    source.next().await;
    folder.write("a.yaml", "");
    let emptied = changed(&mut source).await;
    assert_eq!(texts(&emptied, &folder.0), pairs(&[("a.yaml", "a: 1")]));
    assert!(emptied.texts[0].error.as_ref().unwrap().1.contains("delete the file"));
    folder.write("a.yaml", "a: 2");
    assert_eq!(texts(&changed(&mut source).await, &folder.0), pairs(&[("a.yaml", "a: 2")]));
}

#[tokio::test]
async fn a_file_without_permission_keeps_its_last_good_text() {
    let folder = Folder::new();
    folder.write("a.yaml", "a: 1");
    let path = folder.0.join("a.yaml");
    let mut source = FileSource::new(&folder.0).unwrap();
    source.next().await;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read(&path).is_ok() {
        unchanged(&mut source).await; // root reads everything
        return;
    }
    let objects = changed(&mut source).await;
    assert_eq!(&*objects.texts[0].text, "a: 1");
    assert!(objects.texts[0].error.as_ref().unwrap().1.contains("cannot be read"));
}

#[tokio::test]
async fn a_file_edited_every_100_ms_does_not_starve() {
    let folder = Folder::new();
    folder.write("a.yaml", "a: 0");
    let path = folder.0.join("a.yaml");
    let mut source = FileSource::new(&folder.0).unwrap();
    source.next().await;
    let writer = tokio::spawn(async move {
        for n in 1..=30 {
            fs::write(&path, format!("a: {n}")).unwrap();
            tokio::time::sleep(Duration::from_millis(90)).await;
        }
    });
    let started = Instant::now();
    let mut seen = 0;
    while !writer.is_finished() {
        let objects = changed(&mut source).await;
        seen += 1;
        if &*objects.texts[0].text == "a: 30" {
            break;
        }
    }
    assert!(seen >= 3, "{seen} sets in {:?}", started.elapsed());
}

#[test]
fn no_folder_is_an_error_that_names_it() {
    let error = FileSource::new("/nonexistent/x").err().unwrap();
    assert!(format!("{error:#}").contains("/nonexistent/x"));
}
