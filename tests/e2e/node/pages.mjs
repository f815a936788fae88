// The gate's pages in Chromium: on a phone, in a small frame and on a desktop, light and dark.
//
//   node pages.mjs CHROMIUM '{"pages": [[name, url]], "elsewhere", "labelStudio", "signedOut", "shots"}'
//
// Prints one line of JSON: the problems of each page, and where the sign-out led.

import { browse } from "./chromium.mjs";

const SIZES = { phone: [390, 844], frame: [300, 150], desktop: [1280, 720] };

const [executablePath, text] = process.argv.slice(2);
const { pages, elsewhere, labelStudio, signedOut, shots } = JSON.parse(text);

/** Runs in the page: what is wrong with it. */
function problems() {
  const found = [];
  const root = document.documentElement;
  if (!["en", "ko"].includes(root.lang)) found.push(`lang is ${root.lang}`);
  if (document.querySelectorAll("h1").length !== 1) found.push("not one heading");
  if (document.querySelectorAll("main").length !== 1) found.push("not one main");
  if (root.scrollWidth > root.clientWidth) found.push(`wider than the window: ${root.scrollWidth}`);
  const image = document.querySelector("img");
  if (image && image.getClientRects().length && !image.naturalWidth) found.push("the logo is missing");

  // WCAG 2.2, contrast ratio.
  const channels = (color) => color.match(/[\d.]+/g).map(Number);
  const luminance = (color) => {
    const [r, g, b] = channels(color).map((value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = getComputedStyle(at).backgroundColor;
      if ((channels(color)[3] ?? 1) === 1) return color;
    }
    return "rgb(255, 255, 255)";
  };
  for (const element of document.querySelectorAll("h1, p, a, button, code, header span")) {
    if (!element.textContent.trim() || !element.getClientRects().length) continue;
    const [one, other] = [getComputedStyle(element).color, ground(element)].map(luminance);
    const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (contrast < 4.5) found.push(`contrast ${contrast.toFixed(2)} of "${element.textContent.trim()}"`);
  }
  // What the user can do is seen without scrolling.
  for (const action of document.querySelectorAll(".button")) {
    const { bottom } = action.getBoundingClientRect();
    if (bottom > window.innerHeight) found.push(`"${action.textContent}" ends at ${Math.round(bottom)}`);
  }
  return found;
}

await browse(executablePath, true, async (context) => {
  const seen = { problems: {} };
  const page = await context.newPage();
  const complaints = [];
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));

  async function look(name) {
    for (const [size, [width, height]] of Object.entries(SIZES)) {
      for (const colorScheme of ["light", "dark"]) {
        await page.setViewportSize({ width, height });
        await page.emulateMedia({ colorScheme });
        const found = await page.evaluate(problems);
        if (found.length) seen.problems[`${name} ${size} ${colorScheme}`] = found;
        await page.screenshot({ path: `${shots}-${name}-${size}-${colorScheme}.png` });
      }
    }
    // The keyboard reaches what the user can do, and shows where it is.
    if (await page.locator("main a, main button").count()) {
      await page.keyboard.press("Tab");
      const focused = await page.evaluate(() => {
        const element = document.activeElement;
        return [element.closest("main") !== null, getComputedStyle(element).outlineStyle];
      });
      if (focused[0] !== true || focused[1] !== "solid") seen.problems[`${name} focus`] = focused;
    }
  }

  for (const [name, url] of pages) {
    await page.goto(url);
    await look(name);
  }

  // A link from elsewhere asks first; the button ends the session and leads on.
  await page.goto(elsewhere);
  await Promise.all([
    page.waitForURL("**/sso/logout"),
    page.evaluate((url) => window.location.assign(url), `${labelStudio}/sso/logout`),
  ]);
  await look("confirm");
  await page.click("button");
  await page.waitForURL((url) => !url.pathname.startsWith("/sso/logout"), { timeout: 30000 }).catch(() => {});
  seen.signedOut = page.url() === signedOut;

  // Chromium reports the status of each refusal too.
  seen.complaints = complaints.filter((text) => !text.startsWith("Failed to load resource"));
  console.log(JSON.stringify(seen));
});
