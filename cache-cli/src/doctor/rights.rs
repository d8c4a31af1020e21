//! What the server's user may do, against what the library needs.

use serde::Serialize;

use super::finding::{Finding, Severity};
use super::server::{Answer, Refusal, Server};

/// What stands for the scratch key in a command.
const KEY: &str = "KEY";

/// A right, a command that needs it, and what happens without it; "": the cache does not work.
struct Right {
    rule: &'static str,
    command: &'static str,
    without: &'static str,
}

const fn needed(rule: &'static str, command: &'static str) -> Right {
    Right { rule, command, without: "" }
}

const fn wanted(rule: &'static str, command: &'static str, without: &'static str) -> Right {
    Right { rule, command, without }
}

/// Those of the section "Access" in the main README; a test compares them.
const RIGHTS: [Right; 34] = [
    needed("+hello", "HELLO"),
    needed("+auth", "AUTH x"),
    needed("+select", "SELECT 0"),
    wanted("+client|setname", "CLIENT SETNAME x", "the cache's connections have no name"),
    wanted("+client|tracking", "CLIENT TRACKING OFF", WITHOUT_PUSHES),
    wanted("+client|caching", "CLIENT CACHING YES", WITHOUT_PUSHES),
    wanted(
        "+info",
        "INFO server",
        "an allkeys-* policy goes unnoticed, and each new connection refuses the fills that are under way",
    ),
    wanted("+script|load", "SCRIPT LOAD return", "a script that the server has not seen is sent as text"),
    needed("+eval", "EVAL return 0"),
    needed("+evalsha", "EVALSHA 0000000000000000000000000000000000000000 0"),
    needed("+get", "GET KEY"),
    needed("+mget", "MGET KEY"),
    needed("+getrange", "GETRANGE KEY 0 0"),
    needed("+set", "SET KEY 1 PX 1000"),
    needed("+exists", "EXISTS KEY"),
    needed("+pexpire", "PEXPIRE KEY 1000"),
    needed("+pttl", "PTTL KEY"),
    needed("+rename", "RENAME KEY KEY"),
    needed("+del", "DEL KEY"),
    needed("+scan", "SCAN 0 COUNT 1"),
    needed("+time", "TIME"),
    needed("+zadd", "ZADD KEY 1 1"),
    needed("+zcard", "ZCARD KEY"),
    needed("+zscore", "ZSCORE KEY 1"),
    needed("+zcount", "ZCOUNT KEY 0 1"),
    needed("+zmscore", "ZMSCORE KEY 1"),
    needed("+zrange", "ZRANGE KEY 0 0"),
    needed("+zrank", "ZRANK KEY 1"),
    needed("+zscan", "ZSCAN KEY 0"),
    needed("+zrangebyscore", "ZRANGEBYSCORE KEY 0 1"),
    needed("+zrem", "ZREM KEY 1"),
    needed("+zremrangebyrank", "ZREMRANGEBYRANK KEY 0 0"),
    needed("+zremrangebyscore", "ZREMRANGEBYSCORE KEY 0 1"),
    needed("+unlink", "UNLINK KEY"),
];

const WITHOUT_PUSHES: &str = "no change is pushed: calls that wait for another process's load ask up to ten times a second, and `near` copies \
     are not kept";

/// What is missing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Rights {
    pub(crate) user: String,
    /// How it was found: by `ACL DRYRUN`, or by trying each command on a key that is gone in the
    /// end.
    pub(crate) by_dry_run: bool,
    /// The rules to be added.
    pub(crate) missing: Vec<String>,
    /// Commands that the server does not have.
    pub(crate) unknown: Vec<String>,
    #[serde(skip)]
    without: Vec<&'static str>,
    #[serde(skip)]
    is_needed: bool,
}

/// How a command fared.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Granted,
    NoCommand,
    NoKey,
    Unknown,
}

/// Of the user that is logged in, or of another one. Only of another one it can be unknown.
///
/// # Errors
/// The server says nothing of that user.
pub(crate) async fn look(server: &Server, user: Option<&str>, key: &str) -> Answer<Rights> {
    let own = server.ask::<String>(&["ACL", "WHOAMI"]).await.unwrap_or_else(|_| server.user().to_owned());
    let user = user.unwrap_or(&own);
    let by_dry_run = match server.ask::<String>(&["ACL", "DRYRUN", user, "GET", key]).await {
        Ok(_) => true,
        Err(refusal) if user != own => return Err(refusal),
        Err(_) => false,
    };
    let mut rights = Rights { user: user.to_owned(), by_dry_run, ..Rights::default() };
    let mut lacks_keys = false;
    for right in &RIGHTS {
        let words: Vec<&str> = right.command.split(' ').map(|word| if word == KEY { key } else { word }).collect();
        let verdict = if by_dry_run { dry_run(server, user, &words).await } else { trial(server, &words).await };
        match verdict {
            Verdict::Granted => {}
            Verdict::NoKey => lacks_keys = true,
            Verdict::NoCommand => rights.lack(right),
            Verdict::Unknown => rights.unknown.push(words[0].to_owned()),
        }
    }
    if lacks_keys {
        // On a cluster the root of a key has the number of its partition: `{shop/3…}:`.
        let rule = match key.split_once('/') {
            Some((namespace, _)) if namespace.starts_with('{') => format!("~{namespace}/*"),
            _ => format!("~{}:*", key.split(':').next().unwrap_or_default()),
        };
        rights.missing.insert(0, rule);
        rights.is_needed = true;
    }
    Ok(rights)
}

async fn dry_run(server: &Server, user: &str, words: &[&str]) -> Verdict {
    let asked = [&["ACL", "DRYRUN", user], words].concat();
    match server.ask::<String>(&asked).await {
        Ok(told) if told == "OK" => Verdict::Granted,
        Ok(told) if told.contains(" key") => Verdict::NoKey,
        Ok(_) => Verdict::NoCommand,
        // It knows the command not, for it knows the user.
        Err(Refusal::Other(told)) if told.contains("not found") => Verdict::Unknown,
        Err(_) => Verdict::Granted,
    }
}

/// The library tries the same on each connection.
async fn trial(server: &Server, words: &[&str]) -> Verdict {
    // These two say something about this very connection.
    if matches!(words[0], "HELLO" | "AUTH") {
        return Verdict::Granted;
    }
    match server.ask::<redis::Value>(words).await {
        Err(Refusal::NotPermitted(why)) if why.contains(" key") => Verdict::NoKey,
        Err(Refusal::NotPermitted(_)) => Verdict::NoCommand,
        Err(Refusal::Unknown) => Verdict::Unknown,
        Ok(_) | Err(Refusal::Other(_)) => Verdict::Granted,
    }
}

impl Rights {
    fn lack(&mut self, right: &Right) {
        self.missing.push(right.rule.to_owned());
        match right.without {
            "" => self.is_needed = true,
            without if !self.without.contains(&without) => self.without.push(without),
            _ => {}
        }
    }

    pub(crate) fn findings(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        if !self.missing.is_empty() {
            let (severity, means) = match self.is_needed {
                true => (Severity::Critical, "the cache does not work for this user: every call loads".to_owned()),
                false => (Severity::Warning, format!("the cache does without: {}", self.without.join("; "))),
            };
            let title = format!("the user {} lacks {}", self.user, self.missing.join(" "));
            let rule = format!("ACL SETUSER {} {}", self.user, self.missing.join(" "));
            findings.push(Finding::new("rights", severity, title, means, rule));
        }
        if !self.unknown.is_empty() {
            let title = format!("the server has no {}", self.unknown.join(", "));
            let means = "the server is too old, or the commands were renamed: the cache does not work with it";
            let to_do = "use Redis 7.0 or later, or Valkey, and take away `rename-command`";
            findings.push(Finding::new("commands", Severity::Critical, title, means, to_do));
        }
        findings
    }
}
