// Comes to Label Studio with the token's cookie, is somebody else with the next token, and signs out.
//
//   node door.mjs CHROMIUM '{"url", "tokens": [first, second], "shot"}'
//
// Prints one line of JSON: whom Label Studio took the visitor for each time, and the names of the cookies that were kept of the first visit.

import { browse } from "./chromium.mjs";

const [executablePath, text] = process.argv.slice(2);
const { url, tokens, shot } = JSON.parse(text);
await browse(executablePath, true, async (context) => {
  const seen = [];
  const whoami = async (page) => {
    const answer = await page.evaluate(() => fetch("/api/current-user/whoami").then((response) => (response.ok ? response.json() : null)));
    seen.push(answer?.email ?? null);
  };
  // A page of its own each time: Label Studio's scripts navigate too, and would get in the way of the next visit.
  const visit = async (path, look) => {
    const page = await context.newPage();
    await page.goto(`${url}${path}`);
    await look(page);
    // An answer that is under way would bring its own session's cookie.
    await page.waitForLoadState("networkidle");
    await page.close();
  };
  let kept;
  for (const token of tokens) {
    await context.addCookies([{ name: "ls_auth_token", value: token, url, httpOnly: true }]);
    await visit("/projects/", async (page) => {
      // Drawn by Label Studio's own scripts, once its API has answered them.
      await page.waitForSelector("text=/Projects|Heidi/", { timeout: 60000 });
      await whoami(page);
      kept ??= (await context.cookies()).map((cookie) => cookie.name).sort();
      await page.screenshot({ path: shot });
    });
  }
  await visit("/sso/logout", async () => {});
  // The gate's own page lets nothing be fetched.
  await visit("/user/login/", whoami);
  console.log(JSON.stringify({ seen, kept }));
});
