//! Public throwaway keys: see `keys/README.md`. They protect nothing.

/// The passphrase of every encrypted key here.
pub const PASSPHRASE: &[u8] = b"waxwing";

/// The P-256 key, encrypted PKCS#8 (PBES2, AES-256-CBC, HMAC-SHA-256).
pub const EC_ENCRYPTED_PKCS8: &str = include_str!("../keys/ec.encrypted-pkcs8.pem");
/// The P-256 key, PKCS#8.
pub const EC_PKCS8: &str = include_str!("../keys/ec.pkcs8.pem");
/// The P-256 key, SEC 1 behind a block of EC parameters.
pub const EC_SEC1_WITH_PARAMETERS: &str = include_str!("../keys/ec.sec1-with-parameters.pem");
/// The P-256 key, SEC 1.
pub const EC_SEC1: &str = include_str!("../keys/ec.sec1.pem");
/// The P-256 key, SubjectPublicKeyInfo.
pub const EC_SPKI: &str = include_str!("../keys/ec.spki.pem");
/// The Ed25519 key, PKCS#8.
pub const ED25519_PKCS8: &str = include_str!("../keys/ed25519.pkcs8.pem");
/// The Ed25519 key, SubjectPublicKeyInfo.
pub const ED25519_SPKI: &str = include_str!("../keys/ed25519.spki.pem");
/// The RSA key of 2048 bits, X.509 certificate.
pub const RSA_2048_CERTIFICATE: &str = include_str!("../keys/rsa-2048.certificate.pem");
/// The RSA key of 2048 bits, PKCS#1 with `Proc-Type: 4,ENCRYPTED` (3DES).
pub const RSA_2048_ENCRYPTED_PKCS1_3DES: &str = include_str!("../keys/rsa-2048.encrypted-pkcs1-3des.pem");
/// The RSA key of 2048 bits, PKCS#1 with `Proc-Type: 4,ENCRYPTED` (AES-256-CBC).
pub const RSA_2048_ENCRYPTED_PKCS1: &str = include_str!("../keys/rsa-2048.encrypted-pkcs1.pem");
/// The RSA key of 2048 bits, encrypted PKCS#8 (PBES2, AES-256-CBC, HMAC-SHA-256).
pub const RSA_2048_ENCRYPTED_PKCS8: &str = include_str!("../keys/rsa-2048.encrypted-pkcs8.pem");
/// The RSA key of 2048 bits, encrypted PKCS#8 whose key derivation is scrypt, which AWS-LC does not read.
pub const RSA_2048_ENCRYPTED_SCRYPT: &str = include_str!("../keys/rsa-2048.encrypted-scrypt.pem");
/// The RSA key of 2048 bits, OpenSSH.
pub const RSA_2048_OPENSSH: &str = include_str!("../keys/rsa-2048.openssh.pem");
/// The RSA key of 2048 bits, OpenSSH public key.
pub const RSA_2048_OPENSSH_PUBLIC: &str = include_str!("../keys/rsa-2048.openssh.pub");
/// The RSA key of 2048 bits, PKCS#12 (binary).
pub const RSA_2048_PKCS12: &[u8] = include_bytes!("../keys/rsa-2048.p12");
/// The RSA key of 2048 bits, PKCS#1 public key.
pub const RSA_2048_PKCS1_PUBLIC: &str = include_str!("../keys/rsa-2048.pkcs1-public.pem");
/// The RSA key of 2048 bits, PKCS#1.
pub const RSA_2048_PKCS1: &str = include_str!("../keys/rsa-2048.pkcs1.pem");
/// The RSA key of 2048 bits, PKCS#8.
pub const RSA_2048_PKCS8: &str = include_str!("../keys/rsa-2048.pkcs8.pem");
/// The RSA key of 2048 bits, certificate request.
pub const RSA_2048_REQUEST: &str = include_str!("../keys/rsa-2048.request.pem");
/// The RSA key of 2048 bits, SubjectPublicKeyInfo.
pub const RSA_2048_SPKI: &str = include_str!("../keys/rsa-2048.spki.pem");
/// The RSA key of 3072 bits, X.509 certificate.
pub const RSA_3072_CERTIFICATE: &str = include_str!("../keys/rsa-3072.certificate.pem");
/// The RSA key of 3072 bits, PKCS#1 with `Proc-Type: 4,ENCRYPTED` (AES-256-CBC).
pub const RSA_3072_ENCRYPTED_PKCS1: &str = include_str!("../keys/rsa-3072.encrypted-pkcs1.pem");
/// The RSA key of 3072 bits, encrypted PKCS#8 (PBES2, AES-256-CBC, HMAC-SHA-256).
pub const RSA_3072_ENCRYPTED_PKCS8: &str = include_str!("../keys/rsa-3072.encrypted-pkcs8.pem");
/// The RSA key of 3072 bits, PKCS#1 public key.
pub const RSA_3072_PKCS1_PUBLIC: &str = include_str!("../keys/rsa-3072.pkcs1-public.pem");
/// The RSA key of 3072 bits, PKCS#1.
pub const RSA_3072_PKCS1: &str = include_str!("../keys/rsa-3072.pkcs1.pem");
/// The RSA key of 3072 bits, PKCS#8.
pub const RSA_3072_PKCS8: &str = include_str!("../keys/rsa-3072.pkcs8.pem");
/// The RSA key of 3072 bits, SubjectPublicKeyInfo.
pub const RSA_3072_SPKI: &str = include_str!("../keys/rsa-3072.spki.pem");
/// The RSA key of 4096 bits, X.509 certificate.
pub const RSA_4096_CERTIFICATE: &str = include_str!("../keys/rsa-4096.certificate.pem");
/// The RSA key of 4096 bits, PKCS#1 with `Proc-Type: 4,ENCRYPTED` (AES-256-CBC).
pub const RSA_4096_ENCRYPTED_PKCS1: &str = include_str!("../keys/rsa-4096.encrypted-pkcs1.pem");
/// The RSA key of 4096 bits, encrypted PKCS#8 (PBES2, AES-256-CBC, HMAC-SHA-256).
pub const RSA_4096_ENCRYPTED_PKCS8: &str = include_str!("../keys/rsa-4096.encrypted-pkcs8.pem");
/// The RSA key of 4096 bits, PKCS#1 public key.
pub const RSA_4096_PKCS1_PUBLIC: &str = include_str!("../keys/rsa-4096.pkcs1-public.pem");
/// The RSA key of 4096 bits, PKCS#1.
pub const RSA_4096_PKCS1: &str = include_str!("../keys/rsa-4096.pkcs1.pem");
/// The RSA key of 4096 bits, PKCS#8.
pub const RSA_4096_PKCS8: &str = include_str!("../keys/rsa-4096.pkcs8.pem");
/// The RSA key of 4096 bits, SubjectPublicKeyInfo.
pub const RSA_4096_SPKI: &str = include_str!("../keys/rsa-4096.spki.pem");
/// An RSA key that may only sign (RSASSA-PSS), PKCS#8.
pub const RSA_PSS_PKCS8: &str = include_str!("../keys/rsa-pss.pkcs8.pem");
/// A weak RSA key: 1024 bits, PKCS#8.
pub const WEAK_1024_BITS_PKCS8: &str = include_str!("../keys/weak-1024-bits.pkcs8.pem");
/// A weak RSA key: 1024 bits, SubjectPublicKeyInfo.
pub const WEAK_1024_BITS_SPKI: &str = include_str!("../keys/weak-1024-bits.spki.pem");
/// A weak RSA key: 16384 bits, SubjectPublicKeyInfo.
pub const WEAK_16384_BITS_SPKI: &str = include_str!("../keys/weak-16384-bits.spki.pem");
/// A weak RSA key: exponent 1, SubjectPublicKeyInfo.
pub const WEAK_EXPONENT_1_SPKI: &str = include_str!("../keys/weak-exponent-1.spki.pem");
/// A weak RSA key: exponent 3, SubjectPublicKeyInfo.
pub const WEAK_EXPONENT_3_SPKI: &str = include_str!("../keys/weak-exponent-3.spki.pem");
/// A weak RSA key: exponent even, SubjectPublicKeyInfo.
pub const WEAK_EXPONENT_EVEN_SPKI: &str = include_str!("../keys/weak-exponent-even.spki.pem");
/// A weak RSA key: exponent huge, SubjectPublicKeyInfo.
pub const WEAK_EXPONENT_HUGE_SPKI: &str = include_str!("../keys/weak-exponent-huge.spki.pem");
/// A weak RSA key: modulus even, SubjectPublicKeyInfo.
pub const WEAK_MODULUS_EVEN_SPKI: &str = include_str!("../keys/weak-modulus-even.spki.pem");
/// A weak RSA key: roca, SubjectPublicKeyInfo.
pub const WEAK_ROCA_SPKI: &str = include_str!("../keys/weak-roca.spki.pem");
/// A weak RSA key: small factor 1021, SubjectPublicKeyInfo.
pub const WEAK_SMALL_FACTOR_1021_SPKI: &str = include_str!("../keys/weak-small-factor-1021.spki.pem");
