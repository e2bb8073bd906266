//! Keys of Vault or OpenBao: `vault:MOUNT/KEY`.

#[cfg(feature = "vault")]
pub(super) use self::with::VaultKeys;
#[cfg(not(feature = "vault"))]
pub(super) use self::without::VaultKeys;

#[cfg(feature = "vault")]
mod with {
    use std::cell::OnceCell;
    use std::sync::Arc;

    use waxwing_keyring::{KeyProvider, TransitKey, Vault, VaultOptions, VaultSetupError, VaultTransit};

    use crate::exit::{Code, Failure};

    /// Finds keys by their names. The server and the token are looked for when the first key is named, and once.
    #[derive(Default)]
    pub(in crate::keys) struct VaultKeys(OnceCell<Vault>);

    impl VaultKeys {
        pub(in crate::keys) fn key(&self, name: &str) -> Result<Arc<dyn KeyProvider>, Failure> {
            let key = name.strip_prefix("vault:").and_then(TransitKey::new).ok_or_else(|| {
                Failure::new(Code::Usage, format!("`{name}` names no key of Vault or OpenBao"))
                    .hint("it is vault:MOUNT/KEY, such as vault:transit/payroll")
            })?;
            let vault = match self.0.get() {
                Some(vault) => vault,
                None => {
                    let made = connect().map_err(|err| cannot_use(name, err))?;
                    self.0.get_or_init(|| made)
                }
            };
            Ok(Arc::new(VaultTransit::new(vault.clone(), key)))
        }
    }

    fn connect() -> Result<Vault, VaultSetupError> {
        let home = std::env::home_dir();
        Vault::new(VaultOptions::from_places(|name| std::env::var_os(name), home.as_deref())?)
    }

    fn cannot_use(name: &str, err: VaultSetupError) -> Failure {
        let hint = match &err {
            VaultSetupError::NoAddress => Some("set VAULT_ADDR or BAO_ADDR"),
            VaultSetupError::NoToken => {
                Some("set VAULT_TOKEN_FILE or VAULT_TOKEN, or run `bao login` or `vault login`")
            }
            VaultSetupError::PlainHttp { .. } => Some("set VAULT_ADDR or BAO_ADDR to an address of https"),
            _ => None,
        };
        let failure = Failure::new(Code::NoUsableKey, format!("cannot use the key `{name}`")).because(err);
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

#[cfg(not(feature = "vault"))]
mod without {
    use std::sync::Arc;

    use waxwing_keyring::KeyProvider;

    use crate::exit::{Code, Failure};

    #[derive(Default)]
    pub(in crate::keys) struct VaultKeys {}

    impl VaultKeys {
        pub(in crate::keys) fn key(&self, name: &str) -> Result<Arc<dyn KeyProvider>, Failure> {
            let failure = Failure::new(Code::NoUsableKey, format!("cannot use the key `{name}`"));
            Err(failure.hint("this waxwing was built without the feature `vault`"))
        }
    }
}
