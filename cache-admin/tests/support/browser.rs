//! A headless Chromium, driven by the DevTools protocol over two pipes: it needs no port and no
//! crate.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{Mutex as AsyncMutex, oneshot};
use tokio::time::timeout;

/// Far longer than a page takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

type Waiting = Arc<Mutex<HashMap<u64, oneshot::Sender<Value>>>>;

/// The browser. Dropped, it ends.
pub(crate) struct Browser {
    _process: Child,
    _profile: TempDir,
    pipe: Pipe,
}

/// One tab.
pub(crate) struct Tab {
    pipe: Pipe,
    session: String,
    target: String,
}

#[derive(Clone)]
struct Pipe {
    commands: Arc<AsyncMutex<ChildStdin>>,
    waiting: Waiting,
    last: Arc<AtomicU64>,
}

impl Browser {
    /// Starts the program that `cargo xtask test` found.
    ///
    /// # Panics
    /// If it did not say where, or the program does not start.
    pub(crate) fn start() -> Self {
        let program = std::env::var("CACHE_TEST_CHROMIUM_BIN").map(PathBuf::from).unwrap_or_else(|_| {
            panic!("CACHE_TEST_CHROMIUM_BIN is not set: run the tests with `cargo xtask test`, which finds a Chromium")
        });
        let profile = tempfile::tempdir().expect("a directory for the profile");
        // The protocol is spoken on the descriptors 3 and 4.
        let mut command = Command::new("sh");
        command.args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >&2"]).arg(program);
        command.args(["--headless=new", "--remote-debugging-pipe", "--no-first-run", "--disable-gpu"]);
        // Root in a container has no sandbox, and a small /dev/shm. Only our own page is opened.
        command.args(["--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars", "--force-color-profile=srgb"]);
        command.arg(format!("--user-data-dir={}", profile.path().display())).arg("about:blank");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut process = command.spawn().expect("Chromium starts");
        let commands = Arc::new(AsyncMutex::new(process.stdin.take().expect("its stdin is a pipe")));
        let waiting = Waiting::default();
        tokio::spawn(answers(process.stdout.take().expect("its stdout is a pipe"), waiting.clone()));
        Self { _process: process, _profile: profile, pipe: Pipe { commands, waiting, last: Arc::default() } }
    }

    /// Opens a page in a new tab, which is in front then, and waits until it is loaded.
    pub(crate) async fn open(&self, url: &str, width: u32, height: u32) -> Tab {
        let made = self.pipe.ask("Target.createTarget", json!({ "url": "about:blank" }), None).await;
        let target = text(&made["targetId"]);
        let attached =
            self.pipe.ask("Target.attachToTarget", json!({ "targetId": target, "flatten": true }), None).await;
        let tab = Tab { pipe: self.pipe.clone(), session: text(&attached["sessionId"]), target };
        tab.ask("Page.enable", json!({})).await;
        tab.resize(width, height).await;
        tab.ask("Page.navigate", json!({ "url": url })).await;
        tab.until("document.readyState === 'complete'").await;
        tab
    }
}

impl Tab {
    /// The value of an expression in the page, awaited if it is a promise.
    pub(crate) async fn eval(&self, expression: &str) -> Value {
        let parameters = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let mut told = self.ask("Runtime.evaluate", parameters).await;
        assert!(told.get("exceptionDetails").is_none(), "{expression} fails: {told}");
        told["result"]["value"].take()
    }

    /// Waits until an expression is true.
    pub(crate) async fn until(&self, expression: &str) {
        let asking = async {
            while self.eval(&format!("Boolean({expression})")).await != true {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if timeout(PATIENCE, asking).await.is_err() {
            let page = self.eval("document.body.innerText").await;
            panic!("never true: {expression}\n{page}");
        }
    }

    pub(crate) async fn resize(&self, width: u32, height: u32) {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500 });
        self.ask("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    /// Has the page believe that the system is dark, or light.
    pub(crate) async fn scheme(&self, scheme: &str) {
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.ask("Emulation.setEmulatedMedia", features).await;
    }

    /// Presses a key: a character, or a name such as `ArrowDown`.
    pub(crate) async fn press(&self, key: &str) {
        let code = match key {
            "Enter" => 13,
            "Escape" => 27,
            "ArrowUp" => 38,
            "ArrowDown" => 40,
            "Tab" => 9,
            _ => 0,
        };
        let text = match key {
            "Enter" => "\r",
            _ if key.chars().count() == 1 => key,
            _ => "",
        };
        let event = |kind: &str| json!({ "type": kind, "key": key, "text": text, "windowsVirtualKeyCode": code });
        self.ask("Input.dispatchKeyEvent", event("keyDown")).await;
        self.ask("Input.dispatchKeyEvent", json!({ "type": "keyUp", "key": key, "windowsVirtualKeyCode": code })).await;
    }

    pub(crate) async fn type_text(&self, text: &str) {
        self.ask("Input.insertText", json!({ "text": text })).await;
    }

    /// Brings this tab to the front: the others are hidden then.
    pub(crate) async fn to_front(&self) {
        self.ask("Page.bringToFront", json!({})).await;
    }

    /// A PNG of what is seen, in base64.
    pub(crate) async fn screenshot(&self) -> String {
        text(&self.ask("Page.captureScreenshot", json!({ "format": "png", "optimizeForSpeed": false })).await["data"])
    }

    pub(crate) async fn close(self) {
        self.pipe.ask("Target.closeTarget", json!({ "targetId": self.target }), None).await;
    }

    async fn ask(&self, method: &str, parameters: Value) -> Value {
        self.pipe.ask(method, parameters, Some(&self.session)).await
    }
}

impl Pipe {
    async fn ask(&self, method: &str, parameters: Value, session: Option<&str>) -> Value {
        let id = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let (tell, told) = oneshot::channel();
        self.waiting.lock().unwrap().insert(id, tell);
        let mut command = json!({ "id": id, "method": method, "params": parameters });
        if let Some(session) = session {
            command["sessionId"] = session.into();
        }
        let mut bytes = command.to_string().into_bytes();
        bytes.push(0);
        self.commands.lock().await.write_all(&bytes).await.expect("Chromium reads");
        let answer = timeout(PATIENCE, told).await.unwrap_or_else(|_| panic!("{method} has no answer"));
        let mut answer = answer.expect("Chromium is there");
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].take()
    }
}

/// Hands out answers; events are not asked for.
async fn answers(stdout: ChildStdout, waiting: Waiting) {
    let (mut reader, mut message) = (BufReader::new(stdout), Vec::new());
    while reader.read_until(0, &mut message).await.is_ok_and(|bytes| bytes > 0) {
        message.pop();
        let told: Value = serde_json::from_slice(&message).unwrap_or_default();
        let asked = told["id"].as_u64().and_then(|id| waiting.lock().unwrap().remove(&id));
        if let Some(asked) = asked {
            let _ = asked.send(told);
        }
        message.clear();
    }
    // Whoever waits is told that it is gone.
    waiting.lock().unwrap().clear();
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}
