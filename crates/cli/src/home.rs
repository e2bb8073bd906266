//! Where Waxwing keeps its state on this machine.

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use waxwing_delivery::{LedgerError, Policy, SqliteLedger, UnixMillis};
use waxwing_store::{DirStore, Durability, SigningKey, UrlSigner};

use crate::exit::{Code, Failure};

/// Where `serve` listens unless told otherwise, and `deliver` expects it.
pub(crate) const LISTEN_DEFAULT: &str = "127.0.0.1:8480";

/// The folder of all state: ledger, objects, the key that signs URLs.
#[derive(Debug)]
pub(crate) struct Home {
    dir: PathBuf,
}

impl Home {
    /// The folder that was named, else the platform's place for data. It is made when it is not there (mode 0700).
    pub(crate) fn open(named: Option<&Path>) -> Result<Self, Failure> {
        let dir = match named {
            Some(dir) => dir.to_owned(),
            None => platform_dir().ok_or_else(|| {
                Failure::new(Code::Usage, "there is no home directory to keep state in")
                    .hint("name a folder with --home or WAXWING_HOME")
            })?,
        };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&dir)
            .map_err(|err| Failure::io(format!("cannot make the folder `{}`", dir.display()), err))?;
        Ok(Self { dir })
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The ledger of agents and jobs.
    pub(crate) fn ledger(&self, policy: Policy) -> Result<SqliteLedger, Failure> {
        SqliteLedger::open(&self.dir.join("ledger.sqlite"), policy).map_err(ledger_failed)
    }

    /// The key that signs URLs, made on first use.
    pub(crate) fn signing_key(&self) -> Result<Arc<SigningKey>, Failure> {
        SigningKey::load_or_create(&self.dir.join("url.key"))
            .map(Arc::new)
            .map_err(|err| Failure::new(Code::Failed, "cannot use the key that signs URLs").because(err))
    }

    /// The objects, whose URLs begin with `base`.
    pub(crate) fn store(&self, base: &str) -> Result<DirStore, Failure> {
        let signer = UrlSigner::new(base, self.signing_key()?)
            .map_err(|err| Failure::new(Code::Usage, format!("`{base}` cannot begin a URL")).because(err))?;
        let store = DirStore::open(self.dir.join("objects"), Durability::Synced)
            .map_err(|err| Failure::new(Code::Failed, "cannot use the object directory").because(err))?;
        Ok(store.with_signer(signer))
    }

    /// Where `serve` was last started, else where it starts by default.
    pub(crate) fn base_url(&self) -> String {
        let noted = fs::read_to_string(self.dir.join("serve.url"));
        noted.map_or_else(|_| format!("http://{LISTEN_DEFAULT}"), |url| url.trim().to_owned())
    }

    /// Notes where `serve` listens.
    pub(crate) fn note_base_url(&self, url: &str) -> Result<(), Failure> {
        let path = self.dir.join("serve.url");
        fs::write(&path, format!("{url}\n"))
            .map_err(|err| Failure::io(format!("cannot write `{}`", path.display()), err))
    }
}

/// This moment.
pub(crate) fn now() -> UnixMillis {
    SystemTime::now().into()
}

pub(crate) fn ledger_failed(err: LedgerError) -> Failure {
    let (code, what) = match &err {
        LedgerError::NoSuchJob { .. } | LedgerError::NoSuchAgent { .. } => {
            (Code::NotFound, "nothing was done")
        }
        _ => (Code::Failed, "the ledger refused"),
    };
    Failure::new(code, what).because(err)
}

/// `90s`, `30m`, `12h`, `7d` or bare seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let scale = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86400,
        _ => return Err("it must be a number with s, m, h or d behind it".to_owned()),
    };
    let secs = number.parse::<u64>().ok().and_then(|number| number.checked_mul(scale));
    secs.map(Duration::from_secs).ok_or_else(|| "it must be a number with s, m, h or d behind it".to_owned())
}

pub(crate) fn platform_dir() -> Option<PathBuf> {
    let home = std::env::home_dir()?;
    if cfg!(target_os = "macos") {
        return Some(home.join("Library/Application Support/waxwing"));
    }
    let data = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(|dir| dir.is_absolute());
    Some(data.unwrap_or_else(|| home.join(".local/share")).join("waxwing"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("7d"), Ok(Duration::from_secs(7 * 86400)));
        for bad in ["", "d", "-1", "1w", "99999999999999999999", "18446744073709551615d"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
