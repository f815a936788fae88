//! The limit on open files, which connections, Postgres and outgoing requests share.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::settings::Settings;

/// Files for everything but connections from proxies and to Postgres: requests to key servers and
/// to the host application, the event loops of the workers, the log.
const OTHERS: usize = 100;

/// So few connections per worker are worth a warning.
const FEW: usize = 1000;

/// Raises the soft limit to the hard limit. The soft one is low only for the sake of programs that
/// use select(2). If a sandbox forbids that, it stays as it is.
pub(super) fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if limit.current != limit.maximum && setrlimit(Resource::Nofile, raised).is_err() {
        tracing::debug!(limit = limit.current, "the limit on open files stays");
    }
}

/// How many connections each worker of one of `servers` servers may accept: as many as the settings
/// allow, as long as there are files left for what answering them needs. Beyond that, connections
/// wait in the kernel.
pub(super) fn connections_per_worker(settings: &Settings, servers: usize) -> usize {
    let wanted = settings.http.max_connections;
    let Some(limit) = getrlimit(Resource::Nofile).current else {
        return wanted;
    };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let reserved = OTHERS + settings.database.limits.pool_size;
    let workers = match settings.http.workers {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        workers => workers,
    };
    let possible = limit.saturating_sub(reserved) / workers / servers;
    if possible >= wanted {
        return wanted;
    }
    let possible = possible.max(1);
    if possible < FEW {
        tracing::warn!(
            limit,
            per_worker = possible,
            "the limit on open files allows fewer connections than http.max_connections"
        );
    }
    possible
}
