//! More connections in one moment than the service can take: the kernel keeps them for it.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::token::SECRET_KEY;
use crate::support::{free_port, listens, wait_until};

/// A gate that stands still, as if it got no processor. It goes on and ends when dropped.
struct Frozen(Child);

impl Frozen {
    fn start(port: u16) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_label-studio-gate"));
        command
            .env("GATE_HTTP_LISTEN", format!("127.0.0.1:{port}"))
            .env("SECRET_KEY", SECRET_KEY)
            .env("GATE_HTTP_WORKERS", "1")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let frozen = Self(command.spawn().unwrap());
        wait_until(|| listens(port), || "it does not listen".to_owned());
        frozen.signal("STOP");
        frozen
    }

    fn signal(&self, name: &str) {
        let id = self.0.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status();
        assert!(sent.unwrap().success());
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn five_hundred_connections_in_one_moment_are_kept_and_answered() {
    let port = free_port();
    let gate = Frozen::start(port);
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    // One that finds no place is dropped, and tries again after a second (RFC 6298 §2.1).
    let connect = |_| TcpStream::connect_timeout(&address, Duration::from_millis(900));
    let connections: Vec<_> = (0..500).map_while(|n| connect(n).ok()).collect();
    assert_eq!(connections.len(), 500);
    gate.signal("CONT");
    for mut connection in connections {
        let limit = Some(Duration::from_secs(30));
        connection.set_read_timeout(limit).unwrap();
        let request = "GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        connection.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
}
