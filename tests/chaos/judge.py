"""Whose sessions these are: a list of cases on each line of the input, a list of user IDs (or null) on each of the output.

Arguments: SECRET_KEY and, as JSON, the password column of each user ID.

A session counts only if Django would log its user in: the signature, the age and the hash of the password column.
"""

import json
import sys

from django.conf import settings

settings.configure(
    SECRET_KEY=sys.argv[1],
    SESSION_COOKIE_AGE=1209600,
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions"],
)
import django

django.setup()
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.sessions.backends.db import SessionStore as Rows
from django.contrib.sessions.backends.signed_cookies import SessionStore as Cookies
from django.utils.crypto import constant_time_compare


class Person(AbstractBaseUser):
    class Meta:
        app_label = "auth"


PASSWORDS = json.loads(sys.argv[2])


def owner(case):
    if case.get("row") == "":
        return None
    session = Rows().decode(case["row"]) if "row" in case else dict(Cookies(case["cookie"]).load())
    user = session.get(SESSION_KEY)
    if user is None or BACKEND_SESSION_KEY not in session:
        return None
    password = PASSWORDS.get(user)
    if password is None:
        return None
    expected = Person(password=password).get_session_auth_hash()
    return user if constant_time_compare(session.get(HASH_SESSION_KEY, ""), expected) else None


for line in sys.stdin:
    print(json.dumps([owner(case) for case in json.loads(line)]), flush=True)
