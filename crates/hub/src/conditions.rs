//! Which bytes a request wants, from its conditions and its range (RFC 9110, sections 13.2.2 and 14).

use std::ops::Range;

use axum::http::{HeaderMap, HeaderName, header};
use waxwing_store::{ETag, ObjectMeta};

/// What to answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Selection {
    Whole,
    /// Never empty, never past the end.
    Part(Range<u64>),
    NotModified,
    PreconditionFailed,
    RangeNotSatisfiable,
}

/// Evaluates the preconditions in the order of section 13.2.2. `HEAD` has no ranges (section 14.2): `is_get` says so.
pub(crate) fn select(is_get: bool, headers: &HeaderMap, meta: &ObjectMeta) -> Selection {
    if headers.contains_key(header::IF_MATCH)
        && !lists(headers, header::IF_MATCH, |tag| tag == meta.etag.as_str())
    {
        return Selection::PreconditionFailed;
    }
    let is_current = |tag: &str| tag.strip_prefix("W/").unwrap_or(tag) == meta.etag.as_str();
    if lists(headers, header::IF_NONE_MATCH, is_current) {
        return Selection::NotModified;
    }
    // A date in If-Range is no tag of ours, and we send no dates: the whole object is the right answer.
    let range_holds = match headers.get(header::IF_RANGE) {
        None => true,
        Some(tag) => tag.to_str().ok().and_then(ETag::parse).is_some_and(|tag| tag == meta.etag),
    };
    if is_get && range_holds { select_range(headers, meta.len) } else { Selection::Whole }
}

/// Whether a header that lists entity tags holds `*` or one that `matches`.
fn lists(headers: &HeaderMap, name: HeaderName, matches: impl Fn(&str) -> bool) -> bool {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).any(|tag| tag == "*" || matches(tag))
}

/// One range is served. Other units, several ranges and malformed ones are ignored, as section 14.2 allows.
fn select_range(headers: &HeaderMap, len: u64) -> Selection {
    let mut values = headers.get_all(header::RANGE).into_iter();
    let (Some(value), None) = (values.next(), values.next()) else { return Selection::Whole };
    let Some(spec) = value.to_str().ok().and_then(ByteSpec::parse) else { return Selection::Whole };
    let (start, end) = match spec {
        ByteSpec::From { first, last } => (first, last.saturating_add(1).min(len)),
        ByteSpec::Suffix(suffix_len) => (len.saturating_sub(suffix_len), len),
    };
    if start < end { Selection::Part(start..end) } else { Selection::RangeNotSatisfiable }
}

enum ByteSpec {
    /// `first-last`, both included; `first-` has the last of all.
    From { first: u64, last: u64 },
    /// `-n`: the last n bytes.
    Suffix(u64),
}

impl ByteSpec {
    fn parse(value: &str) -> Option<Self> {
        let (unit, range) = value.split_once('=')?;
        if !unit.eq_ignore_ascii_case("bytes") {
            return None;
        }
        match range.trim().split_once('-')? {
            ("", suffix_len) => Some(Self::Suffix(parse_position(suffix_len)?)),
            (first, "") => Some(Self::From { first: parse_position(first)?, last: u64::MAX }),
            (first, last) => {
                let (first, last) = (parse_position(first)?, parse_position(last)?);
                (first <= last).then_some(Self::From { first, last })
            }
        }
    }
}

/// Digits only. Whatever does not fit lies past the end of any object, as does `u64::MAX`.
fn parse_position(digits: &str) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selected(len: u64, headers: &[(&'static str, &str)]) -> Selection {
        let meta = ObjectMeta { len, etag: ETag::parse("\"v1\"").unwrap() };
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        select(true, &map, &meta)
    }

    #[test]
    fn ranges_at_every_edge() {
        for (range, expected) in [
            ("bytes=0-0", Selection::Part(0..1)),
            ("bytes=0-9", Selection::Part(0..10)),
            ("bytes=9-9", Selection::Part(9..10)),
            ("bytes=3-5", Selection::Part(3..6)),
            ("bytes=5-", Selection::Part(5..10)),
            ("BYTES=5-", Selection::Part(5..10)),
            ("bytes=5-99", Selection::Part(5..10)),
            ("bytes=5-18446744073709551615", Selection::Part(5..10)),
            ("bytes=5-99999999999999999999999", Selection::Part(5..10)),
            ("bytes=-3", Selection::Part(7..10)),
            ("bytes=-10", Selection::Part(0..10)),
            ("bytes=-99", Selection::Part(0..10)),
            ("bytes=10-", Selection::RangeNotSatisfiable),
            ("bytes=10-12", Selection::RangeNotSatisfiable),
            ("bytes=99999999999999999999999-", Selection::RangeNotSatisfiable),
            ("bytes=-0", Selection::RangeNotSatisfiable),
        ] {
            assert_eq!(selected(10, &[("range", range)]), expected, "{range}");
        }
    }

    #[test]
    fn what_is_no_single_byte_range_is_ignored() {
        for range in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=5",
            "bytes=5-3",
            "bytes=a-b",
            "bytes=+1-2",
            "bytes=1-+2",
            "bytes=--1",
            "bytes=0-1,3-4",
            "bytes=0x1-2",
            "bytes=1 - 2",
            "lines=1-2",
        ] {
            assert_eq!(selected(10, &[("range", range)]), Selection::Whole, "{range:?}");
        }
        assert_eq!(selected(10, &[("range", "bytes=0-1"), ("range", "bytes=3-4")]), Selection::Whole);
    }

    #[test]
    fn an_empty_object_has_no_ranges() {
        for range in ["bytes=0-", "bytes=0-0", "bytes=-1"] {
            assert_eq!(selected(0, &[("range", range)]), Selection::RangeNotSatisfiable, "{range}");
        }
        assert_eq!(selected(0, &[]), Selection::Whole);
    }

    #[test]
    fn conditions_come_first_and_in_order() {
        let range = ("range", "bytes=3-5");
        let part = || Selection::Part(3..6);
        for (condition, expected) in [
            (("if-match", "\"v1\""), part()),
            (("if-match", "\"v0\", \"v1\""), part()),
            (("if-match", "*"), part()),
            (("if-match", "\"v2\""), Selection::PreconditionFailed),
            (("if-match", "W/\"v1\""), Selection::PreconditionFailed),
            (("if-match", ""), Selection::PreconditionFailed),
            (("if-none-match", "\"v1\""), Selection::NotModified),
            (("if-none-match", "W/\"v1\""), Selection::NotModified),
            (("if-none-match", "*"), Selection::NotModified),
            (("if-none-match", "\"v2\""), part()),
            (("if-range", "\"v1\""), part()),
            (("if-range", "\"v2\""), Selection::Whole),
            (("if-range", "W/\"v1\""), Selection::Whole),
            (("if-range", "Wed, 21 Oct 2015 07:28:00 GMT"), Selection::Whole),
        ] {
            assert_eq!(selected(10, &[condition, range]), expected, "{condition:?}");
        }
        let both = [("if-match", "\"v2\""), ("if-none-match", "\"v1\"")];
        assert_eq!(selected(10, &both), Selection::PreconditionFailed);
        assert_eq!(
            selected(10, &[("if-match", "\"v1\""), ("range", "bytes=10-")]),
            Selection::RangeNotSatisfiable
        );
    }

    #[test]
    fn head_ignores_ranges() {
        let meta = ObjectMeta { len: 10, etag: ETag::parse("\"v1\"").unwrap() };
        let headers = HeaderMap::from_iter([(header::RANGE, "bytes=10-".parse().unwrap())]);
        assert_eq!(select(false, &headers, &meta), Selection::Whole);
    }
}
