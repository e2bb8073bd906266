//! `waxwing policy`, and what a policy stops.

mod support;

use support::Place;

const PAST_AND_FUTURE: &str = r#"default = "allow"

[[rule]]
schemes = ["pkcs1"]
decision = "refuse"
reason = "since the audit"

[[rule]]
schemes = ["record"]
agents = ["old-*"]
until = "2020-12-31"
decision = "warn"
"#;

#[test]
fn a_policy_is_printed_in_words() {
    let place = Place::new();
    place.write("p.toml", PAST_AND_FUTURE);
    assert_eq!(
        place.run(&["policy", "check", "p.toml"]).ok().stdout(),
        "line 3: refuse opening and sealing whatever is pkcs1: since the audit\n\
         line 8: warn about opening and sealing whatever is record with old-* until 2020-12-31 (it has ended)\n\
         everything else is allowed\n"
    );
    place.write("bad.toml", PAST_AND_FUTURE.replace("until", "untill"));
    let ran = place.run(&["policy", "check", "bad.toml"]);
    assert!(
        ran.stderr().starts_with("error: `bad.toml` is no policy: line 11: unknown field `untill`"),
        "{}",
        ran.stderr()
    );
    let none = place.run(&["policy", "check"]);
    assert_eq!(none.code(), 7, "{}", none.stderr());
}

#[test]
fn neither_deliver_nor_the_worker_does_what_the_policy_refuses() {
    let place = Place::new();
    place.write("f", "contents");
    let deliver = ["deliver", "f", "--to", "acme", "--wrap", "pkcs1", "--cipher", "aes-256-gcm", "--legacy"];
    place.run(&["agent", "register", "acme", "--key", "k.pub"]).ok();
    place.run(&deliver).ok();
    place.write("home/policy.toml", PAST_AND_FUTURE);
    place.run(&deliver).fails(
        6,
        "error: the policy refuses the scheme `pkcs1+aes-256-gcm`: line 3: refuse opening and sealing whatever is pkcs1: since the audit\n",
    );
    // The job from before: refused before anything is downloaded, so that no server need run.
    place.run(&["worker", "--once", "-k", "k", "--output", "out", "--legacy"]).ok();
    let jobs = place.run(&["jobs", "list"]).ok().stdout();
    assert!(jobs.contains("failed") && jobs.contains("Refused by policy"), "{jobs}");
    place.run(&["deliver", "f", "--to", "acme"]).ok();
}
