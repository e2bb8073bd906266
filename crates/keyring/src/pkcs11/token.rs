//! One key on one token, through one session. Everything here blocks.

use std::path::PathBuf;

use cryptoki::context::Pkcs11;
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsOaepParams, PkcsOaepSource};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::{Slot, TokenInfo};
use cryptoki::types::RawAuthPin;
use pkcs1::UintRef;
use pkcs8::der::Encode as _;
use waxwing_formats::scheme::Digest;
use zeroize::Zeroizing;

use super::error::{PIN_LOCKED, Pkcs11Error, fault, is_not_about_the_pin, pin_fault};
use super::module;
use super::uri::{Name, Pkcs11Uri};
use crate::local::ENVELOPE_WRAPPING;
use crate::{Key, KeyError, RsaRecipientKey, ServiceError, Wrapping, said};

/// How often a message is given to the token: once more after its session was lost.
const SESSIONS_TRIED_MAX: usize = 2;
/// The most objects of a token that are looked at.
const OBJECTS_MAX: usize = 64;
/// The most tokens or keys that an error lists.
const LISTED_MAX: usize = 8;
/// What the token is asked to open to show that it can.
const SAMPLE: [u8; 32] = *b"waxwing asks: can you open this?";

/// Why the token did not decrypt.
#[derive(Debug)]
pub(super) enum Refusal {
    /// It works, and did not open this message.
    NotAuthentic,
    /// It does not work.
    Service(ServiceError),
}

/// A key on a token. Lives on one thread: PKCS#11 allows a session one call at a time.
pub(super) struct Token {
    uri: Pkcs11Uri,
    module: Pkcs11,
    pin: Option<Zeroizing<Vec<u8>>>,
    /// Why the PIN is gone: a token that refused it is never asked with it again.
    pin_refused: Option<ServiceError>,
    numbers: Numbers,
    /// [`SAMPLE`], wrapped for the key.
    sample: Vec<u8>,
    open: Option<OpenKey>,
}

/// A key as a session knows it.
struct OpenKey {
    session: Session,
    handle: ObjectHandle,
}

/// Modulus and public exponent, big-endian, without leading zeros.
#[derive(PartialEq, Eq)]
struct Numbers {
    modulus: Vec<u8>,
    exponent: Vec<u8>,
}

impl Token {
    /// Finds token and key, and, with a PIN, has the token show that it can open what is wrapped for the key.
    pub(super) fn open(
        uri: Pkcs11Uri,
        module: PathBuf,
        pin: Option<Zeroizing<Vec<u8>>>,
    ) -> Result<(Self, RsaRecipientKey), Pkcs11Error> {
        let module = module::load(&module)?;
        let mut pin_refused = None;
        let (open, numbers) = connect(&module, &uri, pin.as_ref(), &mut pin_refused)?;
        let public = numbers.recipient_key().map_err(Pkcs11Error::Key)?;
        let sample = public.wrap_blob(ENVELOPE_WRAPPING, &SAMPLE);
        let sample = sample.map_err(|_| Pkcs11Error::Key(KeyError::Malformed { what: "public key" }))?;
        let token = Self { uri, module, pin, pin_refused, numbers, sample, open };
        if let Some(open) = &token.open {
            open.proves_itself(&token.sample).map_err(|failed| open.diagnose(&public, failed))?;
        }
        Ok((token, public))
    }

    /// Decrypts in the token: RSAES-OAEP with SHA-256 and MGF1-SHA-256.
    ///
    /// PKCS#11 gives tokens a free choice of codes for a message that does not open, and some use the ones of a broken
    /// device. So no code of the message's is read here. A token that still opens the sample is well, and the message was not authentic;
    /// one that does not gets a new session and the message once more.
    pub(super) fn decrypt(&mut self, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, Refusal> {
        let mut last = None;
        for _ in 0..SESSIONS_TRIED_MAX {
            let open = match self.open.take() {
                Some(open) => open,
                None => self.reconnect().map_err(Refusal::Service)?,
            };
            match open.decrypt(Digest::Sha256, wrapped) {
                Ok(opened) => {
                    self.open = Some(open);
                    return Ok(opened);
                }
                Err(_) => match open.proves_itself(&self.sample) {
                    Ok(()) => {
                        self.open = Some(open);
                        return Err(Refusal::NotAuthentic);
                    }
                    Err(fault) => last = Some(fault),
                },
            }
        }
        Err(Refusal::Service(last.expect("every try failed and said why")))
    }

    fn reconnect(&mut self) -> Result<OpenKey, ServiceError> {
        if let Some(refused) = &self.pin_refused {
            return Err(refused.clone());
        }
        let connected = connect(&self.module, &self.uri, self.pin.as_ref(), &mut self.pin_refused);
        if self.pin_refused.is_some() {
            self.pin = None;
        }
        let (open, numbers) = connected?;
        if numbers != self.numbers {
            return Err(ServiceError::NotFound("the token has another key under this name now".into()));
        }
        open.ok_or_else(|| ServiceError::Credentials("the token opens with a PIN, and none was given".into()))
    }
}

impl OpenKey {
    fn decrypt(&self, digest: Digest, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        let (hash, mgf) = match digest {
            Digest::Sha1 => (MechanismType::SHA1, PkcsMgfType::MGF1_SHA1),
            Digest::Sha224 => (MechanismType::SHA224, PkcsMgfType::MGF1_SHA224),
            Digest::Sha256 => (MechanismType::SHA256, PkcsMgfType::MGF1_SHA256),
            Digest::Sha384 => (MechanismType::SHA384, PkcsMgfType::MGF1_SHA384),
            Digest::Sha512 => (MechanismType::SHA512, PkcsMgfType::MGF1_SHA512),
        };
        let oaep = PkcsOaepParams::new(hash, mgf, PkcsOaepSource::empty());
        self.session.decrypt(&Mechanism::RsaPkcsOaep(oaep), self.handle, wrapped).map(Zeroizing::new)
    }

    fn proves_itself(&self, sample: &[u8]) -> Result<(), ServiceError> {
        match self.decrypt(Digest::Sha256, sample) {
            Ok(opened) if *opened == SAMPLE => Ok(()),
            Ok(_) => Err(ServiceError::Unexpected("the token opens a sample as something else".into())),
            Err(error) => Err(fault(&error)),
        }
    }

    /// Why the sample did not open. No list of a token's mechanisms says which hashes its OAEP has, so it is asked for each.
    fn diagnose(&self, public: &RsaRecipientKey, failed: ServiceError) -> ServiceError {
        let opens = |digest: &Digest| {
            let wrapping = Wrapping::Oaep { digest: *digest, mgf1: *digest, label: &[] };
            let sample = public.wrap_blob(wrapping, &SAMPLE).ok();
            sample.and_then(|sample| self.decrypt(*digest, &sample).ok()).is_some_and(|out| *out == SAMPLE)
        };
        let known: Vec<&str> = Digest::ALL.iter().filter(|digest| opens(digest)).map(|d| spelt(*d)).collect();
        match known.is_empty() {
            true => failed,
            false => ServiceError::Unsuitable(format!(
                "this token does OAEP with {} only; SHA-256 is needed, and no other hash is used in its place",
                known.join(", ")
            )),
        }
    }
}

fn spelt(digest: Digest) -> &'static str {
    match digest {
        Digest::Sha1 => "SHA-1",
        Digest::Sha224 => "SHA-224",
        Digest::Sha256 => "SHA-256",
        Digest::Sha384 => "SHA-384",
        Digest::Sha512 => "SHA-512",
    }
}

/// Opens a session and finds the key. Without a PIN only the public half is seen, and there is no key to open with.
fn connect(
    module: &Pkcs11,
    uri: &Pkcs11Uri,
    pin: Option<&Zeroizing<Vec<u8>>>,
    pin_refused: &mut Option<ServiceError>,
) -> Result<(Option<OpenKey>, Numbers), Pkcs11Error> {
    let (slot, token) = find_token(module, uri)?;
    let oaep = module.get_mechanism_info(slot, MechanismType::RSA_PKCS_OAEP);
    if !oaep.is_ok_and(|info| info.decrypt()) {
        return Err(ServiceError::Unsuitable("this token does no RSA-OAEP".into()).into());
    }
    let session = module.open_ro_session(slot).map_err(|err| fault(&err))?;
    if token.login_required() {
        let Some(pin) = pin else {
            let (_, numbers) = find_key(&session, uri, ObjectClass::PUBLIC_KEY)?;
            return Ok((None, numbers));
        };
        if token.user_pin_locked() {
            return Err(pin_refused.insert(ServiceError::Denied(PIN_LOCKED.into())).clone().into());
        }
        log_in(&session, pin, pin_refused)?;
    }
    let (handle, numbers) = find_key(&session, uri, ObjectClass::PRIVATE_KEY)?;
    Ok((Some(OpenKey { session, handle }), numbers))
}

/// Logs in, once: whatever the token says against the PIN is kept.
fn log_in(
    session: &Session,
    pin: &Zeroizing<Vec<u8>>,
    pin_refused: &mut Option<ServiceError>,
) -> Result<(), ServiceError> {
    let pin = RawAuthPin::new(Box::new(pin.to_vec()));
    match session.login_with_raw(UserType::User, &pin) {
        // Sessions of one process share the login.
        Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(()),
        Err(Error::Pkcs11(code, _)) if !is_not_about_the_pin(code) => {
            Err(pin_refused.insert(pin_fault(code)).clone())
        }
        Err(error) => Err(fault(&error)),
    }
}

/// The one token that the URI means.
fn find_token(module: &Pkcs11, uri: &Pkcs11Uri) -> Result<(Slot, TokenInfo), Pkcs11Error> {
    if !library_matches(module, uri)? {
        return Err(Pkcs11Error::NoToken { present: "another `library-…` than the URI asks for".into() });
    }
    let (mut matching, mut others) = (Vec::new(), Vec::new());
    for slot in module.get_slots_with_token().map_err(|err| fault(&err))? {
        // A token may go away at any time, and one that was never set up has no name.
        let Ok(token) = module.get_token_info(slot) else { continue };
        if !token.token_initialized() {
            continue;
        }
        let fits = slot_matches(module, uri, slot) && token_matches(uri, &token);
        if fits { &mut matching } else { &mut others }.push((slot, token));
    }
    match matching.len() {
        0 => Err(Pkcs11Error::NoToken { present: list(others.iter().map(|(_, token)| describe(token))) }),
        1 => Ok(matching.swap_remove(0)),
        _ => Err(Pkcs11Error::SeveralTokens {
            tokens: list(matching.iter().map(|(_, token)| describe(token))),
        }),
    }
}

/// Whether the URI says nothing of an attribute, or this.
fn says(uri: &Pkcs11Uri, name: Name, found: &str) -> bool {
    uri.text(name).is_none_or(|wanted| wanted == found)
}

fn library_matches(module: &Pkcs11, uri: &Pkcs11Uri) -> Result<bool, ServiceError> {
    let library = module.get_library_info().map_err(|err| fault(&err))?;
    let version = library.library_version();
    let (major, minor) = (version.major(), version.minor());
    let is_version = |wanted: &str| {
        let (wanted_major, wanted_minor) = wanted.split_once('.').unwrap_or((wanted, "0"));
        wanted_major.parse() == Ok(major) && wanted_minor.parse() == Ok(minor)
    };
    Ok(says(uri, Name::LibraryManufacturer, library.manufacturer_id())
        && says(uri, Name::LibraryDescription, library.library_description())
        && uri.text(Name::LibraryVersion).is_none_or(is_version))
}

fn slot_matches(module: &Pkcs11, uri: &Pkcs11Uri, slot: Slot) -> bool {
    uri.slot_id().is_none_or(|wanted| wanted == slot.id())
        && module.get_slot_info(slot).is_ok_and(|info| {
            says(uri, Name::SlotManufacturer, info.manufacturer_id())
                && says(uri, Name::SlotDescription, info.slot_description())
        })
}

fn token_matches(uri: &Pkcs11Uri, token: &TokenInfo) -> bool {
    says(uri, Name::Token, token.label())
        && says(uri, Name::Manufacturer, token.manufacturer_id())
        && says(uri, Name::Model, token.model())
        && says(uri, Name::Serial, token.serial_number())
}

fn describe(token: &TokenInfo) -> String {
    format!("`{}` (serial {})", said(token.label()), said(token.serial_number()))
}

/// The one RSA key of this class that the URI means, and its numbers.
///
/// A private key's own numbers are taken, never those of a public key that lies beside it under the same name: PKCS#11 lets
/// anybody put one there without a PIN.
fn find_key(
    session: &Session,
    uri: &Pkcs11Uri,
    class: ObjectClass,
) -> Result<(ObjectHandle, Numbers), Pkcs11Error> {
    let mut wanted = vec![Attribute::Class(class)];
    wanted.extend(uri.text(Name::Object).map(|label| Attribute::Label(label.as_bytes().to_vec())));
    wanted.extend(uri.id().map(|id| Attribute::Id(id.to_vec())));
    let objects = session.iter_objects(&wanted).map_err(|err| fault(&err))?;
    let objects = objects.take(OBJECTS_MAX).collect::<Result<Vec<_>, _>>().map_err(|err| fault(&err))?;
    let (mut keys, mut others) = (Vec::new(), 0);
    for handle in objects {
        let attributes = session.get_attributes(handle, &LOOKED_AT).map_err(|err| fault(&err))?;
        let is_rsa = attributes.contains(&Attribute::KeyType(KeyType::RSA));
        let may_decrypt = class != ObjectClass::PRIVATE_KEY || attributes.contains(&Attribute::Decrypt(true));
        if is_rsa && may_decrypt { keys.push((handle, attributes)) } else { others += 1 }
    }
    match keys.len() {
        0 => Err(Pkcs11Error::NoKey { others }),
        1 => {
            let (handle, attributes) = keys.swap_remove(0);
            Ok((handle, Numbers::of(attributes)?))
        }
        _ => Err(Pkcs11Error::SeveralKeys { keys: list(keys.iter().map(|(_, found)| name_of(found))) }),
    }
}

const LOOKED_AT: [AttributeType; 7] = [
    AttributeType::KeyType,
    AttributeType::Decrypt,
    AttributeType::AlwaysAuthenticate,
    AttributeType::Label,
    AttributeType::Id,
    AttributeType::Modulus,
    AttributeType::PublicExponent,
];

impl Numbers {
    fn of(attributes: Vec<Attribute>) -> Result<Self, ServiceError> {
        let unsuitable = |what: &str| ServiceError::Unsuitable(what.into());
        let (mut modulus, mut exponent) = (None, None);
        for attribute in attributes {
            match attribute {
                Attribute::AlwaysAuthenticate(true) => {
                    return Err(unsuitable("it asks for its PIN at every use (CKA_ALWAYS_AUTHENTICATE)"));
                }
                Attribute::Modulus(number) => modulus = Some(trimmed(number)),
                Attribute::PublicExponent(number) => exponent = Some(trimmed(number)),
                _ => {}
            }
        }
        match (modulus, exponent) {
            (Some(modulus), Some(exponent)) => Ok(Self { modulus, exponent }),
            _ => Err(unsuitable("the token does not tell its modulus and public exponent")),
        }
    }

    /// The public key, judged as every key is.
    fn recipient_key(&self) -> Result<RsaRecipientKey, KeyError> {
        let malformed = |_| KeyError::Malformed { what: "public key" };
        let der = pkcs1::RsaPublicKey {
            modulus: UintRef::new(&self.modulus).map_err(malformed)?,
            public_exponent: UintRef::new(&self.exponent).map_err(malformed)?,
        };
        match Key::read(&der.to_der().map_err(malformed)?, None)? {
            Key::RsaPublic(key) => Ok(key),
            _ => Err(KeyError::Malformed { what: "public key" }),
        }
    }
}

fn trimmed(number: Vec<u8>) -> Vec<u8> {
    number.into_iter().skip_while(|byte| *byte == 0).collect()
}

fn name_of(attributes: &[Attribute]) -> String {
    let mut name = String::new();
    for attribute in attributes {
        match attribute {
            Attribute::Label(label) => name = format!("`{}`", said(&String::from_utf8_lossy(label))),
            Attribute::Id(id) => {
                let encoded: String = id.iter().map(|byte| format!("%{byte:02X}")).collect();
                name = format!("{name} (id={})", said(&encoded));
            }
            _ => {}
        }
    }
    name
}

fn list(names: impl ExactSizeIterator<Item = String>) -> String {
    let more = names.len().saturating_sub(LISTED_MAX);
    let listed = names.take(LISTED_MAX).collect::<Vec<_>>().join(", ");
    match (listed.is_empty(), more) {
        (true, _) => "none".to_owned(),
        (false, 0) => listed,
        (false, more) => format!("{listed} and {more} more"),
    }
}
