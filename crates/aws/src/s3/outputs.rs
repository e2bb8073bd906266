use std::io::{self, Write};
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use aws_sdk_s3::types::CompletedPart;
use bytes::Bytes;
use tokio::io::AsyncReadExt as _;
use tokio::task::JoinHandle;
use waxwing_aws_lc::Cleansed;
use waxwing_delivery::worker::{Outputs, Published, Staged};

use super::bucket::Bucket;
use super::fault::Fault;
use super::upload::{Kind, Made, NewObject, PART_LEN, PARTS_MAX, Upload};
use super::{Encryption, S3Error, S3Options, probe};
use crate::quiet::quiet;
use crate::runtime::{self, Broken};

/// What outputs are called by their store, unless the caller says otherwise.
pub const CONTENT_TYPE_DEFAULT: &str = "text/csv";
/// How long giving an output up may take.
const ABORT_TIME_MAX: Duration = Duration::from_secs(10);

/// How outputs are published.
#[derive(Debug, Clone)]
pub struct S3OutputOptions {
    /// Where.
    pub s3: S3Options,
    /// Their `Content-Type`.
    pub content_type: String,
    /// How the store is to encrypt them.
    pub encryption: Encryption,
}

/// Outputs as objects of a bucket. What is staged is an upload that nobody sees; memory: two parts of [`PART_LEN`] for each.
#[derive(Debug, Clone)]
pub struct S3Outputs {
    bucket: Bucket,
    kind: Kind,
}

impl S3Outputs {
    /// Outputs in a bucket. Nobody is asked yet; see [`S3Outputs::check`].
    ///
    /// # Errors
    ///
    /// [`S3Error::Name`].
    pub fn new(options: S3OutputOptions) -> Result<Self, S3Error> {
        let S3OutputOptions { s3, content_type, encryption } = options;
        Ok(Self { bucket: Bucket::new(s3)?, kind: Kind { content_type: Some(content_type), encryption } })
    }

    /// Finds out whether the store keeps what outputs rest on: that a name is given once (`If-None-Match: *`), in one request and in
    /// parts, and that it encrypts as it is asked. Puts a small object under [`PROBE_NAME`](super::PROBE_NAME), which stays. Blocks.
    ///
    /// # Errors
    ///
    /// [`S3Error::ConditionIgnored`], [`S3Error::Encryption`], and why the store cannot be used at all.
    pub fn check(&self) -> Result<(), S3Error> {
        let (bucket, kind) = (self.bucket.clone(), self.kind.clone());
        runtime::wait(async move { probe::check(&bucket, &kind).await })
    }
}

impl Outputs for S3Outputs {
    fn stage(&self, name: &str) -> io::Result<Box<dyn Staged>> {
        let key = self.bucket.key(name).map_err(S3Error::into_io)?;
        let object = NewObject::new(&self.bucket, key, &self.kind).map_err(S3Error::into_io)?;
        let buffer = Cleansed::default();
        Ok(Box::new(StagedObject { state: State::Small(object), buffer, len: 0 }))
    }
}

/// An output on its way.
struct StagedObject {
    state: State,
    /// What was written and not sent yet: less than a part.
    buffer: Cleansed,
    len: u64,
}

enum State {
    /// All of it is in the buffer.
    Small(NewObject),
    Parts(Parts),
    /// It was published or given up.
    Over,
}

/// Parts that were sent, the last of which may be on its way.
struct Parts {
    upload: Upload,
    sent: Vec<CompletedPart>,
    sending: Option<JoinHandle<Result<CompletedPart, S3Error>>>,
    number: i32,
    key: String,
    bucket: Bucket,
}

impl Parts {
    /// Sends one more part, when the one before has arrived.
    fn send(&mut self, bytes: Bytes) -> Result<(), S3Error> {
        self.settle()?;
        self.number += 1;
        if i64::from(self.number) > PARTS_MAX as i64 {
            return Err(S3Error::TooLarge(PARTS_MAX * PART_LEN as u64));
        }
        self.sending = Some(runtime::spawn(self.upload.parts().send(self.number, bytes))?);
        Ok(())
    }

    /// Waits for the part that is on its way.
    fn settle(&mut self) -> Result<(), S3Error> {
        if let Some(sending) = self.sending.take() {
            let sent = runtime::wait(async move { sending.await.map_err(|err| Broken(err.to_string()))? });
            self.sent.push(sent?);
        }
        Ok(())
    }
}

impl StagedObject {
    /// Sends what is in the buffer, which is full.
    fn send(&mut self) -> Result<(), S3Error> {
        if let State::Small(_) = self.state {
            let State::Small(object) = std::mem::replace(&mut self.state, State::Over) else {
                unreachable!("it was just seen")
            };
            let (key, bucket) = (object.key().to_owned(), object.bucket().clone());
            let upload = runtime::wait(async move { object.begin().await })?;
            self.state =
                State::Parts(Parts { upload, sent: Vec::new(), sending: None, number: 0, key, bucket });
        }
        let State::Parts(parts) = &mut self.state else {
            return Err(S3Error::Unexpected("the upload is over".to_owned()));
        };
        // Wiped when the last who needs it lets go.
        parts.send(Bytes::from_owner(std::mem::take(&mut self.buffer)))
    }

    fn publish(mut self, sha256: [u8; 32]) -> Result<Published, S3Error> {
        if matches!(self.state, State::Parts(_)) && !self.buffer.is_empty() {
            self.send()?;
        }
        let (made, bucket, key) = match std::mem::replace(&mut self.state, State::Over) {
            State::Small(object) => {
                let (bucket, key) = (object.bucket().clone(), object.key().to_owned());
                let body = Bytes::from_owner(std::mem::take(&mut self.buffer));
                (runtime::wait(async move { object.put(body).await })?, bucket, key)
            }
            State::Parts(mut parts) => {
                if let Err(err) = parts.settle() {
                    self.state = State::Parts(parts);
                    return Err(err);
                }
                let Parts { upload, sent, key, bucket, .. } = parts;
                (runtime::wait(async move { upload.complete(sent).await })?, bucket, key)
            }
            State::Over => return Err(S3Error::Unexpected("the upload is over".to_owned())),
        };
        match made {
            Made::Stored(_) => Ok(Published::Now),
            Made::Taken => {
                let len = self.len;
                let same = runtime::wait(async move { is_same(&bucket, &key, len, sha256).await })?;
                Ok(if same { Published::Before } else { Published::NameTaken })
            }
        }
    }
}

impl Write for StagedObject {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() == PART_LEN {
            self.send().map_err(S3Error::into_io)?;
        }
        if self.buffer.capacity() == 0 && matches!(self.state, State::Parts(_)) {
            self.buffer = Cleansed::with_capacity(PART_LEN);
        }
        let room = PART_LEN - self.buffer.len();
        let taken = &bytes[..bytes.len().min(room)];
        self.buffer.extend_from_slice(taken);
        self.len += taken.len() as u64;
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Staged for StagedObject {
    fn publish(self: Box<Self>, sha256: &[u8; 32]) -> io::Result<Published> {
        StagedObject::publish(*self, *sha256).map_err(S3Error::into_io)
    }
}

impl Drop for StagedObject {
    fn drop(&mut self) {
        let State::Parts(parts) = std::mem::replace(&mut self.state, State::Over) else { return };
        runtime::wait_at_most(ABORT_TIME_MAX, async move {
            if let Some(sending) = parts.sending {
                sending.abort();
                // A part that arrives after the upload was given up would stay.
                let _ = sending.await;
            }
            parts.upload.abort().await;
        });
    }
}

/// Whether an object has this length and this SHA-256.
async fn is_same(bucket: &Bucket, key: &str, len: u64, sha256: [u8; 32]) -> Result<bool, S3Error> {
    let call = bucket.client().await?.get_object().bucket(bucket.name()).key(key);
    let found = quiet(call.send()).await.map_err(Fault::new)?;
    if found.content_length().and_then(|len| u64::try_from(len).ok()) != Some(len) {
        return Ok(false);
    }
    let mut body = found.body.into_async_read().take(len);
    let (mut digest, mut buffer) = (Context::new(&SHA256), vec![0; 64 << 10]);
    loop {
        let read = body.read(&mut buffer).await;
        match read.map_err(|err| S3Error::Unreachable(waxwing_keyring::said(&err.to_string())))? {
            0 => return Ok(digest.finish().as_ref() == sha256),
            read => digest.update(&buffer[..read]),
        }
    }
}
