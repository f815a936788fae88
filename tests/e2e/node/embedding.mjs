// The scripts of deploy/examples/browser that keep Label Studio open, in Chromium.
//
//   node embedding.mjs CHROMIUM '{"application", "labelStudio", "path", "stranger", "shots"}'
//
// path: the page of the application. stranger: an application whose origin the gate does not know.
// Prints one line of JSON with the observations.

import { browse, signIn } from "./chromium.mjs";

const [executablePath, text] = process.argv.slice(2);
const { application, labelStudio, path, stranger, shots } = JSON.parse(text);
await browse(executablePath, true, async (context) => {
  const seen = {};
  context.setDefaultTimeout(60000);
  const page = await context.newPage();
  const addresses = [];
  page.on("request", (request) => addresses.push(request.url()));

  // What the application's server answers next: a fresh token, unless a test says otherwise.
  let tokens = 0;
  let tamper = (token) => token;
  await page.route("**/api/label-studio-token", async (route) => {
    tokens += 1;
    const response = await route.fetch();
    const answer = await response.json();
    await route.fulfill({ response, json: { ...answer, token: tamper(answer.token) } });
  });

  async function counting(work) {
    const before = tokens;
    await work();
    return tokens - before;
  }

  const frameOf = async (of) => (await of.waitForSelector("iframe[title='Label Studio']", { state: "attached" })).contentFrame();
  const opened = (of, state) => of.waitForFunction(
    (kind) => (document.getElementById("state")?.textContent ?? document.querySelector("iframe").dataset.state).split(/[ :]/)[0] === kind,
    state,
  );
  const whoami = async (frame) => (await frame.evaluate(() => fetch("/api/current-user/whoami").then((response) => response.json()))).email;
  // Label Studio's own scripts draw this after its API has answered.
  const drawn = (frame) => frame.waitForSelector("text=/Projects|Heidi/");

  // Without a page that would still use the session, or renew it.
  async function endSession() {
    await page.goto("about:blank");
    await context.clearCookies({ name: "sessionid" });
  }

  // Label Studio's own scripts extend it.
  const pathOf = (frame) => new URL(frame.url()).pathname.split("/").slice(0, 3).join("/");

  async function labelStudioIn(of) {
    await opened(of, "open");
    const frame = await frameOf(of);
    await drawn(frame);
    return { user: await whoami(frame), at: pathOf(frame) };
  }

  try {
    await page.goto(application);
    await signIn(page, "ann");
    // That page opens its frame with a token in the address.
    await page.goto("about:blank");
    addresses.length = 0;

    // Opening needs one token, which is in no address.
    seen.tokensToOpen = await counting(async () => {
      await page.goto(application + path);
      seen.opened = await labelStudioIn(page);
    });
    seen.tokenInAddress = addresses.some((address) => address.includes("eyJ"));
    await page.screenshot({ path: `${shots}-open.png` });

    // The session ends. The next page of Label Studio opens all the same.
    const frame = await frameOf(page);
    await context.clearCookies({ name: "sessionid" });
    seen.tokensToRenew = await counting(async () => {
      const [refusal] = await Promise.all([
        page.waitForResponse((response) => response.status() === 401 && response.url().includes("/user/account")),
        frame.evaluate(() => window.location.assign("/user/account")),
      ]);
      seen.refusal = refusal.headers()["x-gate-reason"];
      await frame.waitForURL("**/user/account*");
      await page.waitForTimeout(500);
      await opened(page, "open");
      seen.renewed = { user: await whoami(frame), at: pathOf(frame) };
    });

    // A token that is not accepted is replaced by a fresh one.
    await endSession();
    let bad = 1;
    tamper = (token) => (bad-- > 0 ? token.replace(/\.[^.]*$/, ".AAAA") : token);
    seen.tokensAfterRefusal = await counting(async () => {
      await page.goto(application + path);
      seen.afterRefusal = await labelStudioIn(page);
    });

    // If no token is accepted, that ends.
    await endSession();
    tamper = () => "eyJhbGciOiJIUzI1NiJ9.e30.AAAA";
    seen.tokensOfLoop = await counting(async () => {
      await page.goto(application + path);
      await opened(page, "failed");
      await page.waitForTimeout(2000);
    });
    seen.shown = await (await frameOf(page)).textContent("h1");
    await page.screenshot({ path: `${shots}-failed.png` });
    tamper = (token) => token;

    // Trying again starts anew.
    await page.click("button:has-text('gain')");
    seen.triedAgain = await labelStudioIn(page);

    // Signing out in the frame is not undone.
    seen.tokensOfSignOut = await counting(async () => {
      const signOut = () => window.location.assign("/sso/logout");
      await (await frameOf(page)).evaluate(signOut);
      await opened(page, "signed_out");
      await page.waitForTimeout(1000);
    });

    // Another page's message has no effect.
    await page.click("button:has-text('gain')");
    await labelStudioIn(page);
    seen.tokensOfForgery = await counting(async () => {
      await page.evaluate((origin) => {
        const data = { source: "label-studio-gate", version: 1, type: "link_expired", reason: "token_expired", path: "/" };
        window.postMessage(data, "*");
        const source = document.querySelector("iframe").contentWindow;
        window.dispatchEvent(new MessageEvent("message", { data, origin: "https://evil.test", source }));
        window.dispatchEvent(new MessageEvent("message", { data, origin, source: window }));
      }, new URL(labelStudio).origin);
      await page.waitForTimeout(1000);
    });

    // A page that the gate does not know gets no message.
    await page.goto(stranger);
    seen.messagesToStranger = await page.evaluate(async (url) => {
      let messages = 0;
      window.addEventListener("message", () => (messages += 1));
      const frame = document.createElement("iframe");
      frame.src = `${url}/sso/login?token=rubbish`;
      const loaded = new Promise((resolve) => frame.addEventListener("load", resolve));
      document.body.append(frame);
      await loaded;
      await new Promise((resolve) => setTimeout(resolve, 1000));
      return messages;
    }, labelStudio);
    console.log(JSON.stringify(seen));
  } catch (error) {
    await page.screenshot({ path: `${shots}-error.png` }).catch(() => {});
    console.error(`${error.stack}\nseen so far: ${JSON.stringify(seen)}\nframes: ${page.frames().map((frame) => frame.url().split("?")[0])}`);
    process.exitCode = 1;
  }
});
