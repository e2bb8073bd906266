//! Keys on tokens by URI, with Kryoptic and SoftHSM.
#![cfg(feature = "pkcs11")]

mod support;

use support::{Place, Ran};
use waxwing_testkit::token::{PIN, Token};

/// A place with a file `f` and the PIN in `pin`.
fn place() -> Place {
    let place = Place::new();
    place.write("f", "hello");
    place.write("pin", format!("{PIN}\n"));
    place
}

/// Runs a line of words, of which `KEK` is the URI of the token's key `kek`.
fn run(place: &Place, token: &Token, line: &str) -> Ran {
    let uri = token.uri("object=kek");
    let words: Vec<&str> =
        line.split_whitespace().map(|word| if word == "KEK" { uri.as_str() } else { word }).collect();
    let (variable, configuration) = token.variable();
    let mut command = place.command(&words);
    command.env(variable, configuration).env_remove("WAXWING_PIN_FILE").env_remove("WAXWING_PKCS11_MODULE");
    Ran(command.output().unwrap())
}

#[test]
fn a_key_on_a_token_seals_and_opens_beside_others() {
    let Some(token) = Token::kryoptic() else { return };
    token.make_key("kek", "01", 2048);
    let place = place();
    let run = |line: &str| run(&place, &token, line);
    run("seal -r KEK -r k.pub -o f.wax f").ok();
    assert_eq!(run("open -k k f.wax").ok().stdout(), "hello");
    assert_eq!(run("open -k KEK --pin-file pin f.wax").ok().stdout(), "hello");
    run("rewrap -k k --remove KEK f.wax").ok();
    run("open -k KEK --pin-file pin f.wax").code_is(4);
}

#[test]
fn what_a_token_lacks_is_said_and_the_pin_is_not() {
    let Some(token) = Token::softhsm() else { return };
    token.make_key("kek", "01", 2048);
    let place = place();
    place.write("wrong", "canary");
    let failed = |line: &str, code, words: &str| {
        let ran = run(&place, &token, line);
        assert_eq!(ran.code(), code);
        let said = ran.stderr();
        assert!(said.contains(words) && !said.contains("canary") && !said.contains(PIN), "{said}");
    };
    run(&place, &token, "seal -r k.pub -o f.wax f").ok();
    failed("open -k KEK --pin-file pin f.wax", 4, "this token does OAEP with SHA-1 only");
    failed("open -k KEK --pin-file wrong f.wax", 4, "the PIN is wrong");
    failed("open -k pkcs11:object=kek?pin-value=canary f.wax", 2, "a PIN does not belong into a URI");
    failed("open -k pkcs11:object=kek f.wax", 4, "--pkcs11-module");
}
