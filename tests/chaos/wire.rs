//! A wire between the gates and something they need, which a fault can cut, stop or tear.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// The state of a wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    Whole,
    /// Connections are refused, and open ones are reset.
    Cut,
    /// Connections are accepted and nothing arrives, as behind a firewall that drops packets.
    Silent,
    /// Every connection is reset in the middle of an answer, after some thousand bytes.
    Torn,
}

/// Forwards `port` of the loopback interface.
pub struct Wire {
    pub port: u16,
    line: watch::Sender<Line>,
}

impl Wire {
    pub fn to(runtime: &tokio::runtime::Runtime, target: u16) -> Self {
        let port = crate::support::free_port();
        let (line, state) = watch::channel(Line::Whole);
        runtime.spawn(listen(port, target, state));
        crate::support::wait_until(
            || crate::support::listens(port),
            || format!("no wire on port {port}"),
        );
        Self { port, line }
    }

    pub fn set(&self, line: Line) {
        self.line.send_replace(line);
    }
}

async fn listen(port: u16, target: u16, mut state: watch::Receiver<Line>) {
    while state.wait_for(|line| *line != Line::Cut).await.is_ok() {
        let Ok(listener) = TcpListener::bind(("127.0.0.1", port)).await else {
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        };
        let mut until_cut = state.clone();
        // What is torn off later differs from connection to connection.
        let mut length = 700;
        loop {
            tokio::select! {
                accepted = listener.accept() => if let Ok((peer, _)) = accepted {
                    length = (length * 5 + 911) % 9000;
                    tokio::spawn(carry(peer, target, state.clone(), 300 + length));
                },
                _ = until_cut.wait_for(|line| *line == Line::Cut) => break,
            }
        }
    }
}

async fn carry(mut peer: TcpStream, target: u16, state: watch::Receiver<Line>, torn_after: usize) {
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", target)).await else {
        return;
    };
    let mut until_cut = state.clone();
    let reset = {
        let (from_peer, to_peer) = peer.split();
        let (from_server, to_server) = server.split();
        let questions = forward(from_peer, to_server, state.clone(), None);
        let answers = forward(from_server, to_peer, state, Some(torn_after));
        tokio::select! {
            carried = async { tokio::try_join!(questions, answers) } => carried.is_err(),
            _ = until_cut.wait_for(|line| *line == Line::Cut) => true,
        }
    };
    if reset {
        let _ = peer.set_zero_linger();
    }
}

/// An answer was torn.
struct Torn;

/// Forwards one direction until its end. Only answers have a length after which they are torn.
async fn forward(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut state: watch::Receiver<Line>,
    torn_after: Option<usize>,
) -> Result<(), Torn> {
    let mut chunk = vec![0; 16 * 1024];
    let mut carried = 0;
    while let Ok(length @ 1..) = from.read(&mut chunk).await {
        let line = state.wait_for(|line| *line != Line::Silent).await;
        let Ok(line) = line.map(|line| *line) else {
            break;
        };
        let mut end = length;
        if let (Line::Torn, Some(limit)) = (line, torn_after) {
            end = length.min(limit - carried);
            carried += end;
        }
        if to.write_all(&chunk[..end]).await.is_err() {
            break;
        }
        if torn_after == Some(carried) {
            return Err(Torn);
        }
    }
    let _ = to.shutdown().await;
    Ok(())
}
