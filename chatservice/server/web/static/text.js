// Text as nodes: links can be followed, and nothing is ever parsed as HTML.

const LINK = /\bhttps?:\/\/[^\s<>"'`]+/giu;
const AFTER = /[.,;:!?…)\]}]+$/u; // stands behind a link rather than in it
const COLOURS = 12;

export function element(tag, className = "", text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

export function withLinks(text) {
  const fragment = document.createDocumentFragment();
  let end = 0;
  for (const match of text.matchAll(LINK)) {
    let url = match[0];
    const tail = AFTER.exec(url);
    // A bracket that was opened in the link belongs to it.
    if (tail && !(tail[0].startsWith(")") && url.includes("("))) url = url.slice(0, tail.index);
    if (!URL.canParse?.(url) && URL.canParse) continue;
    fragment.append(text.slice(end, match.index));
    const link = element("a", "", url);
    link.href = url;
    link.target = "_blank";
    link.rel = "noopener noreferrer";
    fragment.append(link);
    end = match.index + url.length;
  }
  fragment.append(text.slice(end));
  return fragment;
}

const folded = (text) => text.normalize("NFKC").toLowerCase();

export function colourOf(name) {
  let hash = 0x811c9dc5; // FNV-1a
  for (const character of folded(name)) hash = Math.imul(hash ^ character.codePointAt(0), 0x01000193);
  hash ^= hash >>> 15;
  return `n${(hash >>> 0) % COLOURS}`;
}

export const sameName = (one, other) => folded(one) === folded(other);

export function mentions(text, name) {
  if (!name) return false;
  const within = folded(text);
  const wanted = folded(name);
  const isLetter = (character) => /[\p{L}\p{N}_]/u.test(character ?? " ");
  for (let at = within.indexOf(wanted); at >= 0; at = within.indexOf(wanted, at + 1)) {
    const before = [...within.slice(0, at)].at(-1);
    const after = [...within.slice(at + wanted.length)][0];
    if (!isLetter(before) && !isLetter(after)) return true;
  }
  return false;
}

// What the server may have changed in a text is no difference.
export const comparable = (text) => text.replace(/[\p{Cc}\p{Cf}\uFFFD\s]+/gu, " ").trim();

const time = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const day = new Intl.DateTimeFormat(undefined, { dateStyle: "full" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });

export const timeOf = (at) => time.format(at);
export const dayOf = (at) => day.format(at);
export const fullTimeOf = (at) => full.format(at);
