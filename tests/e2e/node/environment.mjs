// Goes through an environment in Chromium, as a user would.
//
//   node environment.mjs CHROMIUM '{"application", "labelStudio", "project", "sentence", "shots", "thirdParty", "framed", "signedCookies"}'
//
// framed: whether Label Studio works in the frame. Prints one line of JSON with the observations.

import { browse, labelStudioFrame, signIn as signInOn, signOut } from "./chromium.mjs";

const [executablePath, text] = process.argv.slice(2);
const { application, labelStudio, project, sentence, shots, thirdParty, framed, signedCookies } = JSON.parse(text);
await browse(executablePath, thirdParty, async (context) => {
  const seen = {};
  context.setDefaultTimeout(45000);
  const page = await context.newPage();
  let shot = 0;
  const picture = async (name, of = page) => of.screenshot({ path: `${shots}-${++shot}-${name}.png` });

  const whoami = (frame) =>
    frame.evaluate(async (base) => {
      const response = await fetch(`${base}/api/current-user/whoami`);
      return response.ok ? (await response.json()).email : null;
    }, new URL(labelStudio).pathname.replace(/\/$/, ""));

  async function signIn(user) {
    await page.goto(application);
    await page.waitForSelector("#sign-in:not([hidden]), #sign-out:not([hidden])");
    if (await page.isVisible("#sign-out")) {
      await page.click("#sign-out button:not([type=button])");
      await page.waitForSelector("#sign-in:not([hidden])");
    }
    await signInOn(page, user);
  }

  async function frameOf() {
    const frame = await labelStudioFrame(page);
    await frame.waitForLoadState("load");
    return frame;
  }

  async function until(what, test) {
    const end = Date.now() + 40000;
    for (;;) {
      try {
        const found = await test();
        if (found) return found;
      } catch (error) {
        if (Date.now() > end) throw error;
      }
      if (Date.now() > end) throw new Error(`${what} did not come`);
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
  }

  try {
    await signIn("ann");
    let frame = await frameOf();
    if (!framed) {
      await new Promise((resolve) => setTimeout(resolve, 3000));
      seen.framed = await whoami(frame).catch(() => null);
      await picture("frame");
    } else {
      await frame.waitForSelector(`text=${project}`);
      seen.framed = await whoami(frame);
      seen.tokenInAddress = frame.url().includes("token=");
      await picture("projects");

      await frame.click(`text=${project}`);
      await frame.waitForSelector(`text=${sentence}`);
      await picture("project");
      await frame.click(`text=${sentence}`);
      await frame.waitForSelector("text=Positive");
      await frame.click("text=Positive");
      const [saved] = await Promise.all([
        page.waitForResponse((response) => /\/annotations\/?(\?|$)/.test(response.url()) && response.request().method() === "POST"),
        frame.click("button:has-text('Submit')"),
      ]);
      seen.saved = saved.status();
      await picture("annotation");

      await signIn("bob");
      frame = await frameOf();
      await frame.waitForSelector(`text=${project}`);
      seen.switched = await whoami(frame);
      await picture("switched");
    }

    // A window and a link.
    await signIn("ann");
    for (const [name, selector] of [["popup", "#popup"], ["link", "#link"]]) {
      const [opened] = await Promise.all([context.waitForEvent("page"), page.click(selector)]);
      seen[name] = await until(name, async () => opened.url().startsWith(labelStudio) && (await whoami(opened)));
      await picture(name, opened);
      if (name === "link") {
        // Sign out of Label Studio and of the application, or method 3 would sign in again at once.
        await page.click("#sign-out button:not([type=button])");
        await page.waitForSelector("#sign-in:not([hidden])");
        // A pending response would restore the cookie: Label Studio sets it in every response.
        await opened.waitForLoadState("networkidle", { timeout: 15000 }).catch(() => {});
        seen.signedOut = await signOut(signedCookies, async () => {
          // Over HTTP Chromium sends no Sec-Fetch-Site, so the Referer shows that the link is on a
          // page of Label Studio.
          await opened.goto(`${labelStudio}/sso/logout`, { referer: `${labelStudio}/projects/` });
          await opened.waitForSelector("text=You are signed out");
          await picture("signed-out", opened);
          await opened.goto(`${labelStudio}/user/login/`);
          return whoami(opened);
        });
      }
      await opened.close();
    }
    console.log(JSON.stringify(seen));
  } catch (error) {
    await picture("failed").catch(() => {});
    console.error(`${error.stack}\nseen so far: ${JSON.stringify(seen)}\nframes: ${page.frames().map((frame) => frame.url().split("?")[0])}`);
    process.exitCode = 1;
  }
});
