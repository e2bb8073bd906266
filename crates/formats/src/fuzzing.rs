//! What the fuzz targets run: each takes any bytes, and panics when a codec breaks one of its laws.
//!
//! The same functions replay the committed corpora in ordinary tests. See `fuzz/README.md`.

use crate::base64::{self, Reading};
use crate::codec::{Encode as _, laws};
use crate::envelope::Header;
use crate::keystore::Contents;
use crate::record::{RECORD_LEN_MAX, Record, Spelling};
use crate::scheme::Scheme;

/// A header that is accepted has one spelling, and its prefix tells its length.
pub fn envelope_header(bytes: &[u8]) {
    laws::check_bytes(bytes, Header::decode);
    if Header::decode(bytes).is_ok() {
        assert_eq!(Header::total_len(bytes), Ok(Some(bytes.len())));
    }
}

/// A record that is accepted, however it is read, reads as the same record once it is written in any spelling.
pub fn record_json(bytes: &[u8]) {
    for reading in [Reading::Strict, Reading::Lenient] {
        let Ok((record, _)) = Record::decode(bytes, reading) else { continue };
        for spelling in [Spelling::Job, Spelling::Provider, Spelling::Inline] {
            let json = record.to_json(spelling);
            if json.len() <= RECORD_LEN_MAX {
                let (again, tolerated) =
                    Record::decode(json.as_bytes(), Reading::Strict).expect("our own spelling");
                assert_eq!((again, tolerated.len()), (record.clone(), 0));
            }
        }
    }
}

/// What we write reads back in both ways, and what the strict reading accepts means the same to the lenient one.
pub fn base64(bytes: &[u8]) {
    let text = base64::encode(bytes);
    for reading in [Reading::Strict, Reading::Lenient] {
        let (decoded, tolerated) = base64::decode(&text, reading).expect("our own spelling");
        assert!(decoded == bytes && tolerated.nothing());
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (lenient, _) = base64::decode(text, Reading::Lenient).expect("a lenient reading never fails");
    if let Ok((strict, tolerated)) = base64::decode(text, Reading::Strict) {
        assert_eq!(strict, lenient);
        assert_eq!(tolerated.nothing(), base64::encode(&strict) == text);
    }
}

/// A keystore's contents that are accepted have one spelling, and tell its length before it is written.
pub fn keystore_contents(bytes: &[u8]) {
    laws::check_bytes(bytes, Contents::decode);
    if let Ok(contents) = Contents::decode(bytes) {
        assert_eq!(contents.encoded_len(), contents.to_bytes().len());
    }
}

/// A scheme has one spelling.
pub fn scheme_text(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(scheme) = text.parse::<Scheme>() {
        assert_eq!(scheme.to_string(), text);
    }
}

#[cfg(test)]
mod tests {
    use waxwing_testkit::corpus::replay_corpus;

    #[test]
    fn the_corpora_break_no_law() {
        replay_corpus("envelope_header", super::envelope_header);
        replay_corpus("record_json", super::record_json);
        replay_corpus("base64", super::base64);
        replay_corpus("scheme_text", super::scheme_text);
        replay_corpus("keystore_contents", super::keystore_contents);
    }
}
