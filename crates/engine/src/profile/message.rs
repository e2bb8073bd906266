//! A message: its files, and the documents in them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::IoSliceMut;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use waxwing_profiles::document::zip::{MemberError, unpack_member};
use waxwing_profiles::document::{DOCUMENT_LEN_MAX, Document, DocumentError, DocumentKind, Selected};
use waxwing_profiles::{ITEM, Part, PartKind, Profile, Selector};

use super::error::MessageError;
use crate::body::Bytes;
use crate::io::{Input, Spool, anonymous_file, read_exact_at};
use crate::{Error, Work};

/// The files of a message.
#[derive(Default)]
pub struct Parts {
    files: BTreeMap<String, Input>,
    bodies: Option<PathBuf>,
}

impl Parts {
    /// Adds the file of a part, under the part's name in the profile, or a body under the name that the message has for it.
    pub fn insert(&mut self, name: impl Into<String>, file: Input) {
        self.files.insert(name.into(), file);
    }

    /// Where bodies lie that were not added one by one. The message names them; names that are no plain file names are
    /// refused.
    pub fn bodies_in(&mut self, folder: PathBuf) {
        self.bodies = Some(folder);
    }
}

/// The longest member of an archive that is unpacked.
const MEMBER_LEN_MAX: u64 = 1 << 36;

/// A message whose documents were read.
pub(super) struct Message<'a> {
    profile: &'a Profile,
    documents: BTreeMap<&'a str, Document>,
    files: BTreeMap<String, Bytes>,
    bodies: Option<PathBuf>,
    work: &'a Work<'a>,
}

impl<'a> Message<'a> {
    /// Reads the documents of `parts`. The rest stays where it is.
    pub(super) fn read(profile: &'a Profile, parts: Parts, work: &'a Work<'a>) -> Result<Self, Error> {
        let Parts { files, bodies } = parts;
        let mut message = Self { profile, documents: BTreeMap::new(), files: BTreeMap::new(), bodies, work };
        for (name, _) in profile.files() {
            if !files.contains_key(name) {
                return Err(MessageError::NoPart { name: name.to_owned() }.into());
            }
        }
        for (name, input) in files {
            let known = profile.part(&name);
            if known.is_none_or(|part| part.from.is_some()) && profile.repeat.is_none() {
                let known: Vec<&str> = profile.files().map(|(name, _)| name).collect();
                return Err(MessageError::UnknownPart { name, known: known.join(", ") }.into());
            }
            let (file, len) = Spool::file(input, work.spool_dir).map_err(Error::spool)?;
            message.files.insert(name, Bytes::File(Arc::new(file), 0..len));
        }
        for (name, part) in profile.files().filter(|(_, part)| !part.kind.is_unbounded()) {
            let document = message.document_of_file(name, part)?;
            message.documents.insert(name, document);
        }
        message.read_nested()?;
        Ok(message)
    }

    /// A message to be written, of which only the templates are there.
    pub(super) fn blank(profile: &'a Profile, work: &'a Work<'a>) -> Result<Self, Error> {
        let mut documents = BTreeMap::new();
        for (name, part) in &profile.parts {
            if let Some(template) = part.template.as_ref().filter(|_| part.kind != PartKind::Jwe) {
                documents.insert(name.as_str(), parse(name, part, template.as_bytes())?);
            }
        }
        Ok(Self { profile, documents, files: BTreeMap::new(), bodies: None, work })
    }

    /// Documents in documents. The profile has no circles, so that each round reads one at the least.
    fn read_nested(&mut self) -> Result<(), Error> {
        let mut left: Vec<(&str, &Part, &Selector)> = self
            .profile
            .parts
            .iter()
            .filter_map(|(name, part)| part.from.as_ref().map(|from| (name.as_str(), part, from)))
            .collect();
        while !left.is_empty() {
            let (ready, later): (Vec<_>, Vec<_>) =
                left.into_iter().partition(|(_, _, from)| self.documents.contains_key(from.part.as_str()));
            if ready.is_empty() {
                return Ok(());
            }
            for (name, part, from) in ready {
                let Some(text) = self.text(None, from, false)? else {
                    return Err(MessageError::Absent { at: from.clone() }.into());
                };
                let document = parse(name, part, text.as_bytes())?;
                self.documents.insert(name, document);
            }
            left = later;
        }
        Ok(())
    }

    fn document_of_file(&self, name: &str, part: &Part) -> Result<Document, Error> {
        let (file, limit) = (self.file(name)?, DOCUMENT_LEN_MAX as u64);
        if file.len() > limit {
            let part = name.to_owned();
            return Err(MessageError::DocumentLength { part, len: file.len(), limit }.into());
        }
        let Bytes::File(file, range) = file else { unreachable!("parts are files") };
        let mut bytes = vec![0; usize::try_from(range.end).expect("it is below the limit")];
        read_exact_at(file, 0, &mut [IoSliceMut::new(&mut bytes)]).map_err(Error::input)?;
        parse(name, part, &bytes)
    }

    /// The file of a part.
    fn file(&self, name: &str) -> Result<&Bytes, Error> {
        let missing = || MessageError::NoPart { name: printable(name) };
        Ok(self.files.get(name).ok_or_else(missing)?)
    }

    /// The file of a body that the message names.
    pub(super) fn body(&self, name: &str) -> Result<Bytes, Error> {
        let Some(folder) = self.bodies.as_ref().filter(|_| !self.files.contains_key(name)) else {
            return self.file(name).cloned();
        };
        let plain = matches!(Path::new(name).components().collect::<Vec<_>>()[..], [Component::Normal(only)] if only == name);
        if !plain {
            return Err(MessageError::BodyName { name: printable(name) }.into());
        }
        match Input::open(&folder.join(name)).map_err(Error::input)? {
            Input::File { file, len } => Ok(Bytes::File(Arc::new(file), 0..len)),
            Input::Stream(_) => Err(MessageError::NoPart { name: printable(name) }.into()),
        }
    }

    /// What stands at a place of a document: an item's own, or the message's.
    pub(super) fn select<'b>(
        &'b self,
        item: Option<Selected<'b>>,
        at: &Selector,
    ) -> Result<Option<Selected<'b>>, Error> {
        let malformed = |source| MessageError::Document { part: at.part.clone(), source };
        if at.part == ITEM {
            let item = item.expect("items are asked for inside [repeat] alone");
            return Ok(item.select(&at.path).map_err(malformed)?);
        }
        // What is being written has no documents but its templates.
        let Some(document) = self.documents.get(at.part.as_str()) else { return Ok(None) };
        Ok(document.select(&at.path).map_err(malformed)?)
    }

    /// The text at a place. An empty one is refused unless `empty` says that it may be.
    pub(super) fn text<'b>(
        &'b self,
        item: Option<Selected<'b>>,
        at: &Selector,
        empty: bool,
    ) -> Result<Option<Cow<'b, str>>, Error> {
        let Some(selected) = self.select(item, at)? else { return Ok(None) };
        let malformed = |source| MessageError::Document { part: at.part.clone(), source };
        let not_text = || malformed(DocumentError::NotText { path: at.path.clone() });
        let text = selected.text().ok_or_else(not_text)?;
        if text.is_empty() && !empty {
            return Err(malformed(DocumentError::Empty { path: at.path.clone() }).into());
        }
        Ok(Some(text))
    }

    /// The text at a path of an entry.
    pub(super) fn item_text<'b>(&self, item: Selected<'b>, path: &str) -> Result<Cow<'b, str>, Error> {
        let at = Selector { part: ITEM.to_owned(), path: path.to_owned() };
        let found =
            item.select(path).map_err(|source| MessageError::Document { part: at.part.clone(), source })?;
        let text = found.and_then(Selected::text).filter(|text| !text.is_empty());
        Ok(text.ok_or(MessageError::Absent { at })?)
    }

    /// The entries of a list.
    pub(super) fn items(&self, over: &Selector) -> Result<Vec<Selected<'_>>, Error> {
        let malformed = |source| MessageError::Document { part: over.part.clone(), source };
        let document = self.documents.get(over.part.as_str()).expect("every document was read");
        Ok(document.items(&over.path).map_err(malformed)?)
    }

    /// Bytes at a place of a part of any length.
    pub(super) fn unbounded(&self, at: &Selector, kind: PartKind) -> Result<Bytes, Error> {
        let file = self.file(&at.part)?;
        match (kind, file) {
            (PartKind::Zip, Bytes::File(archive, _)) => self.member(archive, at),
            _ => Ok(file.clone()),
        }
    }

    /// A member of an archive, unpacked into a file without a name: it may be long, and is read twice.
    fn member(&self, archive: &Arc<File>, at: &Selector) -> Result<Bytes, Error> {
        let archive = archive.try_clone().map_err(Error::input)?;
        let mut spool = anonymous_file(self.work.spool_dir).map_err(Error::spool)?;
        let len = unpack_member(archive, &at.path, MEMBER_LEN_MAX, &mut spool).map_err(|err| match err {
            MemberError::Document(source) => MessageError::Document { part: at.part.clone(), source }.into(),
            MemberError::Read(source) => Error::input(source),
            MemberError::Write(source) => Error::spool(source),
        })?;
        Ok(Bytes::File(Arc::new(spool), 0..len))
    }
}

/// How a part is read or written.
pub(super) fn document_kind(part: &Part) -> DocumentKind {
    match part.kind {
        PartKind::Json => DocumentKind::Json,
        PartKind::Xml => DocumentKind::Xml,
        PartKind::Headers => DocumentKind::Headers,
        PartKind::Jwe => DocumentKind::Jwe,
        PartKind::Text | PartKind::Raw | PartKind::Zip => DocumentKind::Text,
    }
}

fn parse(name: &str, part: &Part, bytes: &[u8]) -> Result<Document, Error> {
    let kind = document_kind(part);
    let malformed = |source| MessageError::Document { part: name.to_owned(), source };
    Ok(Document::parse(kind, bytes).map_err(malformed)?)
}

/// A foreign text as a message may quote it: short, and without control characters.
pub(super) fn printable(text: &str) -> String {
    const QUOTED_CHARS_MAX: usize = 60;
    text.chars().take(QUOTED_CHARS_MAX).flat_map(char::escape_default).collect()
}
