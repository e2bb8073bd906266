//! Why a key of a token cannot be had, and what a module's answers mean.

use std::io;
use std::path::PathBuf;

use cryptoki::error::{Error, RvError};

use crate::{KeyError, ServiceError, said};

/// Why [`Pkcs11Key::open`](super::Pkcs11Key::open) gave no key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Pkcs11Error {
    /// The URI is for something else than a key pair.
    #[error("the URI asks for an object of type `{object_type}`; a key that opens is `private` or `public`")]
    Type {
        /// The type it asks for.
        object_type: String,
    },
    /// Neither the URI nor the caller says which module speaks with the token.
    #[error("no PKCS#11 module is named; add `?module-path=/PATH/MODULE.so` to the URI")]
    NoModule,
    /// There is no file for a `module-name`.
    #[error("there is no module `{name}` in {folders}; name its file with `module-path`")]
    ModuleName {
        /// The name.
        name: String,
        /// Where was looked.
        folders: String,
    },
    /// The module's file is not there, or is no module, or does not start.
    #[error("the module {} cannot be used: {said}", path.display())]
    Module {
        /// Its file.
        path: PathBuf,
        /// What the system or the module said.
        said: String,
    },
    /// The file that `pin-source` names cannot be read.
    #[error("the PIN cannot be read from {}", path.display())]
    PinSource {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A PIN that no token takes. It was not tried.
    #[error("the PIN is empty or longer than {max} bytes")]
    PinLength {
        /// The most.
        max: usize,
    },
    /// No token is there that matches.
    #[error("no token matches; the module has {present}")]
    NoToken {
        /// The tokens that are there, or "none".
        present: String,
    },
    /// The URI does not tell tokens apart.
    #[error("several tokens match; add `serial` or `slot-id` to the URI: {tokens}")]
    SeveralTokens {
        /// What they are called.
        tokens: String,
    },
    /// No key on the token matches and may decrypt.
    #[error("no RSA key on the token matches and may decrypt (CKA_DECRYPT); {others} others match")]
    NoKey {
        /// Objects that match and cannot be used: of another type, or for signing.
        others: usize,
    },
    /// The URI does not tell keys apart.
    #[error("several keys match; add `id` or `object` to the URI: {keys}")]
    SeveralKeys {
        /// What they are called.
        keys: String,
    },
    /// The key is not to be used, by anybody.
    #[error("the token's key cannot be used")]
    Key(#[source] KeyError),
    /// The token could not be asked, or refused.
    #[error(transparent)]
    Service(#[from] ServiceError),
}

/// For a key that was there when its provider was made.
impl From<Pkcs11Error> for ServiceError {
    fn from(error: Pkcs11Error) -> Self {
        let text = error.to_string();
        match error {
            Pkcs11Error::Service(error) => error,
            Pkcs11Error::Module { .. } => Self::Unreachable(text),
            Pkcs11Error::NoToken { .. } => Self::NotReady(text),
            Pkcs11Error::NoKey { .. } => Self::NotFound(text),
            _ => Self::Unsuitable(text),
        }
    }
}

/// What the module answered, in the terms of every key service.
pub(super) fn fault(error: &Error) -> ServiceError {
    let text = spell(error);
    let Error::Pkcs11(code, _) = error else { return ServiceError::Unexpected(text) };
    match code {
        RvError::DeviceRemoved | RvError::TokenNotPresent | RvError::SlotIdInvalid => {
            ServiceError::Unreachable(text)
        }
        RvError::SessionHandleInvalid
        | RvError::SessionClosed
        | RvError::SessionCount
        | RvError::DeviceError
        | RvError::HostMemory
        | RvError::DeviceMemory => ServiceError::NotReady(text),
        RvError::UserNotLoggedIn => ServiceError::Credentials(text),
        RvError::MechanismInvalid
        | RvError::MechanismParamInvalid
        | RvError::FunctionNotSupported
        | RvError::KeyFunctionNotPermitted
        | RvError::KeySizeRange
        | RvError::KeyTypeInconsistent => ServiceError::Unsuitable(text),
        _ => ServiceError::Unexpected(text),
    }
}

/// What C_Login answered. All of it is about the PIN but what [`is_not_about_the_pin`] lists.
pub(super) fn pin_fault(code: RvError) -> ServiceError {
    ServiceError::Denied(match code {
        RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange => {
            "the PIN is wrong; it is not tried again, for wrong PINs lock a token".to_owned()
        }
        RvError::PinLocked => PIN_LOCKED.to_owned(),
        RvError::PinExpired => "the PIN has expired".to_owned(),
        RvError::UserPinNotInitialized => "the token has no user PIN yet".to_owned(),
        code => said(&format!("C_Login answered {code:?}; the PIN is not tried again")),
    })
}

/// Whether C_Login failed before it looked at the PIN.
pub(super) fn is_not_about_the_pin(code: RvError) -> bool {
    matches!(
        code,
        RvError::DeviceRemoved
            | RvError::TokenNotPresent
            | RvError::SessionHandleInvalid
            | RvError::SessionClosed
            | RvError::CryptokiNotInitialized
    )
}

/// The text of an error, in the words of PKCS#11 where it is one of its codes.
pub(super) fn spell(error: &Error) -> String {
    match error {
        Error::Pkcs11(code, function) => said(&format!("C_{function:?} answered {code:?}")),
        other => said(&other.to_string()),
    }
}

pub(super) const PIN_LOCKED: &str =
    "the PIN is locked after too many wrong ones; whoever administers the token must set a new one";
