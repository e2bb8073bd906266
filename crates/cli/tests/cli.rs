//! What a user meets: exact messages, exit codes, and what is left behind.

mod support;

use std::io::Write as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use support::Place;
use waxwing_testkit::keys;

/// A place with `in.csv`, sealed as `in.wax` with a context.
fn sealed() -> Place {
    let place = Place::new();
    place.write("in.csv", (0..300_000u32).map(|i| (i * 7 + i / 251) as u8).collect::<Vec<_>>());
    place.run(&["seal", "-r", "k.pub", "-c", "tenant=acme", "-o", "in.wax", "in.csv"]).ok();
    place
}

/// Changes `in.wax` and opens it, as a file and from a pipe: both fail the same, and no output is left.
fn opening_fails(change: impl Fn(&mut Vec<u8>), code: i32, said: &str) {
    let place = sealed();
    let mut bytes = place.read("in.wax");
    change(&mut bytes);
    place.write("bad.wax", bytes);
    let expected = said.replace('@', "`bad.wax`");
    place.run(&["open", "-k", "k", "-o", "out", "bad.wax"]).fails(code, &expected);
    assert!(!place.path("out").exists(), "an output is left");
    assert!(!place.names(".").iter().any(|name| name.starts_with('.')), "a hidden file is left");
    let piped = place.shell("waxwing open -k k < bad.wax > piped");
    // Standard input that is a file is read like one.
    piped.fails(code, &said.replace('@', "standard input"));
    let piped = place.shell("cat bad.wax | waxwing open -k k > piped");
    assert_eq!(piped.code(), code, "{}", piped.stderr());
    assert!(place.read("in.csv").starts_with(&place.read("piped")), "something else came out of the pipe");
}

const NOT_AUTHENTIC: &str = "error: cannot open @: the data is not authentic\n  hint: it was changed or damaged on its way, or made for another passphrase or another key under the same name\n";
const TRUNCATED: &str = "error: cannot open @: the envelope is cut short: its body ends before the final frame\n  hint: fetch or copy the file again; what came out so far is not all of it\n";

#[test]
fn a_flipped_bit_is_not_authentic() {
    opening_fails(|bytes| *bytes.last_mut().unwrap() ^= 1, 3, NOT_AUTHENTIC);
    opening_fails(|bytes| bytes[20] ^= 1, 3, NOT_AUTHENTIC);
    let len = 66_000;
    opening_fails(|bytes| bytes[len] ^= 1, 3, NOT_AUTHENTIC);
}

#[test]
fn a_cut_file_is_truncated() {
    let sealed_len = 65_536 + 16;
    opening_fails(|bytes| bytes.truncate(bytes.len() - 300_000 % 65_536 - 16), 5, TRUNCATED);
    opening_fails(
        |bytes| bytes.truncate(bytes.len() - 4 * sealed_len - (300_000 - 4 * 65_536) - 16),
        5,
        TRUNCATED,
    );
}

#[test]
fn two_frames_exchanged_are_not_authentic() {
    opening_fails(
        |bytes| {
            let frame = 65_536 + 16;
            let body = bytes.len() - (4 * frame + 300_000 - 4 * 65_536 + 16);
            let first = bytes[body..body + frame].to_vec();
            bytes.copy_within(body + frame..body + 2 * frame, body);
            bytes[body + frame..body + 2 * frame].copy_from_slice(&first);
        },
        3,
        NOT_AUTHENTIC,
    );
}

#[test]
fn a_header_that_lies_is_named() {
    let said = |what: &str| format!("error: cannot open @: the header is malformed: {what}\n");
    opening_fails(
        |bytes| bytes[0] = b'X',
        1,
        &said("this is not a Waxwing envelope: it does not begin with \"WAXWING\""),
    );
    opening_fails(
        |bytes| bytes[7] = 9,
        1,
        &said("the envelope is of version 9; this reader knows version 1"),
    );
    opening_fails(
        |bytes| bytes[8..12].fill(0xff),
        1,
        &said("the header claims 4294967295 bytes; the limit is 1048576"),
    );
    opening_fails(|bytes| bytes[13] = 7, 1, &said("suite 0x0007 is unknown"));
    opening_fails(
        |bytes| bytes.truncate(50),
        1,
        &said("the header is cut: it needs 438 bytes and 50 are there"),
    );
}

/// A file of 3 KiB that claims 4 GiB, or the largest header there may be, takes no memory for it.
#[test]
fn attack_13_a_claimed_length_allocates_nothing() {
    let place = sealed();
    for claim in [u32::MAX, 1 << 20] {
        let mut bytes = place.read("in.wax");
        bytes.truncate(3000);
        bytes[8..12].copy_from_slice(&claim.to_be_bytes());
        place.write("bad.wax", bytes);
        // 64 MiB of address space is about what the program itself takes.
        let ran = place.shell("ulimit -v 200000; waxwing open --threads 1 -k k bad.wax");
        assert_eq!(ran.code(), 1, "{}", ran.stderr());
        assert!(ran.stderr().contains("header"), "{}", ran.stderr());
    }
}

#[test]
fn a_wrong_key_and_another_context_are_told_apart_from_damage() {
    let place = sealed();
    place.run(&["keygen", "--type", "rsa-2048", "-o", "other"]).ok();
    let ran = place.run(&["open", "-k", "other", "-o", "out", "in.wax"]);
    let id = "rsa-oaep-sha256:";
    assert_eq!(ran.code(), 4);
    assert!(
        ran.stderr().starts_with(&format!(
            "error: cannot open `in.wax`: no key in this keyring opens it; it is wrapped for {id}"
        )),
        "{}",
        ran.stderr()
    );
    place.run(&["open", "-k", "k", "-c", "tenant=other", "-o", "out", "in.wax"]).fails(
        3,
        "error: cannot open `in.wax`: the envelope's context differs from the required one at `tenant`\n  hint: `waxwing inspect` shows the context it was sealed with\n",
    );
    assert!(!place.path("out").exists());
}

#[test]
fn an_output_that_exists_is_kept_unless_forced() {
    let place = sealed();
    place.write("out", "precious");
    place.run(&["open", "-k", "k", "-o", "out", "in.wax"]).fails(
        1,
        "error: cannot open `in.wax`: the output exists already\n  hint: choose another name, or replace it with --force\n",
    );
    assert_eq!(place.read("out"), b"precious");
    place.run(&["open", "-k", "k", "--force", "-o", "out", "in.wax"]).ok();
    assert_eq!(place.read("out"), place.read("in.csv"));
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let place = Place::new();
    // More than any pipe holds.
    place.shell("truncate -s 8M in && waxwing seal -r k.pub -o in.wax in").ok();
    let ran = place.shell("set -o pipefail; waxwing open -k k in.wax | head -c 1 > /dev/null");
    assert_eq!((ran.code(), ran.stderr().as_str()), (1, ""));
}

#[test]
fn a_full_disk_is_said_and_leaves_nothing() {
    let place = sealed();
    let ran = place.shell("waxwing open -k k in.wax > /dev/full");
    assert_eq!(ran.code(), 1);
    assert!(ran.stderr().contains("writing the output failed: No space left on device"), "{}", ran.stderr());
    // A file system of 100 KiB, where the machine lets us have one.
    let ran = place.shell(
        "mkdir small && mount -t tmpfs -o size=100k none small 2>/dev/null || exit 77
        trap 'umount small' EXIT
        waxwing seal -r k.pub -o small/out in.csv; echo \"code $?\"; ls -A small",
    );
    if ran.code() == 77 {
        let _ = writeln!(std::io::stderr(), "SKIPPED: no file system could be mounted");
        return;
    }
    assert_eq!(ran.stdout(), "code 1\n", "{}", ran.stderr());
    assert!(ran.stderr().contains("make room and try again"), "{}", ran.stderr());
    // Of a folder, what fits is whole, and one message says what ended it.
    let ran = place.shell(
        "mkdir many && for i in $(seq 50); do head -c 5000 in.csv > many/$i; done
        mount -t tmpfs -o size=100k none small; trap 'umount small' EXIT
        waxwing seal -r k.pub -o small/out many; echo \"code $?\"
        waxwing --quiet open -k k -o back small/out; for f in back/*; do cmp $f many/${f#back/}; done; ls back | wc -l",
    );
    assert!(ran.stdout().starts_with("code 1\n"), "{}", ran.stdout());
    let whole: u32 = ran.stdout()[7..].trim().parse().unwrap();
    assert!((1..50).contains(&whole), "{whole}");
    assert_eq!(ran.stderr().matches("No space left").count(), 1, "{}", ran.stderr());
}

/// Killed in the middle, neither sealing nor opening leaves anything behind.
#[test]
fn attack_28_a_killed_process_leaves_nothing() {
    let place = Place::new();
    place.shell("truncate -s 3G big && mkdir out").ok();
    for _ in 0..3 {
        let mut child = place.command(&["seal", "-r", "k.pub", "-o", "out/big.wax", "big"]).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(150));
        child.kill().unwrap();
        let ended = child.wait().unwrap();
        assert!(!ended.success(), "it was over before it was killed");
        assert_eq!(place.names("out"), Vec::<String>::new());
    }
}

#[test]
fn a_terminal_gets_no_ciphertext() {
    let place = sealed();
    let ran = place.shell(
        "command -v script >/dev/null || exit 77; script -qec 'waxwing seal -r k.pub in.csv' /dev/null",
    );
    if ran.code() == 77 {
        let _ = writeln!(std::io::stderr(), "SKIPPED: no `script` to make a terminal");
        return;
    }
    assert!(ran.stdout().contains("standard output is a terminal"), "{}", ran.stdout());
    assert_eq!(ran.code(), 2);
}

#[test]
fn legacy_needs_consent_and_is_labelled() {
    let place = sealed();
    let seal = |more: &[&str]| {
        let common = [
            "seal",
            "--format",
            "record",
            "--wrap",
            "pkcs1",
            "--cipher",
            "aes-128-cbc",
            "-r",
            "k.pub",
            "--record",
            "r.json",
            "-o",
            "b.bin",
            "in.csv",
        ];
        place.run(&[&common[..], more].concat())
    };
    seal(&[]).fails(
        6,
        "error: cannot seal: the scheme pkcs1+aes-128-cbc is legacy (PKCS#1 v1.5 key wrapping and unauthenticated CBC) and was not consented to\n  hint: if the partner knows nothing better, consent with --legacy\n",
    );
    seal(&["--legacy"]).ok();
    let open = |more: &[&str]| {
        let common = ["open", "--record", "r.json", "-k", "k", "-o", "out", "b.bin"];
        place.run(&[&common[..], more].concat())
    };
    assert_eq!(open(&[]).code(), 6);
    let opened = open(&["--legacy"]).ok();
    assert!(opened.stderr().contains("the output is UNAUTHENTICATED"), "{}", opened.stderr());
    assert_eq!(place.read("out"), place.read("in.csv"));
}

#[test]
fn records_as_they_come() {
    let place = sealed();
    place
        .run(&["seal", "--format", "record", "-r", "k.pub", "--record", "r.json", "-o", "b.bin", "in.csv"])
        .ok();
    let json = String::from_utf8(place.read("r.json")).unwrap();
    let open = |json: &str, more: &[&str]| {
        place.write("x.json", json);
        let common = ["open", "--force", "--record", "x.json", "-k", "k", "-o", "out", "b.bin"];
        place.run(&[&common[..], more].concat())
    };
    open(&json, &[]).ok();
    open(&json.replace("EncryptedAESKey", "Key"), &[]).fails(
        1,
        "error: cannot read the record `x.json`: the record has no `EncryptedAESKey` (read as well: encryptedKey, encryptedAESKey)\n",
    );
    let spaced = json.replacen("\":\"", "\":\" ", 1);
    open(&spaced, &[]).fails(
        1,
        "error: cannot read the record `x.json`: the record's `EncryptedAESKey` is not base64: white space at character 0 (lenient reading would skip it)\n",
    );
    let noted = open(&spaced, &["--lenient"]).ok().stderr();
    assert!(
        noted.contains("note: the record's `EncryptedAESKey` is not base64 as it should be written"),
        "{noted}"
    );
    let silent = json.replace("\"Scheme\":\"oaep-sha256+aes-256-gcm\",", "");
    open(&silent, &[]).fails(
        2,
        "error: cannot open `b.bin`: the record states no scheme, and none was given\n  hint: ask the sender, and say it with --wrap and --cipher\n",
    );
    open(&silent, &["--wrap", "oaep-sha256", "--cipher", "aes-256-gcm"]).ok();
    open(&silent, &["--wrap", "oaep-sha1", "--cipher", "aes-256-gcm"])
        .fails(3, &NOT_AUTHENTIC.replace('@', "`b.bin`"));
    assert_eq!(open(&json, &["--wrap", "oaep-sha1", "--cipher", "aes-256-gcm"]).code(), 1);
}

/// The minimal example of partners: one JSON object with everything in it, of the sizes that they know.
#[test]
fn an_inline_record_holds_its_ciphertext() {
    let place = Place::new();
    place.write("text", "Hello, this is a test message to be encrypted.");
    place.write("long", vec![0; (4 << 20) + 1]);
    let seal = "waxwing seal --format record --spelling inline --wrap oaep-sha1 --cipher aes-128-cbc --legacy -r k.pub";
    place.shell(&format!("{seal} --record r.json text")).ok();
    let record: serde_json::Value = serde_json::from_slice(&place.read("r.json")).unwrap();
    let base64_len = |name: &str| record[name].as_str().unwrap().len();
    assert_eq!(
        (base64_len("encryptedData"), base64_len("encryptedAESKey"), base64_len("iv")),
        (64, 344, 24),
        "48, 256 and 16 bytes"
    );
    let opened = place.run(&["open", "--record", "r.json", "--legacy", "-k", "k"]).ok();
    assert_eq!(opened.0.stdout, place.read("text"));
    let long = place.shell(&format!("{seal} --record long.json long"));
    assert_eq!(long.code(), 1);
    assert!(long.stderr().contains("at most 4 MiB of ciphertext"), "{}", long.stderr());
    assert!(!place.path("long.json").exists());
    assert_eq!(place.shell(&format!("{seal} --record x.json -o body text")).code(), 2);
}

#[test]
fn keys_come_from_files_descriptors_and_the_environment() {
    let place = sealed();
    for line in [
        "waxwing open -k k in.wax",
        "waxwing open -k fd:3 in.wax 3< k",
        "KEY=\"$(cat k)\" waxwing open -k env:KEY in.wax",
        "PRIVATE_KEY_SECRET_ARN=\"$(cat k)\" waxwing open in.wax",
        "PRIVATE_KEY_SECRET_ARN_FILE=k waxwing open in.wax",
        "PRIVATE_KEY_SECRET_ARN=\"$(awk '{printf \"%s\\\\n\", $0}' k)\" waxwing open in.wax",
    ] {
        assert_eq!(place.shell(line).ok().0.stdout, place.read("in.csv"), "{line}");
    }
    place.shell("PRIVATE_KEY_SECRET_ARN=arn:aws:secretsmanager:eu-west-1:1:secret:x waxwing open in.wax").fails(
        4,
        "error: cannot use the key `env:PRIVATE_KEY_SECRET_ARN`: this is the ARN of a key, not the key; give the PEM itself\n",
    );
    place.run(&["open", "in.wax"]).fails(
        2,
        "error: no key was given\n  hint: name one with -k, or put its PEM into PRIVATE_KEY_SECRET_ARN\n",
    );
}

/// The key in the environment of a running process is not for others, not even of the same user.
#[test]
fn attack_16_the_environment_of_a_process_is_not_for_others() {
    let place = Place::new();
    let ran = place.shell(
        "test $(id -u) = 0 && command -v setpriv >/dev/null && setpriv --reuid 65534 --clear-groups true || exit 77
        as_nobody='setpriv --reuid 65534 --clear-groups'
        export PRIVATE_KEY_SECRET_ARN=\"$(cat k)\"
        copy=/tmp/waxwing-test-$$; trap 'rm $copy' EXIT
        for program in sleep waxwing; do
            install -m 755 $(command -v $program) $copy
            case $program in sleep) arguments=3 ;; waxwing) arguments=open ;; esac
            (cd / && sleep 3 | exec $as_nobody $copy $arguments 2>/dev/null) & sleep 1
            $as_nobody grep -qz ^PRIVATE_KEY_SECRET_ARN= /proc/$(pgrep -f ^$copy)/environ
            echo $program $?
            wait
        done",
    );
    if ran.code() == 77 {
        let _ = writeln!(std::io::stderr(), "SKIPPED: only root can become two users");
        return;
    }
    assert_eq!(ran.stdout(), "sleep 0\nwaxwing 2\n", "{}", ran.stderr());
    assert!(ran.stderr().contains("Permission denied"), "{}", ran.stderr());
}

#[test]
fn an_encrypted_key_needs_its_passphrase() {
    let place = sealed();
    place.write("enc", keys::RSA_2048_ENCRYPTED_PKCS8);
    place.write("pass", "waxwing\n");
    place.write("wrong", "nope\n");
    place.run(&["open", "-k", "enc", "in.wax"]).fails(
        4,
        "error: the passphrase of the key `enc` is needed\n  hint: give it with --passphrase-file, or where somebody can be asked for it\n",
    );
    assert_eq!(place.run(&["open", "-k", "enc", "--passphrase-file", "wrong", "in.wax"]).code(), 4);
    let opened = place.run(&["open", "-k", "enc", "--passphrase-file", "pass", "in.wax"]).ok();
    assert_eq!(opened.0.stdout, place.read("in.csv"));
}

#[test]
fn a_key_is_never_overwritten_by_accident() {
    let place = Place::new();
    let said = "error: `k` exists already\n  hint: choose another name; --force replaces it, and what was sealed for the old key is lost without it\n";
    std::fs::remove_file(place.path("k.pub")).unwrap();
    place.run(&["keygen", "--type", "rsa-2048", "-o", "k"]).fails(1, said);
    assert_eq!(place.read("k"), keys::RSA_2048_PKCS8.as_bytes());
    place.run(&["keygen", "--type", "aes-256", "-o", "kek"]).ok();
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(std::fs::metadata(place.path("kek")).unwrap().permissions().mode() & 0o777, 0o600);
}

/// Memory does not grow with the file: 64 MiB and 1 GiB take the same, to within 4 MiB.
#[test]
fn memory_is_constant() {
    let place = Place::new();
    place.shell("truncate -s 64M small; truncate -s 1G large").ok();
    let peak = |input: &str, arguments: &[&str]| {
        let mut child = place.command(arguments).arg(input).stdout(Stdio::null()).spawn().unwrap();
        let status = format!("/proc/{}/status", child.id());
        let (mut peak, started) = (0u64, Instant::now());
        while child.try_wait().unwrap().is_none() {
            let seen = std::fs::read_to_string(&status).unwrap_or_default();
            let line = seen
                .lines()
                .find_map(|line| line.strip_prefix("VmHWM:"))
                .map(|line| line.trim().trim_end_matches(" kB"));
            peak = peak.max(line.and_then(|kib| kib.parse().ok()).unwrap_or(0));
            assert!(started.elapsed() < Duration::from_secs(300));
            std::thread::sleep(Duration::from_millis(2));
        }
        assert!(child.wait().unwrap().success());
        peak
    };
    for arguments in [
        &["seal", "--threads", "2", "-r", "k.pub"][..],
        &["seal", "--format", "record", "-r", "k.pub", "--force", "--record", "r.json"],
    ] {
        let (small, large) = (peak("small", arguments), peak("large", arguments));
        assert!(
            small > 0 && large < small + 4096 && large < 32 << 10,
            "{arguments:?}: {small} KiB and {large} KiB"
        );
    }
}

/// Everything that is said about a folder: what was left out, what failed and why, and the sum.
#[test]
fn a_folder_is_sealed_and_opened() {
    let place = Place::new();
    place
        .shell("mkdir -p in/sub && seq 100 > in/a.csv && seq 1000 > in/sub/b.csv && ln -s a.csv in/link")
        .ok();
    let said = |ran: &support::Ran| {
        let text = ran.stderr();
        let (before, after) = text.split_once(", in ").unwrap_or_else(|| panic!("{text}"));
        format!("{before}, in …{}", after.split_once(')').unwrap().1)
    };
    let sealed = place.run(&["seal", "-r", "k.pub", "-o", "out", "in"]).ok();
    let note = "note: `in/link` is a symbolic link, and was left out\n";
    assert_eq!(said(&sealed), format!("{note}sealed 2 files, 4.09 KiB, in …; 1 left out\n"));
    let again = place.run(&["seal", "-r", "k.pub", "-o", "out", "in"]).ok();
    assert_eq!(said(&again), format!("{note}sealed 0 files, 0 B, in …; 2 were done already; 1 left out\n"));
    place.shell("truncate -s -1 out/sub/b.csv.wax").ok();
    let opened = place.run(&["open", "-k", "k", "-o", "back", "out"]);
    assert_eq!(opened.code(), 3);
    assert_eq!(
        said(&opened),
        "error: cannot open `out/sub/b.csv.wax`: the data is not authentic\n  hint: it was changed or damaged on its way, or made for another passphrase or another key under the same name\nopened 1 files, 292 B, in …; 1 failed\nerror: 1 of 2 files were not opened\n  hint: run it again when that is mended: what is done is not done twice\n"
    );
    let forced = place.run(&["--quiet", "seal", "--force", "-r", "k.pub", "-o", "out", "in"]).ok();
    assert_eq!(forced.stderr(), note);
    place.shell("rm -r back && waxwing open -k k -o back out && rm in/link && diff -r in back").ok();
}

#[test]
fn a_folder_needs_a_folder() {
    let place = Place::new();
    place.shell("mkdir in && touch in/a").ok();
    place
        .run(&["seal", "-r", "k.pub", "in"])
        .fails(2, "error: `in` is a folder\n  hint: name the folder for what comes of it with -o\n");
    place.run(&["seal", "-r", "k.pub", "-o", "in/out", "in"]).fails(
        1,
        "error: cannot seal `in`: the output folder lies inside the input folder, or is the same\n",
    );
    assert_eq!(place.names("in"), ["a"], "something was made");
    assert_eq!(place.run(&["seal", "-r", "k.pub", "--detached", "h", "-o", "out", "in"]).code(), 2);
    assert_eq!(place.run(&["open", "-k", "k", "--range", "0-1", "-o", "out", "in"]).code(), 2);
}

/// Killed again and again, sealing a folder goes on until it is done, and never leaves half a file.
#[test]
fn attack_28_a_killed_run_over_a_folder_is_gone_on_with() {
    let place = Place::new();
    place.shell("mkdir in && for i in $(seq 400); do head -c 200000 /dev/zero > in/$i; done").ok();
    let arguments = ["seal", "-r", "k.pub", "-o", "out", "in"];
    let mut kills = 0;
    loop {
        let mut child = place.command(&arguments).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(40));
        let _ = child.kill();
        if child.wait().unwrap().success() {
            break;
        }
        kills += 1;
        assert!(kills < 200, "it never ends");
        place.shell("mkdir -p out").ok();
        assert!(place.names("out").iter().all(|name| name.ends_with(".wax")), "something is left");
    }
    assert!(kills > 0, "it was over before it was killed");
    place.shell("waxwing open -k k -o back out && diff -r in back").ok();
}

#[test]
fn completions_and_manual_pages_are_made() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish"] {
        assert!(place.run(&["completions", shell]).ok().stdout().contains("waxwing"));
    }
    place.run(&["man", "man"]).ok();
    let pages = place.names("man");
    assert!(pages.contains(&"waxwing-seal.1".to_owned()), "{pages:?}");
}

/// The short form of the demonstration, kill and all.
#[test]
fn the_demo_runs() {
    let place = Place::new();
    let ran = place.run(&["demo", "--dir", "demo", "--files", "20", "--large-mib", "24"]).ok();
    assert!(
        ran.stdout().contains("delivered, equal to the original                  20 of 21"),
        "{}",
        ran.stdout()
    );
    assert!(
        ran.stdout().contains("tampered, refused, nothing published                     1"),
        "{}",
        ran.stdout()
    );
}
