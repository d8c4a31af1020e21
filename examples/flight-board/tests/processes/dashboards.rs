//! `dashboards/` as Prometheus reads it: each panel and each rule has something to show.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use cache_http::{Cdn, CdnDialect, Purge, PurgeError, Purger};
use cache_tests::{PATIENCE, Server, TestStore, each_server, prometheus, until};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::process::{File, Serving, ask};
use crate::prometheus::Prometheus;

fn dashboards() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dashboards").canonicalize().unwrap()
}

fn dashboard() -> Value {
    serde_json::from_str(&std::fs::read_to_string(dashboards().join("grafana.json")).unwrap()).unwrap()
}

/// Those that show something; rows do not.
fn panels(dashboard: &Value) -> Vec<&Value> {
    dashboard["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row").collect()
}

fn promtool(arguments: &[&str], stdin: &str) {
    let mut command = Command::new(prometheus().with_file_name("promtool"));
    command.args(arguments).current_dir(dashboards());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{arguments:?}:\n{told}");
    assert!(arguments[1] == "rules" || told.is_empty(), "{arguments:?}:\n{told}");
}

#[test]
fn the_rules_are_rules() {
    promtool(&["check", "rules", "--lint=all", "--lint-fatal", "rules.yml"], "");
}

#[test]
fn each_alert_fires_for_what_it_is_for_and_for_nothing_else() {
    promtool(&["test", "rules", "rules.test.yml"], "");
    let read = |file: &str| std::fs::read_to_string(dashboards().join(file)).unwrap();
    let (rules, tests) = (read("rules.yml"), read("rules.test.yml"));
    let after = |text: &str, word: &str| -> Vec<String> {
        text.lines().filter_map(|line| line.trim().strip_prefix(word)).map(ToOwned::to_owned).collect()
    };
    assert_eq!(after(&rules, "- alert: "), after(&tests, "- name: "));
}

#[test]
fn the_dashboard_asks_whatever_prometheus_is_chosen_and_covers_no_panel() {
    let dashboard = dashboard();
    let mut taken = BTreeSet::new();
    for panel in panels(&dashboard) {
        let title = panel["title"].as_str().unwrap();
        let asked = panel["targets"].as_array().unwrap().iter().chain([panel]);
        assert!(asked.into_iter().all(|asks| asks["datasource"]["uid"] == "${datasource}"), "{title}");
        assert!(panel["description"].as_str().is_some_and(|text| text.ends_with('.')), "{title}");
        let side = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        for x in side("x")..side("x") + side("w") {
            assert!(x < 24, "{title}");
            assert!((side("y")..side("y") + side("h")).all(|y| taken.insert((x, y))), "{title} covers another");
        }
    }
    let ids: BTreeSet<_> = dashboard["panels"].as_array().unwrap().iter().map(|panel| panel["id"].as_u64()).collect();
    assert_eq!(ids.len(), dashboard["panels"].as_array().unwrap().len());
    let variables = dashboard["templating"]["list"].as_array().unwrap().iter();
    let variables: Vec<_> = variables.map(|variable| variable["name"].as_str().unwrap()).collect();
    assert_eq!(variables, ["datasource", "cache", "prefix", "instance"]);
}

/// What the panels ask when everything is chosen.
fn asked_by_panels() -> Vec<(String, String)> {
    let dashboard = dashboard();
    let mut asked = Vec::new();
    for panel in panels(&dashboard) {
        for target in panel["targets"].as_array().unwrap() {
            let mut query = target["expr"].as_str().unwrap().replace("$__rate_interval", "5m");
            for variable in ["$cache", "$prefix", "$instance"] {
                query = query.replace(variable, ".*");
            }
            assert!(!query.contains('$'), "{query}");
            asked.push((panel["title"].as_str().unwrap().to_owned(), query));
        }
    }
    assert!(asked.len() > 30, "{asked:?}");
    asked
}

/// What the rules ask. An alert is to be silent, so its conditions are asked for their truth.
async fn asked_by_rules(prometheus: &Prometheus) -> Vec<(String, String)> {
    let rules = prometheus.rules().await;
    let asked = rules.iter().map(|rule| {
        let name = rule["name"].as_str().unwrap().to_owned();
        if rule["type"] == "recording" {
            return (name.clone(), name);
        }
        let mut query = rule["query"].as_str().unwrap().to_owned();
        for compared in ["==", ">", "<"] {
            query = query.replace(&format!(" {compared} "), &format!(" {compared} bool "));
        }
        assert!(query.contains(" bool "), "{query}");
        (name, query)
    });
    asked.collect()
}

/// What visitors do, again and again: each time other boards, which nobody has asked for yet.
async fn visit(address: String) {
    for round in 0.. {
        let day = format!("2001-{:02}-{:02}", 1 + round / 28 % 3, 1 + round % 28);
        let mut requests = JoinSet::new();
        let mut request = |method: &'static str, path: String, sent: &'static str| {
            let address = address.clone();
            requests.spawn(async move { ask(&address, method, &path, sent).await });
        };
        for _ in 0..8 {
            request("GET", format!("/airports/ORD/departures?day={day}"), "");
        }
        // There is none, and an error is not stored.
        request("GET", "/itineraries?flights=99999999".to_owned(), "");
        for _ in 0..4 {
            request("GET", "/statistics/routes/DFW/ORD".to_owned(), "");
        }
        request("PUT", format!("/flights/{}/delay", 1 + round), r#"{"delay_min": 95}"#);
        request("POST", "/admin/invalidate".to_owned(), r#"{"pattern": "board:ORD:*"}"#);
        requests.join_all().await;
    }
}

/// A CDN that has nothing.
struct NoPurge;

impl Purge for NoPurge {
    async fn purge(&self, _: &[String]) -> Result<(), PurgeError> {
        Ok(())
    }
}

/// Serves what a purger says of itself, and returns where.
async fn serve_health(purger: Purger) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let metrics = async move || purger.health().to_prometheus();
    let app = Router::new().route("/metrics", get(metrics));
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

each_server! {
    async fn every_panel_and_every_rule_has_something_to_show(store: TestStore) {
        let server = Server::start(store.kind().unwrap());
        // What one store does not count, the other does.
        let (one, other) = (File::new(), File::new());
        let shared = Serving::start(&one.path, &server.url()).await;
        let embedded = Serving::start(&other.path, "memory://").await;
        let purger = Purger::start(&store.cache().await, &Cdn::new("board", CdnDialect::Surrogate), NoPurge);
        let purging = serve_health(purger).await;
        let boards = [shared.address(), embedded.address()];
        let targets = [boards[0], boards[1], &purging];
        let prometheus = Prometheus::start(&dashboards().join("rules.yml"), &targets);
        // A counter that is there from its first scrape on is seen to grow.
        until(async || prometheus.query("cache_breaker_open").await.len() == 2).await;
        let mut visitors = JoinSet::new();
        for board in boards {
            visitors.spawn(visit(board.to_owned()));
        }
        let mut silent = asked_by_panels();
        silent.extend(asked_by_rules(&prometheus).await);
        let asking = async {
            let mut again = tokio::time::interval(Duration::from_millis(200));
            while !silent.is_empty() {
                again.tick().await;
                let mut at = 0;
                while let Some((_, query)) = silent.get(at) {
                    match prometheus.query(query).await.is_empty() {
                        true => at += 1,
                        false => drop(silent.remove(at)),
                    }
                }
            }
        };
        let ended = tokio::time::timeout(PATIENCE, asking).await;
        assert!(ended.is_ok(), "nothing to show: {silent:#?}");
        for rule in prometheus.rules().await {
            assert_eq!(rule["health"], "ok", "{rule}");
        }
        for target in targets {
            promtool(&["check", "metrics"], &ask(target, "GET", "/metrics", "").await.1);
        }
    }
}
