// Chromium for the scripts in this directory, and the sign-in on the examples' page.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { chromium } from "playwright-core";

/**
 * Runs `visit` in front of a browser with a profile of its own, which is removed: without one the browser is "incognito" and blocks
 * third-party cookies. Names that end in .test are this machine.
 */
export async function browse(executablePath, thirdParty, visit) {
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
    await visit(context);
  } finally {
    await context.close();
    rmSync(profile, { recursive: true, force: true });
  }
}

/** Signs in on the examples' page, where nobody is signed in. */
export async function signIn(page, user) {
  await page.fill("input[name=username]", user);
  await page.fill("input[name=password]", user);
  await page.click("#sign-in button");
  await page.waitForSelector("#sign-out:not([hidden])");
}

/** The frame with Label Studio on the application's page, whose address holds `part`. */
export async function labelStudioFrame(page, part = "projects") {
  const element = await page.waitForSelector(`iframe[src*='${part}']`, { state: "attached" });
  return element.contentFrame();
}

/**
 * Signs out with `attempt`, which tells who is signed in afterwards, and returns that. With signed cookies, a response of Label
 * Studio that is under way restores the cookie (docs/policy.md), and one signs out again; with session rows once must do.
 */
export async function signOut(signedCookies, attempt) {
  const end = Date.now() + 40000;
  for (;;) {
    const user = await attempt();
    if (user === null || !signedCookies || Date.now() > end) return user;
  }
}
