// Where bytes come from: files that were dropped or chosen, and addresses on this page's own server.

/**
 * A file and the path that it was given with: below the folder that was dropped, or just its name.
 *
 * @typedef {{ name: string, file: File }} Source
 */

/**
 * The files of a drop, those in folders too.
 *
 * @param {DataTransfer} transfer
 * @returns {Promise<Source[]>}
 */
export async function droppedFiles(transfer) {
  // All entries are taken before the first wait: the list is empty after the event.
  const items = [...transfer.items].filter((item) => item.kind === "file");
  const given = items.map((item) => ({ entry: item.webkitGetAsEntry?.(), file: item.getAsFile() }));
  /** @type {Source[]} */
  const sources = [];
  for (const { entry, file } of given) {
    if (entry?.isDirectory) await walk(entry, sources);
    else if (file !== null) sources.push({ name: file.name, file });
  }
  return sources;
}

/**
 * @param {any} folder
 * @param {Source[]} sources
 */
async function walk(folder, sources) {
  const reader = folder.createReader();
  for (;;) {
    // A reader gives some of the entries at a time, and none at the end.
    const entries = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (entries.length === 0) return;
    for (const entry of entries) {
      if (entry.isDirectory) {
        await walk(entry, sources);
      } else {
        const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
        sources.push({ name: entry.fullPath.replace(/^\//, ""), file });
      }
    }
  }
}

/**
 * The files of an input element.
 *
 * @param {HTMLInputElement} input
 * @returns {Source[]}
 */
export function chosenFiles(input) {
  const sources = [...(input.files ?? [])].map((file) => ({ name: file.webkitRelativePath || file.name, file }));
  // So that the same files can be chosen again.
  input.value = "";
  return sources;
}

/**
 * The address on this page's server that `text` means.
 *
 * @param {string} text
 * @param {string} base
 */
export function sameOrigin(text, base = location.href) {
  let address;
  try {
    address = new URL(text, base);
  } catch {
    throw new Error(`The address ${text} is none. Give a path on this page's server.`);
  }
  if (address.origin !== location.origin) {
    throw new Error(
      `The address ${address.href} is refused: it is not on this page's server, ${location.origin}. ` +
        "Download the documents and drop them here.",
    );
  }
  return address.href;
}

/**
 * Fetches from this page's server; a redirect to another one fails.
 *
 * @param {string} text
 */
export async function fetchSameOrigin(text) {
  const address = sameOrigin(text);
  let response;
  try {
    response = await fetch(address, { mode: "same-origin", credentials: "same-origin" });
  } catch (error) {
    throw new Error(`Cannot fetch ${address}: ${/** @type {Error} */ (error).message}. Look whether the server runs.`);
  }
  if (!response.ok) {
    throw new Error(`Cannot fetch ${address}: the server answered ${response.status}. Check the address.`);
  }
  return response;
}

/**
 * Fetches a document of at most `limit` bytes from this page's server.
 *
 * @param {string} address
 * @param {number} limit
 */
export async function fetchDocument(address, limit) {
  const { body } = await fetchSameOrigin(address);
  const parts = [];
  let length = 0;
  if (body !== null) {
    for await (const piece of pieces(body)) {
      length += piece.length;
      if (length > limit) throw new Error(`${address} has more than ${limit} bytes, so it is no document of a bundle.`);
      parts.push(piece);
    }
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

/**
 * The pieces of a stream. (Not every browser can iterate over one.)
 *
 * @param {ReadableStream<Uint8Array<ArrayBuffer>>} stream
 */
export async function* pieces(stream) {
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    // Whoever stops early wants no more of it.
    await reader.cancel().catch(() => {});
  }
}
