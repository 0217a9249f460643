// The job page: its tabs, and what it copies. Without this all panels are there, one below the other.
"use strict";

(() => {
  let chosen = "";

  const tabsOf = (list) => [...list.querySelectorAll("a[href^='#']")];
  const panelOf = (tab) => document.getElementById(tab.hash.slice(1));

  // What the server sends knows nothing of the choice, so this is done again after each update, before anything is painted.
  const show = () => {
    const box = document.querySelector("[data-tabs]");
    if (!box) return;
    const list = box.querySelector(".tab-list");
    const tabs = tabsOf(list);
    const wanted = tabs.some((tab) => tab.hash === `#${chosen}`) ? chosen : box.dataset.tabs;
    list.setAttribute("role", "tablist");
    for (const tab of tabs) {
      const panel = panelOf(tab);
      const isChosen = tab.hash === `#${wanted}`;
      tab.setAttribute("role", "tab");
      tab.setAttribute("aria-controls", panel.id);
      tab.setAttribute("aria-selected", String(isChosen));
      tab.tabIndex = isChosen ? 0 : -1;
      panel.setAttribute("role", "tabpanel");
      panel.hidden = !isChosen;
    }
    box.classList.add("ready");
  };

  const choose = (name) => {
    chosen = name;
    history.replaceState(history.state, "", `${location.pathname}${location.search}#${name}`);
    show();
  };

  const fromAddress = () => {
    const name = location.hash.slice(1);
    if (document.querySelector(`.tab-list a[href="#${CSS.escape(name)}"]`)) chosen = name;
    show();
  };

  document.addEventListener("click", (event) => {
    const target = event.target instanceof Element ? event.target : null;
    const tab = target?.closest(".tab-list a");
    if (tab && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
      event.preventDefault();
      choose(tab.hash.slice(1));
    }
    const copies = target?.closest("[data-copies]");
    if (copies) dashboard.copy(document.getElementById(copies.dataset.copies).textContent);
  });

  document.addEventListener("keydown", (event) => {
    const tab = event.target instanceof Element ? event.target.closest("[role=tab]") : null;
    if (!tab) return;
    const tabs = tabsOf(tab.closest("[role=tablist]"));
    const here = tabs.indexOf(tab);
    const next = { ArrowRight: here + 1, ArrowLeft: here - 1, Home: 0, End: tabs.length - 1 }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    const to = tabs[(next + tabs.length) % tabs.length];
    choose(to.hash.slice(1));
    to.focus();
  });

  addEventListener("hashchange", fromAddress);
  document.addEventListener("htmx:afterSwap", show);
  fromAddress();

  // A form that was refused is shown again, above the page, and not sent again by a reload.
  for (const dialog of document.querySelectorAll("dialog[data-reopens]")) {
    history.replaceState(history.state, "", dialog.dataset.reopens);
    dialog.close();
    dialog.showModal();
  }

  // The end of a log is what one wants to see, and goes on seeing while it grows.
  const atEnd = (box) => box.scrollHeight - box.scrollTop - box.clientHeight < 24;
  let follows = true;
  const follow = () => {
    const box = document.querySelector(".log-box");
    if (box && follows && !box.closest("[hidden]")) box.scrollTop = box.scrollHeight;
  };
  document.addEventListener("scroll", (event) => {
    if (event.target instanceof Element && event.target.matches(".log-box")) follows = atEnd(event.target);
  }, true);
  document.addEventListener("htmx:afterSwap", follow);
  document.addEventListener("click", () => requestAnimationFrame(follow));
  follow();
})();
