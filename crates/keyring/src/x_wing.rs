//! X-Wing keys: recipients whom no quantum computer may read later.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use der::Encode as _;
use der::asn1::BitStringRef;
use pkcs8::{AlgorithmIdentifierRef, ObjectIdentifier, PrivateKeyInfo};
use spki::SubjectPublicKeyInfoRef;
use waxwing_core::envelope::Binding;
use waxwing_core::{Dek, Random, kek, x_wing};
use waxwing_formats::envelope::{Kind, Recipient};
use zeroize::Zeroizing;

use crate::{BoxFuture, KeyError, KeyId, KeyProvider, UnwrapError, WrapError};

/// id-XWing (draft-connolly-cfrg-xwing-kem-06, section 7).
pub(crate) const X_WING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.62253.25722");
const ALGORITHM: AlgorithmIdentifierRef<'static> = AlgorithmIdentifierRef { oid: X_WING, parameters: None };
/// Bytes of a wrapped DEK.
const WRAPPED_LEN: usize = x_wing::ENCAPSULATION_LEN + kek::WRAPPED_LEN;

/// An X-Wing public key.
pub struct XWingRecipientKey {
    key: x_wing::PublicKey,
    id: KeyId,
}

impl XWingRecipientKey {
    fn new(key: x_wing::PublicKey) -> Self {
        let id = digest(&SHA256, key.as_bytes()).as_ref().try_into().expect("SHA-256 gives 32 bytes");
        Self { key, id: KeyId::new(id) }
    }

    pub(crate) fn from_spki(info: &SubjectPublicKeyInfoRef<'_>) -> Result<Self, KeyError> {
        let malformed = || KeyError::Malformed { what: "X-Wing public key" };
        let bytes = info.subject_public_key.as_bytes().ok_or_else(malformed)?;
        x_wing::PublicKey::from_bytes(bytes).map(Self::new).map_err(|x_wing::Malformed| malformed())
    }

    /// SHA-256 of the public key's bytes: what headers call this key.
    pub fn key_id(&self) -> KeyId {
        self.id
    }

    /// The SubjectPublicKeyInfo as PEM (RFC 7468, section 13).
    pub fn to_pem(&self) -> String {
        let key = BitStringRef::from_bytes(self.key.as_bytes()).expect("the key is short");
        let info = SubjectPublicKeyInfoRef { algorithm: ALGORITHM, subject_public_key: key };
        crate::pem::encode("PUBLIC KEY", &info.to_der().expect("the key is short")).to_string()
    }
}

impl fmt::Debug for XWingRecipientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "XWingRecipientKey({})", self.id.fingerprint())
    }
}

/// An X-Wing private key, and its public half. Never printed, wiped on drop.
pub struct XWingPrivateKey {
    key: x_wing::PrivateKey,
    public: XWingRecipientKey,
}

impl XWingPrivateKey {
    fn new(key: x_wing::PrivateKey) -> Self {
        Self { public: XWingRecipientKey::new(key.public().clone()), key }
    }

    /// A fresh key.
    ///
    /// # Errors
    ///
    /// [`KeyError::Generation`].
    pub fn generate(random: &dyn Random) -> Result<Self, KeyError> {
        x_wing::PrivateKey::generate(random).map(Self::new).map_err(|_| KeyError::Generation)
    }

    pub(crate) fn from_seed(seed: &[u8; x_wing::PRIVATE_KEY_LEN]) -> Self {
        Self::new(x_wing::PrivateKey::from_seed(seed))
    }

    pub(crate) fn expose(&self) -> &[u8; x_wing::PRIVATE_KEY_LEN] {
        self.key.expose()
    }

    /// The private key is the seed itself, without an encoding of its own (section 7 of the draft).
    pub(crate) fn from_pkcs8(info: &PrivateKeyInfo<'_>) -> Result<Self, KeyError> {
        let seed = info.private_key.try_into();
        let seed = seed.map_err(|_| KeyError::Malformed { what: "X-Wing private key" })?;
        Ok(Self::from_seed(seed))
    }

    /// The public half.
    pub fn public(&self) -> &XWingRecipientKey {
        &self.public
    }

    /// The key as PKCS#8 PEM (RFC 7468, section 10), unencrypted.
    pub fn to_pem(&self) -> Zeroizing<String> {
        let info = PrivateKeyInfo::new(ALGORITHM, self.key.expose());
        let der = Zeroizing::new(info.to_der().expect("the key is short"));
        crate::pem::encode("PRIVATE KEY", &der)
    }
}

impl fmt::Debug for XWingPrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "XWingPrivateKey(.., {})", self.public.id.fingerprint())
    }
}

impl KeyProvider for XWingRecipientKey {
    fn is_for(&self, recipient: &Recipient) -> bool {
        recipient.kind.as_str() == Kind::X_WING && recipient.key_id == self.id.as_bytes()
    }

    fn wrap<'a>(&'a self, dek: &'a Dek, binding: Binding<'a>) -> BoxFuture<'a, Result<Recipient, WrapError>> {
        Box::pin(async move {
            let (encapsulation, secret) = self.key.encapsulate()?;
            let mut wrapped = encapsulation.to_vec();
            wrapped.extend(kek::wrap(&secret, Kind::X_WING, dek, &binding));
            let kind = Kind::new(Kind::X_WING).expect("the kind is spelt right");
            Ok(Recipient { kind, key_id: self.id.as_bytes().to_vec(), wrapped })
        })
    }

    /// A public key opens nothing.
    fn unwrap<'a>(
        &'a self,
        _: &'a Recipient,
        _: Binding<'a>,
    ) -> BoxFuture<'a, Result<Option<Dek>, UnwrapError>> {
        Box::pin(async { Ok(None) })
    }
}

impl KeyProvider for XWingPrivateKey {
    fn is_for(&self, recipient: &Recipient) -> bool {
        self.public.is_for(recipient)
    }

    fn wrap<'a>(&'a self, dek: &'a Dek, binding: Binding<'a>) -> BoxFuture<'a, Result<Recipient, WrapError>> {
        self.public.wrap(dek, binding)
    }

    fn unwrap<'a>(
        &'a self,
        recipient: &'a Recipient,
        binding: Binding<'a>,
    ) -> BoxFuture<'a, Result<Option<Dek>, UnwrapError>> {
        Box::pin(async move {
            if !self.is_for(recipient) || recipient.wrapped.len() != WRAPPED_LEN {
                return Ok(None);
            }
            let (encapsulation, wrapped) = recipient.wrapped.split_at(x_wing::ENCAPSULATION_LEN);
            let secret = self.key.decapsulate(encapsulation).map_err(|_| UnwrapError::NotAuthentic)?;
            let dek = kek::unwrap(&secret, Kind::X_WING, wrapped, &binding);
            dek.map(Some).map_err(|_| UnwrapError::NotAuthentic)
        })
    }
}

#[cfg(test)]
mod tests {
    use waxwing_core::SystemRandom;
    use waxwing_core::envelope::{Draft, SealOptions};

    use super::*;
    use crate::Key;

    #[test]
    fn keys_read_back_from_their_pem() {
        let key = XWingPrivateKey::generate(&SystemRandom).unwrap();
        let read = Key::read(key.to_pem().as_bytes(), None).unwrap();
        assert!(matches!(&read, Key::XWingPrivate(read) if read.public.id == key.public.id));
        let read = Key::read(key.public().to_pem().as_bytes(), None).unwrap();
        assert!(matches!(&read, Key::XWingPublic(read) if read.id == key.public.id));
        assert_eq!(read.into_rsa_public().unwrap_err(), KeyError::NotRsa { algorithm: "an X-Wing" });
    }

    #[test]
    fn a_dek_comes_back_to_its_key_alone() {
        let [key, other] = [(), ()].map(|()| XWingPrivateKey::generate(&SystemRandom).unwrap());
        let draft = Draft::new(SealOptions::default(), &SystemRandom).unwrap();
        let mut recipient = pollster::block_on(key.public().wrap(draft.dek(), draft.binding())).unwrap();
        let unwrap = |key: &XWingPrivateKey, recipient: &Recipient| {
            pollster::block_on(key.unwrap(recipient, draft.binding())).map(|dek| dek.map(|dek| *dek.expose()))
        };
        assert_eq!(unwrap(&key, &recipient).unwrap(), Some(*draft.dek().expose()));
        assert_eq!(unwrap(&other, &recipient).unwrap(), None);
        recipient.wrapped[0] ^= 1;
        assert!(matches!(unwrap(&key, &recipient), Err(UnwrapError::NotAuthentic)));
        recipient.wrapped.pop();
        assert_eq!(unwrap(&key, &recipient).unwrap(), None);
    }
}
