//! The memory of a peak goes back to the system.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::process::Service;
use crate::world::eventually;

/// With their buffers, some 10 MiB.
const CONNECTIONS: usize = 300;
const COOKIE: usize = 30_000;

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_have_closed_leave_no_memory_behind() {
    let nowhere = ("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nothing");
    let service = Service::start("", &[nowhere]);
    let before = service.memory();
    let request = format!(
        "GET /auth/nginx HTTP/1.1\r\nHost: x\r\nX-Original-URI: /\r\nCookie: a={}\r\n\r\n",
        "x".repeat(COOKIE)
    );
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut connection = service.connect().await;
        connection.write_all(request.as_bytes()).await.unwrap();
        assert!(connection.read(&mut [0; 1024]).await.unwrap() > 0);
        connections.push(connection);
    }
    let peak = service.memory();
    assert!(peak - before > 8 << 20, "{before}, then {peak} bytes");
    drop(connections);
    let half = before.midpoint(peak);
    eventually("half of it is free", async || service.memory() < half).await;
}
