//! What transit's answers mean. Statuses are Vault's (`api-docs#http-status-codes`); where one status has several meanings,
//! the service's words decide: those of OpenBao 2.7.2, which has them from Vault.

use serde::Deserialize;
use zeroize::Zeroizing;

use crate::{ServiceError, said};

/// Words with which transit refuses a ciphertext: changed, of another key, or under another context.
const REFUSALS: [&str; 3] =
    ["message authentication failed", "invalid ciphertext", "failed to RSA decrypt the ciphertext"];
/// The ciphertext is of a version that the key does not have: its history was lost, with a restored backup or a new key of
/// the same name.
const TOO_NEW: &str = "version is too new";
/// No key has this name. Transit says so with status 400.
const NO_KEY: &str = "encryption key not found";
/// The token is not known, or there is none. OpenBao does not tell this from a policy.
const NO_TOKEN: [&str; 2] = ["invalid token", "missing client token"];

/// What transit answered to a call that it understood.
pub(super) enum Answer {
    Data(Data),
    /// It refuses the ciphertext, in whatever words.
    NotAuthentic,
}

#[derive(Deserialize)]
pub(super) struct Data {
    pub(super) ciphertext: Option<String>,
    /// Base64.
    pub(super) plaintext: Option<Zeroizing<String>>,
}

#[derive(Deserialize)]
struct Success {
    data: Data,
}

#[derive(Deserialize)]
struct Failure {
    errors: Vec<String>,
}

/// What was asked, so that an answer that repeats it tells nothing of it.
pub(super) struct Sent<'a> {
    /// The path as policies write it.
    pub(super) path: &'a str,
    pub(super) token: &'a str,
    pub(super) body: &'a [u8],
}

/// The meaning of an answer. A `body` of `None` was longer than what is read.
pub(super) fn judge(status: u16, body: Option<&[u8]>, sent: &Sent<'_>) -> Result<Answer, ServiceError> {
    if status == 200 {
        let body =
            body.ok_or_else(|| ServiceError::Unexpected("a longer one than any of transit".to_owned()))?;
        // serde_json's error may quote what it read.
        let success: Result<Success, _> = serde_json::from_slice(body);
        return match success {
            Ok(Success { data }) => Ok(Answer::Data(data)),
            Err(_) => Err(ServiceError::Unexpected("no JSON of transit".to_owned())),
        };
    }
    let failure: Option<Failure> = body.and_then(|body| serde_json::from_slice(body).ok());
    let words = failure.map(|Failure { errors }| errors.join("; "));
    let is = |meaning: &str| words.as_ref().is_some_and(|words| words.contains(meaning));
    if matches!(status, 400 | 500) && REFUSALS.into_iter().any(is) && !is(TOO_NEW) {
        return Ok(Answer::NotAuthentic);
    }
    let path = sent.path;
    let told = match &words {
        Some(words) => format!("{} (HTTP {status}, {path})", sent.withheld_from(words)),
        None => format!("HTTP {status}, {path}"),
    };
    let told = said(&told);
    Err(match status {
        401 => ServiceError::Credentials(told),
        403 if NO_TOKEN.into_iter().any(is) => ServiceError::Credentials(told),
        403 => ServiceError::Denied(format!(
            "{told}; the token's policies lack `update` there, or it has expired"
        )),
        400 if is(NO_KEY) => ServiceError::NotFound(told),
        404 => ServiceError::NotFound(told),
        400 if is(TOO_NEW) => {
            ServiceError::Unsuitable(format!("{told}; was the key made anew, or restored?"))
        }
        400 | 405 if words.is_some() => ServiceError::Unsuitable(told),
        429 => ServiceError::Throttled(told),
        // 412, 472 and 473 are those of replicas and standbys; 501 is not initialised, 503 sealed.
        412 | 472 | 473 | 500..=504 => ServiceError::NotReady(told),
        300..=399 => ServiceError::Unexpected(format!("a redirect, which is not followed ({told})")),
        _ => ServiceError::Unexpected(told),
    })
}

/// What stands for something that is not told.
const WITHHELD: &str = "[withheld]";
/// Shorter words are no values that were sent: the shortest that says something is a data key in base64.
const VALUE_LEN_MIN: usize = 16;

impl Sent<'_> {
    /// `text` without the token and without values of the request.
    fn withheld_from(&self, text: &str) -> String {
        let is_of_base64 = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/');
        let is_sent = |word: &str| self.body.windows(word.len()).any(|part| part == word.as_bytes());
        let text = text.replace(self.token, WITHHELD);
        let mut rest = text.as_str();
        let mut kept = String::with_capacity(text.len());
        while !rest.is_empty() {
            let (word, after) = rest.split_at(rest.find(|c| !is_of_base64(c)).unwrap_or(rest.len()));
            kept.push_str(if word.len() >= VALUE_LEN_MIN && is_sent(word) { WITHHELD } else { word });
            let (gap, after) = after.split_at(after.find(is_of_base64).unwrap_or(after.len()));
            kept.push_str(gap);
            rest = after;
        }
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT: Sent<'_> = Sent {
        path: "transit/decrypt/k",
        token: "hvs.x",
        body: br#"{"ciphertext":"vault:v1:0123456789abcdef/+","bits":256}"#,
    };

    fn meaning(status: u16, body: &str) -> Result<Answer, ServiceError> {
        judge(status, Some(body.as_bytes()), &SENT)
    }

    fn errors(words: &str) -> String {
        serde_json::json!({ "errors": [words] }).to_string()
    }

    #[test]
    fn a_refused_ciphertext_is_not_authentic_in_every_wording() {
        for (status, words) in [
            (400, "cipher: message authentication failed"),
            (400, "chacha20poly1305: message authentication failed"),
            (400, "invalid ciphertext: unable to decrypt"),
            (400, "invalid ciphertext: could not decode base64"),
            (400, "invalid ciphertext length"),
            (
                500,
                "1 error occurred:\n\t* failed to RSA decrypt the ciphertext: crypto/rsa: decryption error\n\n",
            ),
        ] {
            assert!(matches!(meaning(status, &errors(words)), Ok(Answer::NotAuthentic)), "{words}");
        }
    }

    #[test]
    fn a_service_that_refuses_for_its_own_reasons_is_no_verdict() {
        type Case = fn(&ServiceError) -> bool;
        let cases: [(u16, String, Case); 18] = [
            (400, errors("encryption key not found"), |e| matches!(e, ServiceError::NotFound(_))),
            (400, errors("invalid ciphertext: version is too new"), |e| {
                matches!(e, ServiceError::Unsuitable(_))
            }),
            (400, errors("ciphertext or signature version is disallowed by policy (too old)"), |e| {
                matches!(e, ServiceError::Unsuitable(_))
            }),
            (400, errors("message decryption not supported for key type ed25519"), |e| {
                matches!(e, ServiceError::Unsuitable(_))
            }),
            // Of Go's server, when it was to speak TLS.
            (400, "Client sent an HTTP request to an HTTPS server.\n".into(), |e| {
                matches!(e, ServiceError::Unexpected(_))
            }),
            (401, errors("no"), |e| matches!(e, ServiceError::Credentials(_))),
            (403, errors("2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"), |e| {
                matches!(e, ServiceError::Credentials(_))
            }),
            (403, errors("permission denied"), |e| matches!(e, ServiceError::Denied(_))),
            (404, errors("no handler for route"), |e| matches!(e, ServiceError::NotFound(_))),
            (404, "<html>".into(), |e| matches!(e, ServiceError::NotFound(_))),
            (405, errors("unsupported operation"), |e| matches!(e, ServiceError::Unsuitable(_))),
            (429, errors("rate limit quota exceeded"), |e| matches!(e, ServiceError::Throttled(_))),
            (500, errors("internal error"), |e| matches!(e, ServiceError::NotReady(_))),
            (502, "<html>".into(), |e| matches!(e, ServiceError::NotReady(_))),
            (503, errors("Vault is sealed"), |e| matches!(e, ServiceError::NotReady(_))),
            (307, String::new(), |e| matches!(e, ServiceError::Unexpected(_))),
            (204, String::new(), |e| matches!(e, ServiceError::Unexpected(_))),
            (418, "short and stout".into(), |e| matches!(e, ServiceError::Unexpected(_))),
        ];
        for (status, body, expected) in cases {
            let Err(error) = meaning(status, &body) else { panic!("{status} {body} is a verdict") };
            assert!(expected(&error), "{status} {body}: {error:?}");
        }
        let long = judge(502, None, &SENT);
        assert!(matches!(long, Err(ServiceError::NotReady(_))));
    }

    #[test]
    fn an_answer_that_is_not_transits_is_unexpected() {
        for body in [
            "",
            "{}",
            "{\"data\":null}",
            "{\"data\":{\"plaintext\":7}}",
            "[]",
            "{\"data\":{}} x",
            "\u{feff}{}",
        ] {
            assert!(matches!(meaning(200, body), Err(ServiceError::Unexpected(_))), "{body}");
        }
        let long = judge(200, None, &SENT);
        assert!(matches!(long, Err(ServiceError::Unexpected(_))));
    }

    #[test]
    fn what_was_sent_is_withheld_wherever_it_stands() {
        for (text, kept) in [
            ("hvs.x", "[withheld]"),
            ("bad token (hvs.xyz), sorry", "bad token ([withheld]yz), sorry"),
            ("\"0123456789abcdef/+\"\u{e9}0123456789abcdef=", "\"[withheld]\"\u{e9}[withheld]="),
            ("vault:v1:0123456789abcdef/", "vault:v1:[withheld]"),
            ("0123456789abcde and ciphertext stay", "0123456789abcde and ciphertext stay"),
            ("", ""),
        ] {
            assert_eq!(SENT.withheld_from(text), kept);
        }
    }
}
