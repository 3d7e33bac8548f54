// The list of files, a page at a time: the worker filters and orders, so 100,000 files cost no more than 200.

import { core } from "./core.js";
import { byId, count, element, exact, size } from "./text.js";

/** @import { Row, SortKey } from "./pkg/modelops_bundle_web.js" */

const FILES_A_PAGE = 200;

const CONTENT_WORDS = { unseen: "not checked", verified: "verified", mismatch: "does not match" };

/** @type {{ key: SortKey, title: string, cell: (row: Row) => HTMLTableCellElement }[]} */
const COLUMNS = [
  { key: "path", title: "Path", cell: (row) => element("td", {}, exact(row.path)) },
  {
    key: "size",
    title: "Size",
    cell: (row) => element("td", { className: "size", title: `${count(row.size)} bytes` }, size(row.size)),
  },
  { key: "executable", title: "Mode", cell: (row) => element("td", {}, row.executable ? "executable" : "") },
  { key: "layer", title: "Layer", cell: (row) => element("td", {}, exact(row.layer ?? "")) },
  {
    key: "digest",
    title: "Digest",
    cell: (row) => element("td", { title: row.digest }, element("code", {}, row.digest.slice(0, 19))),
  },
  {
    key: "content",
    title: "Verification",
    cell: (row) => element("td", { className: row.content }, CONTENT_WORDS[row.content]),
  },
];

const query = { filter: "", sort: /** @type {SortKey} */ ("path"), descending: false, first: 0, count: FILES_A_PAGE };
let matching = 0;
let lastRequest = 0;

/** Begins anew, with another bundle. */
export async function resetTable() {
  byId("filter").value = "";
  Object.assign(query, { filter: "", sort: "path", descending: false, first: 0 });
  await refreshTable();
}

/** Shows the page again, with what is known by now. */
export async function refreshTable() {
  lastRequest += 1;
  const request = lastRequest;
  const answer = await core.rows({ ...query });
  // A later question may have been answered first.
  if (request !== lastRequest) return;
  matching = answer.matching;
  const rows = answer.rows.map((row) => element("tr", {}, ...COLUMNS.map(({ cell }) => cell(row))));
  byId("files").tBodies[0].replaceChildren(...rows);
  showOrder();
  showPlace(rows.length);
}

function showOrder() {
  [...byId("files").tHead.rows[0].cells].forEach((cell, at) => {
    if (COLUMNS[at].key !== query.sort) cell.removeAttribute("aria-sort");
    else cell.setAttribute("aria-sort", query.descending ? "descending" : "ascending");
  });
}

/** @param {number} shown */
function showPlace(shown) {
  const last = lastPage();
  byId("page-first").disabled = byId("page-previous").disabled = query.first === 0;
  byId("page-next").disabled = byId("page-last").disabled = query.first >= last;
  byId("page-place").textContent =
    shown === 0
      ? "No file matches"
      : `${count(query.first + 1)} to ${count(query.first + shown)} of ${count(matching)}`;
}

function lastPage() {
  return Math.max(0, Math.floor((matching - 1) / FILES_A_PAGE) * FILES_A_PAGE);
}

/**
 * Connects the table with what the user does to it.
 *
 * @param {(promise: Promise<void>) => void} attempt
 */
export function connectTable(attempt) {
  const goTo = (/** @type {number} */ first) => {
    query.first = Math.min(Math.max(first, 0), lastPage());
    attempt(refreshTable());
  };
  for (const { key, title } of COLUMNS) {
    const button = element("button", { type: "button" }, title);
    button.addEventListener("click", () => {
      query.descending = query.sort === key && !query.descending;
      query.sort = key;
      goTo(0);
    });
    byId("files").tHead.rows[0].append(element("th", { scope: "col", className: key }, button));
  }
  byId("filter").addEventListener("input", (/** @type {any} */ event) => {
    query.filter = event.target.value.trim();
    query.first = 0;
    attempt(refreshTable());
  });
  byId("page-first").addEventListener("click", () => goTo(0));
  byId("page-previous").addEventListener("click", () => goTo(query.first - FILES_A_PAGE));
  byId("page-next").addEventListener("click", () => goTo(query.first + FILES_A_PAGE));
  byId("page-last").addEventListener("click", () => goTo(lastPage()));
}
