//! Shared by the test targets: child processes that never outlive the tests, a private Postgres
//! cluster, tokens. No target uses all of it.
#![allow(dead_code)]

pub mod cable;
pub mod cluster;
pub mod gate;
pub mod leash;
pub mod pgbouncer;
pub mod replica;
pub mod stub;
pub mod token;

/// A free port of the loopback interface, for a server that cannot let the kernel choose one. Each run
/// hands a port out only once, and no two runs have the same one at a time, because a server may take
/// many seconds until it listens, and another could take the port meanwhile. The range is below the
/// ports that the kernel uses for outgoing connections.
pub fn free_port() -> u16 {
    use std::sync::atomic::{AtomicU16, Ordering};
    const PORTS: std::ops::Range<u16> = 12_000..32_000;
    static NEXT: std::sync::LazyLock<AtomicU16> = std::sync::LazyLock::new(|| {
        let own = std::process::id() % u32::try_from(PORTS.len()).expect("a small number");
        AtomicU16::new(u16::try_from(own).expect("below 20,000"))
    });
    let length = u16::try_from(PORTS.len()).expect("below 65,536");
    let ports = std::iter::repeat_with(|| NEXT.fetch_add(1, Ordering::Relaxed) % length);
    let mut ports = ports.map(|n| PORTS.start + n).take(PORTS.len());
    ports
        .find(|port| {
            is_reserved(*port) && std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok()
        })
        .expect("the loopback interface has free ports")
}

/// Whether no other run has this port; none gets it while this one lasts. An abstract socket stands for
/// the reservation, because it ends with the process.
fn is_reserved(port: u16) -> bool {
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::net::{SocketAddr, UnixListener};
    let name = format!("label-studio-gate-test-port-{port}");
    let address = SocketAddr::from_abstract_name(name).expect("a short name");
    UnixListener::bind_addr(&address)
        .map(std::mem::forget)
        .is_ok()
}

/// Waits until `ready` is true, at most two minutes on a busy machine. Then it fails with the output
/// of `said`.
pub fn wait_until(ready: impl Fn() -> bool, said: impl Fn() -> String) {
    use std::time::{Duration, Instant};
    let until = Instant::now() + Duration::from_secs(120);
    while !ready() {
        assert!(Instant::now() < until, "{}", said());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Whether a server listens on this port of the loopback interface.
pub fn listens(port: u16) -> bool {
    std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
}

/// An HTTP client. reqwest needs the crypto provider that the service installs.
pub fn client() -> reqwest::Client {
    client_builder().build().expect("a client")
}

/// The builder of [`client`].
pub fn client_builder() -> reqwest::ClientBuilder {
    label_studio_gate::startup::install_crypto();
    reqwest::Client::builder()
        // A request that hangs should fail with an error.
        .timeout(std::time::Duration::from_secs(60))
        // Of many requests at once, some find a used connection before their new one is open. The
        // service ends such a spare connection after five seconds, perhaps while it is being taken.
        .pool_idle_timeout(std::time::Duration::from_secs(1))
}
