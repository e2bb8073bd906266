//! The key id of a `passphrase` recipient: what Argon2id (RFC 9106) needs beside the passphrase.

use std::ops::RangeInclusive;

/// Bytes of the key id.
const KEY_ID_LEN: usize = 25;
/// The memory that a reader accepts, in KiB: 19 MiB to 1 GiB.
const MEMORY_KIB: RangeInclusive<u32> = 19456..=1 << 20;
/// The passes that a reader accepts.
const PASSES: RangeInclusive<u32> = 1..=16;
/// The lanes that a reader accepts.
const LANES: RangeInclusive<u8> = 1..=16;
/// The most memory times passes that a reader accepts, in KiB.
const WORK_KIB_MAX: u64 = 1 << 22;

/// What guessing one passphrase costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PassphraseCost {
    /// Memory in KiB: 19456 to 1048576.
    pub memory_kib: u32,
    /// Passes over it: 1 to 16, and with the memory at most 2^22 KiB.
    pub passes: u32,
    /// Lanes: 1 to 16.
    pub lanes: u8,
}

impl PassphraseCost {
    /// The second recommended choice of RFC 9106, section 4: 64 MiB, three passes, four lanes.
    pub const DEFAULT: Self = Self { memory_kib: 1 << 16, passes: 3, lanes: 4 };
    /// The least that a reader accepts.
    pub const MIN: Self = Self { memory_kib: *MEMORY_KIB.start(), passes: 1, lanes: 1 };

    /// Whether a reader accepts it.
    pub fn is_accepted(self) -> bool {
        MEMORY_KIB.contains(&self.memory_kib)
            && PASSES.contains(&self.passes)
            && LANES.contains(&self.lanes)
            && u64::from(self.memory_kib) * u64::from(self.passes) <= WORK_KIB_MAX
    }
}

/// `salt[16] ‖ u32 memory ‖ u32 passes ‖ u8 lanes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PassphraseKeyId {
    /// Random, for one wrapping.
    pub salt: [u8; 16],
    /// What the KEK costs.
    pub cost: PassphraseCost,
}

impl PassphraseKeyId {
    /// The key id in these bytes; `None` for another length, and for a cost that no reader accepts.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; KEY_ID_LEN] = bytes.try_into().ok()?;
        let (salt, rest) = bytes.split_first_chunk::<16>()?;
        let (memory, rest) = rest.split_first_chunk::<4>()?;
        let (passes, lanes) = rest.split_first_chunk::<4>()?;
        let cost = PassphraseCost {
            memory_kib: u32::from_be_bytes(*memory),
            passes: u32::from_be_bytes(*passes),
            lanes: *lanes.first()?,
        };
        cost.is_accepted().then_some(Self { salt: *salt, cost })
    }

    /// Its bytes.
    pub fn encode(&self) -> [u8; KEY_ID_LEN] {
        let mut bytes = [0; KEY_ID_LEN];
        bytes[..16].copy_from_slice(&self.salt);
        bytes[16..20].copy_from_slice(&self.cost.memory_kib.to_be_bytes());
        bytes[20..24].copy_from_slice(&self.cost.passes.to_be_bytes());
        bytes[24] = self.cost.lanes;
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_id_reads_back() {
        let key_id = PassphraseKeyId { salt: [7; 16], cost: PassphraseCost::DEFAULT };
        assert_eq!(PassphraseKeyId::decode(&key_id.encode()), Some(key_id));
        assert_eq!(PassphraseKeyId::decode(&key_id.encode()[1..]), None);
    }

    #[test]
    fn attack_13_a_cost_beyond_the_limits_is_nobodys() {
        let PassphraseCost { memory_kib, passes, lanes } = PassphraseCost::MIN;
        let at = |memory_kib, passes, lanes| PassphraseCost { memory_kib, passes, lanes }.is_accepted();
        assert!(at(memory_kib, passes, lanes) && at(1 << 20, 4, 16) && at(1 << 18, 16, 1));
        for (memory_kib, passes, lanes) in [
            (memory_kib - 1, 1, 1),
            ((1 << 20) + 1, 1, 1),
            (memory_kib, 0, 1),
            (memory_kib, 17, 1),
            (memory_kib, 1, 0),
            (memory_kib, 1, 17),
            (1 << 20, 5, 1),
            (u32::MAX, u32::MAX, 1),
        ] {
            assert!(!at(memory_kib, passes, lanes), "{memory_kib} {passes} {lanes}");
        }
    }
}
