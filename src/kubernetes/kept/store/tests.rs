use std::{os::unix::fs::PermissionsExt as _, sync::Arc};

use super::*;
use crate::kubernetes::kept::testing::{Folder, many, set};

fn open(folder: &Folder) -> (Store, Vec<String>) {
    Store::open(&folder.0).unwrap()
}

/// What a restart finds.
fn found(folder: &Folder) -> Set {
    let (store, told) = open(folder);
    assert!(told.is_empty(), "{told:?}");
    store.set
}

#[test]
fn what_is_written_is_found_again_and_only_changes_are_written() {
    let folder = Folder::new("found");
    let (mut store, told) = open(&folder);
    assert!(told.is_empty() && store.set.is_empty());
    assert_eq!(store.write(&Set::new()).unwrap(), 0);
    assert!(!folder.file().exists(), "nothing is written when there is nothing");
    for wanted in [
        set(&[("a", "1"), ("b", "2")]),
        set(&[("a", "1"), ("b", "3"), ("c", "4")]),
        set(&[("c", "4")]),
        Set::new(),
        set(&[("d", "5")]),
    ] {
        assert!(store.write(&wanted).unwrap() > 0);
        assert_eq!(store.write(&wanted).unwrap(), 0, "the same again");
        assert_eq!(found(&folder), wanted);
    }
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&folder.0), mode(&folder.file())), (0o700, 0o600));
    assert!(!folder.0.join("objects.new").exists());
}

#[test]
fn one_edit_of_a_thousand_devices_costs_one_record() {
    let folder = Folder::new("edit");
    let (mut store, _) = open(&folder);
    let mut wanted = many(1000, 4096);
    assert!(store.write(&wanted).unwrap() > 4_096_000);
    let key = wanted.keys().nth(500).unwrap().clone();
    wanted.insert(key, "y".repeat(4096).into());
    let cost = store.write(&wanted).unwrap();
    assert!((4096..4096 + 64).contains(&cost), "{cost}");
    assert_eq!(found(&folder), wanted);
}

/// 3,000 edits of one device among ten: the file stays small, and what is written in all stays near what changed.
#[test]
fn a_file_that_grew_too_much_is_replaced() {
    let folder = Folder::new("grown");
    let (mut store, _) = open(&folder);
    let mut wanted = many(10, 1000);
    let mut total = store.write(&wanted).unwrap();
    let (key, edits) = (wanted.keys().next().unwrap().clone(), 3_000);
    for edit in 0..edits {
        wanted.insert(key.clone(), format!("{edit:01000}").into());
        total += store.write(&wanted).unwrap();
        assert!(fs::metadata(folder.file()).unwrap().len() <= 2 * 11_000 + FLOOR, "edit {edit}");
    }
    assert!(total < edits * 1_300, "{total}");
    assert_eq!(found(&folder), wanted);
}

/// Power fails at any byte of an append: a restart finds an earlier state, and goes on from there.
#[test]
fn every_prefix_opens_and_can_be_written_on() {
    let folder = Folder::new("prefix");
    let (mut store, _) = open(&folder);
    let states = [Set::new(), set(&[("a", "1"), ("b", "2")]), set(&[("a", "1"), ("b", "3")]), set(&[("b", "3")])];
    for state in &states {
        store.write(state).unwrap();
    }
    let whole = fs::read(folder.file()).unwrap();
    let partly = set(&[("a", "1")]);
    for end in 0..=whole.len() {
        fs::write(folder.file(), &whole[..end]).unwrap();
        let (mut store, told) = open(&folder);
        assert!(told.is_empty(), "{end}: {told:?}");
        assert!(states.contains(&store.set) || store.set == partly, "{end}: {:?}", store.set);
        let wanted = set(&[("z", "9"), ("b", "3")]);
        store.write(&wanted).unwrap();
        assert_eq!(found(&folder), wanted, "{end}");
    }
}

#[test]
fn a_kill_while_a_new_file_is_written_leaves_the_old_one() {
    let folder = Folder::new("killed");
    let (mut store, _) = open(&folder);
    let wanted = set(&[("a", "1")]);
    store.write(&wanted).unwrap();
    fs::write(folder.0.join("objects.new"), "fieldgate-objects 1\n01234567 put Dev").unwrap();
    assert_eq!(found(&folder), wanted);
    let (mut store, _) = open(&folder);
    store.repair = true;
    store.write(&wanted).unwrap();
    assert_eq!(found(&folder), wanted);
}

#[test]
fn a_damaged_record_is_told_with_its_line_and_the_file_is_repaired() {
    let folder = Folder::new("damaged");
    let (mut store, _) = open(&folder);
    store.write(&set(&[("a", "1"), ("b", "2"), ("c", "3")])).unwrap();
    let text = fs::read_to_string(folder.file()).unwrap().replace("n b 2", "n b 7");
    fs::write(folder.file(), text).unwrap();
    let (mut store, told) = open(&folder);
    let shown = folder.file().display().to_string();
    assert_eq!(told, [format!("{shown} line 3: its checksum does not fit; left out")]);
    let rest = set(&[("a", "1"), ("c", "3")]);
    assert_eq!((&store.set, store.must_repair()), (&rest, true));
    assert!(store.write(&rest).unwrap() > 0);
    assert_eq!(store.write(&rest).unwrap(), 0);
    assert_eq!(found(&folder), rest);
}

#[test]
fn a_file_of_another_version_is_left_alone_under_another_name() {
    for (text, aside) in [
        ("fieldgate-objects 2\nwhatever\n", "objects.v2"),
        ("fieldgate-objects ../../x\n", "objects.unknown"),
        ("hello\n", "objects.unknown"),
    ] {
        let folder = Folder::new("version");
        fs::create_dir(&folder.0).unwrap();
        fs::write(folder.file(), text).unwrap();
        let (mut store, told) = open(&folder);
        let [line] = &told[..] else { panic!("{told:?}") };
        assert!(line.contains(aside), "{line}");
        assert!(store.set.is_empty() && !store.must_repair());
        assert_eq!(fs::read_to_string(folder.0.join(aside)).unwrap(), text);
        store.write(&set(&[("a", "1")])).unwrap();
        assert_eq!(found(&folder), set(&[("a", "1")]));
        assert_eq!(fs::read_to_string(folder.0.join(aside)).unwrap(), text);
    }
}

#[test]
fn a_full_disk_is_an_error_and_the_next_write_makes_up_for_it() {
    let folder = Folder::new("full");
    let (mut store, _) = open(&folder);
    let first = set(&[("a", "1")]);
    store.write(&first).unwrap();
    // A device that is always full, in the file's place.
    store.file = Some(OpenOptions::new().append(true).open("/dev/full").unwrap());
    let wanted = set(&[("a", "1"), ("b", "2")]);
    let error = store.write(&wanted).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert_eq!((&store.set, store.must_repair()), (&first, true));
    assert_eq!(found(&folder), first);
    // Nor is there room for a new file.
    fs::create_dir(folder.0.join("objects.new")).unwrap();
    store.write(&wanted).unwrap_err();
    assert_eq!(found(&folder), first);
    fs::remove_dir(folder.0.join("objects.new")).unwrap();
    store.write(&wanted).unwrap();
    assert_eq!(found(&folder), wanted);
}

#[test]
fn texts_of_equal_content_in_other_memory_are_taken_over() {
    let folder = Folder::new("memory");
    let (mut store, _) = open(&folder);
    store.write(&set(&[("a", "1")])).unwrap();
    let again = set(&[("a", "1")]);
    assert_eq!(store.write(&again).unwrap(), 0);
    assert!(Arc::ptr_eq(store.set.values().next().unwrap(), again.values().next().unwrap()));
}

#[test]
fn a_file_that_the_disk_does_not_give_is_done_without_and_replaced_when_there_is_something_to_keep() {
    let folder = Folder::new("eio");
    fs::create_dir_all(&folder.0).unwrap();
    // Reading it at its beginning, where nothing is mapped, is EIO.
    std::os::unix::fs::symlink("/proc/self/mem", folder.file()).unwrap();
    let (mut store, told) = open(&folder);
    assert!(told.len() == 1 && told[0].contains("os error 5"), "{told:?}");
    assert!(store.set.is_empty() && !store.must_repair());
    store.write(&Set::new()).unwrap();
    assert!(folder.file().is_symlink(), "the next start may find more");
    let wanted = set(&[("a", "1")]);
    assert!(store.write(&wanted).unwrap() > 0);
    assert_eq!(found(&folder), wanted);
    assert!(store.write(&Set::new()).unwrap() > 0, "from then on it is a file like any other");
}
