"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const { colors, keys, texts, x, y, columns } = data;
  const count = keys.length;
  const element = (id) => document.getElementById(id);
  const canvas = element("map"), pen = canvas.getContext("2d"), tip = element("tip");
  const searchable = keys.map((key, i) =>
    [key, texts[i], ...columns.map((c) => c.values[c.of[i]].name)].join("\n").toLowerCase());

  const state = {
    column: 0, // the label that gives the colors
    hidden: new Set(), // its values that are switched off
    hits: null, // the points that a search found, as a set
    hovered: -1, // the point under the pointer
    chosen: -1, // the point that the keyboard or a click chose
    scale: 1, left: 0, top: 0, // from the map's units to pixels
    width: 0, height: 0, ratio: 1,
  };
  let palette = {};

  // ---------------------------------------------------------------- drawing

  const label = () => columns[state.column];
  const valueOf = (i) => (columns.length ? label().values[label().of[i]] : null);
  const isShown = (i) => !columns.length || !state.hidden.has(label().of[i]);
  const colorOf = (value) =>
    value === null ? palette.colors[0] : value.color === null ? palette.gray : palette.colors[value.color];
  const screenX = (i) => x[i] * state.scale + state.left;
  const screenY = (i) => y[i] * state.scale + state.top;

  function readPalette() {
    const style = getComputedStyle(document.documentElement);
    const read = (name) => style.getPropertyValue(name).trim();
    palette = {
      colors: Array.from({ length: colors }, (_, i) => read(`--c${i}`)),
      gray: read("--gray"), ink: read("--ink"), mark: read("--mark"), halo: read("--halo"),
    };
  }

  function radius() {
    const base = Math.max(1.6, Math.min(5, Math.min(state.width, state.height) / 5.5 / Math.sqrt(count)));
    return base * Math.min(2.2, Math.pow(state.scale / fitScale(), 0.35));
  }

  function draw() {
    pen.setTransform(state.ratio, 0, 0, state.ratio, 0, 0);
    pen.clearRect(0, 0, state.width, state.height);
    const r = radius();
    // Gray points first, so that the colored ones lie above them; then what a search found.
    const layers = new Map();
    for (let i = 0; i < count; i++) {
      if (!isShown(i)) continue;
      const faint = state.hits !== null && !state.hits.has(i);
      const value = valueOf(i);
      const rank = (faint ? 0 : 100) + (value && value.color === null ? 0 : 1 + (value ? value.color : 0));
      if (!layers.has(rank)) layers.set(rank, { color: colorOf(value), faint, points: [] });
      layers.get(rank).points.push(i);
    }
    for (const [, layer] of [...layers].sort(([a], [b]) => a - b)) {
      pen.globalAlpha = layer.faint ? 0.16 : 0.85;
      pen.fillStyle = layer.color;
      pen.beginPath();
      for (const i of layer.points) dot(i, r);
      pen.fill();
    }
    pen.globalAlpha = 1;
    if (state.hits !== null) {
      pen.strokeStyle = palette.mark;
      pen.lineWidth = 1.4;
      pen.beginPath();
      for (const i of state.hits) if (isShown(i)) dot(i, r + 2);
      pen.stroke();
    } else {
      names();
    }
    for (const i of [state.hovered, state.chosen]) if (i >= 0) ring(i, r);
  }

  function dot(i, r) {
    const px = screenX(i), py = screenY(i);
    if (px < -r || py < -r || px > state.width + r || py > state.height + r) return;
    pen.moveTo(px + r, py);
    pen.arc(px, py, r, 0, 2 * Math.PI);
  }

  function ring(i, r) {
    const px = screenX(i), py = screenY(i);
    pen.beginPath();
    pen.arc(px, py, r + 1.5, 0, 2 * Math.PI);
    pen.fillStyle = colorOf(valueOf(i));
    pen.fill();
    pen.beginPath();
    pen.arc(px, py, r + 4.5, 0, 2 * Math.PI);
    pen.strokeStyle = palette.mark;
    pen.lineWidth = 2;
    pen.stroke();
  }

  // The names of the colored values, above where their points lie densest, unless they would overlap.
  function names() {
    if (!columns.length) return;
    const taken = [];
    pen.font = "600 13px system-ui, -apple-system, 'Segoe UI', Roboto, Arial, sans-serif";
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.lineJoin = "round";
    label().values.forEach((value, index) => {
      if (value.color === null || state.hidden.has(index)) return;
      let px = value.x * state.scale + state.left;
      const text = value.name.length > 28 ? `${value.name.slice(0, 27)}…` : value.name;
      const half = pen.measureText(text).width / 2 + 4;
      if (px > 0 && px < state.width) px = Math.max(half, Math.min(state.width - half, px));
      for (const step of [0, -1, 1, -2, 2, -3, 3]) {
        const py = value.y * state.scale + state.top - 14 + 18 * step;
        const box = [px - half, py - 9, px + half, py + 9];
        if (taken.some((t) => box[0] < t[2] && box[2] > t[0] && box[1] < t[3] && box[3] > t[1])) continue;
        taken.push(box);
        pen.strokeStyle = palette.halo;
        pen.lineWidth = 5;
        pen.strokeText(text, px, py);
        pen.fillStyle = palette.ink;
        pen.fillText(text, px, py);
        return;
      }
    });
  }

  let asked = false;
  function redraw() {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => { asked = false; draw(); });
  }

  // ---------------------------------------------------------------- the view

  const margin = 34;
  const fitScale = () => Math.max(1e-6,
    Math.min((state.width - 2 * margin) / (data.right - data.left || 1),
      (state.height - 2 * margin) / (data.bottom - data.top || 1)));

  function fit() {
    state.scale = fitScale();
    state.left = state.width / 2 - state.scale * (data.left + data.right) / 2;
    state.top = state.height / 2 - state.scale * (data.top + data.bottom) / 2;
    redraw();
  }

  function zoom(factor, px = state.width / 2, py = state.height / 2) {
    const least = fitScale() * 0.6, most = fitScale() * 80;
    const scale = Math.max(least, Math.min(most, state.scale * factor));
    state.left = px - (px - state.left) * scale / state.scale;
    state.top = py - (py - state.top) * scale / state.scale;
    state.scale = scale;
    placeTip();
    redraw();
  }

  function reveal(i) {
    const px = screenX(i), py = screenY(i), edge = 50;
    if (px < edge || px > state.width - edge) state.left += state.width / 2 - px;
    if (py < edge || py > state.height - edge) state.top += state.height / 2 - py;
  }

  function resize() {
    const box = element("stage").getBoundingClientRect();
    const first = state.width === 0;
    const wasWhole = first || Math.abs(state.scale / fitScale() - 1) < 1e-9;
    state.width = box.width;
    state.height = box.height;
    state.ratio = window.devicePixelRatio || 1;
    canvas.width = Math.round(box.width * state.ratio);
    canvas.height = Math.round(box.height * state.ratio);
    if (wasWhole) fit();
    draw();
  }

  // ---------------------------------------------------------------- points

  function nearest(px, py, within) {
    let best = -1, least = within * within;
    for (let i = 0; i < count; i++) {
      if (!isShown(i)) continue;
      const dx = screenX(i) - px, dy = screenY(i) - py, distance = dx * dx + dy * dy;
      if (distance < least || (distance === least && best < 0)) { best = i; least = distance; }
    }
    return best;
  }

  // The nearest point in a direction: those within 45 degrees of it.
  function beside(from, dx, dy) {
    let best = -1, least = Infinity;
    for (let i = 0; i < count; i++) {
      if (i === from || !isShown(i) || (state.hits !== null && !state.hits.has(i))) continue;
      const ahead = (x[i] - x[from]) * dx + (y[i] - y[from]) * dy;
      const aside = Math.abs((x[i] - x[from]) * dy) + Math.abs((y[i] - y[from]) * dx);
      if (ahead <= 0 || aside > ahead) continue;
      const distance = ahead * ahead + 4 * aside * aside;
      if (distance < least) { best = i; least = distance; }
    }
    return best;
  }

  const active = () => (state.hovered >= 0 ? state.hovered : state.chosen);

  function add(parent, tag, className, text) {
    const child = document.createElement(tag);
    if (className) child.className = className;
    if (text !== undefined) child.textContent = text;
    parent.append(child);
    return child;
  }

  function showTip() {
    const i = active();
    tip.hidden = i < 0;
    if (i < 0) return;
    tip.replaceChildren();
    add(tip, "div", "", texts[i] || "(no text)");
    columns.forEach((column, number) => {
      const value = column.values[column.of[i]];
      const line = add(tip, "div", "what");
      if (number === state.column) add(line, "span", "dot").style.background = colorOf(value);
      add(line, "span", "", columns.length > 1 ? `${column.name}: ${value.name}` : value.name);
    });
    add(tip, "div", "what", `${data.key} ${keys[i]}`);
    placeTip();
  }

  function placeTip() {
    const i = active();
    if (i < 0 || tip.hidden) return;
    const px = screenX(i), py = screenY(i), gap = 16;
    const right = px + gap + tip.offsetWidth < state.width;
    const below = py + gap + tip.offsetHeight < state.height;
    tip.style.left = `${Math.max(6, right ? px + gap : px - gap - tip.offsetWidth)}px`;
    tip.style.top = `${Math.max(6, below ? py + gap : py - gap - tip.offsetHeight)}px`;
  }

  function hover(i) {
    canvas.classList.toggle("over", i >= 0);
    if (i === state.hovered) return;
    state.hovered = i;
    showTip();
    redraw();
  }

  function choose(i) {
    state.chosen = i;
    state.hovered = -1;
    if (i >= 0) reveal(i);
    showTip();
    redraw();
    if (i < 0) { element("spoken").textContent = ""; return; }
    const values = columns.map((c) => `${c.name} ${c.values[c.of[i]].name}`);
    element("spoken").textContent = [texts[i] || "No text", ...values, `${data.key} ${keys[i]}`].join(". ");
  }

  // ---------------------------------------------------------------- pointer and keys

  const pointers = new Map();
  let moved = false;

  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, [event.offsetX, event.offsetY]);
    moved = pointers.size > 1;
  });

  canvas.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) {
      hover(nearest(event.offsetX, event.offsetY, Math.max(10, radius() + 4)));
      return;
    }
    const now = [event.offsetX, event.offsetY];
    if (pointers.size === 1) {
      const dx = now[0] - before[0], dy = now[1] - before[1];
      if (!moved && Math.hypot(dx, dy) < 4) return;
      moved = true;
      canvas.classList.add("moving");
      state.left += dx;
      state.top += dy;
    } else {
      const [[, other]] = [...pointers].filter(([id]) => id !== event.pointerId);
      const distance = (p) => Math.max(1, Math.hypot(p[0] - other[0], p[1] - other[1]));
      zoom(distance(now) / distance(before), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
    }
    pointers.set(event.pointerId, now);
    placeTip();
    redraw();
  });

  for (const name of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(name, (event) => {
      const wasDown = pointers.delete(event.pointerId);
      canvas.classList.remove("moving");
      if (name === "pointerup" && wasDown && !moved) {
        choose(nearest(event.offsetX, event.offsetY, Math.max(14, radius() + 6)));
      }
    });
  }
  canvas.addEventListener("pointerleave", () => hover(-1));
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const pixels = event.deltaY * (event.deltaMode === 1 ? 16 : 1);
    zoom(Math.exp(-pixels * 0.0016), event.offsetX, event.offsetY);
  }, { passive: false });
  canvas.addEventListener("dblclick", (event) => zoom(2, event.offsetX, event.offsetY));

  const directions = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const direction = directions[event.key];
    if (direction) {
      const start = state.chosen >= 0 && isShown(state.chosen) ? state.chosen : -1;
      const next = start < 0 ? first() : beside(start, ...direction);
      if (next >= 0) choose(next);
    } else if (event.key === "+" || event.key === "=") zoom(1.5);
    else if (event.key === "-") zoom(1 / 1.5);
    else if (event.key === "0") fit();
    else return;
    event.preventDefault();
  });

  // Where the keyboard begins: the point nearest to the middle, among those that a search found.
  function first() {
    if (state.hits === null) return nearest(state.width / 2, state.height / 2, Infinity);
    for (const i of state.hits) if (isShown(i)) return i;
    return -1;
  }

  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !/^(INPUT|SELECT)$/.test(document.activeElement.tagName)) {
      event.preventDefault();
      element("search").focus();
    } else if (event.key === "Escape") {
      element("search").value = "";
      search();
      hover(-1);
      choose(-1);
      if (document.activeElement === element("search")) canvas.focus();
    }
  });

  // ---------------------------------------------------------------- search and legend

  const listed = 50;

  function search() {
    const words = element("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    state.hits = null;
    if (words.length) {
      state.hits = new Set();
      for (let i = 0; i < count; i++) {
        if (words.every((word) => searchable[i].includes(word))) state.hits.add(i);
      }
    }
    showHits();
    redraw();
  }

  function showHits() {
    element("hits").hidden = state.hits === null;
    element("list").replaceChildren();
    if (state.hits === null) return;
    const found = state.hits.size;
    element("count").textContent = found === 1 ? "1 match"
      : `${found.toLocaleString("en")} matches${found > listed ? `, the first ${listed}` : ""}`;
    for (const i of [...state.hits].slice(0, listed)) {
      const button = add(add(element("list"), "li"), "button");
      button.type = "button";
      add(button, "span", "dot").style.background = colorOf(valueOf(i));
      add(button, "span", "name", texts[i] || keys[i]);
      button.addEventListener("click", () => choose(i));
    }
  }

  element("search").addEventListener("input", search);
  element("search").addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || state.hits === null || !state.hits.size) return;
    const hits = [...state.hits].filter(isShown);
    if (hits.length) choose(hits[(hits.indexOf(state.chosen) + 1) % hits.length]);
  });

  function showLegend() {
    element("legend").hidden = !columns.length;
    element("color-field").hidden = columns.length < 2;
    element("values").replaceChildren();
    if (!columns.length) return;
    element("legend-title").textContent = label().name;
    label().values.forEach((value, index) => {
      const button = add(add(element("values"), "li"), "button");
      button.type = "button";
      button.setAttribute("aria-pressed", String(!state.hidden.has(index)));
      button.title = "Click to hide or show; double-click to show only this";
      if (!state.hidden.has(index)) add(button, "span", "dot").style.background = colorOf(value);
      else add(button, "span", "dot");
      add(button, "span", "name", value.name);
      add(button, "span", "number", value.count.toLocaleString("en"));
      button.addEventListener("click", (event) => toggle(index, event.detail === 2));
    });
  }

  function toggle(index, only) {
    if (only) {
      label().values.forEach((_, other) => state.hidden.add(other));
      state.hidden.delete(index);
    } else if (!state.hidden.delete(index)) state.hidden.add(index);
    if (label().values.every((_, other) => state.hidden.has(other))) state.hidden.clear();
    if (state.chosen >= 0 && !isShown(state.chosen)) choose(-1);
    // Keep the buttons: replacing one between two clicks would lose the double click.
    [...element("values").querySelectorAll("button")].forEach((button, other) => {
      const shown = !state.hidden.has(other);
      button.setAttribute("aria-pressed", String(shown));
      button.querySelector(".dot").style.background = shown ? colorOf(label().values[other]) : "";
    });
    redraw();
  }

  function recolor() {
    readPalette();
    showLegend();
    showHits();
    showTip();
    redraw();
  }

  columns.forEach((column, index) => {
    const option = add(element("color"), "option", "", column.name);
    option.value = String(index);
  });
  element("color").addEventListener("change", (event) => {
    state.column = Number(event.target.value);
    state.hidden.clear();
    recolor();
  });
  element("theme").addEventListener("click", () => {
    const style = getComputedStyle(document.documentElement);
    document.documentElement.dataset.theme = style.colorScheme === "dark" ? "light" : "dark";
    recolor();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolor);
  element("in").addEventListener("click", () => zoom(1.5));
  element("out").addEventListener("click", () => zoom(1 / 1.5));
  element("whole").addEventListener("click", fit);

  // ---------------------------------------------------------------- start

  element("about").textContent = `${count.toLocaleString("en")} texts`;
  canvas.setAttribute("aria-label", `${document.title}: a map of ${count.toLocaleString("en")} texts`);
  // For tests, and for the console: where a point is, in pixels of the canvas.
  window.tfEmbeddingsMap = { state, data, screen: (i) => [screenX(i), screenY(i)] };
  recolor();
  new ResizeObserver(resize).observe(element("stage"));
  resize();
})();
