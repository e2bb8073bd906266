use std::io::{IoSlice, IoSliceMut};

use zeroize::Zeroize as _;

/// Several frames in one buffer, each in a slot of its own, so that they are read or written with one call and sealed or
/// opened in place: plaintext is copied once in and ciphertext once out, and nothing between.
///
/// Wiped on drop, since it may hold plaintext.
pub(crate) struct Batch {
    bytes: Vec<u8>,
    slot_len: usize,
    /// How far plaintext may have come: only that much is wiped, so that small work stays small.
    touched: usize,
}

/// How many bytes a batch of small frames holds at most: so few that most of them stay in a core's cache between reading,
/// sealing and writing.
const BATCH_LEN: usize = 640 << 10;

impl Batch {
    /// A batch of so many slots.
    pub(crate) fn new(slot_len: usize, slots: usize) -> Self {
        Self { bytes: vec![0; slot_len * slots], slot_len, touched: 0 }
    }

    /// A batch for pieces of a body of this length: a short body does not pay for a whole slot.
    pub(crate) fn for_body(slot_len: usize, slots: usize, body_len: u64) -> Self {
        Self::new(slot_len.min(usize::try_from(body_len).unwrap_or(usize::MAX)), slots)
    }

    /// How many slots of this length a batch should have; at least one.
    pub(crate) fn slots_for(slot_len: usize) -> usize {
        (BATCH_LEN / slot_len).max(1)
    }

    /// The first `part` bytes of each slot, until they are `total` bytes.
    pub(crate) fn parts(&self, part: usize, total: usize) -> Vec<IoSlice<'_>> {
        let slots = self.bytes.chunks(self.slot_len);
        part_lens(part, total).zip(slots).map(|(len, slot)| IoSlice::new(&slot[..len])).collect()
    }

    /// The same, to be filled.
    pub(crate) fn parts_mut(&mut self, part: usize, total: usize) -> Vec<IoSliceMut<'_>> {
        self.touched = self.touched.max(total.div_ceil(part) * self.slot_len);
        let slots = self.bytes.chunks_mut(self.slot_len);
        part_lens(part, total).zip(slots).map(|(len, slot)| IoSliceMut::new(&mut slot[..len])).collect()
    }

    /// The first slot.
    pub(crate) fn first_mut(&mut self) -> &mut [u8] {
        let len = self.slot_len.min(self.bytes.len());
        &mut self.bytes[..len]
    }

    /// The slots.
    pub(crate) fn slots_mut(&mut self) -> impl Iterator<Item = &mut [u8]> {
        self.bytes.chunks_mut(self.slot_len)
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.bytes[..self.touched].zeroize();
    }
}

fn part_lens(part: usize, total: usize) -> impl Iterator<Item = usize> {
    (0..total.div_ceil(part)).map(move |i| part.min(total - i * part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_leave_the_rest_of_each_slot_alone() {
        assert_eq!(Batch::slots_for(BATCH_LEN / 4), 4);
        assert_eq!(Batch::slots_for(16 * BATCH_LEN), 1);
        let mut batch = Batch::new(BATCH_LEN / 4, 4);
        let lens: Vec<usize> = batch.parts_mut(100, 250).iter().map(|part| part.len()).collect();
        assert_eq!(lens, [100, 100, 50]);
        assert_eq!(batch.parts(100, 400).len(), 4);
        assert!(batch.parts(100, 0).is_empty());
    }
}
