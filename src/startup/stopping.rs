//! How the service ends when systemd holds its ports.
//!
//! Told to stop, actix closes connections whose first request it has not read, and drops those
//! that it has accepted and not looked at. A proxy with one gate has nowhere else to ask, so its
//! visitor would see an error. The service therefore stops accepting first: later connections wait
//! in systemd's socket for the next process, and those that it has get a moment to send a request.

use std::time::Duration;

use actix_web::dev::ServerHandle;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// From the last connection that is accepted to the end of reading new requests. A proxy sends a
/// request together with its connection.
const GRACE: Duration = Duration::from_millis(300);

/// The signals that end the service, from now on handled here.
pub(super) struct Stopping {
    terminate: Signal,
    interrupt: Signal,
}

impl Stopping {
    pub(super) fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for a signal and stops the servers: with SIGTERM as described above, with SIGINT at
    /// once.
    pub(super) async fn stop(mut self, servers: Vec<ServerHandle>) {
        let terminated = tokio::select! {
            _ = self.terminate.recv() => true,
            _ = self.interrupt.recv() => false,
        };
        if terminated {
            for server in &servers {
                server.pause().await;
            }
            tokio::time::sleep(GRACE).await;
        }
        // Each is told when its future is made, so that they stop side by side.
        let stopping: Vec<_> = servers
            .iter()
            .map(|server| server.stop(terminated))
            .collect();
        for stopped in stopping {
            stopped.await;
        }
    }
}
