//! The record a sender hands over, kept as it came.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fmt;
use waxwing_formats::names::{FileId, KeyId, NameError};

/// The largest record, in bytes of JSON. A record holds a URL and a few wrapped keys; 64 KiB is twenty times that, and
/// leaves a table item of 400 KiB room for the rest of the job.
pub const RECORD_LEN_MAX: usize = 64 * 1024;

/// A job record: a JSON object with `PresignedURL` and `FileID`, and whatever else its sender wrote.
///
/// Field names and order are the sender's, unknown fields included; the schemes that read `EncryptedAESKey`,
/// `EncodedAESIV`, `AuthTag`, `Scheme`, `Sender` and digests lie below this crate.
///
/// `PresignedURL` is a bearer secret and unknown fields may be, so `Debug` prints names only. `Serialize` is for ledgers;
/// show people a [`JobView`](crate::JobView).
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Map<String, Value>", into = "Map<String, Value>")]
pub struct JobRecord {
    fields: Map<String, Value>,
    file_id: FileId,
    key_id: Option<KeyId>,
}

impl JobRecord {
    /// Checks what the delivery itself relies on: `FileID`, `PresignedURL`, `KeyId` if there is one, and the size.
    ///
    /// # Errors
    ///
    /// [`JobRecordError`]; values are quoted only where they cannot be secret.
    pub fn new(fields: Map<String, Value>) -> Result<Self, JobRecordError> {
        let len = fields_len(&fields);
        if len > RECORD_LEN_MAX {
            return Err(JobRecordError::TooLong { len });
        }
        let file_id = text(&fields, "FileID")?.ok_or(JobRecordError::Missing { field: "FileID" })?;
        let file_id =
            FileId::try_from(file_id).map_err(|source| JobRecordError::Name { field: "FileID", source })?;
        let key_id = text(&fields, "KeyId")?
            .map(|id| KeyId::try_from(id).map_err(|source| JobRecordError::Name { field: "KeyId", source }))
            .transpose()?;
        text(&fields, "PresignedURL")?.ok_or(JobRecordError::Missing { field: "PresignedURL" })?;
        Ok(Self { fields, file_id, key_id })
    }

    /// The name of the file.
    pub fn file_id(&self) -> &FileId {
        &self.file_id
    }

    /// The public key the DEK is wrapped for, if the sender said so.
    pub fn key_id(&self) -> Option<&KeyId> {
        self.key_id.as_ref()
    }

    /// Where the ciphertext lies: a bearer secret. Do not print it.
    pub fn presigned_url(&self) -> &str {
        self.fields.get("PresignedURL").and_then(Value::as_str).unwrap_or_default()
    }

    pub(crate) fn renew(&mut self, NewUrl(url): NewUrl) {
        self.fields.insert("PresignedURL".to_owned(), Value::String(url));
    }

    /// All fields as they came, the secret ones too.
    pub fn fields(&self) -> &Map<String, Value> {
        &self.fields
    }
}

/// A URL that takes the place of a record's: a bearer secret, so it prints as nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct NewUrl(String);

impl NewUrl {
    /// Longest URL, in bytes.
    pub const LEN_MAX: usize = 8192;

    /// Takes a URL of at most [`NewUrl::LEN_MAX`] bytes. What it leads to is the worker's to judge.
    pub fn new(url: impl Into<String>) -> Option<Self> {
        let url = url.into();
        (url.len() <= Self::LEN_MAX).then_some(Self(url))
    }
}

impl fmt::Debug for NewUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NewUrl(..)")
    }
}

/// The text of `field`; `None` if it is absent.
fn text<'a>(fields: &'a Map<String, Value>, field: &'static str) -> Result<Option<&'a str>, JobRecordError> {
    match fields.get(field) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(JobRecordError::NotText { field }),
    }
}

fn fields_len(fields: &Map<String, Value>) -> usize {
    serde_json::to_vec(fields).expect("a JSON object has a JSON spelling").len()
}

impl TryFrom<Map<String, Value>> for JobRecord {
    type Error = JobRecordError;

    fn try_from(fields: Map<String, Value>) -> Result<Self, JobRecordError> {
        Self::new(fields)
    }
}

impl From<JobRecord> for Map<String, Value> {
    fn from(record: JobRecord) -> Self {
        record.fields
    }
}

impl fmt::Debug for JobRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.fields.keys().collect();
        f.debug_struct("JobRecord")
            .field("file_id", &self.file_id)
            .field("fields", &names)
            .finish_non_exhaustive()
    }
}

/// A record that no job can be made from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JobRecordError {
    /// A field that every record has is absent.
    #[error("the record has no field `{field}`")]
    Missing {
        /// Its name.
        field: &'static str,
    },
    /// A field that holds text holds something else.
    #[error("the record's `{field}` is not a string")]
    NotText {
        /// Its name.
        field: &'static str,
    },
    /// A field that holds a name holds none.
    #[error("the record's `{field}` is malformed")]
    Name {
        /// Its name.
        field: &'static str,
        /// What is wrong with the value.
        source: NameError,
    },
    /// The record is larger than [`RECORD_LEN_MAX`].
    #[error("the record is {len} bytes long; the limit is {RECORD_LEN_MAX}")]
    TooLong {
        /// Its length in bytes of JSON.
        len: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn record(value: Value) -> Result<JobRecord, JobRecordError> {
        JobRecord::new(value.as_object().unwrap().clone())
    }

    #[test]
    fn keeps_unknown_fields_and_their_order() {
        let json = r#"{"Zebra":1,"PresignedURL":"https://h/x","FileID":"q3","Apple":{"b":1,"a":2}}"#;
        let record: JobRecord = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&record).unwrap(), json);
    }

    #[test]
    fn says_which_field_is_wrong() {
        assert_eq!(record(json!({"FileID": "a"})), Err(JobRecordError::Missing { field: "PresignedURL" }));
        assert_eq!(record(json!({"PresignedURL": "u"})), Err(JobRecordError::Missing { field: "FileID" }));
        assert_eq!(
            record(json!({"PresignedURL": 7, "FileID": "a"})),
            Err(JobRecordError::NotText { field: "PresignedURL" })
        );
        let named =
            |field| move |e: JobRecordError| matches!(e, JobRecordError::Name { field: f, .. } if f == field);
        assert!(record(json!({"PresignedURL": "u", "FileID": "../a"})).is_err_and(named("FileID")));
        assert!(
            record(json!({"PresignedURL": "u", "FileID": "a", "KeyId": "XY"})).is_err_and(named("KeyId"))
        );
    }

    #[test]
    fn refuses_a_record_above_the_limit() {
        let big = "x".repeat(RECORD_LEN_MAX);
        let refused = record(json!({"PresignedURL": "u", "FileID": "a", "Pad": big})).unwrap_err();
        assert!(matches!(refused, JobRecordError::TooLong { len } if len > RECORD_LEN_MAX));
    }

    /// Attack row 15: a pre-signed URL is a bearer secret.
    #[test]
    fn row_15_debug_shows_no_values() {
        let record =
            record(json!({"PresignedURL": "https://h/x?sig=CANARY", "FileID": "a", "Note": "CANARY"}))
                .unwrap();
        let shown = format!("{record:?}");
        assert!(shown.contains("PresignedURL") && !shown.contains("CANARY"), "{shown}");
    }
}
