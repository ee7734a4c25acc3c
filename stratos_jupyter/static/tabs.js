// Below the summary: the buttons of the job, the map, the table, the failures, and one task at a time.

import { STATE_OF, el, setAttr, setText, whole } from "./dom.js";
import { ACTIONS } from "./actions.js";
import { jobActions } from "./job_actions.js";
import { questionBox } from "./confirm.js";
import { failureGroups } from "./failure_groups.js";
import { taskMap } from "./task_map.js";
import { taskTable } from "./task_table.js";
import { taskDetail } from "./task_detail.js";

const TOLD_MS = 8000;

export function jobTabs(parent, link, entries) {
  const bar = el("div", "stratos-tabs-bar", parent);
  const tabs = el("div", "stratos-tabs", bar, { role: "tablist", "aria-label": "Views of the job" });
  const doing = jobActions(bar, link, { act });
  const ask = questionBox(parent, () => pages[page].tab);
  const told = el("div", "stratos-told", parent, { role: "status" });
  const waits = el("div", "stratos-waits", parent, { role: "status" });
  const panels = el("div", "stratos-panels", parent);
  const id = `stratos-${Math.random().toString(36).slice(2)}`;
  const pages = {};
  let { page } = link.ui;
  let visible = false;
  let silence = 0;
  let from = null; // what had the focus before a task was opened

  for (const [name, text] of [["map", "Map"], ["tasks", "Tasks"], ["failures", "Failures"]]) {
    const tab = el("button", "stratos-tab", tabs, { type: "button", role: "tab", id: `${id}-${name}`, "aria-controls": `${id}-${name}-panel` });
    el("span", "", tab).textContent = text;
    const count = el("span", "stratos-tab-count", tab);
    const panel = el("div", "stratos-panel", panels, { role: "tabpanel", id: `${id}-${name}-panel`, "aria-labelledby": tab.id });
    tab.addEventListener("click", () => turn(name));
    pages[name] = { tab, count, panel };
  }
  tabs.addEventListener("keydown", (event) => {
    const names = Object.keys(pages);
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    turn(names[(names.indexOf(page) + step + names.length) % names.length]);
    pages[page].tab.focus();
    event.preventDefault();
    event.stopPropagation();
  });

  const map = taskMap(pages.map.panel, link, open);
  const rows = taskTable(pages.tasks.panel, link, { open, act, failed });
  const groups = failureGroups(pages.failures.panel, link, {
    act, failed,
    show: (group, groupText) => {
      rows.filter({ group, groupText, states: "", node: "", text: "" });
      turn("tasks");
    },
  });
  const task = taskDetail(panels, link, { back, act, failed, go: (which) => open(which) });
  const parts = [map, rows, groups, task, doing];

  for (const [name, { choose }] of entries) {
    choose.addEventListener("click", () => {
      const pressed = choose.getAttribute("aria-pressed") === "true";
      rows.filter({ states: pressed ? "" : name, group: "", groupText: "" });
      if (task.task >= 0) back();
    });
  }
  rows.whenFiltered((states) => {
    map.stress(states.length ? states : null);
    for (const [name, { choose }] of entries) {
      const number = STATE_OF.findIndex((state) => state.name === name);
      setAttr(choose, "aria-pressed", states.length === 1 && states[0] === number);
    }
  });

  function turn(name) {
    if (task.task >= 0) {
      task.close();
      link.ui.task = -1;
      from = null;
    }
    page = name;
    settle();
  }

  function settle() {
    const opened = task.task >= 0 || !task.node.hidden;
    link.ui.page = page;
    for (const [name, { tab, panel }] of Object.entries(pages)) {
      setAttr(tab, "aria-selected", name === page);
      tab.tabIndex = name === page ? 0 : -1;
      panel.hidden = name !== page || opened;
    }
    rows.seen(visible && page === "tasks" && !opened);
    groups.seen(visible && page === "failures" && !opened);
    if (visible && page === "map" && !opened) map.repaint();
    task.seen(visible && opened);
  }

  function open(which, node) {
    from = node ?? from;
    link.ui.task = which;
    task.open(which);
    settle();
  }

  function back() {
    task.close();
    link.ui.task = -1;
    settle();
    from?.focus?.({ preventScroll: true });
    from = null;
  }

  // -- acts -------------------------------------------------------------------------------------------------

  function tell(text, bad) {
    clearTimeout(silence);
    setText(told, text);
    told.classList.toggle("stratos-bad-news", Boolean(bad));
    silence = setTimeout(() => setText(told, ""), bad ? 4 * TOLD_MS : TOLD_MS);
  }

  function failed(error) {
    if (error.message !== "closed") tell(error.message, true);
  }

  async function send(content) {
    try {
      const [{ said }] = await link.ask(content);
      tell(said);
      rows.reload();
      return true;
    } catch (error) {
      failed(error);
      return false;
    }
  }

  // Act on the job, or on the tasks that `what` says.
  function act(name, what) {
    return ACTIONS[name](what, { view: link.view, question: ask, send, tell });
  }

  if (link.ui.query) rows.filter(link.ui.query);
  if (link.ui.task >= 0) task.open(link.ui.task, false);
  settle();

  return {
    show(changed) {
      const { view } = link;
      if (!view) return;
      doing.show(view);
      const bad = view.counts.failed + view.counts.killed + view.counts.lost;
      setText(pages.failures.count, bad ? whole.format(bad) : "");
      map.show(changed, visible && page === "map" && task.task < 0);
      if (!visible) return;
      rows.show(changed);
      groups.show(changed);
      task.show(changed);
    },
    second() {
      setText(waits, link.owing && link.known ? "Waits for the kernel, which is busy with something else." : "");
      rows.second();
    },
    seen(is) {
      visible = is;
      settle();
    },
    destroy() {
      clearTimeout(silence);
      for (const part of parts) part.destroy();
    },
  };
}
