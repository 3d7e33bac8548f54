// The page's side of the worker: one promise for each call.

/** @import { Check, ContentBlob, DocumentKind, FileCheck, LayoutEntry, Limits, ManifestHead, Query, Rows, Summary, Verification } from "./pkg/modelops_bundle_web.js" */

/**
 * @typedef {object} Calls
 * @property {() => Promise<{ version: string, limits: Limits }>} about
 * @property {(document: Uint8Array) => Promise<DocumentKind>} recognize
 * @property {(manifest: Uint8Array) => Promise<ManifestHead>} readManifest
 * @property {(layout: Uint8Array) => Promise<LayoutEntry[]>} readLayout
 * @property {(documents: { manifest: Uint8Array, index?: Uint8Array, digest?: string }) => Promise<{ summary: Summary, checks: Check[], verification: Verification }>} open
 * @property {() => Promise<void>} close
 * @property {(query: Query) => Promise<Rows>} rows
 * @property {() => Promise<Verification>} verification
 * @property {() => Promise<ContentBlob[]>} blobs
 * @property {(content: { name: string, file: Blob }) => Promise<FileCheck>} checkFile
 * @property {(content: { name: string, address: string, size: number, isPack: boolean }) => Promise<FileCheck>} checkAddress
 * @property {() => Promise<void>} beginUnpacking
 * @property {() => Promise<Unpacked>} unpackSome
 */

/**
 * What became of some files of a packed bundle.
 *
 * @typedef {object} Unpacked
 * @property {number} verified
 * @property {string[]} mismatch The paths of those that are not what the index says.
 * @property {string[]} unreadable Why others could not be read.
 * @property {boolean} isDone Whether none is left.
 */

/** The only text that becomes a script's address here is this one; the page's policy allows no other. */
function workerAddress() {
  const address = new URL("worker.js", import.meta.url).href;
  // Not every browser has it.
  const policy = /** @type {any} */ (globalThis).trustedTypes?.createPolicy("worker", { createScriptURL: () => address });
  return policy === undefined ? address : policy.createScriptURL("");
}

const worker = new Worker(workerAddress(), { type: "module", name: "core" });

/** @type {Map<number, { resolve: (result: any) => void, reject: (error: Error) => void }>} */
const waiting = new Map();
let lastId = 0;

worker.addEventListener("message", ({ data: { id, result, error } }) => {
  const call = waiting.get(id);
  waiting.delete(id);
  if (error === undefined) call?.resolve(result);
  else call?.reject(new Error(error));
});

worker.addEventListener("error", (event) => {
  const why = event.message ? `: ${event.message}` : "";
  const error = new Error(`The core cannot be loaded${why}. Load the page again from a web server, not from a file.`);
  for (const call of waiting.values()) call.reject(error);
  waiting.clear();
});

/**
 * The calls as the worker carries them out. `Calls` is the one list of them: there each has a function, and nothing else
 * has one.
 *
 * @typedef {{ [Name in keyof Calls]: (argument: Parameters<Calls[Name]>[0]) => Awaited<ReturnType<Calls[Name]>> | ReturnType<Calls[Name]> }} Served
 */

/** @type {Calls} */
export const core = /** @type {any} */ (
  new Proxy(
    {},
    {
      get: (_, call) => (/** @type {unknown} */ argument) =>
        new Promise((resolve, reject) => {
          lastId += 1;
          waiting.set(lastId, { resolve, reject });
          worker.postMessage({ id: lastId, call, argument });
        }),
    },
  )
);
