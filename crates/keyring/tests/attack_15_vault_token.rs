//! Everything said and logged at the finest level while calls to Vault succeed and fail. Alone in its process, since loggers are
//! global.

#[path = "vault/peer.rs"]
mod peer;

use std::time::Duration;

use pollster::block_on;
use waxwing_core::envelope::{Draft, SealOptions};
use waxwing_core::{Dek, SystemRandom};
use waxwing_formats::codec::Encode as _;
use waxwing_formats::envelope::{Context, Kind, Recipient};
use waxwing_keyring::{KeyProvider, NewEnvelope, TransitKey, Vault, VaultOptions, VaultTransit};
use waxwing_testkit::logs;
use zeroize::Zeroizing;

use peer::{Does, Peer, answer};

const TOKEN: &str = "hvs.canary-token";
/// The DEK that the peer gives away: bytes 0 to 31.
const DEK: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// What every use of a key says, with everything printable about the key.
fn uses(key: &VaultTransit, dek: &Dek, context: &Context) -> (usize, String) {
    let context = context.clone();
    let draft = Draft::new(SealOptions { context, ..SealOptions::default() }, &SystemRandom).unwrap();
    let binding = draft.binding();
    let recipient = Recipient {
        kind: Kind::new(Kind::VAULT_TRANSIT).unwrap(),
        key_id: key.key().as_str().into(),
        wrapped: b"vault:v1:canary/ciphertext/canary".to_vec(),
    };
    let (mut failed, mut said) = (0, format!("{key:?}"));
    let mut note = |error: Option<String>| {
        failed += usize::from(error.is_some());
        said += &error.unwrap_or_default();
    };
    note(block_on(key.wrap(dek, binding)).err().map(|error| logs::printed(&error)));
    note(block_on(key.unwrap(&recipient, binding)).err().map(|error| logs::printed(&error)));
    note(block_on(key.rewrap(&recipient, binding)).err().map(|error| logs::printed(&error)));
    let new = NewEnvelope { fixed: binding.fixed, plaintext_len: None };
    match block_on(key.generate(new)) {
        Ok(made) => note(Some(format!("{made:?}"))),
        Err(error) => note(Some(logs::printed(&error))),
    }
    (failed, said)
}

#[test]
fn attack_15_no_log_or_error_holds_the_token_or_a_value() {
    logs::capture();
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_writer(|| logs::Capture)
        .init();

    let dek = Dek::from_unwrapped(&std::array::from_fn::<u8, 32, _>(|i| i as u8)).unwrap();
    let good = format!(r#"{{"data":{{"plaintext":"{DEK}","ciphertext":"vault:v1:AAAA"}}}}"#);
    let bad = format!(r#"{{"data":{{"plaintext":"{DEK}!","ciphertext":"{DEK}"}}}}"#);
    let context = Context::new([("tenant", "canary-context")]).unwrap();
    let encoded = waxwing_formats::base64::encode(&context.to_bytes());
    let repeated = format!("{{{{ {TOKEN} }}}}");
    let mut script = vec![answer("200 OK", &good), answer("200 OK", &bad), answer("200 OK", &repeated)];
    script.extend(
        ["400 X", "401 X", "403 X", "404 X", "405 X", "418 X", "429 X", "500 X", "503 X", "302 X"]
            .map(Does::Echoes),
    );
    script.extend([answer("403 X", &repeated), answer("503 X", &repeated)]);
    script.extend([Does::Sends(TOKEN.into()), Does::Sends(Vec::new()), Does::Stalls]);

    let (mut failures, mut said) = (0, String::new());
    let scripts = script.len();
    for does in script {
        let peer = Peer::start(vec![does]);
        let options = VaultOptions::new(peer.url(), Zeroizing::new(TOKEN.to_owned()));
        said += &format!("{options:?}");
        let options = VaultOptions { call_time_max: Duration::from_millis(500), ..options };
        let key =
            VaultTransit::new(Vault::new(options).unwrap(), TransitKey::new("transit/payroll").unwrap());
        let (failed, words) = uses(&key, &dek, &context);
        failures += failed;
        said += &words;
        assert!(peer.requests().iter().all(|request| request.contains(TOKEN)), "the token is used");
    }
    // A handshake that fails.
    let peer = Peer::start(vec![Does::Sends(b"no TLS here".to_vec())]);
    let options =
        VaultOptions::new(peer.url().replacen("http", "https", 1), Zeroizing::new(TOKEN.to_owned()));
    let key = VaultTransit::new(Vault::new(options).unwrap(), TransitKey::new("transit/payroll").unwrap());
    said += &uses(&key, &dek, &context).1;

    assert!(failures >= (scripts - 1) * 3, "{failures} failures of {scripts} scripts:\n{said}");
    assert!(said.contains("[withheld]"), "{said}");
    let log = logs::captured();
    assert!(log.contains("reqwest"), "what reqwest logs is captured:\n{log}");
    let bytes = "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10";
    for canary in ["canary", DEK, "AAECAwQFBgcICQoLDA0ODxAREhMU", &encoded, bytes, "000102030405060708"] {
        assert!(!said.contains(canary), "{canary} is told:\n{said}");
        assert!(!log.contains(canary), "{canary} is logged:\n{log}");
    }
}
