//! The calls to Secrets Manager, and what is believed of its answers.

use std::collections::BTreeMap;

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::primitives::DateTime;
use aws_sdk_secretsmanager::types::{Filter, FilterNameStringType, SecretListEntry, Tag};
use waxwing_delivery::UnixMillis;
use waxwing_keyring::KEY_FILE_LEN_MAX;
use zeroize::Zeroizing;

use crate::client::Lazy;
use crate::quiet::quiet;
use crate::{AwsError, AwsOptions};

/// The label of a secret's version that readers get who name none.
pub(super) const CURRENT: &str = "AWSCURRENT";
/// The label of the version before it.
pub(super) const PREVIOUS: &str = "AWSPREVIOUS";
/// How many secrets one answer lists (API reference, `MaxResults`).
const PAGE_LEN: i32 = 100;
/// How many answers one listing may take: 10,000 secrets.
const PAGES_MAX: usize = 100;

/// What a secret has beside its values.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub(super) name: String,
    pub(super) tags: BTreeMap<String, String>,
    /// The id of the version with the label [`CURRENT`].
    pub(super) current: Option<String>,
    /// The id of the version with the label [`PREVIOUS`].
    pub(super) previous: Option<String>,
    pub(super) updated: UnixMillis,
}

/// One version of a secret.
pub(super) struct Value {
    pub(super) arn: String,
    pub(super) name: String,
    pub(super) version: String,
    pub(super) created: UnixMillis,
    pub(super) bytes: Zeroizing<Vec<u8>>,
}

/// Which version of a secret is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretVersion {
    /// The one with this label: `AWSCURRENT`, `AWSPREVIOUS`, or one's own.
    Stage(String),
    /// The one with this id.
    Id(String),
}

#[derive(Debug)]
pub(super) struct Calls(Lazy<Client>);

impl Calls {
    pub(super) fn new(options: AwsOptions) -> Self {
        Self(Lazy::new(options, Client::new))
    }

    /// `None` for a secret that is not there, or waits for its deletion.
    pub(super) async fn describe(&self, name: &str) -> Result<Option<Facts>, AwsError> {
        let answer = quiet(self.0.client().await?.describe_secret().secret_id(name).send()).await;
        let Some(secret) = found(answer.map_err(AwsError::new))? else { return Ok(None) };
        if secret.deleted_date().is_some() {
            return Ok(None);
        }
        let stages = secret.version_ids_to_stages.unwrap_or_default();
        let id_of = |stage| stages.iter().find(|(_, labels)| has(labels, stage)).map(|(id, _)| id.clone());
        Ok(Some(Facts {
            name: secret.name.unwrap_or_default(),
            tags: tags(secret.tags),
            current: id_of(CURRENT),
            previous: id_of(PREVIOUS),
            updated: millis(secret.last_changed_date.or(secret.created_date)),
        }))
    }

    /// `None` for a secret or version that is not there.
    pub(super) async fn value(&self, name: &str, version: &SecretVersion) -> Result<Option<Value>, AwsError> {
        let call = self.0.client().await?.get_secret_value().secret_id(name);
        let call = match version {
            SecretVersion::Stage(stage) => call.version_stage(stage),
            SecretVersion::Id(id) => call.version_id(id),
        };
        let Some(mut answer) = found(quiet(call.send()).await.map_err(AwsError::new))? else {
            return Ok(None);
        };
        let text = answer.secret_string.take().map(String::into_bytes);
        let bytes = text.or_else(|| answer.secret_binary.take().map(|blob| blob.into_inner()));
        let bytes = Zeroizing::new(bytes.ok_or_else(|| missing("SecretString"))?);
        if bytes.len() > KEY_FILE_LEN_MAX {
            return Err(AwsError::Unexpected(format!("a secret of {} bytes", bytes.len())));
        }
        let value = Value {
            arn: answer.arn.ok_or_else(|| missing("ARN"))?,
            name: answer.name.ok_or_else(|| missing("Name"))?,
            version: answer.version_id.ok_or_else(|| missing("VersionId"))?,
            created: millis(answer.created_date),
            bytes,
        };
        // A partial ARN lacks the six letters at its end.
        if value.name != name && !value.arn.starts_with(name) {
            return Err(AwsError::Unexpected("another secret".to_owned()));
        }
        Ok(Some(value))
    }

    /// Whether the secret was made; else there is one of this name.
    pub(super) async fn create(&self, name: &str, text: &str, tags: Vec<Tag>) -> Result<bool, AwsError> {
        let call = self.0.client().await?.create_secret().name(name).secret_string(text).set_tags(Some(tags));
        match quiet(call.send()).await.map_err(AwsError::new) {
            Ok(_) => Ok(true),
            Err(err) if err.is("ResourceExistsException") => Ok(false),
            Err(err) => Err(err),
        }
    }

    /// Whether `text` became the secret's current version, under the id `version`; else a version had this id before.
    pub(super) async fn put(&self, name: &str, text: &str, version: &str) -> Result<bool, AwsError> {
        let call = self.0.client().await?.put_secret_value().secret_id(name).secret_string(text);
        match quiet(call.client_request_token(version).send()).await.map_err(AwsError::new) {
            Ok(answer) => Ok(has(answer.version_stages(), CURRENT)),
            Err(err) if err.is("ResourceExistsException") => Ok(false),
            Err(err) => Err(err),
        }
    }

    pub(super) async fn tag(&self, name: &str, tags: Vec<Tag>) -> Result<(), AwsError> {
        let call = self.0.client().await?.tag_resource().secret_id(name).set_tags(Some(tags));
        quiet(call.send()).await.map(drop).map_err(AwsError::new)
    }

    pub(super) async fn untag(&self, name: &str, keys: Vec<String>) -> Result<(), AwsError> {
        let call = self.0.client().await?.untag_resource().secret_id(name).set_tag_keys(Some(keys));
        quiet(call.send()).await.map(drop).map_err(AwsError::new)
    }

    /// The secrets whose names begin with `prefix`, by name, without those that wait for their deletion.
    pub(super) async fn list(&self, prefix: &str) -> Result<Vec<Facts>, AwsError> {
        let client = self.0.client().await?;
        let filter = Filter::builder().key(FilterNameStringType::Name).values(prefix).build();
        let filters = (!prefix.is_empty()).then(|| vec![filter]);
        let mut pages =
            client.list_secrets().set_filters(filters).into_paginator().page_size(PAGE_LEN).send();
        let mut listed: Vec<Facts> = Vec::new();
        for _ in 0..PAGES_MAX {
            let Some(page) = quiet(pages.next()).await else {
                listed.sort_by(|a, b| a.name.cmp(&b.name));
                return Ok(listed);
            };
            let entries = page.map_err(AwsError::new)?.secret_list.unwrap_or_default();
            listed.extend(
                entries.into_iter().map(Facts::from).filter(|secret| secret.name.starts_with(prefix)),
            );
        }
        Err(AwsError::Unexpected(format!("more secrets than {} pages list", PAGES_MAX)))
    }
}

impl From<SecretListEntry> for Facts {
    fn from(entry: SecretListEntry) -> Self {
        let stages = entry.secret_versions_to_stages.unwrap_or_default();
        let id_of = |stage| stages.iter().find(|(_, labels)| has(labels, stage)).map(|(id, _)| id.clone());
        Self {
            name: entry.name.unwrap_or_default(),
            tags: tags(entry.tags),
            current: id_of(CURRENT),
            previous: id_of(PREVIOUS),
            updated: millis(entry.last_changed_date.or(entry.created_date)),
        }
    }
}

fn has(labels: &[String], stage: &str) -> bool {
    labels.iter().any(|label| label == stage)
}

fn tags(tags: Option<Vec<Tag>>) -> BTreeMap<String, String> {
    tags.into_iter().flatten().filter_map(|tag| Some((tag.key?, tag.value.unwrap_or_default()))).collect()
}

pub(super) fn tag(key: impl Into<String>, value: impl Into<String>) -> Tag {
    Tag::builder().key(key).value(value).build()
}

/// No date reads as 1970.
fn millis(date: Option<DateTime>) -> UnixMillis {
    let millis = date.and_then(|date| u64::try_from(date.to_millis().ok()?).ok());
    UnixMillis::new(millis.unwrap_or(0))
}

fn found<T>(answer: Result<T, AwsError>) -> Result<Option<T>, AwsError> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(err) if err.is("ResourceNotFoundException") => Ok(None),
        Err(err) => Err(err),
    }
}

fn missing(field: &str) -> AwsError {
    AwsError::Unexpected(format!("there is no {field} in it"))
}
