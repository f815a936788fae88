"""What is compared: the gate on one side, what bounds it or does the same job on the other."""

import json
import os
import time
from statistics import median

import formats
import signatures
from load import Load, OpenSsl, Pgbench
from plugin import label_studio
from servers import HOME, ROOT, RUNNING, free_port, gate, nginx, pgbouncer, rival_in_node, rival_in_python, yardstick

USERS = 100_000
LIVE = 60_000
SIGNED = "django.contrib.sessions.backends.signed_cookies"

INSERT = """\\set n random(1, 2000000000)
INSERT INTO django_session (session_key, session_data, expire_date) VALUES ('pgbench' || :n, repeat('x', 420), now() + interval '14 days') ON CONFLICT DO NOTHING;
"""
THREE = f"""\\set n random(1, 2000000000)
\\set u random(1, {USERS})
SELECT id, password, is_active FROM htx_user WHERE id = :u;
INSERT INTO django_session (session_key, session_data, expire_date) VALUES ('pgbench' || :n, repeat('x', 420), now() + interval '14 days') ON CONFLICT DO NOTHING;
UPDATE htx_user SET last_login = now() WHERE id = :u;
"""
SELECT = f"""\\set n random(1, {LIVE})
SELECT session_data FROM django_session WHERE session_key = md5('bench' || :n) AND expire_date > now();
"""

ROWS = {}


def row(name, title, goal):
    """Declares a row. The function returns the sides: (name, load, what to do before each run)."""
    def declare(function):
        ROWS[name] = (title, goal, function)
        return function
    return declare


def live_rows(postgres, count=LIVE, id_token=""):
    """Live session rows of the users 1 to `count`, and their cookies."""
    postgres.need_users(count)
    postgres.forget_logins()
    text = "".join(f"{formats.session_key(n)}\t{formats.ROWS.sign(formats.session(n, id_token))}\n" for n in range(1, count + 1))
    file = HOME / "sessions.tsv"
    file.write_text(text)
    expire = "ALTER TABLE django_session ALTER expire_date SET DEFAULT now() + interval '14 days'"
    postgres.psql(expire)
    postgres.psql(f"\\copy django_session (session_key, session_data) FROM '{file}'")
    postgres.psql("VACUUM ANALYZE django_session")
    return [f"sessionid={formats.session_key(n)}" for n in range(1, count + 1)]


def live_cookies(count):
    return [f"sessionid={formats.COOKIES.sign(formats.session(n))}" for n in range(1, count + 1)]


def tokens(count=USERS):
    return [f"ls_auth_token={formats.token(n)}" for n in range(1, count + 1)]


@row("pass", "no token, `pass`", "1.0")
def _(postgres):
    port = gate(postgres.url()).port
    return ("gate", Load(port, expect="no_token")), ("actix handler that does nothing", Load(yardstick().port))


def through_nginx(port, short_cut=False):
    """nginx with the shipped files in front of a constant answer."""
    home = HOME / f"files-{free_port()}"
    files = home / "label-studio-gate"
    files.mkdir(parents=True)
    for file in (ROOT / "nginx").glob("gate*.conf"):
        text = file.read_text().replace("server 127.0.0.1:8090", f"server 127.0.0.1:{port}")
        (files / file.name).write_text(text.replace("include label-studio-gate/", f"include {files}/"))
    short = f"include {files}/gate-short-cut.conf;" if short_cut else ""
    return nginx(f"include {files}/gate-http.conf; server {{ listen 127.0.0.1:{{port}}; include {files}/gate.conf;"
                 f" location / {{ {short} include {files}/gate-check.conf; empty_gif; }}"
                 f" location @label_studio {{ include {files}/gate-proxy.conf; empty_gif; }} }}").port


def asking(check):
    """nginx whose check is `check`."""
    return nginx(f"server {{ listen 127.0.0.1:{{port}}; location / {{ auth_request /check; empty_gif; }} location = /check {{ internal; {check} }} }}").port


@row("short-cut", "no credential, through nginx with the short cut", "0.97")
def _(postgres):
    own = through_nginx(gate(postgres.url()).port, short_cut=True)
    return ("gate", Load(own, path="/", headers={})), ("`auth_request` to `return 204`", Load(asking("return 204;"), path="/", headers={}))


@row("nginx", "live session, `require`, through nginx", "0.95")
def _(postgres):
    cookies = live_rows(postgres, 1000)
    own = through_nginx(gate(postgres.url(), GATE_POLICY_ANONYMOUS="require").port)
    upstream = yardstick().port
    other = nginx(f"upstream check {{ server 127.0.0.1:{upstream}; keepalive 32; }} server {{ listen 127.0.0.1:{{port}}; location / {{ auth_request /check; empty_gif; }}"
                  " location = /check { internal; proxy_pass http://check/; proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_pass_request_body off; proxy_set_header Content-Length \"\"; } }").port
    return ("gate", Load(own, "/", cookies, {})), ("`auth_request` to an actix no-op", Load(other, "/", cookies, {}))


@row("nginx-files", "live session, `require`, through nginx", "")
def _(postgres):
    cookies = live_rows(postgres, 1000)
    own = through_nginx(gate(postgres.url(), GATE_POLICY_ANONYMOUS="require").port)
    return ("gate", Load(own, "/", cookies, {})), ("the same nginx files in front of an actix no-op", Load(through_nginx(yardstick().port), "/", cookies, {}))


@row("live", "live session, `require`, session row in the cache", "0.85")
def _(postgres):
    cookies = live_rows(postgres, 1000)
    port = gate(postgres.url(), GATE_POLICY_ANONYMOUS="require").port
    return ("gate", Load(port, cookies=cookies, expect="session_valid")), ("actix handler that does nothing", Load(yardstick().port, cookies=cookies))


@row("live-signed", "live session, `require`, signed cookie", "0.85")
def _(postgres):
    postgres.need_users(1000)
    cookies = live_cookies(1000)
    port = gate(postgres.url(), GATE_POLICY_ANONYMOUS="require", SESSION_ENGINE=SIGNED).port
    return ("gate", Load(port, cookies=cookies, expect="session_valid")), ("actix handler that does nothing", Load(yardstick().port, cookies=cookies))


@row("id-token", "live session with an ID token of 1.5 kB, session row in the cache", "1.0")
def _(postgres):
    # The rows that have none are read now, and stay in that gate's cache.
    without = Load(gate(postgres.url(), GATE_POLICY_ANONYMOUS="require", GATE_DATABASE_CACHE_SECONDS=300).port, cookies=live_rows(postgres, 1000), expect="session_valid")
    without.run(1)
    cookies = live_rows(postgres, 1000, id_token="x" * 1500)
    port = gate(postgres.url(), GATE_POLICY_ANONYMOUS="require", GATE_DATABASE_CACHE_SECONDS=300).port
    return ("gate", Load(port, cookies=cookies, expect="session_valid")), ("gate, session without", without)


@row("unmet", "live session that this gate has not met, `require`, session row", "0.50")
def _(postgres):
    cookies = live_rows(postgres)
    port = gate(postgres.url(), GATE_POLICY_ANONYMOUS="require", GATE_DATABASE_CACHE_SECONDS=0).port
    return ("gate", Load(port, cookies=cookies, expect="session_valid")), ("pgbench selecting that row", Pgbench(postgres, SELECT))


def logins(postgres, url=None, **settings):
    """Logins of one user after the other. Each run begins with the first again, so nothing is cached."""
    postgres.need_users(USERS)
    port = gate(url or postgres.url(), GATE_DATABASE_CACHE_SECONDS=0, **settings).port
    return Load(port, cookies=tokens(), expect="session_opened")


@row("login", "login, HS256, another user each time, session row", "1.0")
def _(postgres):
    return ("gate", logins(postgres)), ("pgbench inserting that row", Pgbench(postgres, INSERT))


@row("login-three", "login, HS256, another user each time, session row", "2.0")
def _(postgres):
    return ("gate", logins(postgres)), ("pgbench with three statements (select, insert, update)", Pgbench(postgres, THREE))


@row("login-signed", "login, signed cookie (only `last_login` is written)", "1.5")
def _(postgres):
    return ("gate", logins(postgres, SESSION_ENGINE=SIGNED)), ("pgbench inserting a session row", Pgbench(postgres, INSERT))


@row("login-pooler", "login, session row, through PgBouncer in transaction mode", "")
def _(postgres):
    through = logins(postgres, pgbouncer(postgres).url, GATE_DATABASE_PREPARED_STATEMENTS="false")
    return ("gate", through), ("gate without a pooler", logins(postgres))


def signed(algorithm, name):
    """Checks with a token whose signature is good, and which is refused all the same: it has expired."""
    @row(algorithm.lower(), f"a token signed with {algorithm}, until it is refused as expired", "")
    def _(postgres):
        key = signatures.Key(algorithm)
        port = gate(postgres.url(), GATE_EXTERNAL_PUBLIC_KEY=key.public, GATE_EXTERNAL_ALGORITHMS=algorithm).port
        load = Load(port, cookies=[f"ls_auth_token={key.expired_token()}"], expect="token_expired")
        return ("gate", load), (f"`openssl speed {name}`, verifications", OpenSsl(name))


for algorithm, name in (("RS256", "rsa2048"), ("ES256", "ecdsap256"), ("EdDSA", "ed25519")):
    signed(algorithm, name)


ISSUE_HEADERS = {"Authorization": f"Token {formats.API_TOKEN}", "Content-Type": "application/json", "Host": "label-studio.test"}
ISSUE_BODY = '{"email": "user-7@example.com"}'


def issue(postgres):
    postgres.need_users(USERS)
    return Load(gate(postgres.url()).port, "/api/sso/token", None, ISSUE_HEADERS, "POST", ISSUE_BODY)


@row("issue", "token issue", "")
def _(postgres):
    return ("gate", issue(postgres)), ("actix handler that does nothing", Load(yardstick().port, headers=ISSUE_HEADERS))


@row("issue-plugin", "token issue", "477")
def _(postgres):
    server = label_studio(postgres)
    other = Load(server.port, "/api/sso/token", None, ISSUE_HEADERS, "POST", ISSUE_BODY, connections=8)
    return ("gate", issue(postgres)), ("the plugin in Label Studio", other)


@row("login-node", "login, session row", "")
def _(postgres):
    return ("gate", logins(postgres)), ("Node.js: express, jsonwebtoken, pg", Load(rival_in_node(postgres.url()).port, cookies=tokens()))


@row("login-python", "login, session row", "")
def _(postgres):
    return ("gate", logins(postgres)), ("Python: FastAPI, PyJWT, asyncpg", Load(rival_in_python(postgres.url()).port, cookies=tokens()))


@row("login-plugin", "login, session row", "200")
def _(postgres):
    own = logins(postgres)
    server = label_studio(postgres)
    cookies = [f"ls_auth_token={formats.token(user)}" for user in server.users]
    return ("gate", own), ("the plugin in Label Studio", Load(server.port, "/api/version", cookies, {}, connections=8))


def compare(name, postgres, seconds, rounds, tell):
    """Both sides in turn. Returns what the report needs."""
    title, goal, sides = ROWS[name]
    sides = sides(postgres)
    for _, load in sides:
        load.try_once()
        load.run(1)
    runs = [[] for _ in sides]
    for _ in range(rounds):
        for side, (_, load) in enumerate(sides):
            if name.startswith("login"):
                postgres.forget_logins()
            runs[side].append(load.run(seconds))
    figures = [{key: median(run[key] for run in side) for key in side[0]} for side in runs]
    ratios = sorted(own["rate"] / other["rate"] for own, other in zip(*runs))
    measured = {"title": title, "goal": goal, "sides": [{"name": side, **figure} for (side, _), figure in zip(sides, figures)],
                "ratio": median(ratios), "ratios": [ratios[0], ratios[-1]]}
    tell(name, json.dumps(measured))
    return measured


def memory(server, cookies):
    """Resident memory after these sessions, three times over."""
    load = Load(server.port, cookies=cookies, expect="session_valid")
    resident = []
    for _ in range(3):
        load.run(8)
        resident.append(server.resident())
    return resident


def footprint(postgres):
    """Memory with full caches, time to readiness, and the size of the binary."""
    cookies = live_rows(postgres)
    starts = []
    for _ in range(15):
        server = gate(postgres.url())
        starts.append(server.took * 1000)
        server.stop()
    server = gate(postgres.url(), GATE_POLICY_ANONYMOUS="require")
    fresh = server.resident()
    rows = memory(server, cookies)
    server.stop()
    server = gate(postgres.url(), GATE_POLICY_ANONYMOUS="require", SESSION_ENGINE=SIGNED)
    signed = memory(server, live_cookies(LIVE))
    server.stop()
    many = live_rows(postgres, 100_000)
    server = gate(postgres.url(), GATE_POLICY_ANONYMOUS="require", GATE_DATABASE_CACHE_CAPACITY=100_000, GATE_DATABASE_CACHE_SECONDS=300)
    Load(server.port, cookies=many, expect="session_valid").run(10)
    return {"start_ms": median(starts), "memory_fresh_mib": fresh, "memory_mib": rows, "memory_signed_mib": signed, "memory_large_cache_mib": server.resident(), "binary_mb": os.path.getsize(os.environ["BENCH_BINARY"]) / 1e6}


def stop_all_but_postgres():
    for server in RUNNING[:0:-1]:
        server.stop()
