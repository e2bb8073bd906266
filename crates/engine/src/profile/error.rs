use waxwing_keyring::BlobError;
use waxwing_profiles::document::DocumentError;
use waxwing_profiles::{EncodingError, Selector};

/// Why a message does not fit its profile. No key was used: everything afterwards is "not authentic".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// A file of the message was not given.
    #[error("the profile needs the part `{name}`, which was not given")]
    NoPart {
        /// The part, or a file that the message names.
        name: String,
    },
    /// The message calls a file by something that is no file name.
    #[error("the message names the file `{name}`, which is no plain file name")]
    BodyName {
        /// What it says, printable.
        name: String,
    },
    /// A file was given that the profile does not know.
    #[error("the profile has no part `{name}`; it has {known}")]
    UnknownPart {
        /// What was given.
        name: String,
        /// What there is.
        known: String,
    },
    /// A document is longer than is read.
    #[error("the part `{part}` is {len} bytes long; the limit is {limit}")]
    DocumentLength {
        /// The part.
        part: String,
        /// What it is.
        len: u64,
        /// What it may be.
        limit: u64,
    },
    /// A part is not what it should be, or a place in it is not.
    #[error("the part `{part}` is malformed")]
    Document {
        /// The part.
        part: String,
        /// Why.
        #[source]
        source: DocumentError,
    },
    /// Something is not there.
    #[error("the message has no `{at}`")]
    Absent {
        /// The place.
        at: Selector,
    },
    /// The message says the same thing at two places.
    #[error("the message has both `{first}` and `{second}`, which are spellings of one thing")]
    TwoSpellings {
        /// One of them.
        first: Selector,
        /// The other.
        second: Selector,
    },
    /// The message says something that the profile does not list.
    #[error("the message says `{found}` at `{at}`; the profile takes {listed}")]
    NotListed {
        /// The place.
        at: Selector,
        /// What stands there, printable.
        found: String,
        /// What may stand there.
        listed: String,
    },
    /// Bytes are not written as the profile says.
    #[error("{what} cannot be decoded")]
    Encoding {
        /// The place, or the secret.
        what: String,
        /// Why.
        #[source]
        source: EncodingError,
    },
    /// Bytes have the wrong length.
    #[error("{what} is {len} bytes long; the profile takes {expected}")]
    Length {
        /// What it is called.
        what: String,
        /// What it is.
        len: u64,
        /// What it may be.
        expected: String,
    },
    /// A byte string is too short for what is cut from it.
    #[error("{what} is {len} bytes long, too short for `{field}`")]
    TooShort {
        /// What is cut.
        what: String,
        /// What it is.
        len: u64,
        /// What should be cut from it.
        field: String,
    },
    /// A layout does not use up its byte string.
    #[error("{what} has {left} bytes more than its layout")]
    LeftOver {
        /// What is cut.
        what: String,
        /// Bytes that no field takes.
        left: u64,
    },
    /// A length inside the message is impossible.
    #[error("`{field}` says that it is {len} bytes long, and {left} are there")]
    FieldLength {
        /// The field.
        field: String,
        /// What its length says.
        len: u64,
        /// What there is.
        left: u64,
    },
    /// A number is none, or not in its range.
    #[error("`{at}` is no number from 1 to {max}")]
    Number {
        /// The place.
        at: Selector,
        /// The most that it may be.
        max: u64,
    },
    /// The entries of a list are not numbered 1, 2, 3.
    #[error("the entries of `{over}` are not numbered from 1 to {count} without gaps")]
    Order {
        /// The list.
        over: Selector,
        /// How many there are.
        count: usize,
    },
    /// A list has no entry, or too many.
    #[error("`{over}` has {count} entries; from 1 to {max} are taken")]
    Items {
        /// The list.
        over: Selector,
        /// How many there are.
        count: usize,
        /// The most that are taken.
        max: usize,
    },
    /// A digest or another value that no key made is not what the message says it is.
    #[error("the {check} of `{over}` is not what the message says: it was damaged or exchanged")]
    Mismatch {
        /// What was compared.
        check: String,
        /// Over what.
        over: String,
    },
    /// A secret was not given.
    #[error("the profile needs the secret `{name}`, which was not given")]
    NoSecret {
        /// Its name.
        name: String,
    },
    /// No key of the kind that the profile needs.
    #[error("the profile needs {needed}, which was not given")]
    NoKey {
        /// What it needs.
        needed: &'static str,
    },
    /// What is wrapped cannot be for this key.
    #[error("the wrapped key does not fit the RSA key")]
    Wrapped(#[source] BlobError),
    /// A key or a secret does not fit where it is used to seal.
    #[error("the key does not fit: {0}")]
    KeyDoesNotFit(String),
    /// The profile does not say enough to write messages.
    #[error("messages of `{id}` cannot be written: {why}")]
    NotWritable {
        /// The profile.
        id: String,
        /// What is missing.
        why: String,
    },
    /// What would become part of a document is too long for one.
    #[error("the content is longer than {limit} bytes, the most that fits into a document of this profile")]
    ContentLength {
        /// The limit in bytes.
        limit: usize,
    },
    /// The profile is legacy, and nobody consented.
    #[error("the profile `{id}` is legacy ({reasons}) and was not consented to")]
    Legacy {
        /// The profile.
        id: String,
        /// What is legacy about it.
        reasons: String,
    },
}
