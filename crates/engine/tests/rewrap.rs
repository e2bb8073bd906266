//! Other recipients for a file, and another DEK.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use waxwing_core::SystemRandom;
use waxwing_core::envelope::SealOptions;
use waxwing_engine::{
    Error, Existing, HeaderKind, HeaderPlace, Input, Output, Work, open, read_attached_header,
    reencrypt_file, rewrap_file, seal,
};
use waxwing_formats::envelope::Context;
use waxwing_keyring::{Change, Kek, KeyProvider, Keyring};
use waxwing_testkit::payload;

fn kek(name: &str) -> Arc<dyn KeyProvider> {
    Arc::new(Kek::generate(name, &SystemRandom).unwrap())
}

fn ring(providers: &[&Arc<dyn KeyProvider>]) -> Keyring {
    Keyring::new(providers.iter().map(|&provider| provider.clone()))
}

struct Scene {
    dir: tempfile::TempDir,
    a: Arc<dyn KeyProvider>,
    b: Arc<dyn KeyProvider>,
    plaintext: Vec<u8>,
    path: PathBuf,
}

impl Scene {
    /// `file.wax`, sealed for `a`.
    fn new(len: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let scene = Self {
            a: kek("a/1"),
            b: kek("b/1"),
            plaintext: payload(len),
            path: dir.path().join("file.wax"),
            dir,
        };
        scene.seal(HeaderPlace::Attached);
        scene
    }

    fn seal(&self, header: HeaderPlace) {
        let input = Input::Stream(Box::new(std::io::Cursor::new(self.plaintext.clone())));
        let output = Output::File { path: self.path.clone(), existing: Existing::Replace };
        let context = Context::new([("kind".to_owned(), "test".to_owned())]).unwrap();
        let options = SealOptions { context, ..SealOptions::default() };
        seal(input, output, header, &ring(&[&self.a]), options, &SystemRandom, &Work::default()).unwrap();
    }

    fn opens(&self, key: &Arc<dyn KeyProvider>, header: Option<&Path>) -> bool {
        let out = self.dir.path().join("out");
        let header = header.map(|path| Input::open(path).unwrap());
        let input = Input::open(&self.path).unwrap();
        let output = Output::File { path: out.clone(), existing: Existing::Replace };
        let opened = open(input, header, output, &ring(&[key]), &Context::default(), &Work::default());
        opened.is_ok() && fs::read(out).unwrap() == self.plaintext
    }

    fn swap(&self) -> Change {
        Change { add: ring(&[&self.b]), remove: ring(&[&self.a]), remove_others: false }
    }

    fn body(&self) -> Vec<u8> {
        let (_, at) = read_attached_header(&mut Input::open(&self.path).unwrap()).unwrap();
        fs::read(&self.path).unwrap().split_off(at as usize)
    }
}

#[test]
fn attack_32_the_body_stays_byte_for_byte() {
    for len in [0, 1, 65536, 300_000] {
        let scene = Scene::new(len);
        let body = scene.body();
        let rewrapped = rewrap_file(
            &scene.path,
            HeaderKind::Attached,
            &ring(&[&scene.a]),
            &scene.swap(),
            &Work::default(),
        )
        .unwrap();
        assert_eq!((rewrapped.kept.len(), rewrapped.added.len(), rewrapped.removed.len()), (0, 1, 1));
        assert_eq!(scene.body(), body);
        assert!(!scene.opens(&scene.a, None) && scene.opens(&scene.b, None), "{len}");
    }
}

#[test]
fn a_detached_header_is_rewrapped_without_its_body() {
    let scene = Scene::new(100_000);
    let header = scene.dir.path().join("header");
    scene.seal(HeaderPlace::Detached(Output::file(&header)));
    let body = fs::read(&scene.path).unwrap();
    let old = scene.dir.path().join("old-header");
    fs::copy(&header, &old).unwrap();
    let work = Work::default();
    rewrap_file(&header, HeaderKind::Detached, &ring(&[&scene.a]), &scene.swap(), &work).unwrap();
    assert_eq!(fs::read(&scene.path).unwrap(), body);
    assert!(scene.opens(&scene.b, Some(&header)) && !scene.opens(&scene.a, Some(&header)));
    // What the documentation warns of: an old header still opens the body.
    assert!(scene.opens(&scene.a, Some(&old)));
}

#[test]
fn attack_32_only_one_works_on_a_file_and_a_failure_changes_nothing() {
    let scene = Scene::new(100_000);
    let before = fs::read(&scene.path).unwrap();
    let work = Work::default();
    let attempt = |keyring: &Keyring, change: &Change| {
        rewrap_file(&scene.path, HeaderKind::Attached, keyring, change, &work)
    };
    let other = File::open(&scene.path).unwrap();
    other.lock().unwrap();
    assert!(matches!(attempt(&ring(&[&scene.a]), &scene.swap()), Err(Error::Busy)));
    let reencrypted =
        reencrypt_file(&scene.path, &ring(&[&scene.a]), &ring(&[&scene.b]), &SystemRandom, &work);
    assert!(matches!(reencrypted, Err(Error::Busy)));
    drop(other);
    assert!(matches!(attempt(&ring(&[&scene.b]), &scene.swap()), Err(Error::Unlock(_))));
    let nobody = Change { remove: ring(&[&scene.a]), ..Change::default() };
    assert!(matches!(attempt(&ring(&[&scene.a]), &nobody), Err(Error::Header(_))));
    assert_eq!(fs::read(&scene.path).unwrap(), before);
    assert_eq!(fs::read_dir(scene.dir.path()).unwrap().count(), 1, "nothing else is left");
}

#[test]
fn attack_32_concurrent_rewraps_lose_nobody() {
    let scene = Scene::new(10_000);
    let names: Vec<String> = (0..8).map(|n| format!("k{n}/1")).collect();
    let keys: Vec<_> = names.iter().map(|name| kek(name)).collect();
    std::thread::scope(|scope| {
        for key in &keys {
            let (path, keyring) = (&scene.path, ring(&[&scene.a]));
            let change = Change { add: ring(&[key]), ..Change::default() };
            scope.spawn(move || {
                loop {
                    match rewrap_file(path, HeaderKind::Attached, &keyring, &change, &Work::default()) {
                        Err(Error::Busy) => std::thread::yield_now(),
                        done => break done.unwrap(),
                    }
                }
            });
        }
    });
    for key in keys.iter().chain([&scene.a]) {
        assert!(scene.opens(key, None), "{key:?}");
    }
}

#[test]
fn reencryption_leaves_nothing_to_an_old_header() {
    let scene = Scene::new(200_000);
    let (old_body, old_file) = (scene.body(), fs::read(&scene.path).unwrap());
    let work = Work::default();
    reencrypt_file(&scene.path, &ring(&[&scene.a]), &ring(&[&scene.b]), &SystemRandom, &work).unwrap();
    assert!(scene.opens(&scene.b, None) && !scene.opens(&scene.a, None));
    assert_ne!(scene.body(), old_body);
    let (header, _) = read_attached_header(&mut Input::open(&scene.path).unwrap()).unwrap();
    assert_eq!(header.unverified().fixed.context.iter().collect::<Vec<_>>(), [("kind", "test")]);
    // The old header in front of the new body opens nothing.
    let header_len = old_file.len() - old_body.len();
    let mixed = [&old_file[..header_len], &scene.body()].concat();
    fs::write(&scene.path, mixed).unwrap();
    assert!(!scene.opens(&scene.a, None));
}

#[test]
fn a_damaged_file_is_not_reencrypted() {
    let scene = Scene::new(200_000);
    let mut bytes = fs::read(&scene.path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&scene.path, &bytes).unwrap();
    let work = Work::default();
    let failed = reencrypt_file(&scene.path, &ring(&[&scene.a]), &ring(&[&scene.b]), &SystemRandom, &work);
    assert!(matches!(failed, Err(Error::Open(_))));
    assert_eq!(fs::read(&scene.path).unwrap(), bytes);
}
