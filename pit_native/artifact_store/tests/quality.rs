//! A quality that comes after the put takes the place of the first one, for good.

use artifact_store::quality::{Judge, Quality, Sample};
use artifact_store::{ArtifactId, Filter, Store, StoreError};

mod support;
use support::*;

fn quality(score: f32) -> Quality {
    Quality {
        score,
        reasons: vec![format!("scored {score}")],
    }
}

#[test]
fn a_later_quality_replaces_the_first_and_nothing_else() {
    let dir = folder();
    let store = open(dir.path());
    let id = store
        .put(b"some words of a text", &named("a", "r"))
        .expect("put");
    store.put(b"another", &named("b", "r")).expect("put");
    let before = store.info(&id).expect("info");
    assert!(store.set_quality(&id, &quality(0.25)).expect("set"));
    let mut expected = before.clone();
    (expected.quality, expected.reasons) = (0.25, vec!["scored 0.25".into()]);
    assert_eq!(store.info(&id).expect("info"), expected);
    assert_eq!(store.versions("a").expect("versions"), [expected.clone()]);
    assert_eq!(store.list(9, 0, &Filter::default()).expect("list").len(), 2);
    abandon(store, dir.path());
    let store = open(dir.path());
    assert_eq!(store.info(&id).expect("info"), expected);
    assert_eq!(store.verify().expect("verify"), []);
    // The same content under the same name keeps its version; another makes the next.
    store
        .put(b"some words of a text", &named("a", "r2"))
        .expect("put");
    assert_eq!(store.info(&id).expect("info").version, 1);
    store.put(b"the next", &named("a", "r3")).expect("put");
    let versions: Vec<u32> = store
        .versions("a")
        .expect("versions")
        .iter()
        .map(|one| one.version)
        .collect();
    assert_eq!(versions, [1, 2]);
    assert!(!store.set_quality(&id, &quality(0.5)).expect("superseded"));
}

#[test]
fn a_registered_scorer_judges_what_is_put_and_what_is_streamed() {
    let dir = folder();
    let mut options = options();
    let shouts = |sample: &Sample<'_>, judge: &mut Judge| {
        let is_loud = sample.window.contains(&b'!');
        judge.check(is_loud, 0.5, || "it shouts".into());
    };
    options.scorers.register("text/plain", shouts);
    let store = Store::open(dir.path(), options).expect("opened");
    let id = store.put(b"quiet", &named("a", "r")).expect("put");
    assert_eq!(store.info(&id).expect("info").quality, 1.0);
    let mut writer = store.writer(named("b", "r")).expect("a writer");
    store.write(&mut writer, b"loud!").expect("written");
    let id = store.finish(writer).expect("finished");
    let info = store.info(&id).expect("info");
    assert_eq!(
        (info.quality, info.reasons),
        (0.5, vec!["it shouts".to_owned()])
    );
}

#[test]
fn what_cannot_be_scored_is_told() {
    let dir = folder();
    let store = open(dir.path());
    let id = store.put(b"text", &named("a", "r")).expect("put");
    for score in [-0.1, 1.1, f32::NAN] {
        let refused = store.set_quality(&id, &quality(score));
        assert!(matches!(refused, Err(StoreError::BadInput(_))));
    }
    let unknown = store.set_quality(&ArtifactId::of(b"unknown"), &quality(0.5));
    assert!(matches!(unknown, Err(StoreError::NotFound(_))));
}
