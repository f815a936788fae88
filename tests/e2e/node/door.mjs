// Comes to Label Studio with the token's cookie, is somebody else with the next token, and signs out.
//
//   node door.mjs CHROMIUM '{"url", "tokens": [first, second], "shot"}'
//
// Prints one line of JSON: whom Label Studio took the visitor for each time, and the names of the cookies that were kept of the first visit.

import { browse } from "./chromium.mjs";

const [executablePath, text] = process.argv.slice(2);
const { url, tokens, shot } = JSON.parse(text);
await browse(executablePath, true, async (context) => {
  const page = await context.newPage();
  const whoami = async () => {
    const answer = await page.evaluate(() => fetch("/api/current-user/whoami").then((response) => (response.ok ? response.json() : null)));
    return answer?.email ?? null;
  };
  const seen = [];
  let kept;
  for (const token of tokens) {
    await context.addCookies([{ name: "ls_auth_token", value: token, url, httpOnly: true }]);
    await page.goto(`${url}/projects/`);
    // Drawn by Label Studio's own scripts, once its API has answered them.
    await page.waitForSelector("text=/Projects|Heidi/", { timeout: 60000 });
    seen.push(await whoami());
    kept ??= (await context.cookies()).map((cookie) => cookie.name).sort();
  }
  await page.screenshot({ path: shot });
  await page.waitForLoadState("networkidle");
  await page.goto(`${url}/sso/logout`);
  // The gate's own page lets nothing be fetched.
  await page.goto(`${url}/user/login/`);
  seen.push(await whoami());
  console.log(JSON.stringify({ seen, kept }));
});
