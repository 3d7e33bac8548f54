// Finds the documents of a bundle among some files, or at some addresses.

import { core } from "./core.js";
import { fetchDocument } from "./sources.js";

/** @import { LayoutEntry, Limits } from "./pkg/modelops_bundle_web.js" */
/** @import { Source } from "./sources.js" */

/**
 * What was found: the documents as exact bytes, and the files that are none.
 *
 * @typedef {object} Found
 * @property {Uint8Array} [manifest]
 * @property {Uint8Array} [index]
 * @property {{ entries: LayoutEntry[], blobs: Map<string, Source> }} [layout]
 * @property {Source[]} others
 * @property {Source[]} [blobs] All other blobs of the layout that the documents come from.
 */

/**
 * Sorts files by what they are, whatever they are called.
 *
 * @param {Source[]} sources
 * @param {Limits} limits
 * @returns {Promise<Found>}
 */
export async function findDocuments(sources, limits) {
  /** @type {Found} */
  const found = { others: [] };
  /** @type {Map<string, Source>} */
  const blobs = new Map();
  for (const source of sources) {
    const blob = /(?:^|\/)blobs\/(sha256)\/([0-9a-f]{64})$/.exec(source.name);
    if (blob !== null) {
      blobs.set(`${blob[1]}:${blob[2]}`, source);
      continue;
    }
    const bytes = await readJson(source.file, limits.index);
    const kind = bytes === undefined ? "other" : await core.recognize(bytes);
    if (kind === "layout" && bytes !== undefined) {
      found.layout = { entries: await core.readLayout(bytes), blobs };
    } else if (kind === "manifest" && found.manifest === undefined) found.manifest = bytes;
    else if (kind === "index" && found.index === undefined) found.index = bytes;
    else found.others.push(source);
  }
  if (found.layout === undefined) found.others.push(...blobs.values());
  await guessByName(found, limits);
  return found;
}

/**
 * A document that is too broken to be known by its shape is known by its name, so that its reader can say what is
 * wrong with it.
 *
 * @param {Found} found
 * @param {Limits} limits
 */
async function guessByName(found, limits) {
  if (found.layout !== undefined) return;
  const take = async (/** @type {RegExp} */ name, /** @type {number} */ limit) => {
    const at = found.others.findIndex(({ file }) => name.test(file.name) && file.size <= limit);
    if (at < 0) return undefined;
    const [source] = found.others.splice(at, 1);
    return new Uint8Array(await source.file.arrayBuffer());
  };
  if (found.manifest === undefined) found.manifest = await take(/manifest/i, limits.manifest);
  if (found.index === undefined) found.index = await take(/^(?:index|config)\b/i, limits.index);
}

/**
 * The bytes of a file that may be a document; most files are told by their first bytes.
 *
 * @param {File} file
 * @param {number} limit
 */
async function readJson(file, limit) {
  if (file.size > limit) return undefined;
  const start = await file.slice(0, 64).text();
  return start.trimStart().startsWith("{") ? new Uint8Array(await file.arrayBuffer()) : undefined;
}

/**
 * The documents of one bundle of a layout, and the blobs that may be its files.
 *
 * @param {NonNullable<Found["layout"]>} layout
 * @param {string} digest
 * @returns {Promise<Found>}
 */
export async function layoutDocuments({ blobs }, digest) {
  const blob = async (/** @type {string} */ what, /** @type {string} */ digest) => {
    const source = blobs.get(digest);
    if (source === undefined) {
      throw new Error(`The layout lacks its ${what}, the blob ${digest}. Open the whole folder of the layout.`);
    }
    return new Uint8Array(await source.file.arrayBuffer());
  };
  const manifest = await blob("manifest", digest);
  const head = await core.readManifest(manifest);
  const index = head.carriesIndex && !blobs.has(head.indexDigest) ? undefined : await blob("index", head.indexDigest);
  const others = [...blobs].filter(([name]) => name !== digest && name !== head.indexDigest);
  return { manifest, index, others: [], blobs: others.map(([, source]) => source) };
}

/**
 * Fetches the documents of a bundle from this page's server.
 *
 * @param {{ manifest: string, index?: string, blobs?: string }} addresses
 * @param {Limits} limits
 * @returns {Promise<Found>}
 */
export async function fetchDocuments(addresses, limits) {
  const manifest = await fetchDocument(addresses.manifest, limits.manifest);
  let address = addresses.index;
  if (address === undefined && addresses.blobs !== undefined) {
    const head = await core.readManifest(manifest);
    if (!head.carriesIndex) address = blobAddress(addresses.blobs, head.indexDigest);
  }
  const index = address === undefined ? undefined : await fetchDocument(address, limits.index);
  return { manifest, index, others: [] };
}

/**
 * Where a blob lies in a folder as OCI image layouts have it.
 *
 * @param {string} folder
 * @param {string} digest
 */
export function blobAddress(folder, digest) {
  return `${folder.replace(/\/*$/, "")}/${digest.replace(":", "/")}`;
}
