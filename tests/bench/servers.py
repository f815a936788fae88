"""The servers that a measurement needs. Each is a process on a free port, and ends with the run."""

import atexit
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from formats import API_TOKEN, SECRET_KEY

ROOT = Path(__file__).resolve().parents[2]
HOME = Path(tempfile.mkdtemp(prefix="gate-bench.", dir="/tmp"))
HOME.chmod(0o755)
AS_POSTGRES = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"] if os.geteuid() == 0 else []
RUNNING = []
# The gate refuses variables that look like settings and are none.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("GATE_")}


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server:
    """A process with its log in HOME."""

    def __init__(self, name, command, environment=None, stop=signal.SIGTERM, cwd="/", ready=None):
        self.log = HOME / f"{name}-{len(RUNNING)}.log"
        self.stop_signal = stop
        self.started = time.monotonic()
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, env={**ENVIRONMENT, **(environment or {})}, stdout=log, stderr=log, cwd=cwd, start_new_session=True)
        RUNNING.append(self)
        while not ready():
            if self.process.poll() is not None or time.monotonic() - self.started > 120:
                raise SystemExit(f"{name} does not start:\n{self.log.read_text()[-2000:]}")
            time.sleep(0.001)
        self.took = time.monotonic() - self.started

    def stop(self):
        if self in RUNNING:
            RUNNING.remove(self)
            try:
                os.killpg(self.process.pid, self.stop_signal)
                self.process.wait(20)
            except ProcessLookupError:
                pass
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()

    def resident(self):
        """Resident memory in MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024


@atexit.register
def clean_up():
    for server in list(reversed(RUNNING)):
        server.stop()
    shutil.rmtree(HOME, ignore_errors=True)


def listens(port):
    def ready():
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0
    return ready


def answers(url):
    def ready():
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return answer.status == 200
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False
    return ready


class Postgres:
    """A cluster as initdb makes it, with more room; commits reach the disk."""

    def __init__(self):
        self.bin = Path(os.environ["BENCH_POSTGRES_BIN"])
        self.port = free_port()
        data = HOME / "data"
        data.mkdir()
        if AS_POSTGRES:
            shutil.chown(data, "postgres")
        self._run(AS_POSTGRES + [str(self.bin / "initdb"), "--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "--pgdata", str(data)])
        options = {"port": self.port, "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "max_connections": 300,
                   "shared_buffers": "512MB", "max_wal_size": "4GB", "autovacuum": "off", "checkpoint_timeout": "1h"}
        command = AS_POSTGRES + [str(self.bin / "postgres"), "-D", str(data)]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        psql = [str(self.bin / "psql"), "-X", "-q", "-c", "SELECT 1", self.url("postgres", "postgres")]
        Server("postgres", command, stop=signal.SIGINT, ready=lambda: subprocess.run(psql, capture_output=True).returncode == 0)
        self.psql("CREATE DATABASE bench", database="postgres")
        self.file(ROOT / "tests/schema/1.23.2.sql")
        self.psql("CREATE TABLE IF NOT EXISTS django_migrations (id serial PRIMARY KEY, app varchar(255) NOT NULL, name varchar(255) NOT NULL, applied timestamptz NOT NULL);"
                  "INSERT INTO django_migrations (app, name, applied) VALUES ('tasks', '0040_auto_20230628_1101', now()), ('jwt_auth', '0002_alter_jwtsettings_api_tokens_enabled_and_more', now())")
        self.file(ROOT / "sql/role.sql", "-v", "role=label_studio_gate")
        self.psql("ALTER ROLE label_studio_gate LOGIN")
        self.seed()

    def seed(self):
        """An organization, the first, and no users."""
        self.psql("TRUNCATE htx_user, organization RESTART IDENTITY CASCADE;"
                  "INSERT INTO organization (title, created_at, updated_at) VALUES ('o', now(), now());"
                  "INSERT INTO jwt_auth_jwtsettings (organization_id, api_tokens_enabled, api_token_ttl_days, legacy_api_tokens_enabled, created_at, updated_at) SELECT id, true, 73000, true, now(), now() FROM organization")
        self.users = 0

    def _run(self, command, text=None):
        done = subprocess.run(command, capture_output=True, text=True, input=text, cwd="/")
        if done.returncode:
            raise SystemExit(f"{command}: {done.stderr[-2000:]}")
        return done.stdout

    def url(self, role="label_studio_gate", database="bench"):
        return f"postgres://{role}@127.0.0.1:{self.port}/{database}"

    def psql(self, statements, database="bench", text=None):
        return self._run([str(self.bin / "psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", statements, self.url("postgres", database)], text)

    def file(self, path, *arguments):
        self._run([str(self.bin / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", *arguments, "-f", str(path), self.url("postgres")])

    def need_users(self, count):
        """Users 1 to `count`; the first is a superuser with an API token."""
        if count <= self.users:
            return
        self.psql(f"""
            INSERT INTO htx_user (id, password, is_superuser, username, email, first_name, last_name, is_staff, is_active, date_joined, last_activity, activity_at, phone, avatar, active_organization_id)
            OVERRIDING SYSTEM VALUE
            SELECT n, '!unusable', n = 1, n, 'user-' || n || '@example.com', '', '', n = 1, true, now(), now(), now(), '', '', 1 FROM generate_series({self.users + 1}, {count}) AS n;
            INSERT INTO organizations_organizationmember (created_at, updated_at, organization_id, user_id) SELECT now(), now(), 1, n FROM generate_series({self.users + 1}, {count}) AS n;
            INSERT INTO authtoken_token (key, created, user_id) VALUES ('{API_TOKEN}', now(), 1) ON CONFLICT DO NOTHING""")
        self.users = count
        self.psql("VACUUM ANALYZE htx_user; ")
        self.psql("VACUUM ANALYZE organizations_organizationmember")

    def forget_logins(self, others=True):
        """No sessions, or none of gates, and no `last_login`, so that each login writes what a first login writes."""
        self.psql("TRUNCATE django_session" if others else "DELETE FROM django_session WHERE length(session_key) = 40")
        self.psql("UPDATE htx_user SET last_login = NULL WHERE last_login IS NOT NULL")
        self.psql("VACUUM htx_user")


def gate(url, port=None, **settings):
    """The gate with one worker, and these settings."""
    port = port or free_port()
    environment = {
        "SECRET_KEY": SECRET_KEY, "DATABASE_URL": url, "GATE_HTTP_LISTEN": f"127.0.0.1:{port}", "GATE_HTTP_WORKERS": "1", "GATE_LOG_LEVEL": "warn",
        **{name: str(value) for name, value in settings.items()},
    }
    server = Server("gate", [os.environ["BENCH_BINARY"]], environment, ready=answers(f"http://127.0.0.1:{port}/health/ready"))
    server.port = port
    return server


def pgbouncer(postgres):
    """PgBouncer in transaction mode, with 16 connections to Postgres."""
    port = free_port()
    home = HOME / f"pgbouncer-{port}"
    home.mkdir()
    if AS_POSTGRES:
        shutil.chown(home, "postgres")
    (home / "users.txt").write_text('"label_studio_gate" ""\n')
    (home / "pgbouncer.ini").write_text(
        f"[databases]\nbench = host=127.0.0.1 port={postgres.port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        f"auth_type = trust\nauth_file = {home}/users.txt\npool_mode = transaction\ndefault_pool_size = 16\nmax_client_conn = 1000\n")
    server = Server("pgbouncer", [*AS_POSTGRES, "/usr/sbin/pgbouncer", str(home / "pgbouncer.ini")], stop=signal.SIGTERM, ready=listens(port))
    server.url = f"postgres://label_studio_gate@127.0.0.1:{port}/bench"
    return server


def yardstick(workers=1):
    port = free_port()
    server = Server("yardstick", [os.environ["BENCH_YARDSTICK"], str(port), str(workers)], ready=listens(port))
    server.port = port
    return server


def rival_in_node(url):
    port = free_port()
    here = Path(os.environ["BENCH_RIVALS"]) / "node"
    server = Server("node", ["node", "server.js", str(port), SECRET_KEY, url], {"NODE_ENV": "production"}, cwd=here, ready=listens(port))
    server.port = port
    return server


def rival_in_python(url):
    port = free_port()
    uvicorn = [str(Path(os.environ["BENCH_RIVALS"]) / "python/bin/uvicorn"), "python_server:app", "--port", str(port), "--no-access-log"]
    server = Server("python", uvicorn, {"SECRET_KEY": SECRET_KEY, "DATABASE_URL": url}, cwd=Path(__file__).parent / "rivals", ready=listens(port))
    server.port = port
    return server


def nginx(configuration):
    """nginx with one worker and this configuration inside of its http block; `{port}` is its own port."""
    port = free_port()
    home = HOME / f"nginx-{port}"
    home.mkdir()
    user = "user root;" if os.geteuid() == 0 else ""
    (home / "nginx.conf").write_text(
        f"{user} worker_processes 1; pid nginx.pid; error_log error.log warn; daemon off; events {{ worker_connections 8192; }}\n"
        f"http {{ access_log off; keepalive_requests 1000000; {configuration.replace('{port}', str(port))} }}")
    server = Server("nginx", [os.environ["BENCH_NGINX"], "-p", str(home), "-c", "nginx.conf", "-e", "error.log"], stop=signal.SIGQUIT, ready=listens(port))
    server.port = port
    return server
