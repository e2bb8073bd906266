use waxwing_formats::base64::Base64Error;

use crate::WeakKey;
use crate::pem::KEY_FILE_LEN_MAX;

/// Why a key was not read or made. Says what the file is, never what it holds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Nothing there.
    #[error("the key is empty")]
    Empty,
    /// Over [`KEY_FILE_LEN_MAX`].
    #[error("the key is {len} bytes long; the limit is {KEY_FILE_LEN_MAX}")]
    TooLong {
        /// Bytes of it.
        len: usize,
    },
    /// Nothing that is known as a key.
    #[error("this is no key: neither PEM (\"-----BEGIN …\") nor DER nor a Waxwing key file")]
    NotAKey,
    /// The name of a secret instead of the secret.
    #[error("this is the ARN of a key, not the key; give the PEM itself")]
    Arn,
    /// A PEM block that does not end.
    #[error("the PEM block `{label}` is cut: it has no END line")]
    NoEnd {
        /// Its label.
        label: String,
    },
    /// A PEM block that ends as another.
    #[error("the PEM block begins as `{begin}` and ends as `{end}`")]
    EndDiffers {
        /// At its beginning.
        begin: String,
        /// At its end.
        end: String,
    },
    /// A PEM block that is not base64.
    #[error("the PEM block `{label}` is not base64 at its line {line}")]
    Base64 {
        /// Its label.
        label: String,
        /// Where, counted from the BEGIN line as 1.
        line: usize,
        /// What is wrong with it.
        #[source]
        source: Base64Error,
    },
    /// More than one block.
    #[error("the file has {count} PEM blocks; keep the one key in a file of its own")]
    Several {
        /// How many.
        count: usize,
    },
    /// A PEM block of something else.
    #[error("the PEM block `{label}` is no key")]
    Label {
        /// Its label.
        label: String,
    },
    /// The ASN.1 is not what its label says, or the numbers do not belong together.
    #[error("the {what} is malformed")]
    Malformed {
        /// What it should be.
        what: &'static str,
    },
    /// An OpenSSH key.
    #[error(
        "this is an OpenSSH key; convert it with `ssh-keygen -p -m PKCS8 -f KEY` (public: `ssh-keygen -e -m PKCS8 -f KEY.pub`)"
    )]
    OpenSsh,
    /// A PuTTY key.
    #[error("this is a PuTTY key; export it as an OpenSSH key and convert that to PKCS#8")]
    Putty,
    /// A PGP key.
    #[error("this is a PGP key; Waxwing uses RSA keys in PEM")]
    Pgp,
    /// A PKCS#12 file.
    #[error("this is a PKCS#12 file; take the key out with `openssl pkcs12 -nocerts -in FILE`")]
    Pkcs12,
    /// A certificate request.
    #[error("this is a certificate request; give the certificate, or the public key")]
    Request,
    /// A key of another algorithm.
    #[error("this is {algorithm} key; an RSA key is needed")]
    NotRsa {
        /// With its article.
        algorithm: &'static str,
    },
    /// A public key or a certificate where a private key is needed.
    #[error("this is a public key or certificate; the private key is needed")]
    PublicOnly,
    /// A KEK where an RSA key is needed.
    #[error("this is an AES-256 key; an RSA key is needed")]
    KekNotRsa,
    /// Encrypted, and no passphrase was given.
    #[error("the key is encrypted; its passphrase is needed")]
    PassphraseNeeded,
    /// The passphrase does not decrypt it.
    #[error("the passphrase is wrong, or the encrypted key is damaged")]
    PassphraseWrong,
    /// Encrypted by scrypt, say.
    #[error(
        "the key is encrypted in an unsupported way; re-encrypt it with `openssl pkcs8 -topk8 -v2 aes-256-cbc`"
    )]
    Encryption,
    /// Well formed, and not to be used.
    #[error("the key is too weak: {0}")]
    Weak(WeakKey),
    /// A KEK file that is not one.
    #[error("the key file is malformed: it must be `waxwing-aes-256 NAME BASE64` with 32 bytes of base64")]
    KekFile,
    /// A name that no KEK can have.
    #[error("the name of an AES-256 key is 1 to 255 of the characters A-Z a-z 0-9 . _ - /")]
    KekName,
    /// The system gave no randomness.
    #[error("no key could be generated")]
    Generation,
}
