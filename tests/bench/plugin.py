"""The plugin (label-studio-sso) in the real Label Studio."""

import os
import subprocess
from pathlib import Path

import formats
from servers import HOME, ROOT, Server, answers, free_port

PLUGIN = '''
INSTALLED_APPS = INSTALLED_APPS + ["label_studio_sso"]
AUTHENTICATION_BACKENDS = ["label_studio_sso.backends.JWTAuthenticationBackend"] + list(AUTHENTICATION_BACKENDS)
MIDDLEWARE = MIDDLEWARE + ["label_studio_sso.middleware.JWTAutoLoginMiddleware"]
JWT_SSO_NATIVE_USER_ID_CLAIM = "user_id"
JWT_SSO_COOKIE_NAME = "ls_auth_token"
JWT_SSO_TOKEN_PARAM = "token"
SSO_TOKEN_EXPIRY = 600
ROOT_URLCONF = "plugin_urls"
'''
URLS = '''
from core.urls import *
from django.urls import include, path

urlpatterns = urlpatterns + [path("api/sso/", include("label_studio_sso.urls"))]
'''


def label_studio(postgres):
    """Label Studio with the plugin, migrated in a database of its own with this module's users."""
    venv = Path(os.environ["GATE_TEST_LABEL_STUDIO_VENV"])
    find = "import importlib.util as u; print(u.find_spec('label_studio').submodule_search_locations[0])"
    package = subprocess.run([venv / "bin/python", "-c", find], capture_output=True, text=True, check=True).stdout.strip()
    modules = HOME / "modules"
    modules.mkdir(exist_ok=True)
    (modules / "plugin_settings.py").write_text((ROOT / "deploy/label-studio/gate_db_sessions.py").read_text() + PLUGIN)
    (modules / "plugin_urls.py").write_text(URLS)
    environment = {
        "DJANGO_DB": "default", "POSTGRE_HOST": "127.0.0.1", "POSTGRE_PORT": str(postgres.port), "POSTGRE_NAME": "plugin", "POSTGRE_USER": "postgres", "POSTGRE_PASSWORD": "",
        "SECRET_KEY": formats.SECRET_KEY, "LABEL_STUDIO_BASE_DATA_DIR": str(HOME / "label-studio"), "LATEST_VERSION_CHECK": "0", "COLLECT_ANALYTICS": "0", "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "", "LOG_LEVEL": "ERROR", "PYTHONPATH": str(modules), "DJANGO_SETTINGS_MODULE": "plugin_settings", "PYTHONDONTWRITEBYTECODE": "1",
    }
    if not postgres.psql("SELECT 1 FROM pg_database WHERE datname = 'plugin'", database="postgres"):
        postgres.psql("CREATE DATABASE plugin", database="postgres")
        subprocess.run([venv / "bin/python", "manage.py", "migrate", "--verbosity", "0"], cwd=package, env={**os.environ, **environment}, check=True, capture_output=True)
        postgres.psql(f"""
            INSERT INTO htx_user (password, is_superuser, username, email, first_name, last_name, is_staff, is_active, date_joined, last_activity, activity_at, phone, avatar)
            SELECT '!unusable', n = 1, n, 'user-' || n || '@example.com', '', '', n = 1, true, now(), now(), now(), '', '' FROM generate_series(1, 2000) AS n;
            INSERT INTO organization (title, created_at, updated_at, created_by_id) SELECT 'o', now(), now(), id FROM htx_user WHERE is_superuser;
            UPDATE htx_user SET active_organization_id = (SELECT id FROM organization);
            INSERT INTO organizations_organizationmember (created_at, updated_at, organization_id, user_id) SELECT now(), now(), active_organization_id, id FROM htx_user;
            INSERT INTO authtoken_token (key, created, user_id) SELECT '{formats.API_TOKEN}', now(), id FROM htx_user WHERE is_superuser""", database="plugin")
    port = free_port()
    command = [str(venv / "bin/python"), "manage.py", "runserver", "--noreload", f"127.0.0.1:{port}"]
    server = Server("label-studio", command, environment, cwd=package, ready=answers(f"http://127.0.0.1:{port}/health"))
    server.port = port
    server.users = [int(line) for line in postgres.psql("SELECT id FROM htx_user ORDER BY id", database="plugin").split()]
    return server
