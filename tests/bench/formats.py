"""What Label Studio's Django signs: tokens, and sessions in rows and cookies (src/django)."""

import base64
import hashlib
import hmac
import json
import time

SECRET_KEY = "benchmark-secret-key-of-more-than-fifty-characters-0123456789"
# Of the first user, who is a superuser.
API_TOKEN = "0" * 40
# Every user has the same unusable password.
PASSWORD = "!unusable"
BACKEND = "django.contrib.auth.backends.ModelBackend"
DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def compact_json(value):
    return json.dumps(value, separators=(",", ":")).encode()


def base62(number):
    text = ""
    while number:
        number, digit = divmod(number, 62)
        text = DIGITS[digit] + text
    return text


def token(user_id, number=0, padding=0):
    """A native token (method 2), valid for a day at most."""
    now = int(time.time())
    jti = hashlib.sha256(f"{user_id}-{number}".encode()).hexdigest()
    claims = {"jti": jti, "user_id": user_id, "iat": now, "exp": now + 80000, "iss": "label-studio", "aud": "label-studio-sso"}
    if padding:
        claims["padding"] = "x" * padding
    signed = base64url(compact_json({"alg": "HS256", "typ": "JWT"})) + "." + base64url(compact_json(claims))
    return signed + "." + base64url(hmac.digest(SECRET_KEY.encode(), signed.encode(), "sha256"))


class Signer:
    """django.core.signing.TimestampSigner"""

    def __init__(self, salt):
        self.key = hashlib.sha256(f"{salt}signer{SECRET_KEY}".encode()).digest()

    def sign(self, payload):
        stamped = f"{base64url(payload)}:{base62(int(time.time()))}"
        return f"{stamped}:{base64url(hmac.digest(self.key, stamped.encode(), 'sha256'))}"


ROWS = Signer("django.contrib.sessions.SessionStore")
COOKIES = Signer("django.contrib.sessions.backends.signed_cookies")
_hash_key = hashlib.sha256(f"django.contrib.auth.models.AbstractBaseUser.get_session_auth_hash{SECRET_KEY}".encode()).digest()
AUTH_HASH = hmac.new(_hash_key, PASSWORD.encode(), "sha256").hexdigest()


def session(user_id, id_token=""):
    """The contents of a session of this user, with the ID token of a sign-in at a provider if there is one."""
    provider = {"gate_id_token": id_token} if id_token else {}
    return compact_json({
        "uid": f"00000000-0000-8000-8000-{user_id:012}",
        "organization_pk": 1,
        "last_login": time.time() - 60,
        "_auth_user_id": str(user_id),
        "_auth_user_backend": BACKEND,
        "_auth_user_hash": AUTH_HASH,
        "jwt_auto_login": True,
        "sso_method": "jwt",
        **provider,
    })


def session_key(number):
    """The key of a session row that was not opened by a gate."""
    return hashlib.md5(f"bench{number}".encode()).hexdigest()
