// All jobs of a session, a row each: what `%stratos` shows.

import { STATES, duration, make, put, say, share, sign, whole } from "./dom.js";

export function jobsView(el, link) {
  const root = make("section", "stratos-job stratos-jobs", el, { "aria-label": "Jobs" });
  const list = make("div", "stratos-jobs-list", root, { role: "table", "aria-label": "Jobs" });
  const head = make("div", "stratos-jobs-row stratos-jobs-head", list, { role: "row" });
  for (const text of ["Job", "State", "Progress", "Done", "Failed", "Time", "Left"]) make("span", "", head, { role: "columnheader" }).textContent = text;
  const empty = make("div", "stratos-empty", root);
  const note = make("div", "stratos-empty", root, { role: "status" });
  const lines = [];

  function line() {
    const row = make("div", "stratos-jobs-row", list, { role: "row" });
    const cell = (className) => make("span", className, row, { role: "cell" });
    const job = cell("stratos-jobs-name");
    const name = make("bdi", "", job);
    const run = make("span", "stratos-note", job);
    const state = cell("stratos-jobs-state");
    const dot = make("span", "stratos-dot", state, { "aria-hidden": "true" });
    const word = make("span", "", state);
    const bar = make("div", "stratos-bar", cell("stratos-jobs-bar"), { role: "progressbar", "aria-valuemin": "0" });
    const segments = new Map(STATES.map(({ name: of }) => [of, make("span", "stratos-segment", bar, { "data-state": of })]));
    const done = cell("");
    const failed = cell("stratos-jobs-failed");
    const failedSign = sign(STATES[1]);
    const failedCount = make("span", "", failed);
    failed.prepend(failedSign);
    return { row, name, run, dot, word, bar, segments, done, failed, failedSign, failedCount, time: cell(""), left: cell("") };
  }

  function draw() {
    const jobs = link.jobs ?? link.model.get("jobs") ?? [];
    while (lines.length < jobs.length) lines.push(line());
    while (lines.length > jobs.length) lines.pop().row.remove();
    say(empty, jobs.length ? "" : "No jobs yet. %stratos help glob shows how to begin one.");
    empty.hidden = jobs.length > 0;
    list.hidden = !jobs.length;
    say(note, link.gone ? "The last known state; the kernel is gone." : "");
    note.hidden = !link.gone;
    root.classList.toggle("stratos-silent", link.gone);
    jobs.forEach((view, i) => {
      const it = lines[i];
      put(it.row, "data-tone", view.tone);
      say(it.name, view.job);
      it.name.title = view.job;
      say(it.run, ` run ${view.run}`);
      say(it.word, view.state);
      for (const { name } of STATES) {
        const segment = it.segments.get(name);
        const count = view.counts[name];
        segment.style.flexGrow = view.total ? String((1000 * count) / view.total) : "0";
        segment.classList.toggle("stratos-some", count > 0);
        segment.title = `${whole.format(count)} ${name}`;
      }
      put(it.bar, "aria-valuemax", Math.max(1, view.total));
      put(it.bar, "aria-valuenow", view.done);
      put(it.bar, "aria-label", `Progress of ${view.job}`);
      say(it.done, `${whole.format(view.done)} / ${whole.format(view.total)}`);
      put(it.done, "title", share(view.done, view.total));
      const bad = view.failed;
      it.failedSign.style.visibility = bad ? "visible" : "hidden";
      say(it.failedCount, bad ? whole.format(bad) : "–");
      say(it.time, duration(view.elapsed));
      say(it.left, view.ended ? "" : view.eta === null ? "–" : duration(view.eta));
    });
  }

  draw();
  return { root, show: draw, second() {} };
}
