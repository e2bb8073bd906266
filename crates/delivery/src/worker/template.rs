use std::str::FromStr;

use crate::FileId;

/// What stands for the file id in a template.
const FILE_ID: &str = "${FileID}";
/// The longest text around the file id, so that every name fits a file system's 255 bytes.
const AROUND_LEN_MAX: usize = 64;

/// How an output is called after its file id, such as `${FileID}.csv`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameTemplate {
    before: String,
    after: String,
}

impl NameTemplate {
    /// The output of the file with this id. It has no separator, since neither the template nor a file id has one.
    pub fn output(&self, file_id: &FileId) -> String {
        format!("{}{file_id}{}", self.before, self.after)
    }
}

impl Default for NameTemplate {
    /// `${FileID}.csv`
    fn default() -> Self {
        Self { before: String::new(), after: ".csv".to_owned() }
    }
}

impl FromStr for NameTemplate {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, TemplateError> {
        let (before, after) = text.split_once(FILE_ID).ok_or(TemplateError)?;
        let plain = |part: &str| part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        if !plain(before)
            || !plain(after)
            || before.starts_with('.')
            || before.len() + after.len() > AROUND_LEN_MAX
        {
            return Err(TemplateError);
        }
        Ok(Self { before: before.to_owned(), after: after.to_owned() })
    }
}

/// A template that could lead elsewhere, or give two files one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "an output's name is `{FILE_ID}` once, with at most {AROUND_LEN_MAX} of the characters A-Z a-z 0-9 . _ - around it"
)]
pub struct TemplateError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_names_outputs_below_its_folder() {
        let id: FileId = "q3".parse().unwrap();
        assert_eq!(NameTemplate::default().output(&id), "q3.csv");
        assert_eq!("in-${FileID}.json".parse::<NameTemplate>().unwrap().output(&id), "in-q3.json");
    }

    #[test]
    fn attack_23_a_template_cannot_lead_elsewhere() {
        for bad in
            ["", "x.csv", "../${FileID}", "a/${FileID}", ".${FileID}", "${FileID}${FileID}", "${FileID}\n"]
        {
            assert!(bad.parse::<NameTemplate>().is_err(), "{bad:?}");
        }
    }
}
