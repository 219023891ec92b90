"use strict";

/* Updates the elements with data-figure inside of it by server-sent events, while the page is visible. */
class LiveFigures extends HTMLElement {
  connectedCallback() {
    this.onVisibility = () => (document.hidden || this.ended ? this.close() : this.open());
    document.addEventListener("visibilitychange", this.onVisibility);
    this.onVisibility();
  }

  disconnectedCallback() {
    document.removeEventListener("visibilitychange", this.onVisibility);
    this.close();
  }

  open() {
    if (this.source || !this.dataset.src) return;
    this.source = new EventSource(this.dataset.src);
    this.source.addEventListener("figures", (event) => this.show(JSON.parse(event.data)));
  }

  close() {
    this.source?.close();
    this.source = null;
  }

  show(figures) {
    for (const [lane, each] of Object.entries(figures.lanes ?? {})) {
      this.write(`lane-${lane}-queued`, each.queued);
      this.write(`lane-${lane}-age`, each.age);
    }
    for (const [name, count] of Object.entries(figures.totals ?? {})) this.write(`total-${name}`, count);
    if ("per_minute" in figures) this.write("per-minute", figures.per_minute);
    if (figures.series) this.querySelector("throughput-chart")?.update(figures.series);
    for (const [name, text] of Object.entries(figures.words ?? {})) this.put(name, text);
    for (const [name, value] of Object.entries(figures.bars ?? {})) this.fill(name, value);
    if (figures.state && figures.state !== this.dataset.state) this.follow(figures.state);
    if (figures.ended) {
      this.ended = true;
      this.close();
    }
  }

  /* Loads the parts of the page that depend on the state anew. */
  async follow(state) {
    this.dataset.state = state;
    const answer = await fetch(location.href);
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of document.querySelectorAll("[data-follows]")) {
      const next = fresh.getElementById(part.id);
      if (next && !part.contains(document.activeElement)) part.replaceWith(document.importNode(next, true));
    }
  }

  fill(name, value) {
    const bar = this.querySelector(`progress[data-figure="${name}"]`);
    if (bar) bar.value = value;
    this.put(name, `${value} %`);
  }

  write(name, value) {
    this.put(name, Number(value).toLocaleString(document.documentElement.lang));
  }

  put(name, text) {
    const element = this.querySelector(`[data-figure="${name}"]:not(progress)`);
    if (element && element.textContent !== text) element.textContent = text;
  }
}

/* Draws its data-series with uPlot, in the colours of the page. The table below it says the same,
   and has the data-links to which its points lead, too. */
class ThroughputChart extends HTMLElement {
  connectedCallback() {
    if (!window.uPlot || !this.dataset.series) return;
    this.setAttribute("aria-hidden", "true");
    this.series = JSON.parse(this.dataset.series);
    this.scheme = window.matchMedia("(prefers-color-scheme: dark)");
    this.redraw = () => this.draw();
    this.scheme.addEventListener("change", this.redraw);
    this.observer = new ResizeObserver(() => this.chart?.setSize({ width: this.clientWidth, height: 220 }));
    this.draw();
    this.observer.observe(this);
  }

  disconnectedCallback() {
    this.observer?.disconnect();
    this.scheme?.removeEventListener("change", this.redraw);
    this.chart?.destroy();
  }

  update(series) {
    this.series = series;
    this.chart?.setData(series);
  }

  draw() {
    this.chart?.destroy();
    const style = getComputedStyle(document.documentElement);
    const token = (name) => style.getPropertyValue(`--${name}`).trim();
    const axis = { stroke: token("text-quiet"), grid: { stroke: token("border"), width: 1 }, ticks: { stroke: token("border") } };
    const tones = this.dataset.tones?.split(" ") ?? ["accent", "good", "bad"];
    const lines = this.dataset.labels.split("|").map((label, index) => {
      const [tone, dash] = tones[index].split(":");
      return { label, stroke: token(tone), width: 2, dash: dash && [6, 4], points: { show: false } };
    });
    const links = JSON.parse(this.dataset.links ?? "[]");
    const cursor = { show: links.some(Boolean), drag: { x: false, y: false }, points: { size: 6 } };
    this.chart = new window.uPlot(
      { width: this.clientWidth, height: 220, series: [{}, ...lines], axes: [axis, axis], cursor, legend: { live: false } },
      this.series,
      this,
    );
    this.chart.over.addEventListener("click", () => {
      const link = links[this.chart.cursor.idx];
      if (link) window.location.assign(link);
    });
  }
}

/* Adds a box to the head of its table that marks all rows. */
class CheckAll extends HTMLElement {
  connectedCallback() {
    const cell = this.querySelector("thead th");
    if (!cell) return;
    const box = document.createElement("input");
    box.type = "checkbox";
    box.setAttribute("aria-label", cell.textContent);
    box.addEventListener("change", () => {
      for (const each of this.querySelectorAll("tbody input[type=checkbox]")) each.checked = box.checked;
    });
    cell.append(" ", box);
  }
}

customElements.define("live-figures", LiveFigures);
customElements.define("throughput-chart", ThroughputChart);
customElements.define("check-all", CheckAll);
