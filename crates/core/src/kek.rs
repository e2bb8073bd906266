//! A DEK wrapped under a 32-byte KEK (docs/formats/envelope-v1.md, "Wrapping under a KEK").

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroizing;

use crate::envelope::Binding;
use crate::{Dek, NotAuthentic, schedule};

/// Bytes of a wrapped DEK: its own and a tag.
pub const WRAPPED_LEN: usize = crate::DEK_LEN + crate::frames::TAG_LEN;

/// The nonce of every wrapping: each wrapping key serves one DEK, so none repeats.
const NONCE: [u8; 12] = [0; 12];

/// Wraps `dek` under `kek` for a recipient of this kind.
pub fn wrap(kek: &[u8; 32], kind: &str, dek: &Dek, binding: &Binding<'_>) -> Vec<u8> {
    let mut wrapped = dek.expose().to_vec();
    wrapping_key(kek, kind, binding)
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(NONCE), Aad::empty(), &mut wrapped)
        .expect("a DEK is far below the AEAD's limit");
    wrapped
}

/// Unwraps what [`wrap`] made for the same kind and binding.
///
/// # Errors
///
/// [`NotAuthentic`] for a wrong KEK, kind or binding, or changed bytes.
pub fn unwrap(
    kek: &[u8; 32],
    kind: &str,
    wrapped: &[u8],
    binding: &Binding<'_>,
) -> Result<Dek, NotAuthentic> {
    let mut bytes = Zeroizing::new(wrapped.to_vec());
    let opened = wrapping_key(kek, kind, binding)
        .open_in_place(Nonce::assume_unique_for_key(NONCE), Aad::empty(), &mut bytes)
        .map_err(|_| NotAuthentic)?;
    Dek::from_unwrapped(opened).ok_or(NotAuthentic)
}

fn wrapping_key(kek: &[u8; 32], kind: &str, binding: &Binding<'_>) -> LessSafeKey {
    let key = schedule::wrap_key(kek, kind, binding.fixed, binding.commitment);
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.as_slice()).expect("the key has 32 bytes"))
}
