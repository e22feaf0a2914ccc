use std::{fs, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};

use super::{
    Kept, LONGEST, PAUSE_LEAST, QUIET, Set,
    testing::{Folder, objects, set},
};

/// What a restart would find; nothing if there is no file.
fn on_disk(folder: &Folder) -> Set {
    if !folder.file().exists() {
        return Set::new();
    }
    super::store::Store::open(&folder.0).unwrap().0.set().clone()
}

fn open(folder: &Folder) -> Kept {
    let (kept, _, damage) = Kept::open(&folder.0).unwrap();
    assert!(damage.is_empty(), "{damage:?}");
    kept
}

const MOMENT: Duration = Duration::from_millis(50);

/// Waits until it is written; nothing but the disk is waited for.
async fn written(kept: &Kept, folder: &Folder, wanted: &Set) {
    let start = Instant::now();
    while on_disk(folder) != *wanted {
        sleep(MOMENT / 50).await;
        assert!(start.elapsed() < MOMENT, "{kept:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_is_written_at_once_and_only_when_it_is_one() {
    let folder = Folder::new("quiet");
    let mut kept = open(&folder);
    let wanted = set(&[("a", "1")]);
    kept.set(objects(&wanted));
    written(&kept, &folder, &wanted).await;
    let changed = || fs::metadata(folder.file()).unwrap().modified().unwrap();
    let before = changed();
    kept.set(objects(&wanted));
    kept.set(objects(&set(&[("a", "1")])));
    sleep(2 * LONGEST).await;
    assert_eq!(changed(), before);
    assert_eq!(Kept::open(&folder.0).unwrap().1, objects(&wanted));
}

#[tokio::test(start_paused = true)]
async fn changes_soon_after_another_are_written_together_after_a_quiet_second() {
    let folder = Folder::new("soon");
    let mut kept = open(&folder);
    let wanted = |text: &str| set(&[("a", text)]);
    kept.set(objects(&wanted("1")));
    written(&kept, &folder, &wanted("1")).await;
    for text in ["2", "3"] {
        sleep(QUIET / 2).await;
        kept.set(objects(&wanted(text)));
    }
    sleep(QUIET.saturating_sub(MOMENT)).await;
    assert_eq!(on_disk(&folder), wanted("1"));
    sleep(2 * MOMENT).await;
    assert_eq!(on_disk(&folder), wanted("3"));
    sleep(QUIET).await;
    kept.set(objects(&wanted("4")));
    written(&kept, &folder, &wanted("4")).await;
}

#[tokio::test(start_paused = true)]
async fn changes_that_keep_coming_are_written_after_five_seconds() {
    let folder = Folder::new("longest");
    let (mut kept, start) = (open(&folder), Instant::now());
    let mut written = Vec::new();
    for step in 0..24 {
        kept.set(objects(&set(&[("a", &step.to_string())])));
        sleep(QUIET / 2).await;
        if on_disk(&folder) != *written.last().unwrap_or(&Set::new()) {
            written.push(on_disk(&folder));
        }
    }
    assert_eq!(written.len(), 3, "the first at once; in {:?}: {written:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_orderly_stop_writes_at_once() {
    let folder = Folder::new("flush");
    let mut kept = open(&folder);
    let flusher = kept.flusher();
    kept.set(objects(&set(&[("a", "1")])));
    kept.flush().await;
    assert_eq!(on_disk(&folder), set(&[("a", "1")]));
    // Its owner may have ended first.
    kept.set(objects(&set(&[("b", "2")])));
    drop(kept);
    flusher.flush().await;
    assert_eq!(on_disk(&folder), set(&[("b", "2")]));
}

#[tokio::test(start_paused = true)]
async fn what_was_set_is_written_when_all_is_dropped() {
    let folder = Folder::new("dropped");
    let mut kept = open(&folder);
    kept.set(objects(&set(&[("a", "1")])));
    drop(kept);
    sleep(QUIET / 2).await;
    assert_eq!(on_disk(&folder), set(&[("a", "1")]));
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_tried_again_with_the_newest_set_and_not_at_once() {
    let folder = Folder::new("failure");
    let mut kept = open(&folder);
    // No new file can be written where a folder has its name.
    fs::create_dir(folder.0.join("objects.new")).unwrap();
    kept.set(objects(&set(&[("a", "1")])));
    sleep(MOMENT).await;
    fs::remove_dir(folder.0.join("objects.new")).unwrap();
    kept.set(objects(&set(&[("a", "2")])));
    sleep(PAUSE_LEAST.saturating_sub(2 * MOMENT)).await;
    assert!(!folder.file().exists());
    sleep(2 * MOMENT).await;
    assert_eq!(on_disk(&folder), set(&[("a", "2")]));
}

#[tokio::test(start_paused = true)]
async fn a_damaged_file_is_told_and_repaired_although_nothing_changes() {
    let folder = Folder::new("repair");
    let mut kept = open(&folder);
    kept.set(objects(&set(&[("a", "1"), ("b", "2")])));
    kept.flush().await;
    drop(kept);
    let text = fs::read_to_string(folder.file()).unwrap().replace("n a 1", "n a 7");
    fs::write(folder.file(), text).unwrap();
    let (kept, found, damage) = Kept::open(&folder.0).unwrap();
    assert_eq!((found, damage.len()), (objects(&set(&[("b", "2")])), 1));
    sleep(QUIET + MOMENT).await;
    drop(kept);
    let (_, found, damage) = Kept::open(&folder.0).unwrap();
    assert_eq!((found, damage.len()), (objects(&set(&[("b", "2")])), 0));
}

/// What a source loads and lists afterwards are equal texts in two places of the memory; one of them goes.
#[tokio::test(start_paused = true)]
async fn equal_texts_do_not_stay_in_memory_twice() {
    let folder = Folder::new("twice");
    let mut kept = open(&folder);
    kept.set(objects(&set(&[("a", "1")])));
    kept.flush().await;
    drop(kept);
    let (mut kept, loaded, _) = Kept::open(&folder.0).unwrap();
    let old = Arc::downgrade(&loaded[0].text);
    drop(loaded);
    kept.set(objects(&set(&[("a", "1")])));
    kept.flush().await;
    assert!(old.upgrade().is_none());
}
