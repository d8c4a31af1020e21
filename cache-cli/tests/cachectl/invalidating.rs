//! `invalidate` asks a person, and refuses where there is none.

use std::io::{Read, Write};
use std::process::{ChildStderr, Command, Stdio};

use cache_tests::{TestStore, each_deployment};
use serde_json::json;

use crate::program::{Said, at, command, terminal};

/// A run on a terminal, at which a person answers the first question.
fn answered(store: &TestStore, arguments: &[&str], answer: &str) -> Said {
    let (mut person, terminal) = terminal();
    let mut asked = Command::new(env!("CARGO_BIN_EXE_cachectl"));
    asked.env("CACHE_URL", store.url()).env("CACHE_NAMESPACE", store.namespace()).args(arguments);
    let mut child = asked.stdin(terminal).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let asked = question(child.stderr.as_mut().unwrap());
    person.write_all(format!("{answer}\n").as_bytes()).unwrap();
    let said = Said::of(&child.wait_with_output().unwrap());
    Said { err: asked + &said.err, ..said }
}

fn question(stderr: &mut ChildStderr) -> String {
    let mut asked = Vec::new();
    while !asked.ends_with(b"[y/N] ") {
        let mut byte = [0];
        assert_eq!(stderr.read(&mut byte).unwrap(), 1, "no question: {}", String::from_utf8_lossy(&asked));
        asked.push(byte[0]);
    }
    String::from_utf8(asked).unwrap()
}

each_deployment! {
    async fn a_person_is_asked_and_told_what_falls(store: TestStore) {
        let cache = store.cache().await;
        for id in 0..12 {
            cache.put(format!("flight:{id:02}").as_str(), &id).await.unwrap();
        }
        let (flights, left) = (["invalidate", "--pattern", "flight:*"], async || cache.peek::<i32>("flight:01").await);
        for answer in ["n", "", "no", "yes please"] {
            let said = answered(&store, &flights, answer);
            assert_eq!((said.code, left().await.unwrap()), (4, Some(1)), "{answer:?}: {said:?}");
            assert!(said.err.contains("flight:09") && !said.err.contains("flight:10"), "{said:?}");
            assert!(said.err.contains("and 2 more") && said.err.contains("Remove 12 entries?"), "{said:?}");
        }
        let said = answered(&store, &flights, "y");
        assert_eq!((said.code, said.out.as_str()), (0, "12 entries removed\n"), "{said:?}");
        assert_eq!(left().await.unwrap(), None);
    }

    async fn without_a_terminal_nothing_is_done_unless_it_is_said(store: TestStore) {
        let cache = store.cache().await;
        cache.put("flight:1", &1).await.unwrap();
        cache.put("flight:2", &2).await.unwrap();
        let mut piped = command(&["invalidate", "--key", "flight:1"]);
        piped.env("CACHE_URL", store.url()).env("CACHE_NAMESPACE", store.namespace()).stdin(Stdio::piped());
        let mut child = piped.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // It may have ended without reading.
        let _ = tokio::io::AsyncWriteExt::write_all(&mut stdin, b"y\n").await;
        drop(stdin);
        let said = Said::of(&child.wait_with_output().await.unwrap());
        assert_eq!(said.code, 4, "{said:?}");
        assert_eq!(cache.peek("flight:1").await.unwrap(), Some(1));
        let said = at(store.url(), store.namespace(), &["invalidate", "--key", "flight:1", "--yes", "--json"]).await;
        assert_eq!(said.json(), json!({ "removed": 1 }));
        assert_eq!(cache.peek::<i32>("flight:1").await.unwrap(), None);
        let said = at(store.url(), store.namespace(), &["invalidate", "--everything", "--yes"]).await;
        assert_eq!(said.out, "1 entry removed\n", "{said:?}");
        assert_eq!(cache.peek::<i32>("flight:2").await.unwrap(), None);
    }
}
