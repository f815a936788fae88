//! Many requests or connections at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;

use super::{Finally, Injected};
use crate::episode::Outcome;
use crate::load::{Kind, ask, ask_of};
use crate::process::open_files_limit;
use crate::world::World;

/// 100 requests a second with tokens of an address that nobody has.
pub fn strangers(world: &mut World) -> Injected {
    for site in world.sites() {
        let flood = world.runtime.spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_millis(10));
            loop {
                ticks.tick().await;
                tokio::spawn(ask(site.clone(), Kind::Stranger));
            }
        });
        world.held.push(Finally::boxed(move || flood.abort()));
    }
    Ok(())
}

/// Logins of a crowd at once: through nginx, then at one gate.
pub fn logins(world: &mut World) -> Injected {
    log_in(world, world.crowd);
    Ok(())
}

pub fn twice_as_many_logins(world: &mut World) -> Injected {
    log_in(world, 2 * world.crowd);
    Ok(())
}

fn log_in(world: &World, crowd: usize) {
    for house in &world.houses {
        for gate in [None, Some(house.gates[1].port)] {
            let one = |_| ask_of(house.site.clone(), Kind::Native, gate);
            let begun = Instant::now();
            world.runtime.block_on(join_all((0..crowd).map(one)));
            eprintln!(
                "  {crowd} logins, {}, {}: {:.1} s",
                house.site.engine.name(),
                if gate.is_some() {
                    "at one gate"
                } else {
                    "through nginx"
                },
                begun.elapsed().as_secs_f64(),
            );
        }
    }
}

/// Requests to one gate, each over a new connection, all at once.
pub fn connections(world: &mut World) -> Injected {
    for house in &world.houses {
        let url = format!("http://127.0.0.1:{}/auth/nginx", house.gates[0].port);
        let client = crate::support::client_builder().pool_max_idle_per_host(0);
        let client = Arc::new(client.build().expect("a client"));
        let all = (0..world.crowd).map(|_| {
            let (client, url, episode) = (client.clone(), url.clone(), house.site.episode());
            async move {
                let sent = episode.send();
                let asked = client.get(url).header("X-Original-URI", "/projects").send();
                let answer = asked.await.map(|answer| answer.status().as_u16());
                let took = episode.answered(sent);
                let outcome = match answer {
                    Ok(401) => Outcome::Refused,
                    Ok(status @ (408 | 500..)) => Outcome::Unavailable(status.to_string()),
                    Err(error) => Outcome::Unavailable(error.to_string()),
                    Ok(status) => Outcome::Wrong(format!("{status} without a token")),
                };
                episode.record(sent, took, outcome);
            }
        });
        world.runtime.block_on(join_all(all));
    }
    Ok(())
}

/// Opens 10,000 connections to one gate (a tenth of that in a short run), each of which has sent a
/// request and stays open.
pub fn open_connections(world: &mut World) -> Injected {
    let connections = 10 * world.crowd;
    if open_files_limit(std::process::id()) < connections + 2000 {
        return Err("needs a limit of 12,000 open files");
    }
    let port = world.houses[0].gates[0].port;
    let open = world.runtime.block_on(async {
        let mut open = Vec::new();
        while open.len() < connections {
            let some = (0..250).map(|_| connect(port));
            open.extend(join_all(some).await);
        }
        open
    });
    assert!(open.iter().flatten().count() >= connections, "connections");
    world.held.push(Box::new(open));
    Ok(())
}

/// A connection over which a request has been answered.
async fn connect(port: u16) -> std::io::Result<tokio::net::TcpStream> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await?;
    let request = b"GET /health/live HTTP/1.1\r\nHost: gate\r\n\r\n";
    stream.write_all(request).await?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await?;
    if &answer == b"HTTP/1.1 200" {
        Ok(stream)
    } else {
        Err(std::io::Error::other("no 200"))
    }
}
