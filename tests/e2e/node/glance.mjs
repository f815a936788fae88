// Looks into the frame: prints the user that Label Studio sees there and in a page of its own, and
// whether its pages may use storage.
//
//   node glance.mjs CHROMIUM '{"application", "labelStudio", "shots", "thirdParty"}'

import { browse, labelStudioFrame, signIn } from "./chromium.mjs";

const [executablePath, text] = process.argv.slice(2);
const { application, labelStudio, shots, thirdParty } = JSON.parse(text);
await browse(executablePath, thirdParty, async (context) => {
  const page = await context.newPage();
  const whoami = (frame) =>
    frame.evaluate(() => fetch("/api/current-user/whoami").then((response) => (response.ok ? response.json() : null)));
  await page.goto(application);
  await signIn(page, "ann");
  const frame = await labelStudioFrame(page);
  // Wait until the address no longer contains a token.
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
});
