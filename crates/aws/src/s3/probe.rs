//! Whether a store does what outputs rest on.

use bytes::Bytes;

use super::S3Error;
use super::bucket::Bucket;
use super::upload::{Kind, Made, NewObject};

/// What the object is called by which a store is tried, below the prefix.
pub const PROBE_NAME: &str = ".waxwing-probe";
const PROBE: &[u8] = b"A Waxwing worker tried here whether a name is given once. It may be deleted.\n";

pub(super) async fn check(bucket: &Bucket, kind: &Kind) -> Result<(), S3Error> {
    let probe = || NewObject::new(bucket, bucket.key(PROBE_NAME)?, kind);
    if let Made::Taken = probe()?.put(Bytes::from_static(PROBE)).await? {
        // From an earlier start, perhaps with another encryption.
        let head = bucket.head(&bucket.key(PROBE_NAME)?).await?;
        kind.encryption.check(&head.ok_or_else(gone)?.encrypted)?;
    }
    if let Made::Stored(_) = probe()?.put(Bytes::from_static(PROBE)).await? {
        return Err(S3Error::ConditionIgnored { call: "PutObject" });
    }
    let upload = probe()?.begin().await?;
    let part = upload.parts().send(1, Bytes::from_static(PROBE)).await;
    let part = match part {
        Ok(part) => part,
        Err(err) => {
            upload.abort().await;
            return Err(err);
        }
    };
    match upload.complete(vec![part]).await? {
        Made::Stored(_) => Err(S3Error::ConditionIgnored { call: "CompleteMultipartUpload" }),
        Made::Taken => Ok(()),
    }
}

fn gone() -> S3Error {
    S3Error::NoObject(PROBE_NAME.to_owned())
}
