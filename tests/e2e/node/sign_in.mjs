// Sign-in at an OpenID provider, in Chromium: in tabs, back and again, declined, too late, out; and in a frame of another site.
//
//   node sign_in.mjs CHROMIUM '{"labelStudio", "application", "shots"}'
//
// application: an origin of another site, whose page "/embedding" shows Label Studio in a frame. Prints one line of JSON with the observations.

import { browse } from "./chromium.mjs";

const [executablePath, text] = process.argv.slice(2);
const { labelStudio, application, shots } = JSON.parse(text);
const seen = {};
// How long a busy machine may take for a step, in milliseconds.
const PATIENCE = 90000;

// Label Studio's pages lead on by themselves, which ends what was asked of them, and the wait for them.
async function insist(action) {
  const end = Date.now() + PATIENCE;
  for (;;) {
    try {
      return await action();
    } catch (error) {
      const again = /interrupted by another navigation|ERR_ABORTED|frame was detached|Not attached to an active page|context was destroyed|Failed to fetch/;
      if (Date.now() > end || !again.test(String(error))) throw error;
    }
  }
}
const visit = (page, url) => insist(() => page.goto(url, { waitUntil: "domcontentloaded" }));
const back = (page) => insist(() => page.goBack({ waitUntil: "commit" }));
const whoami = (frame) =>
  insist(async () => (await frame.evaluate(() => fetch("/api/current-user/whoami").then((response) => response.json()))).email);
// The provider's development login: a name, then consent.
async function fillIn(page, user) {
  await page.fill("input[name=login]", user);
  await page.fill("input[name=password]", "x");
  await page.click("button[type=submit]");
}
const consent = (page) => page.click("button[type=submit]:has-text('Continue')");
// Committed is enough: what is asked of the page waits for it.
const reach = (page, is) => page.waitForURL((url) => url.origin === labelStudio && is(url.pathname), { waitUntil: "commit" });
const arrive = (page, path = "/projects/") => reach(page, (at) => at.startsWith(path));
const leaveGate = (page) => reach(page, (at) => !at.startsWith("/sso/"));
const title = (page) => page.textContent("h1");
const reason = (page) => page.textContent("footer p:last-child code");

async function tabs(context) {
  const [one, two] = [await context.newPage(), await context.newPage()];
  const callbacks = [];
  one.on("request", (request) => {
    if (request.url().includes("/sso/callback")) callbacks.push(request.url());
  });
  await visit(one, `${labelStudio}/projects/?tab=1`);
  await visit(two, `${labelStudio}/user/account`);
  await one.screenshot({ path: `${shots}-provider.png` });
  await fillIn(two, "nora");
  await consent(two);
  await arrive(two, "/user/account");
  await fillIn(one, "nora");
  await arrive(one);
  seen.tabs = [new URL(one.url()).search, await whoami(one), await whoami(two)];
  await two.close();

  // The answer again: by hand, and by the back button.
  await visit(one, callbacks[0]);
  await leaveGate(one);
  seen.again = await whoami(one);
  await visit(one, `${labelStudio}/projects/`);
  await back(one);
  await back(one);
  await visit(one, `${labelStudio}/projects/`);
  await arrive(one);
  seen.back = await whoami(one);

  // Label Studio's "Log out" ends both sessions, after the provider has asked.
  await visit(one, `${labelStudio}/logout`);
  await one.click("button[name=logout]");
  await arrive(one, "/sso/signed-out");
  seen.out = await title(one);
  await visit(one, `${labelStudio}/projects/`);
  await one.waitForSelector("input[name=login]");

  // Declined.
  await one.click("a:has-text('Cancel')");
  await arrive(one, "/sso/callback");
  seen.declined = [await title(one), await reason(one)];
  await one.screenshot({ path: `${shots}-declined.png` });

  // Too late: the cookie of the flow is gone. Signing in again needs no form: the provider knows the user by now.
  await one.click("a.button");
  await fillIn(one, "nora");
  await context.clearCookies({ name: /gate_flow/ });
  await consent(one);
  await arrive(one, "/sso/callback");
  seen.late = [await title(one), await reason(one)];
  await one.click("a.button");
  await leaveGate(one);
  seen.afterLate = await whoami(one);
  await one.close();
}

async function frame(context) {
  const page = await context.newPage();
  await visit(page, `${application}/embedding`);
  const frame = await (await page.waitForSelector("iframe")).contentFrame();
  return { page, frame };
}

// The user is signed in at the provider, whose cookies reach a frame.
async function silently(context) {
  const tab = await context.newPage();
  await visit(tab, `${labelStudio}/projects/`);
  await fillIn(tab, "nora");
  await consent(tab);
  await arrive(tab);
  await context.clearCookies({ name: "sessionid" });
  const { page, frame: framed } = await frame(context);
  await arrive(framed);
  seen.silent = await whoami(framed);
  await page.close();
}

// They don't: a window opens, and gives the sign-in to the frame.
async function throughAWindow(context) {
  const { page, frame: framed } = await frame(context);
  await framed.waitForSelector("a[rel=opener]");
  seen.asks = [await title(framed), await reason(framed)];
  await page.screenshot({ path: `${shots}-frame.png` });
  const [popup] = await Promise.all([context.waitForEvent("page"), framed.click("a[rel=opener]")]);
  await fillIn(popup, "nora");
  const closed = popup.waitForEvent("close", { timeout: PATIENCE }).then(() => true, () => false);
  await consent(popup);
  await arrive(framed);
  seen.window = [await whoami(framed), await closed];
  await page.screenshot({ path: `${shots}-framed.png` });
  await page.close();
}

// A part of the story, in a browser of its own. If it fails: what each frame showed then.
const part = (thirdParty, play) =>
  browse(executablePath, thirdParty, async (context) => {
    context.setDefaultTimeout(PATIENCE);
    try {
      await play(context);
    } catch (error) {
      const frames = context.pages().flatMap((page) => page.frames());
      const shown = frames.map((frame) => frame.evaluate(() => `${location}: ${document.body.innerText}`).catch(String));
      seen.shown = await Promise.all(shown);
      throw error;
    }
  });

try {
  await part(true, tabs);
  await part(true, silently);
  await part(false, throughAWindow);
} catch (error) {
  seen.failed = String(error);
}
console.log(JSON.stringify(seen));
