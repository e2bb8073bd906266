//! Pre-signed URLs of the embedded server: `BASE/NAME?expires=UNIX&signature=HEX`.
//!
//! The signature is HMAC-SHA-256 over the lines `waxwing-presign-v1`, method, object name and expiry (decimal seconds since
//! 1970-01-01 UTC), joined by `\n`. None of them can hold a line break, so no two requests share an input. The method is
//! bound: a URL for GET does not answer HEAD, as on S3.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use aws_lc_rs::hmac;
use url::Url;
use zeroize::Zeroizing;

use crate::{ObjectName, SigningKey};

/// A URL that lets its holder fetch one object for a while: a bearer secret.
///
/// It prints as nothing, so that neither logs nor errors repeat it; [`PresignedUrl::expose`] is the one way to the text.
/// One that was read from a job is whatever a stranger wrote; the downloader's policy decides about it.
pub struct PresignedUrl(Zeroizing<String>);

impl PresignedUrl {
    /// Holds `text`, unchecked.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The URL with its signature, to hand to its recipient. Never log it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PresignedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PresignedUrl(..)")
    }
}

impl fmt::Display for PresignedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<pre-signed URL>")
    }
}

/// The method that a URL permits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum SignedMethod {
    Get,
    Head,
}

impl SignedMethod {
    fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
        }
    }
}

/// Makes the URLs of one embedded server.
#[derive(Debug, Clone)]
pub struct UrlSigner {
    base: String,
    key: Arc<SigningKey>,
}

impl UrlSigner {
    /// How long a URL lives unless somebody says otherwise.
    pub const TTL_DEFAULT: Duration = Duration::from_secs(1800);
    /// The longest a URL may live: seven days, as on S3.
    pub const TTL_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

    /// A signer for the server that clients reach at `base`: an `http` or `https` URL without query and fragment.
    ///
    /// # Errors
    ///
    /// [`PresignError::Base`].
    pub fn new(base: &str, key: Arc<SigningKey>) -> Result<Self, PresignError> {
        let url = Url::parse(base).map_err(|_| PresignError::Base)?;
        let plain =
            matches!(url.scheme(), "http" | "https") && url.query().is_none() && url.fragment().is_none();
        let anonymous = url.username().is_empty() && url.password().is_none();
        if !(plain && anonymous) {
            return Err(PresignError::Base);
        }
        Ok(Self { base: url.as_str().trim_end_matches('/').to_owned(), key })
    }

    /// A URL that permits `method` on `name` from `now` for `ttl`, counted in whole seconds.
    ///
    /// # Errors
    ///
    /// [`PresignError::Ttl`] when `ttl` is under a second or over [`UrlSigner::TTL_MAX`].
    pub fn presign(
        &self,
        method: SignedMethod,
        name: &ObjectName,
        ttl: Duration,
        now: SystemTime,
    ) -> Result<PresignedUrl, PresignError> {
        if ttl < Duration::from_secs(1) || ttl > Self::TTL_MAX {
            return Err(PresignError::Ttl { ttl });
        }
        let expires = unix_secs(now).saturating_add(ttl.as_secs());
        let signature = hmac::sign(&self.key.mac(), to_be_signed(method, name, expires).as_bytes());
        let query = Zeroizing::new(query_text(expires, signature.as_ref()));
        Ok(PresignedUrl::new(format!("{}/{name}?{}", self.base, query.as_str())))
    }
}

impl SigningKey {
    /// Checks that `query` (the part of a URL after `?`) permits `method` on `name` at `now`.
    ///
    /// One spelling is accepted: `expires`, then `signature`, nothing else. The signature is compared in constant time and
    /// before the expiry, so only somebody who once held a valid URL can learn that it expired.
    ///
    /// # Errors
    ///
    /// [`Rejected`]. It is for the server's own log: strangers get one answer for all of it.
    pub fn verify(
        &self,
        method: SignedMethod,
        name: &ObjectName,
        query: &str,
        now: SystemTime,
    ) -> Result<(), Rejected> {
        let (expires, signature) = parse_query(query).ok_or(Rejected::Malformed)?;
        hmac::verify(&self.mac(), to_be_signed(method, name, expires).as_bytes(), &signature)
            .map_err(|_| Rejected::Signature)?;
        if unix_secs(now) >= expires { Err(Rejected::Expired) } else { Ok(()) }
    }
}

/// Why a URL could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PresignError {
    /// The base is not a plain `http` or `https` URL.
    #[error("the server's base URL must be http:// or https:// with neither user, query nor fragment")]
    Base,
    /// The time to live is out of bounds.
    #[error("a pre-signed URL lives 1 second to 7 days; {} s were asked for", ttl.as_secs_f64())]
    #[allow(missing_docs)]
    Ttl { ttl: Duration },
    /// The store has nothing to sign with.
    #[error("this store was opened without a URL signer")]
    NoSigner,
}

/// Why a request's signature is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum Rejected {
    #[error("the query is not that of a pre-signed URL")]
    Malformed,
    #[error("the signature does not match")]
    Signature,
    #[error("the URL has expired")]
    Expired,
}

fn to_be_signed(method: SignedMethod, name: &ObjectName, expires: u64) -> String {
    format!("waxwing-presign-v1\n{}\n{name}\n{expires}", method.as_str())
}

pub(crate) fn query_text(expires: u64, signature: &[u8]) -> String {
    format!("expires={expires}&signature={}", hex::encode(signature))
}

pub(crate) fn parse_query(query: &str) -> Option<(u64, [u8; 32])> {
    let (expires_text, signature_text) = query.strip_prefix("expires=")?.split_once("&signature=")?;
    let expires: u64 = expires_text.parse().ok()?;
    let mut signature = [0; 32];
    hex::decode_to_slice(signature_text, &mut signature).ok()?;
    // `parse` takes "+5" and "05", and hex takes capitals: one URL, one spelling.
    let canonical =
        expires.to_string() == expires_text && !signature_text.contains(|c: char| c.is_ascii_uppercase());
    canonical.then_some((expires, signature))
}

/// A clock before 1970 counts as 1970: nothing signed then has expired, and nothing signed is accepted for longer than its ttl.
fn unix_secs(at: SystemTime) -> u64 {
    at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(secs)
    }

    fn key() -> Arc<SigningKey> {
        Arc::new(SigningKey::from_bytes([7; 32]))
    }

    fn name() -> ObjectName {
        ObjectName::from_random([1; 12])
    }

    fn signed(ttl_secs: u64) -> String {
        let signer = UrlSigner::new("http://127.0.0.1:8080/", key()).unwrap();
        let url =
            signer.presign(SignedMethod::Get, &name(), Duration::from_secs(ttl_secs), at(1000)).unwrap();
        url.expose().to_owned()
    }

    fn query(url: &str) -> &str {
        url.split_once('?').unwrap().1
    }

    #[test]
    fn the_wire_format_is_fixed() {
        // Signature computed with Python's hmac module over the four lines.
        assert_eq!(
            signed(1800),
            "http://127.0.0.1:8080/data/AQEBAQEBAQEBAQEB?expires=2800&signature=8af8372267d3ffc81f60c7e00e482ae7da7724b0316540d4013961c374cbff8c"
        );
    }

    #[test]
    fn lives_until_the_second_it_expires() {
        let url = signed(1800);
        for (now, expected) in [
            (0, Ok(())),
            (1000, Ok(())),
            (2799, Ok(())),
            (2800, Err(Rejected::Expired)),
            (u64::MAX / 4, Err(Rejected::Expired)),
        ] {
            assert_eq!(key().verify(SignedMethod::Get, &name(), query(&url), at(now)), expected, "at {now}");
        }
    }

    #[test]
    fn binds_method_name_expiry_and_key() {
        let url = signed(1800);
        let q = query(&url);
        let now = at(1000);
        let no = Err(Rejected::Signature);
        assert_eq!(key().verify(SignedMethod::Head, &name(), q, now), no);
        assert_eq!(key().verify(SignedMethod::Get, &ObjectName::from_random([2; 12]), q, now), no);
        assert_eq!(key().verify(SignedMethod::Get, &name(), &q.replace("2800", "2801"), now), no);
        assert_eq!(SigningKey::from_bytes([8; 32]).verify(SignedMethod::Get, &name(), q, now), no);
    }

    #[test]
    fn every_flipped_signature_digit_is_refused() {
        let url = signed(1800);
        let start = url.find("signature=").unwrap() + "signature=".len();
        for at_digit in start..url.len() {
            let mut bad = url.clone().into_bytes();
            bad[at_digit] = if bad[at_digit] == b'0' { b'1' } else { b'0' };
            let bad = String::from_utf8(bad).unwrap();
            assert_eq!(
                key().verify(SignedMethod::Get, &name(), query(&bad), at(1000)),
                Err(Rejected::Signature)
            );
        }
    }

    #[test]
    fn only_one_spelling_is_a_query() {
        let url = signed(1800);
        let q = query(&url);
        let (expires, signature) = q.split_once('&').unwrap();
        for bad in [
            String::new(),
            "&".into(),
            expires.into(),
            format!("{signature}&{expires}"),
            format!("{q}&x=1"),
            format!("{q}0"),
            q.replace("2800", "+2800"),
            q.replace("2800", "02800"),
            q.replace("2800", "99999999999999999999"),
            q.replace("signature=", "signature=0x"),
            format!("{expires}&signature={}", signature["signature=".len()..].to_uppercase()),
        ] {
            assert_eq!(
                key().verify(SignedMethod::Get, &name(), &bad, at(1000)),
                Err(Rejected::Malformed),
                "{bad}"
            );
        }
    }

    #[test]
    fn ttl_has_bounds() {
        let signer = UrlSigner::new("https://files.example/wax", key()).unwrap();
        let sign = |ttl| signer.presign(SignedMethod::Get, &name(), ttl, at(0));
        assert!(sign(UrlSigner::TTL_MAX).unwrap().expose().starts_with("https://files.example/wax/data/"));
        for ttl in [Duration::ZERO, Duration::from_millis(999), UrlSigner::TTL_MAX + Duration::from_secs(1)] {
            assert_eq!(sign(ttl).unwrap_err(), PresignError::Ttl { ttl });
        }
    }

    #[test]
    fn bases_that_would_break_the_url_are_refused() {
        for base in
            ["", "files.example", "ftp://x", "http://x/?a", "http://x/#a", "http://u@x/", "http://u:p@x/"]
        {
            assert_eq!(UrlSigner::new(base, key()).unwrap_err(), PresignError::Base, "{base}");
        }
    }

    #[test]
    fn attack_15_a_url_prints_as_nothing() {
        let url = PresignedUrl::new("https://x.example/data/canary?signature=canary");
        assert_eq!(format!("{url:?} {url}"), "PresignedUrl(..) <pre-signed URL>");
        assert!(url.expose().ends_with("canary"));
    }
}
