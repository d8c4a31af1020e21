//! The client of an admin page: JSON, and answers that come line by line.

use std::io::{BufRead, BufReader, Read};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use ureq::http::{Response, StatusCode};
use ureq::{Agent, Body};

use crate::ending::{Ending, Failure};
use crate::target::{Target, without_passwords};

/// The variable with the header `Authorization`, for an admin page behind a login.
const AUTHORIZATION_VARIABLE: &str = "CACHE_ADMIN_AUTHORIZATION";
/// What an action needs: a form of another site cannot send it.
const ACTION_HEADER: &str = "x-cache-admin";
const ANSWER_BYTES_MAX: u64 = 16 << 20;
const LINE_BYTES_MAX: u64 = 1 << 20;
/// Lines that nobody has read yet. Beyond that no more are taken from the connection.
const LINES_WAITING_MAX: usize = 64;
/// An event stream says something every 15 s.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// An admin page.
pub(crate) struct AdminClient {
    base: String,
    authorization: Option<String>,
    timeout: Duration,
}

/// What is asked.
pub(crate) struct Request<'a> {
    /// Below the page, such as `api/stats`.
    pub(crate) path: &'a str,
    /// The name of a cache; `None`: the first one, or for events all of them.
    pub(crate) cache: Option<&'a str>,
    /// An action, with its body.
    pub(crate) action: Option<Value>,
}

impl AdminClient {
    pub(crate) fn new(target: &Target) -> Result<Self, Failure> {
        let base = target.admin().ok_or_else(|| Failure::wrong("which admin page? `--admin URL`, or CACHE_ADMIN"))?;
        if !base.starts_with("http://") && !base.starts_with("https://") {
            return Err(Failure::wrong("the URL of an admin page begins with http:// or https://"));
        }
        let authorization = std::env::var(AUTHORIZATION_VARIABLE).ok().filter(|header| !header.is_empty());
        Ok(Self { base: base.trim_end_matches('/').to_owned(), authorization, timeout: target.timeout() })
    }

    /// The whole answer.
    pub(crate) async fn json(&self, request: Request<'_>) -> Result<Value, Failure> {
        let (asked, timeout) = (self.asked(&request), self.timeout);
        let answer = tokio::task::spawn_blocking(move || {
            let mut response = asked.send(Some(timeout))?;
            let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX);
            let text = body.read_to_string().map_err(|error| unreachable(&error.to_string()))?;
            serde_json::from_str(&text).map_err(|_| unreachable("it answers something that is not JSON"))
        });
        answer.await.map_err(|_| unreachable("the request was given up"))?
    }

    /// The answer line by line, for as long as it comes.
    pub(crate) fn lines(&self, request: Request<'_>) -> Receiver<Result<String, Failure>> {
        let (asked, (sender, receiver)) = (self.asked(&request), channel(LINES_WAITING_MAX));
        // It ends when nobody listens any more, or with the process.
        tokio::task::spawn_blocking(move || match asked.send(None) {
            Ok(response) => pass_on(response, &sender),
            Err(failure) => _ = sender.blocking_send(Err(failure)),
        });
        receiver
    }

    fn asked(&self, request: &Request<'_>) -> Asked {
        Asked {
            url: format!("{}/{}", self.base, request.path),
            cache: request.cache.map(str::to_owned),
            body: request.action.as_ref().map(Value::to_string),
            authorization: self.authorization.clone(),
            timeout: self.timeout,
        }
    }
}

/// A request on its way to a thread that may block.
struct Asked {
    url: String,
    cache: Option<String>,
    body: Option<String>,
    authorization: Option<String>,
    timeout: Duration,
}

impl Asked {
    /// `within`: the whole answer has to come in this time.
    fn send(self, within: Option<Duration>) -> Result<Response<Body>, Failure> {
        let silence = if within.is_none() && self.body.is_none() { Some(SILENCE_MAX) } else { None };
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_connect(Some(self.timeout))
            .timeout_recv_response(Some(self.timeout))
            .timeout_per_read(silence)
            .timeout_global(within);
        let agent = config.build().new_agent();
        let header = self.authorization.as_deref();
        let response = match &self.body {
            None => {
                let request =
                    self.cache.iter().fold(agent.get(&self.url), |request, cache| request.query("cache", cache));
                header.into_iter().fold(request, |request, value| request.header("authorization", value)).call()
            }
            Some(body) => {
                let request =
                    self.cache.iter().fold(agent.post(&self.url), |request, cache| request.query("cache", cache));
                let request = request.header(ACTION_HEADER, "1").header("content-type", "application/json");
                header.into_iter().fold(request, |request, value| request.header("authorization", value)).send(body)
            }
        };
        refused(response.map_err(|error| unreachable(&without_passwords(&error.to_string())))?)
    }
}

fn unreachable(why: &str) -> Failure {
    Failure::unreachable(format!("the admin page: {why}"))
}

/// Whether it is an answer, and if it is none, what it says.
fn refused(mut response: Response<Body>) -> Result<Response<Body>, Failure> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let text = response.body_mut().with_config().limit(LINE_BYTES_MAX).read_to_string().unwrap_or_default();
    let told: Value = serde_json::from_str(&text).unwrap_or_default();
    let message = told["error"]["message"].as_str().map_or_else(|| format!("it answers {status}"), str::to_owned);
    let ending = match status {
        StatusCode::FORBIDDEN => Ending::Refused,
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => Ending::Unreachable,
        // A redirection leads to a login.
        status if status.is_client_error() || status.is_redirection() => Ending::Wrong,
        _ => Ending::Unreachable,
    };
    Err(Failure::new(ending, format!("the admin page: {message}")))
}

fn pass_on(response: Response<Body>, to: &Sender<Result<String, Failure>>) {
    let mut lines = BufReader::new(response.into_body().into_reader());
    loop {
        let mut line = String::new();
        let sent = match lines.by_ref().take(LINE_BYTES_MAX).read_line(&mut line) {
            Ok(0) => return,
            Ok(_) if line.len() as u64 == LINE_BYTES_MAX => to.blocking_send(Err(unreachable("a line has no end"))),
            Ok(_) => to.blocking_send(Ok(line.trim_end().to_owned())),
            Err(error) => to.blocking_send(Err(unreachable(&error.to_string()))),
        };
        if sent.is_err() {
            return;
        }
    }
}
