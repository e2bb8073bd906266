//! Keys in tokens and HSMs, through PKCS#11.
//!
//! A token's RSA key is an ordinary recipient of the kind `rsa-oaep-sha256`: wrapping needs its public half only, here or
//! anywhere; unwrapping happens in the token, and the private key never leaves it.
//!
//! **Not promised:** PKCS#11 knows no time limits, so a call lasts as long as the module makes it last. A module is code of
//! its vendor that runs in this process, with a configuration of its own (SoftHSM's is named by `SOFTHSM2_CONF`): name only
//! ones that you trust. Pinpads and keys that ask for a PIN at every use (CKA_ALWAYS_AUTHENTICATE) are not supported.

mod error;
mod module;
mod token;
mod uri;

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};

use tokio::sync::{mpsc, oneshot};
use waxwing_core::Dek;
use waxwing_core::envelope::Binding;
use waxwing_formats::envelope::Recipient;
use zeroize::Zeroizing;

pub use error::Pkcs11Error;
pub use uri::{
    Name as Pkcs11Attribute, PKCS11_URI_LEN_MAX, Part as Pkcs11UriPart, Pkcs11Uri, Pkcs11UriError,
};

use crate::{BoxFuture, KeyProvider, RsaRecipientKey, ServiceError, UnwrapError, WrapError};
use token::{Refusal, Token};

/// The longest PIN, in bytes.
pub const PIN_LEN_MAX: usize = 255;
/// Messages that wait for a token. Further callers wait until there is room.
const QUEUE_MAX: usize = 16;

/// What the URI of a key leaves open.
#[derive(Default)]
pub struct Pkcs11Options {
    /// The user's PIN as its file holds it; one line end behind it is taken off. It goes before the URI's `pin-source`.
    ///
    /// Without any PIN the key only wraps.
    pub pin: Option<Zeroizing<Vec<u8>>>,
    /// The module, for URIs that name none.
    pub module: Option<PathBuf>,
}

impl fmt::Debug for Pkcs11Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pin = self.pin.as_ref().map(|_| "..");
        f.debug_struct("Pkcs11Options").field("pin", &pin).field("module", &self.module).finish()
    }
}

/// An RSA key on a token.
///
/// The token is spoken with on a thread of its own: its calls block, for seconds on a smart card, and would stall an
/// executor's other work; a session takes one call at a time, so that a second thread would only wait. The thread ends,
/// and its session with it, when the provider is dropped.
///
/// A lost session (the token was removed, or logged out) is opened again, once per message. A PIN that the token refused is
/// never tried again. Logins are the process's: while another key of the same token is open, the token does not look at the PIN.
pub struct Pkcs11Key {
    uri: Pkcs11Uri,
    public: RsaRecipientKey,
    thread: Worker,
}

impl Pkcs11Key {
    /// Loads the module, finds the token and its key, and logs in if there is a PIN. Blocks meanwhile.
    ///
    /// With a PIN the token is asked to open a sample, once: one that lacks OAEP with SHA-256 is refused here, and the
    /// hashes that it has are named.
    ///
    /// # Errors
    ///
    /// [`Pkcs11Error`].
    pub fn open(uri: Pkcs11Uri, options: Pkcs11Options) -> Result<Self, Pkcs11Error> {
        if let Some(object_type) = uri.object_type().filter(|kind| !["private", "public"].contains(kind)) {
            return Err(Pkcs11Error::Type { object_type: object_type.to_owned() });
        }
        let module = module::find(&uri, options.module.as_deref())?;
        let pin = match (options.pin, uri.pin_source()) {
            (Some(pin), _) => Some(pin),
            (None, Some(path)) => {
                Some(read_pin(&path).map_err(|source| Pkcs11Error::PinSource { path, source })?)
            }
            (None, None) => None,
        };
        let pin = pin.map(without_line_end);
        if pin.as_ref().is_some_and(|pin| pin.is_empty() || pin.len() > PIN_LEN_MAX) {
            return Err(Pkcs11Error::PinLength { max: PIN_LEN_MAX });
        }
        let (thread, public) = Worker::start(uri.clone(), module, pin)?;
        Ok(Self { uri, public, thread })
    }

    /// The public half, to hand to whoever seals.
    pub fn public(&self) -> &RsaRecipientKey {
        &self.public
    }

    fn failed(&self, source: ServiceError) -> UnwrapError {
        UnwrapError::Service { key: self.uri.to_string(), source }
    }
}

impl fmt::Debug for Pkcs11Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pkcs11Key({}, {})", self.uri, self.public.key_id().fingerprint())
    }
}

/// OAEP binds nothing but the DEK: that the DEK belongs to the envelope is for the commitment to prove.
impl KeyProvider for Pkcs11Key {
    fn is_for(&self, recipient: &Recipient) -> bool {
        self.public.is_for(recipient)
    }

    fn wrap<'a>(&'a self, dek: &'a Dek, binding: Binding<'a>) -> BoxFuture<'a, Result<Recipient, WrapError>> {
        self.public.wrap(dek, binding)
    }

    fn unwrap<'a>(
        &'a self,
        recipient: &'a Recipient,
        _: Binding<'a>,
    ) -> BoxFuture<'a, Result<Option<Dek>, UnwrapError>> {
        Box::pin(async move {
            if !self.is_for(recipient) || recipient.wrapped.len() != self.public.modulus_len() {
                return Ok(None);
            }
            let opened = self.thread.decrypt(&recipient.wrapped).await.map_err(|refusal| match refusal {
                Refusal::NotAuthentic => UnwrapError::NotAuthentic,
                Refusal::Service(source) => self.failed(source),
            })?;
            Dek::from_unwrapped(&opened).map(Some).ok_or(UnwrapError::NotAuthentic)
        })
    }
}

type Opened = Result<Zeroizing<Vec<u8>>, Refusal>;

/// A message on its way to the token.
struct Request {
    wrapped: Vec<u8>,
    reply: oneshot::Sender<Opened>,
}

/// The thread of a token.
struct Worker {
    /// `None` only while the provider is dropped.
    queue: Option<mpsc::Sender<Request>>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Opens the token on a new thread, which then serves it.
    fn start(
        uri: Pkcs11Uri,
        module: PathBuf,
        pin: Option<Zeroizing<Vec<u8>>>,
    ) -> Result<(Self, RsaRecipientKey), Pkcs11Error> {
        let (queue, requests) = mpsc::channel(QUEUE_MAX);
        let (opened, open) = std::sync::mpsc::sync_channel(1);
        let serve = move || match Token::open(uri, module, pin) {
            Ok((token, public)) => {
                // Who waits for it is `start`, below.
                let _ = opened.send(Ok(public));
                serve(token, requests);
            }
            Err(error) => {
                let _ = opened.send(Err(error));
            }
        };
        let thread = thread::Builder::new().name("waxwing-pkcs11".into()).spawn(serve);
        let thread = thread.map_err(|err| ServiceError::NotReady(crate::said(&err.to_string())))?;
        let public = open.recv().unwrap_or_else(|_| Err(ended().into()));
        let worker = Self { queue: Some(queue), thread: Some(thread) };
        Ok((worker, public?))
    }

    async fn decrypt(&self, wrapped: &[u8]) -> Opened {
        let (reply, answer) = oneshot::channel();
        let request = Request { wrapped: wrapped.to_vec(), reply };
        let queue = self.queue.as_ref().expect("it is taken by drop alone");
        if queue.send(request).await.is_err() {
            return Err(Refusal::Service(ended()));
        }
        answer.await.unwrap_or_else(|_| Err(Refusal::Service(ended())))
    }
}

/// Waits until the token's thread has closed its session: a module must not be called any more when a process ends.
impl Drop for Worker {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // A panic on that thread was said to whoever waited.
            let _ = thread.join();
        }
    }
}

fn serve(mut token: Token, mut requests: mpsc::Receiver<Request>) {
    while let Some(Request { wrapped, reply }) = requests.blocking_recv() {
        // Whom nobody waits for any more is not worth the token's time.
        if !reply.is_closed() {
            let _ = reply.send(token.decrypt(&wrapped));
        }
    }
}

fn ended() -> ServiceError {
    ServiceError::Unexpected("the module ended its thread".into())
}

fn read_pin(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    // Room for a PIN, its line end and a byte too many, so that no copy of it is left behind by growing.
    let room = PIN_LEN_MAX + 3;
    let mut pin = Zeroizing::new(Vec::with_capacity(room));
    File::open(path)?.take(room as u64).read_to_end(&mut pin)?;
    Ok(pin)
}

/// Takes off what an editor puts behind the last line.
fn without_line_end(mut pin: Zeroizing<Vec<u8>>) -> Zeroizing<Vec<u8>> {
    if pin.last() == Some(&b'\n') {
        pin.pop();
        if pin.last() == Some(&b'\r') {
            pin.pop();
        }
    }
    pin
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pin(written: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        Some(Zeroizing::new(written.to_vec()))
    }

    fn refused(uri: &str, pin: Option<Zeroizing<Vec<u8>>>) -> Pkcs11Error {
        Pkcs11Key::open(uri.parse().unwrap(), Pkcs11Options { pin, module: None }).unwrap_err()
    }

    #[test]
    fn one_line_end_is_no_part_of_a_pin() {
        for (written, meant) in [
            ("12", "12"),
            ("12\n", "12"),
            ("12\r\n", "12"),
            ("12\r", "12\r"),
            ("12\n\n", "12\n"),
            ("12 ", "12 "),
        ] {
            assert_eq!(*without_line_end(pin(written.as_bytes()).unwrap()), meant.as_bytes());
        }
    }

    #[test]
    fn attack_16_a_pin_is_printed_nowhere() {
        let printed = format!("{:?}", Pkcs11Options { pin: pin(b"1234"), module: None });
        assert_eq!(printed, "Pkcs11Options { pin: Some(\"..\"), module: None }");
    }

    #[test]
    fn what_no_token_need_be_asked_is_refused_at_once() {
        let module = "?module-path=/nowhere/hsm.so";
        assert!(matches!(refused("pkcs11:object=a", None), Pkcs11Error::NoModule));
        assert!(matches!(refused(&format!("pkcs11:type=cert{module}"), None), Pkcs11Error::Type { .. }));
        for wrong in [pin(b""), pin(b"\n"), pin(&[b'1'; PIN_LEN_MAX + 1])] {
            assert!(matches!(refused(&format!("pkcs11:{module}"), wrong), Pkcs11Error::PinLength { .. }));
        }
        let source = refused(&format!("pkcs11:{module}&pin-source=file:/nowhere/pin"), None);
        assert!(matches!(source, Pkcs11Error::PinSource { .. }));
        assert!(matches!(refused(&format!("pkcs11:{module}"), pin(b"1234")), Pkcs11Error::Module { .. }));
    }

    #[test]
    fn a_file_that_is_too_long_for_a_pin_is_seen_to_be() {
        let file = std::env::temp_dir().join(format!("waxwing-pin-{}", std::process::id()));
        std::fs::write(&file, [b'1'; 4096]).unwrap();
        let read = without_line_end(read_pin(&file).unwrap());
        std::fs::remove_file(&file).unwrap();
        assert!(read.len() > PIN_LEN_MAX);
    }
}
