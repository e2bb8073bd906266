//! The presets: profiles that come with Waxwing, proven by vectors that others made.

use std::sync::LazyLock;

use crate::model::Profile;

macro_rules! presets {
    ($($id:literal),* $(,)?) => {
        /// Every preset's text by its id.
        const TEXTS: &[(&str, &str)] = &[$(($id, include_str!(concat!("../presets/", $id, ".toml")))),*];
    };
}

presets![
    "adyen-terminal",
    "azure-cse-v1",
    "azure-cse-v2",
    "feishu-event",
    "ides-members",
    "ides-package",
    "jpk",
    "jwe-rsa",
    "kms-blob",
    "ksef-batch",
    "ksef-iv-prefix",
    "ksef-online",
    "mastercard-fle-base64",
    "mastercard-fle-headers",
    "mastercard-fle-hex",
    "mastercard-jwe",
    "matrix-attachment",
    "ms-graph",
    "odk-submission",
    "record-oaep-sha1-cbc",
    "record-oaep-sha1-gcm",
    "record-oaep-sha256-cbc",
    "record-oaep-sha256-gcm",
    "record-pkcs1-cbc-128",
    "record-pkcs1-cbc-256",
    "record-pkcs1-gcm-128",
    "record-pkcs1-gcm-256",
    "s3ec-v1-aes",
    "s3ec-v1-rsa",
    "s3ec-v2-aes",
    "s3ec-v2-kms",
    "s3ec-v2-rsa",
    "s3ec-v3-kms",
    "snowflake-stage",
    "snowflake-stage-azure",
    "web-crypto",
    "wechatpay-v3",
    "wecom-callback",
    "whatsapp-flows-request",
    "whatsapp-flows-response",
    "xml-enc-cbc",
    "xml-enc-gcm",
];

/// A preset: a profile and the text it was read from.
#[derive(Debug)]
pub struct Preset {
    /// What it says.
    pub profile: Profile,
    /// As it is written.
    pub text: &'static str,
}

/// Every preset, in the order in which they are shown.
pub fn presets() -> &'static [Preset] {
    static PRESETS: LazyLock<Vec<Preset>> = LazyLock::new(|| {
        let read = |&(id, text): &(&str, &'static str)| {
            let profile = Profile::parse(text).unwrap_or_else(|err| panic!("the preset {id}: {err}"));
            assert_eq!(profile.id, id, "a preset is called like its file");
            Preset { profile, text }
        };
        let mut presets: Vec<Preset> = TEXTS.iter().map(read).collect();
        presets.sort_by(|a, b| (a.profile.order, &a.profile.id).cmp(&(b.profile.order, &b.profile.id)));
        presets
    });
    &PRESETS
}

/// The preset of this name.
pub fn preset(id: &str) -> Option<&'static Preset> {
    presets().iter().find(|preset| preset.profile.id == id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_a_preset_and_every_preset_reads() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/presets");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
            .collect();
        files.sort();
        assert_eq!(files, TEXTS.iter().map(|(id, _)| *id).collect::<Vec<_>>());
        assert_eq!(presets().len(), TEXTS.len());
        for preset in presets() {
            assert!(
                preset.profile.page.is_some() && !preset.profile.evidence.is_empty(),
                "{}",
                preset.profile.id
            );
        }
    }
}
