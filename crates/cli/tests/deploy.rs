//! What `deploy/` says, held against the program: an image cannot be built here, nor an account be had.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use support::Place;
#[cfg(feature = "aws")]
use support::Ran;
use waxwing_testkit::server::Server;
use waxwing_testkit::{peers, server};

/// Where a machine keeps Terraform's providers, so that nothing is fetched.
const PROVIDER_MIRRORS: [&str; 2] = ["/opt/tf-plugins", "/usr/share/terraform/plugins"];

fn deploy(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(file)
}

fn read(file: &str) -> String {
    fs::read_to_string(deploy(file)).unwrap()
}

/// The names in `${…}`.
fn names(template: &str) -> BTreeSet<&str> {
    template.split("${").skip(1).map(|rest| rest.split('}').next().unwrap()).collect()
}

#[test]
fn the_image_has_the_program_and_little_else() {
    let text = read("Containerfile");
    let instructions: Vec<String> =
        text.replace("\\\n", " ").lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect();
    let copied = instructions.iter().filter_map(|line| line.strip_prefix("COPY "));
    for source in copied.filter(|line| !line.starts_with("--from")).flat_map(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        words[..words.len() - 1].iter().map(|word| word.to_string()).collect::<Vec<_>>()
    }) {
        assert!(deploy("..").join(&source).exists(), "{source}");
    }
    let last = instructions.iter().rposition(|line| line.starts_with("FROM ")).unwrap();
    let image = &instructions[last..];
    let uids: Vec<&str> = image.iter().filter_map(|line| line.strip_prefix("USER ")).collect();
    assert!(
        !uids.is_empty() && uids.iter().all(|uid| uid.split(':').all(|id| id.parse::<u32>().unwrap() > 0))
    );
    for forbidden in ["RUN", "EXPOSE", "ADD", "HEALTHCHECK"] {
        assert!(!image.iter().any(|line| line.starts_with(forbidden)), "{forbidden}");
    }
    // The base has glibc, libgcc and the web's root certificates, and no more of what a program may need.
    let ran = Command::new("ldd").arg(env!("CARGO_BIN_EXE_waxwing")).output().unwrap();
    for line in String::from_utf8(ran.stdout).unwrap().lines() {
        let library = line.split_whitespace().next().unwrap();
        let library = library.rsplit('/').next().unwrap();
        let known =
            ["linux-vdso.", "ld-linux-", "libc.", "libm.", "libgcc_s.", "libdl.", "libpthread.", "librt."];
        assert!(known.iter().any(|known| library.starts_with(known)), "{library} is not in the image");
    }
}

#[test]
fn the_task_is_what_an_operator_may_trust() {
    let template = read("aws/worker-task.json");
    let terraform = read("aws/worker.tf");
    for name in names(&template) {
        assert!(terraform.lines().any(|line| line.trim_start().starts_with(&format!("{name} "))), "{name}");
    }
    let task: Value = serde_json::from_str(&template).unwrap();
    assert_eq!(task["networkMode"], "awsvpc");
    let [container] = task["containerDefinitions"].as_array().unwrap().as_slice() else {
        panic!("one container")
    };
    assert_eq!(container["readonlyRootFilesystem"], true);
    assert_eq!(container["user"], "65532:65532");
    assert!(container.get("portMappings").is_none() && container.get("healthCheck").is_none());
    assert_eq!(container["linuxParameters"]["capabilities"]["drop"][0], "ALL");
    assert_eq!(container["logConfiguration"]["logDriver"], "awslogs");
    let variables: Vec<&str> =
        container["environment"].as_array().unwrap().iter().map(|v| v["name"].as_str().unwrap()).collect();
    assert!(variables.contains(&"OUTPUT_BUCKET") && variables.contains(&"AWS_REGION"));
    assert!(
        !variables.iter().any(|name| name.contains("KEY") || name.contains("SECRET")),
        "no secret is in the open"
    );
    assert_eq!(container["secrets"][0]["name"], "PRIVATE_KEY_SECRET_ARN");
    // The worker may take longer than its grace to end, and less than the platform's patience.
    assert!(container["stopTimeout"].as_u64().unwrap() > 45);

    // The program takes these words.
    let mut words: Vec<&str> =
        container["command"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
    assert!(words.windows(2).any(|pair| pair == ["--grace", "45s"]));
    words.push("--help");
    let help = Place::new().run(&words).ok().stdout();
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for variable in variables.iter().filter(|name| name.starts_with("WAXWING_")) {
        assert!(help.contains(&format!("[env: {variable}]")), "{variable}");
    }
}

/// What the script says of the policies in a folder, and the moto that it asked, where the roles are users now.
fn try_policies(folder: &Path) -> Option<(bool, String, Server)> {
    let (python, moto) = (peers::servers()?, server::moto()?);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/deploy/policies.py");
    let ran = Command::new(python).arg(script).arg(moto.url()).arg(folder).output().unwrap();
    let said = String::from_utf8_lossy(&[&ran.stdout[..], &ran.stderr].concat()).into_owned();
    Some((ran.status.success(), said, moto))
}

#[test]
fn each_role_may_do_what_it_needs_and_no_more() {
    let Some((good, said, _)) = try_policies(&deploy("aws/policies")) else { return };
    assert!(good, "{said}");

    // The script would notice one action too many, and one too few.
    let place = tempfile::tempdir().unwrap();
    for role in ["registrar", "provider", "worker"] {
        fs::copy(deploy(&format!("aws/policies/{role}.json")), place.path().join(format!("{role}.json")))
            .unwrap();
    }
    let worker = read("aws/policies/worker.json");
    let query = "\"Action\": \"dynamodb:Query\"";
    for (changed, complaint) in [
        ("\"Action\": [\"dynamodb:Query\", \"dynamodb:Scan\"]", "worker: nothing needs dynamodb:Scan"),
        ("\"Action\": \"dynamodb:GetItem\"", "worker: moto should allow dynamodb:Query"),
    ] {
        assert!(worker.contains(query));
        fs::write(place.path().join("worker.json"), worker.replace(query, changed)).unwrap();
        let (good, said, _) = try_policies(place.path()).unwrap();
        assert!(!good && said.contains(complaint), "{said}");
    }
}

/// The program itself, on what moto has of all services: each role does its part, and not another's.
#[cfg(feature = "aws")]
#[test]
fn a_delivery_passes_with_the_rights_of_the_roles() {
    let Some((good, said, moto)) = try_policies(&deploy("aws/policies")) else { return };
    assert!(good, "{said}");
    let said = said.lines().last().unwrap();
    let keys: Value = serde_json::from_str(said).unwrap();
    let front = Server::start(|port, _| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/deploy/front.py");
        let mut command = Command::new(peers::servers().unwrap());
        command.arg(script).arg(port.to_string()).args([&moto.url(), said]);
        command
    });
    let place = Place::new();
    let as_role = |role: &str, mut command: Command| {
        command.env("AWS_ENDPOINT_URL", moto.url());
        command.env("AWS_REGION", "eu-central-1").env("AWS_DEFAULT_REGION", "eu-central-1");
        command.env("AWS_ENDPOINT_URL_S3", front.url()).env("AWS_EC2_METADATA_DISABLED", "true");
        for (name, place) in [("AWS_ACCESS_KEY_ID", 0), ("AWS_SECRET_ACCESS_KEY", 1)] {
            command.env(name, keys[role][place].as_str().unwrap());
        }
        Ran(command.output().unwrap())
    };
    let run_as = |role: &str, arguments: &[&str]| {
        let mut command = place.command(arguments);
        command.env("WAXWING_LEDGER", "dynamodb:waxwing-jobs");
        command.env("WAXWING_REGISTRY", "secrets-manager:waxwing/agents/");
        command.env("WAXWING_STORE", "s3://waxwing-input").env("OUTPUT_BUCKET", "waxwing-output");
        command.env("WAXWING_QUEUE", format!("{}/123456789012/waxwing-jobs", moto.url()));
        command.env("WAXWING_ALLOW_URL", front.url());
        as_role(role, command)
    };
    // What an operator puts where the roles find it, and what is there in the end.
    let boto3 = |script: &str, arguments: &[&str]| {
        let mut command = Command::new(peers::servers().unwrap());
        command.args(["-c", &format!("import sys, boto3\n{script}")]).args(arguments);
        as_role("setup", command).ok().stdout()
    };
    boto3(
        "boto3.client('secretsmanager').put_secret_value(SecretId='waxwing/worker/private-key', SecretString=sys.argv[1])",
        &[waxwing_testkit::keys::RSA_2048_PKCS8],
    );
    // One request, and parts.
    place.write("small.csv", "amount\n12\n");
    place.write("large.csv", vec![b'7'; 9 << 20]);

    let register: &[&str] = &["agent", "register", "bank", "-k", "k.pub"];
    let deliver = |name| ["deliver", name, "--to", "bank", "--name-ids", "--json"];
    let work: &[&str] = &["worker", "--once", "-k", "secrets-manager:waxwing/worker/private-key"];
    let denied = |role: &str, command: &[&str]| {
        let denied = run_as(role, command);
        assert_eq!(denied.code(), 1, "{role} {command:?}: {}", denied.stderr());
        let said = denied.stderr();
        assert!(
            said.contains("HTTP status 403") || said.contains("denies access"),
            "{role} {command:?}: {said}"
        );
        assert!(!said.contains("trying again"), "{role} {command:?}: {said}");
    };
    denied("provider", register);
    denied("worker", register);
    run_as("registrar", register).ok();
    for role in ["registrar", "worker"] {
        denied(role, &deliver("small.csv"));
        denied(role, &deliver("large.csv"));
    }
    for role in ["registrar", "provider"] {
        denied(role, work);
        denied(role, &["worker", "-k", "k", "--output", "inbox"]);
    }
    for role in ["provider", "worker"] {
        denied(role, &["jobs", "list"]);
    }
    denied("registrar", &["jobs", "show", "job-1"]);

    for name in ["small.csv", "large.csv"] {
        let told = run_as("provider", &deliver(name)).ok().stdout();
        let told: Value = serde_json::from_str(&told).unwrap();
        let ran = run_as("worker", work).ok();
        let id = told["job"]["JobID"].as_str().unwrap();
        let shown = run_as("provider", &["jobs", "show", id, "--json"]).ok().stdout();
        let shown: Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(shown["Status"], "done", "{shown} {}", ran.stderr());
        let published = "s3 = boto3.client('s3')\n\
            sys.stdout.write(s3.get_object(Bucket='waxwing-output', Key=sys.argv[1])['Body'].read().decode())";
        assert!(boto3(published, &[name]).into_bytes() == place.read(name), "{name}");
    }
    // The messages of both are gone. What names no job of the program's is hidden until it goes to the dead letters.
    let left = "sqs = boto3.client('sqs')\n\
        url = sqs.get_queue_url(QueueName='waxwing-jobs')['QueueUrl']\n\
        for m in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get('Messages', []): print(m['Body'])";
    assert!(!boto3(left, &[]).contains("JobID"));
}

/// With the provider's own schema, where a machine has it; nothing is fetched.
#[test]
fn terraform_takes_what_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let terraform = |arguments: &[&str]| {
        let config = folder.path().join("terraformrc");
        let mut command = Command::new("terraform");
        command.args(arguments).current_dir(deploy("aws"));
        command.env("TF_CLI_CONFIG_FILE", config).env("TF_DATA_DIR", folder.path().join("data"));
        command.env("CHECKPOINT_DISABLE", "1").output()
    };
    let mirror = PROVIDER_MIRRORS.iter().find(|folder| Path::new(folder).is_dir());
    let config = mirror.map_or(String::new(), |mirror| {
        format!("provider_installation {{\n  filesystem_mirror {{\n    path = \"{mirror}\"\n  }}\n}}\n")
    });
    fs::write(folder.path().join("terraformrc"), config).unwrap();
    let Ok(formatted) = terraform(&["fmt", "-check", "-diff"]) else {
        eprintln!("SKIPPED: terraform_takes_what_is_written: terraform is not on PATH");
        return;
    };
    assert!(formatted.status.success(), "{}", String::from_utf8_lossy(&formatted.stdout));
    if mirror.is_none() {
        eprintln!("SKIPPED: terraform validate: no provider is on this machine");
        return;
    }
    // A copy, for `init` notes the versions that it found beside the files.
    let copy = folder.path().join("copy");
    copy_all(&deploy("aws"), &copy);
    for arguments in [["init", "-backend=false", "-no-color"].as_slice(), &["validate", "-no-color"]] {
        let chdir = format!("-chdir={}", copy.display());
        let ran = terraform(&[&[chdir.as_str()], arguments].concat()).unwrap();
        assert!(ran.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
    }
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_all(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Every `waxwing` in the runbook is a command with options that it has.
#[test]
fn the_runbook_names_what_there_is() {
    let page = fs::read_to_string(deploy("../docs/manual/runbook.md")).unwrap();
    let place = Place::new();
    let mut commands = 0;
    let mut in_block = false;
    for line in page.replace("\\\n", " ").lines() {
        if line.starts_with("```") {
            in_block = line == "```console";
            continue;
        }
        let Some(line) = line.strip_prefix("$ ").filter(|_| in_block) else { continue };
        let Some(line) = line.strip_prefix("waxwing ") else { continue };
        let line = line.split(" | ").next().unwrap().split(" > ").next().unwrap();
        // What stands for something else is a word of its own; quotes hold no spaces here.
        let line: Vec<String> = line.split_whitespace().map(|word| word.replace(['"', '\''], "")).collect();
        let mut words: Vec<&str> = line.iter().map(String::as_str).collect();
        words.push("--help");
        let ran = place.run(&words);
        assert_eq!(ran.code(), 0, "{words:?}: {}", ran.stderr());
        assert!(ran.stdout().contains(&format!("Usage: waxwing {}", words[0])), "{words:?}");
        commands += 1;
    }
    assert!(commands >= 8, "{commands}");
}
