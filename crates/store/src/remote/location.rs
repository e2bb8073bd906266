use std::fmt;

use url::Url;
use zeroize::Zeroizing;

use crate::url_scheme;

/// A file elsewhere, as its URL names it.
///
/// | URL | what |
/// |---|---|
/// | `s3://BUCKET/KEY` | an object of S3 or of what speaks its protocol; the key is taken as it is, not percent-decoded |
/// | `http://…`, `https://…` | what a web server gives; read only. A query, such as a pre-signature, belongs to it |
/// | `webdav://HOST/PATH`, `webdavs://…` | a file on a WebDAV server, over http or https |
/// | `sftp://[USER@]HOST[:PORT]/PATH` | a file that an SSH server has; `/~/PATH` begins at the user's home |
/// | `gdrive://PATH`, `onedrive://PATH`, `dropbox://PATH` | a file of Google Drive, OneDrive, Dropbox |
///
/// It prints without user, password and query, which may be secrets.
#[derive(Clone)]
pub struct Location(pub(super) Place);

#[derive(Clone)]
pub(super) enum Place {
    S3 { bucket: String, key: String },
    Http(Web),
    WebDav(Web),
    Sftp { user: Option<String>, host: String, port: Option<u16>, path: String },
    Drive { drive: Drive, path: String },
}

#[derive(Clone)]
pub(super) struct Web {
    /// `http` or `https`, without user and password.
    pub(super) url: Url,
    pub(super) login: Option<Login>,
}

/// A name and a password.
#[derive(Clone)]
pub struct Login {
    /// The name.
    pub user: String,
    /// The password.
    pub password: Zeroizing<String>,
}

/// Services that keep files for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Drive {
    Google,
    Microsoft,
    Dropbox,
}

/// Why a text is no location. It never repeats the text, which may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum LocationError {
    #[error("`{0}://` is not among the URLs that can be read or written")]
    Scheme(String),
    #[error("a `{scheme}://` URL has the form {form}")]
    Form { scheme: &'static str, form: &'static str },
    #[error("a path or key with empty, `.` or `..` parts, or with blanks around it, cannot be reached")]
    Path,
    #[error("it ends in `/`: folders over URLs are not sealed or opened; name a file")]
    Folder,
}

impl Location {
    /// Reads a URL; `None` when the text has no scheme and thus is a path.
    ///
    /// # Errors
    ///
    /// [`LocationError`].
    pub fn parse(text: &str) -> Result<Option<Self>, LocationError> {
        let Some(scheme) = url_scheme(text) else { return Ok(None) };
        let rest = &text[scheme.len() + "://".len()..];
        let place = match scheme.to_ascii_lowercase().as_str() {
            "s3" => s3(rest)?,
            "http" => Place::Http(web(text, "http", "http")?),
            "https" => Place::Http(web(text, "https", "https")?),
            "webdav" => Place::WebDav(file(web(text, "webdav", "http")?)?),
            "webdavs" => Place::WebDav(file(web(text, "webdavs", "https")?)?),
            "sftp" => sftp(text)?,
            "gdrive" => drive(Drive::Google, rest)?,
            "onedrive" => drive(Drive::Microsoft, rest)?,
            "dropbox" => drive(Drive::Dropbox, rest)?,
            other => return Err(LocationError::Scheme(other.to_owned())),
        };
        Ok(Some(Self(place)))
    }
}

impl Drive {
    pub(super) fn scheme(self) -> &'static str {
        match self {
            Self::Google => "gdrive",
            Self::Microsoft => "onedrive",
            Self::Dropbox => "dropbox",
        }
    }
}

fn s3(rest: &str) -> Result<Place, LocationError> {
    let form = || LocationError::Form { scheme: "s3", form: "s3://BUCKET/KEY" };
    let (bucket, key) = rest.split_once('/').ok_or_else(form)?;
    if bucket.is_empty() || !bucket.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_".contains(&b)) {
        return Err(form());
    }
    Ok(Place::S3 { bucket: bucket.to_owned(), key: reachable(key)? })
}

fn drive(drive: Drive, path: &str) -> Result<Place, LocationError> {
    Ok(Place::Drive { drive, path: reachable(path)? })
}

/// A path that every library between here and the service leaves as it is.
fn reachable(path: &str) -> Result<String, LocationError> {
    if path.is_empty() || path.ends_with('/') {
        return Err(LocationError::Folder);
    }
    let odd = |part: &str| matches!(part, "" | "." | "..");
    if path.trim() != path || path.split('/').any(odd) || path.contains(char::is_control) {
        return Err(LocationError::Path);
    }
    Ok(path.to_owned())
}

fn web(text: &str, scheme: &'static str, over: &str) -> Result<Web, LocationError> {
    let form = || LocationError::Form { scheme, form: "SCHEME://[USER:PASSWORD@]HOST[:PORT]/PATH" };
    let mut url = Url::parse(&format!("{over}{}", &text[scheme.len()..])).map_err(|_| form())?;
    let decoded = |text: &str| percent_decoded(text).ok_or_else(form);
    let login = match (url.username(), url.password()) {
        ("", None) => None,
        (user, password) => Some(Login {
            user: decoded(user)?,
            password: Zeroizing::new(decoded(password.unwrap_or_default())?),
        }),
    };
    url.set_username("").and_then(|()| url.set_password(None)).map_err(|()| form())?;
    url.set_fragment(None);
    Ok(Web { url, login })
}

fn file(web: Web) -> Result<Web, LocationError> {
    match web.url.path().ends_with('/') {
        true => Err(LocationError::Folder),
        false => Ok(web),
    }
}

fn sftp(text: &str) -> Result<Place, LocationError> {
    let form = || LocationError::Form { scheme: "sftp", form: "sftp://[USER@]HOST[:PORT]/PATH" };
    let url = Url::parse(text).map_err(|_| form())?;
    // A password would have nowhere to go: `ssh` takes keys, an agent, or asks a person.
    if url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err(form());
    }
    let user = match url.username() {
        "" => None,
        user => Some(percent_decoded(user).ok_or_else(form)?),
    };
    let host = url.host_str().ok_or_else(form)?.trim_matches(['[', ']']).to_owned();
    let path = percent_decoded(url.path()).ok_or_else(form)?;
    if path.ends_with('/') {
        return Err(LocationError::Folder);
    }
    // Both go to a program as arguments.
    if host.starts_with('-')
        || user.as_deref().is_some_and(|user| user.starts_with('-'))
        || path.contains('\0')
    {
        return Err(form());
    }
    let path = path.strip_prefix("/~/").map(str::to_owned).unwrap_or(path);
    Ok(Place::Sftp { user, host, port: url.port(), path })
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        match (first, tail) {
            (b'%', [high, low, tail @ ..]) => {
                bytes.push(u8::from_str_radix(std::str::from_utf8(&[*high, *low]).ok()?, 16).ok()?);
                rest = tail;
            }
            _ => bytes.push(*first),
        }
    }
    String::from_utf8(bytes).ok()
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = match &self.0 {
            Place::S3 { bucket, key } => format!("s3://{bucket}/{key}"),
            Place::Http(web) => shown_web(&web.url, web.url.scheme()),
            Place::WebDav(web) if web.url.scheme() == "https" => shown_web(&web.url, "webdavs"),
            Place::WebDav(web) => shown_web(&web.url, "webdav"),
            Place::Sftp { host, port: Some(port), path, .. } => {
                format!("sftp://{host}:{port}{}", slash(path))
            }
            Place::Sftp { host, path, .. } => format!("sftp://{host}{}", slash(path)),
            Place::Drive { drive, path } => format!("{}://{path}", drive.scheme()),
        };
        write!(f, "{}", shown.escape_debug())
    }
}

fn shown_web(url: &Url, scheme: &str) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let query = if url.query().is_some() { "?…" } else { "" };
    format!("{scheme}://{host}{port}{}{query}", url.path())
}

fn slash(path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("/~/{path}") }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Location({self})")
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        Location::parse(text).unwrap().unwrap().to_string()
    }

    #[test]
    fn paths_are_no_urls() {
        for path in ["a", "-", "/a/b", "./s3://a/b", "a:b", "://x", "1a://b", "a b://c", "C:\\x"] {
            assert!(Location::parse(path).unwrap().is_none(), "{path}");
        }
    }

    #[test]
    fn attack_15_neither_login_nor_query_is_printed() {
        let secret = "hunter2";
        for (url, expected) in [
            ("https://u:hunter2@h:8443/a%20b?X-Amz-Signature=hunter2#hunter2", "https://h:8443/a%20b?…"),
            ("webdavs://u:hunter2@h/a", "webdavs://h/a"),
            ("webdav://hunter2@h:80/a?hunter2", "webdav://h/a?…"),
            ("sftp://hunter2@h:2222/a/b", "sftp://h:2222/a/b"),
            ("sftp://h/~/a", "sftp://h/~/a"),
            ("s3://b/k%20?x#y", "s3://b/k%20?x#y"),
        ] {
            assert_eq!(shown(url), expected);
            let location = Location::parse(url).unwrap().unwrap();
            assert!(!format!("{location:?}").contains(secret));
        }
        for malformed in
            ["https://u:hunter2@", "sftp://u:hunter2@h/a", "webdav://hunter2@h:99999/", "x+hunter://hunter2"]
        {
            let said = Location::parse(malformed).unwrap_err().to_string();
            assert!(!said.contains(secret), "{said}");
        }
    }

    #[test]
    fn keys_that_would_be_changed_on_their_way_are_refused() {
        for key in ["a//b", "/a", "a/../b", "./a", " a", "a ", "a\n"] {
            assert_eq!(
                Location::parse(&format!("s3://bucket/{key}")).unwrap_err(),
                LocationError::Path,
                "{key}"
            );
        }
        for folder in ["s3://b/", "s3://b/a/", "webdav://h/a/", "sftp://h/a/", "gdrive://"] {
            assert_eq!(Location::parse(folder).unwrap_err(), LocationError::Folder, "{folder}");
        }
        assert!(Location::parse("s3://bucket").is_err() && Location::parse("s3:///key").is_err());
        assert!(Location::parse("sftp://-oProxyCommand=x/a").is_err());
    }

    #[test]
    fn logins_are_decoded() {
        let Place::WebDav(web) = Location::parse("webdav://a%40b:p%3Aw@h/x").unwrap().unwrap().0 else {
            panic!("it is WebDAV")
        };
        let login = web.login.unwrap();
        assert_eq!((login.user.as_str(), login.password.as_str()), ("a@b", "p:w"));
        assert_eq!(web.url.as_str(), "http://h/x");
    }
}
