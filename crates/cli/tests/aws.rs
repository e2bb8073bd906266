//! Delivery on AWS, with real processes and stand-ins of the services.

mod support;

use std::process::Command;

use serde_json::Value;
use support::{Place, Ran, Running, wait_for};
use waxwing_testkit::server::{self, S3_ACCESS_KEY, S3_BUCKET, S3_OUTPUT_BUCKET, S3_SECRET_KEY, Server};
use waxwing_testkit::{keys, peers};

/// A place whose ledger is in DynamoDB, with ciphertexts and outputs in S3.
struct Scene {
    place: Place,
    dynamodb: Server,
    s3: Server,
}

impl Scene {
    fn new() -> Option<Self> {
        Self::with(server::dynalite()?, server::seaweedfs()?)
    }

    fn with(dynamodb: Server, s3: Server) -> Option<Self> {
        let place = Place::new();
        place.run(&["agent", "register", "acme", "-k", "k.pub"]).ok();
        place.write("in.csv", "amount\n12\n");
        let scene = Self { place, dynamodb, s3 };
        scene.run(&["jobs", "init"]).ok();
        Some(scene)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.place.command(arguments);
        command
            .env("AWS_ENDPOINT_URL_DYNAMODB", self.dynamodb.url())
            .env("AWS_ENDPOINT_URL_S3", self.s3.url())
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", S3_ACCESS_KEY)
            .env("AWS_SECRET_ACCESS_KEY", S3_SECRET_KEY)
            .env("WAXWING_LEDGER", "dynamodb:jobs")
            .env("WAXWING_STORE", format!("s3://{S3_BUCKET}"))
            .env("WAXWING_ALLOW_URL", self.s3.url())
            .env("OUTPUT_BUCKET", S3_OUTPUT_BUCKET);
        command
    }

    /// An object of the output bucket as boto3 sees it: its type, its encryption, its contents.
    fn output(&self, key: &str) -> Option<(String, String, String)> {
        let script = "import sys, boto3, json\n\
            s3 = boto3.client('s3', endpoint_url=sys.argv[1], region_name='us-east-1', aws_access_key_id='test', \
            aws_secret_access_key='testsecret')\n\
            if sys.argv[3] not in [o['Key'] for o in s3.list_objects_v2(Bucket=sys.argv[2]).get('Contents', [])]: sys.exit(9)\n\
            o = s3.get_object(Bucket=sys.argv[2], Key=sys.argv[3])\n\
            print(json.dumps([o['ContentType'], o.get('ServerSideEncryption', ''), o['Body'].read().decode()]))";
        let mut python = Command::new(peers::servers().unwrap());
        let ran = python.args(["-c", script, &self.s3.url(), S3_OUTPUT_BUCKET, key]).output().unwrap();
        if ran.status.code() == Some(9) {
            return None;
        }
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        Some(serde_json::from_slice(&ran.stdout).unwrap())
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        Ran(self.command(arguments).output().unwrap())
    }

    fn jobs(&self) -> Vec<Value> {
        let listed = self.run(&["jobs", "list", "--json"]).ok().stdout();
        serde_json::from_str::<Value>(&listed).unwrap().as_array().unwrap().clone()
    }
}

/// All of text 1's words, by configuration alone.
#[test]
fn files_go_through_s3_and_dynamodb() {
    let Some(scene) = Scene::new() else { return };
    for id in ["q1", "q2", "q3"] {
        scene.run(&["deliver", "in.csv", "--to", "acme", "--file-id", id]).ok();
    }
    assert_eq!(scene.jobs().len(), 3);
    let mut worker = scene.command(&["worker", "--drain", "--jobs", "2"]);
    let ran = Ran(worker.env("PRIVATE_KEY_SECRET_ARN", keys::RSA_2048_PKCS8).output().unwrap()).ok();
    assert!(scene.jobs().iter().all(|job| job["Status"] == "done"), "{:?} {}", scene.jobs(), ran.stderr());
    for id in ["q1", "q2", "q3"] {
        let (kind, encrypted, contents) = scene.output(&format!("{id}.csv")).unwrap();
        assert_eq!(
            (kind.as_str(), encrypted.as_str(), contents.as_str()),
            ("text/csv", "AES256", "amount\n12\n")
        );
    }
    // The same file id once more: the same bytes are as good as published, other bytes are not put in their place.
    scene.run(&["deliver", "in.csv", "--to", "acme", "--file-id", "q1"]).ok();
    scene.place.write("other.csv", "amount\n13\n");
    scene.run(&["deliver", "other.csv", "--to", "acme", "--file-id", "q2"]).ok();
    scene.run(&["worker", "--drain", "-k", "k", "--attempts", "1"]).ok();
    let count = |status: &str| scene.jobs().iter().filter(|job| job["Status"] == status).count();
    assert_eq!((count("done"), count("failed")), (4, 1));
    assert_eq!(scene.output("q2.csv").unwrap().2, "amount\n12\n");
}

#[test]
fn attack_09_what_is_not_authentic_appears_nowhere() {
    let Some(scene) = Scene::new() else { return };
    scene.place.write("in.csv", vec![b'7'; 20 << 20]);
    let delivered =
        scene.run(&["deliver", "in.csv", "--to", "acme", "--file-id", "big", "--json"]).ok().stdout();
    let delivered: Value = serde_json::from_str(&delivered).unwrap();
    // The last byte of the object in S3.
    let script = "import sys, boto3\n\
        s3 = boto3.client('s3', endpoint_url=sys.argv[1], region_name='us-east-1', aws_access_key_id='test', \
        aws_secret_access_key='testsecret')\n\
        b = bytearray(s3.get_object(Bucket='inbox', Key=sys.argv[2])['Body'].read())\n\
        b[-1] ^= 1\n\
        s3.put_object(Bucket='inbox', Key=sys.argv[2], Body=bytes(b))";
    let object = delivered["object"].as_str().unwrap();
    let mut python = Command::new(peers::servers().unwrap());
    assert!(python.args(["-c", script, &scene.s3.url(), object]).status().unwrap().success());
    scene.run(&["worker", "--drain", "-k", "k"]).ok();
    let job = &scene.jobs()[0];
    assert_eq!((&job["Status"], &job["Class"]), (&"failed".into(), &"rejected".into()));
    assert_eq!(scene.output("big.csv"), None);
    // Untouched it arrives, in three parts.
    scene.run(&["deliver", "in.csv", "--to", "acme", "--file-id", "big"]).ok();
    scene.run(&["worker", "--drain", "-k", "k"]).ok();
    let (_, encrypted, contents) = scene.output("big.csv").unwrap();
    assert_eq!((encrypted.as_str(), contents.len()), ("AES256", 20 << 20));
}

#[test]
fn a_store_that_breaks_its_word_is_refused() {
    let (Some(dynamodb), Some(s3)) = (server::dynalite(), server::rclone_s3()) else { return };
    let Some(scene) = Scene::with(dynamodb, s3) else { return };
    for (sse, word) in [("AES256", "says that it did with none"), ("bucket", "ignores `If-None-Match: *`")] {
        let told = scene.run(&["worker", "--drain", "-k", "k", "--sse", sse]);
        assert_eq!(told.code(), 6, "{}", told.stderr());
        assert!(told.stderr().contains(word), "{}", told.stderr());
    }
}

/// Agents and the worker's key in Secrets Manager, jobs told of by SQS; everything that text 1 names.
#[test]
fn keys_come_from_secrets_manager_and_jobs_from_a_queue() {
    let (Some(moto), Some(scene)) = (server::moto(), Scene::new()) else { return };
    let script = "import sys, boto3\n\
        arg = dict(endpoint_url=sys.argv[1], region_name='us-east-1', aws_access_key_id='test', aws_secret_access_key='testsecret')\n\
        print(boto3.client('sqs', **arg).create_queue(QueueName='jobs')['QueueUrl'])\n\
        print(boto3.client('secretsmanager', **arg).create_secret(Name='acme-private', SecretString=sys.argv[2])['ARN'])";
    let mut python = Command::new(peers::servers().unwrap());
    let made =
        Ran(python.args(["-c", script, &moto.url(), keys::RSA_2048_PKCS8]).output().unwrap()).ok().stdout();
    let (queue, arn) = made.trim().split_once('\n').unwrap();
    let run = |arguments: &[&str]| {
        let mut command = scene.command(arguments);
        command
            .env("AWS_ENDPOINT_URL_SQS", moto.url())
            .env("AWS_ENDPOINT_URL_SECRETS_MANAGER", moto.url())
            .env("WAXWING_REGISTRY", "secrets-manager:agents/")
            .env("WAXWING_QUEUE", queue)
            .env("PRIVATE_KEY_SECRET_ARN", arn);
        Ran(command.output().unwrap())
    };
    run(&["agent", "register", "bank", "-k", "k.pub"]).ok();
    run(&["agent", "register", "bank", "-k", "k.pub"]).code_is(1);
    let shown = run(&["agent", "list"]).ok().stdout();
    assert!(shown.starts_with("bank"), "{shown}");
    for id in ["one", "two"] {
        run(&["deliver", "in.csv", "--to", "bank", "--file-id", id]).ok();
    }
    for _ in 0..2 {
        run(&["worker", "--once"]).ok();
    }
    assert!(scene.jobs().iter().all(|job| job["Status"] == "done"), "{:?}", scene.jobs());
    assert!(scene.output("one.csv").is_some() && scene.output("two.csv").is_some());

    // Attack row 19: another key than the one that its owner told is refused, whoever put it there.
    let fingerprint = shown.split_whitespace().last().unwrap().to_owned();
    let pinned = |pin: &str| run(&["deliver", "in.csv", "--to", "bank", "--pin", pin]);
    pinned(&format!("bank={fingerprint}")).ok();
    let swapped = pinned(&format!("bank=sha256:{}", "0".repeat(64)));
    assert_ne!(swapped.code(), 0);
    assert!(swapped.stderr().contains("is refused"), "{}", swapped.stderr());
}

/// A wrong name or missing rights are told at once, and not after the minute that passing trouble is given.
#[test]
fn a_worker_that_is_denied_from_the_beginning_ends_at_once() {
    let (Some(moto), Some(scene)) = (server::moto(), Scene::new()) else { return };
    let ends = |arguments: &[&str], region: &str, said: &str| {
        let mut command = scene.command(&[&["worker", "-k", "k", "--output", "inbox"], arguments].concat());
        command.env("AWS_ENDPOINT_URL_SQS", moto.url()).env("AWS_REGION", region);
        command
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env_remove("AWS_PROFILE")
            .env("AWS_CONFIG_FILE", "none");
        let told = Ran(command.output().unwrap());
        assert_eq!(told.code(), 1, "{}", told.stderr());
        assert!(told.stderr().contains(said), "{said}: {}", told.stderr());
        assert!(!told.stderr().contains("trying again"), "{}", told.stderr());
    };
    ends(&["--ledger", "dynamodb:none"], "us-east-1", "there is no such table");
    ends(&["--ledger", "dynamodb:none", "--drain"], "us-east-1", "there is no such table");
    ends(&["--once", "job-1", "--ledger", "dynamodb:none"], "us-east-1", "there is no such table");
    ends(&[], "", "no region is set");
    let queue = python(
        "import sys, boto3\n\
        sqs = boto3.client('sqs', endpoint_url=sys.argv[1], region_name='us-east-1', aws_access_key_id='test', \
        aws_secret_access_key='testsecret')\n\
        url = sqs.create_queue(QueueName='jobs')['QueueUrl']\n\
        sqs.send_message(QueueUrl=url, MessageBody='job-1')\n\
        print(url)",
        &[&moto.url()],
    );
    let queue = queue.trim();
    ends(&["--queue", &format!("{queue}-none")], "us-east-1", "NonExistentQueue");
    ends(&["--queue", queue, "--ledger", "dynamodb:none"], "us-east-1", "there is no such table");
    let received = "import sys, boto3\n\
        sqs = boto3.client('sqs', endpoint_url=sys.argv[1], region_name='us-east-1', aws_access_key_id='test', \
        aws_secret_access_key='testsecret')\n\
        got = sqs.receive_message(QueueUrl=sys.argv[2], AttributeNames=['All'])['Messages'][0]\n\
        print(got['Attributes']['ApproximateReceiveCount'])";
    assert_eq!(python(received, &[&moto.url(), queue]).trim(), "1", "no worker took the message");
}

/// What a worker once had and is denied now may be mended, while it says so.
#[test]
fn a_worker_waits_for_a_table_that_it_had() {
    let Some(scene) = Scene::new() else { return };
    let log = scene.place.path("log");
    let mut worker = scene.command(&["worker", "-k", "k", "--output", "inbox"]);
    let worker = worker.stderr(std::fs::File::create(&log).unwrap());
    let mut running = Running(worker.spawn().unwrap());
    let deliver = |id: &str| scene.run(&["deliver", "in.csv", "--to", "acme", "--file-id", id]).ok();
    let arrived = |id: &str| scene.place.path(&format!("inbox/{id}.csv")).exists();
    deliver("one");
    wait_for(|| arrived("one"));
    let delete = "import sys, boto3\n\
        db = boto3.client('dynamodb', endpoint_url=sys.argv[1], region_name='us-east-1', aws_access_key_id='test', \
        aws_secret_access_key='testsecret')\n\
        db.delete_table(TableName='jobs')\n\
        db.get_waiter('table_not_exists').wait(TableName='jobs', WaiterConfig={'Delay': 1})";
    python(delete, &[&scene.dynamodb.url()]);
    wait_for(|| std::fs::read_to_string(&log).unwrap().contains("and was not before; trying again"));
    scene.run(&["jobs", "init"]).ok();
    deliver("two");
    wait_for(|| arrived("two"));
    assert_eq!(running.0.try_wait().unwrap(), None, "it goes on");
}

/// What a script of boto3 prints.
fn python(script: &str, arguments: &[&str]) -> String {
    let mut python = Command::new(peers::servers().unwrap());
    Ran(python.args(["-c", script]).args(arguments).output().unwrap()).ok().stdout()
}

#[test]
fn a_ledger_that_lacks_is_told() {
    let Some(scene) = Scene::new() else { return };
    let told = scene.run(&["jobs", "list", "--ledger", "dynamodb:none"]);
    assert_eq!(told.code(), 1);
    assert!(told.stderr().contains("there is no such table"), "{}", told.stderr());
    let told = scene.run(&["jobs", "list", "--ledger", "postgres:x"]);
    assert_eq!(told.code(), 2);
    assert!(told.stderr().contains("it is dynamodb:TABLE"), "{}", told.stderr());
    scene.run(&["jobs", "init"]).code_is(1);
}
