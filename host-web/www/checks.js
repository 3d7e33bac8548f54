// Compares the bytes of files, dropped or fetched, with what the index says of them.

import { core } from "./core.js";
import { blobAddress } from "./documents.js";
import { refreshTable } from "./table.js";
import { byId, counted, element, exact } from "./text.js";

/** @import { FileCheck, Row } from "./pkg/modelops_bundle_web.js" */
/** @import { Source } from "./sources.js" */

const FETCHES_AT_ONCE = 4;
const ROWS_A_REQUEST = 1000;
const FAULTS_SHOWN = 100;
const MILLISECONDS_BETWEEN_SHOWS = 250;

/** Counts checks, so that a new one ends the one before. */
let running = 0;

/** Ends a check that is under way. */
export function stopChecking() {
  running += 1;
}

/** Forgets the checks of another bundle. */
export function resetChecks() {
  stopChecking();
  byId("check-summary").textContent = "";
  byId("check-faults").replaceChildren();
  byId("check-faults").hidden = byId("check-stop").hidden = true;
}

/**
 * Checks files that were dropped or chosen.
 *
 * @param {Source[]} sources
 */
export async function checkFiles(sources) {
  await carryOut(sources.length, async function* () {
    for (const source of sources) yield () => core.checkFile(source);
  });
}

/**
 * Fetches every blob that a file needs from `folder` on this page's server, and checks it.
 *
 * @param {string} folder
 * @param {number} blobs How many there are.
 */
export async function checkServer(folder, blobs) {
  await carryOut(blobs, async function* () {
    const seen = new Set();
    for await (const row of allRows()) {
      if (seen.has(row.digest)) continue;
      seen.add(row.digest);
      const name = row.digest.replace(":", "/");
      if (row.size === 0) yield () => core.checkFile({ name, file: new Blob() });
      else yield () => core.checkAddress({ name, address: blobAddress(folder, row.digest), size: row.size });
    }
  });
}

/** @returns {AsyncGenerator<Row>} */
async function* allRows() {
  for (let first = 0; ; first += ROWS_A_REQUEST) {
    const { rows } = await core.rows({ filter: "", sort: "path", descending: false, first, count: ROWS_A_REQUEST });
    yield* rows;
    if (rows.length < ROWS_A_REQUEST) return;
  }
}

/**
 * Carries out some checks, a few at once, and shows how they come out.
 *
 * @param {number} total
 * @param {() => AsyncGenerator<() => Promise<FileCheck>>} checks
 */
async function carryOut(total, checks) {
  resetChecks();
  const run = running;
  const outcome = { verified: 0, mismatch: 0, undeclared: 0, failed: 0 };
  const show = progress(run, total, outcome);
  byId("check-stop").hidden = false;
  const queue = checks();
  const worker = async () => {
    for await (const check of queue) {
      if (run !== running) return;
      try {
        const result = await check();
        outcome[result.verdict] += 1;
        if (result.verdict === "mismatch") addFault(run, result.paths.join(", ") || result.name, "does not match the index");
      } catch (error) {
        outcome.failed += 1;
        addFault(run, /** @type {Error} */ (error).message, "");
      }
      await show();
    }
  };
  await Promise.all(Array.from({ length: FETCHES_AT_ONCE }, worker));
  if (run !== running) return;
  byId("check-stop").hidden = true;
  await show("last");
}

/**
 * @param {number} run
 * @param {number} total
 * @param {{ verified: number, mismatch: number, undeclared: number, failed: number }} outcome
 */
function progress(run, total, outcome) {
  let shown = 0;
  return async (/** @type {"last" | undefined} */ last = undefined) => {
    const now = performance.now();
    if (run !== running || (last === undefined && now - shown < MILLISECONDS_BETWEEN_SHOWS)) return;
    shown = now;
    const done = outcome.verified + outcome.mismatch + outcome.undeclared + outcome.failed;
    const known = await core.counts();
    const parts = [
      last === undefined ? `Checking: ${done} of ${counted(total, "file")}` : `${counted(done, "file")} checked`,
      `${outcome.verified} verified`,
      `${outcome.mismatch} not matching`,
    ];
    if (outcome.undeclared > 0) parts.push(`${outcome.undeclared} not part of this bundle`);
    if (outcome.failed > 0) parts.push(`${outcome.failed} not readable`);
    byId("check-summary").textContent =
      `${parts.join(", ")}. Of the bundle's files ${known.verified} verified, ` +
      `${known.mismatch} not matching, ${known.unseen} not checked.`;
    await refreshTable();
  };
}

/**
 * @param {number} run
 * @param {string} what
 * @param {string} fault
 */
function addFault(run, what, fault) {
  const list = byId("check-faults");
  if (run !== running || list.childElementCount >= FAULTS_SHOWN) return;
  list.hidden = false;
  list.append(element("li", { className: fault ? "mismatch" : "" }, exact(what), fault ? ` ${fault}` : ""));
}
