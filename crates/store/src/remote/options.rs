use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::{Client, redirect, retry};
use zeroize::Zeroizing;

use super::{Fault, Login};
use crate::download::DownloadLimits;

/// How files elsewhere are reached: addresses, credentials, tokens. All of it is optional.
#[derive(Default, Clone)]
pub struct RemoteOptions {
    /// Where S3 is, when it is not Amazon's: `http://127.0.0.1:8333`. Its buckets are then addressed by path.
    pub s3_endpoint: Option<String>,
    /// The region that S3 requests are signed for. Without one, `us-east-1` is used for an endpoint of one's own.
    pub s3_region: Option<String>,
    /// Who asks S3.
    pub s3_credentials: S3Credentials,
    /// The login for WebDAV URLs that have none.
    pub webdav_login: Option<Login>,
    /// How `ssh` is called.
    pub sftp: SftpOptions,
    /// An OAuth access token for Google Drive.
    pub gdrive_token: Option<Zeroizing<String>>,
    /// An OAuth access token for OneDrive.
    pub onedrive_token: Option<Zeroizing<String>>,
    /// An OAuth access token for Dropbox.
    pub dropbox_token: Option<Zeroizing<String>>,
}

/// Who asks S3.
#[derive(Default, Clone)]
pub enum S3Credentials {
    /// Whoever the usual chain finds: profiles, web identity, container and instance metadata. It reads the environment.
    #[default]
    Chain,
    /// An access key.
    Key {
        /// Its id.
        id: String,
        /// Its secret.
        secret: Zeroizing<String>,
        /// The token of temporary credentials.
        session_token: Option<Zeroizing<String>>,
    },
}

/// How `ssh` is called for SFTP.
#[derive(Debug, Clone, Default)]
pub struct SftpOptions {
    /// The program, when it is not the `ssh` of the search path.
    pub program: Option<OsString>,
    /// Its configuration file (`ssh -F`), in place of the user's: keys, known hosts, jump hosts.
    pub config: Option<PathBuf>,
}

impl fmt::Debug for RemoteOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteOptions")
            .field("s3_endpoint", &self.s3_endpoint)
            .field("s3_region", &self.s3_region)
            .finish_non_exhaustive()
    }
}

/// The longest silence of a service, and the longest that giving up may take: 30 s each.
pub(super) const STALL_MAX: Duration = Duration::from_secs(30);

/// Redirects that reading follows; writing follows none.
const REDIRECTS_MAX: usize = 5;

/// Limits for one request: 10 s to connect, 30 s of silence, 5 attempts with pauses from 200 ms to 5 s.
pub(super) fn limits() -> DownloadLimits {
    DownloadLimits { stall: STALL_MAX, ..DownloadLimits::default() }
}

/// A client that takes no proxy from the environment.
pub(super) fn client(follow: bool) -> Result<Client, Fault> {
    let redirects = redirect::Policy::custom(move |attempt| {
        // Never from https to http.
        let weaker =
            attempt.previous().iter().any(|url| url.scheme() == "https") && attempt.url().scheme() != "https";
        if weaker || attempt.previous().len() > REDIRECTS_MAX { attempt.stop() } else { attempt.follow() }
    });
    Client::builder()
        .user_agent(concat!("waxwing/", env!("CARGO_PKG_VERSION")))
        .no_proxy()
        .referer(false)
        .redirect(if follow { redirects } else { redirect::Policy::none() })
        .retry(retry::never())
        .connect_timeout(limits().connect)
        .read_timeout(STALL_MAX)
        .build()
        .map_err(Fault::from)
}
