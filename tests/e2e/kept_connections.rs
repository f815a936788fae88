//! Proxies keep connections to the gate, which the gate ends when they were idle for some time.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::nginx::{Nginx, binaries};
use crate::proxy::{KINDS, Kind, Proxy};
use crate::support::client;
use crate::support::stub::{Reply, Stub};

/// A gate that lets every request pass, but ends each connection when its second request is there.
struct Gate {
    port: u16,
    ended: Arc<AtomicUsize>,
}

impl Gate {
    fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let gate = Self {
            port: listener.local_addr().unwrap().port(),
            ended: Arc::default(),
        };
        let ended = gate.ended.clone();
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let ended = ended.clone();
                std::thread::spawn(move || {
                    if answer_once(connection) {
                        ended.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        gate
    }
}

/// Returns whether a second request came. It is not read, so the kernel resets the connection.
fn answer_once(mut connection: TcpStream) -> bool {
    let head = BufReader::new(connection.try_clone().unwrap()).lines();
    let mut head = head.map_while(Result::ok);
    if !head.any(|line| line.is_empty()) {
        return false;
    }
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    connection.write_all(answer).is_ok() && matches!(connection.peek(&mut [0]), Ok(1))
}

/// Several requests over one connection of the browser, and so through one process of the proxy.
async fn expect_to_pass(url: &str, pause: Duration, which: &str) {
    let browser = client();
    for _ in 0..3 {
        tokio::time::sleep(pause).await;
        let answer = browser
            .get(format!("{url}/projects/"))
            .send()
            .await
            .unwrap();
        let status = answer.status();
        let body = answer.text().await.unwrap();
        assert_eq!((status.as_u16(), body.as_str()), (200, "here"), "{which}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_is_refused_because_a_kept_connection_ended() {
    let label_studio = Stub::start(|_| Reply::of(200, "here"));
    for kind in KINDS {
        let gate = Gate::start();
        let proxy = Proxy::start(kind, gate.port, label_studio.port);
        // Envoy does not ask again, but leaves an idle connection before the gate does.
        let leaves = kind == Kind::Envoy;
        let pause = Duration::from_millis(if leaves { 3000 } else { 0 });
        expect_to_pass(&proxy.url, pause, &format!("{kind:?}")).await;
        assert_eq!(gate.ended.load(Ordering::Relaxed) == 0, leaves, "{kind:?}");
    }
    for binary in binaries() {
        let gate = Gate::start();
        let nginx = Nginx::start(&binary, &[gate.port], label_studio.port);
        expect_to_pass(&nginx.url, Duration::ZERO, &binary.display().to_string()).await;
        assert!(gate.ended.load(Ordering::Relaxed) > 0, "{binary:?}");
    }
}
