// Compares the bytes of files, dropped or fetched, with what the index says of them.

import { core } from "./core.js";
import { blobAddress } from "./documents.js";
import { refreshTable } from "./table.js";
import { showVerification } from "./summary.js";
import { byId, counted, element, exact } from "./text.js";

/** @import { FileCheck } from "./pkg/modelops_bundle_web.js" */
/** @import { Source } from "./sources.js" */

const FETCHES_AT_ONCE = 4;
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
  await carryOut(
    "file",
    sources.map((source) => () => core.checkFile(source)),
  );
}

/**
 * Checks the blobs of a layout, and names the packs that it lacks.
 *
 * @param {Source[]} blobs
 */
export async function checkLayout(blobs) {
  await carryOut(
    "blob",
    blobs.map((source) => () => core.checkFile(source)),
    { isWhole: true },
  );
}

/**
 * Fetches every blob that the bundle's files lie in from `folder` on this page's server, and checks it.
 *
 * @param {string} folder
 * @param {boolean} isPacked
 */
export async function checkServer(folder, isPacked) {
  const blobs = await core.blobs();
  const checks = blobs.map(({ digest, size }) => {
    const content = { name: digest.replace(":", "/"), address: blobAddress(folder, digest), size, isPack: isPacked };
    return () => core.checkAddress(content);
  });
  await carryOut("blob", checks, { isWhole: true });
}

/** @typedef {{ verified: number, mismatch: number, undeclared: number, failed: number, packs: number, unpacked: number }} Outcome */

/**
 * Carries out some checks, a few at once, and shows how they come out. Then puts together the files of the packs that
 * were among them. `isWhole`: whatever the bundle needs should have been among them.
 *
 * @param {string} noun
 * @param {(() => Promise<FileCheck>)[]} checks
 * @param {{ isWhole?: boolean }} [options]
 */
async function carryOut(noun, checks, { isWhole = false } = {}) {
  resetChecks();
  const run = running;
  /** @type {Outcome} */
  const outcome = { verified: 0, mismatch: 0, undeclared: 0, failed: 0, packs: 0, unpacked: 0 };
  const show = progress(run, noun, checks.length, outcome);
  byId("check-stop").hidden = false;
  const queue = checks.values();
  const worker = async () => {
    for (const check of queue) {
      if (run !== running) return;
      try {
        take(run, outcome, await check());
      } catch (error) {
        outcome.failed += 1;
        addFault(run, /** @type {Error} */ (error).message, "");
      }
      await show();
    }
  };
  await Promise.all(Array.from({ length: FETCHES_AT_ONCE }, worker));
  if (outcome.packs > 0 || isWhole) await unpack(run, outcome, show);
  if (run !== running) return;
  if (isWhole) await nameUnseenPacks(run);
  byId("check-stop").hidden = true;
  await show("last");
}

/**
 * @param {number} run
 * @param {Outcome} outcome
 * @param {FileCheck} result
 */
function take(run, outcome, result) {
  outcome[result.verdict] += 1;
  outcome.packs += result.packs.length;
  if (result.verdict !== "mismatch") return;
  const what = [...result.paths, ...result.others].join(", ") || result.name;
  addFault(run, what, "does not match the index");
}

/**
 * @param {number} run
 * @param {Outcome} outcome
 * @param {() => Promise<void>} show
 */
async function unpack(run, outcome, show) {
  if (run !== running) return;
  await core.beginUnpacking();
  for (let isDone = false; !isDone && run === running; ) {
    const some = await core.unpackSome();
    isDone = some.isDone;
    outcome.unpacked += some.verified + some.mismatch.length + some.unreadable.length;
    for (const path of some.mismatch) addFault(run, path, "does not match the index");
    for (const why of some.unreadable) addFault(run, why, "");
    await show();
  }
}

/** @param {number} run */
async function nameUnseenPacks(run) {
  const { unseenPacks } = await core.verification();
  for (const name of unseenPacks) addFault(run, name, "is not here, so files in it are not checked");
}

/**
 * @param {number} run
 * @param {string} noun
 * @param {number} total
 * @param {Outcome} outcome
 */
function progress(run, noun, total, outcome) {
  let shown = 0;
  return async (/** @type {"last" | undefined} */ last = undefined) => {
    const now = performance.now();
    if (run !== running || (last === undefined && now - shown < MILLISECONDS_BETWEEN_SHOWS)) return;
    shown = now;
    const done = outcome.verified + outcome.mismatch + outcome.undeclared + outcome.failed;
    const verification = await core.verification();
    if (run !== running) return;
    const parts = [
      last === undefined ? `Checking: ${done} of ${counted(total, noun)}` : `${counted(done, noun)} checked`,
      `${outcome.verified} verified`,
      `${outcome.mismatch} not matching`,
    ];
    if (outcome.undeclared > 0) parts.push(`${outcome.undeclared} not part of this bundle`);
    if (outcome.failed > 0) parts.push(`${outcome.failed} not readable`);
    if (outcome.packs > 0) parts.push(`${counted(outcome.unpacked, "file")} taken out of packs`);
    const { files, packs } = verification;
    const known = (/** @type {typeof files} */ of) =>
      `${of.verified} verified, ${of.mismatch} not matching, ${of.unseen} not checked`;
    const ofPacks = packs.verified + packs.mismatch + packs.unseen > 0 ? ` Of its packs ${known(packs)}.` : "";
    byId("check-summary").textContent = `${parts.join(", ")}. Of the bundle's files ${known(files)}.${ofPacks}`;
    showVerification(verification);
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
