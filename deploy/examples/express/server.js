// An application that embeds Label Studio. Its users sign in here, once.
//
//   PORT=3000 LABEL_STUDIO_URL=http://localhost JWT_SSO_SECRET=… JWT_SSO_SESSION_VERIFY_SECRET=… SESSION_SECRET=… npm start
//
// METHOD=1 (default): the application signs a token with the secret that it shares with the gate.
// METHOD=2: it requests one from the gate, with a Label Studio administrator's LABEL_STUDIO_API_TOKEN.
// METHOD=3: no token; the gate verifies the session cookie with the application (/api/auth/verify-session).

import { timingSafeEqual } from "node:crypto";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { buildSync } from "esbuild";
import express from "express";
import session from "express-session";
import jwt from "jsonwebtoken";

const { PORT = "3000", METHOD = "1", COOKIE_DOMAIN, COOKIE_NAME = "connect.sid" } = process.env;
const { LABEL_STUDIO_URL, LABEL_STUDIO_API_URL = LABEL_STUDIO_URL, LABEL_STUDIO_API_TOKEN } = process.env;
const { JWT_SSO_SECRET, JWT_SSO_SESSION_VERIFY_SECRET, SESSION_SECRET } = process.env;
for (const name of ["LABEL_STUDIO_URL", "JWT_SSO_SECRET", "JWT_SSO_SESSION_VERIFY_SECRET", "SESSION_SECRET"]) {
  if (!process.env[name]) throw new Error(`${name} is not set`);
}

// Your users. Plaintext passwords, because this is an example.
const USERS = {
  ann: { password: "ann", email: "ann@example.com", firstName: "Ann", lastName: "Otator" },
  bob: { password: "bob", email: "bob@example.com", firstName: "Bob", lastName: "Otator" },
};

const browser = fileURLToPath(new URL("../browser/", import.meta.url));
const page = readFileSync(`${browser}index.html`, "utf8");
const frameScript = readFileSync(`${browser}label-studio-frame.js`, "utf8");
// These know Label Studio's address before they have a token.
const [renewingPage, reactPage] = ["renewing.html", "react/index.html"].map((name) =>
  readFileSync(browser + name, "utf8").replace("LABEL_STUDIO_URL", encodeURI(LABEL_STUDIO_URL)),
);
const reactScript = buildSync({
  entryPoints: [`${browser}react/main.jsx`],
  nodePaths: [fileURLToPath(new URL("./node_modules", import.meta.url))],
  bundle: true,
  write: false,
  jsx: "automatic",
  define: { "process.env.NODE_ENV": '"production"' },
}).outputFiles[0].text;

const app = express();
app.use(express.urlencoded({ extended: false }));
app.use(
  session({
    // Not "sessionid": that is Label Studio's, and on one host and path each would overwrite the other's.
    name: COOKIE_NAME,
    secret: SESSION_SECRET,
    resave: false,
    saveUninitialized: false,
    cookie: { httpOnly: true, sameSite: "lax", domain: COOKIE_DOMAIN },
  }),
);

function signedIn(request, response, next) {
  const user = USERS[request.session.user];
  if (!user) return response.status(401).json({ error: "Not signed in" });
  request.user = user;
  next();
}

/** A token for one login in Label Studio: short-lived, and made when it is needed. With method 3 there is none. */
async function labelStudioToken(user) {
  if (METHOD === "3") return null;
  if (METHOD === "2") {
    const response = await fetch(`${LABEL_STUDIO_API_URL}/api/sso/token`, {
      method: "POST",
      headers: { Authorization: `Token ${LABEL_STUDIO_API_TOKEN}`, "Content-Type": "application/json" },
      body: JSON.stringify({ email: user.email }),
    });
    if (!response.ok) throw new Error(`no token was issued: ${response.status}`);
    return (await response.json()).token;
  }
  return jwt.sign({ email: user.email, first_name: user.firstName, last_name: user.lastName }, JWT_SSO_SECRET, {
    algorithm: "HS256",
    expiresIn: 600,
  });
}

app.post("/login", (request, response, next) => {
  const { username, password } = request.body;
  if (!Object.hasOwn(USERS, username ?? "") || USERS[username].password !== password) {
    return response.status(401).send("Wrong name or password");
  }
  // A new session: one that was planted before the login (session fixation) becomes worthless.
  request.session.regenerate((error) => {
    if (error) return next(error);
    request.session.user = username;
    response.redirect(303, "/");
  });
});

app.post("/logout", (request, response, next) => {
  request.session.destroy((error) => (error ? next(error) : response.redirect(303, "/")));
});

// For the page with the iframe.
app.get("/api/label-studio-token", signedIn, async (request, response, next) => {
  try {
    response.set("Cache-Control", "no-store").json({ token: await labelStudioToken(request.user), url: LABEL_STUDIO_URL });
  } catch (error) {
    next(error);
  }
});

// For a link.
app.get("/label-studio-link", signedIn, async (request, response, next) => {
  try {
    const token = await labelStudioToken(request.user);
    response.redirect(303, `${LABEL_STUDIO_URL}/projects/${token ? `?token=${token}` : ""}`);
  } catch (error) {
    next(error);
  }
});

// Method 3. Only the gate may call this; the secret proves that it does.
app.get("/api/auth/verify-session", (request, response) => {
  const presented = Buffer.from(request.get("X-Verify-Token") ?? "");
  const expected = Buffer.from(JWT_SSO_SESSION_VERIFY_SECRET);
  if (presented.length !== expected.length || !timingSafeEqual(presented, expected)) {
    return response.status(403).json({ error: "Unauthorized" });
  }
  const name = request.session.user;
  const user = USERS[name];
  if (!user) return response.status(401).json({ error: "No session" });
  response.json({ email: user.email, username: name, first_name: user.firstName, last_name: user.lastName });
});

app.get("/", (request, response) => response.type("html").send(page));
app.get("/renewing", (request, response) => response.type("html").send(renewingPage));
app.get("/label-studio-frame.js", (request, response) => response.type("js").send(frameScript));
app.get("/react", (request, response) => response.type("html").send(reactPage));
app.get("/react/main.js", (request, response) => response.type("js").send(reactScript));

app.listen(Number(PORT), "127.0.0.1", () => console.log(`http://127.0.0.1:${PORT}`));
