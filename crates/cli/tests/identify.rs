//! `waxwing identify`, on the vectors that others made.

mod support;

use serde_json::Value;
use support::Place;

/// A place with a file of the vectors under a name that says nothing.
fn place(files: &[(&str, &str)]) -> Place {
    let place = Place::new();
    for (name, path) in files {
        let path = format!("{}/../profiles/vectors/{path}", env!("CARGO_MANIFEST_DIR"));
        place.write(name, std::fs::read(path).unwrap());
    }
    place
}

#[test]
fn a_message_is_named_with_reasons_and_the_line_that_opens_it() {
    let place =
        place(&[("a", "matrix-attachment/npm-5/body.bin"), ("b", "matrix-attachment/npm-5/info.json")]);
    let said = place.run(&["identify", "a", "b"]).ok().stdout();
    assert!(said.starts_with("certain: matrix-attachment: "), "{said}");
    assert!(said.contains("  + `info:v` is `v2`\n"), "{said}");
    assert!(
        said.contains("  waxwing open --profile matrix-attachment --part info=b --part body=a --legacy\n"),
        "{said}"
    );
    let json: Value =
        serde_json::from_str(&place.run(&["identify", "--json", "b", "a"]).ok().stdout()).unwrap();
    assert_eq!(json["schemes"][0]["id"], "matrix-attachment");
    assert_eq!(json["schemes"][0]["parts"]["body"], "a");
    assert_eq!(json["schemes"][0]["against"], Value::Array(Vec::new()));
}

#[test]
fn ties_are_said() {
    let place = place(&[
        ("r", "record/oaep-sha1-aes-256-gcm/record.json"),
        ("b", "record/oaep-sha1-aes-256-gcm/body.bin"),
    ]);
    let said = place.run(&["identify", "r", "b"]).ok().stdout();
    assert!(said.contains("nobody without the key can tell"), "{said}");
    assert_eq!(said.matches("\nlikely: ").count() + 1, 4, "{said}");
}

#[test]
fn imitations_are_told_apart() {
    let place = place(&[
        ("m", "snowflake-stage/aes256-15/metadata.json"),
        ("b", "snowflake-stage/aes256-15/body.bin"),
        ("am", "snowflake-stage/azure-form-aes256-15/metadata.json"),
        ("ab", "snowflake-stage/azure-form-aes256-15/body.bin"),
    ]);
    for (files, scheme) in [(["m", "b"], "snowflake-stage"), (["am", "ab"], "snowflake-stage-azure")] {
        let json = place.run(&["identify", "--json", "--all", files[0], files[1]]).ok().stdout();
        let json: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["schemes"][0]["id"], scheme);
        let imitated = &json["schemes"][1]["against"];
        assert!(
            imitated.as_array().unwrap().iter().any(|fact| fact.as_str().unwrap().contains("Snowflake")),
            "{json:#}"
        );
    }
}

#[test]
fn what_is_not_known_is_said_honestly() {
    let place = Place::new();
    let mut state = 1u64;
    let random: Vec<u8> = (0..1040)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .collect();
    place.write("x", &random);
    let ran = place.run(&["identify", "x"]);
    assert!(ran.stdout().starts_with("`x`: 1040 bytes that look random"), "{}", ran.stdout());
    ran.fails(1, "error: no known scheme\n");
    place.write("d", "<!DOCTYPE a><a/>");
    assert!(place.run(&["identify", "d"]).stdout().contains("it has a DOCTYPE"));
    place.run(&["seal", "-r", "k.pub", "-o", "e", "x"]).ok();
    assert!(place.run(&["identify", "e"]).ok().stdout().contains("Waxwing envelope"));
}
