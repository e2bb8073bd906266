use std::{
    fs::{self, File, Metadata},
    io::{self, Seek as _, SeekFrom, Write as _},
    ops::Range,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use aws_lc_rs::digest;
use futures_core::future::BoxFuture;
use tokio::{io::AsyncReadExt as _, task};

use crate::{
    Durability, ETag, Object, ObjectMeta, ObjectName, ObjectStore, PresignError, PresignedUrl, Publication,
    Put, SignedMethod, StoreError, Upload, UploadSource, UrlSigner,
    publish::{publish_once, stage, sweep, sync_dir},
};

/// Objects as files below one directory, which may be a NAS.
///
/// Object `data/x` is the file `ROOT/data/x`, mode 0600. Uploads grow in `ROOT/.staging`, on the same file system and out of
/// every object name's reach, and are renamed when complete. Must be used within a Tokio runtime: file work runs on its
/// blocking threads.
#[derive(Debug, Clone)]
pub struct DirStore {
    root: PathBuf,
    durability: Durability,
    signer: Option<UrlSigner>,
}

impl DirStore {
    /// Opens the store in `root`, and makes the directory (mode 0700) if it is absent.
    ///
    /// # Errors
    ///
    /// [`StoreError::Root`].
    pub fn open(root: impl Into<PathBuf>, durability: Durability) -> Result<Self, StoreError> {
        let root = root.into();
        make_private_dir(&root.join(STAGING)).map_err(|source| StoreError::root("make", &root, source))?;
        Ok(Self { root, durability, signer: None })
    }

    /// The same store, which now can pre-sign URLs of the server that `signer` stands for.
    #[must_use]
    pub fn with_signer(self, signer: UrlSigner) -> Self {
        Self { signer: Some(signer), ..self }
    }

    /// Removes what uploads that were killed left behind; returns how many files. Uploads in progress, of any process, stay.
    ///
    /// # Errors
    ///
    /// [`StoreError::Root`].
    pub fn sweep(&self) -> Result<u64, StoreError> {
        sweep(&self.root.join(STAGING)).map_err(|source| StoreError::root("sweep", &self.root, source))
    }

    fn put_now(&self, name: &ObjectName, upload: &Upload) -> Result<Put, StoreError> {
        let store = |source| StoreError::Io { action: "store", name: name.clone(), source };
        let target = name.below(&self.root);
        // Saves the copy; the answer that counts is publish_once's.
        if fs::symlink_metadata(&target).is_ok() {
            return Ok(Put::AlreadyThere);
        }
        let mut staged = stage(&self.root.join(STAGING)).map_err(store)?;
        match upload.source() {
            UploadSource::Bytes(bytes) => staged.write_all(bytes).map_err(store)?,
            UploadSource::File(path) => {
                let mut source =
                    File::open(path).map_err(|source| StoreError::Upload { path: path.clone(), source })?;
                // Copied in the kernel where it can be, in small pieces where it cannot.
                io::copy(&mut source, staged.as_file_mut()).map_err(store)?;
            }
        }
        let meta = describe(&staged.as_file().metadata().map_err(store)?);
        self.make_parents(&target).map_err(store)?;
        match publish_once(staged, &target, self.durability).map_err(store)? {
            Publication::Published => Ok(Put::Stored(meta)),
            Publication::AlreadyThere => Ok(Put::AlreadyThere),
        }
    }

    fn open_now(&self, name: &ObjectName) -> Result<(File, ObjectMeta), StoreError> {
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                StoreError::NotFound { name: name.clone() }
            }
            _ => StoreError::Io { action: "open", name: name.clone(), source },
        };
        let file = open_no_follow(&name.below(&self.root)).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if metadata.is_file() {
            Ok((file, describe(&metadata)))
        } else {
            Err(StoreError::NotFound { name: name.clone() })
        }
    }

    fn get_now(
        &self,
        name: &ObjectName,
        range: Option<Range<u64>>,
        if_match: Option<&ETag>,
    ) -> Result<Object, StoreError> {
        let (mut file, meta) = self.open_now(name)?;
        if if_match.is_some_and(|etag| *etag != meta.etag) {
            return Err(StoreError::Changed { name: name.clone() });
        }
        let range = match range {
            None => 0..meta.len,
            Some(range) if range.start < range.end && range.end <= meta.len => range,
            Some(Range { start, end }) => {
                return Err(StoreError::Range { name: name.clone(), start, end, len: meta.len });
            }
        };
        file.seek(SeekFrom::Start(range.start)).map_err(|source| StoreError::Io {
            action: "read",
            name: name.clone(),
            source,
        })?;
        let body = Box::pin(tokio::fs::File::from_std(file).take(range.end - range.start));
        Ok(Object { meta, range, body })
    }

    fn delete_now(&self, name: &ObjectName) -> Result<(), StoreError> {
        let target = name.below(&self.root);
        let removed = fs::remove_file(&target).and_then(|()| match (self.durability, target.parent()) {
            (Durability::Synced, Some(dir)) => sync_dir(dir),
            _ => Ok(()),
        });
        match removed {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Ok(())
            }
            removed => {
                removed.map_err(|source| StoreError::Io { action: "delete", name: name.clone(), source })
            }
        }
    }

    /// Makes the directories between root and target. Each new one is an entry of its parent that must survive, too.
    fn make_parents(&self, target: &Path) -> io::Result<()> {
        let Some(parent) = target.parent().filter(|parent| !parent.is_dir()) else { return Ok(()) };
        make_private_dir(parent)?;
        if self.durability == Durability::Synced {
            for dir in parent.ancestors().skip(1).take_while(|dir| dir.starts_with(&self.root)) {
                sync_dir(dir)?;
            }
        }
        Ok(())
    }

    /// Runs `work` on a thread that may block.
    fn blocking<'a, T, F>(
        &self,
        action: &'static str,
        name: &'a ObjectName,
        work: F,
    ) -> BoxFuture<'a, Result<T, StoreError>>
    where
        T: Send + 'static,
        F: FnOnce(&Self, &ObjectName) -> Result<T, StoreError> + Send + 'static,
    {
        let store = self.clone();
        Box::pin(async move {
            let owned = name.clone();
            // A join error means that the runtime is going down, or a panic, which is a bug: both end this call only.
            task::spawn_blocking(move || work(&store, &owned)).await.unwrap_or_else(|error| {
                Err(StoreError::Io { action, name: name.clone(), source: error.into() })
            })
        })
    }
}

impl ObjectStore for DirStore {
    fn put<'a>(&'a self, name: &'a ObjectName, upload: Upload) -> BoxFuture<'a, Result<Put, StoreError>> {
        self.blocking("store", name, move |store, name| store.put_now(name, &upload))
    }

    fn get<'a>(&'a self, name: &'a ObjectName) -> BoxFuture<'a, Result<Object, StoreError>> {
        self.blocking("open", name, |store, name| store.get_now(name, None, None))
    }

    fn get_range<'a>(
        &'a self,
        name: &'a ObjectName,
        range: Range<u64>,
        if_match: Option<&'a ETag>,
    ) -> BoxFuture<'a, Result<Object, StoreError>> {
        let if_match = if_match.cloned();
        self.blocking("open", name, move |store, name| store.get_now(name, Some(range), if_match.as_ref()))
    }

    fn head<'a>(&'a self, name: &'a ObjectName) -> BoxFuture<'a, Result<ObjectMeta, StoreError>> {
        self.blocking("open", name, |store, name| store.open_now(name).map(|(_, meta)| meta))
    }

    fn delete<'a>(&'a self, name: &'a ObjectName) -> BoxFuture<'a, Result<(), StoreError>> {
        self.blocking("delete", name, Self::delete_now)
    }

    fn presign_get<'a>(
        &'a self,
        name: &'a ObjectName,
        ttl: Duration,
        now: SystemTime,
    ) -> BoxFuture<'a, Result<PresignedUrl, StoreError>> {
        let url = match &self.signer {
            Some(signer) => signer.presign(SignedMethod::Get, name, ttl, now),
            None => Err(PresignError::NoSigner),
        };
        Box::pin(std::future::ready(url.map_err(StoreError::Presign)))
    }
}

/// The tag of a file that is never written again: a digest, so that it tells strangers nothing, of inode, length and time.
#[cfg(unix)]
fn describe(metadata: &Metadata) -> ObjectMeta {
    use std::os::unix::fs::MetadataExt as _;
    let version =
        format!("{} {} {} {}", metadata.ino(), metadata.len(), metadata.mtime(), metadata.mtime_nsec());
    let digest = digest::digest(&digest::SHA256, version.as_bytes());
    let (short, _) = digest.as_ref().split_at(16);
    ObjectMeta { len: metadata.len(), etag: ETag::from_hex(&hex::encode(short)) }
}

/// Opens for reading; a symbolic link is an error, and a FIFO does not block.
fn open_no_follow(path: &Path) -> io::Result<File> {
    use rustix::fs::{Mode, OFlags, open};
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(File::from(open(path, flags, Mode::empty())?))
}

fn make_private_dir(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

const STAGING: &str = ".staging";

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::PermissionsExt as _, sync::Arc};

    use super::*;
    use crate::SigningKey;

    fn store() -> (tempfile::TempDir, DirStore) {
        let dir = tempfile::tempdir().unwrap();
        let store = DirStore::open(dir.path().join("objects"), Durability::Synced).unwrap();
        (dir, store)
    }

    fn name(n: u8) -> ObjectName {
        ObjectName::from_random([n; 12])
    }

    async fn read(object: Object) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut body = object.body;
        body.read_to_end(&mut bytes).await.unwrap();
        bytes
    }

    #[tokio::test]
    async fn what_was_put_is_got() {
        let (dir, store) = store();
        let path = dir.path().join("source");
        let content: Vec<u8> = (0..300_000_u32).map(|n| n as u8).collect();
        fs::write(&path, &content).unwrap();

        let Put::Stored(meta) = store.put(&name(1), Upload::file(&path)).await.unwrap() else {
            panic!("the name is new")
        };
        assert_eq!(meta.len, content.len() as u64);
        assert_eq!(store.head(&name(1)).await.unwrap(), meta);
        let object = store.get(&name(1)).await.unwrap();
        assert_eq!((&object.meta, object.range.clone()), (&meta, 0..meta.len));
        assert_eq!(read(object).await, content);
        let part = store.get_range(&name(1), 299_990..300_000, Some(&meta.etag)).await.unwrap();
        assert_eq!(read(part).await, content[299_990..]);
        let mode =
            fs::metadata(dir.path().join("objects").join(name(1).as_str())).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[tokio::test]
    async fn empty_objects_exist() {
        let (_dir, store) = store();
        let _ = store.put(&name(1), Upload::bytes("")).await.unwrap();
        assert_eq!(read(store.get(&name(1)).await.unwrap()).await, b"");
    }

    #[tokio::test]
    async fn ranges_outside_the_object_are_refused() {
        let (_dir, store) = store();
        let _ = store.put(&name(1), Upload::bytes("0123456789")).await.unwrap();
        assert_eq!(read(store.get_range(&name(1), 0..10, None).await.unwrap()).await, b"0123456789");
        #[allow(clippy::reversed_empty_ranges)]
        for range in [0..11, 10..11, 5..5, 7..3, 0..u64::MAX] {
            assert!(matches!(
                store.get_range(&name(1), range, None).await,
                Err(StoreError::Range { len: 10, .. })
            ));
        }
    }

    #[tokio::test]
    async fn a_name_is_put_once() {
        let (_dir, store) = store();
        let puts: Vec<_> = (0..16_u8)
            .map(|n| {
                let store = store.clone();
                tokio::spawn(
                    async move { (n, store.put(&name(1), Upload::bytes(vec![n; 1000])).await.unwrap()) },
                )
            })
            .collect();
        let mut winners = Vec::new();
        for put in puts {
            if let (n, Put::Stored(_)) = put.await.unwrap() {
                winners.push(n);
            }
        }
        assert_eq!(winners.len(), 1);
        assert_eq!(read(store.get(&name(1)).await.unwrap()).await, vec![winners[0]; 1000]);
    }

    #[tokio::test]
    async fn a_name_used_again_has_another_tag() {
        let (_dir, store) = store();
        let Put::Stored(first) = store.put(&name(1), Upload::bytes("aaaa")).await.unwrap() else {
            panic!("the name is new")
        };
        store.delete(&name(1)).await.unwrap();
        store.delete(&name(1)).await.unwrap();
        assert!(matches!(store.get(&name(1)).await, Err(StoreError::NotFound { .. })));
        // Clocks of file systems tick in milliseconds.
        tokio::time::sleep(Duration::from_millis(20)).await;
        let _ = store.put(&name(1), Upload::bytes("bbbb")).await.unwrap();
        let resumed = store.get_range(&name(1), 2..4, Some(&first.etag)).await;
        assert!(matches!(resumed, Err(StoreError::Changed { .. })));
    }

    #[tokio::test]
    async fn attack_28_leftovers_are_invisible_and_swept() {
        let (dir, store) = store();
        let staging = dir.path().join("objects").join(STAGING);
        let (handle, leftover) = stage(&staging).unwrap().keep().unwrap();
        drop(handle);
        assert!(ObjectName::parse(&format!("{STAGING}/x")).is_err());
        let reopened = DirStore::open(dir.path().join("objects"), Durability::Cached).unwrap();
        assert_eq!((reopened.sweep().unwrap(), store.sweep().unwrap()), (1, 0));
        assert!(!leftover.exists());
    }

    #[tokio::test]
    async fn links_directories_and_pipes_are_no_objects() {
        let (dir, store) = store();
        let root = dir.path().join("objects");
        fs::write(dir.path().join("secret"), "not an object").unwrap();
        std::os::unix::fs::symlink(dir.path().join("secret"), root.join("link")).unwrap();
        fs::create_dir(root.join("dir")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            root.join("fifo"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .unwrap();
        for text in ["link", "dir", "fifo", "fifo/x", "absent"] {
            let name = ObjectName::parse(text).unwrap();
            assert!(store.get(&name).await.is_err(), "{text}");
        }
    }

    #[tokio::test]
    async fn a_missing_upload_stores_nothing() {
        let (dir, store) = store();
        let failed = store.put(&name(1), Upload::file(dir.path().join("absent"))).await;
        assert!(matches!(failed, Err(StoreError::Upload { .. })));
        assert!(matches!(store.head(&name(1)).await, Err(StoreError::NotFound { .. })));
        assert_eq!(fs::read_dir(dir.path().join("objects").join(STAGING)).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn signs_only_with_a_signer() {
        let (_dir, store) = store();
        let sign = |store: DirStore| async move {
            store.presign_get(&name(1), UrlSigner::TTL_DEFAULT, SystemTime::UNIX_EPOCH).await
        };
        assert!(matches!(sign(store.clone()).await, Err(StoreError::Presign(PresignError::NoSigner))));
        let signer = UrlSigner::new("http://127.0.0.1:1", Arc::new(SigningKey::from_bytes([7; 32]))).unwrap();
        assert!(sign(store.with_signer(signer)).await.is_ok());
    }
}
