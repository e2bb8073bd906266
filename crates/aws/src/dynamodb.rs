//! Jobs as items of a DynamoDB table (feature `dynamodb`).
//!
//! A move reads the item (consistently), lets [`Job::apply`] judge, and writes on condition that nobody has written since. So the
//! rules are those of every other ledger, and two workers never hold one job. Due jobs are found in a global secondary index,
//! which lags behind a little: what it says is only where to look.
//!
//! Costs: a claim is a write and a share in a query and a batch of reads; a heartbeat and a settlement are a write each, as the
//! holder of a job knows what he wrote last. All jobs that are not settled are in one partition of the index, which takes some
//! 1,000 writes a second.

mod item;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType,
    KeysAndAttributes, Projection, ProjectionType, ScalarAttributeType, TableStatus,
};
use futures_util::future::join_all;
use tracing::warn;
use waxwing_delivery::{
    AgentId, Event, Job, JobError, JobFilter, JobId, JobLedger, LIST_MAX, LedgerError, Policy, State,
    UnixMillis, WorkerId,
};
use waxwing_keyring::said;

use self::item::{DUE_AT, Item, KEY, Kept, QUEUE_ATTRIBUTE, REVISION, STATUS, Seen};
pub use self::item::{INDEX, QUEUE};
use crate::client::Lazy;
use crate::quiet::quiet;
use crate::runtime::{self, Broken};
use crate::{AwsError, AwsOptions};

/// How long a new table may take until it can be used.
const TABLE_TIME_MAX: Duration = Duration::from_secs(120);
/// The pause between two looks at a new table.
const TABLE_PAUSE: Duration = Duration::from_millis(250);
/// How often a move is judged anew because somebody else wrote meanwhile.
const MOVES_MAX: u32 = 16;
/// How many due jobs a claim asks the index for at once, and then reads: at most 100.
const CANDIDATES: usize = 16;
/// How many pages of the index a claim reads when others took all that it names.
const PAGES_MAX: u32 = 8;
/// How many jobs' last writes are remembered.
const HELD_MAX: usize = 1024;

/// Keeps jobs in a table.
#[derive(Clone)]
pub struct DynamoDbLedger(Arc<Inner>);

struct Inner {
    table: String,
    stranger: AgentId,
    policy: Policy,
    client: Lazy<Client>,
    /// The jobs that were claimed here, as they were last written: nobody else should change them while their lease lasts.
    held: Mutex<HashMap<JobId, Kept>>,
}

impl DynamoDbLedger {
    /// A ledger in `table`. Nobody is asked yet. `stranger` is whom the jobs are for that do not say so: those that a
    /// provider of another make put.
    pub fn new(table: impl Into<String>, stranger: AgentId, policy: Policy, options: AwsOptions) -> Self {
        Self(Arc::new(Inner {
            table: table.into(),
            stranger,
            policy,
            client: Lazy::new(options, Client::new),
            held: Mutex::default(),
        }))
    }

    /// Makes the table and its index, billed by use, and waits until they can be used, which takes some seconds.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Storage`], also when there is such a table; [`LedgerError::Denied`].
    pub fn create_table(&self) -> Result<(), LedgerError> {
        const DOING: &str = "make its table";
        self.call(|inner| async move {
            let attribute =
                |name, kind| AttributeDefinition::builder().attribute_name(name).attribute_type(kind).build();
            let key = |name, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build();
            let built = (|| {
                let index = GlobalSecondaryIndex::builder()
                    .index_name(INDEX)
                    .key_schema(key(QUEUE_ATTRIBUTE, KeyType::Hash)?)
                    .key_schema(key(DUE_AT, KeyType::Range)?)
                    .projection(Projection::builder().projection_type(ProjectionType::KeysOnly).build())
                    .build()?;
                let attributes = vec![
                    attribute(KEY, ScalarAttributeType::S)?,
                    attribute(QUEUE_ATTRIBUTE, ScalarAttributeType::S)?,
                    attribute(DUE_AT, ScalarAttributeType::N)?,
                ];
                Ok::<_, aws_sdk_dynamodb::error::BuildError>((index, attributes, key(KEY, KeyType::Hash)?))
            })();
            let (index, attributes, key) = built.expect("all that is required is there");
            let call = inner.client().await?.create_table().table_name(&inner.table).key_schema(key);
            let call = call.set_attribute_definitions(Some(attributes)).global_secondary_indexes(index);
            quiet(call.billing_mode(BillingMode::PayPerRequest).send()).await.map_err(storage(DOING))?;
            inner.until_active(DOING).await
        })
    }

    fn call<T, F>(&self, call: impl FnOnce(Arc<Inner>) -> F) -> Result<T, LedgerError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, LedgerError>> + Send + 'static,
    {
        runtime::wait(call(Arc::clone(&self.0)))
    }
}

impl JobLedger for DynamoDbLedger {
    fn submit(&self, job: &Job) -> Result<(), LedgerError> {
        let job = job.clone();
        self.call(|inner| async move {
            let put = inner
                .client()
                .await?
                .put_item()
                .table_name(&inner.table)
                .set_item(Some(item::new_item(&job)));
            let put = put
                .condition_expression("attribute_not_exists(#key)")
                .expression_attribute_names("#key", KEY);
            match quiet(put.send()).await {
                Ok(_) => Ok(()),
                Err(err) if condition_failed(&err) => {
                    // Perhaps by this very call: its answer was lost, the SDK asked again. No two jobs have the same record.
                    let found = inner.get(job.id()).await?.map(|kept| kept.job);
                    let same =
                        |found: &Job| found.record() == job.record() && found.created() == job.created();
                    match found.filter(same) {
                        Some(_) => Ok(()),
                        None => Err(LedgerError::JobExists(job.id().clone())),
                    }
                }
                Err(err) => Err(storage("add a job")(err)),
            }
        })
    }

    fn job(&self, id: &JobId) -> Result<Option<Job>, LedgerError> {
        let id = id.clone();
        self.call(|inner| async move { Ok(inner.get(&id).await?.map(|kept| kept.job)) })
    }

    fn list(&self, filter: &JobFilter) -> Result<Vec<Job>, LedgerError> {
        let filter = filter.clone();
        self.call(|inner| async move { inner.list(&filter).await })
    }

    fn claim(&self, worker: &WorkerId, now: UnixMillis) -> Result<Option<Job>, LedgerError> {
        Ok(self.claim_many(worker, now, 1)?.pop())
    }

    fn claim_many(&self, worker: &WorkerId, now: UnixMillis, max: usize) -> Result<Vec<Job>, LedgerError> {
        let worker = worker.clone();
        self.call(|inner| async move { inner.claim(&worker, now, max).await })
    }

    fn apply(&self, id: &JobId, event: Event, now: UnixMillis) -> Result<Job, LedgerError> {
        let id = id.clone();
        self.call(|inner| async move { inner.apply(&id, &event, now).await })
    }

    fn next_due(&self) -> Result<Option<UnixMillis>, LedgerError> {
        self.call(|inner| async move {
            let (found, _) = inner.due(None, 1, None).await?;
            Ok(found.first().and_then(item::due_at))
        })
    }
}

impl Inner {
    async fn client(&self) -> Result<&Client, LedgerError> {
        let client = self.client.client().await;
        client.map_err(|err| err.into_ledger("reach DynamoDB"))
    }

    async fn until_active(&self, doing: &'static str) -> Result<(), LedgerError> {
        let deadline = Instant::now() + TABLE_TIME_MAX;
        loop {
            let described = self.client().await?.describe_table().table_name(&self.table);
            let described = quiet(described.send()).await.map_err(storage(doing))?;
            if described.table().and_then(|table| table.table_status()) == Some(&TableStatus::Active) {
                return Ok(());
            }
            if Instant::now() > deadline {
                let source = "it was made, and cannot be used yet; wait for it".into();
                return Err(LedgerError::Storage { doing, source });
            }
            tokio::time::sleep(TABLE_PAUSE).await;
        }
    }

    async fn get(&self, id: &JobId) -> Result<Option<Kept>, LedgerError> {
        let get = self.client().await?.get_item().table_name(&self.table).consistent_read(true);
        let got = quiet(get.key(KEY, AttributeValue::S(id.to_string())).send())
            .await
            .map_err(storage("read a job"))?;
        got.item().map(|item| self.read(item)).transpose()
    }

    /// Reads several at once. What the table does not answer now, or has not, is left out.
    async fn get_many(&self, ids: &[JobId]) -> Result<Vec<Kept>, LedgerError> {
        let keys = ids.iter().map(|id| Item::from([(KEY.to_owned(), AttributeValue::S(id.to_string()))]));
        let keys = KeysAndAttributes::builder().set_keys(Some(keys.collect())).consistent_read(true).build();
        let keys = keys.expect("the keys are there");
        let get = self.client().await?.batch_get_item().request_items(&self.table, keys);
        let got = quiet(get.send()).await.map_err(storage("read jobs"))?;
        let items = got.responses.into_iter().flat_map(HashMap::into_values).flatten();
        let mut found: HashMap<String, Item> =
            items.filter_map(|item| Some((item::id(&item)?.clone(), item))).collect();
        let in_order = ids.iter().filter_map(|id| found.remove(&id.to_string()));
        let read = in_order.map(|item| self.read(&item)).filter_map(|read| {
            // One item that nobody can read must not keep the others waiting.
            read.inspect_err(|error| warn!(%error, "an item is no job")).ok()
        });
        Ok(read.collect())
    }

    fn read(&self, item: &Item) -> Result<Kept, LedgerError> {
        item::read(item, &self.stranger).map_err(|source| LedgerError::Damaged {
            what: "job",
            id: said(item::id(item).map_or("", String::as_str)),
            source,
        })
    }

    /// Judges a move and writes what came of it, until nobody comes in between.
    async fn apply(&self, id: &JobId, event: &Event, now: UnixMillis) -> Result<Job, LedgerError> {
        let held = lock(&self.held).remove(id);
        if let Some(kept) = held {
            match self.write(kept, event, now).await {
                Ok(Some(job)) => return Ok(job),
                // Somebody has written since, or it may be so: what the table has counts.
                Ok(None) | Err(LedgerError::Job { .. }) => {}
                Err(err) => return Err(err),
            }
        }
        for _ in 0..MOVES_MAX {
            let kept = self.get(id).await?.ok_or_else(|| LedgerError::NoSuchJob(id.clone()))?;
            if let Some(job) = self.write(kept, event, now).await? {
                return Ok(job);
            }
        }
        Err(LedgerError::Storage { doing: "change a job", source: "others keep changing it".into() })
    }

    /// Makes one move of what was read; none if somebody else has written since.
    async fn write(&self, kept: Kept, event: &Event, now: UnixMillis) -> Result<Option<Job>, LedgerError> {
        let mut job = kept.job.clone();
        job.apply(event.clone(), now, &self.policy)
            .map_err(|source| LedgerError::Job { job: job.id().clone(), source })?;
        if job == kept.job && kept.seen.revision.is_some() {
            return Ok(Some(job));
        }
        let written = match self.update(&kept, &job).await {
            Ok(()) => Some(job),
            Err(Refused::Changed) => self.was_ours(&job, &kept.seen).await?,
            Err(Refused::Failed(err)) => return Err(err),
        };
        if let Some(job) = &written {
            self.hold(job, &kept.seen, now);
        }
        Ok(written)
    }

    /// Remembers what was written of a job that somebody here works on.
    fn hold(&self, job: &Job, before: &Seen, now: UnixMillis) {
        if !matches!(job.state(), State::Leased { .. }) {
            return;
        }
        let mut held = lock(&self.held);
        if held.len() >= HELD_MAX {
            held.retain(|_, kept| kept.job.due_at().is_some_and(|until| until > now));
        }
        if held.len() < HELD_MAX {
            held.insert(job.id().clone(), Kept { job: job.clone(), seen: before.after(job) });
        }
    }

    /// Whether the write that was refused had been made: its answer was lost, and the SDK asked again.
    async fn was_ours(&self, job: &Job, seen: &Seen) -> Result<Option<Job>, LedgerError> {
        let now = self.get(job.id()).await?;
        let next = seen.revision.unwrap_or(0) + 1;
        let ours = now.is_some_and(|now| now.seen.revision == Some(next) && now.job == *job);
        Ok(ours.then(|| job.clone()))
    }

    async fn update(&self, kept: &Kept, job: &Job) -> Result<(), Refused> {
        let (set, removed) = item::changes(kept, job);
        let seen = &kept.seen;
        let mut update = self.client().await.map_err(Refused::Failed)?.update_item().table_name(&self.table);
        update = update.key(KEY, AttributeValue::S(job.id().to_string()));
        let (mut sets, mut removes) = (Vec::new(), Vec::new());
        for (n, (name, value)) in set.into_iter().enumerate() {
            sets.push(format!("#s{n} = :s{n}"));
            update = update.expression_attribute_names(format!("#s{n}"), name);
            update = update.expression_attribute_values(format!(":s{n}"), value);
        }
        for (n, name) in removed.into_iter().enumerate() {
            removes.push(format!("#r{n}"));
            update = update.expression_attribute_names(format!("#r{n}"), name);
        }
        let mut expression = format!("SET {}", sets.join(", "));
        if !removes.is_empty() {
            expression += &format!(" REMOVE {}", removes.join(", "));
        }
        let mut conditions = vec!["attribute_exists(#key)".to_owned()];
        update = update.expression_attribute_names("#key", KEY);
        let known = [
            ("status", STATUS, seen.status.clone().map(AttributeValue::S)),
            ("revision", REVISION, seen.revision.map(|revision| AttributeValue::N(revision.to_string()))),
        ];
        for (label, name, value) in known {
            update = update.expression_attribute_names(format!("#{label}"), name);
            match value {
                Some(value) => {
                    conditions.push(format!("#{label} = :{label}"));
                    update = update.expression_attribute_values(format!(":{label}"), value);
                }
                None => conditions.push(format!("attribute_not_exists(#{label})")),
            }
        }
        let update = update.update_expression(expression).condition_expression(conditions.join(" AND "));
        match quiet(update.send()).await {
            Ok(_) => Ok(()),
            Err(err) if condition_failed(&err) => Err(Refused::Changed),
            Err(err) => Err(Refused::Failed(storage("change a job")(err))),
        }
    }

    /// Claims the jobs that have been due for longest, settling on the way those that have no attempt left.
    async fn claim(&self, worker: &WorkerId, now: UnixMillis, max: usize) -> Result<Vec<Job>, LedgerError> {
        let mut claimed = Vec::new();
        match self.claim_into(&mut claimed, worker, now, max).await {
            Err(err) if claimed.is_empty() => Err(err),
            _ => Ok(claimed),
        }
    }

    async fn claim_into(
        &self,
        claimed: &mut Vec<Job>,
        worker: &WorkerId,
        now: UnixMillis,
        max: usize,
    ) -> Result<(), LedgerError> {
        let mut page = None;
        for _ in 0..PAGES_MAX {
            let (candidates, next) = self.due(Some(now), CANDIDATES, page).await?;
            let mut ids = candidates.iter().filter_map(|candidate| {
                let id = item::id(candidate).and_then(|id| id.parse().ok());
                if id.is_none() {
                    warn!("an item in the index has no job's name");
                }
                id
            });
            loop {
                let some: Vec<JobId> = ids.by_ref().take(max - claimed.len()).collect();
                if some.is_empty() {
                    break;
                }
                let read = self.get_many(&some).await?;
                let claims = read.into_iter().map(|kept| self.claim_candidate(kept, worker, now));
                let mut ended = Ok(());
                for claim in join_all(claims).await {
                    match claim {
                        Ok(job) => claimed.extend(job),
                        Err(err) => ended = Err(err),
                    }
                }
                ended?;
            }
            page = next;
            if page.is_none() || claimed.len() == max {
                break;
            }
        }
        Ok(())
    }

    /// Claims a job that the index says is due; none if it is not, or somebody else was faster.
    async fn claim_candidate(
        &self,
        kept: Kept,
        worker: &WorkerId,
        now: UnixMillis,
    ) -> Result<Option<Job>, LedgerError> {
        let again = kept.clone();
        match self.write(kept, &Event::Claim { worker: worker.clone() }, now).await {
            Err(LedgerError::Job { source: JobError::Exhausted { .. }, .. }) => {
                self.write(again, &Event::Expire, now).await.map(|_| None)
            }
            Err(LedgerError::Job { source: JobError::NotDue { .. }, .. }) => Ok(None),
            // By somebody who does not know of the index, in which nobody should come upon it again.
            Err(LedgerError::Job { source: JobError::Settled, .. }) => {
                match self.update(&again, &again.job).await {
                    Ok(()) | Err(Refused::Changed) => Ok(None),
                    Err(Refused::Failed(err)) => Err(err),
                }
            }
            claimed => claimed,
        }
    }

    /// A page of what the index has of the jobs that are due, or will be, the first first, and where the next begins.
    async fn due(
        &self,
        until: Option<UnixMillis>,
        limit: usize,
        page: Option<Item>,
    ) -> Result<(Vec<Item>, Option<Item>), LedgerError> {
        let query = self.client().await?.query().table_name(&self.table).index_name(INDEX);
        let query = query
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
            .set_exclusive_start_key(page)
            .expression_attribute_names("#queue", QUEUE_ATTRIBUTE)
            .expression_attribute_values(":queue", AttributeValue::S(QUEUE.to_owned()));
        let query = match until {
            None => query.key_condition_expression("#queue = :queue"),
            Some(until) => query
                .key_condition_expression("#queue = :queue AND #due <= :now")
                .expression_attribute_names("#due", DUE_AT)
                .expression_attribute_values(":now", AttributeValue::N(until.as_millis().to_string())),
        };
        let found = quiet(query.send()).await.map_err(storage("look for a job"))?;
        Ok((found.items.unwrap_or_default(), found.last_evaluated_key))
    }

    /// Reads the whole table: there is no index for this.
    async fn list(&self, filter: &JobFilter) -> Result<Vec<Job>, LedgerError> {
        let mut scan = self.client().await?.scan().table_name(&self.table).consistent_read(true);
        if let Some(status) = filter.status {
            scan = scan
                .filter_expression("#status = :status")
                .expression_attribute_names("#status", STATUS)
                .expression_attribute_values(":status", item::word(status));
        }
        let mut pages = scan.into_paginator().send();
        let mut jobs = Vec::new();
        while let Some(page) = quiet(pages.next()).await {
            for item in page.map_err(storage("list jobs"))?.items() {
                match self.read(item) {
                    Ok(kept) => jobs.push(kept.job),
                    Err(err) => warn!(error = %err, "an item is no job"),
                }
            }
            jobs.retain(|job| filter.agent.as_ref().is_none_or(|agent| agent == job.agent()));
            jobs.sort_by_key(|job| std::cmp::Reverse(job.created()));
            jobs.truncate(filter.limit.min(LIST_MAX));
        }
        Ok(jobs)
    }
}

enum Refused {
    /// Somebody has written since.
    Changed,
    Failed(LedgerError),
}

impl fmt::Debug for DynamoDbLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynamoDbLedger").field("table", &self.0.table).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl From<Broken> for LedgerError {
    fn from(Broken(why): Broken) -> Self {
        Self::Storage { doing: "call DynamoDB", source: why.into() }
    }
}

fn condition_failed<E: ProvideErrorMetadata, R>(err: &SdkError<E, R>) -> bool {
    err.as_service_error().and_then(ProvideErrorMetadata::code) == Some("ConditionalCheckFailedException")
}

/// What the service says, fit for a line.
fn storage<E>(doing: &'static str) -> impl Fn(SdkError<E, HttpResponse>) -> LedgerError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    move |err| {
        let err = AwsError::new(err);
        if err.is("ResourceNotFoundException") {
            let source = format!("there is no such table, or it has no index `{INDEX}`: {err}").into();
            return LedgerError::Denied { doing, source };
        }
        err.into_ledger(doing)
    }
}
