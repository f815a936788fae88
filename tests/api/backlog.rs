//! Connections that come faster than the service can take them, which the kernel keeps for it, and
//! connections that are not used any more.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Stdio;
use std::time::Duration;

use crate::support::gate::{GateProcess, gate_command};

#[test]
fn five_hundred_connections_in_one_moment_are_kept_and_answered() {
    let mut command = gate_command();
    command.env("GATE_HTTP_WORKERS", "1");
    let gate = GateProcess::start_into(&command, Stdio::null());
    // It stands still, as if it got no processor.
    gate.signal("STOP");
    let address = SocketAddr::from(([127, 0, 0, 1], gate.port));
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

/// The default is more than a minute.
#[test]
fn a_connection_on_which_nothing_follows_is_closed_after_a_configured_time() {
    let mut command = gate_command();
    command.env("GATE_HTTP_KEEP_ALIVE_SECONDS", "1");
    let gate = GateProcess::start_into(&command, Stdio::null());
    let mut connection = TcpStream::connect(("127.0.0.1", gate.port)).unwrap();
    let limit = Some(Duration::from_secs(60));
    connection.set_read_timeout(limit).unwrap();
    let request = "GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n";
    connection.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}
