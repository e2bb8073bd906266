//! Formats that are told by their first bytes, and are no profiles.

use waxwing_formats::base64::Reading;
use waxwing_formats::envelope::MAGIC;
use waxwing_formats::record::Record;

use super::Given;
use crate::document::DocumentKind;

/// A format without a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// What it is.
    pub title: &'static str,
    /// Which bytes said so.
    pub why: &'static str,
    /// What to do with it.
    pub advice: &'static str,
}

const NOT_OPENED: &str = "it is recognised, not opened, and no profile describes it";

/// Texts and bytes that files begin with.
const PREFIXES: [(&[u8], Known); 18] = [
    (
        MAGIC,
        Known {
            title: "Waxwing envelope",
            why: "it begins with WAXWING",
            advice: "open it with `waxwing open -k KEY FILE`",
        },
    ),
    (b"age-encryption.org/v1\n", foreign("age file", "its first line is age's")),
    (b"-----BEGIN AGE ENCRYPTED FILE-----", foreign("age file, armored", "its first line is age's")),
    (b"-----BEGIN PGP MESSAGE-----", foreign("OpenPGP message, armored", "its first line is OpenPGP's")),
    (b"-----BEGIN PKCS7-----", foreign("CMS (PKCS#7) in PEM", "its first line is PKCS7's")),
    (b"-----BEGIN CMS-----", foreign("CMS (PKCS#7) in PEM", "its first line is CMS's")),
    (b"Salted__", foreign("output of `openssl enc` under a passphrase", "it begins with Salted__")),
    (
        b"U2FsdGVkX1",
        foreign("output of `openssl enc` under a passphrase, base64", "it begins with Salted__ in base64"),
    ),
    (b"\xfe\xed\xfe\xed", foreign("Java key store (JKS)", "it begins with FE ED FE ED")),
    (b"\xce\xce\xce\xce", foreign("Java key store (JCEKS)", "it begins with CE CE CE CE")),
    (b"crypt4gh", foreign("Crypt4GH file", "it begins with crypt4gh")),
    (b"-----BEGIN PRIVATE KEY-----", key("its first line is PKCS#8's")),
    (b"-----BEGIN RSA PRIVATE KEY-----", key("its first line is PKCS#1's")),
    (b"-----BEGIN EC PRIVATE KEY-----", key("its first line is SEC 1's")),
    (b"-----BEGIN ENCRYPTED PRIVATE KEY-----", key("its first line is PKCS#8's")),
    (b"-----BEGIN OPENSSH PRIVATE KEY-----", key("its first line is OpenSSH's")),
    (b"-----BEGIN PUBLIC KEY-----", foreign("public key", "its first line is that of a public key")),
    (b"-----BEGIN CERTIFICATE-----", foreign("certificate", "its first line is that of a certificate")),
];

const fn foreign(title: &'static str, why: &'static str) -> Known {
    Known { title, why, advice: NOT_OPENED }
}

const fn key(why: &'static str) -> Known {
    Known { title: "private key", why, advice: "it does not belong beside messages: keep it apart" }
}

/// What a file is, if it is no message of a profile but of a known format.
pub fn known(file: &Given) -> Option<Known> {
    let front = file.front.as_slice();
    let prefix = PREFIXES.iter().find(|(prefix, _)| front.starts_with(prefix)).map(|(_, known)| *known);
    prefix.or_else(|| binary(front)).or_else(|| record(file))
}

fn binary(front: &[u8]) -> Option<Known> {
    // A message format of version 1 says its type, then its suite; one of version 2 its suite (message format reference).
    const ESDK_1_SUITES: [u16; 9] = [0x0014, 0x0046, 0x0078, 0x0114, 0x0146, 0x0178, 0x0214, 0x0346, 0x0378];
    const ESDK_2_SUITES: [u16; 2] = [0x0478, 0x0578];
    match *front {
        [0x01, 0x80, high, low, ..] if ESDK_1_SUITES.contains(&u16::from_be_bytes([high, low])) => {
            Some(foreign("AWS Encryption SDK message, version 1", "version, type and suite are the SDK's"))
        }
        [0x02, high, low, ..] if ESDK_2_SUITES.contains(&u16::from_be_bytes([high, low])) => {
            Some(foreign("AWS Encryption SDK message, version 2", "version and suite are the SDK's"))
        }
        [0x30, ..] => der(front),
        _ if is_openpgp(front) => {
            Some(foreign("OpenPGP message", "its first packet is a session key encrypted to a key"))
        }
        _ => None,
    }
}

/// CMS and PKCS#12 in DER, told by the object identifier behind the first lengths.
fn der(front: &[u8]) -> Option<Known> {
    const PKCS7: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07";
    const AUTH_ENVELOPED: &[u8] = b"\x06\x0b\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01\x17";
    let content = after_length(front.get(1..)?)?;
    let pkcs12 = content.strip_prefix(b"\x02\x01\x03\x30").and_then(after_length);
    match content {
        _ if pkcs12.is_some_and(|content| content.starts_with(PKCS7)) => {
            Some(foreign("key store (PKCS#12)", "version 3 and the type of its content are PKCS#12's"))
        }
        _ if content.starts_with(PKCS7) || content.starts_with(AUTH_ENVELOPED) => {
            Some(foreign("CMS (PKCS#7) in DER", "the type of its content is CMS's"))
        }
        _ => None,
    }
}

/// What stands behind a length of DER or BER (X.690, section 8.1.3).
fn after_length(bytes: &[u8]) -> Option<&[u8]> {
    let (&first, rest) = bytes.split_first()?;
    match first {
        0x81..=0x84 => rest.get(usize::from(first - 0x80)..),
        0x00..=0x80 => Some(rest),
        _ => None,
    }
}

/// A public-key encrypted session key packet of version 3 (RFC 9580, section 5.1) in front, in the old framing or the new.
fn is_openpgp(front: &[u8]) -> bool {
    const ALGORITHMS: [u8; 6] = [1, 2, 16, 18, 25, 26];
    let packet = match *front {
        [0x84, _, ..] => front.get(2..),
        [0x85, _, _, ..] => front.get(3..),
        [0xc1, 0..=191, ..] => front.get(2..),
        [0xc1, 192..=223, _, ..] => front.get(3..),
        _ => None,
    };
    packet.is_some_and(|packet| {
        packet.first() == Some(&3) && packet.get(9).is_some_and(|algorithm| ALGORITHMS.contains(algorithm))
    })
}

/// A record in a spelling that the presets do not have.
fn record(file: &Given) -> Option<Known> {
    file.document(DocumentKind::Json)?;
    let (record, _) = Record::decode(&file.front, Reading::Strict).ok()?;
    let (title, advice) = match record.body {
        Some(_) => ("record with its ciphertext inside", "open it with `waxwing open -k KEY --record FILE`"),
        None => ("record of an RSA-wrapped AES key", "open it with `waxwing open -k KEY --record FILE BODY`"),
    };
    Some(Known { title, why: "it has a wrapped key and an IV under names that records use", advice })
}
