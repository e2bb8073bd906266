//! The policy that holds on this machine: a file named by `--policy` or WAXWING_POLICY, else `policy.toml` in the home folder.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use waxwing_profiles::PROFILE_LEN_MAX;
use waxwing_profiles::policy::{Action, Date, Policy, Request, SchemeFacts, Verdict};

use crate::exit::{Code, Failure, Outcome};
use crate::files;
use crate::home::platform_dir;

/// The name of the policy in the home folder.
const FILE_NAME: &str = "policy.toml";
const SECS_PER_DAY: u64 = 24 * 60 * 60;

/// Which policy holds.
#[derive(Debug, Clone, Args)]
pub(crate) struct PolicyArgs {
    /// Which schemes may be used [default: policy.toml in the home folder, if it is there]
    #[arg(long, value_name = "FILE", env = "WAXWING_POLICY", hide_env_values = true)]
    policy: Option<PathBuf>,
}

impl PolicyArgs {
    /// The policy; `None` where there is none. `home` is the folder that was named, if any was.
    pub(crate) fn load(&self, home: Option<&Path>) -> Result<Option<Policy>, Failure> {
        let path = match (&self.policy, home) {
            (Some(path), _) => path.clone(),
            (None, named) => {
                let Some(dir) = named.map(Path::to_owned).or_else(platform_dir) else { return Ok(None) };
                let path = dir.join(FILE_NAME);
                // A file that cannot be looked at is not one that is not there: fail, rather than allow.
                match path.try_exists() {
                    Ok(false) => return Ok(None),
                    Ok(true) => path,
                    Err(err) => return Err(Failure::io(format!("cannot read {}", files::name(&path)), err)),
                }
            }
        };
        read(&path).map(Some)
    }
}

/// Reads a policy.
pub(crate) fn read(path: &Path) -> Result<Policy, Failure> {
    let wrong = || format!("{} is no policy", files::name(path));
    let bytes = files::read_small(path, PROFILE_LEN_MAX)?;
    let text = String::from_utf8(bytes).map_err(|err| Failure::new(Code::Failed, wrong()).because(err))?;
    Policy::parse(&text).map_err(|err| Failure::new(Code::Failed, wrong()).because(err))
}

/// The day, in UTC.
pub(crate) fn today() -> Date {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Date::from_unix_days(u32::try_from(since.as_secs() / SECS_PER_DAY).unwrap_or(u32::MAX))
}

/// Asks the policy, if there is one. A warning goes to standard error.
///
/// # Errors
///
/// [`Code::Refused`].
pub(crate) fn check(
    policy: Option<&Policy>,
    action: Action,
    scheme: &SchemeFacts,
    agent: Option<&str>,
) -> Outcome {
    let Some(policy) = policy else { return Ok(()) };
    let decision = policy.decide(&Request { action, scheme, agent, today: today() });
    let said = match decision.rule {
        Some(rule) => format!("line {}: {rule}", rule.line),
        None => "no rule allows it".to_owned(),
    };
    match decision.verdict {
        Verdict::Allow => Ok(()),
        Verdict::Warn => {
            eprintln!("warning: the policy on `{}`, {said}", scheme.id);
            Ok(())
        }
        Verdict::Refuse => {
            let what = format!("the policy refuses the scheme `{}`", scheme.id);
            Err(Failure::new(Code::Refused, what).because(said))
        }
    }
}
