//! Members of a ZIP archive. Their names find them and nothing else: none ever becomes a path.

use std::io::{Read, Seek, Write};

use zip::CompressionMethod;
use zip::read::ZipArchive;

use super::{DocumentError, quotable};

/// The most members of an archive.
pub const MEMBERS_MAX: usize = 1000;
/// Bytes that are unpacked at once.
const PIECE_LEN: usize = 64 << 10;

/// Unpacks the one member whose name matches `glob` into `sink`, and says how long it is. In a glob `*` is any text
/// and `?` any character.
///
/// # Errors
///
/// [`MemberError`].
pub fn unpack_member(
    archive: impl Read + Seek,
    glob: &str,
    len_max: u64,
    sink: &mut impl Write,
) -> Result<u64, MemberError> {
    let mut archive = ZipArchive::new(archive).map_err(refused)?;
    if archive.len() > MEMBERS_MAX {
        return Err(DocumentError::TooMany { what: "members", max: MEMBERS_MAX }.into());
    }
    if archive.has_duplicate_names() {
        return Err(DocumentError::Zip.into());
    }
    let names = archive.file_names_raw().map(String::from_utf8_lossy);
    let found: Vec<usize> =
        names.enumerate().filter(|(_, name)| matches(glob, name)).map(|(index, _)| index).collect();
    let [index] = found[..] else {
        return Err(DocumentError::Members { glob: glob.to_owned(), count: found.len() }.into());
    };
    let mut member = archive.by_index(index).map_err(refused)?;
    let name = quotable(&String::from_utf8_lossy(member.name_raw()));
    let refuse = |why| DocumentError::Member { name: name.clone(), why };
    if member.encrypted() {
        return Err(refuse("encrypted by the archive").into());
    }
    if !matches!(member.compression(), CompressionMethod::Stored | CompressionMethod::Deflated) {
        return Err(refuse("packed in a way that is not read").into());
    }
    if member.size() > len_max {
        return Err(refuse("longer than is read").into());
    }
    copy(&mut member, len_max, sink)?.ok_or_else(|| refuse("longer than is read").into())
}

/// The archive says how long a member is; only counting tells.
fn copy(member: &mut impl Read, len_max: u64, sink: &mut impl Write) -> Result<Option<u64>, MemberError> {
    let (mut buffer, mut len) = (vec![0; PIECE_LEN], 0);
    loop {
        // What reads wrong was packed wrong: the archive itself was read before.
        let read = member.read(&mut buffer).map_err(|_| DocumentError::Zip)?;
        if read == 0 {
            return Ok(Some(len));
        }
        len += read as u64;
        if len > len_max {
            return Ok(None);
        }
        sink.write_all(&buffer[..read]).map_err(MemberError::Write)?;
    }
}

/// The names of an archive's members, printable, and how long each claims to be.
///
/// # Errors
///
/// [`MemberError`].
pub fn members(archive: impl Read + Seek) -> Result<Vec<(String, u64)>, MemberError> {
    let mut archive = ZipArchive::new(archive).map_err(refused)?;
    if archive.len() > MEMBERS_MAX {
        return Err(DocumentError::TooMany { what: "members", max: MEMBERS_MAX }.into());
    }
    (0..archive.len())
        .map(|index| {
            let member = archive.by_index_raw(index).map_err(refused)?;
            Ok((String::from_utf8_lossy(member.name_raw()).into_owned(), member.size()))
        })
        .collect()
}

fn refused(err: zip::result::ZipError) -> MemberError {
    match err {
        zip::result::ZipError::Io(err) if err.kind() != std::io::ErrorKind::UnexpectedEof => {
            MemberError::Read(err)
        }
        _ => DocumentError::Zip.into(),
    }
}

/// Why a member was not unpacked.
#[derive(Debug, thiserror::Error)]
pub enum MemberError {
    /// The archive is refused.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// The archive could not be read.
    #[error("the archive cannot be read")]
    Read(#[source] std::io::Error),
    /// The member could not be written.
    #[error("the member cannot be written")]
    Write(#[source] std::io::Error),
}

/// Whether `name` is as `glob` says.
pub(crate) fn matches(glob: &str, name: &str) -> bool {
    let (glob, name): (Vec<char>, Vec<char>) = (glob.chars().collect(), name.chars().collect());
    // The last `*` seen, and the part of the name that it swallowed so far.
    let (mut g, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match glob.get(g) {
            Some('*') => {
                star = Some((g, n));
                g += 1;
            }
            Some(&c) if c == '?' || c == name[n] => (g, n) = (g + 1, n + 1),
            _ => match star {
                Some((at, swallowed)) => {
                    star = Some((at, swallowed + 1));
                    (g, n) = (at + 1, swallowed + 1);
                }
                None => return false,
            },
        }
    }
    glob[g..].iter().all(|&c| c == '*')
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use zip::write::{SimpleFileOptions, ZipWriter};

    use super::*;

    fn archive(members: &[(&str, &[u8])]) -> Cursor<Vec<u8>> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in members {
            let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
            writer.start_file(*name, options).unwrap();
            writer.write_all(bytes).unwrap();
        }
        writer.finish().unwrap()
    }

    fn unpack(archive: Cursor<Vec<u8>>, glob: &str, max: u64) -> Result<Vec<u8>, String> {
        let mut sink = Vec::new();
        unpack_member(archive, glob, max, &mut sink).map(|_| sink).map_err(|err| err.to_string())
    }

    #[test]
    fn one_member_is_found_by_its_pattern() {
        let made = || archive(&[("a_Key", b"k"), ("a_Payload", b"payload"), ("dir/../x", b"")]);
        assert_eq!(unpack(made(), "*_Payload", 100), Ok(b"payload".to_vec()));
        assert_eq!(unpack(made(), "?_Key", 100), Ok(b"k".to_vec()));
        assert_eq!(
            unpack(made(), "*_Other", 100).unwrap_err(),
            "0 members of the archive are called `*_Other`; it must be one"
        );
        assert!(unpack(made(), "a_*", 100).unwrap_err().starts_with("2 members"));
    }

    #[test]
    fn attack_29_a_bomb_is_cut_at_its_limit_whatever_it_says() {
        let bomb = archive(&[("bomb", &[0; 1 << 20])]);
        assert!(bomb.get_ref().len() < 4096);
        assert!(unpack(bomb.clone(), "bomb", (1 << 20) - 1).unwrap_err().contains("longer than is read"));
        // The size in both of its headers lies.
        let mut lying = bomb.into_inner();
        for at in 0..lying.len() - 4 {
            if lying[at..at + 4] == (1u32 << 20).to_le_bytes() {
                lying[at..at + 4].copy_from_slice(&7u32.to_le_bytes());
            }
        }
        assert!(unpack(Cursor::new(lying), "bomb", 1000).is_err());
    }

    #[test]
    fn what_is_no_archive_is_refused() {
        for bytes in [&b""[..], b"PK\x03\x04", &[0; 100]] {
            assert_eq!(
                unpack(Cursor::new(bytes.to_vec()), "*", 100).unwrap_err(),
                "it is not a ZIP archive, or a damaged one"
            );
        }
        let many: Vec<(String, Vec<u8>)> = (0..=MEMBERS_MAX).map(|n| (n.to_string(), Vec::new())).collect();
        let many: Vec<(&str, &[u8])> =
            many.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
        assert!(unpack(archive(&many), "1", 100).unwrap_err().contains("more than 1000 members"));
    }

    #[test]
    fn globs() {
        for (glob, name, expected) in [
            ("*", "", true),
            ("*_Key", "x_Key", true),
            ("*_Key", "x_Key_", false),
            ("a*b*c", "axxbyybzc", true),
            ("a*b*c", "axxbyybz", false),
            ("?", "", false),
            ("??", "äb", true),
        ] {
            assert_eq!(matches(glob, name), expected, "{glob} {name}");
        }
    }
}
