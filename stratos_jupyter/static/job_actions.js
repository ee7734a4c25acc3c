// What can be done with the whole job: pause, resume, relaunch what failed, kill, and how many may run at once.

import { button, el, leaveFocus, setAttr, setText, tasksText, whole } from "./dom.js";

const STEPS = [...Array.from({ length: 16 }, (_, i) => i + 1), 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 256, 320, 384, 512, 768, 1024, 2048, 4096];
const SEND_AFTER_MS = 250;

export function jobActions(parent, link, { act }) {
  const root = el("div", "stratos-acts", parent, { role: "group", "aria-label": "Job", tabindex: "-1" });
  const pause = button(root, "Pause", "plain", () => act(link.view.held ? "resume" : "pause"));
  const relaunch = button(root, "Relaunch failed", "plain", () => act("relaunchFailed"));
  const kill = button(root, "Kill job", "plain", () => act("killJob"));
  const limit = el("label", "stratos-limit", root);
  el("span", "stratos-limit-name", limit).textContent = "At once";
  const slider = el("input", "stratos-slider", limit, { type: "range", min: "0", step: "1", "aria-label": "How many tasks may run at once" });
  const value = el("span", "stratos-limit-value", limit, { "aria-hidden": "true" });
  let steps = STEPS;
  let sending = 0;
  let held = false; // the user moves it now

  const text = (place) => (place >= steps.length ? "no bound" : `at most ${whole.format(steps[place])}`);
  const shownAs = () => {
    setText(value, Number(slider.value) >= steps.length ? "no bound" : whole.format(steps[Number(slider.value)]));
    setAttr(slider, "aria-valuetext", text(Number(slider.value)));
  };

  slider.addEventListener("input", () => {
    held = true;
    shownAs();
    clearTimeout(sending);
    sending = setTimeout(() => {
      const place = Number(slider.value);
      act("limit", { most: place >= steps.length ? null : steps[place] }).finally(() => { held = false; });
    }, SEND_AFTER_MS);
  });

  return {
    node: root,
    show(view) {
      const failed = view.counts.failed + view.counts.lost;
      const open = view.total - view.done;
      setText(pause, view.held ? "Resume" : "Pause");
      leaveFocus(root, root, () => {
        pause.disabled = !view.held && !open;
        relaunch.disabled = !failed;
        kill.disabled = !open;
      });
      setText(relaunch, failed ? `Relaunch ${whole.format(failed)} failed` : "Relaunch failed");
      kill.title = open ? `End ${tasksText(open)}` : "";
      if (held || view.max_tasks === undefined) return;
      const most = view.max_tasks;
      const before = steps;
      if (most !== null && !steps.includes(most)) steps = [...STEPS, most].sort((a, b) => a - b);
      if (steps !== before || slider.max === "" || slider.max === "100") setAttr(slider, "max", steps.length);
      const place = String(most === null ? steps.length : steps.indexOf(most));
      if (slider.value !== place) slider.value = place;
      shownAs();
    },
    destroy() {
      clearTimeout(sending);
    },
  };
}
