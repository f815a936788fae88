"""How cost grows: one quantity changes, the others stay. Each returns its points."""

import hmac
import json
import time
from concurrent.futures import ThreadPoolExecutor
from statistics import median

import formats
from load import Load, Pgbench
from rows import SELECT, live_rows, tokens
from servers import gate

PLOTS = {}


def plot(name, title, x, y, logarithmic=True):
    """Declares a plot. The function yields lines: (name of a line, [(x, y), …])."""
    def declare(function):
        PLOTS[name] = (title, x, y, logarithmic, function)
        return function
    return declare


def rate(load, seconds, rounds=3, before=lambda: None):
    """The median of several runs; `before` runs before each."""
    load.try_once()
    load.run(1)
    rates = []
    for _ in range(rounds):
        before()
        rates.append(load.run(seconds)["rate"])
    return median(rates)


def login_gate(postgres, **settings):
    """A gate that reads the user for each login, also if a run before had the same user."""
    return gate(postgres.url(), GATE_DATABASE_CACHE_SECONDS=0, **settings)


def login_rate(postgres, load, seconds):
    """Each run begins with the same tokens, so nothing that they wrote may be left."""
    return rate(load, seconds, before=postgres.forget_logins)


@plot("users", "Logins by number of users", "users", "logins/s")
def _(postgres, seconds):
    points = []
    postgres.seed()
    for count in (1, 100, 10_000, 1_000_000):
        postgres.need_users(count)
        postgres.forget_logins()
        cookies = [f"ls_auth_token={formats.token(1 + n * 7919 % count, n)}" for n in range(100_000)]
        server = login_gate(postgres)
        points.append((count, login_rate(postgres, Load(server.port, cookies=cookies, expect="session_opened"), seconds)))
        server.stop()
    yield "session row", points


@plot("sessions", "Look-ups and logins by number of session rows", "rows", "requests/s")
def _(postgres, seconds):
    cookies = live_rows(postgres)
    own, other, logins = [], [], []
    for count in (0, 100_000, 1_000_000, 10_000_000):
        known = int(postgres.psql("SELECT count(*) FROM django_session"))
        postgres.psql(f"INSERT INTO django_session (session_key, session_data) SELECT md5(n::text), repeat('x', 420) FROM generate_series({known}, {known + count}) AS n" if count else "SELECT 1")
        postgres.psql("VACUUM ANALYZE django_session")
        server = gate(postgres.url(), GATE_POLICY_ANONYMOUS="require", GATE_DATABASE_CACHE_SECONDS=0)
        rows = int(postgres.psql("SELECT count(*) FROM django_session"))
        own.append((rows, rate(Load(server.port, cookies=cookies, expect="session_valid"), seconds)))
        other.append((rows, rate(Pgbench(postgres, SELECT), seconds)))
        server.stop()
        server = login_gate(postgres)
        load = Load(server.port, cookies=tokens(), expect="session_opened")
        logins.append((rows, rate(load, seconds, before=lambda: postgres.forget_logins(others=False))))
        server.stop()
        postgres.forget_logins(others=False)
    postgres.forget_logins()
    yield "gate, sessions not met before", own
    yield "pgbench selecting the row", other
    yield "gate, logins", logins


@plot("cookies", "Checks by size of the Cookie header", "bytes", "checks/s")
def _(postgres, seconds):
    session = live_rows(postgres, 1)[0]
    server = gate(postgres.url(), GATE_POLICY_ANONYMOUS="require")
    one, many = [], []
    for size in (200, 1000, 4000, 16_000):
        filler = "x" * (size - len(session) - 4)
        one.append((size, rate(Load(server.port, cookies=[f"{session}; a={filler}"], expect="session_valid"), seconds)))
        names = "; ".join(f"n{n:04}=0123456789" for n in range((size - len(session)) // 18))
        many.append((size, rate(Load(server.port, cookies=[f"{session}; {names}"], expect="session_valid"), seconds)))
    server.stop()
    yield "one long cookie", one
    yield "many short cookies", many


@plot("connections", "Checks by number of connections", "connections", "checks/s")
def _(postgres, seconds):
    cookies = live_rows(postgres, 1000)
    for workers in (1, 2):
        server = gate(postgres.url(), GATE_POLICY_ANONYMOUS="require", GATE_HTTP_WORKERS=workers)
        points = [(count, rate(Load(server.port, cookies=cookies, expect="session_valid", connections=count), seconds)) for count in (1, 10, 100, 1000, 10_000)]
        server.stop()
        yield f"{workers} worker" + "s" * (workers > 1), points


@plot("clients", "Logins by number of requests at a time", "requests at a time", "logins/s")
def _(postgres, seconds):
    postgres.need_users(100_000)
    cookies, points = tokens(), []
    for count in (1, 4, 16, 64, 256):
        postgres.forget_logins()
        server = login_gate(postgres)
        points.append((count, login_rate(postgres, Load(server.port, cookies=cookies, expect="session_opened", connections=count), seconds)))
        server.stop()
    yield "one gate, session row", points


@plot("issuers", "Logins by number of issuers", "issuers", "logins/s")
def _(postgres, seconds):
    postgres.need_users(100_000)
    points = []
    for count in (1, 4, 16, 64):
        issuers = [{"name": f"issuer-{n}", "secret": f"{n:064}", "issuer": f"https://issuer-{n}.test"} for n in range(count)]
        now = int(time.time())
        cookies = []
        for n in range(60_000):
            issuer = issuers[n % count]
            claims = {"jti": formats.session_key(count * n), "iss": issuer["issuer"], "email": f"user-{n + 1}@example.com", "iat": now, "exp": now + 80_000}
            signed = formats.base64url(formats.compact_json({"alg": "HS256", "typ": "JWT"})) + "." + formats.base64url(formats.compact_json(claims))
            cookies.append(f"ls_auth_token={signed}.{formats.base64url(hmac.digest(issuer['secret'].encode(), signed.encode(), 'sha256'))}")
        postgres.forget_logins()
        server = login_gate(postgres, GATE_EXTERNAL_ISSUERS=json.dumps(issuers))
        points.append((count, login_rate(postgres, Load(server.port, cookies=cookies, expect="session_opened"), seconds)))
        server.stop()
    yield "HS256, session row", points


@plot("pool", "Logins by size of the pool", "connections to Postgres", "logins/s")
def _(postgres, seconds):
    postgres.need_users(100_000)
    cookies, points = tokens(), []
    for size in (1, 2, 4, 8, 16, 32):
        postgres.forget_logins()
        server = login_gate(postgres, GATE_DATABASE_POOL_SIZE=size)
        points.append((size, login_rate(postgres, Load(server.port, cookies=cookies, expect="session_opened"), seconds)))
        server.stop()
    yield "one gate", points


@plot("gates", "Logins by number of gates before one Postgres", "gates", "logins/s", logarithmic=False)
def _(postgres, seconds):
    postgres.need_users(100_000)
    cookies, points = tokens(), []
    for count in (1, 2, 3, 4):
        postgres.forget_logins()
        servers = [login_gate(postgres, GATE_DATABASE_POOL_SIZE=8) for _ in range(count)]
        loads = [Load(server.port, cookies=cookies[n::count], expect="session_opened") for n, server in enumerate(servers)]
        for load in loads:
            load.try_once()
        with ThreadPoolExecutor() as threads:
            points.append((count, sum(threads.map(lambda load: load.run(seconds)["rate"], loads))))
        for server in servers:
            server.stop()
    yield "session row, 8 connections each", points
