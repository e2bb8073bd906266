//! Wrappers of providers: a cache, retries, limits; around a KEK that counts its calls and fails on demand.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use pollster::block_on;
use waxwing_core::envelope::{Binding, Draft, SealOptions};
use waxwing_core::{Dek, Random, RandomError, SystemRandom};
use waxwing_formats::envelope::{Context, Fixed, Kind, Recipient};
use waxwing_keyring::{
    BoxFuture, CacheCounts, CacheLimits, Cached, Generated, KeyProvider, Limited, NewEnvelope, RetryLimits,
    Retrying, ServiceError, UnwrapError, WrapError,
};
use waxwing_testkit::clock::HandClock;

/// A service that binds the context, as KMS does: the wrapped key is the DEK beside the context. It counts its calls and
/// fails as it was told.
#[derive(Debug, Default)]
struct Faulty {
    calls: AtomicUsize,
    now: AtomicUsize,
    most: AtomicUsize,
    failures: Mutex<VecDeque<ServiceError>>,
}

impl Faulty {
    fn failing(failures: impl IntoIterator<Item = ServiceError>) -> Self {
        Self { failures: Mutex::new(failures.into_iter().collect()), ..Self::default() }
    }

    async fn call(&self) -> Result<(), ServiceError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        pending_once().await;
        self.now.fetch_sub(1, Ordering::SeqCst);
        self.failures.lock().unwrap().pop_front().map_or(Ok(()), Err)
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    fn wrapped(dek: &Dek, context: &Context) -> Recipient {
        let kind = Kind::new("faulty").unwrap();
        Recipient { kind, key_id: format!("{context:?}").into_bytes(), wrapped: dek.expose().to_vec() }
    }
}

impl KeyProvider for Faulty {
    fn is_for(&self, recipient: &Recipient) -> bool {
        recipient.kind.as_str() == "faulty"
    }

    fn wrap<'a>(&'a self, dek: &'a Dek, binding: Binding<'a>) -> BoxFuture<'a, Result<Recipient, WrapError>> {
        Box::pin(async move {
            let failed = |source| WrapError::Service { key: "faulty".into(), source };
            self.call().await.map_err(failed)?;
            Ok(Faulty::wrapped(dek, &binding.fixed.context))
        })
    }

    fn unwrap<'a>(
        &'a self,
        recipient: &'a Recipient,
        binding: Binding<'a>,
    ) -> BoxFuture<'a, Result<Option<Dek>, UnwrapError>> {
        Box::pin(async move {
            let failed = |source| UnwrapError::Service { key: "faulty".into(), source };
            self.call().await.map_err(failed)?;
            let dek = Dek::from_unwrapped(&recipient.wrapped).unwrap();
            let mine = Faulty::wrapped(&dek, &binding.fixed.context).key_id == recipient.key_id;
            if mine { Ok(Some(dek)) } else { Err(UnwrapError::NotAuthentic) }
        })
    }

    fn generate<'a>(&'a self, new: NewEnvelope<'a>) -> BoxFuture<'a, Result<Option<Generated>, WrapError>> {
        Box::pin(async move {
            let failed = |source| WrapError::Service { key: "faulty".into(), source };
            self.call().await.map_err(failed)?;
            let dek = Dek::generate(&SystemRandom)?;
            let recipient = Faulty::wrapped(&dek, &new.fixed.context);
            Ok(Some(Generated { dek, recipient }))
        })
    }
}

/// Lets the other futures of a test have their turn.
async fn pending_once() {
    let mut waited = false;
    std::future::poll_fn(|task| {
        if waited {
            return std::task::Poll::Ready(());
        }
        waited = true;
        task.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}

const LIMITS: CacheLimits =
    CacheLimits { age_max: Duration::from_secs(60), messages_max: 3, bytes_max: 1000, entries_max: 8 };

struct Cache {
    service: Arc<Faulty>,
    clock: HandClock,
    cached: Cached<Arc<Faulty>>,
}

fn cache(limits: CacheLimits) -> Cache {
    let (service, clock) = (Arc::new(Faulty::default()), HandClock::new());
    let hands = clock.clone();
    let now = Arc::new(move || Duration::from_secs(hands.unix_secs()));
    Cache { cached: Cached::new(service.clone(), limits, now), service, clock }
}

impl Cache {
    fn generate(&self, tenant: &str, len: Option<u64>) -> Generated {
        let fixed = fixed(tenant);
        let new = NewEnvelope { fixed: &fixed, plaintext_len: len };
        block_on(self.cached.generate(new)).unwrap().unwrap()
    }

    fn unwrap(&self, recipient: &Recipient, tenant: &str) -> Result<Option<Dek>, UnwrapError> {
        let draft = Draft::new(options(tenant), &SystemRandom).unwrap();
        block_on(self.cached.unwrap(recipient, draft.binding()))
    }
}

fn options(tenant: &str) -> SealOptions {
    SealOptions { context: Context::new([("tenant", tenant)]).unwrap(), ..SealOptions::default() }
}

fn fixed(tenant: &str) -> Fixed {
    options(tenant).draw(&SystemRandom).unwrap()
}

#[test]
fn a_cache_saves_calls_within_its_limits() {
    let cache = cache(LIMITS);
    let first = cache.generate("acme", Some(10));
    for _ in 0..2 {
        assert_eq!(cache.generate("acme", Some(10)).dek.expose(), first.dek.expose());
    }
    // The fourth message, and another that is too many bytes.
    let fourth = cache.generate("acme", Some(990));
    assert_ne!(fourth.dek.expose(), first.dek.expose());
    assert_ne!(cache.generate("acme", Some(11)).dek.expose(), fourth.dek.expose());
    assert_eq!(cache.service.calls(), 3);
    assert_eq!(cache.cached.counts(), CacheCounts { hits: 2, misses: 3, bypassed: 0 });
}

#[test]
fn a_plaintext_of_unknown_length_or_too_long_a_one_gets_a_dek_of_its_own() {
    let cache = cache(LIMITS);
    let kept = cache.generate("acme", Some(1));
    for len in [None, Some(1001)] {
        assert_ne!(cache.generate("acme", len).dek.expose(), kept.dek.expose());
    }
    assert_eq!(cache.generate("acme", Some(1)).dek.expose(), kept.dek.expose());
    assert_eq!(cache.cached.counts(), CacheCounts { hits: 1, misses: 1, bypassed: 2 });
}

#[test]
fn attack_34_no_context_finds_the_dek_of_another() {
    let cache = cache(LIMITS);
    let acme = cache.generate("acme", Some(1));
    assert_ne!(cache.generate("globex", Some(1)).dek.expose(), acme.dek.expose());
    // Opened once, and so in the cache: under another context the service is asked, and refuses.
    for _ in 0..2 {
        let dek = cache.unwrap(&acme.recipient, "acme").unwrap().unwrap();
        assert_eq!(dek.expose(), acme.dek.expose());
    }
    assert_eq!(cache.service.calls(), 3);
    for _ in 0..2 {
        let refused = cache.unwrap(&acme.recipient, "globex");
        assert!(matches!(refused, Err(UnwrapError::NotAuthentic)), "{refused:?}");
    }
    assert_eq!(cache.service.calls(), 5);
    // Nor does another key's recipient with the same wrapped bytes.
    let other = Recipient { key_id: b"another key".to_vec(), ..acme.recipient };
    assert!(cache.unwrap(&other, "acme").is_err());
}

#[test]
fn attack_34_an_entry_is_gone_after_its_age() {
    let cache = cache(LIMITS);
    let first = cache.generate("acme", Some(1));
    cache.unwrap(&first.recipient, "acme").unwrap().unwrap();
    assert_eq!(cache.cached.len(), 2);
    cache.clock.advance(Duration::from_secs(59));
    cache.cached.sweep();
    assert_eq!(cache.cached.len(), 2);
    cache.clock.advance(Duration::from_secs(1));
    cache.cached.sweep();
    assert!(cache.cached.is_empty());
    assert_ne!(cache.generate("acme", Some(1)).dek.expose(), first.dek.expose());
    // A clock that goes back makes nothing younger.
    cache.clock.set_unix_secs(1);
    cache.cached.sweep();
    assert!(cache.cached.is_empty());
    cache.generate("acme", Some(1));
    cache.cached.clear();
    assert!(cache.cached.is_empty());
}

#[test]
fn a_cache_keeps_no_more_than_it_may() {
    let cache = cache(CacheLimits { entries_max: 2, ..LIMITS });
    let oldest = cache.generate("a", Some(1));
    for tenant in ["b", "c"] {
        cache.clock.advance(Duration::from_secs(1));
        cache.generate(tenant, Some(1));
    }
    assert_eq!(cache.cached.len(), 2);
    assert_ne!(cache.generate("a", Some(1)).dek.expose(), oldest.dek.expose());
    let none = self::cache(CacheLimits { entries_max: 0, ..LIMITS });
    none.generate("a", Some(1));
    assert!(none.cached.is_empty());
}

#[test]
fn attack_16_a_cache_prints_no_dek() {
    let cache = cache(LIMITS);
    cache.generate("acme", Some(1));
    let printed = format!("{:?}", cache.cached);
    assert!(printed.starts_with("Cached { provider: Faulty {") && printed.contains("len: 1"), "{printed}");
}

/// How long a sleep was to be, each time.
type Waits = Arc<Mutex<Vec<Duration>>>;

/// Retries with a sleep that only notes how long it was.
fn retrying(
    failures: Vec<ServiceError>,
    random: Arc<dyn Random>,
) -> (Arc<Faulty>, Retrying<Arc<Faulty>>, Waits) {
    let (service, waits) = (Arc::new(Faulty::failing(failures)), Waits::default());
    let noted = waits.clone();
    let sleep = Arc::new(move |wait| -> BoxFuture<'static, ()> {
        noted.lock().unwrap().push(wait);
        Box::pin(async {})
    });
    let limits =
        RetryLimits { retries_max: 3, wait_max: Duration::from_millis(300), ..RetryLimits::default() };
    (service.clone(), Retrying::new(service, limits, sleep, random), waits)
}

fn wrap(provider: &dyn KeyProvider) -> Result<Recipient, WrapError> {
    let draft = Draft::new(options("acme"), &SystemRandom).unwrap();
    block_on(provider.wrap(draft.dek(), draft.binding()))
}

#[test]
fn what_may_pass_is_asked_again_and_not_for_ever() {
    let busy = ServiceError::Throttled("slow down".into());
    let (service, provider, _) = retrying(vec![busy.clone(); 3], Arc::new(SystemRandom));
    wrap(&provider).unwrap();
    assert_eq!(service.calls(), 4);
    let (service, provider, _) = retrying(vec![busy.clone(); 4], Arc::new(SystemRandom));
    assert!(matches!(wrap(&provider), Err(WrapError::Service { source, .. }) if source == busy));
    assert_eq!(service.calls(), 4);
    for lasting in [ServiceError::Disabled("by hand".into()), ServiceError::Denied("no".into())] {
        let (service, provider, waits) = retrying(vec![lasting], Arc::new(SystemRandom));
        assert!(wrap(&provider).is_err());
        assert_eq!((service.calls(), waits.lock().unwrap().len()), (1, 0));
    }
}

#[test]
fn waits_double_to_their_limit_and_are_shared_out_at_random() {
    struct All(u8);
    impl Random for All {
        fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError> {
            bytes.fill(self.0);
            Ok(())
        }
    }
    let away = vec![ServiceError::Unreachable("away".into()); 3];
    let millis = |random: Arc<dyn Random>| -> Vec<u128> {
        let (_, provider, waits) = retrying(away.clone(), random);
        wrap(&provider).unwrap();
        waits.lock().unwrap().iter().map(|wait| wait.as_micros().div_ceil(1000)).collect()
    };
    assert_eq!(millis(Arc::new(All(0xff))), [100, 200, 300]);
    assert_eq!(millis(Arc::new(All(0))), [0, 0, 0]);
    let drawn = millis(Arc::new(SystemRandom));
    assert!(drawn.iter().zip([100, 200, 300]).all(|(wait, longest)| *wait <= longest), "{drawn:?}");
}

#[test]
fn no_more_are_asked_at_a_time_than_may_be() {
    for (most, asked) in [(1, 1), (3, 3), (100, 20), (0, 1)] {
        let service = Arc::new(Faulty::default());
        let provider = Limited::new(service.clone(), most);
        let draft = Draft::new(options("acme"), &SystemRandom).unwrap();
        let calls = (0..20).map(|_| provider.wrap(draft.dek(), draft.binding()));
        block_on(join_all(calls)).into_iter().for_each(|wrapped| drop(wrapped.unwrap()));
        assert_eq!((service.calls(), service.most.load(Ordering::SeqCst)), (20, asked));
    }
}

#[test]
fn who_gives_up_waiting_blocks_nobody() {
    let service = Arc::new(Faulty::default());
    let provider = Limited::new(service.clone(), 1);
    let draft = Draft::new(options("acme"), &SystemRandom).unwrap();
    let mut task = std::task::Context::from_waker(std::task::Waker::noop());
    let (mut held, mut given_up) =
        (provider.wrap(draft.dek(), draft.binding()), provider.wrap(draft.dek(), draft.binding()));
    assert!(held.as_mut().poll(&mut task).is_pending());
    assert!(given_up.as_mut().poll(&mut task).is_pending());
    drop((held, given_up));
    wrap(&provider).unwrap();
}
