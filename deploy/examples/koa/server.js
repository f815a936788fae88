// A Koa application that embeds Label Studio. Its users sign in here, once (method 1).
//
//   PORT=3000 LABEL_STUDIO_URL=http://localhost JWT_SSO_SECRET=… SESSION_SECRET=… npm start

import jwt from "jsonwebtoken";
import Koa from "koa";

const { PORT = "3000", LABEL_STUDIO_URL, JWT_SSO_SECRET, SESSION_SECRET } = process.env;
for (const name of ["LABEL_STUDIO_URL", "JWT_SSO_SECRET", "SESSION_SECRET"]) {
  if (!process.env[name]) throw new Error(`${name} is not set`);
}

// Your users. Plaintext passwords, because this is an example.
const USERS = {
  ann: { password: "ann", email: "ann@example.com", firstName: "Ann", lastName: "Otator" },
  bob: { password: "bob", email: "bob@example.com", firstName: "Bob", lastName: "Otator" },
};

const app = new Koa();
app.keys = [SESSION_SECRET]; // signs the cookie below

/** The user who is signed in. */
function signedIn(context) {
  const name = context.cookies.get("app_session", { signed: true });
  const user = Object.hasOwn(USERS, name ?? "") ? USERS[name] : null;
  if (!user) context.throw(401, "Not signed in");
  return user;
}

/** A token for one login in Label Studio: short-lived, and made when it is needed. */
function labelStudioToken(user) {
  return jwt.sign({ email: user.email, first_name: user.firstName, last_name: user.lastName }, JWT_SSO_SECRET, {
    algorithm: "HS256",
    expiresIn: 600,
  });
}

async function form(request) {
  let body = "";
  for await (const chunk of request.req) {
    body += chunk;
    if (body.length > 10_000) request.ctx.throw(413);
  }
  return new URLSearchParams(body);
}

const routes = {
  async "POST /login"(context) {
    const fields = await form(context.request);
    const name = fields.get("username") ?? "";
    if (!Object.hasOwn(USERS, name) || USERS[name].password !== fields.get("password")) {
      context.throw(401, "Wrong name or password");
    }
    context.cookies.set("app_session", name, { signed: true, httpOnly: true, sameSite: "lax", overwrite: true });
    context.status = 303;
    context.redirect("/");
  },
  // For a page with an iframe: ask for a token each time Label Studio is opened.
  "GET /api/label-studio-token"(context) {
    context.set("Cache-Control", "no-store");
    context.body = { token: labelStudioToken(signedIn(context)), url: LABEL_STUDIO_URL };
  },
  // For a link.
  "GET /label-studio-link"(context) {
    context.status = 303;
    context.redirect(`${LABEL_STUDIO_URL}/projects/?token=${labelStudioToken(signedIn(context))}`);
  },
  "GET /"(context) {
    context.type = "html";
    context.body =
      '<!doctype html><form method="post" action="/login"><input name="username"><input name="password" type="password">' +
      '<button>Sign in</button></form><a href="/label-studio-link">Label Studio</a>';
  },
};

app.use(async (context) => {
  const route = routes[`${context.method} ${context.path}`];
  if (!route) context.throw(404);
  await route(context);
});

app.listen(Number(PORT), "127.0.0.1", () => console.log(`http://127.0.0.1:${PORT}`));
