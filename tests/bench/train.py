"""The load that deploy/package/profiled makes the compiler's profile of: what a gate is asked most, each for some seconds.

Each kind gets the same time, so the rare ones count for more than in operation, and no path of theirs is taken for cold.
"""

import sys

import signatures
from load import CHECK, Load
from rows import SIGNED, issue, live_cookies, live_rows, logins
from servers import Postgres, gate

SECONDS = 3
KNOWN = 1000
# What nginx sends of a browser's request (nginx/gate.conf). `Load` has the rest.
BROWSER = {**CHECK, "X-Real-IP": "192.0.2.7", "X-Request-ID": "0123456789abcdef" * 2, "Sec-Fetch-Site": "same-origin"}
SAVING = {**BROWSER, "X-Original-Method": "POST", "Origin": "http://label-studio.test"}


def loads(postgres):
    """Names and loads."""
    url = postgres.url()
    required = {"GATE_POLICY_ANONYMOUS": "require"}
    yield "no token", Load(gate(url).port, expect="no_token")

    rows = live_rows(postgres, KNOWN)
    port = gate(url, **required).port
    yield "session row", Load(port, cookies=rows, expect="session_valid")
    yield "session row, of a browser", Load(port, cookies=rows, headers=BROWSER, expect="session_valid")
    port = gate(url, GATE_DATABASE_CACHE_SECONDS=0, **required).port
    yield "session row, not in the cache", Load(port, cookies=rows, expect="session_valid")
    port = gate(url, SESSION_ENGINE=SIGNED, **required).port
    yield "signed cookie", Load(port, cookies=live_cookies(KNOWN), expect="session_valid")
    yield "signed cookie, of a browser that saves", Load(port, cookies=live_cookies(KNOWN), headers=SAVING, expect="session_valid")

    for name, settings in ("session row", {}), ("signed cookie", {"SESSION_ENGINE": SIGNED}):
        yield f"login, {name}", logins(postgres, **settings)
        yield f"login, {name}, with each in the log", logins(postgres, GATE_LOG_LEVEL="info", **settings)
    for algorithm in ("RS256", "ES256"):
        key = signatures.Key(algorithm)
        port = gate(url, GATE_EXTERNAL_PUBLIC_KEY=key.public, GATE_EXTERNAL_ALGORITHMS=algorithm).port
        yield f"{algorithm}, expired", Load(port, cookies=[f"ls_auth_token={key.expired_token()}"], expect="token_expired")
    yield "token issue", issue(postgres)


def main():
    postgres = Postgres()
    for name, load in loads(postgres):
        load.try_once()
        print(f"{name}: {load.run(SECONDS)['rate']:,.0f}/s", file=sys.stderr, flush=True)


main()
