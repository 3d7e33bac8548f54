// Archives: a tar is read where it lies, and its files are slices of it.

/** @import { Source } from "./sources.js" */

const BLOCK = 512;
const MOST_ENTRIES = 200_000;

/**
 * The files of `archive` where it is a tar.
 *
 * @param {File} archive
 * @returns {Promise<Source[] | undefined>}
 */
export async function archiveFiles(archive) {
  const first = await readHeader(archive, 0);
  if (first === undefined) return undefined;
  /** @type {Source[]} */
  const sources = [];
  let header = first;
  for (let at = 0, entries = 1; header.some((byte) => byte !== 0); entries += 1) {
    const { name, size, isFile } = understand(header, at);
    const start = at + BLOCK;
    if (start + size > archive.size) throw new Error(`The archive ends in the middle of ${name}. Get it again.`);
    if (isFile) sources.push({ name, file: new File([archive.slice(start, start + size)], name) });
    if (entries > MOST_ENTRIES) throw new Error(`The archive has more than ${MOST_ENTRIES} files.`);
    at = start + Math.ceil(size / BLOCK) * BLOCK;
    // Most end with two blocks of zeros, some with their last file.
    if (at >= archive.size) break;
    header = await readBlock(archive, at);
  }
  return sources;
}

/**
 * @param {File} archive
 * @param {number} at
 */
async function readHeader(archive, at) {
  const block = await readBlock(archive, at);
  return block.length === BLOCK && text(block, 257, 5) === "ustar" ? block : undefined;
}

/**
 * @param {File} archive
 * @param {number} at
 */
async function readBlock(archive, at) {
  return new Uint8Array(await archive.slice(at, at + BLOCK).arrayBuffer());
}

/**
 * What a header says. Long names of other formats are not put together: no blob of a layout has one.
 *
 * @param {Uint8Array} header
 * @param {number} at
 */
function understand(header, at) {
  const sum = header.reduce((sum, byte, index) => sum + (index >= 148 && index < 156 ? 32 : byte), 0);
  const size = number(header, 124, 12);
  if (header.length < BLOCK || sum !== number(header, 148, 8) || !Number.isSafeInteger(size)) {
    throw new Error(`The archive is damaged at byte ${at}. Get it again.`);
  }
  const [name, type, folder] = [text(header, 0, 100), header[156], text(header, 345, 155)];
  return { name: folder === "" ? name : `${folder}/${name}`, size, isFile: type === 0 || type === 48 };
}

/**
 * @param {Uint8Array} bytes
 * @param {number} start
 * @param {number} length
 */
function text(bytes, start, length) {
  const field = bytes.subarray(start, start + length);
  const end = field.indexOf(0);
  return new TextDecoder().decode(end < 0 ? field : field.subarray(0, end));
}

/**
 * An octal number, or one of bytes where it is marked so because it is large.
 *
 * @param {Uint8Array} bytes
 * @param {number} start
 * @param {number} length
 */
function number(bytes, start, length) {
  const field = bytes.subarray(start, start + length);
  if (field[0] === 0x80) return field.subarray(1).reduce((value, byte) => value * 256 + byte, 0);
  const digits = text(bytes, start, length).trim();
  return /^[0-7]+$/.test(digits) ? parseInt(digits, 8) : NaN;
}
