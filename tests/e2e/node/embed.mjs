// Signs in to an application in a real browser and tells whom Label Studio, in the frame on that page, takes the visitor for.
//
//   node embed.mjs CHROMIUM APPLICATION PATH USER SCREENSHOT
//
// Prints one line of JSON: {"email", "title", "failed": [requests of Label Studio that failed]}.

import { chromium } from "playwright-core";

const [executablePath, application, path, user, screenshot] = process.argv.slice(2);
const browser = await chromium.launch({
  executablePath,
  headless: true,
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
try {
  const page = await browser.newPage({ viewport: { width: 1200, height: 800 } });
  const failed = [];
  page.on("response", (response) => {
    if (response.status() >= 500) failed.push(`${response.status()} ${new URL(response.url()).pathname}`);
  });
  await page.goto(application);
  await page.fill("input[name=username]", user);
  await page.fill("input[name=password]", user);
  await page.click("#sign-in button");
  await page.waitForSelector("#sign-out:not([hidden])");
  if (path !== "/") await page.goto(application + path);
  const element = await page.waitForSelector("iframe[src*='token=']", { state: "attached", timeout: 30000 });
  const frame = await element.contentFrame();
  // Drawn by Label Studio's own scripts, once its API has answered them.
  await frame.waitForSelector("text=/Projects|Heidi/", { timeout: 60000 });
  const whoami = await frame.evaluate(() => fetch("/api/current-user/whoami").then((response) => response.json()));
  await page.screenshot({ path: screenshot });
  console.log(JSON.stringify({ email: whoami.email, title: await frame.title(), failed }));
} finally {
  await browser.close();
}
