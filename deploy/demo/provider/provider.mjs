// The demo's OpenID provider: oidc-provider, which is certified, with its development login form. It takes any name and any
// password, so it must be reachable from this machine only.
//
//   node provider.mjs PORT ORIGIN SECRET
//
// PORT is on loopback, ORIGIN is Label Studio's, SECRET is the client's.

import { randomBytes } from "node:crypto";
import Provider from "oidc-provider";

const [port, origin, secret] = process.argv.slice(2);
const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [
    {
      client_id: "label-studio",
      client_secret: secret,
      redirect_uris: [`${origin}/sso/callback`],
      post_logout_redirect_uris: [`${origin}/sso/signed-out`],
      backchannel_logout_uri: `${origin}/sso/backchannel-logout`,
      grant_types: ["authorization_code"],
      response_types: ["code"],
    },
  ],
  features: { backchannelLogout: { enabled: true } },
  claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["given_name", "family_name"] },
  cookies: { keys: [randomBytes(32).toString("hex")] },
  findAccount: (_, name) => {
    const email = name.includes("@") ? name : `${name}@demo.test`;
    return { accountId: name, claims: () => ({ sub: name, email, email_verified: true, given_name: name, family_name: "" }) };
  },
});
provider.listen(Number(port), "127.0.0.1");
