//! A Prometheus of one test's own.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use cache_tests::prometheus;
use serde_json::Value;
use tempfile::TempDir;

use crate::process::ask;

/// Ends the server when stdin closes, so that it cannot outlive this process.
const GUARD: &str = r#""$@" </dev/null & read -r _; kill -9 $!; wait"#;

/// Scrapes each second, and evaluates the rules as often. Ends when it is dropped.
pub(crate) struct Prometheus {
    guard: Child,
    address: String,
    _directory: TempDir,
}

impl Prometheus {
    /// Returns when it answers.
    pub(crate) fn start(rules: &Path, targets: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let configuration = directory.path().join("prometheus.yml");
        let text = format!(
            "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\n\
             rule_files: [{rules:?}]\n\
             scrape_configs: [{{ job_name: board, static_configs: [{{ targets: {targets:?} }}] }}]\n"
        );
        std::fs::write(&configuration, text).unwrap();
        let option = |name: &str, value: &Path| format!("--{name}={}", value.display());
        let mut guard = Command::new("sh")
            .args(["-c", GUARD, "sh"])
            .arg(prometheus())
            .arg(option("config.file", &configuration))
            .arg(option("storage.tsdb.path", &directory.path().join("data")))
            .arg("--web.listen-address=127.0.0.1:0")
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(guard.stderr.take().unwrap()).lines().map(Result::unwrap);
        let (mut told, mut address) = (Vec::new(), None);
        let is_ready = log.by_ref().any(|line| {
            if line.contains("Listening on") {
                address = line.split_whitespace().find_map(|word| word.strip_prefix("address=")).map(ToOwned::to_owned);
            }
            let ready = line.contains("Server is ready to receive web requests");
            told.push(line);
            ready
        });
        let address = address.filter(|_| is_ready);
        let address = address.unwrap_or_else(|| panic!("Prometheus does not start:\n{}", told.join("\n")));
        // Otherwise it would stop at a full pipe.
        std::thread::spawn(move || log.for_each(drop));
        Self { guard, address, _directory: directory }
    }

    /// The values of a query that are numbers.
    pub(crate) async fn query(&self, query: &str) -> Vec<f64> {
        let encoded: String = query.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let data = self.api(&format!("query?query={encoded}")).await;
        let values = data["result"].as_array().unwrap().iter();
        let values = values.map(|sample| sample["value"][1].as_str().unwrap().parse::<f64>().unwrap());
        values.filter(|value| value.is_finite()).collect()
    }

    /// The rules that it has read.
    pub(crate) async fn rules(&self) -> Vec<Value> {
        let data = self.api("rules").await;
        let groups = data["groups"].as_array().unwrap().iter();
        groups.flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
    }

    async fn api(&self, path: &str) -> Value {
        let (_, body) = ask(&self.address, "GET", &format!("/api/v1/{path}"), "").await;
        let mut answer: Value = serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}"));
        assert_eq!(answer["status"], "success", "{path}: {answer}");
        answer["data"].take()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}
