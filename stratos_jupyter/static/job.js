// The browser half of JobWidget.
//
// It draws `view`, a snapshot whose size does not depend on the number of tasks, and asks for nothing but a newer
// one. Whatever came from a user or a task is set with textContent, never as HTML. Nothing runs while the widget
// cannot be seen: snapshots wait for the next look, and the one timer, which advances the elapsed time between
// snapshots, stops.

const SVG = "http://www.w3.org/2000/svg";

// In the order of the bar: what is settled first, what is still to come last. `lasting` ones are always in the
// legend; the others join it when they are first seen, at its end, so that nothing moves.
const STATES = [
  { name: "finished", lasting: true, glyph: "M4.2 8.4 6.9 11 11.8 5.2" },
  { name: "failed", lasting: true, glyph: "M5 5 11 11M11 5 5 11" },
  { name: "killed", glyph: "M5.4 5.4H10.6V10.6H5.4Z", solid: true },
  { name: "lost", glyph: "M6 6.3a2 2 0 1 1 3 1.7c-.7.4-1 .8-1 1.5M8 11.9v.01" },
  { name: "unreachable", glyph: "M4 6.6c1.3-1.3 2.7-1.3 4 0s2.7 1.3 4 0M4 10.2c1.3-1.3 2.7-1.3 4 0s2.7 1.3 4 0" },
  { name: "running", lasting: true, glyph: "M6.2 4.9V11.1L11.2 8Z", solid: true },
  { name: "staging", glyph: "M8 11.6V4.8M5.2 7.4 8 4.6 10.8 7.4" },
  { name: "queued", lasting: true, glyph: "M4.4 8h.01M8 8h.01M11.6 8h.01" },
];
const LEGEND = [...STATES.filter((s) => s.lasting), ...STATES.filter((s) => !s.lasting)];

const FAILED = STATES[1];
const NOTICE = { name: "notice", glyph: "M8 1.7a6.3 6.3 0 1 0 0 12.6A6.3 6.3 0 1 0 8 1.7M8 7.4v3.6M8 4.9v.01" };

const TICK_MS = 1000;
const ASK_AFTER_MS = 20000; // a job that lives but has been silent for so long is asked how it is
const ANSWER_WITHIN_MS = 2000; // after which the kernel is said to be busy or gone
const SPEAK_EVERY_MS = 10000; // for screen readers; the end is said at once

const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const minute = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });

const two = (n) => String(n).padStart(2, "0");

function duration(seconds) {
  if (seconds < 9.95) return `${Math.max(0, seconds).toFixed(1)} s`;
  const s = Math.round(seconds);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${two(s % 60)} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${two(Math.floor((s % 3600) / 60))} min`;
  return `${Math.floor(s / 86400)} d ${two(Math.floor((s % 86400) / 3600))} h`;
}

// -> [number, unit]
function rate(perSecond) {
  const steps = [[perSecond, "/s"], [perSecond * 60, "/min"], [perSecond * 3600, "/h"]];
  const [value, unit] = steps.find(([v]) => v >= 1) ?? steps[2];
  return [value >= 9.95 ? whole.format(value) : value.toFixed(1), unit];
}

function share(part, all) {
  const percent = all ? (100 * part) / all : 0;
  return percent > 0 && percent < 1 ? "< 1 %" : `${Math.floor(percent)} %`; // rounded down: 100 % is all of them
}

function moment(atS, format = clock) {
  const at = new Date(atS * 1000);
  const today = at.toDateString() === new Date().toDateString();
  return today ? format.format(at) : `${day.format(at)}, ${minute.format(at)}`;
}

function make(tag, className, parent, attributes = {}) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  parent?.append(node);
  return node;
}

function draft(tag, parent, attributes) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  parent?.append(node);
  return node;
}

function sign({ name, glyph, solid }) {
  const svg = draft("svg", null, { viewBox: "0 0 16 16", class: "stratos-sign", "data-state": name, "aria-hidden": "true" });
  draft("rect", svg, { width: 16, height: 16, rx: 4.5 });
  draft("path", svg, { d: glyph, class: solid ? "stratos-solid" : "" });
  return svg;
}

// Touches the page only where something changed.
function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function put(node, attribute, value) {
  if (node.getAttribute(attribute) !== String(value)) node.setAttribute(attribute, value);
}

// Plain boxes with roles: front ends have style rules of their own for lists and tables.
function build(el) {
  const root = make("section", "stratos-job", el);
  const head = make("header", "stratos-head", root);
  const pill = make("span", "stratos-pill", head);
  make("span", "stratos-dot", pill, { "aria-hidden": "true" });
  const word = make("span", "stratos-word", pill);
  const title = make("bdi", "stratos-title", head);
  const meta = make("span", "stratos-meta", head);
  const run = make("span", "", meta);
  const engine = make("bdi", "stratos-engine", meta);
  const nodes = make("span", "", meta);
  const share = make("span", "stratos-percent", head, { "aria-hidden": "true" });

  const bar = make("div", "stratos-bar", root, { role: "progressbar", "aria-valuemin": "0" });
  const segments = new Map();
  for (const state of STATES) {
    segments.set(state.name, make("span", "stratos-segment", bar, { "data-state": state.name }));
  }

  const legend = make("div", "stratos-legend", root, { role: "list", "aria-label": "Tasks by state" });
  const entries = new Map();
  for (const state of LEGEND) {
    const item = make("div", "stratos-entry", legend, { role: "listitem" });
    item.append(sign(state));
    const count = make("span", "stratos-count", item);
    make("span", "", item).textContent = state.name;
    item.hidden = !state.lasting;
    entries.set(state.name, { item, count });
  }

  const facts = make("div", "stratos-facts", root);
  const fact = (label) => {
    const box = make("div", "stratos-fact", facts);
    const name = make("div", "stratos-name", box);
    name.textContent = label;
    const value = make("div", "stratos-value", box);
    const number = make("span", "", value);
    make("wbr", "", value);
    const unit = make("span", "stratos-unit", value);
    return { box, name, number, unit, note: make("div", "stratos-note", box) };
  };
  const [done, speed, elapsed, left, failed] = ["Done", "Speed", "Elapsed", "Left", "Failed"].map(fact);

  const notices = make("div", "stratos-notices", root, { role: "list", "aria-label": "Notices" });
  const spoken = make("div", "stratos-spoken", root, { role: "status", "aria-live": "polite" });
  return { root, pill, word, title, run, engine, nodes, share, bar, segments, entries, done, speed, elapsed, left, failed, notices, spoken };
}

function tell(fact, number, unit, note) {
  say(fact.number, number);
  say(fact.unit, unit);
  say(fact.note, note || "\u00a0"); // an empty line keeps its height
}

// `aheadS`: seconds since the snapshot was made, as far as we may count them on.
function draw(parts, view, aheadS, silent) {
  put(parts.root, "data-tone", view.tone);
  put(parts.root, "aria-label", `Job ${view.job}, run ${view.run}`);
  parts.root.classList.toggle("stratos-silent", silent);
  say(parts.word, view.state);
  say(parts.title, view.job);
  parts.title.title = view.job;
  say(parts.run, `run ${view.run}`);
  say(parts.engine, view.engine);
  say(parts.nodes, view.nodes ? `${whole.format(view.nodes)} ${view.nodes === 1 ? "node" : "nodes"}` : "");
  say(parts.share, share(view.done, view.total));

  put(parts.bar, "aria-valuemax", Math.max(1, view.total));
  put(parts.bar, "aria-valuenow", view.done);
  put(parts.bar, "aria-valuetext", summary(view));
  put(parts.bar, "aria-label", `Progress of ${view.job}`);
  for (const { name } of STATES) {
    const count = view.counts[name];
    const segment = parts.segments.get(name);
    const grow = view.total ? String((1000 * count) / view.total) : "0";
    if (segment.style.flexGrow !== grow) segment.style.flexGrow = grow;
    segment.classList.toggle("stratos-some", count > 0);
    segment.title = `${whole.format(count)} ${name}`;
    const { item, count: number } = parts.entries.get(name);
    if (count) item.hidden = false;
    item.classList.toggle("stratos-none", !count);
    say(number, whole.format(count));
  }

  drawFacts(parts, view, aheadS);
  drawNotices(parts.notices, view, silent);
}

function drawFacts(parts, view, aheadS) {
  const { done, speed, elapsed, left, failed } = parts;
  const togo = view.total - view.done;
  tell(done, whole.format(view.done), `\u00a0/ ${whole.format(view.total)}`, togo ? `${whole.format(togo)} to go` : "");

  const average = view.ended && view.done && view.elapsed > 0 ? view.done / view.elapsed : null;
  const pace = view.ended ? average : view.rate;
  if (pace === null) tell(speed, "–", "", "");
  else tell(speed, ...rate(pace), view.ended ? "on average" : "last 10 s");

  tell(elapsed, duration(view.elapsed + aheadS), "", `since ${moment(view.submitted_at)}`);

  say(left.name, view.ended ? "Ended" : "Left");
  if (view.ended) {
    const at = new Date(view.ended_at * 1000);
    tell(left, clock.format(at), "", day.format(at));
  } else if (view.eta === null) tell(left, "–", "", "");
  else {
    const remaining = view.eta - aheadS;
    if (remaining > 0) tell(left, duration(remaining), "", `about ${moment(view.at_s + view.eta, minute)}`);
    else tell(left, "soon", "", "");
  }

  failed.box.classList.toggle("stratos-bad", view.failed > 0);
  tell(failed, whole.format(view.failed), "", view.failed ? `${share(view.failed, view.done)} of done` : "none");
}

function drawNotices(list, view, silent) {
  const lines = view.notices.map((text) => [NOTICE, text]);
  const why = Object.entries(view.reasons).map(([reason, count]) => `${whole.format(count)} ${reason}`);
  if (why.length) lines.unshift([FAILED, `Failed: ${why.join(", ")}`]);
  if (view.attempts_lost) {
    const [n, s] = [whole.format(view.attempts_lost), view.attempts_lost === 1 ? "" : "s"];
    lines.push([NOTICE, `${n} attempt${s} lost by the cluster, not by the command${s}`]);
  }
  if (silent) lines.push([NOTICE, `Last known state, of ${moment(view.at_s)}; waiting for the kernel`]);

  while (list.children.length > lines.length) list.lastChild.remove();
  for (const [i, [kind, text]] of lines.entries()) {
    const old = list.children[i];
    if (old?.dataset.kind === kind.name) say(old.lastChild, text);
    else {
      const item = make("div", "stratos-notice", null, { role: "listitem", "data-kind": kind.name });
      item.append(sign(kind));
      make("bdi", "", item).textContent = text;
      if (old) old.replaceWith(item);
      else list.append(item);
    }
  }
}

function summary(view) {
  const failed = view.failed ? `, ${whole.format(view.failed)} failed` : "";
  return `${view.state}, ${whole.format(view.done)} of ${whole.format(view.total)} done${failed}`;
}

function render({ model, el }) {
  const parts = build(el);
  let heardAt = null; // when the newest snapshot arrived; null: it was there before us, and may be old
  let askedAt = null;
  let silent = false;
  let frame = 0;
  let timer = 0;
  let onScreen = true;
  let spokenAt = -Infinity;
  let spokenMark = "";

  const current = () => {
    const view = model.get("view");
    return view && view.counts ? view : null;
  };
  const seen = () => onScreen && document.visibilityState === "visible";

  function paint() {
    frame = 0;
    const view = current();
    if (!view) return;
    const counting = !view.ended && !silent && heardAt !== null;
    draw(parts, view, counting ? (performance.now() - heardAt) / 1000 : 0, silent && !view.ended);
    speak(view);
  }

  function schedule() {
    if (!frame && seen()) frame = requestAnimationFrame(paint);
  }

  function speak(view) {
    const quarter = view.total ? Math.floor((4 * view.done) / view.total) : 0;
    const mark = `${view.state} ${quarter} ${view.failed > 0}`;
    const now = performance.now();
    if (mark === spokenMark || (!view.ended && now - spokenAt < SPEAK_EVERY_MS)) return;
    spokenMark = mark;
    spokenAt = now;
    say(parts.spoken, `Job ${view.job}: ${summary(view)}`);
  }

  function ask() {
    if (askedAt !== null) return;
    askedAt = performance.now();
    try {
      model.send?.({ ask: "view" });
    } catch {
      // no kernel behind this page: the silence says so
    }
  }

  function tick() {
    const now = performance.now();
    if (heardAt === null || now - heardAt > ASK_AFTER_MS) ask();
    silent = askedAt !== null && now - askedAt > ANSWER_WITHIN_MS;
    schedule();
  }

  // The timer runs only while there is something to count and someone to see it.
  function wind() {
    const view = current();
    const wanted = Boolean(view) && !view.ended && seen();
    if (wanted && !timer) {
      timer = setInterval(tick, TICK_MS);
      tick();
    } else if (!wanted && timer) {
      clearInterval(timer);
      timer = 0;
    }
    parts.root.classList.toggle("stratos-away", !seen());
  }

  function changed() {
    heardAt = performance.now();
    askedAt = null;
    silent = false;
    wind();
    schedule();
  }

  function looked() {
    wind();
    schedule();
  }

  const watcher = new IntersectionObserver((entries) => {
    onScreen = entries[entries.length - 1].isIntersecting;
    looked();
  });

  model.on("change:view", changed);
  document.addEventListener("visibilitychange", looked);
  watcher.observe(parts.root);

  // A snapshot that was made just now is as good as heard; an older one is a question to the kernel.
  const first = current();
  if (first && Math.abs(Date.now() / 1000 - first.at_s) < ASK_AFTER_MS / 1000) heardAt = performance.now();
  paint();
  wind();

  return () => {
    model.off("change:view", changed);
    document.removeEventListener("visibilitychange", looked);
    watcher.disconnect();
    clearInterval(timer);
    cancelAnimationFrame(frame);
    parts.root.remove();
  };
}

export default { render };
