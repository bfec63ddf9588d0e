// Opens pages in Chromium and writes, as JSON, what is seen of them in the light, in the dark, on
// paper and by keyboard. It judges nothing.
//
//   node browser.mjs CHROMIUM AXE PICTURES PAGE...
//
// It speaks the DevTools protocol over a pipe: no port, no other package.

import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { pathToFileURL } from "node:url";

const [chromium, axePath, pictures, ...pages] = process.argv.slice(2);
const axe = readFileSync(axePath, "utf8");
// Of a sheet of A4 without its margins, at 96 dots an inch.
const PAPER = 718;
const MOST_TABS = 200;
// A browser that hangs must not hold a test for ever.
const DEADLINE_MS = 600_000;

class Browser {
  constructor() {
    this.profile = mkdtempSync(join(tmpdir(), "mcdeploy-chromium-"));
    const flags = ["--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu",
      "--disable-dev-shm-usage", "--no-first-run", "--disable-extensions", "--disable-background-networking",
      "--disable-component-update", "--disable-sync", `--user-data-dir=${this.profile}`, "about:blank"];
    this.child = spawn(chromium, flags, { stdio: ["ignore", "ignore", "pipe", "pipe", "pipe"] });
    this.said = "";
    this.child.stderr.on("data", (bytes) => { this.said = (this.said + bytes).slice(-2000); });
    this.ended = new Promise((resolve) => this.child.on("exit", resolve));
    this.waiting = new Map();
    this.listeners = [];
    this.last = 0;
    let rest = "";
    this.child.stdio[4].on("data", (bytes) => {
      const messages = (rest + bytes).split("\0");
      rest = messages.pop();
      messages.forEach((text) => this.receive(JSON.parse(text)));
    });
    this.child.stdio[3].on("error", () => {}); // it ended, which is told below
    this.child.on("exit", (code, signal) => {
      this.gone = new Error(`chromium ended with ${code ?? signal}: ${this.said}`);
      this.waiting.forEach(({ reject }) => reject(this.gone));
    });
    this.deadline = setTimeout(() => this.child.kill("SIGKILL"), DEADLINE_MS);
  }

  receive(message) {
    const waiting = this.waiting.get(message.id);
    if (!waiting) return this.listeners.forEach((listener) => listener(message));
    this.waiting.delete(message.id);
    if (message.error) waiting.reject(new Error(`${waiting.method}: ${message.error.message}`));
    else waiting.resolve(message.result);
  }

  send(method, params = {}, sessionId) {
    if (this.gone) return Promise.reject(this.gone);
    const id = (this.last += 1);
    this.child.stdio[3].write(JSON.stringify({ id, method, params, sessionId }) + "\0");
    return new Promise((resolve, reject) => this.waiting.set(id, { resolve, reject, method }));
  }

  async close() {
    await this.send("Browser.close").catch(() => {});
    await this.ended;
    clearTimeout(this.deadline);
    rmSync(this.profile, { recursive: true, force: true });
  }
}

/** A tab, with what it asked for and complained about. */
class Tab {
  static async open(browser, url) {
    const tab = new Tab();
    const { targetId } = await browser.send("Target.createTarget", { url: "about:blank" });
    const attached = await browser.send("Target.attachToTarget", { targetId, flatten: true });
    tab.send = (method, params) => browser.send(method, params, attached.sessionId);
    tab.requests = [];
    tab.complaints = [];
    const loaded = new Promise((resolve) => browser.listeners.push(({ method, params, sessionId }) => {
      if (sessionId !== attached.sessionId) return;
      if (method === "Page.loadEventFired") resolve();
      tab.hear(method, params);
    }));
    for (const domain of ["Page", "Runtime", "Log", "Network"]) await tab.send(`${domain}.enable`);
    await tab.size(1100);
    const { errorText } = await tab.send("Page.navigate", { url });
    if (errorText) throw new Error(`${url}: ${errorText}`);
    await loaded;
    await tab.evaluate(axe);
    return tab;
  }

  hear(method, params) {
    if (method === "Network.requestWillBeSent") this.requests.push(params.request.url);
    if (method === "Runtime.exceptionThrown") this.complaints.push(params.exceptionDetails.text);
    if (method === "Log.entryAdded" && ["error", "warning"].includes(params.entry.level)) this.complaints.push(params.entry.text);
    if (method === "Runtime.consoleAPICalled" && ["error", "warning", "assert"].includes(params.type)) {
      this.complaints.push(params.args.map((one) => one.value ?? one.description).join(" "));
    }
  }

  async evaluate(expression) {
    const answer = await this.send("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true });
    if (answer.exceptionDetails) throw new Error(answer.exceptionDetails.exception?.description ?? answer.exceptionDetails.text);
    return answer.result.value;
  }

  size(width) {
    return this.send("Emulation.setDeviceMetricsOverride", { width, height: 900, deviceScaleFactor: 1, mobile: false });
  }

  media(media, scheme) {
    return this.send("Emulation.setEmulatedMedia", { media, features: [{ name: "prefers-color-scheme", value: scheme }] });
  }

  /** What axe finds, one line for each element. */
  violations() {
    return this.evaluate(`axe.run(document, { resultTypes: ["violations"] }).then(({ violations }) => violations.flatMap(({ id, impact, nodes }) =>
      nodes.map(({ target, failureSummary }) => ({ id, impact, where: target.join(" "), why: failureSummary }))))`);
  }

  async picture(name) {
    const { data } = await this.send("Page.captureScreenshot", { format: "png", captureBeyondViewport: true });
    writeFileSync(join(pictures, `${name}.png`), Buffer.from(data, "base64"));
  }

  async press(key, code) {
    for (const type of ["rawKeyDown", "keyUp"]) await this.send("Input.dispatchKeyEvent", { type, key, code: key, windowsVirtualKeyCode: code });
  }
}

/** Whether anything is wider than the page, which then scrolls sideways or is cut off. */
const WIDER = `({ needs: document.documentElement.scrollWidth, has: document.documentElement.clientWidth })`;

/** Tables that are wider than their place on a usual screen. */
const SIDEWAYS = `[...document.querySelectorAll(".wide")].filter((one) => one.scrollWidth > one.clientWidth).map((one) => one.getAttribute("aria-label"))`;

/** Runs `look` with text a tenth wider, as it is in other fonts. */
async function stretched(tab, look) {
  await tab.evaluate(`document.head.insertAdjacentHTML("beforeend", '<style id="stretch">* { letter-spacing: .05em !important }</style>')`);
  const seen = await look();
  await tab.evaluate(`document.querySelector("#stretch").remove()`);
  return seen;
}

async function keyboard(tab) {
  await tab.evaluate("document.activeElement.blur(); scrollTo(0, 0)");
  for (let tabs = 1; tabs <= MOST_TABS; tabs += 1) {
    await tab.press("Tab", 9);
    const at = await tab.evaluate(`document.activeElement.matches(".explorer input")`);
    if (!at) continue;
    const told = () => tab.evaluate(`document.activeElement.closest(".explorer").querySelector("output").textContent`);
    const outline = await tab.evaluate(`getComputedStyle(document.activeElement).outlineStyle`);
    const before = await told();
    await tab.press("ArrowRight", 39);
    const chosen = await tab.evaluate(`document.activeElement.closest(".explorer").querySelector("tr.chosen").dataset.told`);
    return { tabs, outline, before, after: await told(), chosen };
  }
  return null;
}

async function paper(tab, name) {
  await tab.media("", "dark"); // printers have no dark paper
  const { data } = await tab.send("Page.printToPDF", { printBackground: false });
  const closed = await tab.evaluate(`document.querySelectorAll("details:not([open])").length`);
  await tab.media("print", "dark");
  await tab.size(PAPER);
  const hidden = await tab.evaluate(`[...document.querySelectorAll("nav, .slider")].every((one) => one.offsetParent === null)`);
  const background = await tab.evaluate(`getComputedStyle(document.body).backgroundColor`);
  const seen = { bytes: Buffer.from(data, "base64").length, closed, hidden, background, width: await tab.evaluate(WIDER), violations: await tab.violations() };
  await tab.picture(`${name}-print`);
  seen.stretched = await stretched(tab, () => tab.evaluate(WIDER));
  return seen;
}

async function look(browser, page) {
  const tab = await Tab.open(browser, pathToFileURL(page).href);
  const name = basename(page, ".html");
  const seen = { page: name, title: await tab.evaluate("document.title") };
  seen.sideways = await tab.evaluate(SIDEWAYS);
  seen.stretched = await stretched(tab, async () => {
    await tab.picture(`${name}-stretched`);
    return { sideways: await tab.evaluate(SIDEWAYS), width: await tab.evaluate(WIDER) };
  });
  seen.keyboard = await keyboard(tab);
  for (const scheme of ["light", "dark"]) {
    await tab.media("", scheme);
    seen[scheme] = { violations: await tab.violations() };
    await tab.picture(`${name}-${scheme}`);
  }
  await tab.size(360);
  seen.phone = await tab.evaluate(WIDER);
  await tab.picture(`${name}-phone`);
  seen.stretched.phone = await stretched(tab, () => tab.evaluate(WIDER));
  await tab.size(1100);
  seen.print = await paper(tab, name);
  seen.elsewhere = tab.requests.filter((url) => url !== pathToFileURL(page).href);
  seen.complaints = tab.complaints;
  return seen;
}

const browser = new Browser();
try {
  const seen = [];
  for (const page of pages) seen.push(await look(browser, page));
  console.log(JSON.stringify(seen));
} finally {
  await browser.close();
}
