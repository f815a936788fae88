// Opens Label Studio with the token's cookie, switches users with another token, and signs out.
//
//   node proxy.mjs CHROMIUM '{"url", "tokens": [first, second], "shot", "signedCookies"}'
//
// Prints one line of JSON: the user that Label Studio saw each time, and the names of the cookies
// after the first visit.

import { browse, signOut } from "./chromium.mjs";

const [executablePath, text] = process.argv.slice(2);
const { url, tokens, shot, signedCookies } = JSON.parse(text);
await browse(executablePath, true, async (context) => {
  const seen = [];
  const whoami = async (page) => {
    const answer = await page.evaluate(() => fetch("/api/current-user/whoami").then((response) => (response.ok ? response.json() : null)));
    return answer?.email ?? null;
  };
  // A new page each time, because Label Studio's scripts navigate too and would disturb the next
  // visit.
  const visit = async (path, look) => {
    const page = await context.newPage();
    await page.goto(`${url}${path}`);
    await look(page);
    // A pending response would restore its session cookie.
    await page.waitForLoadState("networkidle");
    await page.close();
  };
  let kept;
  for (const token of tokens) {
    await context.addCookies([{ name: "ls_auth_token", value: token, url, httpOnly: true }]);
    await visit("/projects/", async (page) => {
      // Label Studio's own scripts draw this after its API has answered.
      await page.waitForSelector("text=/Projects|Heidi/", { timeout: 60000 });
      seen.push(await whoami(page));
      kept ??= (await context.cookies()).map((cookie) => cookie.name).sort();
      await page.screenshot({ path: shot });
    });
  }
  const signedOut = await signOut(signedCookies, async () => {
    await visit("/sso/logout", async () => {});
    let user;
    // The Content-Security-Policy of the gate's own page forbids fetch().
    await visit("/user/login/", async (page) => (user = await whoami(page)));
    return user;
  });
  seen.push(signedOut);
  console.log(JSON.stringify({ seen, kept }));
});
