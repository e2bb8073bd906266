//! AES-256 KEKs in files: `waxwing-aes-256 NAME BASE64` on one line.

use std::fmt;

use waxwing_core::{Random, RandomError};
use waxwing_formats::base64::{self, Reading};
use zeroize::Zeroizing;

use crate::KeyError;

/// Begins the file.
pub(crate) const KEK_WORD: &str = "waxwing-aes-256";
/// The longest name.
const NAME_LEN_MAX: usize = 255;

/// A KEK: 32 bytes with a name and no other use. Never printed, wiped on drop.
pub struct Kek {
    name: String,
    secret: Zeroizing<[u8; 32]>,
}

impl Kek {
    /// A fresh KEK.
    ///
    /// # Errors
    ///
    /// [`KeyError::KekName`], [`KeyError::Generation`].
    pub fn generate(name: &str, random: &dyn Random) -> Result<Self, KeyError> {
        let mut secret = Zeroizing::new([0; 32]);
        random.fill(secret.as_mut()).map_err(|RandomError| KeyError::Generation)?;
        Ok(Self { name: checked(name)?, secret })
    }

    /// A second holder of the same KEK.
    pub fn duplicate(&self) -> Self {
        Self { name: self.name.clone(), secret: self.secret.clone() }
    }

    pub(crate) fn parse(text: &str) -> Result<Self, KeyError> {
        let mut words = text.trim_end().split(' ');
        let (Some(KEK_WORD), Some(name), Some(secret), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(KeyError::KekFile);
        };
        let decoded = base64::decode(secret, Reading::Strict).map_err(|_| KeyError::KekFile)?.0;
        let decoded = Zeroizing::new(decoded);
        let secret = decoded.as_slice().try_into().map_err(|_| KeyError::KekFile)?;
        Ok(Self { name: checked(name)?, secret: Zeroizing::new(secret) })
    }

    /// The KEK of this name with these bytes.
    ///
    /// # Errors
    ///
    /// [`KeyError::KekName`].
    pub fn new(name: &str, secret: &[u8; 32]) -> Result<Self, KeyError> {
        Ok(Self { name: checked(name)?, secret: Zeroizing::new(*secret) })
    }

    /// What headers call this KEK.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file's text.
    pub fn to_text(&self) -> Zeroizing<String> {
        let secret = Zeroizing::new(base64::encode(self.secret.as_slice()));
        Zeroizing::new(format!("{KEK_WORD} {} {}\n", self.name, secret.as_str()))
    }

    pub(crate) fn expose(&self) -> &[u8; 32] {
        &self.secret
    }
}

impl fmt::Debug for Kek {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kek({}, ..)", self.name)
    }
}

fn checked(name: &str) -> Result<String, KeyError> {
    let spelt = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/".contains(&b));
    if spelt && (1..=NAME_LEN_MAX).contains(&name.len()) {
        Ok(name.to_owned())
    } else {
        Err(KeyError::KekName)
    }
}

#[cfg(test)]
mod tests {
    use waxwing_core::SystemRandom;

    use super::*;

    #[test]
    fn a_kek_survives_its_file() {
        let kek = Kek::generate("archive/3", &SystemRandom).unwrap();
        let read = Kek::parse(&kek.to_text()).unwrap();
        assert_eq!((read.name(), read.expose()), ("archive/3", kek.expose()));
    }

    #[test]
    fn other_texts_are_refused() {
        let good = Kek::generate("a", &SystemRandom).unwrap().to_text();
        for bad in [
            good.replace("waxwing-aes-256", "waxwing-aes-128"),
            good.replace(" a ", " "),
            good.replace(" a ", " a b "),
            good.replace(" a ", " ../é "),
            format!("{} x", good.trim_end()),
            "waxwing-aes-256 a AAAA".to_owned(),
        ] {
            assert!(Kek::parse(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn attack_16_debug_shows_the_name_alone() {
        assert_eq!(format!("{:?}", Kek::generate("a/1", &SystemRandom).unwrap()), "Kek(a/1, ..)");
    }
}
