//! The vault as its clients and its storage see it.

use std::net::SocketAddr;
use std::path::Path;

use file_vault::{Listed, Vault};
use reqwest::StatusCode;
use waxwing::{Kek, Keyring, SystemRandom};

/// A vault on a port of its own.
async fn serve(dir: &Path, key: &Kek) -> String {
    let mut ring = Keyring::default();
    ring.push(key.duplicate());
    let vault = Vault::open(dir, ring.clone(), ring).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, vault.router()).await });
    format!("http://{address}/files")
}

fn key() -> Kek {
    Kek::generate("documents/1", &SystemRandom).unwrap()
}

async fn upload(url: &str, name: &str, content: Vec<u8>) -> String {
    let answer =
        reqwest::Client::new().post(format!("{url}?name={name}")).body(content).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED);
    let json: serde_json::Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    json["id"].as_str().unwrap().to_owned()
}

async fn list(url: &str) -> Vec<Listed> {
    serde_json::from_slice(&reqwest::get(url).await.unwrap().bytes().await.unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn files_come_back_and_nothing_else_can_be_read() {
    let (dir, key) = (tempfile::tempdir().unwrap(), key());
    let url = serve(dir.path(), &key).await;
    let content = b"insurance policy of truck 7. ".repeat(10_000);
    let id = upload(&url, "policy.pdf", content.clone()).await;
    let empty = upload(&url, "empty", Vec::new()).await;
    assert_eq!(
        list(&url).await,
        [
            Listed { id: empty.clone(), name: "empty".into(), len: 0 },
            Listed { id: id.clone(), name: "policy.pdf".into(), len: content.len() as i64 },
        ]
    );
    // After a restart too.
    let url = serve(dir.path(), &key).await;
    assert_eq!(reqwest::get(format!("{url}/{id}")).await.unwrap().bytes().await.unwrap(), content);
    assert_eq!(reqwest::get(format!("{url}/{empty}")).await.unwrap().bytes().await.unwrap(), "");
    for file in [dir.path().join("bodies").join(&id), dir.path().join("vault.sqlite")] {
        let stored = std::fs::read(file).unwrap();
        assert!(!stored.windows(20).any(|window| content.starts_with(window)), "plaintext in the storage");
    }
    let other = tempfile::tempdir().unwrap();
    assert_eq!(reqwest::get(format!("{url}/nothing")).await.unwrap().status(), StatusCode::NOT_FOUND);
    drop(other);
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_33_what_was_deleted_opens_no_more_whoever_kept_a_copy() {
    let (dir, key) = (tempfile::tempdir().unwrap(), key());
    let url = serve(dir.path(), &key).await;
    let id = upload(&url, "a", vec![7; 100_000]).await;
    let body = dir.path().join("bodies").join(&id);
    let copy = std::fs::read(&body).unwrap();
    let header: Vec<u8> = rusqlite::Connection::open(dir.path().join("vault.sqlite"))
        .unwrap()
        .query_row("SELECT header FROM files", [], |row| row.get(0))
        .unwrap();
    let client = reqwest::Client::new();
    let deleted = client.delete(format!("{url}/{id}")).send().await.unwrap();
    assert_eq!(deleted.status(), StatusCode::NO_CONTENT);
    let again = client.delete(format!("{url}/{id}")).send().await.unwrap();
    assert_eq!(again.status(), StatusCode::NOT_FOUND);
    // The body comes back from a backup: its key does not, from wherever in the vault's folder.
    std::fs::write(&body, copy).unwrap();
    assert_eq!(reqwest::get(format!("{url}/{id}")).await.unwrap().status(), StatusCode::NOT_FOUND);
    let wrapped = &header[header.len() - 80..header.len() - 32];
    for entry in std::fs::read_dir(dir.path()).unwrap().filter_map(Result::ok).filter(|e| e.path().is_file())
    {
        let stored = std::fs::read(entry.path()).unwrap();
        assert!(!stored.windows(wrapped.len()).any(|window| window == wrapped), "{:?}", entry.path());
    }
    // The next start takes what no row knows for garbage.
    serve(dir.path(), &key).await;
    assert!(!body.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_09_a_damaged_or_exchanged_body_never_looks_whole() {
    let (dir, key) = (tempfile::tempdir().unwrap(), key());
    let url = serve(dir.path(), &key).await;
    let [a, b] = [upload(&url, "a", vec![1; 300_000]).await, upload(&url, "b", vec![2; 300_000]).await];
    let path = |id: &str| dir.path().join("bodies").join(id);
    let download = |id: String| {
        let url = format!("{url}/{id}");
        // Where it breaks off, before the first byte or after it, is a matter of time.
        async move { reqwest::get(url).await?.bytes().await }
    };
    let good = std::fs::read(path(&a)).unwrap();
    let mut late = good.clone();
    *late.last_mut().unwrap() ^= 1;
    std::fs::write(path(&a), late).unwrap();
    assert!(download(a.clone()).await.is_err(), "broken off at the damage");
    std::fs::write(path(&a), &good[..good.len() - 1]).unwrap();
    assert!(download(a.clone()).await.is_err(), "broken off at the cut");
    std::fs::copy(path(&b), path(&a)).unwrap();
    let exchanged = reqwest::get(format!("{url}/{a}")).await.unwrap();
    assert_eq!(exchanged.status(), StatusCode::INTERNAL_SERVER_ERROR);
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_23_names_are_no_paths() {
    let (dir, key) = (tempfile::tempdir().unwrap(), key());
    let url = serve(dir.path(), &key).await;
    std::fs::write(dir.path().join("secret"), "s").unwrap();
    let id = upload(&url, "..%2F..%2Fetc", b"x".to_vec()).await;
    assert_eq!(id.len(), 32);
    for id in ["..%2Fsecret", "%2e%2e%2fsecret", "..", "."] {
        assert_ne!(reqwest::get(format!("{url}/{id}")).await.unwrap().status(), StatusCode::OK, "{id}");
    }
    let refused = reqwest::Client::new().post(format!("{url}?name=a%0Ab")).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
}

/// The program itself, with one setting or the other.
#[cfg(feature = "aws-kms")]
#[test]
fn the_program_keeps_files_under_a_keystore_or_a_kms() {
    use std::io::{BufRead as _, BufReader};
    use std::process::{Command, Stdio};

    let Some(moto) = waxwing_testkit::server::moto() else { return };
    let target = ("x-amz-target", "TrentService.CreateKey");
    // moto looks for the service in it, and checks nothing.
    let scope = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/kms/aws4_request, SignedHeaders=host, Signature=0";
    let (_, answer) = moto.request("POST", "/", &[target, ("authorization", scope)], "{}");
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    let arn = answer["KeyMetadata"]["Arn"].as_str().unwrap();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("pass"), "correct horse").unwrap();
    for (name, settings) in [
        ("keystore", vec![("VAULT_PASSPHRASE_FILE", dir.path().join("pass").display().to_string())]),
        (
            "kms",
            vec![
                ("VAULT_KMS_KEY", arn.to_owned()),
                ("AWS_ENDPOINT_URL_KMS", moto.url()),
                ("AWS_REGION", "us-east-1".to_owned()),
                ("AWS_ACCESS_KEY_ID", "test".to_owned()),
                ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
            ],
        ),
    ] {
        let mut program = Command::new(env!("CARGO_BIN_EXE_file-vault"));
        program.arg(dir.path().join(name)).arg("127.0.0.1:0").envs(settings).stdout(Stdio::piped());
        let mut vault = program.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(vault.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = format!("http://{}/files", line.trim().strip_prefix("listening on ").unwrap());
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let content = runtime.block_on(async {
            let id = upload(&url, "a", b"insured".to_vec()).await;
            reqwest::get(format!("{url}/{id}")).await.unwrap().bytes().await.unwrap()
        });
        vault.kill().unwrap();
        vault.wait().unwrap();
        assert_eq!(content, "insured", "{name}");
    }
}
