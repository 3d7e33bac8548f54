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

const loaded = init();

/** @type {Inspector | undefined} */
let inspector;

function opened() {
  if (inspector === undefined) throw new Error("No bundle is open. Open a manifest first.");
  return inspector;
}

/**
 * What the page may ask for; `core.js` names the same calls and types them.
 *
 * @type {Record<string, (argument: any) => unknown>}
 */
const calls = {
  about: () => ({ version: version(), limits: limits() }),
  recognize,
  readManifest,
  readLayout,

  open({ manifest, index, digest }) {
    const next = new Inspector(manifest, index, digest);
    inspector?.free();
    inspector = next;
    return { summary: next.summary(), checks: next.checks() };
  },

  close() {
    inspector?.free();
    inspector = undefined;
  },

  rows: (query) => opened().rows(query),

  counts: () => opened().contentCounts(),

  checkFile: ({ name, file }) => check(name, file.stream(), file.size),

  async checkAddress({ name, address, size }) {
    const response = await fetchSameOrigin(address);
    return check(name, response.body, size);
  },
};

/**
 * Hashes a stream and compares it. One byte more than expected settles it: an endless stream is not read on.
 *
 * @param {string} name
 * @param {ReadableStream<Uint8Array<ArrayBuffer>> | null} stream
 * @param {number} expectedSize
 */
async function check(name, stream, expectedSize) {
  const hasher = new ContentHasher();
  let length = 0;
  if (stream !== null) {
    for await (const piece of pieces(stream)) {
      hasher.update(piece);
      length += piece.length;
      if (length > expectedSize) break;
    }
  }
  return opened().checkContent(name, hasher);
}

self.addEventListener("message", async ({ data: { id, call, argument } }) => {
  try {
    await loaded;
    postMessage({ id, result: await calls[call](argument) });
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
