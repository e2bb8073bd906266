//! An object that appears whole, and only if its name is free.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand;
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;
use tracing::warn;
use waxwing_store::ETag;

use super::Encryption;
use super::bucket::{Bucket, etag, for_data, missing};
use super::encryption::Encrypted;
use super::fault::{Fault, S3Error};
use crate::quiet::quiet;
use crate::runtime;

/// How long a part is, in bytes, unless the object needs longer ones to fit. An object of at most one part is put in one
/// request.
pub const PART_LEN: usize = 8 << 20;
/// The most parts of one object, by the API reference.
pub(super) const PARTS_MAX: u64 = 10_000;
/// The status of an answer by which the name is known to be taken.
const PRECONDITION_FAILED: u16 = 412;
/// The metadata in which an object carries its token.
pub(super) const TOKEN_NAME: &str = "waxwing-upload";
/// How often a put is made that the store ends because somebody else is busy with the name.
const CONFLICTS_MAX: u32 = 4;
/// How long it waits before it is made again.
const CONFLICT_WAIT: Duration = Duration::from_millis(250);

/// What an object is to be, beside its bytes.
#[derive(Debug, Clone)]
pub(super) struct Kind {
    pub(super) content_type: Option<String>,
    pub(super) encryption: Encryption,
}

/// What became of an object.
#[derive(Debug)]
pub(super) enum Made {
    /// It is there.
    Stored(ETag),
    /// The name was taken.
    Taken,
}

/// An object that does not exist yet.
#[derive(Debug)]
pub(super) struct NewObject {
    bucket: Bucket,
    key: String,
    kind: Kind,
    token: String,
}

/// Whose object has the name.
enum Whose {
    Nobodys,
    Ours(ETag),
    Anothers,
}

impl NewObject {
    pub(super) fn new(bucket: &Bucket, key: String, kind: &Kind) -> Result<Self, S3Error> {
        let mut random = [0; 16];
        rand::fill(&mut random)
            .map_err(|_| S3Error::Unexpected("the operating system's random generator failed".into()))?;
        let token = random.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { bucket: bucket.clone(), key, kind: kind.clone(), token })
    }

    pub(super) fn bucket(&self) -> &Bucket {
        &self.bucket
    }

    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// Puts all of it in one request.
    pub(super) async fn put(&self, body: Bytes) -> Result<Made, S3Error> {
        for _ in 1..CONFLICTS_MAX {
            match self.put_now(body.clone()).await {
                Err(S3Error::Conflict(_)) => tokio::time::sleep(CONFLICT_WAIT).await,
                made => return made,
            }
        }
        self.put_now(body).await
    }

    async fn put_now(&self, body: Bytes) -> Result<Made, S3Error> {
        let Self { bucket, key, kind, token } = self;
        let call = bucket
            .client()
            .await?
            .put_object()
            .bucket(bucket.name())
            .key(key)
            .if_none_match("*")
            .set_content_type(kind.content_type.clone())
            .set_server_side_encryption(kind.encryption.header())
            .set_ssekms_key_id(kind.encryption.key_id())
            .metadata(TOKEN_NAME, token)
            .checksum_algorithm(ChecksumAlgorithm::Crc32)
            .body(body.into());
        match quiet(call.customize().config_override(for_data()).send()).await.map_err(Fault::new) {
            Ok(done) => {
                let tag = etag(done.e_tag());
                let encrypted = Encrypted { how: done.server_side_encryption, key_id: done.ssekms_key_id };
                self.keep_if_encrypted(&encrypted).await?;
                Ok(Made::Stored(tag?))
            }
            Err(fault) => self.look_after(fault).await,
        }
    }

    /// Deletes the object that was just put if it is not encrypted as asked.
    async fn keep_if_encrypted(&self, done: &Encrypted) -> Result<(), S3Error> {
        let Err(refused) = self.kind.encryption.check(done) else { return Ok(()) };
        match self.bucket.delete(&self.key).await {
            Ok(()) => Err(refused),
            Err(err) => Err(S3Error::NotDeleted(Box::new(refused), Box::new(err))),
        }
    }

    /// What became of an object whose put failed so: a put may be done and its answer lost, and then be made again on its way.
    ///
    /// Whoever may not list the bucket is told 403 of an object that is not there, as the roles of `deploy/aws` are.
    async fn look_after(&self, Fault { status, error }: Fault) -> Result<Made, S3Error> {
        if !(error.leaves_doubt() || matches!(error, S3Error::Conflict(_) | S3Error::NoObject(_))) {
            return Err(error);
        }
        match self.whose().await {
            Ok(Whose::Ours(tag)) => Ok(Made::Stored(tag)),
            Ok(Whose::Anothers) => Ok(Made::Taken),
            // What failed first tells more.
            Ok(Whose::Nobodys) | Err(S3Error::Unreachable(_) | S3Error::NotReady(_)) => Err(error),
            Err(S3Error::Denied(_)) if status != Some(PRECONDITION_FAILED) => Err(error),
            Err(err) => Err(err),
        }
    }

    async fn whose(&self) -> Result<Whose, S3Error> {
        match self.bucket.head(&self.key).await? {
            None => Ok(Whose::Nobodys),
            Some(head) if head.token.as_ref() == Some(&self.token) => {
                self.keep_if_encrypted(&head.encrypted).await?;
                Ok(Whose::Ours(head.meta.etag))
            }
            Some(_) => Ok(Whose::Anothers),
        }
    }

    /// Begins to put it in parts. None is sent if the store says that it will not encrypt them as asked.
    pub(super) async fn begin(self) -> Result<Upload, S3Error> {
        let Self { bucket, key, kind, token } = &self;
        let call = bucket
            .client()
            .await?
            .create_multipart_upload()
            .bucket(bucket.name())
            .key(key)
            .set_content_type(kind.content_type.clone())
            .set_server_side_encryption(kind.encryption.header())
            .set_ssekms_key_id(kind.encryption.key_id())
            .metadata(TOKEN_NAME, token)
            .checksum_algorithm(ChecksumAlgorithm::Crc32);
        let begun = quiet(call.send()).await.map_err(Fault::new)?;
        let id = begun.upload_id.ok_or_else(|| missing("UploadId"))?;
        let encrypted = Encrypted { how: begun.server_side_encryption, key_id: begun.ssekms_key_id };
        let as_asked = kind.encryption.check_begun(&encrypted);
        let upload = Upload { parts: PartSender(Arc::new(Begun { object: self, id })), is_open: true };
        match as_asked {
            Ok(()) => Ok(upload),
            Err(err) => {
                upload.abort().await;
                Err(err)
            }
        }
    }
}

/// An object that is being put in parts. Dropped, it is given up, a moment later.
#[derive(Debug)]
pub(super) struct Upload {
    parts: PartSender,
    is_open: bool,
}

/// Sends parts, several at once.
#[derive(Debug, Clone)]
pub(super) struct PartSender(Arc<Begun>);

#[derive(Debug)]
struct Begun {
    object: NewObject,
    id: String,
}

impl PartSender {
    /// Sends the part with this number, from 1.
    pub(super) async fn send(self, number: i32, body: Bytes) -> Result<CompletedPart, S3Error> {
        let Begun { object: NewObject { bucket, key, .. }, id } = &*self.0;
        let call = bucket
            .client()
            .await?
            .upload_part()
            .bucket(bucket.name())
            .key(key)
            .upload_id(id)
            .part_number(number)
            .checksum_algorithm(ChecksumAlgorithm::Crc32)
            .body(body.into());
        let sent = quiet(call.customize().config_override(for_data()).send()).await.map_err(Fault::new)?;
        let part = CompletedPart::builder()
            .part_number(number)
            .set_e_tag(Some(sent.e_tag.ok_or_else(|| missing("ETag"))?))
            .set_checksum_crc32(sent.checksum_crc32);
        Ok(part.build())
    }
}

impl Upload {
    pub(super) fn parts(&self) -> PartSender {
        self.parts.clone()
    }

    /// Makes the object appear.
    pub(super) async fn complete(mut self, mut parts: Vec<CompletedPart>) -> Result<Made, S3Error> {
        parts.sort_by_key(CompletedPart::part_number);
        let Begun { object, id } = &*self.parts.0;
        let call = object
            .bucket
            .client()
            .await?
            .complete_multipart_upload()
            .bucket(object.bucket.name())
            .key(&object.key)
            .upload_id(id)
            .if_none_match("*")
            .multipart_upload(CompletedMultipartUpload::builder().set_parts(Some(parts)).build());
        let made = match quiet(call.customize().config_override(for_data()).send()).await.map_err(Fault::new)
        {
            Ok(done) => {
                let tag = etag(done.e_tag());
                let encrypted = Encrypted { how: done.server_side_encryption, key_id: done.ssekms_key_id };
                match object.kind.encryption.check(&encrypted) {
                    Ok(()) => tag.map(Made::Stored),
                    // Not every store says so here; what it says of the object counts.
                    Err(_) => {
                        let error = S3Error::Unexpected("no word of the encryption".into());
                        object.look_after(Fault { status: None, error }).await
                    }
                }
            }
            Err(fault) => object.look_after(fault).await,
        };
        if let Ok(Made::Stored(_)) = made {
            self.is_open = false;
        } else {
            self.abort().await;
        }
        made
    }

    /// Gives it up, with all that was sent.
    pub(super) async fn abort(mut self) {
        self.is_open = false;
        self.parts.0.abort().await;
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if self.is_open {
            let parts = self.parts.clone();
            // Without a runtime there was no upload.
            let _ = runtime::spawn(async move { parts.0.abort().await });
        }
    }
}

impl Begun {
    async fn abort(&self) {
        let Self { object, id } = self;
        let ended = async {
            let client = object.bucket.client().await?;
            let call =
                client.abort_multipart_upload().bucket(object.bucket.name()).key(&object.key).upload_id(id);
            match quiet(call.send()).await.map_err(Fault::new) {
                Ok(_) | Err(Fault { error: S3Error::NoObject(_), .. }) => Ok(()),
                Err(fault) => Err(fault.error),
            }
        };
        if let Err(error) = ended.await {
            warn!(bucket = object.bucket.name(), upload = id, %error, "an unfinished upload stays in the bucket");
        }
    }
}
