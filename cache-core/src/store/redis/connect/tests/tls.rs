//! `rediss://` to a port that speaks no TLS says so.

use std::io::{Read, Write};
use std::net::TcpListener;

use super::*;

async fn refusal(answer: &'static [u8], connect_timeout: Duration) -> Error {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("rediss://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let received = stream.read(&mut [0; 4096]).unwrap();
            assert!(received > 0);
            stream.write_all(answer).unwrap();
            // Reads until the other side closes the connection.
            while stream.read(&mut [0; 4096]).is_ok_and(|bytes| bytes > 0) {}
        }
    });
    let config = Config { connect_timeout, ..config(1) };
    let hooks = Hooks {
        on_connection: doing_nothing(),
        on_new_primary: finding_all(),
        on_loss: Box::new(|_| ()),
        on_change: Box::new(|_| ()),
    };
    let pool = Pool::new(&url, &Access::default(), &config, scripts::ALL, hooks, &[]).unwrap();
    pool.ready(connect_timeout * 2).await.unwrap_err()
}

#[tokio::test]
async fn a_port_that_answers_in_plain_text_is_a_configuration_error() {
    let error = refusal(b"-ERR unknown command\r\n", Duration::from_secs(20)).await;
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("speaks no TLS"), "{error}");
}

/// A silent server, as Redis is: it waits for the end of a line.
#[tokio::test]
async fn a_port_that_says_nothing_is_suspected() {
    let error = refusal(b"", Duration::from_millis(100)).await;
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("speaks no TLS"), "{error}");
}
