// Drives the page in a real browser and prints what it shows, as JSON. What is right is for the Rust test to say.
//
// Usage: node inspect.mjs NODE_MODULES CHROMIUM < SCENARIOS
//
// SCENARIOS is a list of `{name, address, steps}`; each runs in a browser context of its own, and gives one entry of
// the list that is printed. It may also have a `scheme` of colours, such as `dark`, a `width` in pixels, and the name of
// a file for a `screenshot`. After each step the page is waited for. A step is one of
//   {"drop": [file…], "on": selector}          a drop as the system makes it; folders too
//   {"drop_made": {name: text}, "on": selector} a drop of files that a script made
//   {"choose": [file…], "input": selector}     files chosen with an input; a folder for one that takes folders
//   {"fill": text, "into": selector}
//   {"click": selector}
//   {"select": label, "in": selector}
//   {"press": key}

import { createRequire } from "node:module";
import { join, resolve } from "node:path";

const [modules, executablePath] = process.argv.slice(2);
const { chromium } = createRequire(join(resolve(modules), "here.js"))("playwright-core");

const SECONDS = 1000;
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

async function main() {
  const scenarios = JSON.parse(await text(process.stdin));
  // Without a folder for it the browser gets a new, empty one for its data, which goes with it.
  const browser = await chromium.launch({ executablePath, headless: true, chromiumSandbox: false, args: FLAGS });
  try {
    const results = [];
    for (const scenario of scenarios) results.push(await run(browser, scenario));
    process.stdout.write(`${JSON.stringify(results)}\n`);
  } finally {
    await browser.close();
  }
}

/** @param {AsyncIterable<Buffer>} stream */
async function text(stream) {
  const parts = [];
  for await (const part of stream) parts.push(part);
  return Buffer.concat(parts).toString("utf8");
}

async function run(browser, { name, address, steps = [], screenshot, scheme = "light", width = 1100 }) {
  const context = await browser.newContext({ colorScheme: scheme, viewport: { width, height: 900 } });
  try {
    const page = await context.newPage();
    const seen = watch(page);
    await page.addInitScript(() => {
      globalThis.longestTask = 0;
      new PerformanceObserver((list) => {
        for (const { duration } of list.getEntries()) {
          globalThis.longestTask = Math.max(globalThis.longestTask, duration);
        }
      }).observe({ type: "longtask", buffered: true });
    });
    await page.goto(address, { waitUntil: "load" });
    await settled(page);
    for (const step of steps) {
      await take(page, step);
      await settled(page);
    }
    if (screenshot) await page.screenshot({ path: screenshot, fullPage: true });
    const result = { name, ...(await page.evaluate(readPage)), ...structuredClone(seen) };
    return { ...result, refuses_markup: await page.evaluate(refusesMarkup) };
  } finally {
    await context.close();
  }
}

/** Notes whatever should not happen on the page. */
function watch(page) {
  const seen = { complaints: [], dialogs: [], requests: [] };
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) seen.complaints.push(message.text());
  });
  page.on("pageerror", (error) => seen.complaints.push(String(error)));
  page.on("dialog", (dialog) => {
    seen.dialogs.push(dialog.message());
    void dialog.dismiss();
  });
  page.context().on("request", (request) => seen.requests.push(request.url()));
  return seen;
}

/** Waits until the page has answered what was asked of it. */
async function settled(page) {
  await page.waitForFunction(() => !document.body.hasAttribute("aria-busy"), undefined, { timeout: 120 * SECONDS });
}

async function take(page, step) {
  if (step.drop) return drop(page, step.on, step.drop);
  if (step.drop_made) return dropMade(page, step.on, step.drop_made);
  if (step.choose) {
    const input = page.locator(step.input);
    const isFolder = await input.evaluate((element) => element.webkitdirectory);
    return input.setInputFiles(isFolder ? step.choose[0] : step.choose);
  }
  if (step.fill !== undefined) return page.locator(step.into).fill(step.fill);
  if (step.click) return page.locator(step.click).click();
  if (step.select) return page.locator(step.in).selectOption({ label: step.select });
  if (step.press) return page.keyboard.press(step.press);
  throw new Error(`unknown step ${JSON.stringify(step)}`);
}

/** The browser gets the paths and makes the drop itself, as it does when a user drags from a file manager. */
async function drop(page, selector, files) {
  const target = page.locator(selector);
  await target.scrollIntoViewIfNeeded();
  const { x, y, width, height } = await target.boundingBox();
  const session = await page.context().newCDPSession(page);
  const data = { items: [], files: files.map((file) => resolve(file)), dragOperationsMask: 1 };
  for (const type of ["dragEnter", "dragOver", "drop"]) {
    await session.send("Input.dispatchDragEvent", { type, x: x + width / 2, y: y + height / 2, data });
  }
  await session.detach();
}

async function dropMade(page, selector, files) {
  const dataTransfer = await page.evaluateHandle((files) => {
    const transfer = new DataTransfer();
    for (const [name, text] of Object.entries(files)) transfer.items.add(new File([text], name));
    return transfer;
  }, files);
  await page.dispatchEvent(selector, "drop", { dataTransfer });
}

/** Runs in the page: all that a visitor can see of it. */
function readPage() {
  const shown = (id) => {
    const element = document.getElementById(id);
    return element !== null && element.checkVisibility() ? element : null;
  };
  const words = (id) => shown(id)?.textContent ?? "";
  const rows = (id) => [...(shown(id)?.querySelectorAll("tbody tr") ?? [])];
  const cells = (row) => [...row.cells].map((cell) => cell.textContent);
  const terms = [...(shown("summary")?.querySelectorAll("dt") ?? [])];
  return {
    title: document.title,
    status: words("status"),
    error: words("error"),
    verdict: words("verdict"),
    verdict_class: shown("verdict")?.className ?? "",
    facts: Object.fromEntries(terms.map((term) => [term.textContent, term.nextElementSibling.textContent])),
    checks: Object.fromEntries(rows("checks").map((row) => [row.cells[0].textContent, cells(row).slice(1)])),
    groups: words("groups-body"),
    files: rows("files").map(cells),
    digests: rows("files").map((row) => row.cells[4].title),
    sorted: [...(shown("files")?.querySelectorAll("th[aria-sort]") ?? [])].map(
      (cell) => `${cell.textContent} ${cell.getAttribute("aria-sort")}`,
    ),
    place: words("page-place"),
    checked: words("check-summary"),
    faults: [...(shown("check-faults")?.children ?? [])].map((item) => item.textContent),
    choices: [...(shown("choose-bundle")?.options ?? [])].map((option) => option.textContent),
    // Wider than the window: a visitor would have to move it to the side.
    is_too_wide: document.documentElement.scrollWidth > document.documentElement.clientWidth,
    focused: document.activeElement?.id ?? "",
    // Elements that only text of a bundle could have brought in.
    strangers: [...document.querySelectorAll("img, svg, iframe, object, embed, a, script:not([src]), [onerror], [onload]")].map(
      (element) => element.outerHTML,
    ),
    owned: globalThis.owned === true,
    longest_task: globalThis.longestTask,
  };
}

/** Runs in the page: whether its policy keeps text from becoming elements, even if a script of its own tried. */
function refusesMarkup() {
  try {
    document.createElement("p").innerHTML = "<b>x</b>";
    return false;
  } catch {
    return true;
  }
}

await main();
