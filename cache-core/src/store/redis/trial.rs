//! What the library needs of a server, tried before a connection is used; and what it says when
//! that is refused.

use super::connect::Hook;
use super::layout::Layout;
use super::resp::Reply;
use super::scripts;
use crate::error::{Error, ErrorKind};

/// Runs one script under the namespace, in a partition that the server has, which tries every
/// command that the library's scripts use.
///
/// # Errors
/// `Config`: it can never work, with the commands that are refused and what to do. A server that
/// refuses for the moment what would let it grow is no less fit.
pub(super) fn trial(partitions: &[Layout]) -> Hook {
    let tries: Vec<_> = partitions.iter().map(|layout| (layout.root().to_owned(), layout.trial())).collect();
    Box::new(move |connection| {
        let (root, key) = tries.get(usize::from(connection.serves())).or(tries.first()).cloned().unwrap_or_default();
        Box::pin(async move {
            match connection.run(&scripts::TRIAL, &[&key], &[root.as_bytes()]).await {
                Ok(reply) => verdict(&reply, &root),
                Err(error) if error.kind() == ErrorKind::Limit => Ok(()),
                Err(error) => Err(error),
            }
        })
    })
}

fn verdict(reply: &Reply, root: &str) -> Result<(), Error> {
    let refused: Option<Vec<&str>> = match reply {
        Reply::Array(names) => names.iter().map(Reply::text).collect(),
        _ => None,
    };
    let message = match refused.as_deref() {
        Some([]) => return Ok(()),
        None => "the server answered a script with something unexpected: it is not Redis or Valkey".to_owned(),
        Some(["~"]) => {
            "the server lets scripts use no keys but those that are declared, and an invalidation finds its \
             keys in an index"
                .to_owned()
        }
        Some(["%d"]) => "the server's scripts cannot print integers of 53 bits: it was built for 32".to_owned(),
        Some(commands) => format!(
            "Redis refuses {} in scripts on keys `{root}*`: allow what the README lists under \"Access\", and \
             rename no command",
            commands.join(", ")
        ),
    };
    Err(Error::new(ErrorKind::Config, message))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use bytes::Bytes;

    use super::*;

    fn commands(source: &str) -> BTreeSet<&str> {
        let calls = ["redis.call('", "redis.pcall('", "guarded('", "in_slices('"].into_iter();
        calls.flat_map(|call| source.split(call).skip(1)).filter_map(|rest| rest.split('\'').next()).collect()
    }

    /// A script without it believes the connection: see `clock.lua`.
    const DONE_WITHOUT: [&str; 1] = ["INFO"];

    #[test]
    fn every_command_of_the_scripts_is_tried() {
        let tried = scripts::TRIAL.source.split("{ '").skip(1).filter_map(|rest| rest.split('\'').next());
        let tried: BTreeSet<_> = tried.chain(DONE_WITHOUT).collect();
        for script in scripts::ALL.iter().chain(scripts::OF_PARTITIONS) {
            let missing: Vec<_> = commands(script.source).difference(&tried).copied().collect();
            assert!(missing.is_empty(), "{missing:?}: add to `trial.lua`, and to the README's user");
        }
    }

    #[test]
    fn a_refusal_names_the_commands_and_what_to_do() {
        let names = |names: &[&str]| {
            Reply::Array(names.iter().map(|name| Reply::Bulk(Bytes::copy_from_slice(name.as_bytes()))).collect())
        };
        verdict(&names(&[]), "shop:").unwrap();
        for (reply, expected) in [
            (names(&["TIME", "ZADD"]), "TIME, ZADD"),
            (names(&["SET"]), "`shop:*`"),
            (names(&["~"]), "declared"),
            (names(&["%d"]), "integers"),
            (Reply::Simple(Bytes::from_static(b"OK")), "not Redis"),
            (Reply::Integer(1), "not Redis"),
        ] {
            let error = verdict(&reply, "shop:").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}
