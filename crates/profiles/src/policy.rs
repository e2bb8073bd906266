//! Which schemes may be opened or written, with whom, and until when: `policy.toml`.
//!
//! ```toml
//! default = "allow"
//!
//! [[rule]]
//! schemes  = ["pkcs1", "xml-enc-*"]
//! actions  = ["seal"]
//! agents   = ["bank-*"]
//! from     = "2027-01-01"
//! until    = "2027-12-31"
//! decision = "refuse"
//! reason   = "ends with the contract"
//! ```
//!
//! The first rule that fits a request decides it. A rule fits when one of its schemes does (the name of a profile, with `*` and
//! `?`, or a [`Property`]), and its action, agent and dates do, where it names any. Both dates belong to the time.

use std::fmt;
use std::str::FromStr;

use crate::ProfileError;
use crate::document::zip::matches;
use crate::load::table::{Item, Root};
use crate::model::{Profile, UnwrapAlgorithm};
use waxwing_formats::body::BodyCipher;
use waxwing_formats::scheme::{Cipher, Digest, Scheme, Wrap};

/// The most rules of a policy.
pub const RULES_MAX: usize = 1000;

/// What a scheme is like, in words that a rule may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Property {
    /// RSAES-PKCS1-v1_5 wraps the key.
    Pkcs1,
    /// OAEP with SHA-1 wraps the key.
    Sha1Oaep,
    /// AES-CBC encrypts the content.
    Cbc,
    /// AES-ECB wraps the key or encrypts the content.
    Ecb,
    /// Nothing authenticates the content.
    Unauthenticated,
    /// It is the native envelope.
    Envelope,
    /// It is the record scheme.
    Record,
}

impl Property {
    /// Every property with its word.
    pub const ALL: [(&'static str, Self); 7] = [
        ("pkcs1", Self::Pkcs1),
        ("sha1-oaep", Self::Sha1Oaep),
        ("cbc", Self::Cbc),
        ("ecb", Self::Ecb),
        ("unauthenticated", Self::Unauthenticated),
        ("envelope", Self::Envelope),
        ("record", Self::Record),
    ];
}

/// What a policy asks about a scheme.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemeFacts {
    /// Its name: a profile's id, `envelope`, or a record's scheme text.
    pub id: String,
    /// What it is like.
    pub properties: Vec<Property>,
}

impl SchemeFacts {
    /// The native envelope.
    pub fn envelope() -> Self {
        Self { id: "envelope".to_owned(), properties: vec![Property::Envelope] }
    }
}

impl From<&Profile> for SchemeFacts {
    /// What the profile may come to: a property that one choice of a message has, the profile has.
    fn from(profile: &Profile) -> Self {
        let wraps = |wanted| profile.unwrap.algorithm.possible().any(|&algorithm| algorithm == wanted);
        let content =
            |wanted: &[BodyCipher]| profile.content.cipher.possible().any(|cipher| wanted.contains(cipher));
        let sha1 =
            profile.unwrap.hash.iter().flat_map(|hash| hash.possible()).any(|&hash| hash == Digest::Sha1);
        let cbc =
            [BodyCipher::CbcPkcs7, BodyCipher::CbcPkcs7Block32, BodyCipher::CbcIso10126, BodyCipher::CbcHmac];
        let has = [
            (wraps(UnwrapAlgorithm::RsaPkcs1), Property::Pkcs1),
            (wraps(UnwrapAlgorithm::RsaOaep) && sha1, Property::Sha1Oaep),
            (content(&cbc), Property::Cbc),
            (wraps(UnwrapAlgorithm::AesEcbPkcs7) || content(&[BodyCipher::EcbPkcs7]), Property::Ecb),
            (!profile.protection().is_authenticated(), Property::Unauthenticated),
            (profile.id.starts_with("record-"), Property::Record),
        ];
        let properties = has.into_iter().filter_map(|(has, property)| has.then_some(property)).collect();
        Self { id: profile.id.clone(), properties }
    }
}

impl From<Scheme> for SchemeFacts {
    fn from(scheme: Scheme) -> Self {
        let sha1 = matches!(scheme.wrap, Wrap::Oaep { digest: Digest::Sha1, .. });
        let cbc = matches!(scheme.cipher, Cipher::Cbc(_));
        let has = [
            (true, Property::Record),
            (scheme.wrap == Wrap::Pkcs1, Property::Pkcs1),
            (sha1, Property::Sha1Oaep),
            (cbc, Property::Cbc),
            (cbc, Property::Unauthenticated),
        ];
        let properties = has.into_iter().filter_map(|(has, property)| has.then_some(property)).collect();
        Self { id: scheme.to_string(), properties }
    }
}

/// A day of the Gregorian calendar (RFC 3339, `full-date`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

impl Date {
    /// The day, in UTC, that is so many days after 1970-01-01; at most the last of 9999.
    pub fn from_unix_days(days: u32) -> Self {
        // Howard Hinnant's civil_from_days: years begin in March, so that the leap day is the last.
        const DAYS_MAX: u32 = 2_932_896;
        let days = days.min(DAYS_MAX) + 719_468;
        let (era, of_era) = (days / 146_097, days % 146_097);
        let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * month + 2) / 5 + 1;
        let (month, later) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
        let small = |number: u32| u8::try_from(number).expect("a month or day is small");
        let year = u16::try_from(year + era * 400 + later).expect("the last year is 9999");
        Self { year, month: small(month), day: small(day) }
    }

    /// Days from 1970-01-01 to this one; negative before.
    pub fn unix_days(self) -> i64 {
        let (year, month) = (i64::from(self.year), i64::from(self.month));
        let year = if month <= 2 { year - 1 } else { year };
        let of_year = (153 * ((month + 9) % 12) + 2) / 5 + i64::from(self.day) - 1;
        let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
        era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
    }
}

impl FromStr for Date {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const SHAPE: &str = "is no date like 2027-01-31";
        let digits = |range: std::ops::Range<usize>| -> Option<u16> {
            let digits = text.get(range)?;
            digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
        };
        let parts = (digits(0..4), digits(5..7), digits(8..10));
        let (Some(year), Some(month), Some(day)) = parts else { return Err(SHAPE) };
        if text.len() != 10 || text.as_bytes()[4] != b'-' || text.as_bytes()[7] != b'-' {
            return Err(SHAPE);
        }
        let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let days = match month {
            2 => 28 + u16::from(is_leap),
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => 0,
        };
        if !(1..=days).contains(&day) {
            return Err("is a day that no calendar has");
        }
        Ok(Self { year, month: month as u8, day: day as u8 })
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// To open a message.
    Open,
    /// To write one.
    Seal,
}

const ACTIONS: [(&str, Action); 2] = [("open", Action::Open), ("seal", Action::Seal)];

/// What a rule says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Go on.
    Allow,
    /// Go on, and say why one should not.
    Warn,
    /// Stop before a key is used.
    Refuse,
}

const VERDICTS: [(&str, Verdict); 3] =
    [("allow", Verdict::Allow), ("warn", Verdict::Warn), ("refuse", Verdict::Refuse)];

/// One `[[rule]]`.
#[derive(Debug, Clone)]
pub struct Rule {
    schemes: Vec<Pattern>,
    actions: Vec<Action>,
    agents: Vec<String>,
    /// The first day on which it holds.
    pub from: Option<Date>,
    /// The last day on which it holds.
    pub until: Option<Date>,
    /// What it says.
    pub verdict: Verdict,
    /// Why.
    pub reason: Option<String>,
    /// Where it begins, counted from 1.
    pub line: usize,
}

#[derive(Debug, Clone)]
enum Pattern {
    Property(&'static str, Property),
    Id(String),
}

/// What somebody wants to do.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// What.
    pub action: Action,
    /// With which scheme.
    pub scheme: &'a SchemeFacts,
    /// With whom, where that is known. A rule that names agents does not fit a request without one.
    pub agent: Option<&'a str>,
    /// The day.
    pub today: Date,
}

/// What a policy says to a [`Request`].
#[derive(Debug, Clone, Copy)]
pub struct Decision<'a> {
    /// What it says.
    pub verdict: Verdict,
    /// The rule that decided; `None` for the default.
    pub rule: Option<&'a Rule>,
}

/// A policy: rules in order, and what holds where none fits.
#[derive(Debug, Clone)]
pub struct Policy {
    /// In the order of the file.
    pub rules: Vec<Rule>,
    /// What holds where no rule fits.
    pub default: Verdict,
}

impl Policy {
    /// Reads and checks a policy.
    ///
    /// # Errors
    ///
    /// [`ProfileError`], which names the line.
    pub fn parse(toml: &str) -> Result<Self, ProfileError> {
        let root = Root::parse(toml, "the policy")?;
        let mut root = root.table();
        let default = root.required("default")?;
        let verdict = default.word(&VERDICTS)?;
        if verdict == Verdict::Warn {
            return Err(default.error("is `warn`; a default is `allow` or `refuse`"));
        }
        let rules = match root.optional("rule") {
            None => Vec::new(),
            Some(item) => item.array()?.into_iter().map(rule).collect::<Result<Vec<_>, _>>()?,
        };
        if rules.len() > RULES_MAX {
            return Err(root.error(format!("there are {} rules; the limit is {RULES_MAX}", rules.len())));
        }
        root.finish()?;
        Ok(Self { rules, default: verdict })
    }

    /// What the first rule that fits says, or else the default.
    pub fn decide(&self, request: &Request<'_>) -> Decision<'_> {
        let rule = self.rules.iter().find(|rule| rule.fits(request));
        Decision { verdict: rule.map_or(self.default, |rule| rule.verdict), rule }
    }
}

fn rule(item: Item<'_>) -> Result<Rule, ProfileError> {
    let mut table = item.table()?;
    let schemes = table.required("schemes")?.one_or_more()?;
    let date = |item: Option<Item<'_>>| {
        item.map(|item| item.str()?.parse::<Date>().map_err(|fault| item.error(fault))).transpose()
    };
    let (from, until) = (table.optional("from"), table.optional("until"));
    let until_item = until;
    let rule = Rule {
        schemes: schemes.into_iter().map(pattern).collect::<Result<_, _>>()?,
        actions: match table.optional("actions") {
            None => vec![Action::Open, Action::Seal],
            Some(item) => {
                item.one_or_more()?.into_iter().map(|item| item.word(&ACTIONS)).collect::<Result<_, _>>()?
            }
        },
        agents: match table.optional("agents") {
            None => Vec::new(),
            Some(item) => item.one_or_more()?.into_iter().map(Item::string).collect::<Result<_, _>>()?,
        },
        from: date(from)?,
        until: date(until)?,
        verdict: table.required("decision")?.word(&VERDICTS)?,
        reason: table.optional("reason").map(Item::string).transpose()?,
        line: table.line(),
    };
    if let (Some(from), Some(until), Some(item)) = (rule.from, rule.until, until_item)
        && until < from
    {
        return Err(item.error(format_args!("is before `from`, {from}: the rule would never hold")));
    }
    table.finish()?;
    Ok(rule)
}

fn pattern(item: Item<'_>) -> Result<Pattern, ProfileError> {
    let text = item.str()?;
    if let Some(&(word, property)) = Property::ALL.iter().find(|(word, _)| *word == text) {
        return Ok(Pattern::Property(word, property));
    }
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.+*?".contains(c);
    if text.is_empty() || !text.chars().all(fits) {
        return Err(item.error("has a name that no scheme can have: lower-case letters, digits, `-`, `_`, `.`, `+`, and `*` and `?` for others"));
    }
    if !text.contains(['*', '?', '+']) && crate::preset(text).is_none() {
        let words: Vec<&str> = Property::ALL.iter().map(|(word, _)| *word).collect();
        // A profile of one's own is written with a `*` where it is not among the presets.
        return Err(item.error(format_args!(
            "has `{text}`, which is neither a preset nor one of {}; for a profile of your own write `{text}*`",
            words.join(", ")
        )));
    }
    Ok(Pattern::Id(text.to_owned()))
}

impl Rule {
    fn fits(&self, request: &Request<'_>) -> bool {
        let scheme = |pattern: &Pattern| match pattern {
            Pattern::Property(_, property) => request.scheme.properties.contains(property),
            Pattern::Id(glob) => matches(glob, &request.scheme.id),
        };
        let agent = || request.agent.is_some_and(|agent| self.agents.iter().any(|glob| matches(glob, agent)));
        self.actions.contains(&request.action)
            && self.schemes.iter().any(scheme)
            && (self.agents.is_empty() || agent())
            && self.from.is_none_or(|from| from <= request.today)
            && self.until.is_none_or(|until| request.today <= until)
    }
}

impl fmt::Display for Rule {
    /// The rule in words.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.verdict {
            Verdict::Allow => "allow",
            Verdict::Warn => "warn about",
            Verdict::Refuse => "refuse",
        })?;
        let actions: Vec<&str> = ACTIONS
            .iter()
            .filter(|(_, action)| self.actions.contains(action))
            .map(|(word, _)| if *word == "open" { "opening" } else { "sealing" })
            .collect();
        let schemes: Vec<String> = self
            .schemes
            .iter()
            .map(|pattern| match pattern {
                Pattern::Property(word, _) => format!("whatever is {word}"),
                Pattern::Id(glob) => format!("`{glob}`"),
            })
            .collect();
        write!(f, " {} {}", actions.join(" and "), schemes.join(" or "))?;
        if !self.agents.is_empty() {
            write!(f, " with {}", self.agents.join(" or ").escape_debug())?;
        }
        if let Some(from) = self.from {
            write!(f, " from {from}")?;
        }
        if let Some(until) = self.until {
            write!(f, " until {until}")?;
        }
        match &self.reason {
            Some(reason) => write!(f, ": {}", reason.escape_debug()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> Date {
        text.parse().unwrap()
    }

    const POLICY: &str = r#"
default = "allow"

[[rule]]
schemes = ["jpk"]
agents = ["tax-*"]
until = "2027-01-31"
decision = "warn"
reason = "the gateway ends"

[[rule]]
schemes = ["pkcs1", "xml-enc-c*"]
actions = "seal"
from = "2027-01-01"
decision = "refuse"
"#;

    #[test]
    fn the_first_rule_that_fits_decides() {
        let policy = Policy::parse(POLICY).unwrap();
        let facts = |id: &str| SchemeFacts::from(&crate::preset(id).unwrap().profile);
        let decide = |action, id: &str, agent: Option<&str>, today: &str| {
            policy.decide(&Request { action, scheme: &facts(id), agent, today: date(today) }).verdict
        };
        use {Action::*, Verdict::*};
        for (action, id, agent, today, verdict) in [
            (Seal, "jpk", Some("tax-1"), "2027-01-31", Warn),
            (Seal, "jpk", Some("tax-1"), "2027-02-01", Refuse),
            (Open, "jpk", Some("tax-1"), "2027-02-01", Allow),
            (Seal, "jpk", Some("bank"), "2026-12-31", Allow),
            (Seal, "jpk", None, "2027-01-01", Refuse),
            (Seal, "xml-enc-cbc", None, "2030-01-01", Refuse),
            (Seal, "s3ec-v3-kms", None, "2030-01-01", Allow),
        ] {
            assert_eq!(decide(action, id, agent, today), verdict, "{action:?} {id} {agent:?} {today}");
        }
        assert_eq!(
            policy.rules[0].to_string(),
            "warn about opening and sealing `jpk` with tax-* until 2027-01-31: the gateway ends"
        );
    }

    #[test]
    fn what_is_wrong_fails_with_its_line() {
        for (old, new, said) in [
            (
                "until = \"2027-01-31\"",
                "until = \"2027-02-29\"",
                "line 7: `until` is a day that no calendar has",
            ),
            ("until = \"2027-01-31\"", "until = \"31.1.2027\"", "line 7: `until` is no date like 2027-01-31"),
            ("until = \"2027-01-31\"", "til = \"2027-01-31\"", "line 7: unknown field `til` in [rule]"),
            ("\"jpk\"", "\"jkp\"", "line 5: `schemes` has `jkp`, which is neither a preset nor one of pkcs1"),
            ("\"warn\"", "\"deny\"", "line 8: `decision` is `deny`; known are allow, warn, refuse"),
            ("default = \"allow\"", "", "line 1: [the policy] has no `default`"),
            (
                "until = \"2027-01-31\"",
                "from = \"2028-01-01\"\nuntil = \"2027-01-31\"",
                "line 8: `until` is before `from`",
            ),
        ] {
            let err = Policy::parse(&POLICY.replacen(old, new, 1)).unwrap_err().to_string();
            assert!(err.starts_with(said), "{err}");
        }
    }

    #[test]
    fn days_count_there_and_back() {
        for (text, days) in
            [("1970-01-01", 0), ("2000-02-29", 11_016), ("2026-11-23", 20_780), ("9999-12-31", 2_932_896)]
        {
            assert_eq!(date(text).unix_days(), i64::from(days), "{text}");
            assert_eq!(Date::from_unix_days(days).to_string(), text);
        }
        for days in (0..100_000).step_by(37) {
            assert_eq!(Date::from_unix_days(days).unix_days(), i64::from(days));
        }
    }

    #[test]
    fn a_record_is_judged_like_its_preset() {
        let scheme: Scheme = "pkcs1+aes-128-cbc".parse().unwrap();
        let (record, preset) = (
            SchemeFacts::from(scheme),
            SchemeFacts::from(&crate::preset("record-pkcs1-cbc-128").unwrap().profile),
        );
        for property in &preset.properties {
            assert!(record.properties.contains(property), "{property:?}");
        }
    }
}
