// Below the head: what can be done, the map, the table, the failures, and one task at a time.

import { STATE_OF, el, setAttr, setText, whole } from "./dom.js";
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

  // `what`: how many tasks, which, and what they are called in a question.
  async function act(kind, what) {
    const { view } = link;
    const target = what?.group ? { group: what.group } : { tasks: what?.tasks };
    switch (kind) {
      case "pause":
      case "resume":
        return send({ do: kind });
      case "limit":
        return send({ do: "limit", most: what.most });
      case "failed":
        return send({ do: "relaunch" });
      case "job": {
        const running = view.counts.running + view.counts.staging + view.counts.unreachable;
        const sure = await ask(`Kill ${view.job}? ${whole.format(running)} that run and ${whole.format(view.counts.queued)} that wait end now. This cannot be undone.`, { verb: "Kill the job" });
        return sure && send({ do: "kill" });
      }
      case "kill": {
        const sure = await ask(`Kill ${what.what}? What has ended stays as it is. This cannot be undone.`, { verb: "Kill" });
        return sure && send({ do: "kill", ...target });
      }
      case "relaunch": {
        const running = what.states.filter((state) => state > 0 && state < 4).length;
        const good = what.states.filter((state) => state === 4).length;
        if (running || good) {
          const parts = [running && `${whole.format(running)} that run now are ended first`, good && `${whole.format(good)} had finished well: a new result takes the old one's place`];
          const sure = await ask(`Relaunch ${what.what}? ${parts.filter(Boolean).join("; ")}.`, { verb: "Relaunch" });
          if (!sure) return false;
        }
        return send({ do: "relaunch", ...target });
      }
      case "memory": {
        const now = what.mem || 0;
        const most = what.largest ? `, the largest node has ${whole.format(what.largest)} MiB` : "";
        const question = `Relaunch ${what.what} with how much memory? ${now ? `Now it is ${whole.format(now)} MiB` : "Now there is no limit"}${most}.`;
        const mem = await ask(question, { verb: "Relaunch", danger: false, ask: "Memory", value: now ? `${whole.format(now * 2).replaceAll(",", "")}M` : "" });
        if (mem === "") tell("Relaunch with how much memory? Write 512M, or 2G.", true);
        return Boolean(mem) && send({ do: "relaunch", mem, ...target });
      }
    }
    return false;
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
