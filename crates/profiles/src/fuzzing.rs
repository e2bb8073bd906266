//! What the fuzz targets `profile_text` and `profile_document` run, also on the committed corpora. See `fuzz/README.md`.

use crate::Profile;
use crate::document::zip::unpack_member;
use crate::document::{Document, DocumentKind, Selected};

/// A profile that is accepted is the same profile once it is written, can be explained, and its worth can be told.
pub fn profile_text(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(profile) = Profile::parse(text) else { return };
    let again = Profile::parse(&profile.to_toml()).expect("what is written reads");
    assert_eq!(again.explain(), profile.explain());
    assert_eq!(again.protection(), profile.protection());
    let _ = profile.writing();
}

/// Whatever the bytes are, a document is read or refused, and asked for places it answers or refuses.
pub fn profile_document(bytes: &[u8]) {
    const PATHS: [&str; 8] = ["", "a", "a.b.0", "a/b", "//a/@b", "header.alg", "tag", "//CipherValue"];
    let kinds =
        [DocumentKind::Json, DocumentKind::Xml, DocumentKind::Headers, DocumentKind::Text, DocumentKind::Jwe];
    for document in kinds.into_iter().filter_map(|kind| Document::parse(kind, bytes).ok()) {
        for path in PATHS {
            let _ = document.select(path).map(|found| found.and_then(Selected::text).is_some());
            for item in document.items(path).unwrap_or_default() {
                let _ = item.select(path);
            }
        }
    }
    let mut member = Vec::new();
    let _ = unpack_member(std::io::Cursor::new(bytes), "*_Key", 1 << 16, &mut member);
}

#[cfg(test)]
mod tests {
    use waxwing_testkit::corpus::replay_corpus;

    #[test]
    fn the_corpora_break_no_law() {
        replay_corpus("profile_text", super::profile_text);
        replay_corpus("profile_document", super::profile_document);
    }
}
