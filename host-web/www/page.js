// The page: takes what the user gives, asks the core, shows the answer. It decides nothing about a bundle.

import { archiveFiles } from "./archive.js";
import { checkFiles, checkLayout, checkServer, resetChecks, stopChecking } from "./checks.js";
import { core } from "./core.js";
import { fetchDocuments, findDocuments, layoutDocuments } from "./documents.js";
import { chosenFiles, droppedFiles, sameOrigin } from "./sources.js";
import { showSummary, showVerification } from "./summary.js";
import { connectTable, resetTable } from "./table.js";
import { byId, counted, element, exact } from "./text.js";

/** @import { Found } from "./documents.js" */
/** @import { Source } from "./sources.js" */

/** The documents that are here while the other one is missing. @type {{ manifest?: Uint8Array, index?: Uint8Array }} */
let pending = {};

const about = core.about();

/** How many things are under way. */
let attempts = 0;

/**
 * Waits for what the user asked for and shows why it failed, if it did.
 *
 * @param {Promise<unknown>} promise
 */
async function attempt(promise) {
  attempts += 1;
  document.body.setAttribute("aria-busy", "true");
  try {
    await promise;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    byId("error").replaceChildren(exact(message));
    byId("error").hidden = false;
    say("");
  } finally {
    attempts -= 1;
    if (attempts === 0) document.body.removeAttribute("aria-busy");
  }
}

/** @param {string} text */
function say(text) {
  byId("status").textContent = text;
}

/** What was open is gone before something new is read, so that nothing old stands beside an error about the new. */
async function closeBundle() {
  byId("error").hidden = byId("bundle").hidden = byId("check-server").hidden = true;
  resetChecks();
  await core.close();
}

/**
 * `digest` is the one to expect, `blobs` a folder of blobs on the server, `isChosen` set where the user chose among
 * bundles, and may go on choosing.
 *
 * @param {Found} found
 * @param {{ digest?: string, blobs?: string, isChosen?: boolean }} [options]
 */
async function openDocuments(found, { digest, blobs, isChosen = false } = {}) {
  const manifest = found.manifest ?? pending.manifest;
  const index = found.index ?? (found.manifest === undefined || pending.manifest === undefined ? pending.index : undefined);
  pending = {};
  if (manifest === undefined) {
    if (index === undefined) {
      throw new Error("None of these files is a manifest. Open the manifest of a bundle, and its index.");
    }
    pending = { index };
    return say("The index is here. Now open the manifest that names it.");
  }
  if (index === undefined) {
    const head = await core.readManifest(manifest);
    if (!head.carriesIndex) {
      pending = { manifest };
      return say(`The manifest is here. Now open the index that it names, ${head.indexDigest}.`);
    }
  }
  const { summary, checks, verification } = await core.open({ manifest, index, digest });
  showSummary(summary, checks);
  showVerification(verification);
  await resetTable();
  byId("bundle").hidden = false;
  say(`Opened a bundle of ${counted(summary.fileCount, "file")}.`);
  if (!isChosen) byId("summary-title").focus();
  if (blobs !== undefined) offerServer(sameOrigin(blobs), summary.layout === "packed");
  if (found.blobs !== undefined) await checkLayout(found.blobs);
  else if (found.others.length > 0) await checkFiles(found.others);
}

/**
 * @param {string} folder
 * @param {boolean} isPacked
 */
function offerServer(folder, isPacked) {
  const button = byId("check-server");
  button.hidden = false;
  button.onclick = () => attempt(checkServer(folder, isPacked));
}

/** @param {Source[]} sources */
async function openFiles(sources) {
  await closeBundle();
  byId("choose").hidden = true;
  say(`Reading ${counted(sources.length, "file")}.`);
  const inside = sources.length === 1 ? await archiveFiles(sources[0].file) : undefined;
  const found = await findDocuments(inside ?? sources, (await about).limits);
  if (found.layout === undefined) return openDocuments(found);
  pending = {};
  const { layout } = found;
  const [first] = layout.entries;
  if (first === undefined) throw new Error("The layout names no manifest, so it holds no bundle.");
  offerChoice(layout);
  await openDocuments(await layoutDocuments(layout, first.digest), { digest: first.digest });
}

/** @param {NonNullable<Found["layout"]>} layout */
function offerChoice(layout) {
  byId("choose").hidden = layout.entries.length < 2;
  const options = layout.entries.map(({ digest, tag }) =>
    element("option", { value: digest }, ...exact(tag ?? digest).childNodes),
  );
  const select = byId("choose-bundle");
  select.replaceChildren(...options);
  select.onchange = () =>
    attempt(closeBundle().then(() => openChosen(layout, select.value)));
}

/**
 * @param {NonNullable<Found["layout"]>} layout
 * @param {string} digest
 */
async function openChosen(layout, digest) {
  await openDocuments(await layoutDocuments(layout, digest), { digest, isChosen: true });
}

/** @param {URLSearchParams} parameters */
async function openAddresses(parameters) {
  await closeBundle();
  pending = {};
  const parameter = (/** @type {string} */ name) => parameters.get(name)?.trim() || undefined;
  const manifest = parameter("manifest");
  if (manifest === undefined) throw new Error("The address of a manifest is missing. Give a path on this page's server.");
  const addresses = { manifest, index: parameter("index"), blobs: parameter("blobs") };
  for (const address of Object.values(addresses)) if (address !== undefined) sameOrigin(address);
  say("Fetching the documents of the bundle.");
  const found = await fetchDocuments(addresses, (await about).limits);
  await openDocuments(found, { digest: parameter("digest"), blobs: addresses.blobs });
}

/**
 * Makes a place take files: dropped on it, or chosen with its inputs.
 *
 * @param {HTMLElement} place
 * @param {("check-files" | "check-folder" | "open-files" | "open-folder")[]} inputs
 * @param {(sources: Source[]) => Promise<void>} take
 */
function connectFiles(place, inputs, take) {
  let depth = 0;
  const mark = (/** @type {number} */ change) => {
    depth = change === 0 ? 0 : depth + change;
    place.classList.toggle("over", depth > 0);
  };
  place.addEventListener("dragenter", () => mark(1));
  place.addEventListener("dragleave", () => mark(-1));
  place.addEventListener("drop", (event) => {
    event.preventDefault();
    mark(0);
    if (event.dataTransfer !== null) attempt(droppedFiles(event.dataTransfer).then(take));
  });
  for (const id of inputs) {
    const input = byId(id);
    input.addEventListener("change", () => {
      const sources = chosenFiles(input);
      if (sources.length > 0) attempt(take(sources));
    });
  }
}

// A file that misses its place must not replace the page.
for (const type of ["dragover", "drop"]) document.addEventListener(type, (event) => event.preventDefault());

connectFiles(byId("open-drop"), ["open-files", "open-folder"], openFiles);
connectFiles(byId("check-drop"), ["check-files", "check-folder"], checkFiles);
connectTable(attempt);
byId("check-stop").addEventListener("click", () => {
  stopChecking();
  byId("check-stop").hidden = true;
});
byId("address").addEventListener("submit", (/** @type {SubmitEvent} */ event) => {
  event.preventDefault();
  const parameters = new URLSearchParams();
  for (const [name, value] of new FormData(/** @type {HTMLFormElement} */ (event.target))) {
    if (value !== "") parameters.set(name, String(value));
  }
  history.replaceState(null, "", `?${parameters}`);
  attempt(openAddresses(parameters));
});

attempt(
  about.then(async ({ version }) => {
    byId("about").textContent = `modelops-bundle ${version}`;
    const parameters = new URLSearchParams(location.search);
    if (!parameters.has("manifest")) return;
    byId("by-address").open = true;
    for (const input of byId("address").querySelectorAll("input")) input.value = parameters.get(input.name) ?? "";
    await openAddresses(parameters);
  }),
);
