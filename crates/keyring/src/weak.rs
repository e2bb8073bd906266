//! RSA keys that must not be used, however well formed they are.

use std::ops::{Range, RangeInclusive};

/// The sizes of moduli that are taken, in bits.
pub const MODULUS_BITS: RangeInclusive<usize> = 2048..=8192;
/// The smallest public exponent that is taken (FIPS 186-5, section A.1.1).
const EXPONENT_MIN: u64 = 65537;
/// The longest public exponent that is taken, in bits: AWS-LC's own limit against exponents that cost us time.
const EXPONENT_BITS_MAX: usize = 33;
/// Trial division goes up to here: such a factor is no accident of a good generator.
const FACTOR_MAX: u32 = 1 << 10;

/// What is wrong with a key's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WeakKey {
    /// Too small, or too large to be anything but an attack on our time.
    #[error("its modulus has {bits} bits; {} to {} are accepted", MODULUS_BITS.start(), MODULUS_BITS.end())]
    Size {
        /// Bits of the modulus.
        bits: usize,
    },
    /// 1, 3, 17 and the like, even, or longer than 33 bits.
    #[error(
        "its public exponent is even, smaller than {EXPONENT_MIN} or longer than {EXPONENT_BITS_MAX} bits"
    )]
    Exponent,
    /// A modulus that anybody can factor.
    #[error("its modulus is divisible by {factor}")]
    Factor {
        /// The smallest factor.
        factor: u32,
    },
    /// A modulus of the family that a faulty chip library made.
    #[error("its modulus has the ROCA pattern (CVE-2017-15361): it can be factored")]
    Roca,
}

/// Judges a public key by its numbers, big-endian.
pub(crate) fn check(modulus: &[u8], exponent: &[u8]) -> Result<(), WeakKey> {
    let bits = bits(modulus);
    if !MODULUS_BITS.contains(&bits) {
        return Err(WeakKey::Size { bits });
    }
    let value = exponent.iter().fold(0u64, |value, byte| value << 8 | u64::from(*byte));
    if self::bits(exponent) > EXPONENT_BITS_MAX || value < EXPONENT_MIN || value.is_multiple_of(2) {
        return Err(WeakKey::Exponent);
    }
    if let Some(factor) = primes(2..FACTOR_MAX).find(|&prime| remainder(modulus, prime) == 0) {
        return Err(WeakKey::Factor { factor });
    }
    if has_roca_pattern(modulus) { Err(WeakKey::Roca) } else { Ok(()) }
}

/// Whether the modulus is, for each small prime, a power of 65537 modulo that prime. The faulty generator's primes are
/// built so, and a random modulus passes all these tests about once in 2^27 times (Nemec et al., CCS 2017, section 3).
fn has_roca_pattern(modulus: &[u8]) -> bool {
    primes(3..168).all(|prime| {
        let wanted = remainder(modulus, prime);
        let mut power = 1;
        (0..prime).any(|_| {
            let found = power == wanted;
            power = power * (65537 % prime) % prime;
            found
        })
    })
}

fn primes(range: Range<u32>) -> impl Iterator<Item = u32> {
    range.filter(|n| (2..*n).take_while(|d| d * d <= *n).all(|d| n % d != 0))
}

/// Four bytes at a time: every start of the command waits for it.
fn remainder(number: &[u8], divisor: u32) -> u32 {
    let words = number.rchunks(4).rev();
    let words = words.map(|word| word.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)));
    // The cast cannot cut: a remainder is below the divisor.
    words.fold(0, |rest, word| (rest << 32 | word) % u64::from(divisor)) as u32
}

fn trimmed(number: &[u8]) -> &[u8] {
    &number[number.iter().take_while(|byte| **byte == 0).count()..]
}

fn bits(number: &[u8]) -> usize {
    let number = trimmed(number);
    number.len() * 8 - number.first().map_or(0, |first| first.leading_zeros() as usize)
}
