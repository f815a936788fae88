// An OpenID provider that reads a realm as Keycloak exports it, and has Keycloak's paths:  node provider.mjs REALM
//
// KC_HOSTNAME is its public URL, KC_HTTP_PORT its port.

import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import Provider from "oidc-provider";

// Keycloak puts environment variables in the place of ${NAME}.
const imported = readFileSync(process.argv[2], "utf8").replace(/\$\{(\w+)\}/g, (whole, name) => process.env[name] ?? whole);
const realm = JSON.parse(imported);
const below = `/realms/${realm.realm}`;
const paths = "/protocol/openid-connect";

const client = (registered) => ({
  client_id: registered.clientId,
  ...(registered.publicClient ? { token_endpoint_auth_method: "none" } : { client_secret: registered.secret }),
  redirect_uris: registered.redirectUris,
  post_logout_redirect_uris: registered.attributes["post.logout.redirect.uris"].split("##"),
  grant_types: ["authorization_code"],
  response_types: ["code"],
});

// The development form takes any password, so this one is checked here.
for (const { username, credentials } of realm.users) {
  const known = credentials.some(({ value }) => !value || value === username || value.startsWith("${"));
  if (known) throw new Error(`everybody knows the password of ${username}`);
}

const account = (name) => {
  const user = realm.users.find((user) => user.enabled && [user.username, user.email].includes(name));
  if (!user) return undefined;
  const claims = { email: user.email, email_verified: user.emailVerified, given_name: user.firstName, family_name: user.lastName };
  return { accountId: name, claims: () => ({ sub: name, ...claims }) };
};

const provider = new Provider(process.env.KC_HOSTNAME + below, {
  clients: realm.clients.map(client),
  claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["given_name", "family_name"] },
  conformIdTokenClaims: false,
  cookies: { keys: [randomBytes(32).toString("hex")] },
  findAccount: (_, name) => account(name),
  pkce: { required: () => true },
  routes: {
    authorization: `${paths}/auth`,
    end_session: `${paths}/logout`,
    jwks: `${paths}/certs`,
    token: `${paths}/token`,
    userinfo: `${paths}/userinfo`,
  },
});

const answer = provider.callback();
createServer((request, response) => {
  if (request.url.startsWith(`${below}/`)) {
    request.originalUrl = request.url;
    request.url = request.url.slice(below.length);
  }
  answer(request, response);
}).listen(Number(process.env.KC_HTTP_PORT), () => console.log(`Listening for ${provider.issuer}`));
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(0));
