// Sign-in at an OpenID provider, in Chromium: in tabs, back and again, declined, too late, out; and in a frame of another site.
//
//   node sign_in.mjs CHROMIUM '{"labelStudio", "application", "shots"}'
//
// application: an origin of another site, whose page "/embedding" shows Label Studio in a frame. Prints one line of JSON with the observations.

import { browse } from "./chromium.mjs";

const [executablePath, text] = process.argv.slice(2);
const { labelStudio, application, shots } = JSON.parse(text);
const seen = {};
// Where the last frame was, if something fails.
let at;

const whoami = async (frame) => (await frame.evaluate(() => fetch("/api/current-user/whoami").then((response) => response.json()))).email;
// The provider's development login: a name, then consent.
async function fillIn(page, user) {
  await page.fill("input[name=login]", user);
  await page.fill("input[name=password]", "x");
  await page.click("button[type=submit]");
}
const consent = (page) => page.click("button[type=submit]:has-text('Continue')");
const arrive = (page, path = "/projects/") => page.waitForURL((url) => url.origin === labelStudio && url.pathname.startsWith(path));
const title = (page) => page.textContent("h1");
const reason = (page) => page.textContent("footer p:last-child code");

async function tabs(context) {
  const [one, two] = [await context.newPage(), await context.newPage()];
  const callbacks = [];
  one.on("request", (request) => {
    if (request.url().includes("/sso/callback")) callbacks.push(request.url());
  });
  await one.goto(`${labelStudio}/projects/?tab=1`);
  await two.goto(`${labelStudio}/user/account`);
  await one.screenshot({ path: `${shots}-provider.png` });
  await fillIn(two, "nora");
  await consent(two);
  await arrive(two, "/user/account");
  await fillIn(one, "nora");
  await arrive(one);
  seen.tabs = [new URL(one.url()).search, await whoami(one), await whoami(two)];
  await two.close();

  // The answer again: by hand, and by the back button.
  await one.goto(callbacks[0]);
  await arrive(one, "/");
  seen.again = await whoami(one);
  await one.goto(`${labelStudio}/projects/`);
  // Label Studio's start page leads on by itself, which ends the wait for it.
  await one.goBack().catch(() => one.waitForLoadState());
  await one.goBack().catch(() => one.waitForLoadState());
  await one.goto(`${labelStudio}/projects/`);
  await arrive(one);
  seen.back = await whoami(one);

  // Label Studio's "Log out" ends both sessions, after the provider has asked.
  await one.goto(`${labelStudio}/logout`);
  await one.click("button[name=logout]");
  await arrive(one, "/sso/signed-out");
  seen.out = await title(one);
  await one.goto(`${labelStudio}/projects/`);
  seen.form = await one.isVisible("input[name=login]");

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
  await arrive(one, "/");
  seen.afterLate = await whoami(one);
  await one.close();
}

async function frame(context) {
  const page = await context.newPage();
  await page.goto(`${application}/embedding`);
  const frame = await (await page.waitForSelector("iframe")).contentFrame();
  page.on("framenavigated", (frame) => (at = frame.url()));
  return { page, frame };
}

// The user is signed in at the provider, whose cookies reach a frame.
async function silently(context) {
  const tab = await context.newPage();
  await tab.goto(`${labelStudio}/projects/`);
  await fillIn(tab, "nora");
  await consent(tab);
  await arrive(tab);
  await context.clearCookies({ name: "sessionid" });
  const { page, frame: framed } = await frame(context);
  await framed.waitForURL(`${labelStudio}/projects/**`);
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
  const closed = popup.waitForEvent("close", { timeout: 20000 }).then(() => true, () => false);
  await consent(popup);
  await framed.waitForURL(`${labelStudio}/projects/**`);
  seen.window = [await whoami(framed), await closed];
  await page.screenshot({ path: `${shots}-framed.png` });
  await page.close();
}

try {
  await browse(executablePath, true, async (context) => {
    context.setDefaultTimeout(60000);
    await tabs(context);
  });
  await browse(executablePath, true, async (context) => {
    context.setDefaultTimeout(60000);
    await silently(context);
  });
  await browse(executablePath, false, async (context) => {
    context.setDefaultTimeout(60000);
    await throughAWindow(context);
  });
} catch (error) {
  seen.failed = String(error);
  seen.at = at;
}
console.log(JSON.stringify(seen));
