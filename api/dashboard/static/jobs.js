// The list of jobs: completion in the search box, and ticked rows.
"use strict";

(() => {
  const box = document.querySelector("[data-jobs-search] input[type=search]");
  const list = document.getElementById("completions");
  const { qualifiers, values } = JSON.parse(box.dataset.completions);
  let chosen = -1;

  // The word that the cursor is in, or at the end of.
  const word = () => {
    const end = box.selectionStart;
    const begin = box.value.slice(0, end).search(/\S*$/);
    return { begin, end, text: box.value.slice(begin, end) };
  };

  const fitting = (text) => {
    const colon = text.indexOf(":");
    if (colon > 0 && values[text.slice(0, colon).toLowerCase()]) {
      const name = text.slice(0, colon).toLowerCase();
      const said = text.slice(colon + 1);
      const comma = said.lastIndexOf(",") + 1;
      const part = said.slice(comma).toLowerCase();
      const full = (value) => `${name}:${said.slice(0, comma)}${value}`;
      return values[name].filter((value) => value.toLowerCase().startsWith(part) && full(value) !== text)
        .map((value) => ({ text: full(value), hint: "", ends: true }));
    }
    if (text.toLowerCase().startsWith("payload.")) {
      return values["payload."].map((field) => `payload.${field}:`).filter((each) => each.startsWith(text) && each !== text)
        .map((each) => ({ text: each, hint: "a value of the payload" }));
    }
    return Object.entries(qualifiers).filter(([name]) => name.startsWith(text.toLowerCase()))
      .map(([name, hint]) => ({ text: name.endsWith(".") ? name : `${name}:`, hint }));
  };

  const close = () => {
    list.hidden = true;
    chosen = -1;
    box.setAttribute("aria-expanded", "false");
    box.removeAttribute("aria-activedescendant");
  };

  const choose = (place) => {
    const items = [...list.children];
    chosen = (place + items.length) % items.length;
    items.forEach((item, number) => item.setAttribute("aria-selected", String(number === chosen)));
    items[chosen].scrollIntoView({ block: "nearest" });
    box.setAttribute("aria-activedescendant", items[chosen].id);
  };

  const take = (item) => {
    const { begin, end } = word();
    const text = item.dataset.text + (item.dataset.ends ? " " : "");
    box.setRangeText(text, begin, end, "end");
    suggest();
  };

  const suggest = () => {
    const found = fitting(word().text).slice(0, 12);
    if (!found.length || document.activeElement !== box) {
      close();
      return;
    }
    list.replaceChildren(...found.map(({ text, hint, ends }, number) => {
      const item = document.createElement("li");
      item.id = `completion-${number}`;
      item.role = "option";
      item.dataset.text = text;
      if (ends) item.dataset.ends = "yes";
      item.setAttribute("aria-selected", "false");
      const name = document.createElement("code");
      name.textContent = text;
      const said = document.createElement("span");
      said.className = "quiet";
      said.textContent = hint;
      item.append(name, said);
      return item;
    }));
    chosen = -1;
    list.hidden = false;
    box.setAttribute("aria-expanded", "true");
    box.removeAttribute("aria-activedescendant");
  };

  box.addEventListener("input", suggest);
  box.addEventListener("focus", suggest);
  box.addEventListener("click", suggest);
  box.addEventListener("blur", close);
  list.addEventListener("mousedown", (event) => {
    const item = event.target.closest("li");
    event.preventDefault(); // the box keeps the focus
    if (item) take(item);
  });
  box.addEventListener("keydown", (event) => {
    if (list.hidden) {
      if (event.key === "ArrowDown") suggest();
      return;
    }
    const item = list.children[chosen];
    if (event.key === "ArrowDown") choose(chosen + 1);
    else if (event.key === "ArrowUp") choose(chosen < 0 ? -1 : chosen - 1);
    else if (event.key === "Tab" && !event.shiftKey && word().text) take(item ?? list.children[0]);
    else if (event.key === "Enter" && item) take(item);
    else if (event.key === "Escape") { close(); event.stopPropagation(); }
    else return;
    event.preventDefault();
  });

  // Ticked rows.

  const form = document.querySelector("[data-jobs-form]");
  const acts = form?.querySelector("[data-acts]");
  if (!acts) return;
  const boxes = () => [...form.querySelectorAll("tbody input[name=id]")];

  const count = () => {
    const ticked = boxes().filter((each) => each.checked).length;
    acts.querySelector("[data-acts-which]").textContent =
      ticked ? `${ticked} ${ticked === 1 ? "job" : "jobs"} ticked` : "No job ticked";
    for (const button of acts.querySelectorAll("[data-needs-some]")) button.disabled = !ticked;
    const all = form.querySelector("[data-pick-all]");
    if (!all) return; // no row has been found yet
    all.checked = ticked > 0 && ticked === boxes().length;
    all.indeterminate = ticked > 0 && ticked < boxes().length;
  };

  form.addEventListener("change", (event) => {
    if (event.target.matches("[data-pick-all]")) {
      for (const each of boxes()) each.checked = event.target.checked;
    }
    count();
  });
  document.addEventListener("htmx:afterSwap", count);
  addEventListener("pageshow", count);
  count();
})();
