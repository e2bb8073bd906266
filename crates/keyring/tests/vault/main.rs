//! Transit as a key provider, against OpenBao itself; what no OpenBao answers, against a peer that does ([`answers`]).

mod answers;
mod bao;
#[path = "../conformance/mod.rs"]
mod conformance;
mod peer;

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use pollster::block_on;
use serde_json::json;
use waxwing_core::envelope::{Draft, LockedHeader, SealOptions};
use waxwing_core::{Dek, SystemRandom};
use waxwing_formats::envelope::{Context, Recipient};
use waxwing_keyring::{KeyProvider, ServiceError, UnlockError, UnwrapError, WrapError};
use waxwing_testkit::server;

use bao::{Bao, context, open, seal};
use conformance::{Binds, Sort, check};

/// Where one failing service is why nothing opened: what it said.
fn failure(result: Result<(), UnlockError>) -> ServiceError {
    match result {
        Err(UnlockError::Unavailable(failed)) => failed.0.into_iter().next().unwrap().source,
        other => panic!("{other:?} is no failure of a service"),
    }
}

fn wrap_failure<T: std::fmt::Debug>(result: Result<T, WrapError>) -> ServiceError {
    match result {
        Err(WrapError::Service { source, .. }) => source,
        other => panic!("{other:?} is no failure of a service"),
    }
}

fn is_not_authentic(result: Result<(), UnlockError>) -> bool {
    matches!(result, Err(UnlockError::NotAuthentic(_)))
}

fn version(recipient: &Recipient) -> &str {
    std::str::from_utf8(&recipient.wrapped).unwrap().split(':').nth(1).unwrap()
}

/// The recipient, with its wrapped key as text changed.
fn changed(recipient: &Recipient, change: impl Fn(&str) -> String) -> Recipient {
    let text = std::str::from_utf8(&recipient.wrapped).unwrap();
    Recipient { wrapped: change(text).into(), ..recipient.clone() }
}

#[test]
fn keys_of_transit_keep_the_laws() {
    let Some(bao) = Bao::start() else { return };
    bao.post("transit/keys/rsa", json!({ "type": "rsa-2048" }));
    let key = |name: &str| -> Arc<dyn KeyProvider> { Arc::new(bao.key(name)) };
    let stranger = key("transit/other");
    for (name, binds) in [
        ("transit/derived", Binds::Context),
        ("transit/plain", Binds::Nothing),
        ("transit/rsa", Binds::Nothing),
    ] {
        // Opened by another provider of the same key, as by another process.
        check(&key(name), &key(name), &stranger, Sort::new(binds, true));
    }
}

#[test]
fn what_one_key_seals_it_opens_whatever_its_type() {
    let Some(bao) = Bao::start() else { return };
    for kind in ["rsa-2048", "chacha20-poly1305", "aes128-gcm96"] {
        bao.post(&format!("transit/keys/{kind}"), json!({ "type": kind }));
    }
    // The longest that a header has: transit takes it, too.
    let long = Context::new([("k", "v".repeat((32 << 10) - 5))]).unwrap();
    for name in ["derived", "plain", "rsa-2048", "chacha20-poly1305", "aes128-gcm96"] {
        let key = bao.key(&format!("transit/{name}"));
        for context in [Context::default(), context("acme"), long.clone()] {
            let header = seal(&[&key], context).unwrap();
            open(&key, &header).unwrap();
            let [recipient] = header.unverified().recipients.as_slice() else { panic!("one recipient") };
            assert_eq!(recipient.kind.as_str(), "vault-transit");
            assert_eq!(recipient.key_id, format!("transit/{name}").as_bytes());
            assert!(recipient.wrapped.starts_with(b"vault:v1:"));
        }
    }
}

#[test]
fn two_keys_share_one_data_key_and_each_opens() {
    let Some(bao) = Bao::start() else { return };
    bao.post("sys/mounts/teams/eu/transit", json!({ "type": "transit" }));
    bao.post("teams/eu/transit/keys/payroll", json!({ "derived": true }));
    let (one, other) = (bao.key("transit/derived"), bao.key("teams/eu/transit/payroll"));
    let header = seal(&[&one, &other], context("acme")).unwrap();
    open(&one, &header).unwrap();
    open(&other, &header).unwrap();
    let stranger = open(&bao.key("transit/other"), &header);
    assert!(matches!(stranger, Err(UnlockError::NoUsableKey { .. })), "{stranger:?}");
}

/// Header `to`'s fields round the recipient of header `from`, sealed anew by somebody with a DEK of his own.
fn moved(recipient: &Recipient, to: Context) -> LockedHeader {
    let draft = Draft::new(SealOptions { context: to, ..SealOptions::default() }, &SystemRandom).unwrap();
    LockedHeader::decode(&draft.seal_header(std::slice::from_ref(recipient)).unwrap().0).unwrap()
}

#[test]
fn a_derived_key_refuses_another_context_and_the_header_does_for_the_rest() {
    let Some(bao) = Bao::start() else { return };
    for (name, is_bound) in [("transit/derived", true), ("transit/plain", false)] {
        let key = bao.key(name);
        let header = seal(&[&key], context("acme")).unwrap();
        let recipient = &header.unverified().recipients[0];
        for to in [context("globex"), Context::default()] {
            let moved = moved(recipient, to);
            let unwrapped = block_on(key.unwrap(recipient, moved.binding()));
            match is_bound {
                true => assert!(matches!(unwrapped, Err(UnwrapError::NotAuthentic)), "{unwrapped:?}"),
                false => assert!(matches!(unwrapped, Ok(Some(_))), "transit ignores it: {unwrapped:?}"),
            }
            assert!(is_not_authentic(open(&key, &moved)));
        }
    }
}

#[test]
fn attack_12_another_keys_ciphertext_is_refused_though_the_service_would_decrypt() {
    let Some(bao) = Bao::start() else { return };
    let (mine, other) = (bao.key("transit/derived"), bao.key("transit/other"));
    let header = seal(&[&other], context("acme")).unwrap();
    let theirs = &header.unverified().recipients[0];
    assert!(block_on(other.unwrap(theirs, header.binding())).unwrap().is_some());
    assert!(matches!(block_on(mine.unwrap(theirs, header.binding())), Ok(None)));
    assert!(matches!(block_on(mine.rewrap(theirs, header.binding())), Ok(None)));
    let renamed = Recipient { key_id: b"transit/derived".to_vec(), ..theirs.clone() };
    let refused = block_on(mine.unwrap(&renamed, header.binding()));
    assert!(matches!(refused, Err(UnwrapError::NotAuthentic)), "{refused:?}");
    // Paths that lead to the same key are other keys.
    for alias in [
        "transit/../transit/derived",
        "transit//derived",
        "/transit/derived",
        "transit/derived/",
        "transit/./derived",
    ] {
        let alias = Recipient { key_id: alias.into(), ..theirs.clone() };
        assert!(!mine.is_for(&alias));
        assert!(matches!(block_on(mine.unwrap(&alias, header.binding())), Ok(None)));
    }
}

#[test]
fn a_changed_ciphertext_is_not_authentic_or_not_transits() {
    let Some(bao) = Bao::start() else { return };
    bao.post("transit/keys/rsa", json!({ "type": "rsa-2048" }));
    for name in ["transit/derived", "transit/plain", "transit/rsa"] {
        let key = bao.key(name);
        let header = seal(&[&key], context("acme")).unwrap();
        let recipient = &header.unverified().recipients[0];
        let unwrap = |recipient: &Recipient| block_on(key.unwrap(recipient, header.binding()));
        let (start, len) = ("vault:v1:".len(), recipient.wrapped.len());
        for at in [start, start + 17, len - 5, len - 1] {
            let mut flipped = recipient.clone();
            flipped.wrapped[at] ^= 1;
            let result = unwrap(&flipped);
            assert!(matches!(result, Err(UnwrapError::NotAuthentic)), "{name}, byte {at}: {result:?}");
        }
        for change in [
            (|text| text[..text.len() - 4].to_owned()) as fn(&str) -> String,
            |text| format!("{text}AAAA"),
            |_| "vault:v1:AAAA".to_owned(),
            |_| "vault:v1:~".to_owned(),
        ] {
            let result = unwrap(&changed(recipient, change));
            assert!(matches!(result, Err(UnwrapError::NotAuthentic)), "{name}: {result:?}");
        }
        // OpenBao reads all but the last as version 1.
        for spelling in ["vault:v0:", "vault:v01:", "vault:v+1:", "Vault:v1:"] {
            let other = changed(recipient, |text| text.replacen("vault:v1:", spelling, 1));
            assert!(matches!(unwrap(&other), Ok(None)), "{spelling}");
        }
    }
}

#[test]
fn a_ciphertext_of_something_else_than_a_data_key_is_not_authentic() {
    let Some(bao) = Bao::start() else { return };
    let key = bao.key("transit/plain");
    let header = seal(&[&key], Context::default()).unwrap();
    let made = bao.post("transit/encrypt/plain", json!({ "plaintext": "c2hvcnQ=" }));
    let short = made["data"]["ciphertext"].as_str().unwrap();
    let short = changed(&header.unverified().recipients[0], |_| short.to_owned());
    let result = block_on(key.unwrap(&short, header.binding()));
    assert!(matches!(result, Err(UnwrapError::NotAuthentic)), "{result:?}");
}

#[test]
fn rotated_keys_open_what_is_old_until_the_service_refuses_the_version() {
    let Some(bao) = Bao::start() else { return };
    for name in ["derived", "plain"] {
        let key = bao.key(&format!("transit/{name}"));
        let old = seal(&[&key], context("acme")).unwrap();
        bao.post(&format!("transit/keys/{name}/rotate"), json!({}));
        open(&key, &old).unwrap();
        let new = seal(&[&key], context("acme")).unwrap();
        assert_eq!(version(&new.unverified().recipients[0]), "v2");

        bao.post(&format!("transit/keys/{name}/config"), json!({ "min_decryption_version": 2 }));
        open(&key, &new).unwrap();
        let refused = failure(open(&key, &old));
        assert!(matches!(refused, ServiceError::Unsuitable(_)), "{refused:?}");
        assert!(refused.to_string().contains("too old"), "{refused}");
        let rewrapped = block_on(key.rewrap(&old.unverified().recipients[0], old.binding()));
        assert!(matches!(rewrapped, Err(UnwrapError::Service { source: ServiceError::Unsuitable(_), .. })));

        bao.post(&format!("transit/keys/{name}/config"), json!({ "min_decryption_version": 1 }));
        open(&key, &old).unwrap();
        let recipient = &old.unverified().recipients[0];
        let future = changed(recipient, |text| text.replacen("v1", "v9", 1));
        let refused = block_on(key.unwrap(&future, old.binding()));
        let Err(UnwrapError::Service { source, .. }) = refused else { panic!("{refused:?}") };
        assert!(matches!(&source, ServiceError::Unsuitable(_)), "{source:?}");
    }
}

#[test]
fn rewrap_takes_a_wrapped_key_to_the_newest_version() {
    let Some(bao) = Bao::start() else { return };
    for name in ["derived", "plain"] {
        let key = bao.key(&format!("transit/{name}"));
        let header = seal(&[&key], context("acme")).unwrap();
        let old = &header.unverified().recipients[0];
        let dek = block_on(key.unwrap(old, header.binding())).unwrap().unwrap();
        bao.post(&format!("transit/keys/{name}/rotate"), json!({}));
        let new = block_on(key.rewrap(old, header.binding())).unwrap().unwrap();
        assert_eq!((version(old), version(&new)), ("v1", "v2"));
        assert_eq!((&new.kind, &new.key_id), (&old.kind, &old.key_id));
        bao.post(&format!("transit/keys/{name}/config"), json!({ "min_decryption_version": 2 }));
        let again = block_on(key.unwrap(&new, header.binding())).unwrap().unwrap();
        assert_eq!(dek.expose(), again.expose());
        let mut flipped = new.clone();
        flipped.wrapped[30] ^= 1;
        let refused = block_on(key.rewrap(&flipped, header.binding()));
        assert!(matches!(refused, Err(UnwrapError::NotAuthentic)), "{refused:?}");
    }
    let key = bao.key("transit/derived");
    let header = seal(&[&key], context("acme")).unwrap();
    let recipient = &header.unverified().recipients[0];
    let elsewhere = moved(recipient, context("globex"));
    let refused = block_on(key.rewrap(recipient, elsewhere.binding()));
    assert!(matches!(refused, Err(UnwrapError::NotAuthentic)), "{refused:?}");
}

#[test]
fn keys_and_engines_that_are_not_there_are_named() {
    let Some(bao) = Bao::start() else { return };
    for name in ["transit/missing", "nowhere/derived", "sys/derived"] {
        let key = bao.key(name);
        let missing = wrap_failure(seal(&[&key], Context::default()));
        assert!(matches!(missing, ServiceError::NotFound(_)), "{name}: {missing:?}");
    }
    bao.post("transit/keys/signs", json!({ "type": "ed25519" }));
    let unsuitable = wrap_failure(seal(&[&bao.key("transit/signs")], Context::default()));
    assert!(matches!(unsuitable, ServiceError::Unsuitable(_)), "{unsuitable:?}");
}

/// The policies of the manual, in their order there: of who seals, opens, rewraps.
fn policies() -> [String; 3] {
    let manual = include_str!("../../../../docs/manual/vault.md");
    let blocks = manual.split("```hcl\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let blocks: Vec<_> = blocks.map(|block| block.replace("payroll", "derived")).collect();
    blocks.try_into().expect("the manual has three policies")
}

#[test]
fn the_policies_of_the_manual_allow_what_they_say_and_nothing_else() {
    let Some(bao) = Bao::start() else { return };
    let root = bao.key("transit/derived");
    let header = seal(&[&root], context("acme")).unwrap();
    let recipient = &header.unverified().recipients[0];
    let dek = Dek::generate(&SystemRandom).unwrap();
    for (policy, allowed) in
        policies().iter().zip([[true, false, false], [false, true, false], [false, false, true]])
    {
        let token = bao.token(policy, "1h");
        let key = bao.key_for(&token, "transit/derived");
        let sealed = seal(&[&key], context("acme")).map(|_| ());
        let wrapped = block_on(key.wrap(&dek, header.binding())).map(|_| ());
        for made in [sealed, wrapped] {
            match allowed[0] {
                true => made.unwrap(),
                false => assert!(matches!(wrap_failure(made), ServiceError::Denied(_))),
            }
        }
        match allowed[1] {
            true => open(&key, &header).unwrap(),
            false => assert!(matches!(failure(open(&key, &header)), ServiceError::Denied(_))),
        }
        match block_on(key.rewrap(recipient, header.binding())) {
            Ok(Some(_)) => assert!(allowed[2]),
            Err(UnwrapError::Service { source: ServiceError::Denied(_), .. }) => assert!(!allowed[2]),
            other => panic!("{other:?}"),
        }
        let other = bao.key_for(&token, "transit/other");
        assert!(matches!(wrap_failure(seal(&[&other], context("acme"))), ServiceError::Denied(_)));
    }
}

#[test]
fn a_misspelt_key_is_not_made_by_the_manuals_policy() {
    let Some(bao) = Bao::start() else { return };
    let everywhere = policies()[0].replace("derived", "*");
    let typo = bao.key_for(&bao.token(&everywhere, "1h"), "transit/misspelt");
    let header = seal(&[&bao.key("transit/derived")], Context::default()).unwrap();
    let dek = Dek::generate(&SystemRandom).unwrap();
    let refused = wrap_failure(block_on(typo.wrap(&dek, header.binding())));
    assert!(matches!(refused, ServiceError::Denied(_)), "{refused:?}");
    assert_eq!(bao.api("GET", "transit/keys/misspelt", &json!({})).0, 404);
    // Transit makes it for whoever may `create`, and derives from the context: the reason for the manual's warning.
    block_on(bao.key("transit/misspelt").wrap(&dek, header.binding())).unwrap();
    let made = bao.api("GET", "transit/keys/misspelt", &json!({})).1;
    assert_eq!(made["data"]["derived"], true);
}

#[test]
fn an_expired_token_is_denied() {
    let Some(bao) = Bao::start() else { return };
    let key = bao.key_for(&bao.token(&policies()[1], "1s"), "transit/derived");
    let header = seal(&[&bao.key("transit/derived")], context("acme")).unwrap();
    open(&key, &header).unwrap();
    thread::sleep(Duration::from_secs(2));
    let expired = failure(open(&key, &header));
    assert!(matches!(expired, ServiceError::Denied(_)), "{expired:?}");
    assert!(
        expired.to_string().contains("expired") && expired.to_string().contains("transit/decrypt/derived")
    );
}

#[test]
fn a_quota_throttles() {
    let Some(bao) = Bao::start() else { return };
    let key = bao.key("transit/derived");
    let header = seal(&[&key], context("acme")).unwrap();
    bao.post("sys/quotas/rate-limit/few", json!({ "rate": 1, "interval": "1h", "path": "transit" }));
    open(&key, &header).unwrap();
    let throttled = failure(open(&key, &header));
    assert!(matches!(throttled, ServiceError::Throttled(_)) && throttled.is_transient(), "{throttled:?}");
}

#[test]
fn a_sealed_service_is_not_ready_and_a_killed_one_is_out_of_reach() {
    let Some(mut bao) = Bao::start() else { return };
    let key = bao.key("transit/derived");
    let header = seal(&[&key], context("acme")).unwrap();
    bao.api("PUT", "sys/seal", &json!({}));
    for failed in [failure(open(&key, &header)), wrap_failure(seal(&[&key], Context::default()))] {
        assert!(
            matches!(failed, ServiceError::NotReady(_)) && failed.to_string().contains("sealed"),
            "{failed:?}"
        );
    }
    bao.server.kill();
    let gone = failure(open(&key, &header));
    assert!(matches!(gone, ServiceError::Unreachable(_)) && gone.is_transient(), "{gone:?}");
    // Nothing is held against a service that was away, and a development server forgets its keys.
    bao.server.restart();
    let forgotten = failure(open(&key, &header));
    assert!(matches!(forgotten, ServiceError::NotFound(_)), "{forgotten:?}");
}

#[test]
fn a_killed_service_opens_what_it_sealed_before() {
    let Some(mut bao) = Bao::start_durable() else { return };
    let key = bao.key("transit/derived");
    let header = seal(&[&key], context("acme")).unwrap();
    open(&key, &header).unwrap();
    bao.server.restart();
    server::wait_for_openbao(&bao.server);
    open(&key, &header).unwrap();
}
