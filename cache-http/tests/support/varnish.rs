//! A real Varnish in front of a server, with the VCL of the guide; and a wire in between that can
//! be held.

use std::fs;
use std::net::TcpListener as PortFinder;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request};
use cache_http::{Purge, PurgeError};
use cache_tests::{Gate, until};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};

use super::Visitor;

const VCL: &str = include_str!("../../docs/cache.vcl");
const ATTEMPTS: usize = 10;

/// A Varnish of its own. Killed when it is dropped.
pub struct Varnish {
    child: Child,
    pub port: u16,
    _directory: TempDir,
}

impl Varnish {
    /// In front of a server of this machine. What it has fetched for longer than `flight` is not
    /// stored.
    pub async fn before(port: u16, flight: Duration) -> Self {
        let (host_port, longest) = (".port = \"8080\"", "> 10s");
        assert!(VCL.contains(host_port) && VCL.contains(longest), "the VCL of the guide has changed");
        let vcl = VCL.replace(host_port, &format!(".port = \"{port}\""));
        Self::with(&vcl.replace(longest, &format!("> {}s", flight.as_secs_f64()))).await
    }

    pub async fn with(vcl: &str) -> Self {
        for _ in 0..ATTEMPTS {
            let directory = TempDir::new().unwrap();
            let (vcl_file, work) = (directory.path().join("cache.vcl"), directory.path().join("work"));
            fs::write(&vcl_file, vcl).unwrap();
            let port = PortFinder::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let log = fs::File::create(directory.path().join("log")).unwrap();
            let child = Command::new(cache_tests::varnish())
                .args(["-F", "-j", "none", "-n"])
                .arg(&work)
                .arg("-f")
                .arg(&vcl_file)
                .args(["-a", &format!("127.0.0.1:{port}"), "-s", "malloc,8m"])
                .stdin(Stdio::null())
                .stdout(log.try_clone().unwrap())
                .stderr(log)
                .spawn()
                .expect("CACHE_TEST_VARNISH_BIN is a program");
            let mut varnish = Self { child, port, _directory: directory };
            if varnish.is_up().await {
                return varnish;
            }
            let log = fs::read_to_string(varnish._directory.path().join("log")).unwrap_or_default();
            assert!(log.contains("Address already in use") || log.contains("Could not get socket"), "{log}");
        }
        panic!("no port was free");
    }

    /// Until it answers, or has ended.
    async fn is_up(&mut self) -> bool {
        let (child, port, mut is_up) = (&mut self.child, self.port, false);
        until(async || {
            is_up = TcpStream::connect(("127.0.0.1", port)).await.is_ok();
            is_up || child.try_wait().unwrap().is_some()
        })
        .await;
        is_up
    }

    pub fn visitor(&self) -> Visitor {
        Visitor::of(self.port)
    }
}

impl Drop for Varnish {
    fn drop(&mut self) {
        // The manager ends its worker when it is told to end.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

/// Purges a Varnish with the VCL of the guide.
// The guide shows this, and a test compares them.
#[derive(Clone)]
pub struct VarnishPurge {
    pub origin: String,
    pub client: Client<HttpConnector, Body>,
}

impl Purge for VarnishPurge {
    async fn purge(&self, keys: &[String]) -> Result<(), PurgeError> {
        let method = Method::from_bytes(b"PURGE")?;
        let request = Request::builder().method(method).uri(&self.origin).header("xkey-purge", keys.join(" "));
        let answer = self.client.request(request.body(Body::empty())?).await?;
        if answer.status().is_success() { Ok(()) } else { Err(format!("Varnish answers {}", answer.status()).into()) }
    }
}

impl Varnish {
    pub fn purge(&self) -> VarnishPurge {
        let origin = format!("http://127.0.0.1:{}/", self.port);
        VarnishPurge { origin, client: Client::builder(TokioExecutor::new()).build_http() }
    }
}

/// The wire between a Varnish and its server.
#[derive(Clone, Default)]
pub struct Wire {
    held: Arc<Mutex<Option<Gate>>>,
}

impl Wire {
    /// To a server of this machine. Returns the port to connect to.
    pub async fn to(&self, port: u16) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let wire = self.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let far = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                tokio::spawn(wire.clone().carry(near, far));
            }
        });
        own
    }

    /// Holds the next answer on its way.
    pub fn hold(&self) -> Gate {
        let gate = Gate::new();
        *self.held.lock().unwrap() = Some(gate.clone());
        gate
    }

    async fn carry(self, near: TcpStream, far: TcpStream) {
        let ((mut near_in, mut near_out), (mut far_in, mut far_out)) = (near.into_split(), far.into_split());
        let asking = async move {
            let _ = copy(&mut near_in, &mut far_out).await;
        };
        let answering = async move {
            let mut buffer = vec![0; 64 * 1024];
            while let Ok(bytes @ 1..) = far_in.read(&mut buffer).await {
                let gate = self.held.lock().unwrap().take();
                if let Some(gate) = gate {
                    gate.pass().await;
                }
                if near_out.write_all(&buffer[..bytes]).await.is_err() {
                    break;
                }
            }
        };
        tokio::join!(asking, answering);
    }
}
