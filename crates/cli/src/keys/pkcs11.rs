//! Keys on tokens and in HSMs: `pkcs11:` URIs.

#[cfg(feature = "pkcs11")]
pub(super) use self::with::TokenKeys;
#[cfg(not(feature = "pkcs11"))]
pub(super) use self::without::TokenKeys;

#[cfg(feature = "pkcs11")]
mod with {
    use std::cell::OnceCell;
    use std::sync::Arc;

    use waxwing_keyring::{KeyProvider, Pkcs11Error, Pkcs11Key, Pkcs11Options, Pkcs11Uri};
    use zeroize::Zeroizing;

    use crate::exit::{Code, Failure};
    use crate::keys::secret::{self, SecretArgs};

    /// Finds keys by their URIs. The PIN is read when the first key is named, and once.
    #[derive(Default)]
    pub(in crate::keys) struct TokenKeys(OnceCell<Option<Zeroizing<Vec<u8>>>>);

    impl TokenKeys {
        pub(in crate::keys) fn key(
            &self,
            name: &str,
            args: &SecretArgs,
        ) -> Result<Arc<dyn KeyProvider>, Failure> {
            let uri: Pkcs11Uri = name.parse().map_err(|err| {
                Failure::new(Code::Usage, "the URI of a key on a token cannot be used").because(err)
            })?;
            let pin = match self.0.get() {
                Some(pin) => pin,
                None => {
                    let read = args.pin_file.as_deref().map(secret::read).transpose()?;
                    self.0.get_or_init(|| read)
                }
            };
            let options = Pkcs11Options { pin: pin.clone(), module: args.pkcs11_module.clone() };
            let key = Pkcs11Key::open(uri, options).map_err(|err| cannot_use(name, err))?;
            Ok(Arc::new(key))
        }
    }

    fn cannot_use(name: &str, err: Pkcs11Error) -> Failure {
        let is_unnamed = matches!(err, Pkcs11Error::NoModule);
        let failure = Failure::new(Code::NoUsableKey, format!("cannot use the key `{name}`")).because(err);
        if is_unnamed { failure.hint("or name it with --pkcs11-module") } else { failure }
    }
}

#[cfg(not(feature = "pkcs11"))]
mod without {
    use std::sync::Arc;

    use waxwing_keyring::KeyProvider;

    use crate::exit::{Code, Failure};
    use crate::keys::secret::SecretArgs;

    #[derive(Default)]
    pub(in crate::keys) struct TokenKeys {}

    impl TokenKeys {
        pub(in crate::keys) fn key(&self, _: &str, _: &SecretArgs) -> Result<Arc<dyn KeyProvider>, Failure> {
            let failure = Failure::new(Code::NoUsableKey, "cannot use a key on a token");
            Err(failure.hint("this waxwing was built without the feature `pkcs11`"))
        }
    }
}
