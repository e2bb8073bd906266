//! `waxwing agent`

use std::path::PathBuf;
use std::time::Duration;

use clap::Subcommand;
use serde_json::{Value, json};
use waxwing_delivery::worker::PROFILE_PREFIX;
use waxwing_delivery::{Agent, AgentEvent, AgentId, KeyId, KeyStatus};
use waxwing_formats::scheme::Scheme;
use waxwing_keyring::{Key, RsaRecipientKey};

use crate::exit::{Code, Failure, Outcome};
use crate::home::{Home, duration, ledger_failed, now};
use crate::places::PlaceArgs;
use crate::{keys, print, profile};

/// Register and look after the parties that files are delivered to
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    places: PlaceArgs,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Register an agent with its public key; compare the fingerprint with its owner over another channel
    Register {
        /// What to call the agent
        agent: AgentId,
        /// Its public key or certificate
        #[arg(short = 'k', long = "key", value_name = "PUB")]
        key: String,
        /// How its records are made, such as oaep-sha256+aes-256-gcm [default: that]
        #[arg(long)]
        scheme: Option<Scheme>,
        /// The partner's scheme, where it is one of their own: a preset's id (`waxwing profile list`)
        #[arg(long, value_name = "PRESET", conflicts_with = "scheme")]
        profile: Option<String>,
        /// Refuse the key unless this is its fingerprint
        #[arg(long, value_name = "SHA256:…")]
        fingerprint: Option<String>,
    },
    /// List all agents
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show one agent and the history of its keys
    Show {
        /// Which
        agent: AgentId,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Take no new jobs for an agent
    Disable {
        /// Which
        agent: AgentId,
    },
    /// Take jobs for an agent again
    Enable {
        /// Which
        agent: AgentId,
    },
    /// Give an agent a new key; the old one opens on for a while
    Rotate {
        /// Which
        agent: AgentId,
        /// Its new public key or certificate
        #[arg(short = 'k', long = "key", value_name = "PUB")]
        key: PathBuf,
        /// How long jobs sealed for the old key may still be opened: 90s, 30m, 12h, 7d
        #[arg(long, value_parser = duration, default_value = "7d")]
        overlap: Duration,
        /// Refuse the key unless this is its fingerprint
        #[arg(long, value_name = "SHA256:…")]
        fingerprint: Option<String>,
    },
}

pub(crate) fn run(args: Args, home: &Home) -> Outcome {
    let ledger = args.places.registry(home)?;
    match args.action {
        Action::Register { agent, key, scheme, profile, fingerprint } => {
            let (id, pem) = read_public(&key, fingerprint.as_deref())?;
            let scheme = match profile {
                Some(id) => Some(profile_scheme(&id)?),
                None => scheme.map(|scheme| scheme.to_string()),
            };
            let new = Agent::new(agent, id, pem, scheme, now())
                .map_err(|err| Failure::new(Code::Usage, "the agent cannot be registered").because(err))?;
            ledger.register(&new).map_err(ledger_failed)?;
            eprintln!("registered {}", new.id());
            confirm(&new);
        }
        Action::List { json } => {
            let agents = ledger.agents().map_err(ledger_failed)?;
            if json {
                return print(&format!("{:#}\n", Value::Array(agents.iter().map(to_json).collect())));
            }
            for agent in agents {
                let state = if agent.is_enabled() { "enabled" } else { "disabled" };
                print(&format!("{:<24} {state:<9} {}\n", agent.id(), fingerprint_of(&agent)))?;
            }
        }
        Action::Show { agent, json } => {
            let found = ledger.agent(&agent).map_err(ledger_failed)?;
            let agent =
                found.ok_or_else(|| Failure::new(Code::NotFound, format!("there is no agent `{agent}`")))?;
            match json {
                true => print(&format!("{:#}\n", to_json(&agent)))?,
                false => print(&to_text(&agent))?,
            }
        }
        Action::Disable { agent } => {
            ledger.change(&agent, AgentEvent::Disable, now()).map_err(ledger_failed)?;
            eprintln!("disabled {agent}: it gets no new jobs");
        }
        Action::Enable { agent } => {
            ledger.change(&agent, AgentEvent::Enable, now()).map_err(ledger_failed)?;
            eprintln!("enabled {agent}");
        }
        Action::Rotate { agent, key, overlap, fingerprint } => {
            let (key_id, pem) = read_public(&key.to_string_lossy(), fingerprint.as_deref())?;
            let event = AgentEvent::Rotate { key_id, pem, overlap };
            let changed = ledger.change(&agent, event, now()).map_err(ledger_failed)?;
            eprintln!("rotated {agent}: new files are sealed for the new key");
            confirm(&changed);
        }
    }
    Ok(())
}

/// What an agent's registration says of a partner's scheme.
fn profile_scheme(id: &str) -> Result<String, Failure> {
    let profile = profile::find(id)?;
    if waxwing_profiles::preset(&profile.id).is_none() {
        let failure = Failure::new(Code::Usage, format!("`{id}` is no preset"));
        return Err(failure.hint("the worker knows presets alone: it takes no profile from elsewhere"));
    }
    if profile.repeat.is_some() || profile.files().count() > 2 {
        let failure =
            Failure::new(Code::Refused, format!("a message of {} is more than one download", profile.id));
        return Err(failure.hint("a job has one URL: fetch the files, and use `waxwing open --profile`"));
    }
    Ok(format!("{PROFILE_PREFIX}{}", profile.id))
}

fn confirm(agent: &Agent) {
    eprintln!("fingerprint: {}", fingerprint_of(agent));
    eprintln!("  compare it with {}'s owner over another channel before you deliver", agent.id());
}

/// Reads a public key, and refuses one with another fingerprint than the owner told.
fn read_public(name: &str, expected: Option<&str>) -> Result<(KeyId, String), Failure> {
    let key = match keys::recipient(name)? {
        Key::RsaPublic(key) => key,
        Key::RsaPrivate(_) => {
            let failure = Failure::new(Code::NoUsableKey, format!("`{name}` is a private key"));
            return Err(failure.hint("register the public one; the private key stays with its owner"));
        }
        other => other.into_rsa_public().map_err(|err| keys::refused(name, err))?,
    };
    let actual = key.key_id().fingerprint();
    if let Some(expected) = expected
        && !expected.eq_ignore_ascii_case(&actual)
    {
        return Err(Failure::new(
            Code::Refused,
            format!("the key `{name}` has the fingerprint {actual}, not {expected}"),
        )
        .hint("do not register it; ask its owner again"));
    }
    Ok((ledger_id(&key), key.to_pem()))
}

/// The key's id as the ledger writes it.
pub(crate) fn ledger_id(key: &RsaRecipientKey) -> KeyId {
    key.key_id().to_string().parse().expect("64 hex digits are a key id")
}

fn fingerprint_of(agent: &Agent) -> String {
    agent.keys().last().map_or_else(String::new, |key| format!("sha256:{}", key.key_id))
}

fn status(agent: &Agent, key: &KeyId) -> String {
    match agent.key_status(key, now()) {
        KeyStatus::Active => "active".to_owned(),
        KeyStatus::Overlap { until } => format!("opens until {until}"),
        KeyStatus::Retired => "retired".to_owned(),
        KeyStatus::Unknown => "unknown".to_owned(),
    }
}

fn to_text(agent: &Agent) -> String {
    let mut text = format!(
        "agent    {}\nstate    {}\nscheme   {}\ncreated  {}\nkeys\n",
        agent.id(),
        if agent.is_enabled() { "enabled" } else { "disabled" },
        agent.scheme().unwrap_or("not stated: that of the record"),
        agent.created()
    );
    for key in agent.keys() {
        text += &format!("  sha256:{}  added {}  {}\n", key.key_id, key.added, status(agent, &key.key_id));
    }
    text
}

fn to_json(agent: &Agent) -> Value {
    let keys = agent.keys().iter().map(|key| {
        json!({
            "key_id": key.key_id.to_string(),
            "added": key.added.to_string(),
            "status": status(agent, &key.key_id),
            "public_key": key.pem,
        })
    });
    json!({
        "agent": agent.id().to_string(),
        "enabled": agent.is_enabled(),
        "scheme": agent.scheme(),
        "created": agent.created().to_string(),
        "keys": keys.collect::<Vec<_>>(),
    })
}
