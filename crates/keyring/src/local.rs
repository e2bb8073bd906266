//! Providers whose key is in this process: RSA keys and KEKs.

use waxwing_core::envelope::Binding;
use waxwing_core::{Dek, kek};
use waxwing_formats::envelope::{Kind, Recipient};
use waxwing_formats::scheme::Digest;

use crate::{BoxFuture, Kek, KeyProvider, RsaPrivateKey, RsaRecipientKey, UnwrapError, WrapError, Wrapping};

/// How a DEK is wrapped for an RSA key.
pub(crate) const ENVELOPE_WRAPPING: Wrapping<'static> =
    Wrapping::Oaep { digest: Digest::Sha256, mgf1: Digest::Sha256, label: &[] };

impl KeyProvider for RsaRecipientKey {
    fn is_for(&self, recipient: &Recipient) -> bool {
        recipient.kind.as_str() == Kind::RSA_OAEP_SHA256 && recipient.key_id == self.key_id().as_bytes()
    }

    fn wrap<'a>(&'a self, dek: &'a Dek, _: Binding<'a>) -> BoxFuture<'a, Result<Recipient, WrapError>> {
        Box::pin(async move {
            let wrapped = self.wrap_blob(ENVELOPE_WRAPPING, dek.expose());
            Ok(Recipient {
                kind: kind(Kind::RSA_OAEP_SHA256),
                key_id: self.key_id().as_bytes().to_vec(),
                wrapped: wrapped.map_err(|_| WrapError::Failed { key: self.key_id().fingerprint() })?,
            })
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

/// OAEP binds nothing but the DEK: that the DEK belongs to the envelope is for the commitment to prove.
impl KeyProvider for RsaPrivateKey {
    fn is_for(&self, recipient: &Recipient) -> bool {
        self.public().is_for(recipient)
    }

    fn wrap<'a>(&'a self, dek: &'a Dek, binding: Binding<'a>) -> BoxFuture<'a, Result<Recipient, WrapError>> {
        Box::pin(async move { self.public().wrap(dek, binding).await })
    }

    fn unwrap<'a>(
        &'a self,
        recipient: &'a Recipient,
        _: Binding<'a>,
    ) -> BoxFuture<'a, Result<Option<Dek>, UnwrapError>> {
        Box::pin(async move {
            if !self.is_for(recipient) || recipient.wrapped.len() != self.modulus_len() {
                return Ok(None);
            }
            let dek = self.unwrap_blob(ENVELOPE_WRAPPING, &recipient.wrapped);
            let dek = dek.map_err(|_| UnwrapError::NotAuthentic)?;
            Dek::from_unwrapped(&dek).map(Some).ok_or(UnwrapError::NotAuthentic)
        })
    }
}

impl KeyProvider for Kek {
    fn is_for(&self, recipient: &Recipient) -> bool {
        recipient.kind.as_str() == Kind::AES_256 && recipient.key_id == self.name().as_bytes()
    }

    fn wrap<'a>(&'a self, dek: &'a Dek, binding: Binding<'a>) -> BoxFuture<'a, Result<Recipient, WrapError>> {
        Box::pin(async move {
            Ok(Recipient {
                kind: kind(Kind::AES_256),
                key_id: self.name().as_bytes().to_vec(),
                wrapped: kek::wrap(self.expose(), Kind::AES_256, dek, &binding),
            })
        })
    }

    fn unwrap<'a>(
        &'a self,
        recipient: &'a Recipient,
        binding: Binding<'a>,
    ) -> BoxFuture<'a, Result<Option<Dek>, UnwrapError>> {
        Box::pin(async move {
            if !self.is_for(recipient) || recipient.wrapped.len() != kek::WRAPPED_LEN {
                return Ok(None);
            }
            let dek = kek::unwrap(self.expose(), Kind::AES_256, &recipient.wrapped, &binding);
            dek.map(Some).map_err(|_| UnwrapError::NotAuthentic)
        })
    }
}

fn kind(name: &str) -> Kind {
    Kind::new(name).expect("the kinds of this module are spelt right")
}
