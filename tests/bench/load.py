"""Load: wrk, pgbench and openssl speed. Each returns figures: `rate` a second, latencies in milliseconds."""

import json
import re
import subprocess
import urllib.request
from pathlib import Path

from servers import HOME

SCRIPT = Path(__file__).parent / "requests.lua"
CHECK = {"X-Original-URI": "/projects/1/data", "X-Original-Method": "GET", "Host": "label-studio.test"}
CONNECTIONS = 32


class Load:
    """Requests to one server, in turn with each of `cookies`."""

    def __init__(self, port, path="/auth/nginx", cookies=None, headers=None, method="GET", body="", expect=None, connections=CONNECTIONS):
        self.url = f"http://127.0.0.1:{port}{path}"
        self.headers = CHECK if headers is None else headers
        self.cookies, self.method, self.body, self.expect, self.connections = cookies, method, body, expect, connections
        self.file = ""
        if cookies:
            self.file = HOME / f"cookies-{id(self)}"
            self.file.write_text("\n".join(cookies) + "\n")

    def try_once(self):
        """One request, which must have the reason that the measurement is about."""
        headers = dict(self.headers)
        if self.cookies:
            headers["Cookie"] = self.cookies[-1]
        request = urllib.request.Request(self.url, self.body.encode() or None, headers, method=self.method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            reason = answer.headers.get("X-Gate-Reason")
            if self.expect and reason != self.expect:
                raise SystemExit(f"{self.url}: {reason} instead of {self.expect}")

    def run(self, seconds):
        command = ["wrk", "-t1", f"-c{self.connections}", f"-d{seconds}s", "--latency", "--timeout", "10s", "-s", str(SCRIPT), self.url, "--",
                   self.method, self.body, str(self.file), *(f"{name}: {value}" for name, value in self.headers.items())]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        figures = json.loads(done.stdout.strip().splitlines()[-1])
        if figures["refused"] or figures["broken"]:
            raise SystemExit(f"{self.url}: {figures}\n{done.stdout}")
        return figures


class Pgbench:
    """A script of pgbench with 16 clients, prepared."""

    def __init__(self, postgres, script, role="postgres"):
        self.file = HOME / f"pgbench-{id(self)}.sql"
        self.file.write_text(script)
        self.command = [str(postgres.bin / "pgbench"), "-n", "-M", "prepared", "-c", "16", "-j", "1", "-f", str(self.file), "-h", "127.0.0.1", "-p", str(postgres.port), "-U", role]

    def try_once(self):
        pass

    def run(self, seconds):
        done = subprocess.run([*self.command, "-T", str(seconds), "bench"], capture_output=True, text=True)
        rate = re.search(r"tps = ([0-9.]+)", done.stdout)
        if done.returncode or not rate:
            raise SystemExit(f"pgbench: {done.stdout}{done.stderr}")
        return {"rate": float(rate[1])}


class OpenSsl:
    """Verifications of one algorithm by OpenSSL."""

    def __init__(self, name):
        self.name = name

    def try_once(self):
        pass

    def run(self, seconds):
        done = subprocess.run(["openssl", "speed", "-seconds", str(seconds), self.name], capture_output=True, text=True, check=True)
        return {"rate": verifications(done.stdout)}


def verifications(table):
    """The column `verify/s`. OpenSSL 3.2 and later have others after it."""
    lines = table.splitlines()
    for header, line in zip(lines, lines[1:]):
        rates = [column for column in header.split() if column.endswith("/s")]
        if "verify/s" in rates:
            return float(line.split()[-len(rates):][rates.index("verify/s")])
    raise SystemExit(f"openssl speed prints no column verify/s:\n{table}")
