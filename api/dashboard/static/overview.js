// The overview's charts: a stack of outcomes, and percentiles of waits and runs, drawn from what the page says.
"use strict";

(() => {
  const SHARES = { p50: "--completed-fill", p95: "--running-fill", p99: "--scheduled-fill" };
  const plots = new Map();
  let shown = "";
  let data;

  const read = () => document.querySelector("[data-chart]")?.dataset.chart ?? "";
  const element = (name) => document.querySelector(`[data-plot="${name}"]`);
  const perMinute = (number) => number / (data.step / 60);
  const pad = (number) => String(number).padStart(2, "0");

  const day = (seconds) => new Date(seconds * 1000).toLocaleDateString(undefined, { day: "numeric", month: "short" });
  const hour = (seconds) => {
    const at = new Date(seconds * 1000);
    return `${pad(at.getHours())}:${pad(at.getMinutes())}`;
  };
  const clock = (seconds) => (day(seconds) === day(Date.now() / 1000) ? hour(seconds) : `${day(seconds)} ${hour(seconds)}`);

  const axis = (more) => ({
    stroke: () => dashboard.colour("--quiet"),
    font: "12px system-ui, sans-serif",
    grid: { stroke: () => dashboard.colour("--line"), width: 1 },
    ticks: { show: false },
    ...more,
  });

  // A mark says the time, and the first one of a day the day.
  const times = (self, splits) => splits.map((at, place) => (place && day(at) !== day(splits[place - 1]) ? day(at) : hour(at)));

  const bottom = () => axis({ values: times, space: 70, size: 34 });
  const decades = (self, splits) => splits.map((value) => (Math.abs(Math.log10(value) - Math.round(Math.log10(value))) < 1e-6 ? value : null));

  // A box beside the pointer that says what is there.
  const tips = (rowsAt) => {
    const box = document.createElement("div");
    box.className = "tip";
    box.hidden = true;
    const write = (self) => {
      const place = self.cursor.idx;
      if (place === null || place === undefined || self.cursor.left < 0 || !self.over.matches(":hover")) {
        box.hidden = true;
        return;
      }
      const head = document.createElement("div");
      head.className = "quiet";
      const until = data.at[place] + data.step;
      head.textContent = `${clock(data.at[place])} – ${hour(until)}`;
      const list = document.createElement("dl");
      for (const [kind, name, value] of rowsAt(place)) {
        const swatch = document.createElement("span");
        swatch.className = `swatch ${kind}`;
        const dt = document.createElement("dt");
        dt.textContent = name;
        const dd = document.createElement("dd");
        dd.textContent = value;
        list.append(swatch, dt, dd);
      }
      box.replaceChildren(head, list);
      box.hidden = false;
      const wide = self.over.clientWidth;
      const left = self.cursor.left + 14 + box.offsetWidth > wide ? self.cursor.left - 14 - box.offsetWidth : self.cursor.left + 14;
      box.style.left = `${Math.max(0, left)}px`;
    };
    return {
      hooks: {
        init: (self) => self.over.append(box),
        setCursor: write,
      },
    };
  };

  // A step is drawn in its middle, so that what is nearest to the pointer is what it points at.
  const middles = () => data.at.map((at) => at + data.step / 2);

  // The highest part first: what is below is drawn over it.
  const stack = () => {
    const sums = data.at.map(() => 0);
    const columns = data.ends.map((part) => part.numbers.map((number, place) => (sums[place] += perMinute(number))));
    return [middles(), ...columns.reverse()];
  };

  const follow = (self) => {
    const place = self.cursor.idx;
    if (place === null || place === undefined) return;
    const height = self.posToVal(self.cursor.top, "y");
    let sum = 0;
    const part = data.ends.find((end) => (sum += perMinute(end.numbers[place])) >= height);
    if (!part || !part.numbers[place]) return;
    const address = new URL(part.address, location);
    if (address.searchParams.has("finishedAfter")) {
      address.searchParams.set("finishedAfter", new Date(data.at[place] * 1000).toISOString());
    }
    location.assign(address);
  };

  const size = (holder) => ({ width: Math.max(holder.clientWidth, 200), height: holder.clientHeight });

  const cursor = (more) => ({ y: false, points: { show: false }, drag: { x: false, y: false }, sync: { key: "overview" }, ...more });

  const drawEnds = (holder) => new uPlot({
    ...size(holder),
    legend: { show: false },
    cursor: cursor({}),
    scales: { x: { range: () => [data.at[0] - data.step * 0.1, data.at.at(-1) + data.step * 1.1] }, y: { range: (self, min, max) => [0, Math.max(max, 1) * 1.08] } },
    axes: [bottom(), axis({ size: 52, values: (self, splits) => splits.map((value) => (Number.isInteger(value) || value < 10 ? dashboard.number(value) : dashboard.number(Math.round(value)))) })],
    series: [
      {},
      ...data.ends.map((part) => ({
        fill: () => dashboard.colour(`--${part.status}-fill`),
        width: 0,
        points: { show: false },
        paths: uPlot.paths.bars({ size: [0.78, 64] }),
      })).reverse(),
    ],
    plugins: [tips((place) => data.ends.toReversed()
      .filter((part) => part.numbers[place] || part.name === "completed")
      .map((part) => [part.status, part.name, dashboard.number(part.numbers[place])]))],
    hooks: {
      ready: [(self) => self.over.addEventListener("click", () => follow(self))],
      setCursor: [(self) => {
        const place = self.cursor.idx;
        const top = place === null || place === undefined ? 0 : data.ends.reduce((sum, part) => sum + perMinute(part.numbers[place]), 0);
        holder.classList.toggle("pointing", top > 0 && self.posToVal(self.cursor.top, "y") <= top);
      }],
    },
  }, stack(), holder);

  // Below a millisecond nothing is told apart. The axis begins and ends at powers of ten: from a number just below one,
  // uPlot looks for the marks of a logarithmic axis without end.
  const LEAST = 0.001;
  const decadesAround = (min, max) => {
    const first = Math.floor(Math.log10(min));
    return [Number(`1e${first}`), Number(`1e${Math.max(Math.ceil(Math.log10(max)), first + 1)}`)];
  };
  const columns = (name) => [middles(), ...Object.keys(SHARES).map((share) =>
    data[name][share].map((value) => (value === null ? null : Math.max(value, LEAST))))];

  // A line needs two neighbours: what has none on either side is drawn as a point.
  const lonely = (values) => values.flatMap((value, place) =>
    value !== null && (values[place - 1] ?? null) === null && (values[place + 1] ?? null) === null ? [place] : []);

  const drawTimes = (holder, name) => new uPlot({
    ...size(holder),
    legend: { show: false },
    cursor: cursor({}),
    scales: {
      x: { range: () => [data.at[0] - data.step * 0.1, data.at.at(-1) + data.step * 1.1] },
      // Orders of magnitude lie between the median and the worst.
      y: { distr: 3, range: (self, min, max) => decadesAround(min || LEAST, max || 1) },
    },
    axes: [bottom(), axis({ size: 78, space: 24, grid: { stroke: () => dashboard.colour("--line"), width: 1, filter: decades }, values: (self, splits) => splits.map((value) => (value === null || value === undefined ? "" : dashboard.duration(value).replace(".0 s", " s"))), filter: decades })],
    series: [
      {},
      ...Object.entries(SHARES).map(([, colour]) => ({
        stroke: () => dashboard.colour(colour),
        width: 1.75,
        spanGaps: false,
        points: { show: true, filter: (self, place) => lonely(self.data[place]), size: 6, fill: () => dashboard.colour(colour) },
      })),
    ],
    plugins: [tips((place) => Object.keys(SHARES).toReversed().map((share) =>
      [`line ${share}`, share, data[name][share][place] === null ? "—" : dashboard.duration(data[name][share][place])]))],
  }, columns(name), holder);

  const draw = () => {
    const text = read();
    if (!text || text === shown) return;
    const step = data?.step;
    data = JSON.parse(text);
    shown = text;
    for (const name of ["ends", "wait", "run"]) {
      const holder = element(name);
      let plot = plots.get(name);
      if (plot && (plot.root.parentNode !== holder || step !== data.step)) {
        plot.destroy();
        plot = undefined;
      }
      if (plot) plot.setData(name === "ends" ? stack() : columns(name));
      else plots.set(name, name === "ends" ? drawEnds(holder) : drawTimes(holder, name));
    }
  };

  const drawAnew = () => { for (const plot of plots.values()) plot.redraw(false, true); };
  const fit = () => { for (const [name, plot] of plots) plot.setSize(size(element(name))); };

  const prepare = () => {
    for (const button of document.querySelectorAll("[data-hidden-by-script]")) button.hidden = true;
    draw();
  };

  // What a cell runs, for those who point at it or step to it.
  const tell = (event) => {
    const told = event.target instanceof Element ? event.target.closest("[data-told]")?.dataset.told : undefined;
    const said = document.querySelector("[data-said]");
    if (told && said) said.textContent = told;
  };

  document.addEventListener("pointerover", tell);
  document.addEventListener("focusin", tell);
  document.addEventListener("change", (event) => {
    if (event.target instanceof Element && event.target.matches("[data-goes]")) event.target.form.requestSubmit();
  });
  document.addEventListener("htmx:afterSwap", prepare);
  document.addEventListener("dashboard:theme", drawAnew);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAnew);
  addEventListener("resize", fit);
  prepare();
})();
