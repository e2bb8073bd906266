//! The keystore, passphrases, and the life of keys: rewrap, reencrypt, rotate, disable.

mod support;

use std::process::Stdio;
use std::time::Duration;

use support::{Place, Ran};

const SECRET: &str = "correct horse battery staple";

/// A place with a keystore that has the key `archive`, whose passphrase is in `pw`, and a file `f`.
fn place() -> Place {
    let place = Place::new();
    place.write("pw", format!("{SECRET}\n"));
    place.write("f", "hello");
    run(&place, "keys create archive").ok();
    place
}

/// Runs a line of words with the passphrase of `pw`.
fn run(place: &Place, line: &str) -> Ran {
    let words: Vec<&str> = line.split_whitespace().collect();
    let mut command = place.command(&words);
    command.env("WAXWING_PASSPHRASE_FILE", place.path("pw"));
    Ran(command.output().unwrap())
}

#[test]
fn a_key_seals_rotates_and_goes_on_opening() {
    let place = place();
    run(&place, "seal -r keystore:archive -o old.wax f").ok();
    run(&place, "keys rotate archive").ok();
    run(&place, "seal -r keystore:archive -o new.wax f").ok();
    let shown = run(&place, "inspect new.wax").ok().stdout();
    assert!(shown.contains("aes-256:archive/2"), "{shown}");
    for file in ["old.wax", "new.wax"] {
        for key in ["keystore", "keystore:archive"] {
            assert_eq!(run(&place, &format!("open -k {key} {file}")).ok().stdout(), "hello");
        }
    }
    let listed = run(&place, "keys list").ok().stdout();
    assert!(listed.starts_with("archive  (aes-256)\n  archive/2 "), "{listed}");
    assert!(listed.contains("seals and opens") && listed.contains("  opens\n"), "{listed}");
}

#[test]
fn attack_32_rewrapping_to_the_new_version_lets_the_old_one_go() {
    let place = place();
    run(&place, "seal -r keystore:archive -o f.wax f").ok();
    place.shell("mkdir -p sub && cp f.wax sub/g.wax && cp f.wax sub/other").ok();
    run(&place, "keys rotate archive").ok();
    let said = run(&place, "rewrap -k keystore -r keystore:archive --only f.wax sub").ok().stderr();
    assert!(said.contains("f.wax\n  + aes-256:archive/2\n  - aes-256:archive/1\n"), "{said}");
    assert!(said.contains("sub/g.wax\n") && !said.contains("other"), "{said}");
    assert!(said.contains("`waxwing reencrypt` gives a file a new data key"), "{said}");
    run(&place, "keys destroy archive/1").code_is(6);
    run(&place, "keys destroy archive/1 --yes").ok();
    assert_eq!(run(&place, "open -k keystore f.wax").ok().stdout(), "hello");
    assert_eq!(run(&place, "open -k keystore sub/g.wax").ok().stdout(), "hello");
    run(&place, "open -k keystore sub/other").code_is(4);
}

#[test]
fn a_disabled_key_says_so_and_another_recipient_still_opens() {
    let place = place();
    run(&place, "seal -r keystore:archive -r k.pub -o f.wax f").ok();
    run(&place, "keys disable archive").ok();
    let refused = run(&place, "open -k keystore f.wax");
    assert_eq!(refused.code(), 4);
    assert!(refused.stderr().contains("`archive/1`: the key is disabled"), "{}", refused.stderr());
    assert_eq!(run(&place, "open -k keystore -k k f.wax").ok().stdout(), "hello");
    run(&place, "seal -r keystore:archive -o g.wax f").code_is(4);
    run(&place, "keys enable archive/1").ok();
    assert_eq!(run(&place, "open -k keystore f.wax").ok().stdout(), "hello");
}

#[test]
fn an_rsa_key_of_the_keystore_has_a_public_half_to_give_away() {
    let place = place();
    run(&place, "keys create partner --type rsa-2048").ok();
    place.write("partner.pub", run(&place, "keys show partner --public").ok().stdout());
    place.run(&["seal", "-r", "partner.pub", "-o", "f.wax", "f"]).ok();
    assert_eq!(run(&place, "open -k keystore:partner f.wax").ok().stdout(), "hello");
    run(&place, "keys show archive --public").code_is(2);
}

#[test]
fn keys_leave_only_if_they_were_made_to() {
    let place = place();
    run(&place, "keys export archive -o out.key").code_is(6);
    run(&place, "keys create travels --exportable").ok();
    run(&place, "keys export travels -o out.key").ok();
    run(&place, "seal -r out.key -o f.wax f").ok();
    assert_eq!(run(&place, "open -k keystore:travels f.wax").ok().stdout(), "hello");
    run(&place, "keys import archive k").code_is(1);
    run(&place, "keys import mine k").ok();
    place.run(&["seal", "-r", "k.pub", "-o", "g.wax", "f"]).ok();
    assert_eq!(run(&place, "open -k keystore:mine g.wax").ok().stdout(), "hello");
}

#[test]
fn the_passphrase_of_a_keystore_is_changed() {
    let place = place();
    run(&place, "seal -r keystore:archive -o f.wax f").ok();
    place.write("pw2", "another");
    run(&place, "keys rewrap -r passphrase --only --new-passphrase-file pw2").ok();
    let wrong = run(&place, "open -k keystore f.wax");
    assert_eq!(wrong.code(), 3, "{}", wrong.stderr());
    place.shell("mv pw2 pw").ok();
    assert_eq!(run(&place, "open -k keystore f.wax").ok().stdout(), "hello");
}

#[test]
fn a_keystore_may_open_for_a_key_instead_of_a_passphrase() {
    let place = Place::new();
    place.write("f", "hello");
    let with_key = ["--keystore-key", "k"];
    let run = |words: &[&str]| place.run(&[words, &with_key].concat());
    run(&["keys", "create", "a"]).ok();
    run(&["seal", "-r", "keystore:a", "-o", "f.wax", "f"]).ok();
    assert_eq!(run(&["open", "-k", "keystore", "f.wax"]).ok().stdout(), "hello");
    let without = place.run(&["open", "-k", "keystore", "f.wax"]);
    assert_eq!(without.code(), 4);
    assert!(without.stderr().contains("name that key with --keystore-key"), "{}", without.stderr());
    place.run(&["keys", "list", "--keystore-key", "keystore:a"]).code_is(2);
}

#[test]
fn a_passphrase_comes_from_a_file_a_descriptor_or_a_command_and_never_from_an_argument() {
    let place = Place::new();
    place.write("pw", "s3cret\n");
    place.write("f", "hello");
    place.shell("waxwing seal -r passphrase --passphrase-file pw -o f.wax f").ok();
    for way in ["--passphrase-file fd:3 3< pw", "--passphrase-command 'echo s3cret'"] {
        let opened = place.shell(&format!("waxwing open -k passphrase {way} f.wax")).ok();
        assert_eq!(opened.stdout(), "hello", "{way}");
    }
    let variable = place.shell("P=s3cret waxwing open -k passphrase --passphrase-file env:P f.wax").ok();
    assert_eq!(variable.stdout(), "hello");
    place.write("pw", "s3cre");
    place.run(&["open", "-k", "passphrase", "--passphrase-file", "pw", "f.wax"]).code_is(3);
    let nobody = place.run(&["open", "-k", "passphrase", "f.wax"]);
    assert_eq!(nobody.code(), 4);
    assert!(nobody.stderr().contains("the passphrase of the envelope is needed"), "{}", nobody.stderr());
    let failing = place.shell("waxwing open -k passphrase --passphrase-command 'exit 3' f.wax");
    assert_eq!(failing.code(), 4, "{}", failing.stderr());
}

#[test]
fn recipients_of_all_kinds_mix() {
    let place = place();
    place.run(&["keygen", "--type", "x-wing", "-o", "xw"]).ok();
    run(&place, "seal -r keystore:archive -r k.pub -r xw.pub -r passphrase -o f.wax f").ok();
    for key in ["keystore", "k", "xw", "passphrase"] {
        assert_eq!(run(&place, &format!("open -k {key} f.wax")).ok().stdout(), "hello", "{key}");
    }
    let shown = place.run(&["inspect", "f.wax"]).ok().stdout();
    for kind in ["aes-256:archive/1", "rsa-oaep-sha256:", "x-wing:", "passphrase"] {
        assert!(shown.contains(kind), "{shown}");
    }
    // Somebody whose key nobody here has is removed by what inspect shows.
    let id = shown.split_whitespace().find(|word| word.starts_with("x-wing:")).unwrap().to_owned();
    run(&place, &format!("rewrap -k k --remove {id} --remove passphrase f.wax")).ok();
    place.run(&["open", "-k", "xw", "f.wax"]).code_is(4);
    run(&place, "open -k passphrase f.wax").code_is(4);
}

#[test]
fn reencryption_makes_a_new_body_under_the_same_context() {
    let place = place();
    place.run(&["seal", "-r", "k.pub", "-c", "case=7", "-o", "f.wax", "f"]).ok();
    let old = place.read("f.wax");
    run(&place, "reencrypt -k k -r keystore:archive f.wax").ok();
    assert_eq!(run(&place, "open -k keystore -c case=7 f.wax").ok().stdout(), "hello");
    place.run(&["open", "-k", "k", "f.wax"]).code_is(4);
    let body = &old[old.len() - "hello".len() - 16..];
    assert!(!place.read("f.wax").ends_with(body), "the body is a new one");
}

/// The file is the old one or the new one, whenever the process dies, and nothing else is left.
#[test]
fn attack_32_a_killed_rewrap_leaves_the_old_file_or_the_new_one() {
    let place = place();
    place.shell("head -c 40000000 /dev/urandom > big").ok();
    place.run(&["seal", "-r", "k.pub", "-o", "big.wax", "big"]).ok();
    run(&place, "keys create other").ok();
    for verb in ["rewrap", "reencrypt"] {
        for millis in [1, 5, 10, 20, 40, 80] {
            let words = [verb, "-k", "k", "-r", "k.pub", "-r", "keystore:other", "big.wax"];
            let mut command = place.command(&words);
            command.env("WAXWING_PASSPHRASE_FILE", place.path("pw")).stderr(Stdio::null());
            let mut child = command.spawn().unwrap();
            // Long enough for the passphrase, then anywhere in the work.
            std::thread::sleep(Duration::from_millis(150 + millis));
            let _ = child.kill();
            child.wait().unwrap();
            assert_eq!(
                place.run(&["open", "-k", "k", "big.wax"]).ok().0.stdout,
                place.read("big"),
                "{verb} {millis}"
            );
            let names = place.names(".");
            assert!(!names.iter().any(|name| name.contains(".part")), "{names:?}");
        }
    }
}

#[test]
fn attack_28_a_killed_change_leaves_a_keystore_that_opens() {
    let place = place();
    for millis in (0..60).step_by(6) {
        let mut command = place.command(&["keys", "rotate", "archive"]);
        command.env("WAXWING_PASSPHRASE_FILE", place.path("pw")).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        std::thread::sleep(Duration::from_millis(120 + millis));
        let _ = child.kill();
        child.wait().unwrap();
        run(&place, "keys list").ok();
    }
}

/// GNOME's keyring, on a bus and with a home of its own.
#[test]
fn the_platforms_secret_service_keeps_the_passphrase() {
    let Some(_) = waxwing_testkit::peers::secret_tool() else { return };
    let place = Place::new();
    place.write("f", "hello");
    place.write(
        "session.sh",
        "set -e
         export HOME=$PWD/me XDG_DATA_HOME=$PWD/me/share XDG_RUNTIME_DIR=$PWD/me/run
         mkdir -p -m 700 $XDG_DATA_HOME $XDG_RUNTIME_DIR
         printf unlock | gnome-keyring-daemon --unlock --components=secrets > /dev/null
         head -c 24 /dev/urandom | base64 | tr -d '\\n' | secret-tool store --label=Waxwing waxwing keystore
         export WAXWING_PASSPHRASE_COMMAND='secret-tool lookup waxwing keystore'
         waxwing keys create archive
         waxwing seal -r keystore:archive -o f.wax f
         waxwing open -k keystore f.wax
         secret-tool clear waxwing keystore
         if waxwing open -k keystore f.wax; then exit 9; fi",
    );
    let ran = place.shell("timeout 60 dbus-run-session -- bash session.sh").ok();
    assert_eq!(ran.stdout(), "hello", "{}", ran.stderr());
}
