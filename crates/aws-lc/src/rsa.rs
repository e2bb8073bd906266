//! RSA keys: every encoding in, the canonical ones out.

use std::ffi::{c_char, c_int, c_long, c_void};
use std::{fmt, ptr};

use aws_lc_sys as sys;
use zeroize::Zeroizing;

use crate::ffi::{ErrorCode, Owned, build, cbs, drain_errors};
use crate::implicit::Rejection;

/// The public half of an RSA key pair.
///
/// Made only from a key that AWS-LC accepts: an odd modulus of at most 16384 bits and an odd exponent of 2 to 33 bits. Whether it is
/// *strong* is the caller's to judge, from [`modulus`](Self::modulus) and [`exponent`](Self::exponent).
pub struct RsaPublicKey {
    pkey: Owned<sys::EVP_PKEY>,
}

/// An RSA key pair.
///
/// Checked as it is read: the primes give the modulus, and the exponents belong to each other. `Debug` shows its size alone.
pub struct RsaPrivateKey {
    pkey: Owned<sys::EVP_PKEY>,
    pub(crate) rejection: Rejection,
}

/// The modulus lengths that [`RsaPrivateKey::generate`] makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RsaSize {
    /// 2048 bits, about 112 bits of security (NIST SP 800-57 Part 1, table 2).
    Rsa2048,
    /// 3072 bits, about 128 bits of security.
    Rsa3072,
    /// 4096 bits.
    Rsa4096,
}

impl RsaSize {
    /// The modulus' length in bits.
    #[must_use]
    pub fn bits(self) -> u16 {
        match self {
            Self::Rsa2048 => 2048,
            Self::Rsa3072 => 3072,
            Self::Rsa4096 => 4096,
        }
    }
}

/// Why AWS-LC did not take a key, or could not make one. Quotes nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The bytes are not this encoding, bytes follow it, or the numbers in it do not form an RSA key.
    #[error("the key is malformed, or its numbers do not belong together")]
    Malformed,
    /// A key of another algorithm. RSASSA-PSS keys are among them: they are only for signatures.
    #[error("the key is not an RSA encryption key")]
    NotRsa,
    /// The key is encrypted by a scheme that AWS-LC does not read (scrypt, say).
    #[error("the key is encrypted by a scheme that is not supported")]
    UnsupportedEncryption,
    /// The key did not decrypt. A damaged key cannot be told from a wrong passphrase.
    #[error("the passphrase is wrong, or the encrypted key is damaged")]
    WrongPassphrase,
    /// AWS-LC could not make or encode a key: it ran out of memory or randomness.
    #[error("AWS-LC could not make or encode the key")]
    Failed,
}

impl RsaPublicKey {
    /// Reads a SubjectPublicKeyInfo (RFC 5280, section 4.1.2.7).
    ///
    /// # Errors
    ///
    /// [`KeyError::Malformed`] or [`KeyError::NotRsa`].
    pub fn from_spki_der(der: &[u8]) -> Result<Self, KeyError> {
        let mut rest = cbs(der);
        // SAFETY: `rest` views `der`, which outlives the call; the result is a new reference or null.
        let pkey = unsafe { Owned::new(sys::EVP_parse_public_key(&mut rest)) };
        Ok(Self { pkey: expect_rsa(expect_all_read(pkey, rest.len)?)? })
    }

    /// Reads an RSAPublicKey (RFC 8017, appendix A.1.1).
    ///
    /// # Errors
    ///
    /// [`KeyError::Malformed`].
    pub fn from_pkcs1_der(der: &[u8]) -> Result<Self, KeyError> {
        // SAFETY: the pointer and length are those of `der`; the result is a new reference or null.
        let rsa = unsafe { Owned::new(sys::RSA_public_key_from_bytes(der.as_ptr(), der.len())) };
        Ok(Self { pkey: wrap_rsa(rsa)? })
    }

    /// Takes the public key out of an X.509 certificate (RFC 5280). Signature, dates and names are *not* checked.
    ///
    /// # Errors
    ///
    /// [`KeyError::Malformed`] or [`KeyError::NotRsa`].
    pub fn from_certificate_der(der: &[u8]) -> Result<Self, KeyError> {
        Self::from_spki_der(&spki_of_certificate(der)?)
    }

    /// The canonical SubjectPublicKeyInfo: rsaEncryption with NULL parameters, whatever encoding was read.
    #[must_use]
    pub fn to_spki_der(&self) -> Vec<u8> {
        spki(&self.pkey).to_vec()
    }

    /// The RSAPublicKey of RFC 8017, appendix A.1.1.
    #[must_use]
    pub fn to_pkcs1_der(&self) -> Vec<u8> {
        // SAFETY: the RSA belongs to `self.pkey`, which lives; the builder is live while `build` runs the closure.
        build(|out| unsafe { sys::RSA_marshal_public_key(out, rsa_of(&self.pkey)) })
            .expect("AWS-LC encodes a key that it holds")
            .to_vec()
    }

    /// The modulus, big-endian without leading zeros.
    #[must_use]
    pub fn modulus(&self) -> Vec<u8> {
        // SAFETY: the RSA belongs to `self.pkey`, which lives, and always has a modulus.
        unsafe { big_endian(sys::RSA_get0_n(rsa_of(&self.pkey))) }
    }

    /// The public exponent, big-endian without leading zeros.
    #[must_use]
    pub fn exponent(&self) -> Vec<u8> {
        // SAFETY: the RSA belongs to `self.pkey`, which lives; AWS-LC's parsers demand an exponent.
        unsafe { big_endian(sys::RSA_get0_e(rsa_of(&self.pkey))) }
    }

    /// The modulus' length in bytes, and so the length of every ciphertext.
    #[must_use]
    pub fn modulus_len(&self) -> usize {
        modulus_len(&self.pkey)
    }

    pub(crate) fn pkey(&self) -> &Owned<sys::EVP_PKEY> {
        &self.pkey
    }
}

impl RsaPrivateKey {
    /// Makes a key pair with the public exponent 65537 (FIPS 186-5, appendix A.1.3).
    ///
    /// # Errors
    ///
    /// [`KeyError::Failed`].
    pub fn generate(size: RsaSize) -> Result<Self, KeyError> {
        let mut pkey = ptr::null_mut();
        // SAFETY: the context is checked before use; keygen stores a new reference or leaves null.
        let pkey = unsafe {
            let ctx = Owned::new(sys::EVP_PKEY_CTX_new_id(sys::EVP_PKEY_RSA, ptr::null_mut()))
                .ok_or_else(|| failed(KeyError::Failed))?;
            if sys::EVP_PKEY_keygen_init(ctx.as_ptr()) == 1
                && sys::EVP_PKEY_CTX_set_rsa_keygen_bits(ctx.as_ptr(), c_int::from(size.bits() as i16)) == 1
            {
                // Its result says no more than the pointer does.
                sys::EVP_PKEY_keygen(ctx.as_ptr(), &mut pkey);
            }
            Owned::new(pkey)
        };
        Self::new(pkey.ok_or_else(|| failed(KeyError::Failed))?)
    }

    /// Reads a PrivateKeyInfo (RFC 5208; RFC 5958).
    ///
    /// # Errors
    ///
    /// [`KeyError::Malformed`] or [`KeyError::NotRsa`].
    pub fn from_pkcs8_der(der: &[u8]) -> Result<Self, KeyError> {
        let mut rest = cbs(der);
        // SAFETY: `rest` views `der`, which outlives the call; the result is a new reference or null.
        let pkey = unsafe { Owned::new(sys::EVP_parse_private_key(&mut rest)) };
        Self::new(expect_all_read(pkey, rest.len)?)
    }

    /// Reads an RSAPrivateKey (RFC 8017, appendix A.1.2).
    ///
    /// # Errors
    ///
    /// [`KeyError::Malformed`].
    pub fn from_pkcs1_der(der: &[u8]) -> Result<Self, KeyError> {
        // SAFETY: the pointer and length are those of `der`; the result is a new reference or null.
        let rsa = unsafe { Owned::new(sys::RSA_private_key_from_bytes(der.as_ptr(), der.len())) };
        Self::new(wrap_rsa(rsa)?)
    }

    /// Reads an EncryptedPrivateKeyInfo (RFC 5958, section 3): PBES2 with PBKDF2 and AES-CBC or 3DES, or PKCS#12's PBE.
    ///
    /// # Errors
    ///
    /// Any [`KeyError`] but [`Failed`](KeyError::Failed).
    pub fn from_encrypted_pkcs8_der(der: &[u8], passphrase: &[u8]) -> Result<Self, KeyError> {
        let mut rest = cbs(der);
        drain_errors();
        // SAFETY: `rest` views `der` and the passphrase is given with its length; both outlive the call. The result is a
        // new reference or null.
        let pkey = unsafe {
            let passphrase = (passphrase.as_ptr().cast::<c_char>(), passphrase.len());
            Owned::new(sys::PKCS8_parse_encrypted_private_key(&mut rest, passphrase.0, passphrase.1))
        };
        match pkey {
            None => Err(why_not_decrypted(&drain_errors())),
            pkey => Self::new(expect_all_read(pkey, rest.len)?),
        }
    }

    /// Reads a PEM whose header says `Proc-Type: 4,ENCRYPTED` (RFC 1421, section 4.6; the key derivation is OpenSSL's own,
    /// one round of MD5, so protect such a file like a plain one).
    ///
    /// # Errors
    ///
    /// Any [`KeyError`] but [`Failed`](KeyError::Failed).
    pub fn from_legacy_pem(pem: &[u8], passphrase: &[u8]) -> Result<Self, KeyError> {
        let len = pem.len().try_into().map_err(|_| KeyError::Malformed)?;
        drain_errors();
        // SAFETY: the BIO reads `pem` in place and is freed before `pem` ends; `lend_passphrase` gets a pointer to
        // `passphrase`, which outlives the call. The result is a new reference or null.
        let pkey = unsafe {
            let bio =
                Owned::new(sys::BIO_new_mem_buf(pem.as_ptr().cast(), len)).ok_or(KeyError::Malformed)?;
            let passphrase: *const &[u8] = &passphrase;
            Owned::new(sys::PEM_read_bio_PrivateKey(
                bio.as_ptr(),
                ptr::null_mut(),
                Some(lend_passphrase),
                passphrase.cast_mut().cast(),
            ))
        };
        Self::new(pkey.ok_or_else(|| why_not_decrypted(&drain_errors()))?)
    }

    /// The PrivateKeyInfo of RFC 5208, unencrypted.
    #[must_use]
    pub fn to_pkcs8_der(&self) -> Zeroizing<Vec<u8>> {
        // SAFETY: `self.pkey` lives and holds a private key; the builder is live while `build` runs the closure.
        build(|out| unsafe { sys::EVP_marshal_private_key(out, self.pkey.as_ptr()) })
            .expect("AWS-LC encodes a key that it holds")
    }

    /// The EncryptedPrivateKeyInfo of RFC 5958: PBES2, AES-256-CBC, PBKDF2-HMAC-SHA-1 (AWS-LC writes no other) with
    /// [`PBKDF2_ROUNDS`] rounds and a random salt.
    ///
    /// # Errors
    ///
    /// [`KeyError::Failed`].
    pub fn to_encrypted_pkcs8_der(&self, passphrase: &[u8]) -> Result<Vec<u8>, KeyError> {
        /// Selects PBES2, whose parts are the other arguments.
        const PBES2: c_int = -1;
        // SAFETY: key and passphrase outlive the call; a null salt of length SALT_LEN asks for a random one.
        let der = build(|out| unsafe {
            sys::PKCS8_marshal_encrypted_private_key(
                out,
                PBES2,
                sys::EVP_aes_256_cbc(),
                passphrase.as_ptr().cast(),
                passphrase.len(),
                ptr::null(),
                SALT_LEN,
                PBKDF2_ROUNDS,
                self.pkey.as_ptr(),
            )
        });
        der.map(|der| der.to_vec()).ok_or(KeyError::Failed)
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> RsaPublicKey {
        RsaPublicKey::from_spki_der(&spki(&self.pkey)).expect("AWS-LC reads the encoding that it wrote")
    }

    /// The modulus' length in bytes, and so the length of every ciphertext.
    #[must_use]
    pub fn modulus_len(&self) -> usize {
        modulus_len(&self.pkey)
    }

    /// The one way to a value of this type: the key is RSA, and has what rejection needs.
    fn new(pkey: Owned<sys::EVP_PKEY>) -> Result<Self, KeyError> {
        let pkey = expect_rsa(pkey)?;
        let mut exponent = Zeroizing::new(vec![0; modulus_len(&pkey)]);
        // SAFETY: the RSA belongs to `pkey`, which lives; the exponent is written only when it fits the buffer given.
        let fits = unsafe {
            let d = sys::RSA_get0_d(rsa_of(&pkey));
            !d.is_null() && sys::BN_bn2bin_padded(exponent.as_mut_ptr(), exponent.len(), d) == 1
        };
        if !fits {
            return Err(failed(KeyError::Malformed));
        }
        Ok(Self { pkey, rejection: Rejection::new(&exponent) })
    }

    pub(crate) fn pkey(&self) -> &Owned<sys::EVP_PKEY> {
        &self.pkey
    }
}

/// The SubjectPublicKeyInfo in an X.509 certificate (RFC 5280), of whatever algorithm. Signature, dates and names are
/// *not* checked.
///
/// # Errors
///
/// [`KeyError::Malformed`].
pub fn spki_of_certificate(der: &[u8]) -> Result<Vec<u8>, KeyError> {
    let malformed = || failed(KeyError::Malformed);
    let mut next = der.as_ptr();
    let len = c_long::try_from(der.len()).map_err(|_| KeyError::Malformed)?;
    let mut spki = ptr::null_mut();
    // SAFETY: d2i_X509 reads at most `len` bytes of `der` and moves `next` to the end of what it read, within `der`. The
    // X509_PUBKEY belongs to the certificate, which lives until the end of the block. i2d with a null buffer allocates one
    // of the length it returns, copied here before it is freed once.
    unsafe {
        let certificate = Owned::new(sys::d2i_X509(ptr::null_mut(), &mut next, len)).ok_or_else(malformed)?;
        if next != der.as_ptr_range().end {
            return Err(malformed());
        }
        let len = sys::i2d_X509_PUBKEY(sys::X509_get_X509_PUBKEY(certificate.as_ptr()), &mut spki);
        let len = usize::try_from(len).map_err(|_| malformed())?;
        if spki.is_null() {
            return Err(malformed());
        }
        let bytes = std::slice::from_raw_parts(spki, len).to_vec();
        sys::OPENSSL_free(spki.cast());
        Ok(bytes)
    }
}

/// `pem_password_cb`: copies the passphrase into AWS-LC's buffer, or reports that it does not fit.
///
/// # Safety
///
/// `buffer` holds `size` bytes and `passphrase` points to a `&[u8]`.
unsafe extern "C" fn lend_passphrase(
    buffer: *mut c_char,
    size: c_int,
    _: c_int,
    passphrase: *mut c_void,
) -> c_int {
    // SAFETY: the caller passed on the pointer that `from_legacy_pem` gave it.
    let passphrase = unsafe { *passphrase.cast::<&[u8]>() };
    match c_int::try_from(passphrase.len()) {
        Ok(len) if len <= size => {
            // SAFETY: `len` bytes fit `buffer`, which is AWS-LC's own and so overlaps nothing of ours.
            unsafe { ptr::copy_nonoverlapping(passphrase.as_ptr(), buffer.cast(), passphrase.len()) };
            len
        }
        _ => -1,
    }
}

/// Puts a parsed RSA object into the wrapper that the operations take.
fn wrap_rsa(rsa: Option<Owned<sys::RSA>>) -> Result<Owned<sys::EVP_PKEY>, KeyError> {
    let rsa = rsa.ok_or_else(|| failed(KeyError::Malformed))?;
    // SAFETY: the new wrapper is checked for null; assigning takes over the reference, and fails only for null arguments.
    unsafe {
        let pkey = Owned::new(sys::EVP_PKEY_new()).ok_or_else(|| failed(KeyError::Failed))?;
        match sys::EVP_PKEY_assign_RSA(pkey.as_ptr(), rsa.into_raw()) {
            1 => Ok(pkey),
            _ => Err(failed(KeyError::Failed)),
        }
    }
}

/// Refuses what did not parse and what has bytes behind it.
fn expect_all_read(
    pkey: Option<Owned<sys::EVP_PKEY>>,
    unread_len: usize,
) -> Result<Owned<sys::EVP_PKEY>, KeyError> {
    match pkey {
        None => Err(why_not_parsed(&drain_errors())),
        Some(_) if unread_len != 0 => Err(KeyError::Malformed),
        Some(pkey) => Ok(pkey),
    }
}

fn expect_rsa(pkey: Owned<sys::EVP_PKEY>) -> Result<Owned<sys::EVP_PKEY>, KeyError> {
    // SAFETY: the object is valid.
    match unsafe { sys::EVP_PKEY_id(pkey.as_ptr()) } {
        sys::EVP_PKEY_RSA => Ok(pkey),
        _ => Err(KeyError::NotRsa),
    }
}

/// The RSA object inside, which lives as long as `pkey`.
fn rsa_of(pkey: &Owned<sys::EVP_PKEY>) -> *const sys::RSA {
    // SAFETY: the object is valid. Every key of this module is RSA, so the result is not null.
    unsafe { sys::EVP_PKEY_get0_RSA(pkey.as_ptr()) }
}

fn modulus_len(pkey: &Owned<sys::EVP_PKEY>) -> usize {
    // SAFETY: the RSA belongs to `pkey`, which lives.
    unsafe { sys::RSA_size(rsa_of(pkey)) as usize }
}

fn spki(pkey: &Owned<sys::EVP_PKEY>) -> Zeroizing<Vec<u8>> {
    // SAFETY: `pkey` lives; the builder is live while `build` runs the closure.
    build(|out| unsafe { sys::EVP_marshal_public_key(out, pkey.as_ptr()) })
        .expect("AWS-LC encodes a key that it holds")
}

/// # Safety
///
/// `number` is valid.
unsafe fn big_endian(number: *const sys::BIGNUM) -> Vec<u8> {
    // SAFETY: BN_bn2bin writes exactly BN_num_bytes bytes.
    unsafe {
        let mut bytes = vec![0; sys::BN_num_bytes(number) as usize];
        sys::BN_bn2bin(number, bytes.as_mut_ptr());
        bytes
    }
}

/// Leaves nothing in the error queue for the next caller to stumble over.
fn failed(error: KeyError) -> KeyError {
    drain_errors();
    error
}

fn why_not_parsed(errors: &[ErrorCode]) -> KeyError {
    match errors.iter().any(|e| (e.library, e.reason) == (sys::ERR_LIB_EVP, sys::EVP_R_UNSUPPORTED_ALGORITHM))
    {
        true => KeyError::NotRsa,
        false => KeyError::Malformed,
    }
}

/// Before the passphrase was tried the cause is exact; afterwards garbage that happens to be well padded (1 in 256) and a
/// damaged key look alike.
fn why_not_decrypted(errors: &[ErrorCode]) -> KeyError {
    for error in errors {
        match (error.library, error.reason) {
            (sys::ERR_LIB_PKCS8, sys::PKCS8_R_UNKNOWN_ALGORITHM | sys::PKCS8_R_KEYGEN_FAILURE)
            | (sys::ERR_LIB_PEM, sys::PEM_R_UNSUPPORTED_CIPHER | sys::PEM_R_UNSUPPORTED_ENCRYPTION) => {
                return KeyError::UnsupportedEncryption;
            }
            (sys::ERR_LIB_PKCS8, sys::PKCS8_R_DECODE_ERROR)
            | (
                sys::ERR_LIB_PEM,
                sys::PEM_R_NO_START_LINE | sys::PEM_R_BAD_END_LINE | sys::PEM_R_BAD_BASE64_DECODE,
            ) => {
                return KeyError::Malformed;
            }
            (sys::ERR_LIB_EVP, sys::EVP_R_UNSUPPORTED_ALGORITHM) => return KeyError::NotRsa,
            _ => {}
        }
    }
    KeyError::WrongPassphrase
}

impl fmt::Debug for RsaPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RsaPublicKey({} bytes)", self.modulus_len())
    }
}

impl fmt::Debug for RsaPrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RsaPrivateKey({} bytes, ..)", self.modulus_len())
    }
}

/// OWASP's advice (2023) for PBKDF2 with HMAC-SHA-1: about half a second.
pub const PBKDF2_ROUNDS: c_int = 1_300_000;

/// Bytes of salt (NIST SP 800-132, section 5.1, asks for 16).
const SALT_LEN: usize = 16;
