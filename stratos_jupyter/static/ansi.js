// The output of a task as a terminal would colour it, and as text in everything else.
//
// Colours and weights are kept; whatever else an escape sequence would do is left out, other controls are spelled out.
// However hostile the text is, the page gets a bounded number of nodes, none of which is wider than a line may be.

import { el, spelled } from "./dom.js";

const MOST_PIECES = 3000;
const MOST_LINE = 4000;
const ESCAPE = /\x1b(?:\[([0-?]*)[ -/]*([@-~])|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-Z\\^_]?)/g;

// What was overwritten is gone, as a progress bar's earlier states are; and no line is endless.
export function plainLines(text) {
  const lines = text.replace(/\r\n/g, "\n").split("\n");
  return lines
    .map((line) => {
      if (line.includes("\r")) {
        const parts = line.split("\r");
        line = parts.findLast((part) => part !== "") ?? "";
      }
      if (line.length <= MOST_LINE) return line;
      return `${line.slice(0, MOST_LINE)} … ${(line.length - MOST_LINE).toLocaleString("en-US")} more characters`;
    })
    .join("\n");
}

export function paintOutput(parent, text) {
  const nodes = [];
  const style = { fore: null, back: null, bold: false, faint: false, italic: false, under: false };
  let at = 0;
  const add = (part) => {
    if (!part) return;
    const shown = spelled(part);
    const plain = style.fore === null && style.back === null && !style.bold && !style.faint && !style.italic && !style.under;
    if (plain || nodes.length >= MOST_PIECES) {
      if (typeof nodes[nodes.length - 1] === "string") nodes[nodes.length - 1] += shown;
      else nodes.push(shown);
      return;
    }
    const span = el("span", classes(style));
    colour(span, "color", style.fore);
    colour(span, "backgroundColor", style.back);
    span.textContent = shown;
    nodes.push(span);
  };
  const lines = plainLines(text);
  for (const found of lines.matchAll(ESCAPE)) {
    add(lines.slice(at, found.index));
    at = found.index + found[0].length;
    if (found[2] === "m" && nodes.length < MOST_PIECES) restyle(style, found[1]);
  }
  add(lines.slice(at));
  parent.replaceChildren(...nodes);
}

function classes(style) {
  const names = [];
  if (typeof style.fore === "number") names.push(`stratos-ansi-${style.fore}`);
  if (typeof style.back === "number") names.push(`stratos-ansi-on-${style.back}`);
  for (const name of ["bold", "faint", "italic", "under"]) if (style[name]) names.push(`stratos-ansi-${name}`);
  return names.join(" ");
}

function colour(span, property, value) {
  if (Array.isArray(value)) span.style[property] = `rgb(${value.join(" ")})`;
}

function restyle(style, codes) {
  const list = codes.split(/[;:]/).slice(0, 32).map((code) => Number(code) || 0);
  for (let i = 0; i < list.length; i += 1) {
    const code = list[i];
    if (code === 0) Object.assign(style, { fore: null, back: null, bold: false, faint: false, italic: false, under: false });
    else if (code === 1) style.bold = true;
    else if (code === 2) style.faint = true;
    else if (code === 3) style.italic = true;
    else if (code === 4) style.under = true;
    else if (code === 22) style.bold = style.faint = false;
    else if (code === 23) style.italic = false;
    else if (code === 24) style.under = false;
    else if (code >= 30 && code <= 37) style.fore = code - 30;
    else if (code >= 90 && code <= 97) style.fore = code - 82;
    else if (code === 39) style.fore = null;
    else if (code >= 40 && code <= 47) style.back = code - 40;
    else if (code >= 100 && code <= 107) style.back = code - 92;
    else if (code === 49) style.back = null;
    else if (code === 38 || code === 48) {
      const [value, used] = extended(list.slice(i + 1));
      if (code === 38) style.fore = value;
      else style.back = value;
      i += used;
    }
  }
}

// 5;N of 256 colours, or 2;R;G;B -> [colour, how many codes that took]
function extended(rest) {
  const byte = (n) => Math.min(255, Math.max(0, Math.floor(n ?? 0)));
  if (rest[0] === 2) return [[byte(rest[1]), byte(rest[2]), byte(rest[3])], 4];
  if (rest[0] !== 5) return [null, 1];
  const n = byte(rest[1]);
  if (n < 16) return [n, 2];
  if (n >= 232) return [Array(3).fill(8 + 10 * (n - 232)), 2];
  const level = (v) => (v ? 55 + 40 * v : 0);
  return [[level(Math.floor((n - 16) / 36)), level(Math.floor((n - 16) / 6) % 6), level((n - 16) % 6)], 2];
}

