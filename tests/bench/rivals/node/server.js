// The gate's job as one would write it in an afternoon: verify the token, read the user, store a session, set last_login.
const crypto = require("node:crypto");
const express = require("express");
const jwt = require("jsonwebtoken");
const { Pool } = require("pg");

const [, , port, secret, url] = process.argv;
const pool = new Pool({ connectionString: url, max: 16 });
const app = express();

const digest = (text) => crypto.createHash("sha256").update(text).digest();
const hmac = (key, text) => crypto.createHmac("sha256", key).update(text);
const hashKey = digest("django.contrib.auth.models.AbstractBaseUser.get_session_auth_hash" + secret);
const signKey = digest("django.contrib.sessions.SessionStoresigner" + secret);

function base62(number) {
  const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  let text = "";
  for (; number > 0; number = Math.floor(number / 62)) text = digits[number % 62] + text;
  return text;
}

function encode(session) {
  const payload = Buffer.from(JSON.stringify(session)).toString("base64url");
  const stamped = `${payload}:${base62(Math.floor(Date.now() / 1000))}`;
  return `${stamped}:${hmac(signKey, stamped).digest("base64url")}`;
}

app.get("/auth/nginx", async (request, response) => {
  const cookie = /(?:^|; )ls_auth_token=([^;]*)/.exec(request.headers.cookie ?? "");
  if (!cookie) return response.sendStatus(200);
  let claims;
  try {
    claims = jwt.verify(cookie[1], secret, { algorithms: ["HS256"], issuer: "label-studio", audience: "label-studio-sso" });
  } catch {
    return response.sendStatus(401);
  }
  const found = await pool.query({ name: "user", text: "SELECT id, password, is_active, active_organization_id FROM htx_user WHERE id = $1", values: [claims.user_id] });
  const user = found.rows[0];
  if (!user?.is_active) return response.sendStatus(403);
  const key = crypto.randomBytes(20).toString("hex").slice(0, 40);
  const now = new Date();
  const data = encode({
    uid: crypto.randomUUID(),
    organization_pk: user.active_organization_id,
    last_login: now.getTime() / 1000,
    _auth_user_id: String(user.id),
    _auth_user_backend: "django.contrib.auth.backends.ModelBackend",
    _auth_user_hash: hmac(hashKey, user.password).digest("hex"),
  });
  await pool.query({ name: "open", text: "INSERT INTO django_session (session_key, session_data, expire_date) VALUES ($1, $2, $3)", values: [key, data, new Date(now.getTime() + 1209600000)] });
  await pool.query({ name: "login", text: "UPDATE htx_user SET last_login = $2 WHERE id = $1", values: [user.id, now] });
  response.set("X-Gate-Cookie", `sessionid=${key}`).sendStatus(200);
});

app.listen(Number(port), "127.0.0.1");
