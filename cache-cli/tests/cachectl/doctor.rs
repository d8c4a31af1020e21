//! `doctor` finds each fault that was planted in a server, says what to do, and ends accordingly.

use cache_core::{Cache, StoreKey};
use cache_tests::{ClusterSet, PRIMARIES, Raw, Server, ServerKind, ServerOptions, TestStore, each_server, ready};
use serde_json::{Value, json};

use crate::program::{Said, at};

/// A server without any fault, plus what the test plants.
fn server(store: &TestStore, plant: impl FnOnce(ServerOptions) -> ServerOptions) -> Server {
    Server::with(store.kind().unwrap(), plant(ServerOptions::new().memory(200 << 20, "volatile-lru")))
}

async fn doctor(url: &str, arguments: &[&str]) -> Said {
    at(url, "shop", &[&["doctor", "--json", "--timeout", "10"], arguments].concat()).await
}

fn ids(report: &Value) -> Vec<&str> {
    report["findings"].as_array().unwrap().iter().map(|finding| finding["id"].as_str().unwrap()).collect()
}

/// On a machine that is busy with other tests a script may really have been held up. The few of one
/// run tell nothing.
async fn forget_scripts(server: &Server) {
    server.raw().await.command::<()>("CONFIG", &["RESETSTAT"]).await;
}

/// What is found at this server as this user, and how the run ends.
async fn found_as(server: &Server, url: &str) -> (i32, Vec<String>) {
    forget_scripts(server).await;
    told(url).await
}

async fn found(server: &Server) -> (i32, Vec<String>) {
    found_as(server, &server.url()).await
}

async fn told(url: &str) -> (i32, Vec<String>) {
    let said = doctor(url, &[]).await;
    (said.code, ids(&said.any_json()).into_iter().map(str::to_owned).collect())
}

fn cache(url: &str) -> Cache {
    Cache::builder().url(url).namespace("shop").build().unwrap()
}

/// A new user, with the URL to log in.
async fn user(server: &Server, rules: &[&str]) -> (String, String) {
    let mut raw = server.raw().await;
    let users: Vec<String> = raw.command("ACL", &["USERS"]).await;
    let name = format!("user{}", users.len());
    raw.command::<()>("ACL", &[&["SETUSER", &name, "on", ">pw"], rules].concat()).await;
    let url = server.url().replace("redis://", &format!("redis://{name}:pw@"));
    (name, url)
}

/// The rule in the section "Access" of the main README, without user and password.
fn documented_rights() -> Vec<String> {
    let readme = include_str!("../../../README.md");
    let rule = readme.split("ACL SETUSER shop on '>password' ").nth(1).unwrap().split("```").next().unwrap();
    rule.split([' ', '\n', '\\'])
        .map(|word| word.trim_matches('\'').to_owned())
        .filter(|word| !word.is_empty())
        .collect()
}

each_server! {
    async fn a_sound_server_has_no_finding(store: TestStore) {
        let server = server(&store, |options| options);
        let cache = ready(Cache::builder().url(server.url()).namespace("shop")).await;
        for id in 0..150 {
            cache.put(format!("flight:{id}").as_str(), &"x".repeat(1_000)).await.unwrap();
        }
        cache.put("board", &1).await.unwrap();
        forget_scripts(&server).await;
        cache.put("board", &2).await.unwrap();
        let report = doctor(&server.url(), &[]).await.json();
        assert_eq!(report["findings"], json!([]));
        let product = if store.kind() == Some(ServerKind::Valkey) { "Valkey" } else { "Redis" };
        assert_eq!((&report["server"]["product"], &report["server"]["role"]), (&json!(product), &json!("master")));
        assert_eq!((&report["tracking"]["pushes"], &report["memory"]["policy"]), (&json!(true), &json!("volatile-lru")));
        assert!(report["scripts"]["calls"].as_u64().is_some_and(|calls| (1..10).contains(&calls)), "{report}");
        let flights = &report["sample"]["prefixes"]["flight"];
        assert_eq!((&flights["keys"], &flights["measured"], &report["sample"]["keys"]), (&json!(150), &json!(100), &json!(151)));
        // What the server takes for a key of a kilobyte.
        let each = flights["estimated_bytes"].as_u64().unwrap() / 150;
        assert!((1_000..3_000).contains(&each), "{each}");
        let words = at(&server.url(), "shop", &["doctor"]).await;
        assert!(words.out.ends_with("\nnothing is wrong\n") && words.err.is_empty(), "{words:?}");
        let left: Vec<String> = server.raw().await.keys("shop").await;
        assert!(!left.iter().any(|key| key.contains("doctor")), "{left:?}");
    }

    async fn a_policy_that_evicts_indexes_is_critical(store: TestStore) {
        let server = Server::with(store.kind().unwrap(), ServerOptions::new().memory(200 << 20, "allkeys-lru"));
        assert_eq!(found(&server).await, (5, vec!["eviction_policy".to_owned()]));
        let words = at(&server.url(), "shop", &["doctor"]).await;
        assert!(words.out.contains("CRITICAL: ") && words.out.contains("what to do:    CONFIG SET"), "{words:?}");
    }

    async fn a_missing_memory_limit_is_a_note(store: TestStore) {
        let server = Server::start(store.kind().unwrap());
        assert_eq!(found(&server).await, (0, vec!["no_memory_limit".to_owned()]));
    }

    async fn a_full_memory_is_a_warning(store: TestStore) {
        let server = Server::with(store.kind().unwrap(), ServerOptions::new().memory(1, "noeviction"));
        assert_eq!(found(&server).await, (1, vec!["memory_full".to_owned()]));
    }

    async fn what_a_user_lacks_is_said_as_the_rule_to_add(store: TestStore) {
        let server = server(&store, |options| options);
        let documented = documented_rights();
        let documented: Vec<&str> = documented.iter().map(String::as_str).collect();
        for (taken, missing) in [
            (&["-zmscore", "-rename"][..], &["+rename", "+zmscore"][..]),
            (&["resetkeys", "~other:*"], &["~shop:*"]),
            (&["resetkeys", "%R~shop:*", "-eval"], &["~shop:*", "+eval"]),
            (&["-@scripting"], &["+script|load", "+eval", "+evalsha"]),
        ] {
            let (name, url) = user(&server, &[&documented, taken].concat()).await;
            // By itself it may not ask what it may: it tries. An administrator asks.
            for (said, by_dry_run) in [(doctor(&url, &[]).await, false), (doctor(&server.url(), &["--of", &name]).await, true)] {
                let report = said.any_json();
                assert_eq!(said.code, 5, "{taken:?}: {report}");
                assert_eq!((&report["rights"]["missing"], &report["rights"]["by_dry_run"]), (&json!(missing), &json!(by_dry_run)));
                let finding = report["findings"].as_array().unwrap().iter().find(|finding| finding["id"] == "rights").unwrap();
                assert_eq!(finding["what_to_do"], format!("ACL SETUSER {name} {}", missing.join(" ")));
            }
            server.raw().await.command::<()>("ACL", &[&["SETUSER", &name], missing].concat()).await;
            assert_eq!(found_as(&server, &url).await, (0, vec![]), "with what was said to be missing, it has all");
        }
    }

    async fn a_user_without_pushes_is_told_what_it_costs(store: TestStore) {
        let server = server(&store, |options| options);
        let documented = documented_rights();
        let documented: Vec<&str> = documented.iter().map(String::as_str).collect();
        let (_, url) = user(&server, &[&documented[..], &["-client|tracking", "-client|caching"]].concat()).await;
        forget_scripts(&server).await;
        let said = doctor(&url, &[]).await;
        let report = said.any_json();
        assert_eq!((said.code, ids(&report)), (1, vec!["rights", "pushes"]), "{report}");
        assert_eq!(report["rights"]["missing"], json!(["+client|tracking", "+client|caching"]));
    }

    async fn what_a_user_may_do_is_not_known_to_everybody(store: TestStore) {
        let server = server(&store, |options| options);
        forget_scripts(&server).await;
        let said = doctor(&server.url(), &["--of", "nobody"]).await;
        assert_eq!((said.code, ids(&said.any_json())), (1, vec!["unknown_rights"]), "{said:?}");
    }

    async fn a_command_that_was_renamed_away_is_named(store: TestStore) {
        let server = server(&store, |options| options.line("rename-command ZMSCORE \"\""));
        let said = doctor(&server.url(), &[]).await;
        let report = said.any_json();
        assert_eq!((said.code, ids(&report)), (5, vec!["commands", "not_ready"]), "{report}");
        assert_eq!(report["rights"]["unknown"], json!(["ZMSCORE"]));
    }

    async fn a_replica_and_a_node_of_a_cluster_are_critical(store: TestStore) {
        let primary = server(&store, |options| options);
        let address = primary.address();
        let replica = server(&store, |options| options.line(format!("replicaof {} {}", address.ip(), address.port())));
        let (code, ids) = found(&replica).await;
        assert!(code == 5 && ids.contains(&"replica".to_owned()) && ids.contains(&"not_ready".to_owned()), "{ids:?}");
        let node = server(&store, |options| options.line("cluster-enabled yes"));
        let (code, ids) = found(&node).await;
        assert!(code == 5 && ids.contains(&"cluster".to_owned()), "{ids:?}");
    }

    async fn of_a_sound_cluster_each_node_is_looked_at_and_none_has_a_finding(store: TestStore) {
        let (set, url) = cluster(&store).await;
        let cache = ready(Cache::builder().url(&url).namespace("shop")).await;
        for id in 0..20 {
            cache.put(format!("flight:{id}").as_str(), &"x".repeat(1_000)).await.unwrap();
        }
        for node in &set.nodes {
            forget_scripts(node).await;
        }
        cache.put("board", &1).await.unwrap();
        let report = doctor(&url, &[]).await.json();
        assert_eq!(report["findings"], json!([]));
        let cluster = &report["cluster"];
        assert_eq!((&cluster["partitions"], &cluster["incomplete"], &cluster["moving"]), (&json!(4), &json!([]), &json!([])));
        let nodes = cluster["nodes"].as_array().unwrap();
        assert_eq!(nodes.len(), PRIMARIES);
        let mut partitions: Vec<u64> = nodes.iter().flat_map(|node| node["partitions"].as_array().unwrap()).map(|number| number.as_u64().unwrap()).collect();
        partitions.sort_unstable();
        assert_eq!(partitions, [0, 1, 2, 3]);
        for (node, server) in nodes.iter().zip(&set.nodes) {
            assert_eq!((&node["address"], &node["tracking"]["pushes"]), (&json!(server.address().to_string()), &json!(true)));
            assert_eq!((&node["rights"]["missing"], &node["server"]["role"]), (&json!([]), &json!("master")));
        }
        let flights = &report["sample"]["prefixes"]["flight"];
        assert_eq!((&flights["keys"], &flights["measured"]), (&json!(20), &json!(20)), "each is measured where it is");
        let words = at(&url, "shop", &["doctor"]).await;
        assert!(words.out.starts_with("cluster   4 partitions on 3 nodes\n") && words.err.is_empty(), "{words:?}");
    }

    async fn what_is_wrong_with_partitions_is_found_with_their_numbers(store: TestStore) {
        let (set, url) = cluster(&store).await;
        let cache = ready(Cache::builder().url(&url).namespace("shop")).await;
        let clocks = [1, 2, 3].map(|number| cache.physical_key(StoreKey::ClockOf(number)).unwrap());
        drop(cache);
        let mut slots = Vec::new();
        for clock in &clocks {
            slots.push(set.nodes[0].raw().await.command::<u16>("CLUSTER", &["KEYSLOT", clock]).await);
        }
        assert_eq!(set.raw(slots[0]).await.command::<u64>("ZREM", &[&clocks[0], "!complete"]).await, 1);
        let _step = set.begin_move(slots[1], (set.owner(slots[1]).await + 1) % PRIMARIES).await;
        for node in &set.nodes[..PRIMARIES] {
            node.raw().await.command::<()>("CONFIG", &["SET", "cluster-require-full-coverage", "no"]).await;
            node.raw().await.command::<()>("CLUSTER", &["DELSLOTS", &slots[2].to_string()]).await;
        }
        let said = at(&url, "shop", &["doctor", "--json", "--timeout", "2"]).await;
        let report = said.any_json();
        for (id, number) in [("incomplete", 1), ("moving", 2), ("unserved", 3)] {
            assert_eq!(report["cluster"][id], json!([number]), "{report}");
            assert!(ids(&report).contains(&id), "{report}");
        }
        assert_eq!(said.code, 5, "{report}");
    }

    async fn a_cluster_url_is_not_for_a_server_by_itself_and_a_new_namespace_stays_untouched(store: TestStore) {
        let server = server(&store, |options| options);
        let (url, address) = (server.url().replace("redis://", "redis-cluster://"), server.url());
        let said = doctor(&url, &[]).await;
        assert!(said.code == 2 && said.err.contains(&address), "{said:?}");
        let url = format!("{}/?partitions=4", store.kind().unwrap().shared_cluster_url());
        let said = at(&url, store.namespace(), &["doctor", "--json"]).await;
        let report = said.any_json();
        assert!(report["cluster"]["partitions"].is_null() && ids(&report).contains(&"no_partitions"), "{report}");
        assert_eq!(Raw::connect(&url).await.keys(store.namespace()).await, [""; 0]);
    }

    async fn bookkeeping_that_another_program_has_written_is_critical(store: TestStore) {
        let server = server(&store, |options| options);
        let clock = cache(&server.url()).physical_key(StoreKey::Clock).unwrap();
        server.raw().await.command::<u64>("RPUSH", &[&clock, "x"]).await;
        let (code, ids) = found(&server).await;
        assert_eq!((code, ids), (5, vec!["bookkeeping".to_owned()]));
    }

    async fn scripts_that_hold_the_server_are_a_warning(store: TestStore) {
        let server = server(&store, |options| options);
        let mut raw = server.raw().await;
        // No interpreter takes less than half a nanosecond for a step.
        let busy = "for step = 1, 8e6 do end";
        let sha: String = raw.command("SCRIPT", &["LOAD", busy]).await;
        for _ in 0..20 {
            raw.command::<()>("EVALSHA", &[&sha, "0"]).await;
        }
        assert_eq!(told(&server.url()).await, (1, vec!["slow_scripts".to_owned()]));
    }

    async fn members_that_outlive_their_entries_are_a_warning(store: TestStore) {
        let server = server(&store, |options| options);
        let cache = ready(Cache::builder().url(server.url()).namespace("shop")).await;
        let index = cache.physical_key(StoreKey::Tagged("airport:DFW")).unwrap();
        bury(&mut server.raw().await, &index, 99).await;
        assert_eq!(found(&server).await, (0, vec![]), "a few are nobody's concern");
        bury(&mut server.raw().await, &index, 100).await;
        assert_eq!(found(&server).await, (1, vec!["dead_members".to_owned()]));
    }
}

/// Nodes without any fault, and the URL of four partitions on them.
async fn cluster(store: &TestStore) -> (ClusterSet, String) {
    let options = |_| ServerOptions::new().memory(200 << 20, "volatile-lru");
    let set = ClusterSet::with(store.kind().unwrap(), options).await;
    let url = format!("{}/?partitions=4", set.url());
    (set, url)
}

/// Members that died in 1970.
async fn bury(raw: &mut Raw, index: &str, count: usize) {
    for at in 0..count {
        raw.command::<u64>("ZADD", &[index, "1000", &format!("flight:{at}")]).await;
    }
}
