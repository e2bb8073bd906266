//! OpenBao with a transit engine, set up through its API.

use pollster::block_on;
use serde_json::{Value, json};
use waxwing_core::SystemRandom;
use waxwing_core::envelope::{LockedHeader, SealOptions};
use waxwing_formats::envelope::Context;
use waxwing_keyring::{
    KeyProvider, Keyring, TransitKey, UnlockError, Vault, VaultOptions, VaultTransit, WrapError,
};
use waxwing_testkit::server::{self, Server};
use zeroize::Zeroizing;

pub(crate) struct Bao {
    pub(crate) server: Server,
    pub(crate) root: String,
}

impl Bao {
    /// In memory, with the keys `derived`, `other` (derived too) and `plain`.
    pub(crate) fn start() -> Option<Self> {
        let server = server::openbao()?;
        Some(Self::with_keys(server, server::OPENBAO_TOKEN.to_owned()))
    }

    /// The same over storage that outlives the process.
    pub(crate) fn start_durable() -> Option<Self> {
        let (server, root) = server::openbao_durable()?;
        Some(Self::with_keys(server, root))
    }

    fn with_keys(server: Server, root: String) -> Self {
        let bao = Self { server, root };
        bao.post("sys/mounts/transit", json!({ "type": "transit" }));
        bao.post("transit/keys/derived", json!({ "derived": true }));
        bao.post("transit/keys/other", json!({ "derived": true }));
        bao.post("transit/keys/plain", json!({}));
        bao
    }

    pub(crate) fn api(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let headers = [("x-vault-token", self.root.as_str())];
        let (status, answer) =
            self.server.request(method, &format!("/v1/{path}"), &headers, &body.to_string());
        (status, serde_json::from_str(&answer).unwrap_or_default())
    }

    pub(crate) fn post(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.api("POST", path, &body);
        assert!((200..300).contains(&status), "{path} is refused ({status}): {answer}");
        answer
    }

    /// A token that may do what `policy` says, for so long.
    pub(crate) fn token(&self, policy: &str, ttl: &str) -> String {
        self.post("sys/policies/acl/tested", json!({ "policy": policy }));
        let made = self.post("auth/token/create", json!({ "policies": ["tested"], "ttl": ttl }));
        made["auth"]["client_token"].as_str().unwrap().to_owned()
    }

    /// A key, used as root.
    pub(crate) fn key(&self, name: &str) -> VaultTransit {
        self.key_for(&self.root, name)
    }

    /// A key, used with this token.
    pub(crate) fn key_for(&self, token: &str, name: &str) -> VaultTransit {
        let options = VaultOptions::new(self.server.url(), Zeroizing::new(token.to_owned()));
        VaultTransit::new(Vault::new(options).unwrap(), TransitKey::new(name).unwrap())
    }
}

/// The header of an envelope for these keys, the first of which makes the DEK.
pub(crate) fn seal(keys: &[&VaultTransit], context: Context) -> Result<LockedHeader, WrapError> {
    let options = SealOptions { context, ..SealOptions::default() };
    let (draft, recipients) = block_on(keyring(keys).draft(options, None, &SystemRandom))?;
    Ok(LockedHeader::decode(&draft.seal_header(&recipients).unwrap().0).unwrap())
}

pub(crate) fn open(key: &VaultTransit, header: &LockedHeader) -> Result<(), UnlockError> {
    block_on(keyring(&[key]).unlock(header)).map(|_| ())
}

pub(crate) fn context(tenant: &str) -> Context {
    Context::new([("tenant", tenant), ("file", "q3.csv")]).unwrap()
}

fn keyring(keys: &[&VaultTransit]) -> Keyring {
    Keyring::new(keys.iter().map(|&key| std::sync::Arc::new(key.clone()) as std::sync::Arc<dyn KeyProvider>))
}
