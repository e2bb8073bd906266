use std::collections::BTreeSet;

use waxwing_engine::Error;
use waxwing_profiles::{preset, presets};

use crate::support::{Expected, cases, folder, sha256_hex};

#[test]
fn every_vector_does_what_its_manifest_says() {
    let cases = cases(&folder());
    assert_eq!(cases.len(), 168);
    let mut wrong = Vec::new();
    for case in &cases {
        let profile = &preset(&case.profile).unwrap_or_else(|| panic!("{}", case.id)).profile;
        match (case.open(profile), &case.expected) {
            (Ok((_, plaintext)), Expected::Opens { sha256 }) if sha256_hex(&plaintext) == *sha256 => {}
            (Err(Error::Message(_) | Error::Open(_)), Expected::Rejected) => {}
            (result, expected) => wrong.push(format!(
                "{}: {:?}, not {expected:?}",
                case.id,
                result.map(|(opened, bytes)| (opened, bytes.len()))
            )),
        }
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// The packages come with their two members beside them.
#[test]
fn a_package_opens_by_its_members_too() {
    let cases = cases(&folder());
    let packages = cases.iter().filter(|case| case.profile == "ides-package");
    assert_eq!(
        packages.inspect(|case| assert!(case.holds(&preset("ides-members").unwrap().profile))).count(),
        2
    );
}

#[test]
fn every_preset_that_claims_a_peer_has_a_vector_that_opens() {
    let cases = cases(&folder());
    let proven: BTreeSet<&str> = cases
        .iter()
        .filter(|case| case.expected != Expected::Rejected)
        .map(|case| case.profile.as_str())
        .collect();
    let unproven: Vec<&str> =
        presets().iter().map(|preset| preset.profile.id.as_str()).filter(|id| !proven.contains(id)).collect();
    // record-pkcs1-gcm-256 with another key's length, for which nobody made a vector; and the members of the packages above.
    assert_eq!(unproven, ["record-pkcs1-gcm-128", "ides-members"]);
}
