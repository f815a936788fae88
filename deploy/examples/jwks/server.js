// An issuer that publishes its public keys (JWKS) instead of sharing a secret. The gate fetches them:
//
//   [external]
//   jwks_url = "https://issuer.example.com/.well-known/jwks.json"
//   issuer = "https://issuer.example.com"
//   audience = "label-studio"
//
//   PORT=3001 ISSUER=https://issuer.example.com npm start
//
// To rotate keys: publish the next one, wait until the gates have fetched it, sign with it, and remove the old one when
// its tokens have expired.

import { createServer } from "node:http";
import { exportJWK, generateKeyPair, SignJWT } from "jose";

const { PORT = "3001", ISSUER = `http://127.0.0.1:${process.env.PORT ?? 3001}` } = process.env;

/** A key pair. A real issuer keeps its private keys where they outlive a restart. */
async function newKey(id) {
  const { publicKey, privateKey } = await generateKeyPair("ES256");
  return { id, privateKey, jwk: { ...(await exportJWK(publicKey)), kid: id, alg: "ES256", use: "sig" } };
}

const keys = [await newKey("1")];

function sign(email) {
  const current = keys.at(-1);
  return new SignJWT({ email })
    .setProtectedHeader({ alg: "ES256", kid: current.id, typ: "JWT" })
    .setIssuer(ISSUER)
    .setAudience("label-studio")
    .setIssuedAt()
    .setExpirationTime("10m")
    .sign(current.privateKey);
}

const server = createServer(async (request, response) => {
  const { pathname, searchParams } = new URL(request.url, ISSUER);
  const json = (value) => response.setHeader("Content-Type", "application/json").end(JSON.stringify(value));
  if (request.method === "GET" && pathname === "/.well-known/jwks.json") {
    json({ keys: keys.map((key) => key.jwk) });
  } else if (request.method === "POST" && pathname === "/rotate") {
    keys.push(await newKey(String(keys.length + 1)));
    json({ keys: keys.length });
  } else if (request.method === "POST" && pathname === "/token") {
    // Your application knows who is signed in; this example trusts every caller on this machine.
    json({ token: await sign(searchParams.get("email")) });
  } else {
    response.writeHead(404).end();
  }
});
server.listen(Number(PORT), "127.0.0.1", () => console.log(`http://127.0.0.1:${PORT}`));
