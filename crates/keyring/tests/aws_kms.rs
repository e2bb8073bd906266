//! AWS KMS against moto (symmetric keys and their context) and LocalStack (RSA keys, and the state of a key).
#![cfg(feature = "aws-kms")]

mod conformance;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use aws_sdk_kms::Client;
use aws_sdk_kms::config::{BehaviorVersion, Region};
use aws_sdk_kms::types::{KeySpec, KeyUsageType};
use conformance::{Binds, Sort, check};
use pollster::block_on;
use tokio::runtime::Runtime;
use waxwing_core::SystemRandom;
use waxwing_core::envelope::{LockedHeader, SealOptions};
use waxwing_formats::envelope::{Context, Kind, Recipient};
use waxwing_keyring::{
    AwsCredentials, AwsCredentialsProvider, AwsKms, AwsKmsOptions, CacheLimits, Cached, Key, KeyProvider,
    Keyring, RsaPrivateKey, RsaRecipientKey, RsaSize, ServiceError, UnlockError, UnwrapError, WrapError,
};
use waxwing_testkit::server::{self, Server};

const REGION: &str = "eu-central-1";
/// For the client beside the provider under test, which brings its own.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

#[test]
fn a_symmetric_key_keeps_the_laws() {
    let Some(moto) = Kms::moto() else { return };
    let arn = moto.make(KeySpec::SymmetricDefault);
    let key = shared(moto.key(&arn));
    let stranger = shared(moto.key(&moto.make(KeySpec::SymmetricDefault)));
    check(&key, &key, &stranger, Sort::new(Binds::Context, true));
    // A cache hides nothing of what the service would refuse.
    let limits = CacheLimits {
        age_max: Duration::from_secs(60),
        messages_max: 1,
        bytes_max: 1 << 20,
        entries_max: 64,
    };
    let started = Instant::now();
    let cached = shared(Cached::new(key, limits, Arc::new(move || started.elapsed())));
    check(&cached, &cached, &stranger, Sort::new(Binds::Context, true));
}

#[test]
fn an_rsa_key_keeps_the_laws() {
    let Some(localstack) = Kms::localstack() else { return };
    // Where AWS says InvalidCiphertextException, LocalStack says that it failed.
    let sort = Sort { tells_forgeries: false, ..Sort::new(Binds::Nothing, true) };
    let stranger = shared(localstack.key(&localstack.make(KeySpec::Rsa2048)));
    for (spec, bits) in [(KeySpec::Rsa2048, 2048), (KeySpec::Rsa3072, 3072), (KeySpec::Rsa4096, 4096)] {
        let key = localstack.key(&localstack.make(spec));
        let pem = block_on(key.public_key()).unwrap().expect("an RSA key has a public half").to_pem();
        let public = read_public(&pem);
        assert_eq!(public.bits(), bits);
        // Wrapped with the public key alone, unwrapped in the service.
        let key = shared(key);
        check(&shared(public), &key, &stranger, sort);
        if bits == 2048 {
            check(&key, &key, &stranger, sort);
        }
    }
}

#[test]
fn a_kept_public_key_wraps_without_the_service() {
    let Some(mut localstack) = Kms::localstack() else { return };
    let arn = localstack.make(KeySpec::Rsa2048);
    let pem = block_on(localstack.key(&arn).public_key()).unwrap().unwrap().to_pem();
    let kept = AwsKms::with_public_key(&arn, read_public(&pem), localstack.options()).unwrap();
    let kept = shared(kept);
    let header = seal([&kept], "");
    assert_eq!(header.unverified().recipients[0].kind.as_str(), Kind::RSA_OAEP_SHA256);
    assert_eq!(header.unverified().recipients[0].key_id, read_public(&pem).key_id().as_bytes());
    open(&header, &kept).unwrap();
    localstack.server.kill();
    let header = seal([&kept], "");
    assert!(matches!(failed(open(&header, &kept)), ServiceError::Unreachable(_)));
}

#[test]
fn the_header_names_the_arn_whatever_the_caller_says() {
    let Some(moto) = Kms::moto() else { return };
    let arn = moto.make(KeySpec::SymmetricDefault);
    moto.alias("alias/payroll", &arn);
    let id = arn.rsplit('/').next().unwrap();
    let alias_arn = format!("{}:alias/payroll", arn.rsplit_once(':').unwrap().0);
    for name in ["alias/payroll", &alias_arn, id] {
        let key = shared(moto.key(name));
        let header = seal([&key], "acme");
        let [recipient] = &header.unverified().recipients[..] else { panic!("one recipient") };
        assert_eq!((recipient.kind.as_str(), recipient.key_id.as_slice()), (Kind::AWS_KMS, arn.as_bytes()));
        for opener in [key, shared(moto.key(name)), shared(moto.key(&arn))] {
            open(&header, &opener).unwrap();
            assert!(opener.is_for(recipient));
        }
    }
}

#[test]
fn the_service_makes_the_dek_and_other_recipients_get_it_too() {
    let Some(moto) = Kms::moto() else { return };
    let (first, second) = (shared(moto.made()), shared(moto.made()));
    let rsa = shared(RsaPrivateKey::generate(RsaSize::Rsa2048).unwrap());
    let header = seal([&rsa, &first, &second], "acme");
    let kinds: Vec<&str> = header.unverified().recipients.iter().map(|one| one.kind.as_str()).collect();
    assert_eq!(kinds, [Kind::RSA_OAEP_SHA256, Kind::AWS_KMS, Kind::AWS_KMS]);
    open(&header, &first).unwrap();
    open(&header, &second).unwrap();
    open(&header, &rsa).unwrap();
    assert!(matches!(open(&header, &shared(moto.made())), Err(UnlockError::NoUsableKey { .. })));
}

/// The server would decrypt: it knows both keys.
#[test]
fn attack_12_a_blob_of_a_foreign_key_is_refused() {
    for kms in [Kms::moto(), Kms::localstack()].into_iter().flatten() {
        let (mine, foreign) = (kms.made(), shared(kms.made()));
        let header = seal([&foreign], "acme");
        open(&header, &foreign).unwrap();
        assert!(matches!(open(&header, &shared(mine.clone())), Err(UnlockError::NoUsableKey { .. })));
        // The header's author says that it is for my key.
        let [foreign] = &header.unverified().recipients[..] else { panic!("one recipient") };
        let arn = block_on(mine.arn()).unwrap().as_bytes().to_vec();
        let forged = Recipient { key_id: arn, ..foreign.clone() };
        match block_on(mine.unwrap(&forged, header.binding())) {
            Err(UnwrapError::NotAuthentic) => {}
            // moto's word for AWS's IncorrectKeyException.
            Err(UnwrapError::Service { source: ServiceError::Denied(_), .. }) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_key_that_may_not_be_used_says_why() {
    let Some(localstack) = Kms::localstack() else { return };
    for spec in [KeySpec::SymmetricDefault, KeySpec::Rsa2048] {
        let arn = localstack.make(spec.clone());
        let key = shared(localstack.key(&arn));
        let header = seal([&key], "");
        localstack.disable(&arn);
        assert!(matches!(failed(open(&header, &key)), ServiceError::Disabled(_)), "{spec}");
        localstack.delete(&arn);
        assert!(matches!(failed(open(&header, &key)), ServiceError::PendingDeletion(_)), "{spec}");
        if spec == KeySpec::SymmetricDefault {
            let fresh = localstack.key(&arn);
            assert!(matches!(refused(&fresh), ServiceError::PendingDeletion(_)));
        }
    }
}

#[test]
fn a_key_of_another_sort_wraps_nothing() {
    let Some(localstack) = Kms::localstack() else { return };
    let signing = block_on_sdk(
        localstack.client.create_key().key_spec(KeySpec::Rsa2048).key_usage(KeyUsageType::SignVerify).send(),
    );
    let arn = signing.unwrap().key_metadata.unwrap().arn.unwrap();
    assert!(matches!(refused(&localstack.key(&arn)), ServiceError::Unsuitable(_)));
    let none = arn.rsplit_once('/').unwrap().0.to_owned() + "/00000000-0000-0000-0000-000000000000";
    assert!(matches!(refused(&localstack.key(&none)), ServiceError::NotFound(_)));
    assert!(matches!(refused(&localstack.key("alias/nobody")), ServiceError::NotFound(_)));
}

#[test]
fn a_service_that_is_gone_is_told_from_a_forgery() {
    let Some(mut moto) = Kms::moto() else { return };
    let key = moto.made();
    let opener = shared(key.clone());
    let header = seal([&opener], "acme");
    moto.server.kill();
    assert!(matches!(failed(open(&header, &opener)), ServiceError::Unreachable(_)));
    assert!(matches!(refused(&key), ServiceError::Unreachable(_)));
    let error = open(&header, &opener).unwrap_err().to_string();
    assert!(error.contains("aws-kms:arn:aws:kms:") && error.contains("cannot be reached"), "{error}");
}

#[test]
fn something_else_at_the_address_is_no_key_service() {
    let Some(bao) = server::openbao() else { return };
    let source = refused(&AwsKms::new("alias/payroll", options(bao.url())).unwrap());
    assert!(matches!(source, ServiceError::Unexpected(_)), "{source}");
}

#[test]
fn credentials_that_cannot_be_had_are_named() {
    #[derive(Debug)]
    struct Nobody;
    impl aws_sdk_kms::config::ProvideCredentials for Nobody {
        fn provide_credentials<'a>(&'a self) -> aws_credential_types::provider::future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            let err = aws_credential_types::provider::error::CredentialsError::not_loaded("nobody is here");
            aws_credential_types::provider::future::ProvideCredentials::ready(Err(err))
        }
    }
    let credentials = Some(AwsCredentialsProvider::new(Nobody));
    let options = AwsKmsOptions { credentials, ..options("http://127.0.0.1:9".to_owned()) };
    let source = refused(&AwsKms::new("alias/payroll", options).unwrap());
    assert!(
        matches!(&source, ServiceError::Credentials(said) if said.contains("nobody is here")),
        "{source}"
    );
}

#[test]
fn what_the_service_says_is_told_apart() {
    fn is(name: &str) -> fn(&ServiceError) -> bool {
        match name {
            "ThrottlingException" => |err| matches!(err, ServiceError::Throttled(_)),
            "AccessDeniedException" => |err| matches!(err, ServiceError::Denied(_)),
            "ExpiredTokenException" => |err| matches!(err, ServiceError::Credentials(_)),
            "KMSInternalException" => |err| matches!(err, ServiceError::NotReady(_)),
            "DisabledException" => |err| matches!(err, ServiceError::Disabled(_)),
            _ => |err| matches!(err, ServiceError::Unexpected(_)),
        }
    }
    for (name, status) in [
        ("ThrottlingException", 400),
        ("AccessDeniedException", 400),
        ("ExpiredTokenException", 400),
        ("KMSInternalException", 500),
        ("DisabledException", 400),
        ("NewException", 400),
    ] {
        let body = format!(r#"{{"__type":"{name}","message":"\u001b[31mfirst\nsecond"}}"#);
        let stub = Stub::start(vec![(status, body)]);
        let source = refused(&AwsKms::new("alias/payroll", options(stub.url.clone())).unwrap());
        assert!(is(name)(&source), "{name}: {source:?}");
        assert!(source.to_string().ends_with("[31mfirst second"), "{source}");
    }
}

#[test]
fn a_busy_service_is_asked_again_and_not_for_ever() {
    let busy = (400, r#"{"__type":"ThrottlingException","message":"slow down"}"#.to_owned());
    let stub = Stub::start(vec![busy]);
    let options = AwsKmsOptions { retries_max: 2, ..options(stub.url.clone()) };
    let source = refused(&AwsKms::new("alias/payroll", options).unwrap());
    assert!(matches!(source, ServiceError::Throttled(_)), "{source}");
    assert_eq!(stub.asked.load(Ordering::SeqCst), 3);
}

#[test]
fn attack_12_an_answer_of_another_key_is_not_believed() {
    const MINE: &str = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    let described = format!(
        r#"{{"KeyMetadata":{{"Arn":"{MINE}","KeyId":"1234abcd-12ab-34cd-56ef-1234567890ab","KeySpec":"SYMMETRIC_DEFAULT","KeyUsage":"ENCRYPT_DECRYPT"}}}}"#
    );
    let long = format!(r#"{{"KeyId":"{MINE}","Plaintext":"{}","CiphertextBlob":"AAAA"}}"#, "A".repeat(44));
    let other = r#"{"KeyId":"arn:aws:kms:eu-central-1:111122223333:key/other","Plaintext":"AAAA","CiphertextBlob":"AAAA"}"#;
    for (answer, said) in [(long, "33 bytes"), (other.to_owned(), "key/other"), ("{}".to_owned(), "no ")] {
        let stub = Stub::start(vec![(200, described.clone()), (200, answer.clone())]);
        let key = AwsKms::new(MINE, options(stub.url.clone())).unwrap();
        let source = refused(&key);
        assert!(matches!(&source, ServiceError::Unexpected(text) if text.contains(said)), "{source}");
        // The stub goes on giving the last answer: now it is Decrypt's.
        let recipient = Recipient {
            kind: Kind::new(Kind::AWS_KMS).unwrap(),
            key_id: MINE.as_bytes().to_vec(),
            wrapped: vec![0; 3],
        };
        let header = seal([&shared(RsaPrivateKey::generate(RsaSize::Rsa2048).unwrap())], "");
        match block_on(key.unwrap(&recipient, header.binding())) {
            Err(UnwrapError::Service { source: ServiceError::Unexpected(text), .. }) => {
                assert!(text.contains(said), "{text}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_policy_without_describe_key_is_enough_for_an_arn() {
    const MINE: &str = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    let denied = (400, r#"{"__type":"AccessDeniedException","message":"no DescribeKey"}"#.to_owned());
    let dek = format!("{}=", "A".repeat(43));
    let made = format!(r#"{{"KeyId":"{MINE}","Plaintext":"{dek}","CiphertextBlob":"AAAA"}}"#);
    let stub = Stub::start(vec![denied, (200, made)]);
    let key = shared(AwsKms::new(MINE, options(stub.url.clone())).unwrap());
    open(&seal([&key], ""), &key).unwrap();
}

/// A server that gives its answers in turn, the last one for ever, and counts the questions.
struct Stub {
    url: String,
    asked: Arc<AtomicUsize>,
}

impl Stub {
    fn start(answers: Vec<(u16, String)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        // It ends with the test's process.
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let mut connection = BufReader::new(connection.unwrap());
                let mut body_len = 0;
                let mut line = String::new();
                while connection.read_line(&mut line).unwrap() > 2 {
                    if let Some(len) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                        body_len = len.trim().parse().unwrap();
                    }
                    line.clear();
                }
                connection.read_exact(&mut vec![0; body_len]).unwrap();
                let asked = count.fetch_add(1, Ordering::SeqCst);
                let (status, body) = &answers[asked.min(answers.len() - 1)];
                write!(
                    connection.get_mut(),
                    "HTTP/1.1 {status} Said\r\nContent-Type: application/x-amz-json-1.1\r\nContent-Length: {}\r\n\
                     Connection: close\r\n\r\n{body}",
                    body.len()
                )
                .unwrap();
            }
        });
        Self { url, asked }
    }
}

/// An emulator, and a client beside the provider under test.
struct Kms {
    server: Server,
    client: Client,
}

impl Kms {
    fn moto() -> Option<Self> {
        server::moto().map(Self::new)
    }

    fn localstack() -> Option<Self> {
        server::localstack("kms").map(Self::new)
    }

    fn new(server: Server) -> Self {
        let config = aws_sdk_kms::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(REGION))
            .endpoint_url(server.url())
            .credentials_provider(credentials());
        Self { client: Client::from_conf(config.build()), server }
    }

    fn options(&self) -> AwsKmsOptions {
        options(self.server.url())
    }

    fn key(&self, name: &str) -> AwsKms {
        AwsKms::new(name, self.options()).unwrap()
    }

    /// A new symmetric key.
    fn made(&self) -> AwsKms {
        self.key(&self.make(KeySpec::SymmetricDefault))
    }

    fn make(&self, spec: KeySpec) -> String {
        let call = self.client.create_key().key_spec(spec).key_usage(KeyUsageType::EncryptDecrypt);
        block_on_sdk(call.send()).unwrap().key_metadata.unwrap().arn.unwrap()
    }

    fn alias(&self, alias: &str, arn: &str) {
        block_on_sdk(self.client.create_alias().alias_name(alias).target_key_id(arn).send()).unwrap();
    }

    fn disable(&self, arn: &str) {
        block_on_sdk(self.client.disable_key().key_id(arn).send()).unwrap();
    }

    fn delete(&self, arn: &str) {
        let call = self.client.schedule_key_deletion().key_id(arn).pending_window_in_days(7);
        block_on_sdk(call.send()).unwrap();
    }
}

fn options(url: String) -> AwsKmsOptions {
    AwsKmsOptions {
        endpoint: Some(url),
        region: Some(REGION.to_owned()),
        credentials: Some(AwsCredentialsProvider::new(credentials())),
        retries_max: 0,
        ..AwsKmsOptions::default()
    }
}

fn credentials() -> AwsCredentials {
    AwsCredentials::new("test", "test", None, None, "tests")
}

fn block_on_sdk<T>(call: impl Future<Output = T>) -> T {
    RUNTIME.block_on(call)
}

fn shared(provider: impl KeyProvider + 'static) -> Arc<dyn KeyProvider> {
    Arc::new(provider)
}

fn read_public(pem: &str) -> RsaRecipientKey {
    match Key::read(pem.as_bytes(), None).unwrap() {
        Key::RsaPublic(key) => key,
        other => panic!("{other:?}"),
    }
}

/// A header for these recipients, with a context unless `tenant` is empty.
fn seal<const N: usize>(recipients: [&Arc<dyn KeyProvider>; N], tenant: &str) -> LockedHeader {
    drafted(recipients, tenant).unwrap()
}

fn drafted<const N: usize>(
    recipients: [&Arc<dyn KeyProvider>; N],
    tenant: &str,
) -> Result<LockedHeader, WrapError> {
    let entries = [("tenant", tenant)].into_iter().filter(|(_, tenant)| !tenant.is_empty());
    let options = SealOptions { context: Context::new(entries).unwrap(), ..SealOptions::default() };
    let keyring = Keyring::new(recipients.map(Arc::clone));
    let (draft, wrapped) = block_on(keyring.draft(options, None, &SystemRandom))?;
    Ok(LockedHeader::decode(&draft.seal_header(&wrapped).unwrap().0).unwrap())
}

fn open(header: &LockedHeader, key: &Arc<dyn KeyProvider>) -> Result<(), UnlockError> {
    block_on(Keyring::new([key.clone()]).unlock(header)).map(|_| ())
}

/// What the only service said that did not open.
fn failed(opened: Result<(), UnlockError>) -> ServiceError {
    match opened {
        Err(UnlockError::Unavailable(mut keys)) if keys.0.len() == 1 => keys.0.remove(0).source,
        other => panic!("{other:?}"),
    }
}

/// What the service said that did not wrap.
fn refused(key: &AwsKms) -> ServiceError {
    match drafted([&shared(key.clone())], "acme") {
        Err(WrapError::Service { source, .. }) => source,
        other => panic!("{other:?}"),
    }
}
