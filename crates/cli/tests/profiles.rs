//! Profiles as a user meets them.

mod support;

use support::Place;

const VECTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../profiles/vectors");

fn vector(path: &str) -> String {
    format!("{VECTORS}/{path}")
}

#[test]
fn a_partners_message_opens() {
    let place = Place::new();
    let key = vector("ms-graph/key.pem");
    let message = vector("ms-graph/notification-0/msg.json");
    let opened = place.run(&["open", "--profile", "ms-graph", "-k", &key, &message]).ok();
    assert!(opened.stdout().contains("\"Hello Teams\""), "{}", opened.stdout());
    assert_eq!(opened.stderr(), "", "what proves itself needs no warning");
}

#[test]
fn bodies_that_a_message_names_are_found_beside_it() {
    let place = Place::new();
    let (key, session) = (vector("ksef/key.pem"), vector("ksef/batch-2-parts/session.json"));
    let part = format!("session={session}");
    let ran = place
        .run(&["open", "--profile", "ksef-batch", "--legacy", "-k", &key, "--part", &part, "-o", "out"])
        .ok();
    assert_eq!(place.read("out").len(), 5000);
    assert!(ran.stderr().contains("UNAUTHENTICATED"), "{}", ran.stderr());
}

#[test]
fn attack_23_a_body_called_by_a_path_is_refused() {
    let place = Place::new();
    let session = std::fs::read_to_string(vector("ksef/batch-2-parts/session.json")).unwrap();
    for name in ["../k", "/etc/passwd", "..", ".", "a/b", ""] {
        place.write("session.json", session.replace("part_1.zip.aes", name));
        let ran = place.run(&[
            "open",
            "--profile",
            "ksef-batch",
            "--legacy",
            "-k",
            &vector("ksef/key.pem"),
            "--part",
            "session=session.json",
            "-o",
            "out",
        ]);
        assert_eq!(ran.code(), 1, "{name:?}: {}", ran.stderr());
        assert!(
            ran.stderr().contains("no plain file name") || ran.stderr().contains("has no `item:fileName`"),
            "{}",
            ran.stderr()
        );
        assert!(!place.path("out").exists());
    }
}

#[test]
fn legacy_profiles_need_consent_and_say_what_they_prove() {
    let place = Place::new();
    place.write("a", "hello");
    place.run(&["seal", "--profile", "mastercard-fle-hex", "-r", "k.pub", "-o", "m.json", "a"]).fails(
        6,
        "error: cannot seal `a` as mastercard-fle-hex: the profile `mastercard-fle-hex` is legacy (content that nothing authenticates) and was not consented to\n  hint: if the partner knows nothing better, consent with --legacy\n",
    );
    assert_eq!(place.names("."), ["a", "k", "k.pub"]);
    place
        .run(&["seal", "--legacy", "--profile", "mastercard-fle-hex", "-r", "k.pub", "-o", "m.json", "a"])
        .ok();
    let opened =
        place.run(&["open", "--legacy", "--profile", "mastercard-fle-hex", "-k", "k", "m.json"]).ok();
    assert_eq!(opened.stdout(), "hello");
    assert!(opened.stderr().contains("the output is UNAUTHENTICATED"));
}

#[test]
fn a_message_of_several_files_is_named_part_by_part() {
    let place = Place::new();
    place.write("a", "hello");
    place.run(&["seal", "--profile", "azure-cse-v2", "-r", "k.pub", "a"]).fails(
        2,
        "error: a message of azure-cse-v2 consists of metadata, body\n  hint: name all but one of them with --part NAME=FILE\n",
    );
    place
        .run(&["seal", "--profile", "azure-cse-v2", "-r", "k.pub", "--part", "metadata=m", "-o", "b", "a"])
        .ok();
    let opened =
        place.run(&["open", "--profile", "azure-cse-v2", "-k", "k", "--part", "metadata=m", "b"]).ok();
    assert_eq!(opened.stdout(), "hello");
    // The second file is there already: nothing is overwritten, and the first is not written either.
    let again = place.run(&[
        "seal",
        "--profile",
        "azure-cse-v2",
        "-r",
        "k.pub",
        "--part",
        "metadata=m",
        "-o",
        "b2",
        "a",
    ]);
    assert_eq!(again.code(), 1);
    assert!(!place.path("b2").exists());
}

#[test]
fn a_profile_of_ones_own_is_checked_with_its_line() {
    let place = Place::new();
    let text = place.run(&["profile", "show", "jwe-rsa"]).ok().stdout();
    place.write(
        "own.toml",
        text.replace("encData", "payload").replace("id = \"jwe-rsa\"", "id = \"our-bank\""),
    );
    let checked = place.run(&["profile", "check", "own.toml"]).ok();
    assert_eq!(checked.stdout(), "`own.toml`: our-bank is a profile; it proves integrity under the key\n");
    place.write("a", "hello");
    place.run(&["seal", "--profile", "./own.toml", "-r", "k.pub", "-o", "m", "a"]).ok();
    assert!(String::from_utf8(place.read("m")).unwrap().starts_with("{\"payload\":\""));
    assert_eq!(place.run(&["open", "--profile", "own.toml", "-k", "k", "m"]).ok().stdout(), "hello");
    place.write("bad.toml", text.replace("hash = ", "hsah = "));
    let ran = place.run(&["profile", "check", "bad.toml"]);
    assert_eq!(ran.code(), 1);
    assert!(ran.stderr().contains("unknown field `hsah` in [unwrap]"), "{}", ran.stderr());
    place
        .run(&["open", "--profile", "jwe", "-k", "k", "m"])
        .fails(7, "error: there is no preset `jwe`\n  hint: there are mastercard-jwe, jwe-rsa\n");
}

#[test]
fn what_does_not_open_is_diagnosed() {
    let place = Place::new();
    let (key, message) = (vector("whatsapp-flows/key.pem"), vector("whatsapp-flows/neg-wrap-sha1/msg.json"));
    let args = ["diagnose", "--profile", "whatsapp-flows-request", "-k", &key, &message, "-o", "theirs.toml"];
    let ran = place.run(&args).ok();
    assert_eq!(
        ran.stdout(),
        "whatsapp-flows-request: it opens, if read differently\n  the key is wrapped with oaep-sha1, not with oaep-sha256\ncertain: the content proved itself\n- hash = \"sha256\"\n+ hash = \"sha1\"\n"
    );
    place.run(&["open", "--profile", "theirs.toml", "-k", &key, &message]).ok();
    let ran = place.run(&["diagnose", "--profile", "whatsapp-flows-request", "-k", "k", &message]);
    assert_eq!(ran.code(), 4, "{}", ran.stderr());
}

#[test]
fn a_message_is_converted_without_plaintext_on_disk() {
    let place = Place::new();
    place.write("a", "hello");
    place.run(&["seal", "--profile", "jwe-rsa", "-r", "k.pub", "-o", "m", "a"]).ok();
    place
        .run(&[
            "convert", "--from", "jwe-rsa", "-k", "k", "--to", "waxwing", "-r", "k.pub", "-o", "m.wax", "m",
        ])
        .ok();
    assert_eq!(place.run(&["open", "-k", "k", "m.wax"]).ok().stdout(), "hello");
    place
        .run(&[
            "convert",
            "-k",
            "k",
            "--to",
            "azure-cse-v2",
            "-r",
            "k.pub",
            "--out-part",
            "metadata=md",
            "-o",
            "body",
            "m.wax",
        ])
        .ok();
    let opened =
        place.run(&["open", "--profile", "azure-cse-v2", "-k", "k", "--part", "metadata=md", "body"]).ok();
    assert_eq!(opened.stdout(), "hello");
    let mut wax = place.read("m.wax");
    *wax.last_mut().unwrap() ^= 1;
    place.write("bad.wax", wax);
    let ran =
        place.run(&["convert", "-k", "k", "--to", "jwe-rsa", "-r", "k.pub", "-o", "bad.json", "bad.wax"]);
    assert_eq!(ran.code(), 3, "{}", ran.stderr());
    assert!(!place.path("bad.json").exists());
}

#[test]
fn no_test_kit_is_made_of_what_a_service_wraps() {
    let place = Place::new();
    let made = place.run(&["profile", "test-kit", "kms-blob", "-o", "kit"]);
    made.fails(1, "error: a kit of kms-blob would need its key service\n");
    assert!(!place.path("kit").exists());
}

#[test]
fn a_test_kit_goes_to_a_partner_and_comes_back() {
    let place = Place::new();
    for profile in ["ksef-online", "wechatpay-v3", "azure-cse-v2"] {
        place.run(&["profile", "test-kit", profile, "-o", profile]).ok();
        let expected = String::from_utf8(place.read(&format!("{profile}/expected.txt"))).unwrap();
        assert_eq!(expected.matches("opens as").count(), 4, "{expected}");
        assert!(expected.matches("must be refused").count() >= 2, "{expected}");
        place.run(&["profile", "test-kit", profile, "--check", profile]).fails(
            7,
            &format!("error: `{profile}/yours` holds no message\n  hint: the partner makes a folder for each message there\n"),
        );
    }
    place.shell("cp -r wechatpay-v3/good-long wechatpay-v3/yours/fine; cp -r wechatpay-v3/bad-end wechatpay-v3/yours/broken").ok();
    let checked = place.run(&["profile", "test-kit", "wechatpay-v3", "--check", "wechatpay-v3"]);
    assert_eq!((checked.code(), checked.stdout().lines().count()), (1, 2));
    assert!(checked.stdout().contains("fine: opens as it should"), "{}", checked.stdout());
}
