// A glance into the frame: whom Label Studio takes the visitor for, there and in a page of its own, and whether its pages may store anything.
//
//   node glance.mjs CHROMIUM '{"application", "labelStudio", "shots", "thirdParty"}'

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { chromium } from "playwright-core";

const [executablePath, text] = process.argv.slice(2);
const { application, labelStudio, shots, thirdParty } = JSON.parse(text);
// A profile of its own: without one the browser is "incognito" and blocks third-party cookies.
const profile = mkdtempSync(`${tmpdir()}/gate-test-profile-`);
if (thirdParty) {
  mkdirSync(`${profile}/Default`);
  const cookies = { cookie_controls_mode: 0, block_third_party_cookies: false };
  writeFileSync(`${profile}/Default/Preferences`, JSON.stringify({ profile: cookies }));
}
const context = await chromium.launchPersistentContext(profile, {
  viewport: { width: 1400, height: 900 },
  ignoreHTTPSErrors: true,
  executablePath,
  headless: true,
  args: [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--host-resolver-rules=MAP *.test 127.0.0.1", "--ignore-certificate-errors",
    ...(thirdParty ? [] : ["--test-third-party-cookie-phaseout"]),
  ],
});
try {
  const page = await context.newPage();
  const whoami = (frame) =>
    frame.evaluate(() => fetch("/api/current-user/whoami").then((response) => (response.ok ? response.json() : null)));
  await page.goto(application);
  await page.fill("input[name=username]", "ann");
  await page.fill("input[name=password]", "ann");
  await page.click("#sign-in button");
  const element = await page.waitForSelector("iframe[src*='projects']", { state: "attached" });
  const frame = await element.contentFrame();
  // Past the address with the token, if there was one.
  await frame.waitForURL((url) => url.href.startsWith(labelStudio) && !url.search.includes("token="));
  await frame.waitForLoadState("load");
  const framed = (await whoami(frame))?.email ?? null;
  const storage = await frame.evaluate(() => {
    try {
      return typeof localStorage;
    } catch (error) {
      return error.name;
    }
  });
  await page.screenshot({ path: `${shots}-glance.png` });
  await page.goto(`${labelStudio}/projects/`);
  console.log(JSON.stringify({ framed, storage, link: (await whoami(page))?.email ?? null }));
} finally {
  await context.close();
  rmSync(profile, { recursive: true, force: true });
}
