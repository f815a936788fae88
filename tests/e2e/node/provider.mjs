// A certified OpenID provider (oidc-provider) over HTTPS, with its own development login.
//
//   node provider.mjs PORT CERTIFICATE KEY KEYS [ORIGIN …]
//
// KEYS is a file with a private JSON Web Key Set. It is created if it does not exist; its last key
// signs. The clients "gate-0", "gate-1", … are gates at these origins.
//
// POST /faults with {"down": [PATH, …], "skew": SECONDS, "thin": true} sets what is wrong with it from now on:
// paths that begin like these get 503, its clock differs, its ID tokens name nobody's address.

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:https";
import { exportJWK, generateKeyPair } from "jose";
import Provider from "oidc-provider";

const [port, certificate, key, keys, ...origins] = process.argv.slice(2);
if (!existsSync(keys)) {
  const { privateKey } = await generateKeyPair("RS256", { extractable: true });
  const jwk = { ...(await exportJWK(privateKey)), use: "sig", alg: "RS256", kid: `key-${Date.now()}` };
  writeFileSync(keys, JSON.stringify({ keys: [jwk] }));
}
let faults = {};
const { now } = Date;
Date.now = () => now() + (faults.skew ?? 0) * 1000;

const issuer = `https://localhost:${port}`;
const provider = new Provider(issuer, {
  jwks: JSON.parse(readFileSync(keys, "utf8")),
  clients: [
    {
      client_id: "label-studio",
      client_secret: "a-client-secret-of-the-tests",
      redirect_uris: ["https://application.test/callback"],
      grant_types: ["authorization_code"],
      response_types: ["code"],
    },
    ...origins.map((origin, n) => ({
      client_id: `gate-${n}`,
      client_secret: "a-client-secret-of-the-tests",
      redirect_uris: [`${origin}/sso/callback`],
      post_logout_redirect_uris: [`${origin}/sso/signed-out`],
      backchannel_logout_uri: `${origin}/sso/backchannel-logout`,
      grant_types: ["authorization_code"],
      response_types: ["code"],
    })),
  ],
  features: { backchannelLogout: { enabled: origins.length > 0 } },
  claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["given_name", "family_name"] },
  // The ID token itself contains the claims.
  conformIdTokenClaims: false,
  pkce: { required: () => false },
  // Its session reaches frames, where the browser permits it.
  cookies: { keys: ["a-cookie-key-of-the-tests"], long: { httpOnly: true, signed: true, sameSite: "none", secure: true } },
  findAccount: (_, id) => ({
    accountId: id,
    claims: (use) => use === "id_token" && faults.thin ? { sub: id } : ({ sub: id, email: `${id}@example.com`, email_verified: id !== "mallory", given_name: id, family_name: "Provided" }),
  }),
});
const options = { cert: readFileSync(certificate), key: readFileSync(key) };
const answer = provider.callback();
const server = createServer(options, async (request, response) => {
  if (request.url === "/faults") {
    let body = "";
    for await (const part of request) body += part;
    faults = JSON.parse(body);
    response.writeHead(204).end();
  } else if (faults.down?.some((path) => request.url.startsWith(path))) {
    response.writeHead(503).end();
  } else {
    answer(request, response);
  }
});
server.listen(Number(port), "127.0.0.1", () => console.log(issuer));
