//! Which URLs a download may touch at all: decided on the parsed URL, before a name is looked up.

use std::{io, net::SocketAddr, sync::Arc};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Origin, Url};

use super::Reach;

/// The places from which downloads are allowed. The empty policy, which is the default, allows nothing.
#[derive(Debug, Clone, Default)]
pub struct UrlPolicy {
    places: Vec<Place>,
}

#[derive(Debug, Clone)]
struct Place {
    origin: Origin,
    host: Host<String>,
    path: String,
    reach: Reach,
}

impl UrlPolicy {
    /// Longest URL that is looked at, in bytes; one from S3 with a session token has about 2,000.
    pub const URL_LEN_MAX: usize = 8192;

    /// Also allows URLs that begin with `prefix`, whose host may have the addresses in `reach`.
    ///
    /// A prefix is an origin (`https://inbox.s3.eu-west-1.amazonaws.com`) or an origin with a path that ends in `/`
    /// (`https://s3.eu-west-1.amazonaws.com/inbox/`). Scheme, host and port match exactly; there are no wildcards.
    ///
    /// # Errors
    ///
    /// [`PolicyError`]. `http` needs [`Reach::Loopback`]: what travels is ciphertext, but the URL is a secret.
    pub fn allow(mut self, prefix: &str, reach: Reach) -> Result<Self, PolicyError> {
        let failed = |reason| PolicyError { prefix: prefix.to_owned(), reason };
        let url = Url::parse(prefix).map_err(|_| failed("it is not a URL"))?;
        let host = url.host().ok_or_else(|| failed("it has no host"))?.to_owned();
        match url.scheme() {
            "https" => {}
            "http" if reach == Reach::Loopback => {}
            _ => return Err(failed("only https is allowed, and http to this machine itself")),
        }
        if has_user(&url) || url.query().is_some() || url.fragment().is_some() || !url.path().ends_with('/') {
            return Err(failed("it must be an origin, or an origin and a path that ends in /"));
        }
        if !literal_is_in_reach(&host, reach) {
            return Err(failed("its address is out of the reach given for it"));
        }
        // The resolver sees a host without its port; two answers for one host would make the laxer one count.
        if self.places.iter().any(|place| place.host == host && place.reach != reach) {
            return Err(failed("the same host is allowed already, with another reach"));
        }
        self.places.push(Place { origin: url.origin(), host, path: url.path().to_owned(), reach });
        Ok(self)
    }

    /// Parses a URL that a stranger wrote, if this policy allows it. Host names are yet to be resolved.
    pub(super) fn admit(&self, text: &str) -> Result<Url, Refusal> {
        // The parser would strip line breaks and surrounding spaces: what was checked must be what was written.
        if text.len() > Self::URL_LEN_MAX || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Refusal::Malformed);
        }
        let url = Url::parse(text).map_err(|_| Refusal::Malformed)?;
        if has_user(&url) {
            return Err(Refusal::Malformed);
        }
        let origin = url.origin();
        let place =
            self.places.iter().find(|place| place.origin == origin && url.path().starts_with(&place.path));
        match place {
            // Literal addresses never pass the resolver. They were checked in `allow`; this keeps it true if that changes.
            Some(place) if literal_is_in_reach(&place.host, place.reach) => Ok(url),
            Some(_) => Err(Refusal::Address),
            None => Err(Refusal::NotAllowed),
        }
    }

    fn reach_of(&self, host: &str) -> Option<Reach> {
        self.places
            .iter()
            .find(|place| matches!(&place.host, Host::Domain(name) if name == host))
            .map(|place| place.reach)
    }
}

/// A prefix that a [`UrlPolicy`] cannot hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("downloads from `{prefix}` cannot be allowed: {reason}")]
pub struct PolicyError {
    prefix: String,
    reason: &'static str,
}

/// Why a URL was not fetched. Nothing was connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Too long, not ASCII, no URL, or with a user name in it.
    #[error("it is not a plain URL of at most {} bytes", UrlPolicy::URL_LEN_MAX)]
    Malformed,
    /// Scheme, host, port or path are not on the list.
    #[error("the policy does not allow its scheme, host, port and path")]
    NotAllowed,
    /// The host has an address that it may not have, among others or alone.
    #[error("its host has an address out of the policy's reach")]
    Address,
}

/// Resolves a name once per connection and hands out its addresses only if every one is in reach, so that the address
/// checked is the address connected to.
pub(super) struct VettingResolver {
    pub(super) policy: UrlPolicy,
    pub(super) inner: Arc<dyn Resolve>,
}

impl Resolve for VettingResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let Some(reach) = self.policy.reach_of(name.as_str()) else {
            return Box::pin(std::future::ready(Err(Refusal::NotAllowed.into())));
        };
        let answer = self.inner.resolve(name);
        Box::pin(async move {
            let addresses: Vec<SocketAddr> = answer.await?.take(ADDRESSES_MAX).collect();
            match addresses.iter().all(|address| reach.admits(address.ip())) {
                true => Ok(Box::new(addresses.into_iter()) as Addrs),
                false => Err(Refusal::Address.into()),
            }
        })
    }
}

/// The operating system's resolver.
pub(super) struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let addresses: io::Result<Vec<SocketAddr>> =
                tokio::net::lookup_host((name.as_str(), 0)).await.map(Iterator::collect);
            Ok(Box::new(addresses?.into_iter()) as Addrs)
        })
    }
}

fn has_user(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

fn literal_is_in_reach(host: &Host<String>, reach: Reach) -> bool {
    match host {
        Host::Domain(_) => true,
        Host::Ipv4(address) => reach.admits((*address).into()),
        Host::Ipv6(address) => reach.admits((*address).into()),
    }
}

const ADDRESSES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> UrlPolicy {
        UrlPolicy::default()
            .allow("https://inbox.s3.example", Reach::Public)
            .and_then(|policy| policy.allow("https://s3.example:8443/inbox/", Reach::Public))
            .and_then(|policy| policy.allow("http://127.0.0.1:9000", Reach::Loopback))
            .unwrap()
    }

    #[test]
    fn what_is_listed_is_admitted() {
        for text in [
            "https://inbox.s3.example/data/x?X-Amz-Signature=1",
            "https://INBOX.s3.example:443/x",
            "https://s3.example:8443/inbox/x",
            "http://127.0.0.1:9000/data/x",
        ] {
            assert!(policy().admit(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn attack_14_what_is_not_listed_is_refused() {
        for text in [
            "http://inbox.s3.example/x",
            "https://inbox.s3.example.evil.example/x",
            "https://evil.example/?https://inbox.s3.example/",
            "https://inbox.s3.example./x",
            "https://inbox.s3.example:444/x",
            "https://s3.example:8443/outbox/x",
            "https://s3.example:8443/inbox",
            "https://s3.example:8443/inbox/../outbox/x",
            "https://s3.example:8443/inbox/%2e%2e/outbox/x",
            "http://127.0.0.1/x",
            "http://127.0.0.2:9000/x",
            "http://localhost:9000/x",
            "http://[::1]:9000/x",
            "http://[::ffff:127.0.0.1]:9000/x",
            "http://169.254.169.254/latest/meta-data/",
            "http://2852039166/",
            "http://0xa9fea9fe/",
            "http://0251.0376.0251.0376/",
            "http://[::ffff:a9fe:a9fe]/",
            "file:///etc/passwd",
            "ftp://127.0.0.1:9000/x",
            "data:text/plain,x",
        ] {
            assert_eq!(policy().admit(text), Err(Refusal::NotAllowed), "{text}");
        }
    }

    #[test]
    fn attack_14_text_that_parsers_read_differently_is_refused() {
        let long = format!("https://inbox.s3.example/{}", "x".repeat(UrlPolicy::URL_LEN_MAX));
        for text in [
            "",
            "x",
            "//inbox.s3.example/",
            "https://",
            " https://inbox.s3.example/",
            "https://inbox.s3.example/\n",
            "https://inbox.s3\t.example/",
            "https://inbox.s3.example@evil.example/",
            "https://evil@inbox.s3.example/",
            "https://:p@inbox.s3.example/",
            "https://inbox.s3.example/é",
            &long,
        ] {
            assert_eq!(policy().admit(text), Err(Refusal::Malformed), "{text}");
        }
    }

    #[test]
    fn attack_14_a_policy_cannot_list_what_would_defeat_it() {
        for (prefix, reach) in [
            ("http://files.example", Reach::Public),
            ("http://10.0.0.1", Reach::Private),
            ("https://10.0.0.1", Reach::Public),
            ("https://127.0.0.1", Reach::Private),
            ("https://169.254.169.254", Reach::Private),
            ("http://169.254.169.254", Reach::Loopback),
            ("https://[::ffff:169.254.169.254]", Reach::Private),
            ("https://0x7f.1", Reach::Public),
            ("https://u@files.example", Reach::Public),
            ("https://files.example/?x", Reach::Public),
            ("https://files.example/inbox", Reach::Public),
            ("ftp://files.example", Reach::Public),
            ("files.example", Reach::Public),
            ("https://inbox.s3.example:1", Reach::Private),
        ] {
            assert!(policy().allow(prefix, reach).is_err(), "{prefix} with {reach:?}");
        }
    }
}
