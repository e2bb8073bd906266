use std::fmt;

/// The longest name of a transit key, mount included, in bytes.
const KEY_LEN_MAX: usize = 1024;
/// The longest ciphertext of transit, in bytes. One of RSA-4096 has 700.
const CIPHERTEXT_LEN_MAX: usize = 4096;

/// Which key of which transit engine: `MOUNT/KEY`. The mount may itself have slashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransitKey(String);

impl TransitKey {
    /// The key of this name, or `None` when there is no slash, when a part between slashes is empty, `.` or `..`, when there is
    /// a control character, or for more than 1024 bytes.
    pub fn new(name: &str) -> Option<Self> {
        let fits = name.len() <= KEY_LEN_MAX && name.contains('/');
        // A part that is a step in a path would call another path than the one that is compared.
        let spelt = name.split('/').all(|part| !matches!(part, "" | "." | ".."));
        (fits && spelt && !name.contains(char::is_control)).then(|| Self(name.to_owned()))
    }

    /// The same from a header's `key_id`.
    pub(super) fn decode(key_id: &[u8]) -> Option<Self> {
        std::str::from_utf8(key_id).ok().and_then(Self::new)
    }

    /// `MOUNT/KEY`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where the engine is mounted, and the key's name there.
    pub(super) fn parts(&self) -> (&str, &str) {
        self.0.rsplit_once('/').expect("a name has a slash")
    }

    /// The key as people name it: `vault:MOUNT/KEY`.
    pub(super) fn shown(&self) -> String {
        format!("vault:{self}")
    }
}

impl fmt::Display for TransitKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A ciphertext as transit writes it: `vault:v3:…`.
#[derive(Clone, Copy)]
pub(super) struct Ciphertext<'a> {
    pub(super) text: &'a str,
    /// The version of the key that it is under, counted from 1.
    pub(super) version: u32,
}

impl<'a> Ciphertext<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok().filter(|text| text.len() <= CIPHERTEXT_LEN_MAX)?;
        let (version, sealed) = text.strip_prefix("vault:v")?.split_once(':')?;
        // Transit also takes 0, 01 and +1.
        let is_counted = version.starts_with(|c: char| matches!(c, '1'..='9'));
        let is_text = !sealed.is_empty() && sealed.bytes().all(|b| b.is_ascii_graphic());
        (is_counted && is_text).then_some(())?;
        Some(Self { text, version: version.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_named_by_its_mount_and_its_name() {
        let parts = |name: &str| TransitKey::new(name).map(|key| key.parts().0.len());
        assert_eq!(parts("transit/payroll"), Some(7));
        assert_eq!(parts("teams/eu/transit/payroll"), Some(16));
        for name in [
            "",
            "/",
            "payroll",
            "/payroll",
            "transit/",
            "transit//payroll",
            "transit/../sys/seal",
            "./payroll",
            "transit/..",
            "transit/pay\troll",
            "transit/pay\nroll",
        ] {
            assert_eq!(parts(name), None, "{name:?}");
        }
        let long = format!("transit/{}", "k".repeat(KEY_LEN_MAX - 8));
        assert_eq!(parts(&long), Some(7));
        assert_eq!(parts(&(long + "k")), None);
        assert_eq!(TransitKey::decode(b"transit/\xff"), None);
    }

    #[test]
    fn a_ciphertext_names_its_version_in_one_way() {
        let version = |text: &str| Ciphertext::parse(text.as_bytes()).map(|ciphertext| ciphertext.version);
        assert_eq!(version("vault:v1:AAAA"), Some(1));
        assert_eq!(version("vault:v4294967295:A"), Some(u32::MAX));
        for text in [
            "",
            "vault:v1:",
            "vault:v1",
            "vault:v0:AAAA",
            "vault:v01:AAAA",
            "vault:v+1:AAAA",
            "vault:v:AAAA",
            "vault:1:AAAA",
            "Vault:v1:AAAA",
            "vault:v4294967296:AAAA",
            "vault:v1:AA AA",
            "vault:v1:AAAA\n",
            "vault:v1:\u{e9}",
        ] {
            assert_eq!(version(text), None, "{text:?}");
        }
        assert_eq!(version(&format!("vault:v1:{}", "A".repeat(CIPHERTEXT_LEN_MAX - 9))), Some(1));
        assert_eq!(version(&format!("vault:v1:{}", "A".repeat(CIPHERTEXT_LEN_MAX - 8))), None);
    }
}
