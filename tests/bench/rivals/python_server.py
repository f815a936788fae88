"""The gate's job as one would write it in an afternoon: verify the token, read the user, store a session, set last_login."""

import base64
import hashlib
import hmac
import json
import os
import secrets
import time
import uuid
from contextlib import asynccontextmanager
from datetime import datetime, timedelta, timezone

import asyncpg
import jwt
from fastapi import FastAPI, Request, Response

SECRET = os.environ["SECRET_KEY"]
HASH_KEY = hashlib.sha256(f"django.contrib.auth.models.AbstractBaseUser.get_session_auth_hash{SECRET}".encode()).digest()
SIGN_KEY = hashlib.sha256(f"django.contrib.sessions.SessionStoresigner{SECRET}".encode()).digest()
DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


@asynccontextmanager
async def lifespan(app):
    app.state.pool = await asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=16, max_size=16)
    yield
    await app.state.pool.close()


app = FastAPI(lifespan=lifespan)


def base62(number):
    text = ""
    while number:
        number, digit = divmod(number, 62)
        text = DIGITS[digit] + text
    return text


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def encode(session):
    stamped = f"{base64url(json.dumps(session, separators=(',', ':')).encode())}:{base62(int(time.time()))}"
    return f"{stamped}:{base64url(hmac.digest(SIGN_KEY, stamped.encode(), 'sha256'))}"


@app.get("/auth/nginx")
async def check(request: Request):
    token = request.cookies.get("ls_auth_token")
    if token is None:
        return Response()
    try:
        claims = jwt.decode(token, SECRET, algorithms=["HS256"], issuer="label-studio", audience="label-studio-sso")
    except jwt.InvalidTokenError:
        return Response(status_code=401)
    async with app.state.pool.acquire() as connection:
        user = await connection.fetchrow("SELECT id, password, is_active, active_organization_id FROM htx_user WHERE id = $1", claims["user_id"])
        if user is None or not user["is_active"]:
            return Response(status_code=403)
        key = secrets.token_hex(20)
        now = datetime.now(timezone.utc)
        data = encode({
            "uid": str(uuid.uuid4()),
            "organization_pk": user["active_organization_id"],
            "last_login": now.timestamp(),
            "_auth_user_id": str(user["id"]),
            "_auth_user_backend": "django.contrib.auth.backends.ModelBackend",
            "_auth_user_hash": hmac.new(HASH_KEY, user["password"].encode(), "sha256").hexdigest(),
        })
        await connection.execute("INSERT INTO django_session (session_key, session_data, expire_date) VALUES ($1, $2, $3)", key, data, now + timedelta(days=14))
        await connection.execute("UPDATE htx_user SET last_login = $2 WHERE id = $1", user["id"], now)
    return Response(headers={"X-Gate-Cookie": f"sessionid={key}"})
