// How text from a bundle, which may hold anything, comes to stand on the page: as text nodes and nothing else.

/** Characters that show as nothing, as something else, or that turn their neighbours around. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Cs}\p{Zl}\p{Zp}]|[^\S ]/gu;

/**
 * Makes an element that shows `text` exactly, with every unseen character spelled out.
 *
 * @param {string} text
 * @param {keyof HTMLElementTagNameMap} [name]
 * @returns {HTMLElement}
 */
export function exact(text, name = "span") {
  const element = document.createElement(name);
  element.className = "exact";
  let shown = 0;
  for (const match of text.matchAll(UNSEEN)) {
    element.append(text.slice(shown, match.index), spelledOut(match[0]));
    shown = match.index + match[0].length;
  }
  element.append(text.slice(shown));
  return element;
}

/** @param {string} character */
function spelledOut(character) {
  const point = (character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0");
  return element("span", { className: "control" }, `U+${point}`);
}

/**
 * Makes an element.
 *
 * @template {keyof HTMLElementTagNameMap} Name
 * @param {Name} name
 * @param {Partial<HTMLElementTagNameMap[Name]>} properties
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[Name]}
 */
export function element(name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

/**
 * The elements of the page that are of a kind of their own.
 *
 * @typedef {Record<"checks" | "files", HTMLTableElement & { tHead: HTMLTableSectionElement }>
 *   & Record<"check-server" | "check-stop" | "page-first" | "page-last" | "page-next" | "page-previous", HTMLButtonElement>
 *   & Record<"check-files" | "check-folder" | "filter" | "open-files" | "open-folder", HTMLInputElement>
 *   & { "address": HTMLFormElement, "by-address": HTMLDetailsElement, "choose-bundle": HTMLSelectElement }} Elements
 */

/**
 * The element of the page with this id.
 *
 * @template {string} Id
 * @param {Id} id
 * @returns {Id extends keyof Elements ? Elements[Id] : HTMLElement}
 */
export function byId(id) {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no #${id}`);
  return /** @type {any} */ (found);
}

const counts = new Intl.NumberFormat("en");

/** @param {number} number */
export function count(number) {
  return counts.format(number);
}

/**
 * A number and what it counts.
 *
 * @param {number} number
 * @param {string} singular
 */
export function counted(number, singular) {
  return `${count(number)} ${singular}${number === 1 ? "" : "s"}`;
}

/**
 * A size for people.
 *
 * @param {number} bytes
 */
export function size(bytes) {
  const units = ["KiB", "MiB", "GiB", "TiB", "PiB"];
  if (bytes < 1024) return `${bytes} B`;
  const power = Math.min(Math.floor(Math.log2(bytes) / 10), units.length);
  const value = bytes / 1024 ** power;
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${units[power - 1]}`;
}
