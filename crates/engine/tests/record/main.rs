//! The record scheme against Node and Python, its fixed vectors, and the attacks on it.

mod attacks;
mod support;
mod vectors;

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use waxwing_formats::scheme::{Digest, Scheme, TagPlace, Wrap};
use waxwing_testkit::keys;

use support::*;

const SIZES: [usize; 7] = [0, 1, 15, 16, 46, 1000, (1 << 20) + 1];

/// One cell of the matrix: its files, and the job that a peer gets.
fn cell(dir: &Path, i: usize, op: &str, scheme: Scheme) -> ([std::path::PathBuf; 4], Value) {
    let [plain, body, record, back] =
        ["plain", "body", "record", "back"].map(|name| dir.join(format!("{i}.{name}")));
    let key = dir.join(if op == "seal" { "public.pem" } else { "private.pem" });
    let (input, output) = if op == "seal" { (&plain, &body) } else { (&body, &back) };
    let (digest, mgf1) = match scheme.wrap {
        Wrap::Oaep { digest, mgf1 } => (digest.name(), mgf1.name()),
        Wrap::Pkcs1 => ("", ""),
    };
    let job = json!({
        "op": op,
        "wrap": scheme.wrap.to_string(),
        "digest": digest,
        "mgf1": mgf1,
        "cipher": scheme.cipher.to_string(),
        "tag": if scheme.tag == TagPlace::Appended { "appended" } else { "apart" },
        "key": key,
        "input": input,
        "output": output,
        "record": record,
    });
    ([plain, body, record, back], job)
}

/// Seals here and opens there, and the other way round, every scheme at every size.
fn cross(schemes: &[Scheme], mut peer: impl FnMut(&[Value])) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("private.pem"), keys::RSA_2048_PKCS8).unwrap();
    fs::write(dir.path().join("public.pem"), keys::RSA_2048_SPKI).unwrap();
    let cells: Vec<(Scheme, usize)> =
        schemes.iter().flat_map(|&scheme| SIZES.map(|size| (scheme, size))).collect();
    let mut jobs = Vec::new();
    for (i, &(scheme, size)) in cells.iter().enumerate() {
        let ([_, body, record, _], job) = cell(dir.path(), i, "open", scheme);
        let (sealed, ciphertext) = seal(scheme, &payload(size));
        fs::write(body, ciphertext).unwrap();
        write_record(&record, &sealed);
        jobs.push(job);
    }
    peer(&jobs);
    for (i, &(scheme, size)) in cells.iter().enumerate() {
        let ([_, _, _, back], _) = cell(dir.path(), i, "open", scheme);
        assert!(fs::read(back).unwrap() == payload(size), "{scheme}, {size} bytes, opened by the peer");
    }
    jobs.clear();
    for (i, &(scheme, size)) in cells.iter().enumerate() {
        let ([plain, ..], job) = cell(dir.path(), i, "seal", scheme);
        fs::write(plain, payload(size)).unwrap();
        jobs.push(job);
    }
    peer(&jobs);
    for (i, &(scheme, size)) in cells.iter().enumerate() {
        let ([_, body, record, _], _) = cell(dir.path(), i, "seal", scheme);
        let (record, body) = (read_record(&record), fs::read(body).unwrap());
        // A partner's record states no scheme.
        assert_eq!(record.scheme, None);
        for opened in [
            open_file(&record, &body, options(Some(scheme))),
            open_pipe(&record, &body, options(Some(scheme))),
        ] {
            assert!(opened.unwrap() == payload(size), "{scheme}, {size} bytes, sealed by the peer");
        }
        assert!(open_file(&record, &body, options(None)).is_err(), "nothing is guessed");
    }
}

#[test]
fn the_whole_matrix_crosses_with_node_both_ways() {
    let Some(path) = waxwing_testkit::peers::node() else { return };
    cross(&schemes(&NODE_WRAPS), |jobs| run_peer(&mut node(path.clone()), "peer.mjs", jobs));
}

#[test]
fn oaep_with_two_digests_crosses_with_python_both_ways() {
    let Some(path) = waxwing_testkit::peers::python() else { return };
    let pairs = [
        (Digest::Sha256, Digest::Sha1),
        (Digest::Sha512, Digest::Sha1),
        (Digest::Sha1, Digest::Sha256),
        (Digest::Sha384, Digest::Sha224),
    ];
    let schemes = pairs.map(|(digest, mgf1)| Scheme { wrap: Wrap::Oaep { digest, mgf1 }, ..Scheme::DEFAULT });
    cross(&schemes, |jobs| run_peer(&mut Command::new(&path), "peer.py", jobs));
}

/// The sizes that the text behind the scheme prints.
#[test]
fn sizes_are_those_that_partners_know() {
    let size = |text: &str, len| {
        let (record, body) = seal(text.parse().unwrap(), &payload(len));
        (body.len(), record.wrapped_key.len())
    };
    assert_eq!(size("oaep-sha1+aes-128-cbc", 46), (48, 256));
    assert_eq!(size("oaep-sha256+aes-256-gcm+tag-appended", 31), (47, 256));
    assert_eq!(size("oaep-sha256+aes-256-gcm", 31), (31, 256));
    let (record, _) = seal("pkcs1+aes-256-cbc".parse().unwrap(), b"");
    let value = record.to_map(waxwing_formats::record::Spelling::Job);
    assert_eq!(value["EncryptedAESKey"].as_str().unwrap().len(), 344);
    assert_eq!(record.iv.len(), 16);
}

#[test]
fn attack_08_no_two_contents_share_a_key_or_an_iv() {
    let mut seen = std::collections::HashSet::new();
    for _ in 0..50 {
        let (record, _) = seal(Scheme::DEFAULT, b"same");
        let key = support::record_keys();
        let located = key.locate(&record).unwrap();
        let content_key = located.unwrap(&record, Scheme::DEFAULT).unwrap();
        assert!(seen.insert(content_key.expose().to_vec()) && seen.insert(record.iv));
    }
}
