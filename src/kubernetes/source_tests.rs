//! The source against a hand-made server that lies, forgets and refuses. (That it works with a real API server is shown
//! by the tests of the whole program.)

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::{Value as Json, json};
use tokio::time::{Instant, sleep, timeout};

use super::*;
use crate::kubernetes::{
    object::tests::device,
    testing::{Asked, Liar, Reply, list, not_found, version},
};

type Lie = Box<dyn FnMut(&Asked) -> Reply + Send>;

fn plain(name: &str, node: &str, uid: &str, generation: i64) -> Json {
    let mut json = device(name, node, uid, generation);
    json["spec"].as_object_mut().unwrap().remove("model");
    json
}

fn source(link: Arc<Link>) -> ClusterSource {
    ClusterSource::new(link, &Kubernetes::default(), "gw-1", Arc::default(), None)
}

async fn next(source: &mut ClusterSource) -> Objects {
    timeout(Duration::from_secs(20), source.next()).await.expect("a set comes")
}

/// Nothing comes for so long.
async fn silent(source: &mut ClusterSource, long: Duration) {
    if let Ok(objects) = timeout(long, source.next()).await {
        panic!("a set came: {objects:?}");
    }
}

fn names(objects: &Objects) -> Vec<&str> {
    objects.texts.iter().map(|text| &*text.name).collect()
}

fn expired() -> Json {
    json!({"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}})
}

#[tokio::test]
async fn pages_are_put_together_and_only_own_devices_are_served() {
    let liar = Liar::start(|asked| match asked {
        asked if asked.is_watch() => Reply::Watch(vec![], true),
        asked if asked.what.contains("continue=next%2F1") => {
            list(&[plain("b", "gw-1", "u2", 1), plain("a", "gw-1", "u1", 1)], "5", "")
        }
        _ => list(&[plain("a", "gw-1", "u1", 1), plain("foreign", "gw-2", "u3", 1)], "5", "next/1"),
    })
    .await;
    let mut source = source(liar.link().await);
    let objects = next(&mut source).await;
    assert_eq!(names(&objects), ["Device plant/a", "Device plant/b"]);
    assert_eq!((objects.origin, objects.error, objects.moved), (Origin::Cluster, None, vec![]));
    liar.until("watch", 1, Asked::is_watch).await;
    let asked = liar.asked();
    assert!(asked.iter().all(|asked| asked.what.contains("fieldSelector=spec.nodeName%3Dgw-1")), "{asked:#?}");
    assert!(asked.iter().all(|asked| asked.user_agent == "fieldgate"), "{asked:#?}");
    assert!(asked[2].what.contains("resourceVersion=5"), "{asked:#?}");
}

#[tokio::test]
async fn a_page_that_comes_again_and_again_is_no_list() {
    let liar = Liar::start(|_| list(&[plain("a", "gw-1", "u1", 1)], "5", "again")).await;
    let mut source = source(liar.link().await);
    silent(&mut source, Duration::from_secs(3)).await;
    assert!(liar.asked().len() <= 6, "{:#?}", liar.asked());
}

#[tokio::test]
async fn a_watch_goes_on_where_the_last_one_ended_and_lists_again_when_that_is_too_old() {
    let watches = Arc::new(AtomicUsize::new(0));
    let count = watches.clone();
    let liar = Liar::start(move |asked| {
        if !asked.is_watch() {
            return list(&[plain("a", "gw-1", "u1", 1)], "5", "");
        }
        match count.fetch_add(1, Ordering::Relaxed) {
            0 => {
                let mut changed = plain("a", "gw-1", "u1", 2);
                changed["metadata"]["resourceVersion"] = json!("8");
                Reply::Watch(vec![json!({"type": "MODIFIED", "object": changed})], false)
            }
            1 => {
                let bookmark = json!({"kind": "Device", "metadata": {"resourceVersion": "12"}});
                Reply::Watch(vec![json!({"type": "BOOKMARK", "object": bookmark})], false)
            }
            2 => Reply::Watch(vec![expired()], false),
            _ => Reply::Watch(vec![], true),
        }
    })
    .await;
    let mut source = source(liar.link().await);
    while !next(&mut source).await.texts[0].text.contains("\"generation\":2") {}
    let waited = async {
        liar.until("watch", 4, Asked::is_watch).await;
        liar.until("list", 2, Asked::is_list).await;
    };
    tokio::select! {
        objects = source.next() => panic!("the old list changed something: {objects:?}"),
        () = waited => {}
    }
    let from: Vec<String> = liar
        .asked()
        .iter()
        .filter(|asked| asked.is_watch())
        .map(|asked| asked.what.split("resourceVersion=").nth(1).unwrap().split('&').next().unwrap().to_owned())
        .collect();
    assert_eq!(from[..4], ["5", "8", "12", "5"]);
}

#[tokio::test]
async fn watches_that_end_at_once_are_not_opened_again_and_again() {
    let liar = Liar::start(|asked| match asked {
        asked if asked.is_watch() => Reply::Watch(vec![], false),
        _ => list(&[plain("a", "gw-1", "u1", 1)], "5", ""),
    })
    .await;
    let mut source = source(liar.link().await);
    next(&mut source).await;
    silent(&mut source, Duration::from_secs(8)).await;
    let watches = liar.asked().iter().filter(|asked| asked.is_watch()).count();
    assert!((2..=5).contains(&watches), "{watches} watches in 8 s");
    // The waits are 1, 2, 4 and 8 s, so that the tenth second has come with the trouble told.
    let objects = next(&mut source).await;
    assert!(objects.error.unwrap().contains("ends every watch at once"));
    assert_eq!(objects.texts.len(), 1);
}

#[tokio::test]
async fn a_version_that_no_watch_can_go_on_from_is_given_up() {
    let mut lists = 0;
    let liar = Liar::start(move |asked| match asked {
        asked if asked.is_watch() && asked.what.contains("resourceVersion=999") => Reply::Text(400, "too large"),
        asked if asked.is_watch() => Reply::Watch(vec![], true),
        _ => {
            lists += 1;
            list(&[plain("a", "gw-1", "u1", 1)], if lists == 1 { "999" } else { "5" }, "")
        }
    })
    .await;
    let mut source = source(liar.link().await);
    next(&mut source).await;
    let waits = tokio::spawn(async move { source.next().await });
    liar.until("watch of another version", 1, |asked| asked.is_watch() && asked.what.contains("resourceVersion=5"))
        .await;
    waits.abort();
}

#[tokio::test]
async fn lists_that_lie_take_no_device_away() {
    let gone = |code, text| {
        move |asked: &Asked| match asked {
            asked if asked.is_watch() => Reply::Watch(vec![], true),
            asked if asked.is_list() => Reply::Text(code, text),
            _ => Reply::Text(503, "dial tcp: connection refused"),
        }
    };
    let lies: Vec<(&str, Lie)> = vec![
        ("a plain 404", Box::new(gone(404, "dial tcp: connection refused"))),
        ("an empty 502", Box::new(gone(502, ""))),
        ("an empty 200", Box::new(gone(200, ""))),
        (
            "a 404 of the API server",
            Box::new(|asked: &Asked| match asked {
                asked if asked.is_list() => not_found(),
                _ => Reply::Text(404, "404 page not found"),
            }),
        ),
        (
            "no metadata",
            Box::new(|asked: &Asked| match asked {
                asked if asked.is_list() => Reply::Json(200, json!({"kind": "EmptyList", "items": []})),
                _ => not_found(),
            }),
        ),
        (
            "another group's items",
            Box::new(|asked: &Asked| match asked {
                asked if asked.is_list() => {
                    list(&[json!({"apiVersion": "devices.kubeedge.io/v1", "kind": "Device", "metadata": {}})], "9", "")
                }
                _ => not_found(),
            }),
        ),
        (
            "empty with a version, and a cache that knows no device",
            Box::new(|asked: &Asked| match asked {
                asked if asked.is_watch() => Reply::Watch(vec![], true),
                asked if asked.is_list() => list(&[], "283", ""),
                asked if asked.what.contains("/version") => Reply::Json(400, json!({"kind": "Status", "code": 400})),
                _ => not_found(),
            }),
        ),
        (
            "empty with a version, but the devices are there",
            Box::new(|asked: &Asked| match asked {
                asked if asked.is_watch() => Reply::Watch(vec![], true),
                asked if asked.is_list() => list(&[], "283", ""),
                asked if asked.what.contains("/version") => version(),
                asked if asked.what.ends_with("/a") => Reply::Json(200, plain("a", "gw-1", "u1", 1)),
                _ => Reply::Json(500, json!({"kind": "Status", "code": 500})),
            }),
        ),
        (
            "empty with a version, and silence",
            Box::new(|asked: &Asked| match asked {
                asked if asked.is_watch() => Reply::Watch(vec![], true),
                asked if asked.is_list() => list(&[], "283", ""),
                _ => Reply::Silence,
            }),
        ),
    ];
    let mut all = tokio::task::JoinSet::new();
    for (what, lie) in lies {
        all.spawn(takes_nothing_away(what, lie));
    }
    while let Some(done) = all.join_next().await {
        done.unwrap();
    }
}

async fn takes_nothing_away(what: &str, lie: Lie) {
    let liar = Liar::start(|asked| {
        if asked.is_watch() {
            return Reply::Watch(vec![expired()], false);
        }
        list(&[plain("a", "gw-1", "u1", 1), plain("b", "gw-1", "u2", 1)], "5", "")
    })
    .await;
    let mut source = source(liar.link().await);
    assert_eq!(next(&mut source).await.texts.len(), 2, "{what}");
    let before = liar.asked().iter().filter(|asked| asked.is_list()).count();
    liar.now(lie);
    let lied = async {
        liar.until(what, before + 1, Asked::is_list).await;
        sleep(Duration::from_secs(3)).await;
    };
    tokio::select! {
        objects = source.next() => panic!("{what}: {objects:?}"),
        () = lied => {}
    }
}

#[tokio::test]
async fn a_device_leaves_when_the_api_server_says_so_and_a_move_is_told_apart() {
    let liar = Liar::start(|asked| match asked {
        asked if asked.is_watch() => Reply::Watch(
            ["deleted", "moved", "lied"]
                .map(|name| json!({"type": "DELETED", "object": plain(name, "gw-1", name, 1)}))
                .into(),
            true,
        ),
        asked if asked.is_list() => {
            list(&["deleted", "moved", "lied"].map(|name| plain(name, "gw-1", name, 1)), "5", "")
        }
        asked if asked.what.contains("/version") => version(),
        asked if asked.what.ends_with("/moved") => Reply::Json(200, plain("moved", "gw-2", "moved", 2)),
        asked if asked.what.ends_with("/lied") => Reply::Json(200, plain("lied", "gw-1", "lied", 1)),
        _ => not_found(),
    })
    .await;
    let mut source = source(liar.link().await);
    let mut objects = next(&mut source).await;
    if objects.texts.len() == 3 {
        objects = next(&mut source).await;
    }
    assert_eq!(names(&objects), ["Device plant/lied"]);
    assert_eq!(objects.moved, [crate::model::DeviceId::new("plant", "moved")]);
}

#[tokio::test]
async fn models_are_read_where_a_device_names_one_and_come_with_it() {
    let liar = Liar::start(|asked| match asked {
        asked if asked.is_watch() => Reply::Watch(vec![], true),
        asked if asked.what.contains("namespaces/plant/devicemodels?") => {
            let mut model = device("m", "", "u9", 1);
            model["kind"] = json!("DeviceModel");
            list(&[model], "6", "")
        }
        asked if asked.what.contains("/devices?") => list(&[device("a", "gw-1", "u1", 1)], "5", ""),
        _ => Reply::Text(500, "unexpected"),
    })
    .await;
    let mut source = source(liar.link().await);
    assert_eq!(names(&next(&mut source).await), ["Device plant/a", "DeviceModel plant/m"]);
    let models = liar.asked().into_iter().filter(|asked| asked.what.contains("devicemodels"));
    assert!(models.clone().count() > 0 && models.into_iter().all(|asked| !asked.what.contains("Selector")));
}

#[tokio::test]
async fn models_that_cannot_be_listed_once_are_not_missing() {
    let mut failed = false;
    let liar = Liar::start(move |asked| match asked {
        asked if asked.is_watch() => Reply::Watch(vec![], true),
        asked if asked.what.contains("devicemodels?") && !std::mem::replace(&mut failed, true) => {
            Reply::Text(500, "not now")
        }
        asked if asked.what.contains("devicemodels?") => {
            let mut model = device("m", "", "u9", 1);
            model["kind"] = json!("DeviceModel");
            list(&[model], "6", "")
        }
        _ => list(&[device("a", "gw-1", "u1", 1)], "5", ""),
    })
    .await;
    let mut source = source(liar.link().await);
    let first = next(&mut source).await;
    assert_eq!(names(&first), ["Device plant/a", "DeviceModel plant/m"]);
    assert_eq!(first.error, None);
}

#[tokio::test]
async fn a_first_set_without_a_namespace_says_that_it_is_not_whole() {
    let mut failed = false;
    let liar = Liar::start(move |asked| match asked {
        asked if asked.is_watch() => Reply::Watch(vec![], true),
        asked if asked.what.contains("/late/") && !std::mem::replace(&mut failed, true) => Reply::Text(500, "not now"),
        asked if asked.what.contains("/late/") => list(&[], "5", ""),
        _ => list(&[plain("a", "gw-1", "u1", 1)], "5", ""),
    })
    .await;
    let settings = Kubernetes { namespaces: vec!["plant".into(), "late".into()], ..Kubernetes::default() };
    let mut source = ClusterSource::new(liar.link().await, &settings, "gw-1", Arc::default(), None);
    let first = next(&mut source).await;
    assert_eq!(names(&first), ["Device plant/a"]);
    assert!(first.error.is_some_and(|words| words.contains("namespace late")));
    assert_eq!(next(&mut source).await.error, None);
}

#[tokio::test]
async fn a_bridge_that_may_not_read_models_serves_the_devices() {
    let liar = Liar::start(|asked| match asked {
        asked if asked.what.contains("devicemodels") => {
            Reply::Json(403, json!({"kind": "Status", "reason": "Forbidden", "message": "no", "code": 403}))
        }
        asked if asked.is_watch() => Reply::Watch(vec![], true),
        _ => list(&[device("a", "gw-1", "u1", 1)], "5", ""),
    })
    .await;
    let mut source = source(liar.link().await);
    assert_eq!(names(&next(&mut source).await), ["Device plant/a"]);
    let told = next(&mut source).await.error.unwrap();
    assert!(told.contains("read devicemodels in namespace plant"), "{told}");
}

#[tokio::test]
async fn what_was_kept_is_served_with_no_network() {
    let folder = std::env::temp_dir().join(format!("fieldgate-source-{}", std::process::id()));
    let object = |name: &str, node: &str| {
        let found = object::read(Kind::Device, &plain(name, node, name, 1).to_string()).unwrap();
        KeptObject { kind: Kind::Device, namespace: "plant".into(), name: name.into(), text: found.text.into() }
    };
    let (kept, _, _) = Kept::open(&folder).unwrap();
    let nobody = crate::kubernetes::testing::kubeconfig("http://127.0.0.1:1", None);
    let link = Arc::new(Link::open(Some(&nobody)).await.unwrap());
    let objects = vec![object("a", "gw-1"), object("foreign", "gw-2")];
    let before = objects[0].text.clone();
    let mut source = ClusterSource::new(link, &Kubernetes::default(), "gw-1", Arc::default(), Some((kept, objects)));
    let start = Instant::now();
    let objects = next(&mut source).await;
    assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
    assert_eq!(names(&objects), ["Device plant/a"]);
    assert!(Arc::ptr_eq(&objects.texts[0].text, &before));
    drop(source);
    std::fs::remove_dir_all(&folder).unwrap();
}

/// A server that has shown the third generation of a Device, and a source that serves it.
async fn known(watched: Vec<Json>) -> (Liar, ClusterSource, Arc<Mirror>) {
    let liar = Liar::start(move |asked| {
        let mut device = plain("a", "gw-1", "u1", 3);
        device["metadata"]["resourceVersion"] = json!("30");
        match asked {
            asked if asked.is_watch() => Reply::Watch(watched.clone(), false),
            _ => list(&[device], "30", ""),
        }
    })
    .await;
    let mirror = Arc::<Mirror>::default();
    let mut source = ClusterSource::new(liar.link().await, &Kubernetes::default(), "gw-1", mirror.clone(), None);
    let objects = next(&mut source).await;
    assert!(objects.texts[0].text.contains("\"generation\":3"));
    (liar, source, mirror)
}

/// What a server answers that was restored to the second generation.
fn restored(asked: &Asked) -> Reply {
    match asked {
        asked if asked.is_watch() => Reply::Watch(vec![], true),
        asked if asked.is_list() => list(&[plain("a", "gw-1", "u1", 2)], "9", ""),
        asked if asked.what.contains("/version") => version(),
        _ => Reply::Json(200, plain("a", "gw-1", "u1", 2)),
    }
}

#[tokio::test]
async fn a_server_restored_from_a_backup_is_taken_up() {
    let (liar, mut source, mirror) = known(vec![expired()]).await;
    liar.now(restored);
    let objects = next(&mut source).await;
    assert!(objects.texts[0].text.contains("\"generation\":2"), "{objects:?}");
    let stored = mirror.get(&crate::model::DeviceId::new("plant", "a")).unwrap();
    assert_eq!((stored.generation, &*stored.version), (2, "7"), "or no status would ever be confirmed again");
    let asked = liar.asked().into_iter().map(|asked| asked.what);
    let asked: Vec<_> = asked.filter(|what| what.contains("/version") || what.ends_with("/a")).collect();
    assert_eq!(asked.len(), 3, "its presence is proved before and after: {asked:#?}");
}

#[tokio::test]
async fn caches_that_show_old_objects_set_nothing_back() {
    let local = |_: &Asked| Reply::Json(400, json!({"kind": "Status", "code": 400}));
    let lies: Vec<(&str, Lie)> = vec![
        (
            "YurtHub",
            Box::new(move |asked| if asked.what.contains("/version") { local(asked) } else { restored(asked) }),
        ),
        ("the cloud is there, and the list was old", {
            let newer = plain("a", "gw-1", "u1", 3);
            Box::new(move |asked| match asked {
                asked if asked.what.ends_with("/a") => Reply::Json(200, newer.clone()),
                asked => restored(asked),
            })
        }),
        ("the cloud leaves in between", {
            let mut proved = false;
            Box::new(move |asked| match asked {
                asked if asked.what.contains("/version") && std::mem::replace(&mut proved, true) => local(asked),
                asked => restored(asked),
            })
        }),
    ];
    for (what, lie) in lies {
        let (liar, mut source, _) = known(vec![expired()]).await;
        liar.now(lie);
        let doubted = liar.until(what, 1, |asked| asked.what.contains("/version"));
        tokio::select! {
            objects = source.next() => panic!("{what}: {objects:?}"),
            () = async { doubted.await; sleep(Duration::from_secs(2)).await } => {}
        }
    }
}

#[tokio::test]
async fn an_old_event_that_is_replayed_does_not_win() {
    let old = json!({"type": "MODIFIED", "object": plain("a", "gw-1", "u1", 2)});
    let (liar, mut source, _) = known(vec![expired()]).await;
    let newer = plain("a", "gw-1", "u1", 3);
    liar.now(move |asked| match asked {
        asked if asked.is_watch() => Reply::Watch(vec![old.clone()], true),
        asked if asked.is_list() => list(std::slice::from_ref(&newer), "30", ""),
        asked if asked.what.contains("/version") => version(),
        _ => Reply::Json(200, newer.clone()),
    });
    let asked = liar.until("the API server itself", 1, |asked| asked.what.ends_with("/a"));
    tokio::select! {
        objects = source.next() => panic!("{objects:?}"),
        () = async { asked.await; sleep(Duration::from_millis(500)).await } => {}
    }
}

#[tokio::test]
async fn a_device_without_the_label_that_selects_it_leaves_and_comes_back_with_it() {
    let labelled = |label: bool| {
        let mut device = plain("a", "gw-1", "u1", 1);
        device["metadata"]["labels"] = if label { json!({"fieldgate.dev/node": "gw-1"}) } else { json!({}) };
        device
    };
    let serve = move |label: bool, event: &'static str| {
        let mut told = false;
        move |asked: &Asked| match asked {
            asked if asked.is_watch() && !std::mem::replace(&mut told, true) => {
                Reply::Watch(vec![json!({"type": event, "object": labelled(label)})], false)
            }
            asked if asked.is_watch() => Reply::Watch(vec![], false),
            asked if asked.is_list() => list(&[labelled(true)], "5", ""),
            asked if asked.what.contains("/version") => version(),
            _ => Reply::Json(200, labelled(label)),
        }
    };
    let liar = Liar::start(serve(false, "DELETED")).await;
    let settings = Kubernetes { select: Select::Label, ..Kubernetes::default() };
    let mut source = ClusterSource::new(liar.link().await, &settings, "gw-1", Arc::default(), None);
    let mut objects = next(&mut source).await;
    if objects.texts.len() == 1 {
        objects = next(&mut source).await;
    }
    assert_eq!(names(&objects), [""; 0]);
    assert_eq!(objects.moved, [crate::model::DeviceId::new("plant", "a")]);
    assert!(liar.asked()[0].what.contains("labelSelector"), "{:#?}", liar.asked());
    liar.now(serve(true, "ADDED"));
    assert_eq!(names(&next(&mut source).await), ["Device plant/a"]);
}
