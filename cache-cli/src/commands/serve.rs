//! The admin page for a server, on this machine alone.

use std::net::Ipv4Addr;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::HOST;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use cache_admin::Admin;
use serde_json::json;
use tokio::net::TcpListener;

use crate::args::ServeArguments;
use crate::ending::{Ending, Failure};
use crate::target::Target;
use crate::terminal::{Terminal, say};

const PATH: &str = "/cache";

/// Until it is interrupted.
pub(crate) async fn run(target: &Target, terminal: &Terminal, how: &ServeArguments) -> Result<Ending, Failure> {
    let cache = target.ready().await?;
    let admin = Admin::new(target.namespace(), &cache);
    let admin = if how.allow_actions { admin.allow_actions() } else { admin };
    let unserved = |error: std::io::Error| Failure::wrong(format!("port {} of this machine: {error}", how.port));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, how.port)).await.map_err(unserved)?;
    let port = listener.local_addr().map_err(unserved)?.port();
    let app: Router = Router::new().nest(PATH, admin.router()).route("/", get(async || Redirect::to(PATH)));
    let app = app.layer(from_fn(move |request: Request, next: Next| named_here(port, request, next)));
    let url = format!("http://127.0.0.1:{port}{PATH}");
    if terminal.is_json() {
        terminal.answer(&json!({ "url": url }), String::new)?;
    } else {
        say(&format!("{url}\nIts counters are those of this process, which makes no calls. Ctrl-C ends it."))?;
    }
    axum::serve(listener, app).await.map_err(|error| Failure::unreachable(error.to_string()))?;
    Ok(Ending::Done)
}

/// A page of another site may have its name lead to this machine. Its requests bear that name.
async fn named_here(port: u16, request: Request, next: Next) -> Response {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    let is_here = host
        .is_some_and(|host| ["127.0.0.1", "localhost"].map(|name| format!("{name}:{port}")).contains(&host.to_owned()));
    if is_here { next.run(request).await } else { (StatusCode::MISDIRECTED_REQUEST, "not this host").into_response() }
}
