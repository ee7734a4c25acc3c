// What each button does: the question that it asks first, if any, and what it then asks the kernel to do.
//
// `what` says which tasks, how many, and how a question calls them; `to` has the view, the question, the kernel and the
// line for the user. Each returns whether the kernel was asked, and has said yes.

import { ENDED_FROM, STATE_OF, whole } from "./dom.js";

const targetOf = (what) => (what?.group ? { group: what.group } : { tasks: what?.tasks });
const inFlight = (number) => number > 0 && number < ENDED_FROM;
const finished = (number) => STATE_OF[number].name === "finished";

export const ACTIONS = {
  pause: (_what, to) => to.send({ do: "pause" }),
  resume: (_what, to) => to.send({ do: "resume" }),
  limit: (what, to) => to.send({ do: "limit", most: what.most }),
  relaunchFailed: (_what, to) => to.send({ do: "relaunch" }),

  async killJob(_what, to) {
    const { job, counts } = to.view;
    const running = counts.running + counts.staging + counts.unreachable;
    const sure = await to.question(`Kill ${job}? ${whole.format(running)} that run and ${whole.format(counts.queued)} that wait end now. This cannot be undone.`, { verb: "Kill the job" });
    return sure && to.send({ do: "kill" });
  },

  async kill(what, to) {
    const sure = await to.question(`Kill ${what.what}? What has ended stays as it is. This cannot be undone.`, { verb: "Kill" });
    return sure && to.send({ do: "kill", ...targetOf(what) });
  },

  async relaunch(what, to) {
    const running = what.states.filter(inFlight).length;
    const good = what.states.filter(finished).length;
    if (running || good) {
      const parts = [running && `${whole.format(running)} that run now are ended first`, good && `${whole.format(good)} had finished well: a new result takes the old one's place`];
      const sure = await to.question(`Relaunch ${what.what}? ${parts.filter(Boolean).join("; ")}.`, { verb: "Relaunch" });
      if (!sure) return false;
    }
    return to.send({ do: "relaunch", ...targetOf(what) });
  },

  async relaunchWithMemory(what, to) {
    const now = what.mem || 0;
    const most = what.largest ? `, the largest node has ${whole.format(what.largest)} MiB` : "";
    const text = `Relaunch ${what.what} with how much memory? ${now ? `Now it is ${whole.format(now)} MiB` : "Now there is no limit"}${most}.`;
    const mem = await to.question(text, { verb: "Relaunch", danger: false, field: "Memory", value: now ? `${whole.format(now * 2).replaceAll(",", "")}M` : "" });
    if (mem === "") to.tell("Relaunch with how much memory? Write 512M, or 2G.", true);
    return Boolean(mem) && to.send({ do: "relaunch", mem, ...targetOf(what) });
  },
};
