// The core, on a thread of its own: whatever it does, the page stays responsive. One bundle is open at a time.

import init, {
  ContentHasher,
  Inspector,
  limits,
  readLayout,
  readManifest,
  recognize,
  version,
} from "./pkg/modelops_bundle_web.js";
import { fetchSameOrigin, pieces } from "./sources.js";

/** @import { FileCheck, PackSlice } from "./pkg/modelops_bundle_web.js" */
/** @import { Unpacked } from "./core.js" */

/** How much of a pack is read at once, so that small files do not cost a read each. */
const WINDOW_BYTES = 8 * 1024 * 1024;
const UNPACKING_MILLISECONDS = 200;

const loaded = init();

/** @type {Inspector | undefined} */
let inspector;

/** The packs that were seen and are right, by their number. @type {Map<number, Blob>} */
const packs = new Map();

/** The part of a pack that was read last. */
let read = { pack: -1, start: 0, bytes: new Uint8Array() };

/** Whether a file is being put together: it goes on with the next call. */
let isUnpacking = false;

/** Counts the beginnings, so that a new one ends the one before. */
let unpackings = 0;

/** @param {Inspector | undefined} next */
function turnTo(next) {
  inspector?.free();
  inspector = next;
  packs.clear();
  read = { pack: -1, start: 0, bytes: new Uint8Array() };
  isUnpacking = false;
}

function opened() {
  if (inspector === undefined) throw new Error("No bundle is open. Open a manifest first.");
  return inspector;
}

/** @type {import("./core.js").Served} */
const calls = {
  about: () => ({ version: version(), limits: limits() }),
  recognize,
  readManifest,
  readLayout,

  open({ manifest, index, digest }) {
    const next = new Inspector(manifest, index, digest);
    turnTo(next);
    return { summary: next.summary(), checks: next.checks(), verification: next.verification() };
  },

  close: () => turnTo(undefined),

  rows: (query) => opened().rows(query),

  verification: () => opened().verification(),

  blobs: () => opened().blobs(),

  async checkFile({ name, file }) {
    const bundle = opened();
    const result = await check(bundle, name, file.stream(), file.size);
    await keepPacks(bundle, result, file);
    return result;
  },

  async checkAddress({ name, address, size, isPack }) {
    const bundle = opened();
    const { body } = await fetchSameOrigin(address);
    /** @type {Uint8Array<ArrayBuffer>[]} */
    const parts = [];
    const result = await check(bundle, name, body, size, isPack ? (piece) => parts.push(piece) : undefined);
    await keepPacks(bundle, result, new Blob(parts));
    return result;
  },

  beginUnpacking() {
    opened().beginUnpacking();
    unpackings += 1;
    isUnpacking = false;
  },

  unpackSome: () => unpackSome(opened()),
};

/**
 * Hashes a stream and compares it. One byte more than expected settles it: an endless stream is not read on.
 *
 * @param {Inspector} bundle
 * @param {string} name
 * @param {ReadableStream<Uint8Array<ArrayBuffer>> | null} stream
 * @param {number} expectedSize
 * @param {(piece: Uint8Array<ArrayBuffer>) => void} [keep]
 * @returns {Promise<FileCheck>}
 */
async function check(bundle, name, stream, expectedSize, keep) {
  const hasher = new ContentHasher();
  let length = 0;
  if (stream !== null) {
    for await (const piece of pieces(stream)) {
      hasher.update(piece);
      keep?.(piece);
      length += piece.length;
      if (length > expectedSize) break;
    }
  }
  isStillOpen(bundle);
  return bundle.checkContent(name, hasher);
}

/**
 * What was waited for is worth nothing once another bundle is open.
 *
 * @param {Inspector} bundle
 */
function isStillOpen(bundle) {
  if (bundle !== inspector) throw new Error("Another bundle was opened meanwhile. Check this one again.");
}

/**
 * Keeps bytes that turned out to be packs, so that files can be taken out of them.
 *
 * @param {Inspector} bundle
 * @param {FileCheck} result
 * @param {Blob} bytes
 */
async function keepPacks(bundle, result, bytes) {
  if (result.verdict !== "verified") return;
  for (const pack of result.packs) {
    const slice = bundle.tableSlice(pack);
    if (slice === undefined) continue;
    const table = new Uint8Array(await bytes.slice(slice.offset, slice.offset + slice.size).arrayBuffer());
    isStillOpen(bundle);
    bundle.takeTable(pack, table);
    packs.set(pack, bytes);
  }
}

/**
 * Puts files of packs together for a moment, so that the page can show how far it is.
 *
 * @param {Inspector} bundle
 * @returns {Promise<Unpacked>}
 */
async function unpackSome(bundle) {
  /** @type {Unpacked} */
  const outcome = { verified: 0, mismatch: [], unreadable: [], isDone: false };
  const unpacking = unpackings;
  const end = performance.now() + UNPACKING_MILLISECONDS;
  while (performance.now() < end) {
    if (!isUnpacking && !bundle.nextFile()) return { ...outcome, isDone: true };
    isUnpacking = true;
    const slice = bundle.nextSlice();
    if (slice !== undefined) {
      const bytes = await packBytes(slice).catch((error) => void outcome.unreadable.push(describe(error)));
      if (unpacking !== unpackings || bundle !== inspector) return { ...outcome, isDone: true };
      // A pack that changed on the disk, mostly: what the file holds stays unchecked.
      if (bytes === undefined) isUnpacking = false;
      else bundle.takeSlice(bytes);
      continue;
    }
    isUnpacking = false;
    const result = bundle.checkFile();
    if (result?.verdict === "verified") outcome.verified += 1;
    else outcome.mismatch.push(...(result?.paths ?? []));
  }
  return outcome;
}

/** @param {PackSlice} slice */
async function packBytes({ pack, offset, size }) {
  const end = offset + size;
  if (read.pack !== pack || offset < read.start || end > read.start + read.bytes.length) {
    const bytes = packs.get(pack)?.slice(offset, Math.max(end, offset + WINDOW_BYTES));
    read = { pack, start: offset, bytes: new Uint8Array((await bytes?.arrayBuffer()) ?? new ArrayBuffer(0)) };
  }
  return read.bytes.subarray(offset - read.start, end - read.start);
}

self.addEventListener("message", async ({ data: { id, call, argument } }) => {
  try {
    await loaded;
    const serve = /** @type {Record<string, (argument: any) => unknown>} */ (calls)[call];
    if (serve === undefined) throw new Error(`The core has no call ${call}.`);
    postMessage({ id, result: await serve(argument) });
  } catch (error) {
    postMessage({ id, error: describe(error) });
  }
});

/** @param {unknown} error */
function describe(error) {
  if (error instanceof WebAssembly.RuntimeError) {
    return `The core failed inside (${error.message}). Load the page again, and report what you opened.`;
  }
  return error instanceof Error ? error.message : String(error);
}
