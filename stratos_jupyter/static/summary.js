// The head: job, state, bar, legend, facts and notices. Its size does not depend on the number of tasks.

import { FAILED, LEGEND, NOTICE, STATES, clock, day, duration, make, minute, moment, put, rate, say, share, sign, whole } from "./dom.js";

// Plain boxes with roles: front ends have style rules of their own for lists and tables.
export function build(el) {
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
  const local = make("span", "", meta);
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
    const choose = make("button", "stratos-choose", item, { type: "button", "aria-pressed": "false", "data-state": state.name });
    choose.append(sign(state));
    const count = make("span", "stratos-count", choose);
    make("span", "", choose).textContent = state.name;
    item.hidden = !state.lasting;
    entries.set(state.name, { item, count, choose });
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

  const below = make("div", "stratos-below", root);
  const notices = make("div", "stratos-notices", root, { role: "list", "aria-label": "Notices" });
  const spoken = make("div", "stratos-spoken", root, { role: "status", "aria-live": "polite" });
  return { root, pill, word, title, run, engine, nodes, local, share, bar, segments, entries, done, speed, elapsed, left, failed, below, notices, spoken };
}

function tell(fact, number, unit, note) {
  say(fact.number, number);
  say(fact.unit, unit);
  say(fact.note, note || "\u00a0"); // an empty line keeps its height
}

// `aheadS`: seconds since the snapshot was made, as far as we may count them on. `silent`: why no newer one comes.
export function draw(parts, view, aheadS, silent) {
  put(parts.root, "data-tone", view.tone);
  put(parts.root, "aria-label", `Job ${view.job}, run ${view.run}`);
  parts.root.classList.toggle("stratos-silent", Boolean(silent));
  say(parts.word, view.state);
  say(parts.title, view.job);
  parts.title.title = view.job;
  say(parts.run, `run ${view.run}`);
  say(parts.engine, view.engine);
  say(parts.nodes, view.nodes ? `${whole.format(view.nodes)} ${view.nodes === 1 ? "node" : "nodes"}` : "");
  const local = view.local === null || view.local === undefined;
  say(parts.local, local ? "" : `${share(view.local, 1)} of input bytes local`);
  put(parts.local, "title", view.inputs ?? ""); // how many, and what waiting for them took
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
    const [least, most] = view.spread ?? [0, 0];
    const spread = view.spread ? `\u00a0± ${duration((most - least) / 2)}` : "";
    if (remaining > 0) tell(left, duration(remaining), spread, `about ${moment(view.at_s + view.eta, minute)}`);
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
  if (view.retried) lines.push([NOTICE, `${whole.format(view.retried)} ${view.retried === 1 ? "attempt" : "attempts"} failed and tried again`]);
  if (view.resting) lines.push([NOTICE, `${whole.format(view.resting)} ${view.resting === 1 ? "task waits" : "tasks wait"} before a retry`]);
  if (silent) lines.push([NOTICE, `Last known state, of ${moment(view.at_s)}; ${silent}`]);

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

export function summary(view) {
  const failed = view.failed ? `, ${whole.format(view.failed)} failed` : "";
  return `${view.state}, ${whole.format(view.done)} of ${whole.format(view.total)} done${failed}`;
}

