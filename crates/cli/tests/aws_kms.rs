//! `aws-kms:KEY` on the command line, against moto.
#![cfg(feature = "aws-kms")]

mod support;

use std::process::Command;

use support::{Place, Ran};
use waxwing_testkit::peers;
use waxwing_testkit::server::{self, Server};

/// A place with a running moto, a key in it under `alias/payroll`, and a file `f`.
struct Kms {
    place: Place,
    moto: Server,
    arn: String,
}

impl Kms {
    fn start() -> Option<Self> {
        let (python, moto) = (peers::servers()?, server::moto()?);
        let make = "import boto3, sys
kms = boto3.client('kms', endpoint_url=sys.argv[1], region_name='eu-central-1')
arn = kms.create_key()['KeyMetadata']['Arn']
kms.create_alias(AliasName='alias/payroll', TargetKeyId=arn)
print(arn, end='')";
        let made = credentials(Command::new(python).args(["-c", make, &moto.url()])).output().unwrap();
        let place = Place::new();
        place.write("f", "hello");
        Some(Self { place, moto, arn: Ran(made).ok().stdout() })
    }

    /// Runs a line of words, in which `ARN` is the key's.
    fn run(&self, line: &str) -> Ran {
        let words: Vec<String> = line.split_whitespace().map(|word| word.replace("ARN", &self.arn)).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        Ran(credentials(&mut self.place.command(&words))
            .env("AWS_ENDPOINT_URL_KMS", self.moto.url())
            .output()
            .unwrap())
    }
}

/// Whom an emulator takes everybody for.
fn credentials(command: &mut Command) -> &mut Command {
    command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test").env_remove("AWS_PROFILE")
}

#[test]
fn a_key_of_aws_kms_seals_and_opens() {
    let Some(kms) = Kms::start() else { return };
    kms.run("seal -r aws-kms:ARN -r k.pub -c tenant=acme -o f.wax f").ok();
    let shown = kms.run("inspect f.wax").ok().stdout();
    assert!(shown.contains(&format!("aws-kms:{}", kms.arn)), "{shown}");
    assert_eq!(kms.run("open -k aws-kms:ARN -c tenant=acme f.wax").ok().stdout(), "hello");
    assert_eq!(
        kms.run("open -k aws-kms:alias/payroll --aws-region eu-central-1 f.wax").ok().stdout(),
        "hello"
    );
    assert_eq!(kms.run("open -k k f.wax").ok().stdout(), "hello");
    kms.run("rewrap -k k -r aws-kms:alias/payroll --aws-region eu-central-1 f.wax").ok();
    let again = kms.run("inspect f.wax").ok().stdout();
    assert_eq!(again.matches("aws-kms:").count(), 1, "the alias was there already: {again}");
}

#[test]
fn a_service_that_is_gone_ends_with_its_own_words() {
    let Some(mut kms) = Kms::start() else { return };
    kms.run("seal -r aws-kms:ARN -o f.wax f").ok();
    kms.moto.kill();
    let failed = kms.run("open -k aws-kms:ARN f.wax");
    failed.code_is(4);
    assert!(failed.stderr().contains("the key service cannot be reached"), "{}", failed.stderr());
    let failed = kms.run("seal -r aws-kms:ARN -o g.wax f");
    failed.code_is(4);
    assert!(!kms.place.names(".").contains(&"g.wax".to_owned()));
    // Nobody is asked for a local key.
    kms.run("seal -r k.pub -o h.wax f").ok();
    kms.run("seal -r aws-kms: -o g.wax f").code_is(2);
}

#[test]
fn kms_blob_goes_through_pipes_by_option_and_by_variable() {
    let Some(kms) = Kms::start() else { return };
    kms.run("seal --format kms-blob -r aws-kms:ARN -o f.blob f").ok();
    let blob = kms.place.read("f.blob");
    let wrapped_len = usize::from(u16::from_be_bytes([blob[0], blob[1]]));
    assert_eq!(blob.len(), 2 + wrapped_len + 12 + "hello".len() + 16);
    assert_eq!(kms.run("open --profile kms-blob -k aws-kms:ARN f.blob").ok().stdout(), "hello");
    let line = "waxwing seal --format kms-blob < f | waxwing open --profile kms-blob";
    let piped = credentials(&mut kms.place.shell_command(line))
        .env("AWS_ENDPOINT_URL_KMS", kms.moto.url())
        .env("ENCRYPTION_KEY_ID", &kms.arn)
        .output();
    assert_eq!(Ran(piped.unwrap()).ok().stdout(), "hello");
    kms.run("seal --format kms-blob -o g.blob f").code_is(4);
    kms.run("seal --format envelope -o g.wax f")
        .fails(2, "error: nobody is named to seal for\n  hint: name a key with -r\n");
}
