"""Tokens of an issuer with a private key, made by OpenSSL."""

import subprocess
import time

from formats import base64url, compact_json
from servers import HOME

GENERATE = {
    "RS256": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
    "ES256": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
    "EdDSA": ["-algorithm", "ED25519"],
}


def openssl(*arguments, stdin=b""):
    return subprocess.run(["openssl", *arguments], input=stdin, capture_output=True, check=True).stdout


class Key:
    """A new key pair for one algorithm of RFC 7518 or RFC 8037; `public` is its PEM."""

    def __init__(self, algorithm):
        self.algorithm, self.file = algorithm, str(HOME / f"{algorithm}.pem")
        openssl("genpkey", *GENERATE[algorithm], "-out", self.file)
        self.public = openssl("pkey", "-in", self.file, "-pubout").decode()

    def expired_token(self):
        now = int(time.time())
        claims = {"email": "user-1@example.com", "iat": now - 7200, "exp": now - 3600}
        signed = base64url(compact_json({"alg": self.algorithm, "typ": "JWT"})) + "." + base64url(compact_json(claims))
        return f"{signed}.{base64url(self._sign(signed.encode()))}"

    def _sign(self, signed):
        if self.algorithm == "EdDSA":
            # A one-shot algorithm, which openssl signs in a file only.
            message = HOME / "message"
            message.write_bytes(signed)
            return openssl("pkeyutl", "-sign", "-rawin", "-inkey", self.file, "-in", str(message))
        signature = openssl("dgst", "-sha256", "-sign", self.file, stdin=signed)
        return fixed_length(signature) if self.algorithm == "ES256" else signature


def fixed_length(der):
    """RFC 7518, section 3.4: r and s, 32 bytes each, of the DER sequence that holds them."""
    r_length = der[3]
    r, s = der[4:4 + r_length], der[6 + r_length:]
    return b"".join(number.lstrip(b"\0").rjust(32, b"\0") for number in (r, s))
