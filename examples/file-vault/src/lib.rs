//! A small file vault: users upload documents of a fleet, list, download and delete them.
//!
//! Each file is sealed as it arrives, under a data key of its own. What reaches the folder of bodies, which may be a NAS or
//! a synced drive, is ciphertext alone; the envelope's header, with the wrapped data key, is a row in SQLite. Deleting a
//! file deletes that row: without it no copy of the body, in whatever backup, ever opens again.
//!
//! | request | does |
//! |---|---|
//! | `POST /files?name=NAME` | seals the request's body, answers `201` with `{"id": …}` |
//! | `GET /files` | lists the files |
//! | `GET /files/ID` | opens one |
//! | `DELETE /files/ID` | shreds one |

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Path as UrlPath, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use rusqlite::{Connection, OptionalExtension as _, params};
use serde::{Deserialize, Serialize};
use tokio::fs::{self, File};
use tokio::io::AsyncWriteExt as _;
use waxwing::asynchronous::{body, open_body, seal_body};
use waxwing::{Context, Keyring, LockedHeader, Random as _, SealOptions, SystemRandom};

/// The longest name of a file, in bytes.
const NAME_LEN_MAX: usize = 255;
/// The most files that a list shows.
const LISTED_MAX: u32 = 1000;

/// The vault: a folder, a table, and the keys.
pub struct Vault {
    bodies: PathBuf,
    table: Mutex<Connection>,
    /// Whom files are sealed for.
    recipients: Keyring,
    /// What opens them.
    openers: Keyring,
}

/// One file, as it is listed.
#[derive(Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Listed {
    /// Names it in every request.
    pub id: String,
    /// What its owner calls it.
    pub name: String,
    /// Bytes of its plaintext.
    pub len: i64,
}

/// Why a request failed. What is told to the client says little; the log has the rest.
#[derive(Debug)]
pub enum VaultError {
    /// The request makes no sense.
    Bad(&'static str),
    /// There is no such file.
    NotFound,
    /// Anything else: the disk, the table, the keys.
    Failed(Box<dyn std::error::Error + Send + Sync>),
}

impl<E: std::error::Error + Send + Sync + 'static> From<E> for VaultError {
    fn from(err: E) -> Self {
        Self::Failed(Box::new(err))
    }
}

impl IntoResponse for VaultError {
    fn into_response(self) -> Response {
        match self {
            Self::Bad(why) => (StatusCode::BAD_REQUEST, why).into_response(),
            Self::NotFound => StatusCode::NOT_FOUND.into_response(),
            Self::Failed(err) => {
                eprintln!("request failed: {err}");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }
}

impl Vault {
    /// Opens the vault in `dir`, which is made if it is not there. Bodies that no row knows, of uploads that were cut, are
    /// removed.
    ///
    /// # Errors
    ///
    /// The disk's and the table's.
    pub fn open(dir: &Path, recipients: Keyring, openers: Keyring) -> Result<Self, VaultError> {
        let bodies = dir.join("bodies");
        std::fs::create_dir_all(&bodies)?;
        let table = Connection::open(dir.join("vault.sqlite"))?;
        // What is deleted is overwritten, and in no log: the header is what a shredded file's key was in.
        table.execute_batch(
            "PRAGMA secure_delete = ON; PRAGMA journal_mode = TRUNCATE; PRAGMA synchronous = FULL;
             CREATE TABLE IF NOT EXISTS files (
                 id TEXT PRIMARY KEY, name TEXT NOT NULL, len INTEGER NOT NULL, header BLOB NOT NULL) STRICT;",
        )?;
        for entry in std::fs::read_dir(&bodies)? {
            let (path, id) = entry.map(|entry| (entry.path(), entry.file_name()))?;
            let known =
                table.query_row("SELECT 1 FROM files WHERE id = ?1", [id.to_string_lossy()], |_| Ok(()));
            if known.optional()?.is_none() {
                std::fs::remove_file(path)?;
            }
        }
        Ok(Self { bodies, table: Mutex::new(table), recipients, openers })
    }

    /// The vault's requests.
    pub fn router(self) -> Router {
        Router::new()
            .route("/files", get(list).post(upload))
            .route("/files/{id}", get(download).delete(shred))
            .layer(DefaultBodyLimit::disable()) // memory does not grow with a body
            .with_state(Arc::new(self))
    }

    fn table(&self) -> MutexGuard<'_, Connection> {
        self.table.lock().expect("nobody panics while holding it")
    }

    /// Where a body is. Only an id that the table has is ever made into a path.
    fn body_path(&self, id: &str) -> PathBuf {
        self.bodies.join(id)
    }

    /// Seals a body as it arrives. The file is complete on the disk before its row makes it known.
    async fn seal(&self, name: &str, plaintext: Body) -> Result<String, VaultError> {
        let id = fresh_id()?;
        let path = self.body_path(&id);
        let sealed = self.seal_to(&path, &id, plaintext).await;
        let (header, len) = match sealed {
            Ok(sealed) => sealed,
            Err(err) => {
                // A body without a row is nothing but garbage, which the next start removes if this fails.
                let _ = fs::remove_file(&path).await;
                return Err(err);
            }
        };
        self.table().execute(
            "INSERT INTO files (id, name, len, header) VALUES (?1, ?2, ?3, ?4)",
            params![id, name, len, header.as_ref()],
        )?;
        Ok(id)
    }

    async fn seal_to(&self, path: &Path, id: &str, plaintext: Body) -> Result<(Bytes, i64), VaultError> {
        let (plaintext, len) = counted(plaintext);
        let options = SealOptions { context: context(id)?, ..SealOptions::default() };
        let sealed = seal_body(Box::pin(plaintext), &self.recipients, options, &SystemRandom).await?;
        let mut sealed = Box::pin(sealed);
        // The first piece is the header, which is kept apart.
        let header = sealed.next().await.ok_or(VaultError::Bad("no header"))??;
        let mut file = File::create_new(path).await?;
        while let Some(frames) = sealed.next().await {
            file.write_all(&frames?).await?;
        }
        file.sync_all().await?;
        Ok((header, len.load(Ordering::Relaxed)))
    }
}

/// Ties a file to its row: a body or header under another id does not open.
fn context(id: &str) -> Result<Context, VaultError> {
    Ok(Context::new([("vault", "fleet documents"), ("id", id)])?)
}

fn fresh_id() -> Result<String, VaultError> {
    let mut bytes = [0; 16];
    SystemRandom.fill(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A body, and how many bytes of it went by.
fn counted(body: Body) -> (impl Stream<Item = io::Result<Bytes>> + Send, Arc<AtomicI64>) {
    let len = Arc::new(AtomicI64::new(0));
    let count = len.clone();
    let pieces = body.into_data_stream().map(move |piece| {
        let piece = piece.map_err(io::Error::other)?;
        count.fetch_add(piece.len() as i64, Ordering::Relaxed);
        Ok(piece)
    });
    (pieces, len)
}

#[derive(Deserialize)]
struct Upload {
    name: String,
}

async fn upload(
    State(vault): State<Arc<Vault>>,
    Query(Upload { name }): Query<Upload>,
    plaintext: Body,
) -> Result<Response, VaultError> {
    if name.is_empty() || name.len() > NAME_LEN_MAX || name.contains(char::is_control) {
        return Err(VaultError::Bad("a name is 1 to 255 bytes without control characters"));
    }
    let id = vault.seal(&name, plaintext).await?;
    Ok((StatusCode::CREATED, Json(serde_json::json!({ "id": id }))).into_response())
}

async fn list(State(vault): State<Arc<Vault>>) -> Result<Json<Vec<Listed>>, VaultError> {
    let table = vault.table();
    let mut query = table.prepare("SELECT id, name, len FROM files ORDER BY name, id LIMIT ?1")?;
    let files = query
        .query_map([LISTED_MAX], |row| Ok(Listed { id: row.get(0)?, name: row.get(1)?, len: row.get(2)? }))?;
    Ok(Json(files.collect::<Result<_, _>>()?))
}

async fn download(
    State(vault): State<Arc<Vault>>,
    UrlPath(id): UrlPath<String>,
) -> Result<Response, VaultError> {
    let row = "SELECT header FROM files WHERE id = ?1";
    let header: Option<Vec<u8>> = vault.table().query_row(row, [&id], |row| row.get(0)).optional()?;
    let header = LockedHeader::decode(&header.ok_or(VaultError::NotFound)?)?;
    let sealed = body(File::open(vault.body_path(&id)).await?);
    let mut opened = Box::pin(open_body(sealed, Some(header), vault.openers.clone(), context(&id)?));
    // The keys are used for the first piece: what they refuse is an answer of its own. A body that proves damaged later breaks
    // the connection off, so that no client takes it for whole.
    let first = opened.next().await.transpose()?;
    let pieces = futures_util::stream::iter(first.map(Ok)).chain(opened);
    let kind = [(header::CONTENT_TYPE, "application/octet-stream")];
    Ok((kind, Body::from_stream(pieces)).into_response())
}

async fn shred(
    State(vault): State<Arc<Vault>>,
    UrlPath(id): UrlPath<String>,
) -> Result<StatusCode, VaultError> {
    // First the key: from here on no copy of the body opens.
    if vault.table().execute("DELETE FROM files WHERE id = ?1", [&id])? == 0 {
        return Err(VaultError::NotFound);
    }
    fs::remove_file(vault.body_path(&id)).await?;
    Ok(StatusCode::NO_CONTENT)
}
