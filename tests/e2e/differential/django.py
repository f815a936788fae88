"""What Django makes of headers, sessions and paths: a list of cases on each line of the input, a list of answers on each of the output."""

import io
import json
import sys
from urllib.parse import unquote

from django.conf import settings

settings.configure(
    SECRET_KEY=sys.argv[1],
    SESSION_COOKIE_AGE=1209600,
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.sessions"],
)
import django

django.setup()
from django.contrib.sessions.backends.db import SessionStore as Rows
from django.contrib.sessions.backends.signed_cookies import SessionStore as Cookies
from django.core.handlers.wsgi import WSGIRequest
from django.http.cookie import parse_cookie


def request(**environ):
    return WSGIRequest({"REQUEST_METHOD": "GET", "PATH_INFO": "/", "wsgi.input": io.BytesIO(), **environ})


def cookies(header):
    # A WSGI server decodes the bytes as Latin-1 (PEP 3333), and wsgiref strips them first.
    text = bytes.fromhex(header).decode("latin-1")
    return {
        "Wsgi": request(HTTP_COOKIE=text).COOKIES,
        "Wsgiref": request(HTTP_COOKIE=text.strip()).COOKIES,
        "Asgi": parse_cookie(text),
    }


def is_json(value):
    try:
        # Other parsers accept neither NaN and Infinity nor half a surrogate pair.
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
        return True
    except ValueError:
        return False


def loaded(load):
    try:
        session = load()
    except Exception:
        return {"entries": {}, "whole": False}
    items = session.items() if isinstance(session, dict) else ()
    entries = {name: value for name, value in items if is_json({name: value})}
    return {"entries": entries, "whole": is_json(session)}


def session(case):
    return {
        "row": loaded(lambda: Rows().decode(case["row"])),
        "cookie": loaded(lambda: dict(Cookies(case["cookie"]).load())),
    }


def path(target):
    # wsgiref/simple_server.py, get_environ
    return request(PATH_INFO=unquote(target.encode().decode("latin-1"), "iso-8859-1")).path_info


KINDS = {"cookies": cookies, "session": session, "path": path}
for line in sys.stdin:
    question = json.loads(line)
    answers = [KINDS[question["kind"]](case) for case in question["cases"]]
    print(json.dumps(answers), flush=True)
