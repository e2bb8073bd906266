//! CSV files as a data provider might send them, made from a seed: the same every time.

use std::fs::File;
use std::io::{self, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};

/// The smallest and the largest of the small and middling files, as powers of two.
const SIZES_LOG2: std::ops::RangeInclusive<u64> = 8..=20;

pub(super) struct CsvFile {
    pub(super) path: PathBuf,
    pub(super) len: u64,
}

/// Makes `count` files of mixed sizes and, in their middle, one of about `large_len` bytes.
pub(super) fn make_files(dir: &Path, count: usize, large_len: u64) -> io::Result<Vec<CsvFile>> {
    let mut random = Random(1);
    let span = SIZES_LOG2.end() - SIZES_LOG2.start();
    (0..=count)
        .map(|i| {
            let small = 1 << (SIZES_LOG2.start() + random.next() % span);
            let len = if i == count.div_ceil(2) { large_len } else { small + random.next() % small };
            let path = dir.join(format!("payments-{i:04}.csv"));
            make_file(&path, len, &mut random).map(|len| CsvFile { path, len })
        })
        .collect()
}

fn make_file(path: &Path, len: u64, random: &mut Random) -> io::Result<u64> {
    const STATES: [&str; 4] = ["booked", "pending", "returned", "cancelled"];
    const CURRENCIES: [&str; 4] = ["EUR", "USD", "PLN", "JPY"];
    let mut file = BufWriter::new(File::create(path)?);
    let header = "payment_id,day,payer,payee,amount,currency,state\n";
    file.write_all(header.as_bytes())?;
    let mut written = header.len() as u64;
    let mut row = Vec::new();
    while written < len {
        let r = random.next();
        let pick = |words: [&'static str; 4], bits: u32| words[(r >> bits & 3) as usize];
        row.clear();
        writeln!(
            row,
            "{r:016x},2026-{:02}-{:02},DE{:010},FR{:010},{}.{:02},{},{}",
            r % 12 + 1,
            r % 28 + 1,
            r >> 31,
            r >> 30 & 0xffff_ffff,
            r >> 45,
            r % 100,
            pick(CURRENCIES, 7),
            pick(STATES, 11),
        )?;
        file.write_all(&row)?;
        written += row.len() as u64;
    }
    file.flush()?;
    Ok(written)
}

/// Whether both files can be read and are equal.
pub(super) fn same_contents(a: &Path, b: &Path) -> bool {
    let compare = || -> io::Result<bool> {
        let (mut a, mut b) = (File::open(a)?, File::open(b)?);
        if a.metadata()?.len() != b.metadata()?.len() {
            return Ok(false);
        }
        let (mut left, mut right) = (vec![0; 1 << 18], vec![0; 1 << 18]);
        loop {
            let read = a.read(&mut left)?;
            if read == 0 {
                return Ok(true);
            }
            b.read_exact(&mut right[..read])?;
            if left[..read] != right[..read] {
                return Ok(false);
            }
        }
    };
    compare().unwrap_or(false)
}

/// SplitMix64: good enough for made-up payments, and for nothing else.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }
}
