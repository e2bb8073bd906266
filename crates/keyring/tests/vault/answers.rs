//! Answers that no OpenBao gives, and where the token must not go.

use std::process::Command;
use std::time::{Duration, Instant};

use pollster::block_on;
use waxwing_core::SystemRandom;
use waxwing_core::envelope::{Draft, SealOptions};
use waxwing_formats::envelope::{Kind, Recipient};
use waxwing_keyring::{
    KeyProvider, NewEnvelope, ServiceError, TransitKey, UnwrapError, Vault, VaultOptions, VaultSetupError,
    VaultTransit,
};
use waxwing_testkit::peers;
use waxwing_testkit::server::Server;
use zeroize::Zeroizing;

use crate::peer::{Does, Peer, answer};
use crate::wrap_failure;

const DATAKEY: &str =
    r#"{"data":{"plaintext":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=","ciphertext":"vault:v1:AAAA"}}"#;

fn options(address: &str) -> VaultOptions {
    VaultOptions::new(address, Zeroizing::new("canary-token".to_owned()))
}

fn key(options: VaultOptions) -> VaultTransit {
    VaultTransit::new(Vault::new(options).unwrap(), TransitKey::new("a b/transit/50%?#").unwrap())
}

/// What comes of asking for a data key.
fn generate(key: &VaultTransit) -> Result<[u8; 32], ServiceError> {
    let draft = Draft::new(SealOptions::default(), &SystemRandom).unwrap();
    let new = NewEnvelope { fixed: draft.binding().fixed, plaintext_len: None };
    match block_on(key.generate(new)) {
        Ok(made) => Ok(*made.unwrap().dek.expose()),
        failed => Err(wrap_failure(failed)),
    }
}

/// What comes of asking to unwrap.
fn unwrap(key: &VaultTransit) -> Result<[u8; 32], UnwrapError> {
    let draft = Draft::new(SealOptions::default(), &SystemRandom).unwrap();
    block_on(key.unwrap(&recipient(key), draft.binding())).map(|dek| *dek.unwrap().expose())
}

/// One of the key's, under its version 2.
fn recipient(key: &VaultTransit) -> Recipient {
    Recipient {
        kind: Kind::new(Kind::VAULT_TRANSIT).unwrap(),
        key_id: key.key().as_str().into(),
        wrapped: b"vault:v2:AAAA".to_vec(),
    }
}

#[test]
fn a_request_has_the_token_the_namespace_and_each_part_of_the_path_as_it_is() {
    let peer = Peer::start(vec![answer("200 OK", DATAKEY)]);
    let namespace = Some("team/eu".to_owned());
    let dek =
        generate(&key(VaultOptions { namespace, ..options(&format!("{}/behind/", peer.url())) })).unwrap();
    assert_eq!(dek.to_vec(), (0..32).collect::<Vec<_>>());
    let [request] = peer.requests().try_into().unwrap();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(
        head.starts_with("POST /behind/v1/a%20b/transit/datakey/plaintext/50%25%3F%23 HTTP/1.1\r\n"),
        "{head}"
    );
    let head = head.to_lowercase();
    for line in ["x-vault-token: canary-token", "x-vault-namespace: team/eu", "x-vault-request: true"] {
        assert!(head.lines().any(|sent| sent == line), "{head}");
    }
    // The empty context has two bytes, its count.
    assert_eq!(body, r#"{"context":"AAA=","bits":256}"#);
}

#[test]
fn what_may_pass_is_tried_again_and_nothing_else() {
    let sealed = answer("503 Service Unavailable", r#"{"errors":["Vault is sealed"]}"#);
    let peer = Peer::start(vec![sealed.clone(), Does::Sends(Vec::new()), answer("200 OK", DATAKEY)]);
    generate(&key(options(&peer.url()))).unwrap();
    assert_eq!(peer.requests().len(), 3);

    let attempts = |does: Does| {
        let peer = Peer::start(vec![does]);
        generate(&key(options(&peer.url()))).unwrap_err();
        peer.requests().len()
    };
    assert_eq!(attempts(sealed), 3);
    assert_eq!(attempts(answer("429 Too Many Requests", "{}")), 3);
    assert_eq!(attempts(Does::Sends(b"no HTTP".to_vec())), 3);
    for status in ["400 X", "401 X", "403 X", "404 X", "405 X", "302 X"] {
        assert_eq!(attempts(answer(status, r#"{"errors":["no"]}"#)), 1, "{status}");
    }
    assert_eq!(attempts(answer("200 OK", "{}")), 1);
}

#[test]
fn answers_that_make_no_sense_are_errors() {
    let short = r#"{"data":{"plaintext":"AAAA","ciphertext":"vault:v1:AAAA"}}"#;
    let no_base64 = r#"{"data":{"plaintext":"AA A","ciphertext":"vault:v1:AAAA"}}"#;
    let no_plaintext = r#"{"data":{"ciphertext":"vault:v1:AAAA"}}"#;
    let no_ciphertext = r#"{"data":{"plaintext":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}}"#;
    let foreign = DATAKEY.replace("vault:v1:", "kms:");
    for body in
        [short, no_base64, no_plaintext, no_ciphertext, foreign.as_str(), "", "<html>", "{\"data\":[]}"]
    {
        let peer = Peer::start(vec![answer("200 OK", body)]);
        let made = generate(&key(options(&peer.url())));
        assert!(matches!(made, Err(ServiceError::Unexpected(_))), "{body} gave {made:?}");
    }
    for (body, is_service) in [(no_base64, true), ("", true), (short, false), (no_plaintext, false)] {
        let peer = Peer::start(vec![answer("200 OK", body)]);
        match unwrap(&key(options(&peer.url()))) {
            Err(UnwrapError::Service { source: ServiceError::Unexpected(_), .. }) if is_service => {}
            Err(UnwrapError::NotAuthentic) if !is_service => {}
            other => panic!("{body} gave {other:?}"),
        }
    }
    // What comes back from a rewrap is not older than what was sent.
    for (version, is_taken) in [(1, false), (2, true), (3, true)] {
        let body = format!(r#"{{"data":{{"ciphertext":"vault:v{version}:BBBB"}}}}"#);
        let peer = Peer::start(vec![answer("200 OK", &body)]);
        let key = key(options(&peer.url()));
        let draft = Draft::new(SealOptions::default(), &SystemRandom).unwrap();
        match block_on(key.rewrap(&recipient(&key), draft.binding())) {
            Ok(Some(_)) if is_taken => {}
            Err(UnwrapError::Service { source: ServiceError::Unexpected(_), .. }) if !is_taken => {}
            other => panic!("version {version} gave {other:?}"),
        }
    }
    // Nothing was sent that could be refused.
    let peer = Peer::start(vec![answer("400 X", r#"{"errors":["invalid ciphertext"]}"#)]);
    assert!(matches!(generate(&key(options(&peer.url()))), Err(ServiceError::Unexpected(_))));
}

#[test]
fn an_answer_without_end_is_not_read_to_it() {
    let flood = |status: &str| {
        let head = format!("HTTP/1.1 {status}\r\ntransfer-encoding: chunked\r\n\r\n");
        let piece = format!("1000\r\n{}\r\n", " ".repeat(0x1000));
        let peer = Peer::start(vec![Does::Floods(head.into(), piece.into())]);
        generate(&key(options(&peer.url()))).unwrap_err()
    };
    let started = Instant::now();
    assert!(matches!(flood("200 OK"), ServiceError::Unexpected(_)));
    assert!(matches!(flood("502 Bad Gateway"), ServiceError::NotReady(_)));
    assert!(started.elapsed() < Duration::from_secs(8), "no time ran out");
}

#[test]
fn a_refusal_counts_though_its_words_are_cut_off() {
    let cut = "HTTP/1.1 403 Forbidden\r\ncontent-length: 100\r\n\r\n{";
    let peer = Peer::start(vec![Does::Sends(cut.into())]);
    let failed = generate(&key(options(&peer.url()))).unwrap_err();
    assert!(matches!(failed, ServiceError::Denied(_)), "{failed:?}");
    assert_eq!(peer.requests().len(), 1);
    let cut = cut.replace("403 Forbidden", "200 OK");
    let peer = Peer::start(vec![Does::Sends(cut.into()), answer("200 OK", DATAKEY)]);
    generate(&key(options(&peer.url()))).unwrap();
    assert_eq!(peer.requests().len(), 2);
}

#[test]
fn silence_ends_with_the_time_for_the_call() {
    let peer = Peer::start(vec![Does::Stalls]);
    let started = Instant::now();
    let quick = VaultOptions { call_time_max: Duration::from_millis(300), ..options(&peer.url()) };
    let failed = generate(&key(quick)).unwrap_err();
    assert_eq!(failed, ServiceError::Unreachable("no answer within 0.3 s".to_owned()));
    assert!(started.elapsed() < Duration::from_secs(5));
    // A service that drips is none the better.
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{".to_vec();
    let peer = Peer::start(vec![answer("503 X", r#"{"errors":["sealed"]}"#), Does::Floods(head, Vec::new())]);
    let quick = VaultOptions { call_time_max: Duration::from_millis(500), ..options(&peer.url()) };
    let failed = generate(&key(quick)).unwrap_err();
    assert!(matches!(&failed, ServiceError::NotReady(why) if why.contains("sealed")), "{failed:?}");
}

#[test]
fn attack_15_the_token_follows_no_redirect() {
    let other = Peer::start(vec![answer("200 OK", DATAKEY)]);
    for status in ["301 X", "302 X", "303 X", "307 X", "308 X"] {
        let to = other.url();
        let redirect = format!("HTTP/1.1 {status}\r\nlocation: {to}/v1/x\r\ncontent-length: 0\r\n\r\n");
        let peer = Peer::start(vec![Does::Sends(redirect.into())]);
        let failed = generate(&key(options(&peer.url()))).unwrap_err();
        assert!(matches!(&failed, ServiceError::Unexpected(why) if why.contains("redirect")), "{failed:?}");
    }
    assert_eq!(other.requests(), Vec::<String>::new());
}

#[test]
fn attack_15_the_token_goes_through_no_proxy_of_the_environment() {
    const CHILD: &str = "WAXWING_TEST_BEHIND_PROXY";
    if let Ok(address) = std::env::var(CHILD) {
        generate(&key(options(&address))).unwrap();
        return;
    }
    let (peer, proxy) =
        (Peer::start(vec![answer("200 OK", DATAKEY)]), Peer::start(vec![answer("200 OK", DATAKEY)]));
    let name = "answers::attack_15_the_token_goes_through_no_proxy_of_the_environment";
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name])
        .envs(["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"].map(|name| (name, proxy.url())))
        .env(CHILD, peer.url())
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
    assert_eq!((peer.requests().len(), proxy.requests().len()), (1, 0));
}

#[test]
fn attack_15_the_token_goes_in_plain_http_to_this_machine_alone() {
    for address in [
        "http://127.0.0.1:8200",
        "http://127.9.9.9",
        "http://[::1]:8200",
        "http://localhost",
        "https://vault.example",
    ] {
        Vault::new(options(address)).unwrap();
    }
    for address in [
        "http://vault.example:8200",
        "http://10.0.0.1",
        "http://127.0.0.1.example",
        "http://localhost.example",
        "http://[fe80::1]",
        "http://[::ffff:10.0.0.1]",
        "http://0.0.0.0",
        "http://0x0a000001",
    ] {
        let refused = Vault::new(options(address)).unwrap_err();
        assert!(matches!(refused, VaultSetupError::PlainHttp { .. }), "{address}: {refused:?}");
        Vault::new(VaultOptions { danger_plain_http: true, ..options(address) }).unwrap();
    }
}

#[test]
fn settings_that_cannot_be_right_are_refused() {
    for address in [
        "",
        "vault.example:8200",
        "vault.example",
        "ftp://vault.example",
        "unix:///run/bao.sock",
        "https://",
        "https://root:canary@vault.example",
        "https://root@vault.example",
        "https://vault.example/?a",
        "https://vault.example/#a",
    ] {
        let refused = Vault::new(options(address)).unwrap_err();
        assert!(matches!(refused, VaultSetupError::Address(_)), "{address}: {refused:?}");
        assert!(!format!("{refused} {refused:?}").contains("canary"));
    }
    for token in ["", "a\nb", "a\r\nX-Vault-Namespace: b", "\u{e9}\u{0}"] {
        let token = Zeroizing::new(token.to_owned());
        let refused = Vault::new(VaultOptions { token, ..options("https://vault.example") }).unwrap_err();
        assert!(matches!(refused, VaultSetupError::Token), "{refused:?}");
    }
    let namespace = Some("a\r\nb: c".to_owned());
    let refused = Vault::new(VaultOptions { namespace, ..options("https://vault.example") });
    assert!(matches!(refused, Err(VaultSetupError::Namespace)));
    for pem in ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let ca_pem = Some(pem.into());
        let refused = Vault::new(VaultOptions { ca_pem, ..options("https://vault.example") }).unwrap_err();
        assert!(
            matches!(
                refused,
                VaultSetupError::Ca(_) | VaultSetupError::NoCertificate | VaultSetupError::Client(_)
            ),
            "{pem}: {refused:?}"
        );
    }
}

#[test]
fn tls_trusts_the_named_certificates_and_no_other() {
    let Some(program) = peers::servers() else { return };
    let server = Server::start(|port, dir| {
        let mut command = Command::new(program.with_file_name("bao"));
        command.args([
            "server",
            "-dev",
            "-dev-no-store-token",
            "-dev-tls",
            "-dev-root-token-id=canary-token",
        ]);
        command.arg(format!("-dev-tls-cert-dir={}", dir.display()));
        command.arg(format!("-dev-listen-address=127.0.0.1:{port}"));
        command
    });
    let address = server.url().replacen("http", "https", 1);
    let certificate = std::fs::read_dir(server.dir()).unwrap().map(|entry| entry.unwrap().path());
    let certificate = certificate
        .into_iter()
        .find(|path| path.ends_with("vault-ca.pem") || path.ends_with("openbao-ca.pem"));
    let ca_pem = Some(std::fs::read(certificate.unwrap()).unwrap());
    // No engine is mounted: that it says so takes the handshake and the token.
    let reached = generate(&key(VaultOptions { ca_pem, ..options(&address) })).unwrap_err();
    assert!(matches!(&reached, ServiceError::NotFound(why) if why.contains("no handler")), "{reached:?}");
    let untrusted = generate(&key(options(&address))).unwrap_err();
    assert!(
        matches!(&untrusted, ServiceError::Unreachable(why) if why.contains("certificate")),
        "{untrusted:?}"
    );
    let plain = generate(&key(options(&server.url()))).unwrap_err();
    // Its answer, unless the connection is reset before that is read.
    assert!(matches!(plain, ServiceError::Unexpected(_) | ServiceError::Unreachable(_)), "{plain:?}");
}
