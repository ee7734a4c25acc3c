// All jobs of a session, a row each: what `%stratos` shows.

import { STATES, duration, el, icon, setAttr, setText, share, whole } from "./dom.js";

export function jobList(host, link) {
  const root = el("section", "stratos-job stratos-jobs", host, { "aria-label": "Jobs" });
  const list = el("div", "stratos-jobs-list", root, { role: "table", "aria-label": "Jobs" });
  const head = el("div", "stratos-jobs-row stratos-jobs-head", list, { role: "row" });
  for (const text of ["Job", "State", "Progress", "Done", "Failed", "Time", "Left"]) el("span", "", head, { role: "columnheader" }).textContent = text;
  const empty = el("div", "stratos-empty", root);
  const note = el("div", "stratos-empty", root, { role: "status" });
  const lines = [];

  function line() {
    const row = el("div", "stratos-jobs-row", list, { role: "row" });
    const cell = (className) => el("span", className, row, { role: "cell" });
    const job = cell("stratos-jobs-name");
    const name = el("bdi", "", job);
    const run = el("span", "stratos-note", job);
    const state = cell("stratos-jobs-state");
    const dot = el("span", "stratos-dot", state, { "aria-hidden": "true" });
    const word = el("span", "", state);
    const bar = el("div", "stratos-bar", cell("stratos-jobs-bar"), { role: "progressbar", "aria-valuemin": "0" });
    const segments = new Map(STATES.map(({ name: of }) => [of, el("span", "stratos-segment", bar, { "data-state": of })]));
    const done = cell("");
    const failed = cell("stratos-jobs-failed");
    const failedSign = icon(STATES[1]);
    const failedCount = el("span", "", failed);
    failed.prepend(failedSign);
    return { row, name, run, dot, word, bar, segments, done, failed, failedSign, failedCount, time: cell(""), left: cell("") };
  }

  function draw() {
    const jobs = link.jobs ?? link.model.get("jobs") ?? [];
    while (lines.length < jobs.length) lines.push(line());
    while (lines.length > jobs.length) lines.pop().row.remove();
    setText(empty, jobs.length ? "" : "No jobs yet. %stratos help glob shows how to begin one.");
    empty.hidden = jobs.length > 0;
    list.hidden = !jobs.length;
    setText(note, link.gone ? "The last known state; the kernel is gone." : "");
    note.hidden = !link.gone;
    root.classList.toggle("stratos-silent", link.gone);
    jobs.forEach((view, i) => {
      const it = lines[i];
      setAttr(it.row, "data-tone", view.tone);
      setText(it.name, view.job);
      it.name.title = view.job;
      setText(it.run, ` run ${view.run}`);
      setText(it.word, view.state);
      for (const { name } of STATES) {
        const segment = it.segments.get(name);
        const count = view.counts[name];
        segment.style.flexGrow = view.total ? String((1000 * count) / view.total) : "0";
        segment.classList.toggle("stratos-some", count > 0);
        segment.title = `${whole.format(count)} ${name}`;
      }
      setAttr(it.bar, "aria-valuemax", Math.max(1, view.total));
      setAttr(it.bar, "aria-valuenow", view.done);
      setAttr(it.bar, "aria-label", `Progress of ${view.job}`);
      setText(it.done, `${whole.format(view.done)} / ${whole.format(view.total)}`);
      setAttr(it.done, "title", share(view.done, view.total));
      const bad = view.failed;
      it.failedSign.style.visibility = bad ? "visible" : "hidden";
      setText(it.failedCount, bad ? whole.format(bad) : "–");
      setText(it.time, duration(view.elapsed));
      setText(it.left, view.ended ? "" : view.eta === null ? "–" : duration(view.eta));
    });
  }

  draw();
  return { root, show: draw, second() {} };
}
