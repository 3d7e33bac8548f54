// The bundle at a glance, and how its documents agree.

import { byId, count, counted, element, exact, size } from "./text.js";

/** @import { Check, ContentCounts, Group, Summary, Verification } from "./pkg/modelops_bundle_web.js" */

const VERDICT_WORDS = { verified: "verified", mismatch: "does not match", undeclared: "nothing to compare with" };

const LIST = new Intl.ListFormat("en");

/** @type {Record<Check["subject"], { title: string, word: string, verified?: string, undeclared?: string }>} */
const SUBJECTS = {
  manifest: {
    title: "Manifest",
    word: "manifest",
    undeclared: "No digest was asked for, so this is the bundle that the manifest says it is.",
  },
  index: { title: "Index", word: "index" },
  tree: {
    title: "Tree digest",
    word: "tree digest",
    undeclared: "The manifest declares none; the computed one is shown above.",
  },
  layers: {
    title: "Layers",
    word: "layers",
    verified: "Every blob that files lie in is among the manifest's layers, with its size.",
  },
};

const LAYOUT_WORDS = {
  files: "files: each file is a blob of its own",
  packed: "packed: files are cut into chunks, and chunks gathered in packs",
};

/** The checks of the bundle that is shown. @type {Check[]} */
let shownChecks = [];

/**
 * @param {Summary} summary
 * @param {Check[]} checks
 */
export function showSummary(summary, checks) {
  shownChecks = checks;
  showFacts(summary, checks);
  byId("checks").tBodies[0].replaceChildren(...checks.map(checkRow));
  showGroups(summary);
}

/**
 * Shows how far the bundle is verified: the worst of all checks gives the colour.
 *
 * @param {Verification} verification
 */
export function showVerification({ overall, files, packs }) {
  const banner = byId("verdict");
  banner.className = overall;
  const documents = (/** @type {Check["verdict"]} */ verdict) =>
    shownChecks.filter((check) => check.verdict === verdict).map(({ subject }) => SUBJECTS[subject].word);
  const contents = (/** @type {keyof ContentCounts} */ of) => [
    ...(packs[of] > 0 ? [counted(packs[of], "pack")] : []),
    ...(files[of] > 0 ? [counted(files[of], "file")] : []),
  ];
  const verified = [...documents("verified"), ...contents("verified")];
  const parts = [];
  if (overall === "mismatch") {
    parts.push(`Does not match: ${LIST.format([...documents("mismatch"), ...contents("mismatch")])}.`);
    if (documents("mismatch").length > 0) parts.push("Do not trust what is shown below.");
  }
  if (files.unseen + packs.unseen > 0) parts.push(`Not checked: the bytes of ${LIST.format(contents("unseen"))}.`);
  if (overall !== "mismatch") parts.push(`Verified: ${LIST.format(verified)}.`);
  if (documents("undeclared").includes(SUBJECTS.manifest.word)) {
    parts.push("No digest was asked for: compare the one below with the one that you expect.");
  }
  banner.textContent = parts.join(" ");
}

/**
 * @param {Summary} summary
 * @param {Check[]} checks
 */
function showFacts(summary, checks) {
  /** @type {[string, string | HTMLElement | undefined][]} */
  const facts = [
    ["Digest", exact(summary.digest)],
    ["Tree", exact(summary.tree)],
    ["Version", summary.version === undefined ? undefined : exact(summary.version)],
    ["Created", summary.created === undefined ? undefined : exact(summary.created)],
    ["Tool", summary.tool === undefined ? undefined : exact(summary.tool)],
    ["Layout", LAYOUT_WORDS[summary.layout]],
    ["Files", `${counted(summary.fileCount, "file")}, ${size(summary.totalSize)}`],
    [
      "Stored",
      `${counted(summary.blobCount, summary.layout === "packed" ? "pack" : "blob")}, ${size(summary.storedSize)}, in ${counted(summary.layerCount, "layer")} of the manifest`,
    ],
  ];
  const shown = new Set([
    "org.modelops.bundle.tool",
    "org.opencontainers.image.created",
    "org.opencontainers.image.version",
  ]);
  const tree = checks.find(({ subject }) => subject === "tree");
  if (tree?.verdict !== "mismatch") shown.add("org.modelops.bundle.tree");
  const list = byId("summary");
  list.replaceChildren();
  for (const [term, value] of facts) {
    if (value !== undefined) list.append(element("dt", {}, term), element("dd", {}, value));
  }
  for (const { key, value } of summary.annotations) {
    if (!shown.has(key)) list.append(exact(key, "dt"), element("dd", {}, exact(value)));
  }
}

/** @param {Check} check */
function checkRow(check) {
  const subject = SUBJECTS[check.subject];
  const details = element("td", {});
  if (check.verdict === "mismatch" && check.reason !== undefined) {
    const reason = exact(check.reason);
    reason.classList.add("reason");
    details.append(reason);
  } else if (check.verdict === "mismatch") {
    details.append("expected ", exact(check.expected ?? ""), element("br", {}), "found ", exact(check.actual ?? ""));
  } else if (check.verdict === "undeclared") details.append(subject.undeclared ?? "");
  else details.append(exact(check.actual ?? ""), subject.verified ?? "");
  return element(
    "tr",
    {},
    element("td", {}, subject.title),
    element("td", { className: check.verdict }, VERDICT_WORDS[check.verdict]),
    details,
  );
}

/** @param {Summary} summary */
function showGroups({ layers, roles }) {
  byId("groups").hidden = layers.length + roles.length === 0;
  byId("groups-body").replaceChildren(...groupList("Layers", layers), ...groupList("Roles", roles));
}

/**
 * @param {string} title
 * @param {Group[]} groups
 */
function groupList(title, groups) {
  if (groups.length === 0) return [];
  const list = element("dl", {});
  for (const { name, members } of groups) {
    const items = members.flatMap((member, at) => (at === 0 ? [exact(member)] : [", ", exact(member)]));
    list.append(exact(name, "dt"), element("dd", {}, ...items));
  }
  return [element("h3", {}, `${title} (${count(groups.length)})`), list];
}
