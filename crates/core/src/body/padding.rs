//! Padding to whole blocks, and its removal without an oracle of its own.

use subtle::{Choice, ConstantTimeEq, ConstantTimeGreater, ConstantTimeLess};
use waxwing_aws_lc::BLOCK_LEN;

use super::PADDED_LEN_MAX;
use crate::NotAuthentic;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Padding {
    /// Every byte of padding is its length.
    Pkcs7 { block_len: usize },
    /// The last byte is the length.
    Iso10126,
}

impl Padding {
    pub(super) fn block_len(self) -> usize {
        match self {
            Self::Pkcs7 { block_len } => block_len,
            Self::Iso10126 => BLOCK_LEN,
        }
    }

    /// The padding of a message of `len` bytes, written over the front of `buffer`.
    pub(super) fn fill(self, len: u64, buffer: &mut [u8; PADDED_LEN_MAX]) -> &[u8] {
        let block_len = self.block_len();
        // The cast cannot cut: a remainder is below the block's length.
        let padding = &mut buffer[..block_len - (len % block_len as u64) as usize];
        let count = padding.len() as u8;
        match self {
            Self::Pkcs7 { .. } => padding.fill(count),
            Self::Iso10126 => padding[padding.len() - 1] = count,
        }
        padding
    }

    /// What stands before the padding of the last `block`, without a branch on any byte of it until all are judged.
    pub(super) fn strip(self, block: &[u8]) -> Result<&[u8], NotAuthentic> {
        let block_len = self.block_len();
        let Some(&count) = block.last().filter(|_| block.len() == block_len) else {
            return Err(NotAuthentic);
        };
        // The casts cannot cut: a block is at most PADDED_LEN_MAX bytes long.
        let mut good = count.ct_gt(&0) & !count.ct_gt(&(block_len as u8));
        if let Self::Pkcs7 { .. } = self {
            for (from_end, byte) in block.iter().rev().enumerate() {
                let is_message: Choice = !(from_end as u8).ct_lt(&count);
                good &= is_message | byte.ct_eq(&count);
            }
        }
        if !bool::from(good) {
            return Err(NotAuthentic);
        }
        block.get(..block_len - usize::from(count)).ok_or(NotAuthentic)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn strip_agrees_with_a_plain_reading_of_the_rules(
            count in 0..40u8,
            flip in prop::option::of((0..32usize, 1..=255u8)),
            block32: bool,
        ) {
            let block_len = if block32 { 32 } else { 16 };
            let mut block: Vec<u8> = (100..100 + block_len as u8).collect();
            block.iter_mut().rev().take(usize::from(count).max(1)).for_each(|byte| *byte = count);
            if let Some((at, bits)) = flip {
                block[at % block_len] ^= bits;
            }
            let last = usize::from(block[block_len - 1]);
            let fits = (1..=block_len).contains(&last);
            let message = fits.then(|| block.split_at(block_len - last));
            let iso10126 = message.map(|(message, _)| message).ok_or(NotAuthentic);
            let pkcs7 = message.filter(|(_, padding)| padding.iter().all(|byte| usize::from(*byte) == last));
            let pkcs7 = pkcs7.map(|(message, _)| message).ok_or(NotAuthentic);
            prop_assert_eq!(Padding::Pkcs7 { block_len }.strip(&block), pkcs7);
            if !block32 {
                prop_assert_eq!(Padding::Iso10126.strip(&block), iso10126);
            }
        }
    }
}
