"""Settings of Label Studio with sessions in the database.

Label Studio names its session engine in its code, as signed cookies. With this module on the PYTHONPATH and

    DJANGO_SETTINGS_MODULE=gate_db_sessions

sessions are rows of django_session, which can be ended one by one. Label Studio's code does not change. See README.md.
"""

import os

# The order matters: label_studio.py reads Django's settings during its import and needs them complete.
from core.settings.base import *  # noqa: F401,F403

SENTRY_DSN = os.environ.get("SENTRY_DSN") or None
SENTRY_ENVIRONMENT = "opensource"

from core.settings.label_studio import *  # noqa: E402,F401,F403

SESSION_ENGINE = "django.contrib.sessions.backends.db"

# Label Studio reads SESSION_COOKIE_SECURE and SESSION_COOKIE_SAMESITE itself, but not these.
SESSION_COOKIE_NAME = os.environ.get("SESSION_COOKIE_NAME") or "sessionid"
SESSION_COOKIE_DOMAIN = os.environ.get("SESSION_COOKIE_DOMAIN") or None
SESSION_COOKIE_PATH = os.environ.get("SESSION_COOKIE_PATH") or "/"
