// What every part of the widget uses: states and their signs, numbers as people read them, and nodes of the page.
//
// Whatever came from a user or a task is set with textContent, never as HTML.

const SVG = "http://www.w3.org/2000/svg";

// In the order of the bar: what is settled first, what is still to come last. `lasting` ones are always in the
// legend; the others join it when they are first seen, at its end, so that nothing moves.
export const STATES = [
  { name: "finished", lasting: true, glyph: "M4.2 8.4 6.9 11 11.8 5.2" },
  { name: "failed", lasting: true, glyph: "M5 5 11 11M11 5 5 11" },
  { name: "killed", glyph: "M5.4 5.4H10.6V10.6H5.4Z", solid: true },
  { name: "lost", glyph: "M6 6.3a2 2 0 1 1 3 1.7c-.7.4-1 .8-1 1.5M8 11.9v.01" },
  { name: "unreachable", glyph: "M4 6.6c1.3-1.3 2.7-1.3 4 0s2.7 1.3 4 0M4 10.2c1.3-1.3 2.7-1.3 4 0s2.7 1.3 4 0" },
  { name: "running", lasting: true, glyph: "M6.2 4.9V11.1L11.2 8Z", solid: true },
  { name: "staging", glyph: "M8 11.6V4.8M5.2 7.4 8 4.6 10.8 7.4" },
  { name: "queued", lasting: true, glyph: "M4.4 8h.01M8 8h.01M11.6 8h.01" },
];
export const LEGEND = [...STATES.filter((s) => s.lasting), ...STATES.filter((s) => !s.lasting)];

export const FAILED = STATES[1];
export const NOTICE = { name: "notice", glyph: "M8 1.7a6.3 6.3 0 1 0 0 12.6A6.3 6.3 0 1 0 8 1.7M8 7.4v3.6M8 4.9v.01" };


export const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
export const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
export const minute = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
export const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });

export const two = (n) => String(n).padStart(2, "0");

export function duration(seconds) {
  if (seconds < 9.95) return `${Math.max(0, seconds).toFixed(1)} s`;
  const s = Math.round(seconds);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${two(s % 60)} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${two(Math.floor((s % 3600) / 60))} min`;
  return `${Math.floor(s / 86400)} d ${two(Math.floor((s % 86400) / 3600))} h`;
}

// The same, and milliseconds of what took less than a second.
export const brief = (seconds) => (seconds < 0.995 ? `${Math.round(1000 * seconds)} ms` : duration(seconds));

// -> [number, unit]
export function rate(perSecond) {
  const steps = [[perSecond, "/s"], [perSecond * 60, "/min"], [perSecond * 3600, "/h"]];
  const [value, unit] = steps.find(([v]) => v >= 1) ?? steps[2];
  return [value >= 9.95 ? whole.format(value) : value.toFixed(1), unit];
}

export function share(part, all) {
  const percent = all ? (100 * part) / all : 0;
  return percent > 0 && percent < 1 ? "< 1 %" : `${Math.floor(percent)} %`; // rounded down: 100 % is all of them
}

export function moment(atS, format = clock) {
  const at = new Date(atS * 1000);
  const today = at.toDateString() === new Date().toDateString();
  return today ? format.format(at) : `${day.format(at)}, ${minute.format(at)}`;
}

export function el(tag, className, parent, attributes = {}) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  parent?.append(node);
  return node;
}

export function svgEl(tag, parent, attributes) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  parent?.append(node);
  return node;
}

export function icon({ name, glyph, solid }) {
  const svg = svgEl("svg", null, { viewBox: "0 0 16 16", class: "stratos-sign", "data-state": name, "aria-hidden": "true" });
  svgEl("rect", svg, { width: 16, height: 16, rx: 4.5 });
  svgEl("path", svg, { d: glyph, class: solid ? "stratos-solid" : "" });
  return svg;
}

// Touches the page only where something changed.
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function setAttr(node, attribute, value) {
  if (node.getAttribute(attribute) !== String(value)) node.setAttribute(attribute, value);
}

// A button that says what it does; `kind` is its look.
export function button(parent, text, kind, act) {
  const node = el("button", `stratos-button stratos-${kind}`, parent, { type: "button" });
  node.textContent = text;
  if (act) node.addEventListener("click", act);
  return node;
}

// What has the focus in `root`, and goes or cannot be used any more, leaves it to `heir`: else the keyboard has to begin
// at the top of the page again.
export function leaveFocus(root, heir, change) {
  const focused = document.activeElement;
  const ours = root.contains(focused);
  change();
  if (ours && (focused.disabled || focused.closest("[hidden]") || !focused.isConnected)) heir.focus({ preventScroll: true });
}

// The states in the order of their numbers, as the kernel sends them.
const NUMBERED = ["queued", "staging", "running", "unreachable", "finished", "failed", "killed", "lost"];
export const GONE = { name: "superseded", glyph: "M5 8H11" };
export const STATE_OF = [...NUMBERED.map((name) => STATES.find((state) => state.name === name)), GONE];
export const ENDED_FROM = 4;
export const numbersOf = (...names) => names.map((name) => NUMBERED.indexOf(name));

export const tasksText = (n) => `${whole.format(n)} ${n === 1 ? "task" : "tasks"}`;

export function bytesText(n) {
  if (n < 1024) return `${n} B`;
  if (n < 1024 * 1024) return `${whole.format(n / 1024)} KiB`;
  return `${n < 10 * 1024 * 1024 ? (n / 1048576).toFixed(1) : whole.format(n / 1048576)} MiB`;
}

export function memText(mib) {
  if (!mib) return "no limit";
  return mib >= 1024 ? `${Number((mib / 1024).toFixed(1))} GiB` : `${Number(mib.toFixed(1))} MiB`;
}

// Texts of an answer, each short enough for one line of a table, whatever the kernel lets pass.
const LONGEST = 400;
export const short = (value) => (typeof value === "string" && value.length > LONGEST ? `${value.slice(0, LONGEST)}…` : value);

// Sorted indices as ranges: [[3, 7], [12, 12]].
export function rangesOf(tasks) {
  const ranges = [];
  for (const task of tasks) {
    const last = ranges[ranges.length - 1];
    if (last && last[1] === task - 1) last[1] = task;
    else ranges.push([task, task]);
  }
  return ranges;
}

// Controls, and marks that turn the direction of what follows, as text: they would act on the text around them.
export const ACTING = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;

export function spelled(text) {
  return text.replace(ACTING, (char) => {
    const code = char.codePointAt(0);
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`;
  });
}
