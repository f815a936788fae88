// An environment in which the application's session does not reach Label Studio: nobody is logged in, and that is all.
//
//   node nobody.mjs CHROMIUM '{"application", "labelStudio", "shots", "flags"}'

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { chromium } from "playwright-core";

const [executablePath, text] = process.argv.slice(2);
const { application, labelStudio, shots, flags } = JSON.parse(text);
// A profile of its own: without one the browser is "incognito" and blocks third-party cookies.
const profile = mkdtempSync(`${tmpdir()}/gate-test-profile-`);
const context = await chromium.launchPersistentContext(profile, {
  viewport: { width: 1400, height: 900 },
  ignoreHTTPSErrors: true,
  executablePath,
  headless: true,
  args: [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--host-resolver-rules=MAP *.test 127.0.0.1", "--ignore-certificate-errors", ...flags,
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
  await frame.waitForLoadState("load");
  const framed = await whoami(frame);
  await page.screenshot({ path: `${shots}-nobody.png` });
  await page.goto(`${labelStudio}/projects/`);
  console.log(JSON.stringify({ framed, link: await whoami(page) }));
} finally {
  await context.close();
  rmSync(profile, { recursive: true, force: true });
}
