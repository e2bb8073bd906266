//! Keys in real tokens of software: Kryoptic, which has OAEP with SHA-256, and SoftHSM, which has not.

mod conformance;

use std::fs;
use std::sync::Arc;
use std::thread;

use cryptoki::context::Pkcs11;
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use pollster::block_on;
use waxwing_core::envelope::{Draft, LockedHeader, SealOptions};
use waxwing_core::{Dek, SystemRandom};
use waxwing_formats::envelope::Recipient;
use waxwing_formats::scheme::Digest;
use waxwing_keyring::{
    Key, KeyProvider, Keyring, Pkcs11Error, Pkcs11Key, Pkcs11Options, RsaRecipientKey, ServiceError,
    UnwrapError, Wrapping,
};
use waxwing_testkit::token::{PIN, Token, in_child};
use zeroize::Zeroizing;

use conformance::{Binds, Sort};

/// How many wrong PINs lock a token of Kryoptic.
const KRYOPTIC_TRIES: usize = 10;

#[test]
fn a_token_opens_what_was_wrapped_by_it_and_by_anybody() {
    let Some(token) = Token::kryoptic() else { return };
    let sizes = [2048, 3072, 4096];
    let prepare = |token: &Token| {
        sizes.iter().for_each(|bits| token.make_key(&format!("rsa {bits}"), "01", *bits));
    };
    in_child(&token, "a_token_opens_what_was_wrapped_by_it_and_by_anybody", prepare, |token| {
        for bits in sizes {
            let key = open(token, &format!("object=rsa%20{bits}"));
            assert_eq!(key.public().bits(), bits);
            let exported = public(&key);
            let draft = draft();
            let wrapped_there = block_on(key.wrap(draft.dek(), draft.binding())).unwrap();
            let wrapped_here = block_on(exported.wrap(draft.dek(), draft.binding())).unwrap();
            assert_eq!(wrapped_there.key_id, wrapped_here.key_id);
            for recipient in [&wrapped_there, &wrapped_here] {
                assert!(key.is_for(recipient));
                assert_eq!(unwrap(&key, recipient).unwrap().unwrap().expose(), draft.dek().expose());
            }
            let (header, _) = draft.seal_header(&[wrapped_here]).unwrap();
            let keyring = Keyring::new([Arc::new(key) as _]);
            block_on(keyring.unlock(&LockedHeader::decode(&header).unwrap())).unwrap();
        }
    });
}

#[test]
fn a_key_on_a_token_keeps_the_laws_of_key_providers() {
    let Some(token) = Token::kryoptic() else { return };
    let test = "a_key_on_a_token_keeps_the_laws_of_key_providers";
    in_child(&token, test, two_keys, |token| {
        let key: Arc<dyn KeyProvider> = Arc::new(open(token, "object=kek"));
        let stranger: Arc<dyn KeyProvider> = Arc::new(open(token, "object=other"));
        conformance::check(&key, &key, &stranger, Sort::new(Binds::Nothing, true));
    });
}

#[test]
fn attack_12_whatever_is_wrong_with_a_wrapped_key_the_answer_is_one() {
    let Some(token) = Token::kryoptic() else { return };
    in_child(&token, "attack_12_whatever_is_wrong_with_a_wrapped_key_the_answer_is_one", two_keys, |token| {
        let (key, other) = (open(token, "object=kek"), open(token, "object=other"));
        let draft = draft();
        let good = block_on(key.wrap(draft.dek(), draft.binding())).unwrap();
        let theirs = block_on(other.wrap(draft.dek(), draft.binding())).unwrap();
        let with = |wrapped: Vec<u8>| Recipient { wrapped, ..good.clone() };
        let flipped = |at: usize| {
            let mut wrapped = good.wrapped.clone();
            wrapped[at] ^= 1;
            with(wrapped)
        };
        let wrapped_with = |digest, mgf1, label: &'static [u8], blob: &[u8]| {
            with(key.public().wrap_blob(Wrapping::Oaep { digest, mgf1, label }, blob).unwrap())
        };
        let dek = draft.dek().expose();
        let bad = [
            flipped(0),
            flipped(100),
            flipped(255),
            with(vec![0; 256]),
            with(vec![0xff; 256]),
            with(theirs.wrapped.clone()),
            with(key.public().wrap_blob(Wrapping::Pkcs1 { len: 32 }, dek).unwrap()),
            wrapped_with(Digest::Sha1, Digest::Sha1, b"", dek),
            wrapped_with(Digest::Sha256, Digest::Sha1, b"", dek),
            wrapped_with(Digest::Sha256, Digest::Sha256, b"label", dek),
            wrapped_with(Digest::Sha256, Digest::Sha256, b"", &dek[1..]),
        ];
        for (n, recipient) in bad.iter().enumerate() {
            let answer = unwrap(&key, recipient);
            assert!(matches!(answer, Err(UnwrapError::NotAuthentic)), "{n}: {answer:?}");
        }
        // For another key, or no length of ours: the token is not even asked.
        for recipient in [theirs, with(good.wrapped[1..].to_vec()), with(Vec::new())] {
            assert!(matches!(unwrap(&key, &recipient), Ok(None)));
        }
        assert_eq!(unwrap(&key, &good).unwrap().unwrap().expose(), dek);
    });
}

#[test]
fn a_wrong_pin_is_tried_once() {
    let Some(token) = Token::kryoptic() else { return };
    in_child(&token, "a_wrong_pin_is_tried_once", one_key, |token| {
        for _ in 1..KRYOPTIC_TRIES {
            let refused = open_with(token, "object=kek", Some("4321")).unwrap_err();
            assert!(matches!(refused, Pkcs11Error::Service(ServiceError::Denied(_))), "{refused:?}");
            assert!(refused.to_string().contains("the PIN is wrong"), "{refused}");
            assert!(!format!("{refused} {refused:?}").contains("4321"));
        }
        // Had any of them tried twice, the token would be locked by now.
        open(token, "object=kek");
    });
}

#[test]
fn a_locked_pin_is_said_to_be() {
    let Some(token) = Token::kryoptic() else { return };
    in_child(&token, "a_locked_pin_is_said_to_be", one_key, |token| {
        for _ in 0..KRYOPTIC_TRIES {
            open_with(token, "object=kek", Some("4321")).unwrap_err();
        }
        let refused = open_with(token, "object=kek", Some(PIN)).unwrap_err();
        assert!(matches!(refused, Pkcs11Error::Service(ServiceError::Denied(_))), "{refused:?}");
        assert!(refused.to_string().contains("the PIN is locked"), "{refused}");
    });
}

#[test]
fn a_session_that_was_lost_is_opened_again() {
    let Some(token) = Token::kryoptic() else { return };
    in_child(&token, "a_session_that_was_lost_is_opened_again", one_key, |token| {
        let key = open(token, "object=kek");
        let draft = draft();
        let recipient = block_on(key.wrap(draft.dek(), draft.binding())).unwrap();
        for _ in 0..3 {
            session(token).logout().unwrap();
            assert_eq!(unwrap(&key, &recipient).unwrap().unwrap().expose(), draft.dek().expose());
        }
    });
}

#[test]
fn a_pin_that_was_changed_meanwhile_is_tried_once() {
    let Some(token) = Token::kryoptic() else { return };
    in_child(&token, "a_pin_that_was_changed_meanwhile_is_tried_once", one_key, |token| {
        let key = open(token, "object=kek");
        let draft = draft();
        let recipient = block_on(key.wrap(draft.dek(), draft.binding())).unwrap();
        let session = session(token);
        session.set_pin(&AuthPin::new(PIN.into()), &AuthPin::new("987654".into())).unwrap();
        session.logout().unwrap();
        for _ in 0..2 * KRYOPTIC_TRIES {
            let refused = unwrap(&key, &recipient).unwrap_err();
            let UnwrapError::Service { source: ServiceError::Denied(said), .. } = refused else {
                panic!("{refused:?}")
            };
            assert!(said.contains("the PIN is wrong"), "{said}");
        }
        // The token is not locked.
        session.login(UserType::User, Some(&AuthPin::new("987654".into()))).unwrap();
    });
}

#[test]
fn keys_that_cannot_be_told_apart_or_are_not_there_are_listed() {
    let Some(token) = Token::kryoptic() else { return };
    let prepare = |token: &Token| {
        token.make_key("kek", "01", 2048);
        token.make_key("kek", "02ff", 2048);
        token.make("signs", "03", "RSA:2048", "--usage-sign");
    };
    in_child(&token, "keys_that_cannot_be_told_apart_or_are_not_there_are_listed", prepare, |token| {
        for pin in [Some(PIN), None] {
            let several = open_with(token, "object=kek", pin).unwrap_err();
            let Pkcs11Error::SeveralKeys { keys } = &several else { panic!("{several:?}") };
            assert!(keys.contains("`kek` (id=%01)") && keys.contains("`kek` (id=%02%FF)"), "{keys}");
            let one = open_with(token, "object=kek;id=%02%FF", pin).unwrap();
            assert_ne!(one.public().key_id(), open_with(token, "id=%01", pin).unwrap().public().key_id());
            let none = open_with(token, "object=kex", pin).unwrap_err();
            assert!(matches!(none, Pkcs11Error::NoKey { others: 0 }), "{none:?}");
        }
        let signs = open_with(token, "object=signs", Some(PIN)).unwrap_err();
        assert!(matches!(signs, Pkcs11Error::NoKey { others: 1 }), "{signs:?}");
        for elsewhere in ["serial=1", "slot-id=77", "manufacturer=Snake%20Oil", "library-version=9.9"] {
            let none = open_with(token, &format!("object=kek;{elsewhere}"), Some(PIN)).unwrap_err();
            assert!(matches!(none, Pkcs11Error::NoToken { .. }), "{elsewhere}: {none:?}");
        }
        let present = open_with(token, "serial=1", Some(PIN)).unwrap_err().to_string();
        assert!(present.contains("`wax` (serial "), "{present}");
    });
}

#[test]
fn without_a_pin_a_key_wraps_and_says_what_it_lacks_to_open() {
    let Some(token) = Token::kryoptic() else { return };
    in_child(&token, "without_a_pin_a_key_wraps_and_says_what_it_lacks_to_open", one_key, |token| {
        let seals = open_with(token, "object=kek", None).unwrap();
        let draft = draft();
        let recipient = block_on(seals.wrap(draft.dek(), draft.binding())).unwrap();
        let refused = unwrap(&seals, &recipient).unwrap_err();
        let lacks = matches!(refused, UnwrapError::Service { source: ServiceError::Credentials(_), .. });
        assert!(lacks, "{refused:?}");
        let pin = token.dir().join("pin");
        fs::write(&pin, format!("{PIN}\n")).unwrap();
        let uri = format!("{}&pin-source=file:{}", token.uri("object=kek"), pin.display());
        let opens = Pkcs11Key::open(uri.parse().unwrap(), Pkcs11Options::default()).unwrap();
        assert_eq!(unwrap(&opens, &recipient).unwrap().unwrap().expose(), draft.dek().expose());
        let printed = format!("{opens:?}");
        assert!(printed.contains("object=kek") && !printed.contains(PIN), "{printed}");
    });
}

#[test]
fn more_callers_than_the_queue_has_room_for_are_all_served() {
    let Some(token) = Token::kryoptic() else { return };
    in_child(&token, "more_callers_than_the_queue_has_room_for_are_all_served", one_key, |token| {
        let key = open(token, "object=kek");
        let draft = draft();
        let good = block_on(key.wrap(draft.dek(), draft.binding())).unwrap();
        let bad = Recipient { wrapped: vec![1; 256], ..good.clone() };
        thread::scope(|scope| {
            for n in 0..40 {
                let (key, good, bad, dek) = (&key, &good, &bad, draft.dek().expose());
                scope.spawn(move || match n % 4 {
                    0 => assert!(matches!(unwrap(key, bad), Err(UnwrapError::NotAuthentic))),
                    _ => assert_eq!(unwrap(key, good).unwrap().unwrap().expose(), dek),
                });
            }
        });
    });
}

#[test]
fn a_token_that_has_oaep_with_sha_1_only_says_so() {
    let Some(token) = Token::softhsm() else { return };
    in_child(&token, "a_token_that_has_oaep_with_sha_1_only_says_so", one_key, |token| {
        let refused = open_with(token, "object=kek", Some(PIN)).unwrap_err();
        assert!(matches!(refused, Pkcs11Error::Service(ServiceError::Unsuitable(_))), "{refused:?}");
        assert!(refused.to_string().contains("this token does OAEP with SHA-1 only"), "{refused}");
        let wrong = open_with(token, "object=kek", Some("4321")).unwrap_err();
        assert!(wrong.to_string().contains("the PIN is wrong"), "{wrong}");
    });
}

fn one_key(token: &Token) {
    token.make_key("kek", "01", 2048);
}

fn two_keys(token: &Token) {
    token.make_key("kek", "01", 2048);
    token.make_key("other", "02", 2048);
}

fn open(token: &Token, attributes: &str) -> Pkcs11Key {
    open_with(token, attributes, Some(PIN)).unwrap()
}

fn open_with(token: &Token, attributes: &str, pin: Option<&str>) -> Result<Pkcs11Key, Pkcs11Error> {
    let pin = pin.map(|pin| Zeroizing::new(pin.as_bytes().to_vec()));
    Pkcs11Key::open(token.uri(attributes).parse().unwrap(), Pkcs11Options { pin, module: None })
}

/// The public key as it travels: PEM.
fn public(key: &Pkcs11Key) -> RsaRecipientKey {
    match Key::read(key.public().to_pem().as_bytes(), None) {
        Ok(Key::RsaPublic(key)) => key,
        other => panic!("{other:?}"),
    }
}

/// Another session of this process, which shares the login.
fn session(token: &Token) -> Session {
    let module = Pkcs11::new(token.module()).unwrap();
    let slot = module.get_slots_with_initialized_token().unwrap()[0];
    module.open_rw_session(slot).unwrap()
}

fn draft() -> Draft {
    Draft::new(SealOptions::default(), &SystemRandom).unwrap()
}

fn unwrap(key: &Pkcs11Key, recipient: &Recipient) -> Result<Option<Dek>, UnwrapError> {
    block_on(key.unwrap(recipient, draft().binding()))
}
