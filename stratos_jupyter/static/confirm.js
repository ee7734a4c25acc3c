// A question before an action that cannot be undone.

import { button, el, setText } from "./dom.js";

// A place in which a question can be asked, with a way out; one question at a time. What had the focus before has it
// again afterwards; when that is gone, what `heir` returns.
export function questionBox(parent, heir) {
  const box = el("div", "stratos-question", parent, { role: "alertdialog", "aria-modal": "false" });
  box.hidden = true;
  const text = el("span", "stratos-question-text", box);
  text.id = `stratos-q-${Math.random().toString(36).slice(2)}`;
  box.setAttribute("aria-labelledby", text.id);
  const field = el("label", "stratos-field", box);
  const fieldName = el("span", "", field);
  const input = el("input", "stratos-input", field, { type: "text", spellcheck: "false", autocomplete: "off" });
  const yes = button(box, "", "danger");
  const no = button(box, "Cancel", "plain");
  let answer = null;
  let back = null;

  const close = (value) => {
    if (!answer) return;
    const tell = answer;
    answer = null;
    const focused = box.contains(document.activeElement) || document.activeElement === document.body;
    box.hidden = true;
    if (focused) (back?.isConnected && !back.disabled && !back.closest("[hidden]") ? back : heir()).focus();
    tell(value);
  };
  yes.addEventListener("click", () => close(field.hidden ? true : input.value.trim()));
  no.addEventListener("click", () => close(null));
  box.addEventListener("keydown", (event) => {
    if (event.key === "Escape") close(null);
    else if (event.key === "Enter" && event.target === input) close(input.value.trim());
    else return;
    event.preventDefault();
    event.stopPropagation();
  });

  // -> true, or the text of the field; null when the user would rather not
  return (question, { verb, danger = true, field: name = null, value = "" }) => {
    close(null);
    back = document.activeElement;
    setText(text, question);
    setText(yes, verb);
    yes.className = `stratos-button stratos-${danger ? "danger" : "main"}`;
    field.hidden = name === null;
    setText(fieldName, name ?? "");
    input.value = value;
    box.hidden = false;
    (name === null ? no : input).focus();
    if (name !== null) input.select();
    return new Promise((resolve) => { answer = resolve; });
  };
}
