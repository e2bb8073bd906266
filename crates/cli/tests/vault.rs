//! Keys of Vault or OpenBao by name, with OpenBao.
#![cfg(feature = "vault")]

mod support;

use support::{Place, Ran};
use waxwing_testkit::server::{self, OPENBAO_TOKEN, Server};

/// A place with a file `f` and a token in `token`, and OpenBao with the key `payroll`.
fn place() -> Option<(Place, Server)> {
    let bao = server::openbao()?;
    post(&bao, "sys/mounts/transit", r#"{"type":"transit"}"#);
    post(&bao, "transit/keys/payroll", r#"{"derived":true}"#);
    let place = Place::new();
    place.write("f", "hello");
    place.write("token", format!("{OPENBAO_TOKEN}\n"));
    Some((place, bao))
}

fn post(bao: &Server, path: &str, body: &str) {
    let (status, answer) =
        bao.request("POST", &format!("/v1/{path}"), &[("x-vault-token", OPENBAO_TOKEN)], body);
    assert!((200..300).contains(&status), "{path}: {status} {answer}");
}

/// Runs a line of words with these variables, and none other of Vault's.
fn run(place: &Place, variables: &[(&str, &str)], line: &str) -> Ran {
    let words: Vec<&str> = line.split_whitespace().collect();
    let mut command = place.command(&words);
    for name in ["ADDR", "TOKEN", "TOKEN_FILE", "NAMESPACE", "CACERT"] {
        command.env_remove(format!("VAULT_{name}")).env_remove(format!("BAO_{name}"));
    }
    command.env("HOME", place.path("nobody")).envs(variables.iter().copied());
    Ran(command.output().unwrap())
}

#[test]
fn a_key_of_vault_seals_and_opens_beside_others_and_takes_up_its_new_version() {
    let Some((place, bao)) = place() else { return };
    let url = bao.url();
    let with = [("VAULT_ADDR", url.as_str()), ("VAULT_TOKEN_FILE", "token")];
    let run = |line: &str| run(&place, &with, line);
    run("seal -c tenant=acme -r k.pub -r vault:transit/payroll -o f.wax f").ok();
    let shown = run("inspect f.wax").ok().stdout();
    assert!(shown.contains("vault-transit:transit/payroll"), "{shown}");
    for key in ["k", "vault:transit/payroll"] {
        assert_eq!(run(&format!("open -c tenant=acme -k {key} f.wax")).ok().stdout(), "hello");
    }

    post(&bao, "transit/keys/payroll/rotate", "{}");
    let renewed =
        "rewrap -k vault:transit/payroll --remove vault:transit/payroll -r vault:transit/payroll f.wax";
    run(renewed).ok();
    assert!(place.read("f.wax").windows(9).any(|bytes| bytes == b"vault:v2:"));
    post(&bao, "transit/keys/payroll/config", r#"{"min_decryption_version":2}"#);
    assert_eq!(run("open -k vault:transit/payroll f.wax").ok().stdout(), "hello");

    run("rewrap -k k --remove vault-transit:transit/payroll f.wax").ok();
    run("open -k vault:transit/payroll f.wax").code_is(4);
}

#[test]
fn what_vault_says_is_told_and_the_token_is_not() {
    let Some((place, mut bao)) = place() else { return };
    let url = bao.url();
    let with = [("BAO_ADDR", url.as_str()), ("BAO_TOKEN", OPENBAO_TOKEN)];
    run(&place, &with, "seal -r vault:transit/payroll -o f.wax f").ok();
    run(&place, &with, "seal -r vault:transit/nobody -o g.wax f").fails(
        4,
        "error: cannot seal `f`: the data key could not be wrapped for every recipient: the key `vault:transit/nobody` could not wrap: the key service has no such key: \
         encryption key not found (HTTP 400, transit/datakey/plaintext/nobody)\n",
    );
    let denied = run(&place, &[with[0], ("BAO_TOKEN", "hvs.canary")], "open -k vault:transit/payroll f.wax");
    assert_eq!(denied.code(), 4);
    let said = denied.stderr();
    assert!(said.contains("denies access") && said.contains("transit/decrypt/payroll"), "{said}");
    assert!(!said.contains("canary"), "{said}");
    bao.kill();
    let gone = run(&place, &with, "open -k vault:transit/payroll f.wax");
    assert_eq!(gone.code(), 4);
    assert!(gone.stderr().contains("cannot be reached"), "{}", gone.stderr());
    assert!(!place.names(".").contains(&"g.wax".to_owned()));
}

#[test]
fn what_is_missing_or_would_give_the_token_away_is_said_before_anything_is_sent() {
    let place = Place::new();
    place.write("f", "hello");
    let seal = "seal -r vault:transit/payroll -o f.wax f";
    let failed = "error: cannot use the key `vault:transit/payroll`";
    run(&place, &[], seal).fails(
        4,
        &format!("{failed}: there is no address of Vault or OpenBao\n  hint: set VAULT_ADDR or BAO_ADDR\n"),
    );
    let address = ("VAULT_ADDR", "http://vault.example:8200");
    run(&place, &[address], seal).fails(
        4,
        &format!(
            "{failed}: there is no token for Vault or OpenBao\n  hint: set VAULT_TOKEN_FILE or VAULT_TOKEN, or run \
             `bao login` or `vault login`\n"
        ),
    );
    run(&place, &[address, ("VAULT_TOKEN", "hvs.canary")], seal).fails(
        4,
        &format!(
            "{failed}: the token is not sent to `vault.example` in plain HTTP\n  hint: set VAULT_ADDR or BAO_ADDR to an \
             address of https\n"
        ),
    );
    run(&place, &[], "seal -r vault:payroll -o f.wax f").fails(
        2,
        "error: `vault:payroll` names no key of Vault or OpenBao\n  hint: it is vault:MOUNT/KEY, such as \
         vault:transit/payroll\n",
    );
    // A key of this machine asks for no server and no token.
    run(&place, &[("VAULT_ADDR", "no address"), ("VAULT_TOKEN", "\t")], "seal -r k.pub -o f.wax f").ok();
}
