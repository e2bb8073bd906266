use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;
use waxwing_core::SystemRandom;
use waxwing_keyring::Kek;

use super::walk::DEPTH_MAX;
use super::*;

/// Folders `in`, `sealed` and `opened`, and a key.
struct Scene {
    dir: TempDir,
    keyring: Keyring,
}

/// What was reported: entries and what became of each, in a word.
type Told = BTreeMap<PathBuf, String>;

fn keyring(name: &str) -> Keyring {
    let mut keyring = Keyring::default();
    keyring.push(Kek::generate(name, &SystemRandom).unwrap());
    keyring
}

fn word(fate: &Fate) -> String {
    match fate {
        Fate::Done { .. } => "done".into(),
        Fate::UpToDate => "up to date".into(),
        Fate::LeftOut(why) => format!("{why:?}"),
        Fate::Failed(err) => err.to_string(),
    }
}

impl Scene {
    fn new() -> Self {
        let scene = Self { dir: tempfile::tempdir().unwrap(), keyring: keyring("k/1") };
        fs::create_dir(scene.path("in")).unwrap();
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), bytes).unwrap();
    }

    fn set_modified(&self, name: &str, at: SystemTime) {
        File::options().write(true).open(self.path(name)).unwrap().set_modified(at).unwrap();
    }

    fn modified(&self, name: &str) -> SystemTime {
        fs::metadata(self.path(name)).unwrap().modified().unwrap()
    }

    fn run(
        &self,
        [input, output]: [&str; 2],
        existing: Existing,
        mirror: impl FnOnce(Tree<'_>, Report<'_>) -> Result<TreeSummary, Error>,
    ) -> Result<(TreeSummary, Told), Error> {
        let told = Mutex::new(Told::new());
        let tree = Tree { input: &self.path(input), output: &self.path(output), existing };
        let summary = mirror(tree, &|path, fate| {
            assert_eq!(told.lock().unwrap().insert(path.to_owned(), word(&fate)), None, "{path:?} twice");
        })?;
        Ok((summary, told.into_inner().unwrap()))
    }

    fn seal_with(
        &self,
        keyring: &Keyring,
        existing: Existing,
        work: &Work<'_>,
    ) -> Result<(TreeSummary, Told), Error> {
        self.run(["in", "sealed"], existing, |tree, report| {
            seal_tree(tree, keyring, &SealOptions::default(), &SystemRandom, work, report)
        })
    }

    fn seal(&self) -> (TreeSummary, Told) {
        self.seal_with(&self.keyring, Existing::Keep, &Work::default()).unwrap()
    }

    fn open(&self) -> (TreeSummary, Told) {
        let opened = self.run(["sealed", "opened"], Existing::Keep, |tree, report| {
            open_tree(tree, &self.keyring, &Context::default(), &Work::default(), report)
        });
        opened.unwrap()
    }
}

/// Everything below a folder: names, and contents of files.
fn contents(root: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let walk = Walk::new(root).unwrap();
    walk.map(|found| match found {
        Found::File(path) => (path.clone(), Some(fs::read(root.join(path)).unwrap())),
        Found::Folder(path) => (path, None),
        other => panic!("{other:?}"),
    })
    .collect()
}

#[test]
fn a_tree_comes_back_as_it_was() {
    let scene = Scene::new();
    scene.write("in/a.csv", b"1;2");
    scene.write("in/empty", b"");
    scene.write("in/a.wax", b"sealed twice");
    scene.write("in/one/two/three/large", &vec![7; LARGE_LEN as usize + 1]);
    scene.write("in/one/large", &vec![8; LARGE_LEN as usize]);
    fs::create_dir(scene.path("in/nothing")).unwrap();
    fs::write(scene.path("in").join(OsStr::from_bytes(b"no\xffutf-8")), b"x").unwrap();
    let long_ago = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 123_456_789);
    scene.set_modified("in/a.csv", long_ago);
    let (sealed, _) = scene.seal();
    assert_eq!((sealed.done, sealed.files()), (6, 6));
    assert_eq!(sealed.plaintext_len, 2 * LARGE_LEN + 1 + 3 + 12 + 1);
    assert!(scene.path("sealed/a.wax.wax").is_file() && scene.path("sealed/nothing").is_dir());
    let (opened, _) = scene.open();
    assert_eq!(opened, sealed);
    assert_eq!(contents(&scene.path("opened")), contents(&scene.path("in")));
    assert_eq!(scene.modified("opened/a.csv"), long_ago);
}

#[test]
fn what_is_done_is_not_done_twice() {
    let scene = Scene::new();
    scene.write("in/a", b"first");
    scene.write("in/b", b"first");
    scene.seal();
    scene.open();
    let before = contents(&scene.path("sealed"));
    scene.write("in/c", b"new");
    let (again, _) = scene.seal();
    assert_eq!((again.done, again.up_to_date, again.failed), (1, 2, 0));
    let after = contents(&scene.path("sealed"));
    assert!(before.iter().all(|(path, bytes)| after[path] == *bytes), "something was sealed anew");
    let (again, _) = scene.open();
    assert_eq!((again.done, again.up_to_date, again.failed), (1, 2, 0));
}

/// A name that is taken is not enough: what stands there must be what this run would give.
#[test]
fn what_differs_is_kept_and_reported_unless_replaced() {
    type Change = (&'static str, fn(&Scene));
    let changes: [Change; 6] = [
        ("the input is newer", |scene| {
            scene.set_modified("in/a", SystemTime::now() + Duration::from_secs(9))
        }),
        ("the input is longer", |scene| {
            let at = scene.modified("in/a");
            scene.write("in/a", b"longer than before");
            scene.set_modified("in/a", at);
        }),
        ("the output is no envelope", |scene| {
            let at = scene.modified("in/a");
            scene.write("sealed/a.wax", b"precious");
            scene.set_modified("sealed/a.wax", at);
        }),
        ("the output is cut", |scene| {
            let at = scene.modified("in/a");
            let bytes = fs::read(scene.path("sealed/a.wax")).unwrap();
            scene.write("sealed/a.wax", &bytes[..bytes.len() - 1]);
            scene.set_modified("sealed/a.wax", at);
        }),
        ("the output is a link to what it should be", |scene| {
            fs::rename(scene.path("sealed/a.wax"), scene.path("elsewhere")).unwrap();
            symlink(scene.path("elsewhere"), scene.path("sealed/a.wax")).unwrap();
        }),
        ("the output is a folder", |scene| {
            fs::remove_file(scene.path("sealed/a.wax")).unwrap();
            fs::create_dir(scene.path("sealed/a.wax")).unwrap();
        }),
    ];
    for (what, change) in changes {
        let scene = Scene::new();
        scene.write("in/a", b"first");
        scene.write("in/b", b"first");
        scene.seal();
        change(&scene);
        let (summary, told) = scene.seal();
        assert_eq!((summary.up_to_date, summary.failed), (1, 1), "{what}");
        assert_eq!(told[Path::new("a")], Error::OutputExists.to_string(), "{what}");
        let forced = scene.seal_with(&scene.keyring, Existing::Replace, &Work::default()).unwrap().0;
        let is_folder = scene.path("sealed/a.wax").is_dir();
        assert_eq!(forced.done, if is_folder { 1 } else { 2 }, "{what}");
    }
}

#[test]
fn files_for_other_recipients_are_not_taken_for_done() {
    let scene = Scene::new();
    scene.write("in/a", b"first");
    scene.seal();
    let other = scene.seal_with(&keyring("other"), Existing::Keep, &Work::default()).unwrap().0;
    assert_eq!((other.up_to_date, other.failed), (0, 1));
    let mut more = scene.keyring.clone();
    more.push(Kek::generate("more", &SystemRandom).unwrap());
    assert_eq!(scene.seal_with(&more, Existing::Keep, &Work::default()).unwrap().0.failed, 1);
}

#[test]
fn attack_28_links_and_special_files_are_reported_and_not_followed() {
    let scene = Scene::new();
    scene.write("secret/file", b"not part of it");
    scene.write("in/a", b"a");
    symlink(scene.path("secret"), scene.path("in/folder-link")).unwrap();
    symlink(scene.path("secret/file"), scene.path("in/file-link")).unwrap();
    symlink(scene.path("in"), scene.path("in/loop")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        scene.path("in/pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    let (summary, told) = scene.seal();
    assert_eq!((summary.done, summary.left_out, summary.failed), (1, 4, 0));
    assert_eq!(told[Path::new("pipe")], "Special");
    for link in ["folder-link", "file-link", "loop"] {
        assert_eq!(told[Path::new(link)], "Link");
    }
    assert_eq!(contents(&scene.path("sealed")).len(), 1);
    scene.write("sealed/README", b"not sealed");
    assert_eq!(scene.open().1[Path::new("README")], "NotSealed");
}

#[test]
fn attack_28_a_link_in_the_output_is_not_written_through() {
    let scene = Scene::new();
    scene.write("in/sub/a", b"a");
    scene.write("in/b", b"b");
    fs::create_dir(scene.path("elsewhere")).unwrap();
    fs::create_dir(scene.path("sealed")).unwrap();
    symlink(scene.path("elsewhere"), scene.path("sealed/sub")).unwrap();
    let (summary, told) = scene.seal();
    assert_eq!((summary.done, summary.failed), (1, 1));
    assert_eq!(told[Path::new("sub")], "writing the output failed");
    assert_eq!(contents(&scene.path("elsewhere")).len(), 0);
}

#[test]
fn attack_09_a_changed_file_fails_alone_and_leaves_nothing() {
    let scene = Scene::new();
    for name in ["a", "b", "c"] {
        scene.write(&format!("in/{name}"), name.as_bytes());
    }
    scene.seal();
    let mut bytes = fs::read(scene.path("sealed/b.wax")).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(scene.path("sealed/b.wax"), bytes).unwrap();
    let (summary, told) = scene.open();
    assert_eq!((summary.done, summary.failed), (2, 1));
    assert_eq!(told[Path::new("b.wax")], "the data is not authentic");
    assert_eq!(
        contents(&scene.path("opened")).into_keys().collect::<Vec<_>>(),
        [Path::new("a"), Path::new("c")]
    );
}

#[test]
fn an_output_within_the_input_is_refused() {
    let scene = Scene::new();
    scene.write("in/a", b"a");
    symlink(scene.path("in"), scene.path("alias")).unwrap();
    for output in ["in", "in/sub", "alias/sub", "in/../in"] {
        let refused = scene.run(["in", output], Existing::Keep, |tree, report| {
            seal_tree(tree, &scene.keyring, &SealOptions::default(), &SystemRandom, &Work::default(), report)
        });
        assert!(matches!(refused, Err(Error::OutputInside)), "{output}");
    }
}

#[test]
fn folders_that_nest_too_deep_fail_alone() {
    let scene = Scene::new();
    scene.write("in/a", b"a");
    let deep: PathBuf = std::iter::repeat_n("d", DEPTH_MAX + 3).collect();
    fs::create_dir_all(scene.path("in").join(&deep)).unwrap();
    let (summary, told) = scene.seal();
    assert_eq!((summary.done, summary.failed), (1, 1));
    assert_eq!(told.keys().map(|path| path.components().count()).collect::<Vec<_>>(), [1, DEPTH_MAX]);
}

/// Stops after some files.
struct StopsAfter(AtomicU64);

impl Observer for StopsAfter {
    fn stopped(&self) -> bool {
        self.0.fetch_sub(1, Ordering::Relaxed) == 0
    }
}

#[test]
fn a_stopped_run_leaves_whole_files_and_is_gone_on_with() {
    let scene = Scene::new();
    for i in 0..200 {
        scene.write(&format!("in/{i}"), &[i; 100]);
    }
    let work = Work { observer: &StopsAfter(AtomicU64::new(150)), ..Work::default() };
    let stopped = scene.seal_with(&scene.keyring, Existing::Keep, &work);
    assert!(matches!(stopped, Err(Error::Stopped)), "{stopped:?}");
    let made = contents(&scene.path("sealed")).len() as u64;
    assert!((1..200).contains(&made), "{made}");
    let (summary, _) = scene.seal();
    assert_eq!((summary.up_to_date, summary.done), (made, 200 - made));
    scene.open();
    assert_eq!(contents(&scene.path("opened")), contents(&scene.path("in")));
}

#[test]
fn the_length_of_a_tree_is_that_of_its_files() {
    let scene = Scene::new();
    scene.write("in/a", &[0; 10]);
    scene.write("in/b/c", &[0; 5]);
    symlink(scene.path("in/a"), scene.path("in/link")).unwrap();
    assert_eq!(tree_len(&scene.path("in")), 15);
    assert_eq!(tree_len(&scene.path("absent")), 0);
}
