// The head: job, state, bar, legend, facts and notices. Its size does not depend on the number of tasks.

import { FAILED, LEGEND, NOTICE, STATES, clock, day, duration, el, icon, minute, moment, rate, setAttr, setText, share, whole } from "./dom.js";

// Plain boxes with roles: front ends have style rules of their own for lists and tables.
export function build(host) {
  const root = el("section", "stratos-job", host);
  const head = el("header", "stratos-head", root);
  const pill = el("span", "stratos-pill", head);
  el("span", "stratos-dot", pill, { "aria-hidden": "true" });
  const word = el("span", "stratos-word", pill);
  const title = el("bdi", "stratos-title", head);
  const meta = el("span", "stratos-meta", head);
  const run = el("span", "", meta);
  const engine = el("bdi", "stratos-engine", meta);
  const nodes = el("span", "", meta);
  const local = el("span", "", meta);
  const share = el("span", "stratos-percent", head, { "aria-hidden": "true" });

  const bar = el("div", "stratos-bar", root, { role: "progressbar", "aria-valuemin": "0" });
  const segments = new Map();
  for (const state of STATES) {
    segments.set(state.name, el("span", "stratos-segment", bar, { "data-state": state.name }));
  }

  const legend = el("div", "stratos-legend", root, { role: "list", "aria-label": "Tasks by state" });
  const entries = new Map();
  for (const state of LEGEND) {
    const item = el("div", "stratos-entry", legend, { role: "listitem" });
    const choose = el("button", "stratos-choose", item, { type: "button", "aria-pressed": "false", "data-state": state.name });
    choose.append(icon(state));
    const count = el("span", "stratos-count", choose);
    el("span", "", choose).textContent = state.name;
    item.hidden = !state.lasting;
    entries.set(state.name, { item, count, choose });
  }

  const facts = el("div", "stratos-facts", root);
  const fact = (label) => {
    const box = el("div", "stratos-fact", facts);
    const name = el("div", "stratos-name", box);
    name.textContent = label;
    const value = el("div", "stratos-value", box);
    const number = el("span", "", value);
    el("wbr", "", value);
    const unit = el("span", "stratos-unit", value);
    return { box, name, number, unit, note: el("div", "stratos-note", box) };
  };
  const [done, speed, elapsed, left, failed] = ["Done", "Speed", "Elapsed", "Left", "Failed"].map(fact);

  const below = el("div", "stratos-below", root);
  const notices = el("div", "stratos-notices", root, { role: "list", "aria-label": "Notices" });
  const spoken = el("div", "stratos-spoken", root, { role: "status", "aria-live": "polite" });
  return { root, pill, word, title, run, engine, nodes, local, share, bar, segments, entries, done, speed, elapsed, left, failed, below, notices, spoken };
}

function tell(fact, number, unit, note) {
  setText(fact.number, number);
  setText(fact.unit, unit);
  setText(fact.note, note || "\u00a0"); // an empty line keeps its height
}

// `aheadS`: seconds since the snapshot was made, as far as we may count them on. `silent`: why no newer one comes.
export function draw(parts, view, aheadS, silent) {
  setAttr(parts.root, "data-tone", view.tone);
  setAttr(parts.root, "aria-label", `Job ${view.job}, run ${view.run}`);
  parts.root.classList.toggle("stratos-silent", Boolean(silent));
  setText(parts.word, view.state);
  setText(parts.title, view.job);
  parts.title.title = view.job;
  setText(parts.run, `run ${view.run}`);
  setText(parts.engine, view.engine);
  setText(parts.nodes, view.nodes ? `${whole.format(view.nodes)} ${view.nodes === 1 ? "node" : "nodes"}` : "");
  const local = view.local === null || view.local === undefined;
  setText(parts.local, local ? "" : `${share(view.local, 1)} of input bytes local`);
  setAttr(parts.local, "title", view.inputs ?? ""); // how many, and what waiting for them took
  setText(parts.share, share(view.done, view.total));

  setAttr(parts.bar, "aria-valuemax", Math.max(1, view.total));
  setAttr(parts.bar, "aria-valuenow", view.done);
  setAttr(parts.bar, "aria-valuetext", summary(view));
  setAttr(parts.bar, "aria-label", `Progress of ${view.job}`);
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
    setText(number, whole.format(count));
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

  setText(left.name, view.ended ? "Ended" : "Left");
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
    if (old?.dataset.kind === kind.name) setText(old.lastChild, text);
    else {
      const item = el("div", "stratos-notice", null, { role: "listitem", "data-kind": kind.name });
      item.append(icon(kind));
      el("bdi", "", item).textContent = text;
      if (old) old.replaceWith(item);
      else list.append(item);
    }
  }
}

export function summary(view) {
  const failed = view.failed ? `, ${whole.format(view.failed)} failed` : "";
  return `${view.state}, ${whole.format(view.done)} of ${whole.format(view.total)} done${failed}`;
}

