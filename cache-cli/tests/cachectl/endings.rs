//! How a run ends, and that it never says a password.

use std::io::Write;

use cache_tests::{Server, ServerOptions, TestStore, each_server};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;

use crate::program::{Said, at, command, run};

const SECRET: &str = "hunter2planted";

/// A place where nobody listens.
const NOBODY: &str = "redis://127.0.0.1:1";

#[tokio::test]
async fn a_server_that_is_not_there_is_unreachable() {
    for arguments in [&["keys"][..], &["explain", "a"], &["doctor"], &["invalidate", "--key", "a", "--yes"]] {
        let said = at(NOBODY, "shop", &[arguments, &["--timeout", "1"]].concat()).await;
        assert_eq!((said.code, said.out.as_str()), (3, ""), "{said:?}");
        assert!(said.err.contains("error: "), "{said:?}");
    }
}

#[tokio::test]
async fn what_can_never_work_is_wrong() {
    for (url, arguments) in [
        ("http://127.0.0.1", &["keys"][..]),
        ("memory://", &["keys"]),
        (NOBODY, &["nonsense"]),
        (NOBODY, &["keys", "--timeout", "0"]),
        (NOBODY, &["keys", "--password-file", "/nowhere"]),
        (NOBODY, &["keys", "--user", "somebody"]),
    ] {
        let said = at(url, "shop", arguments).await;
        assert_eq!((said.code, said.out.as_str()), (2, ""), "{arguments:?}: {said:?}");
    }
}

#[tokio::test]
async fn there_are_completions_for_each_shell() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let said = run(command(&["completions", shell])).await;
        assert_eq!(said.code, 0, "{said:?}");
        assert!(["explain", "invalidate", "doctor"].iter().all(|word| said.out.contains(word)), "{shell}");
    }
    let help = run(command(&["--help"])).await;
    assert!(help.code == 0 && help.out.contains("Exit codes:") && help.out.contains("130"), "{help:?}");
}

#[tokio::test]
async fn ctrl_c_ends_a_run_that_waits() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    for (arguments, warns) in [(&["keys"][..], false), (&["invalidate", "--key", "a", "--yes"], true)] {
        for signal in [Signal::INT, Signal::TERM] {
            let mut waits = command(&[arguments, &["--timeout", "600"]].concat());
            let child = waits.env("CACHE_URL", &url).spawn().unwrap();
            let (_silent, _) = listener.accept().await.unwrap();
            kill_process(Pid::from_raw(child.id().unwrap().cast_signed()).unwrap(), signal).unwrap();
            let said = Said::of(&child.wait_with_output().await.unwrap());
            assert_eq!((said.code, said.out.as_str()), (130, ""), "{said:?}");
            assert_eq!(said.err.contains("run it again"), warns, "{said:?}");
        }
    }
}

each_server! {
    async fn whoever_has_read_enough_ends_it_in_silence(store: TestStore) {
        let cache = store.cache().await;
        for id in 0..3_000 {
            cache.put(format!("a-key-that-is-long-enough-to-fill-a-pipe-soon:{id}").as_str(), &id).await.unwrap();
        }
        let mut listing = command(&["keys", "--all"]);
        let mut child = listing.env("CACHE_URL", store.url()).env("CACHE_NAMESPACE", store.namespace()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.next_line().await.unwrap().is_some());
        drop(lines);
        let said = Said::of(&child.wait_with_output().await.unwrap());
        assert_eq!((said.code, said.err.as_str()), (0, ""), "{said:?}");
    }

    async fn no_output_holds_a_password(store: TestStore) {
        let server = Server::with(store.kind().unwrap(), ServerOptions::new().password(SECRET));
        let bare = format!("redis://{}", server.address());
        let with = |secret: &str| bare.replace("://", &format!("://:{secret}@"));
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "{SECRET}").unwrap();
        let file = file.path().to_str().unwrap().to_owned();
        let wrong = format!("{SECRET}-not");
        let mut runs = Vec::new();
        for arguments in [&["keys"][..], &["doctor"], &["doctor", "--json"], &["explain", "a"]] {
            let plain = || command(arguments);
            let (mut by_url, mut by_variable, mut by_file, mut seen) = (plain(), plain(), plain(), plain());
            by_url.env("CACHE_URL", with(SECRET));
            by_variable.env("CACHE_URL", &bare).env("CACHE_PASSWORD", SECRET);
            by_file.env("CACHE_URL", &bare).args(["--password-file", &file]);
            seen.args(["--url", &with(SECRET)]);
            for (command, warns) in [(by_url, false), (by_variable, false), (by_file, false), (seen, true)] {
                let said = run(command).await;
                assert_eq!(said.code, 0, "{said:?}");
                assert_eq!(said.err.contains("whoever lists the processes"), warns, "{said:?}");
                runs.push(said);
            }
            let mut by_wrong_url = plain();
            by_wrong_url.env("CACHE_URL", with(&wrong));
            let mut by_wrong_variable = plain();
            by_wrong_variable.env("CACHE_URL", &bare).env("CACHE_PASSWORD", &wrong);
            for command in [by_wrong_url, by_wrong_variable] {
                let said = run(command).await;
                assert_eq!(said.code, 2, "{said:?}");
                runs.push(said);
            }
        }
        let mut helped = command(&["--help"]);
        helped.env("CACHE_URL", with(SECRET)).env("CACHE_ADMIN", format!("http://u:{SECRET}@h"));
        runs.push(run(helped).await);
        // What a person may type by mistake.
        for mistake in [&[with(SECRET).as_str()][..], &["keys", "--limit", &with(SECRET)], &["keys", "--url"]] {
            let said = run(command(mistake)).await;
            assert_eq!(said.code, 2, "{said:?}");
            runs.push(said);
        }
        for said in runs {
            assert!(!said.out.contains("hunter2") && !said.err.contains("hunter2"), "{said:?}");
        }
    }
}
