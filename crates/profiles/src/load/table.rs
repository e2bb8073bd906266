//! TOML tables that know where they stand, and that nothing in them may be left unread.

use std::collections::BTreeSet;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::PROFILE_LEN_MAX;
use crate::ProfileError;

/// The text of a profile, to tell lines.
#[derive(Clone, Copy)]
pub(crate) struct Text<'a>(pub(crate) &'a str);

impl Text<'_> {
    pub(crate) fn line(self, offset: usize) -> usize {
        1 + self.0.as_bytes().iter().take(offset).filter(|&&byte| byte == b'\n').count()
    }
}

/// A whole file.
pub(crate) struct Root<'a> {
    text: Text<'a>,
    root: Spanned<DeTable<'a>>,
    name: &'a str,
}

impl<'a> Root<'a> {
    /// Reads a file, which messages call `name`.
    pub(crate) fn parse(toml: &'a str, name: &'a str) -> Result<Self, ProfileError> {
        if toml.len() > PROFILE_LEN_MAX {
            let fault = format!("{name} is {} bytes long; the limit is {PROFILE_LEN_MAX}", toml.len());
            return Err(ProfileError::new(1, fault));
        }
        let text = Text(toml);
        let root = DeTable::parse(toml).map_err(|err| {
            let line = err.span().map_or(1, |span| text.line(span.start));
            ProfileError::new(line, format!("this is not TOML: {}", err.message()))
        })?;
        Ok(Self { text, root, name })
    }

    pub(crate) fn table(&self) -> Table<'_> {
        Table::new(self.text, self.root.get_ref(), self.name, 1)
    }
}

/// A value and where it stands.
#[derive(Clone, Copy)]
pub(crate) struct Item<'a> {
    text: Text<'a>,
    value: &'a Spanned<DeValue<'a>>,
    /// What it is called, for messages.
    name: &'a str,
}

impl<'a> Item<'a> {
    pub(crate) fn line(self) -> usize {
        self.text.line(self.value.span().start)
    }

    pub(crate) fn error(self, fault: impl std::fmt::Display) -> ProfileError {
        ProfileError::new(self.line(), format!("`{}` {fault}", self.name))
    }

    pub(crate) fn as_str(self) -> Option<&'a str> {
        self.value.get_ref().as_str()
    }

    pub(crate) fn str(self) -> Result<&'a str, ProfileError> {
        self.as_str().ok_or_else(|| self.error("must be a text"))
    }

    pub(crate) fn string(self) -> Result<String, ProfileError> {
        self.str().map(str::to_owned)
    }

    /// A number from 0 to `max`.
    pub(crate) fn number(self, max: u64) -> Result<u64, ProfileError> {
        let number = self.value.get_ref().as_integer().and_then(|number| {
            u64::from_str_radix(number.as_str().trim_start_matches('+'), number.radix()).ok()
        });
        number
            .filter(|&number| number <= max)
            .ok_or_else(|| self.error(format_args!("must be a number from 0 to {max}")))
    }

    pub(crate) fn is_false(self) -> bool {
        self.value.get_ref().as_bool() == Some(false)
    }

    pub(crate) fn is_number(self) -> bool {
        self.value.get_ref().is_integer()
    }

    /// An array's items, or the value itself as the only one.
    pub(crate) fn one_or_more(self) -> Result<Vec<Item<'a>>, ProfileError> {
        match self.value.get_ref().as_array() {
            None => Ok(vec![self]),
            Some(array) if array.is_empty() => Err(self.error("is empty")),
            Some(_) => self.array(),
        }
    }

    pub(crate) fn array(self) -> Result<Vec<Item<'a>>, ProfileError> {
        let array = self.value.get_ref().as_array().ok_or_else(|| self.error("must be a list"))?;
        Ok(array.iter().map(|value| Item { value, ..self }).collect())
    }

    pub(crate) fn is_table(self) -> bool {
        self.value.get_ref().is_table()
    }

    pub(crate) fn table(self) -> Result<Table<'a>, ProfileError> {
        let table = self.value.get_ref().as_table().ok_or_else(|| self.error("must be a table"))?;
        Ok(Table::new(self.text, table, self.name, self.line()))
    }

    /// The value that a word stands for.
    pub(crate) fn word<T: Copy>(self, words: &[(&'static str, T)]) -> Result<T, ProfileError> {
        let word = self.str()?;
        let found = words.iter().find(|(known, _)| *known == word);
        found.map(|&(_, value)| value).ok_or_else(|| {
            let known: Vec<&str> = words.iter().map(|(known, _)| *known).collect();
            self.error(format_args!("is `{}`; known are {}", word.escape_debug(), known.join(", ")))
        })
    }
}

/// A table, and which of its fields were asked for.
pub(crate) struct Table<'a> {
    text: Text<'a>,
    table: &'a DeTable<'a>,
    name: &'a str,
    line: usize,
    known: BTreeSet<&'static str>,
}

impl<'a> Table<'a> {
    pub(crate) fn new(text: Text<'a>, table: &'a DeTable<'a>, name: &'a str, line: usize) -> Self {
        Self { text, table, name, line, known: BTreeSet::new() }
    }

    pub(crate) fn line(&self) -> usize {
        self.line
    }

    pub(crate) fn error(&self, fault: impl Into<String>) -> ProfileError {
        ProfileError::new(self.line, fault)
    }

    /// A field that need not be there.
    pub(crate) fn optional(&mut self, name: &'static str) -> Option<Item<'a>> {
        self.known.insert(name);
        let (_, value) = self.table.get_key_value(name)?;
        Some(Item { text: self.text, value, name })
    }

    /// A field that must be there.
    pub(crate) fn required(&mut self, name: &'static str) -> Result<Item<'a>, ProfileError> {
        self.optional(name).ok_or_else(|| self.error(format!("[{}] has no `{name}`", self.name)))
    }

    /// Every field, whatever its name.
    pub(crate) fn entries(&self) -> Vec<(&'a str, usize, Item<'a>)> {
        let entry = |(key, value): (&'a Spanned<toml::de::DeString<'a>>, &'a Spanned<DeValue<'a>>)| {
            let name: &'a str = key.get_ref();
            (name, self.text.line(key.span().start), Item { text: self.text, value, name })
        };
        let mut entries: Vec<_> = self.table.iter().map(entry).collect();
        entries.sort_by_key(|(_, line, item)| (*line, item.value.span().start));
        entries
    }

    /// Fails for a field that nobody asked for: it would be believed to mean something.
    pub(crate) fn finish(self) -> Result<(), ProfileError> {
        for (name, line, _) in self.entries() {
            if !self.known.contains(name) {
                let known: Vec<&str> = self.known.iter().copied().collect();
                return Err(ProfileError::new(
                    line,
                    format!(
                        "unknown field `{}` in [{}]; known are {}",
                        name.escape_debug(),
                        self.name,
                        known.join(", ")
                    ),
                ));
            }
        }
        Ok(())
    }
}
