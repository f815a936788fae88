"""An application that embeds Label Studio, with its own tokens (method 1).

    PORT=3000 LABEL_STUDIO_URL=http://localhost JWT_SSO_SECRET=… SESSION_SECRET=… python app.py
"""

import os
import time
from pathlib import Path

import jwt
from flask import Flask, abort, jsonify, redirect, request, send_file, session

LABEL_STUDIO_URL = os.environ["LABEL_STUDIO_URL"]
JWT_SSO_SECRET = os.environ["JWT_SSO_SECRET"]
PAGE = Path(__file__).resolve().parent.parent / "browser" / "index.html"

# Your users. Plaintext passwords, because this is an example.
USERS = {
    "ann": {"password": "ann", "email": "ann@example.com", "first_name": "Ann", "last_name": "Otator"},
    "bob": {"password": "bob", "email": "bob@example.com", "first_name": "Bob", "last_name": "Otator"},
}

app = Flask(__name__)
app.secret_key = os.environ["SESSION_SECRET"]
# Not "sessionid": that is Label Studio's.
app.config.update(SESSION_COOKIE_NAME="flask_session", SESSION_COOKIE_SAMESITE="Lax", SESSION_COOKIE_HTTPONLY=True)


def current_user():
    return USERS.get(session.get("user")) or abort(401)


def label_studio_token(user):
    """A token for one login in Label Studio: short-lived, and made when it is needed."""
    now = int(time.time())
    claims = {name: user[name] for name in ("email", "first_name", "last_name")}
    return jwt.encode({**claims, "iat": now, "exp": now + 600}, JWT_SSO_SECRET, algorithm="HS256")


@app.post("/login")
def login():
    user = USERS.get(request.form.get("username", ""))
    if user is None or user["password"] != request.form.get("password"):
        abort(401)
    session.clear()
    session["user"] = request.form["username"]
    return redirect("/", code=303)


@app.post("/logout")
def logout():
    session.clear()
    return redirect("/", code=303)


@app.get("/api/label-studio-token")
def token_for_the_page():
    response = jsonify(token=label_studio_token(current_user()), url=LABEL_STUDIO_URL)
    response.headers["Cache-Control"] = "no-store"
    return response


@app.get("/label-studio-link")
def link():
    return redirect(f"{LABEL_STUDIO_URL}/?token={label_studio_token(current_user())}", code=303)


@app.get("/")
def page():
    return send_file(PAGE)


if __name__ == "__main__":
    app.run(host="127.0.0.1", port=int(os.environ.get("PORT", "3000")))
