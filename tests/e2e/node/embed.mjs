// Signs in to an application in a real browser, and prints the user that Label Studio sees in the
// frame on its page.
//
//   node embed.mjs CHROMIUM APPLICATION PATH USER SCREENSHOT
//
// Prints one line of JSON: {"email", "title", "failed": [requests of Label Studio that failed]}.

import { browse, labelStudioFrame, signIn } from "./chromium.mjs";

const [executablePath, application, path, user, screenshot] = process.argv.slice(2);
await browse(executablePath, true, async (context) => {
  const page = await context.newPage();
  const failed = [];
  page.on("response", (response) => {
    if (response.status() >= 500) failed.push(`${response.status()} ${new URL(response.url()).pathname}`);
  });
  await page.goto(application);
  await signIn(page, user);
  if (path !== "/") await page.goto(application + path);
  // The React page opens the frame with a form, so its address is not in the frame's element.
  const framed = async () => (await page.waitForSelector("iframe[title='Label Studio']", { state: "attached" })).contentFrame();
  const frame = path === "/" ? await labelStudioFrame(page, "token=") : await framed();
  // Label Studio's own scripts draw this after its API has answered.
  await frame.waitForSelector("text=/Projects|Heidi/", { timeout: 60000 });
  const whoami = await frame.evaluate(() => fetch("/api/current-user/whoami").then((response) => response.json()));
  // The React page shows the frame once everything in it has loaded.
  await page.waitForSelector("iframe[title='Label Studio']", { state: "visible", timeout: 60000 });
  await page.screenshot({ path: screenshot });
  console.log(JSON.stringify({ email: whoami.email, title: await frame.title(), failed }));
});
