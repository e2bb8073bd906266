//! RSA keys as values.

use std::ffi::{c_char, c_int, c_void};
use std::fmt;
use std::ptr;

use aws_lc_sys as sys;
use zeroize::Zeroizing;

use crate::ffi::{Owned, build, cbs, drain_errors};
use crate::implicit::Rejection;

/// The longest passphrase that is taken, in bytes.
const PASSPHRASE_LEN_MAX: usize = 1024;

/// The sizes of keys that are generated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RsaSize {
    /// 2048 bits: 112 bits of security (NIST SP 800-57 Part 1, table 2).
    Bits2048,
    /// 3072 bits: 128 bits of security.
    Bits3072,
    /// 4096 bits.
    Bits4096,
}

impl RsaSize {
    /// The modulus' size.
    pub fn bits(self) -> u32 {
        match self {
            Self::Bits2048 => 2048,
            Self::Bits3072 => 3072,
            Self::Bits4096 => 4096,
        }
    }
}

/// Why a key was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// AWS-LC does not parse it, or finds its numbers inconsistent.
    #[error("the key is malformed")]
    Malformed,
    /// It is a key of another algorithm.
    #[error("the key is not an RSA key")]
    NotRsa,
    /// It does not decrypt.
    #[error("the passphrase is wrong, or the key is encrypted in an unsupported way")]
    Passphrase,
    /// AWS-LC could not generate one.
    #[error("no key could be generated")]
    Generation,
}

/// An RSA public key.
pub struct RsaPublicKey(Owned<sys::EVP_PKEY>);

impl RsaPublicKey {
    /// Takes an `RSAPublicKey` (RFC 8017, appendix A.1.1) in DER.
    ///
    /// # Errors
    ///
    /// [`KeyError::Malformed`], also for keys that AWS-LC takes for no RSA keys, such as those with an even exponent.
    pub fn from_pkcs1_der(der: &[u8]) -> Result<Self, KeyError> {
        let mut input = cbs(der);
        // SAFETY: `input` views `der`, which outlives the call; the result is owned by nobody else.
        let rsa = unsafe { Owned::new(sys::RSA_parse_public_key(&mut input)) };
        match rsa {
            Some(rsa) if input.len == 0 => Ok(Self(pkey(rsa)?)),
            _ => Err(malformed()),
        }
    }

    /// The canonical SubjectPublicKeyInfo (RFC 5280, RFC 3279): rsaEncryption with NULL parameters, in DER.
    pub fn to_spki_der(&self) -> Vec<u8> {
        // SAFETY: `build` gives a live builder, and the key is live.
        let der = build(|cbb| unsafe { sys::EVP_marshal_public_key(cbb, self.0.as_ptr()) });
        der.expect("a parsed key can be encoded").to_vec()
    }

    /// Bytes of the modulus, which are those of a ciphertext.
    pub fn modulus_len(&self) -> usize {
        // SAFETY: the key is live and an RSA key.
        unsafe { sys::RSA_size(sys::EVP_PKEY_get0_RSA(self.0.as_ptr())) as usize }
    }

    /// Bits of the modulus.
    pub fn bits(&self) -> u32 {
        // SAFETY: the key is live and an RSA key.
        unsafe { sys::RSA_bits(sys::EVP_PKEY_get0_RSA(self.0.as_ptr())) }
    }

    /// The modulus, big-endian, without leading zeros.
    pub fn modulus(&self) -> Vec<u8> {
        // SAFETY: the key is live and an RSA key, whose modulus is set and lives as long.
        unsafe { big_endian(sys::RSA_get0_n(sys::EVP_PKEY_get0_RSA(self.0.as_ptr()))).to_vec() }
    }

    /// The public exponent, big-endian, without leading zeros.
    pub fn exponent(&self) -> Vec<u8> {
        // SAFETY: the key is live and an RSA key, whose exponent is set and lives as long.
        unsafe { big_endian(sys::RSA_get0_e(sys::EVP_PKEY_get0_RSA(self.0.as_ptr()))).to_vec() }
    }

    pub(crate) fn as_ptr(&self) -> *mut sys::EVP_PKEY {
        self.0.as_ptr()
    }
}

impl fmt::Debug for RsaPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RsaPublicKey({} bits)", self.bits())
    }
}

/// An RSA private key. Never printed; AWS-LC wipes it when it is freed.
pub struct RsaPrivateKey {
    key: Owned<sys::EVP_PKEY>,
    pub(crate) rejection: Rejection,
}

impl RsaPrivateKey {
    /// Takes an `RSAPrivateKey` (RFC 8017, appendix A.1.2) in DER, and checks that its numbers belong together.
    ///
    /// # Errors
    ///
    /// [`KeyError::Malformed`].
    pub fn from_pkcs1_der(der: &[u8]) -> Result<Self, KeyError> {
        let mut input = cbs(der);
        // SAFETY: `input` views `der`, which outlives the call; the result is owned by nobody else.
        let rsa = unsafe { Owned::new(sys::RSA_parse_private_key(&mut input)) };
        match rsa {
            Some(rsa) if input.len == 0 => Self::new(pkey(rsa)?),
            _ => Err(malformed()),
        }
    }

    /// Takes an `EncryptedPrivateKeyInfo` (RFC 5958) in DER: PBES2 with PBKDF2 or scrypt, or PKCS#12's schemes.
    ///
    /// # Errors
    ///
    /// [`KeyError::Passphrase`], [`KeyError::NotRsa`].
    pub fn from_encrypted_pkcs8_der(der: &[u8], passphrase: &[u8]) -> Result<Self, KeyError> {
        let mut input = cbs(der);
        // SAFETY: `input` views `der` and the passphrase has the length that is given; both outlive the call. The result is
        // owned by nobody else.
        let key = unsafe {
            let pass = passphrase.as_ptr().cast::<c_char>();
            Owned::new(sys::PKCS8_parse_encrypted_private_key(&mut input, pass, passphrase.len()))
        };
        Self::decrypted(key)
    }

    /// Takes the traditional encrypted PEM (`Proc-Type: 4,ENCRYPTED`, RFC 1421 as OpenSSL writes it).
    ///
    /// # Errors
    ///
    /// [`KeyError::Passphrase`], [`KeyError::NotRsa`].
    pub fn from_encrypted_pem(pem: &[u8], passphrase: &[u8]) -> Result<Self, KeyError> {
        let len = isize::try_from(pem.len()).map_err(|_| KeyError::Malformed)?;
        // SAFETY: the BIO only reads `pem`, which outlives it.
        let bio = unsafe { Owned::new(sys::BIO_new_mem_buf(pem.as_ptr().cast(), len as sys::ossl_ssize_t)) };
        let bio = bio.ok_or(KeyError::Malformed)?;
        let mut pass = passphrase;
        // SAFETY: the BIO is live; the callback is called, if at all, during this call, with the pointer to `pass`, which
        // lives that long. The result is owned by nobody else.
        let key = unsafe {
            let user = (&raw mut pass).cast::<c_void>();
            Owned::new(sys::PEM_read_bio_PrivateKey(
                bio.as_ptr(),
                ptr::null_mut(),
                Some(give_passphrase),
                user,
            ))
        };
        Self::decrypted(key)
    }

    /// Makes a new key with the exponent 65537.
    ///
    /// # Errors
    ///
    /// [`KeyError::Generation`].
    pub fn generate(size: RsaSize) -> Result<Self, KeyError> {
        // SAFETY: no preconditions; the results are owned by nobody else. Both are live when the key is generated into one.
        unsafe {
            let exponent = Owned::new(sys::BN_new()).ok_or(KeyError::Generation)?;
            let rsa = Owned::new(sys::RSA_new()).ok_or(KeyError::Generation)?;
            let made = sys::BN_set_word(exponent.as_ptr(), sys::RSA_F4 as u64) == 1
                && sys::RSA_generate_key_ex(
                    rsa.as_ptr(),
                    size.bits() as c_int,
                    exponent.as_ptr(),
                    ptr::null_mut(),
                ) == 1;
            if !made {
                drain_errors();
                return Err(KeyError::Generation);
            }
            Self::new(pkey(rsa)?)
        }
    }

    fn decrypted(key: Option<Owned<sys::EVP_PKEY>>) -> Result<Self, KeyError> {
        let Some(key) = key else {
            drain_errors();
            return Err(KeyError::Passphrase);
        };
        // SAFETY: the key is live.
        if unsafe { sys::EVP_PKEY_id(key.as_ptr()) } != sys::EVP_PKEY_RSA {
            return Err(KeyError::NotRsa);
        }
        Self::new(key)
    }

    /// `key` is an RSA key with its private half.
    fn new(key: Owned<sys::EVP_PKEY>) -> Result<Self, KeyError> {
        // SAFETY: the key is live and an RSA key; its private exponent is set, or null and then not read.
        let exponent = unsafe {
            let rsa = sys::EVP_PKEY_get0_RSA(key.as_ptr());
            let exponent = sys::RSA_get0_d(rsa);
            if exponent.is_null() || sys::RSA_check_key(rsa) != 1 {
                return Err(malformed());
            }
            big_endian(exponent)
        };
        Ok(Self { rejection: Rejection::new(&exponent), key })
    }

    /// The `PrivateKeyInfo` (RFC 5958) in DER.
    pub fn to_pkcs8_der(&self) -> Zeroizing<Vec<u8>> {
        // SAFETY: `build` gives a live builder, and the key is live.
        let der = build(|cbb| unsafe { sys::EVP_marshal_private_key(cbb, self.key.as_ptr()) });
        der.expect("a parsed key can be encoded")
    }

    /// The public half.
    pub fn public(&self) -> RsaPublicKey {
        // SAFETY: `build` gives a live builder, and the key is live and an RSA key.
        let der = build(|cbb| unsafe {
            sys::RSA_marshal_public_key(cbb, sys::EVP_PKEY_get0_RSA(self.key.as_ptr()))
        });
        let der = der.expect("a parsed key can be encoded");
        RsaPublicKey::from_pkcs1_der(&der).expect("what was encoded parses")
    }

    pub(crate) fn as_ptr(&self) -> *mut sys::EVP_PKEY {
        self.key.as_ptr()
    }
}

impl fmt::Debug for RsaPrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RsaPrivateKey(..)")
    }
}

/// Wraps an RSA key, of which it takes ownership.
fn pkey(rsa: Owned<sys::RSA>) -> Result<Owned<sys::EVP_PKEY>, KeyError> {
    // SAFETY: no preconditions; the result is owned by nobody else. EVP_PKEY_assign_RSA takes ownership when it succeeds,
    // which is when `into_raw` gives it up for good.
    unsafe {
        let key = Owned::new(sys::EVP_PKEY_new()).ok_or(KeyError::Malformed)?;
        if sys::EVP_PKEY_assign_RSA(key.as_ptr(), rsa.as_ptr()) != 1 {
            return Err(malformed());
        }
        rsa.into_raw();
        Ok(key)
    }
}

fn malformed() -> KeyError {
    drain_errors();
    KeyError::Malformed
}

/// The number's bytes, most significant first.
///
/// # Safety
///
/// `number` is live.
unsafe fn big_endian(number: *const sys::BIGNUM) -> Zeroizing<Vec<u8>> {
    // SAFETY: the caller promises a live number; the buffer is as long as it needs.
    unsafe {
        let mut bytes = Zeroizing::new(vec![0; sys::BN_num_bytes(number) as usize]);
        let done = sys::BN_bn2bin_padded(bytes.as_mut_ptr(), bytes.len(), number);
        assert_eq!(done, 1, "the number fits the bytes it needs");
        bytes
    }
}

/// Copies the passphrase that `user` points to into `buf`, as AWS-LC's PEM reader asks.
unsafe extern "C" fn give_passphrase(buf: *mut c_char, size: c_int, _: c_int, user: *mut c_void) -> c_int {
    // SAFETY: `user` is the pointer to a live `&[u8]` that `from_encrypted_pem` gave.
    let passphrase: &[u8] = unsafe { *user.cast::<&[u8]>() };
    let room = usize::try_from(size).unwrap_or(0).min(PASSPHRASE_LEN_MAX);
    if passphrase.is_empty() || passphrase.len() > room {
        return 0;
    }
    // SAFETY: AWS-LC gives `size` bytes of room at `buf`, no fewer than the passphrase's.
    unsafe { ptr::copy_nonoverlapping(passphrase.as_ptr(), buf.cast::<u8>(), passphrase.len()) };
    passphrase.len() as c_int
}
