//! A limit on open files that is lower than the number of connections: those that the gate has are
//! served, Postgres included, and the others wait for a place.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::gate::{GateProcess, gate_command_of};
use crate::world::World;

/// A gate behind `ulimit`.
fn limited_gate(world: &World, ulimit: &str) -> GateProcess {
    let script = format!("{ulimit} && exec \"$0\"");
    let mut command = gate_command_of("bash");
    command
        .args(["-c", &script, env!("CARGO_BIN_EXE_label-studio-gate")])
        .env("GATE_HTTP_WORKERS", "1")
        .env("DATABASE_URL", world.database.gate_url());
    GateProcess::start_into(&command, Stdio::null())
}

/// The start of the answer to a check with these cookies; `None` if there is none in this time.
async fn check(stream: &mut TcpStream, cookies: &str, limit: Duration) -> Option<String> {
    let request = format!(
        "GET /auth/nginx HTTP/1.1\r\nHost: x\r\nX-Original-URI: /\r\nCookie: {cookies}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = vec![0; 4096];
    let read = tokio::time::timeout(limit, stream.read(&mut answer));
    let read = read.await.ok()?.ok().filter(|read| *read > 0)?;
    Some(String::from_utf8_lossy(&answer[..read]).into_owned())
}

/// So many connections, and the number of those that are answered.
async fn connect(port: u16, count: usize) -> (Vec<TcpStream>, usize) {
    let mut streams = Vec::new();
    for _ in 0..count {
        streams.push(TcpStream::connect(("127.0.0.1", port)).await.unwrap());
    }
    let asked = streams
        .iter_mut()
        .map(|stream| check(stream, "a=b", Duration::from_secs(5)));
    let answers = futures_util::future::join_all(asked).await;
    (streams, answers.iter().flatten().count())
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_leave_files_for_the_database() {
    let world = World::new(&[]).await;
    let gate = limited_gate(&world, "ulimit -n 256");
    let (mut streams, answered) = connect(gate.port, 400).await;
    assert!((20..256).contains(&answered), "{answered}");
    // One of them signs in, which takes a connection to Postgres.
    let cookies = format!("ls_auth_token={}", world.ann.token());
    let answer = check(&mut streams[0], &cookies, Duration::from_secs(20)).await;
    let answer = answer.expect("an answer");
    assert!(answer.contains("x-gate-reason: session_opened"), "{answer}");
    // The next ones get a place as soon as there is one.
    drop(streams.drain(..answered));
    let next = &mut streams[0];
    let mut answer = vec![0; 1024];
    let read = tokio::time::timeout(Duration::from_secs(20), next.read(&mut answer));
    let read = read.await.expect("an answer in time").unwrap();
    assert!(answer[..read].starts_with(b"HTTP/1.1 200 "));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_soft_limit_is_raised() {
    let world = World::new(&[]).await;
    let gate = limited_gate(&world, "ulimit -S -n 200 && ulimit -H -n 2000");
    let (_streams, answered) = connect(gate.port, 400).await;
    assert_eq!(answered, 400);
}
