// What every page does in the browser: times in the viewer's zone, live updates, keys, dialogs. Pages add their own.
"use strict";

const dashboard = (() => {
  const stored = (name) => {
    try { return localStorage.getItem(`jobplatform.${name}`); } catch { return null; }
  };
  const store = (name, value) => {
    try { localStorage.setItem(`jobplatform.${name}`, value); } catch { /* then it lasts as long as the page */ }
  };

  // Times and durations, in the same words as the server's (wording.py).

  const pad = (number) => String(number).padStart(2, "0");

  const duration = (seconds) => {
    if (seconds < 0.9995) return `${Math.round(seconds * 1000)} ms`;
    if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
    const whole = Math.round(seconds);
    if (whole < 60) return `${whole} s`;
    if (whole < 3600) return `${Math.floor(whole / 60)} min ${pad(whole % 60)} s`;
    if (whole < 86400) return `${Math.floor(whole / 3600)} h ${pad(Math.floor((whole % 3600) / 60))} min`;
    return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
  };

  const roughly = (seconds) => {
    if (seconds < 60) return `${Math.floor(seconds)} s`;
    if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
    if (seconds < 86400) return `${Math.floor(seconds / 3600)} h`;
    return `${Math.floor(seconds / 86400)} d`;
  };

  const relative = (at) => {
    const seconds = (Date.now() - at) / 1000;
    if (seconds > 30 * 86400) return clock(at);
    if (seconds >= 1) return `${roughly(seconds)} ago`;
    return seconds > -1 ? "now" : `in ${roughly(-seconds)}`;
  };

  const day = (at) => `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())}`;
  const ofDay = (at) => `${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}`;
  const clock = (at) => (day(at) === day(new Date()) ? ofDay(at) : `${day(at)} ${ofDay(at)}`);
  const exact = (at) => `${day(at)} ${ofDay(at)}.${String(at.getMilliseconds()).padStart(3, "0")}`;
  const zone = (at) => at.toLocaleTimeString("en", { timeZoneName: "short" }).split(" ").pop();

  const write = (element, text) => {
    if (element.textContent !== text) element.textContent = text;
  };

  const tell = (within) => {
    for (const element of within.querySelectorAll("time[data-time]")) {
      const at = new Date(element.dateTime);
      const styles = { relative, clock, exact };
      write(element, (styles[element.dataset.time] ?? relative)(at));
      element.title = `${exact(at)} ${zone(at)}\n${at.toISOString().replace("T", " ").replace("Z", " UTC")}`;
    }
    for (const element of within.querySelectorAll("[data-since]")) {
      write(element, duration(Math.max(0, (Date.now() - new Date(element.dataset.since)) / 1000)));
    }
  };

  // Live updates: parts of the page are asked for again, and what differs is changed in place.

  let live = stored("live") !== "off";
  const askedAt = new WeakMap();
  const button = document.querySelector("[data-live-switch]");

  const showLive = () => {
    button.setAttribute("aria-pressed", String(live));
    write(button.querySelector("[data-live-word]"), live ? "Live" : "Paused");
    button.title = live ? "Pause live updates (p)" : "Resume live updates (p)";
    button.setAttribute("aria-label", "Live updates");
  };

  const switchLive = () => {
    live = !live;
    store("live", live ? "on" : "off");
    showLive();
    look();
  };

  const stale = (isStale) => {
    button.classList.toggle("stale", isStale);
    if (isStale) button.title = "The last update failed: the platform does not answer";
    else showLive();
  };

  // A selection is being read, or copied: it would be lost.
  const isBeingRead = (element) => {
    const selection = getSelection();
    return !selection.isCollapsed && (element.contains(selection.anchorNode) || element.contains(selection.focusNode));
  };

  const look = () => {
    if (!live || document.hidden) return;
    for (const element of document.querySelectorAll("[data-live]")) {
      const now = performance.now();
      const since = now - (askedAt.get(element) ?? loadedAt);
      if (since < Number(element.dataset.live) - 100 || isBeingRead(element)) continue;
      askedAt.set(element, now);
      htmx.trigger(element, "live");
    }
  };
  const loadedAt = performance.now();

  const isDirty = (node) =>
    (node instanceof HTMLInputElement && (node.type === "checkbox" || node.type === "radio") &&
      node.checked !== node.defaultChecked) ||
    ((node instanceof HTMLInputElement || node instanceof HTMLTextAreaElement) && node.value !== node.defaultValue);

  // What people opened, typed and ticked stays so.
  Idiomorph.defaults.ignoreActiveValue = true;
  Idiomorph.defaults.callbacks.beforeNodeMorphed = (old, fresh) => {
    if (isDirty(old)) return false;
    if (old instanceof HTMLTimeElement && fresh instanceof HTMLTimeElement) return old.dateTime !== fresh.dateTime;
    return !(old instanceof HTMLElement && old.dataset.keep !== undefined);
  };
  Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, element) =>
    !(name === "open" && (element instanceof HTMLDetailsElement || element instanceof HTMLDialogElement));

  document.addEventListener("htmx:beforeSwap", (event) => {
    const { target, serverResponse } = event.detail;
    // A page without this part, such as that of an error, must not take it away.
    if (target.id && !serverResponse.includes(`id="${target.id}"`)) event.detail.shouldSwap = false;
    else if (isBeingRead(target)) event.detail.shouldSwap = false;
  });
  document.addEventListener("htmx:afterSettle", (event) => tell(event.detail.elt.parentNode ?? document));
  document.addEventListener("htmx:afterSwap", () => tell(document));
  document.addEventListener("htmx:afterRequest", (event) => stale(!event.detail.successful));
  // A request that failed is shown by the switch; htmx would log it as an error as well.
  htmx.logger = null;

  // Dialogs and toasts.

  const open = (id) => {
    const dialog = document.getElementById(id);
    if (dialog instanceof HTMLDialogElement && !dialog.open) dialog.showModal();
  };

  const toast = (text) => {
    const element = document.createElement("div");
    element.className = "toast";
    element.textContent = text;
    document.querySelector("[data-toasts]").append(element);
    setTimeout(() => element.remove(), 4000);
  };

  const copy = async (text) => {
    try {
      await navigator.clipboard.writeText(text);
      toast("Copied.");
    } catch {
      toast("The browser lets nothing be copied here.");
    }
  };

  const switchTheme = () => {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    store("theme", root.dataset.theme);
    document.dispatchEvent(new CustomEvent("dashboard:theme"));
  };

  document.addEventListener("click", (event) => {
    const target = event.target instanceof Element ? event.target : null;
    const on = (selector) => target?.closest(selector);
    let found;
    if ((found = on("[data-opens]"))) {
      event.preventDefault();
      open(found.dataset.opens);
    } else if ((found = on("[data-closes]"))) {
      event.preventDefault();
      found.closest("dialog").close();
    } else if ((found = on("[data-dismiss]"))) {
      found.closest("[data-toast]").remove();
    } else if ((found = on("[data-copy]"))) {
      copy(found.dataset.copy);
    } else if (on("[data-live-switch]")) {
      switchLive();
    } else if (on("[data-theme-switch]")) {
      switchTheme();
    } else if (target instanceof HTMLDialogElement) {
      target.close(); // beside it
    }
  });
  document.addEventListener("submit", (event) => {
    // A second click does nothing twice.
    const form = event.target;
    if (form.method !== "post" || event.defaultPrevented) return;
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
  });
  addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
  });

  // Keys.

  const places = { o: "/", j: "/ui/jobs", f: "/ui/failures", w: "/ui/workers", q: "/ui/queues", t: "/ui/types", a: "/ui/actions" };
  let goes = 0;

  // The row that has the focus is the row that one is in: its first link is what Enter follows.
  const step = (by) => {
    const rows = [...document.querySelectorAll("tbody tr")].filter((row) => row.querySelector("a[href]") && row.offsetParent);
    if (!rows.length) return;
    const here = rows.indexOf(document.activeElement?.closest("tr"));
    const next = here < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.min(Math.max(here + by, 0), rows.length - 1);
    rows[next].querySelector("a[href]").focus({ preventScroll: true });
    rows[next].scrollIntoView({ block: "nearest" });
  };

  const keys = {
    "/": () => {
      const box = document.querySelector("main [data-search]") ?? document.querySelector("[data-search]");
      box?.focus();
      box?.select();
    },
    "?": () => open("help"),
    j: () => step(1),
    k: () => step(-1),
    p: switchLive,
    x: () => document.activeElement?.closest("tr")?.querySelector("input[type=checkbox]")?.click(),
    g: () => { goes = performance.now(); },
  };

  document.addEventListener("keydown", (event) => {
    const target = event.target;
    const isTyping = target instanceof Element && target.matches("input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable]");
    if (event.key === "Escape" && isTyping && target.matches("[data-search]")) target.blur();
    if (isTyping || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (goes && performance.now() - goes < 1500 && places[event.key]) {
      event.preventDefault();
      goes = 0;
      location.assign(places[event.key]);
      return;
    }
    goes = 0;
    if (keys[event.key]) {
      event.preventDefault();
      keys[event.key]();
    }
  });

  // The colour of a token, for what is drawn on a canvas: it differs between light and dark.
  const colour = (name) => {
    const probe = document.createElement("span");
    probe.style.color = `var(${name})`;
    document.body.append(probe);
    const found = getComputedStyle(probe).color;
    probe.remove();
    return found;
  };

  showLive();
  tell(document);
  setInterval(() => { if (!document.hidden) tell(document); }, 1000);
  setInterval(look, 500);
  document.addEventListener("visibilitychange", look);

  return { colour, copy, duration, isLive: () => live, number: (value) => value.toLocaleString("en").replaceAll(",", "\u202f"), open, tell, toast };
})();
