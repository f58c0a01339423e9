// The viewer: the original and two reconstructions, side by side, under a slider, in turn, or as their error.
//
// All panes share one zoom and one place. Pixels are shown at 1:1 of the screen's own, whatever it calls a pixel.

const MODES = [["beside", "side by side"], ["slider", "slider"], ["flicker", "flicker"], ["error", "error"]];
const ZOOMS = [0.125, 0.25, 0.5, 1, 2, 4, 8, 16];
const FLICKER_MILLISECONDS = 700; // well below three flashes a second
const PAN = 40;
const KEYS = "Arrow keys move, + and − zoom, 0 fits, 1 is one to one, m changes the mode, [ and ] move the slider, " +
  "o, a and b hold one image in flicker mode, space pauses, n and p change the image.";

function viewerPart(runs, state) {
  const view = { mode: "beside", zoom: null, x: 0.5, y: 0.5, split: 50, gain: 4, turn: 0, playing: false, timer: null };
  const body = make("div", { class: "viewer" });
  const panes = make("div", { class: "panes", tabindex: 0, role: "application", "aria-label": `Viewer. ${KEYS}` });
  const bar = make("div", { class: "controls" });
  const facts = make("div", { class: "facts" });
  body.append(bar, panes, facts);

  const run = () => runs[state.run];
  const image = () => run().images[state.image];
  const sources = () => [
    ["original", image().original, null],
    ["A", rowOf(run(), state.image, state.a).reconstruction, state.a],
    ["B", rowOf(run(), state.image, state.b).reconstruction, state.b],
  ].filter(([, address]) => address);

  // -- layout ------------------------------------------------------------------------------------------------------

  function caption([name, , point]) {
    if (point == null) return [make("b", {}, "original")];
    const bits = bitsPerPixel(run(), state.image, point);
    return [make("b", {}, name), ` ${run().points[point].id}`, make("span", { class: "deviation" }, bits == null ? "" : ` ${bits.toFixed(3)} bit/pixel`)];
  }

  function figure([name, address, point], attributes = {}) {
    const words = point == null ? `${image().name}, original` : `${image().name}, ${name}: ${run().points[point].id}`;
    return make("img", { src: address, alt: words, draggable: "false", decoding: "async", ...attributes });
  }

  function pane(source, ...layers) {
    return make("figure", { class: "pane" }, make("figcaption", {}, caption(source)), make("div", { class: "port" }, layers));
  }

  function build() {
    const found = sources();
    panes.replaceChildren();
    panes.dataset.mode = view.mode;
    if (!found.length) {
      if (run().rows.some((row) => row.altered)) panes.append(make("p", { class: "dim" }, "Kept reconstructions are not those that were measured, and are not shown; qbench verify lists them."));
      else panes.append(make("p", { class: "dim" }, run().kept ? "This image has no reconstructions yet." : "No reconstructions were kept (keep: {reconstructions: false})."));
      return;
    }
    const [original, a, b] = ["original", "A", "B"].map((name) => found.find(([each]) => each === name));
    if (view.mode === "slider" && (a ?? original) && b) {
      const below = a ?? original;
      const top = figure(b, { class: "over" });
      const made = pane(below, figure(below), top, make("div", { class: "divider", "aria-hidden": "true" }));
      made.querySelector("figcaption").append(make("span", { class: "right" }, caption(b)));
      panes.append(made);
    } else if (view.mode === "flicker") {
      panes.append(pane(found[0], ...found.map((source) => figure(source))));
      takeTurn();
    } else if (view.mode === "error" && original) {
      for (const source of [a, b].filter(Boolean)) {
        panes.append(pane(source, make("div", { class: "error" }, figure(original), figure(source, { class: "difference" }))));
      }
    } else {
      for (const source of found) panes.append(pane(source, figure(source)));
    }
    for (const [name, point] of [["A", state.a], ["B", state.b]]) {
      if (rowOf(run(), state.image, point).altered) panes.append(make("p", { class: "dim" }, `${name} is not shown: its kept reconstruction is not the one that was measured.`));
    }
    if (!original && image().missing) panes.append(make("p", { class: "dim" }, `The original can't be shown: ${image().missing}`));
    place();
  }

  /** Of images that lie on one another, show the one whose turn it is. All stay there: loading would flash. */
  function takeTurn() {
    const found = sources();
    const turn = view.turn % found.length;
    panes.querySelectorAll("img").forEach((each, index) => each.classList.toggle("hidden", index !== turn));
    panes.querySelector("figcaption").replaceChildren(...caption(found[turn]));
  }

  /** Put every image where zoom and place say. */
  function place() {
    const { width, height } = image();
    const port = panes.querySelector(".port");
    if (!port) return;
    const fit = Math.min(port.clientWidth / width, port.clientHeight / height);
    const scale = view.zoom == null ? fit : view.zoom / window.devicePixelRatio;
    const left = (room, size, at) => (size <= room ? (room - size) / 2 : Math.min(0, Math.max(room - size, room / 2 - at * size)));
    const x = left(port.clientWidth, width * scale, view.x);
    const y = left(port.clientHeight, height * scale, view.y);
    const round = (value) => Math.round(value * window.devicePixelRatio) / window.devicePixelRatio;
    for (const shown of panes.querySelectorAll("img")) {
      shown.style.width = `${width * scale}px`;
      shown.style.height = `${height * scale}px`;
      shown.style.transform = `translate(${round(x)}px, ${round(y)}px)`;
      shown.classList.toggle("pixels", scale * window.devicePixelRatio > 1);
    }
    const divider = panes.querySelector(".divider");
    if (divider) {
      const edge = (view.split / 100) * port.clientWidth;
      divider.style.left = `${edge}px`;
      panes.querySelector(".over").style.clipPath = `inset(0 0 0 ${edge - round(x)}px)`;
    }
    for (const error of panes.querySelectorAll(".error")) error.style.filter = `brightness(${view.gain})`;
    panes.dataset.zoom = view.zoom ?? "fit";
  }

  // -- controls ----------------------------------------------------------------------------------------------------

  function pointEntries() {
    const byCodec = new Map();
    run().points.forEach((point, index) => {
      if (!rowOf(run(), state.image, index).reconstruction) return;
      const bits = bitsPerPixel(run(), state.image, index);
      if (!byCodec.has(point.codec)) byCodec.set(point.codec, []);
      byCodec.get(point.codec).push([index, bits == null ? point.id : `${point.id} (${bits.toFixed(3)})`]);
    });
    return [...byCodec];
  }

  /** Choose for B the operating point of its codec that is nearest to A in rate. */
  function match() {
    const wanted = bitsPerPixel(run(), state.image, state.a);
    const { codec } = run().points[state.b];
    state.change({ b: nearest(run(), state.image, codec, wanted) ?? state.b });
  }

  function fillBar() {
    const focused = document.activeElement?.dataset?.control;
    const slider = (label, value, from, to, step, change, control) =>
      make("label", { class: "choice" }, make("span", {}, label),
        make("input", { type: "range", min: from, max: to, step, value, "data-control": control, input: (event) => change(Number(event.target.value)) }));
    bar.replaceChildren(
      selection("image", run().images.map((each, index) => [index, each.name]), state.image, (value) => state.change({ image: Number(value) }), { "data-control": "image" }),
      selection("A", pointEntries(), state.a, (value) => state.change({ a: Number(value) }), { "data-control": "a" }),
      selection("B", pointEntries(), state.b, (value) => state.change({ b: Number(value) }), { "data-control": "b" }),
      button("match B's rate to A", match, { "data-control": "match" }),
      make("div", { class: "modes", role: "group", "aria-label": "mode" },
        MODES.map(([mode, text]) => button(text, () => setMode(mode), { "aria-pressed": String(view.mode === mode), "data-control": `mode-${mode}` }))),
      make("div", { class: "modes", role: "group", "aria-label": "zoom" },
        button("fit", () => setZoom(null), { "aria-pressed": String(view.zoom == null), "data-control": "fit" }),
        button("1:1", () => setZoom(1), { "aria-pressed": String(view.zoom === 1), "data-control": "one" }),
        button("−", () => step(-1), { "aria-label": "zoom out", "data-control": "out" }),
        button("+", () => step(1), { "aria-label": "zoom in", "data-control": "in" }),
        make("output", {}, view.zoom == null ? "fit" : `${100 * view.zoom} %`)),
      view.mode === "slider" ? slider("divider", view.split, 0, 100, 1, (value) => { view.split = value; place(); }, "split") : "",
      view.mode === "error" ? slider("error ×", view.gain, 1, 16, 1, (value) => { view.gain = value; place(); }, "gain") : "",
      view.mode === "flicker" ? button(view.playing ? "stop" : "play", () => play(!view.playing), { "data-control": "play" }) : "",
    );
    if (focused) bar.querySelector(`[data-control="${focused}"]`)?.focus();
  }

  function setMode(mode) {
    view.mode = mode;
    play(mode === "flicker" && !window.matchMedia("(prefers-reduced-motion: reduce)").matches);
  }

  function setZoom(zoom) {
    view.zoom = zoom;
    fillBar();
    place();
  }

  function step(by) {
    const port = panes.querySelector(".port");
    const { width, height } = image();
    const now = view.zoom ?? Math.min(port.clientWidth / width, port.clientHeight / height) * window.devicePixelRatio;
    const next = by > 0 ? ZOOMS.find((zoom) => zoom > now * 1.01) : ZOOMS.findLast((zoom) => zoom < now * 0.99);
    if (next) setZoom(next);
  }

  function play(playing) {
    clearInterval(view.timer);
    view.playing = playing;
    if (playing) view.timer = setInterval(() => { view.turn += 1; takeTurn(); }, FLICKER_MILLISECONDS);
    fillBar();
    build();
  }

  function showAlone(name) {
    const at = sources().findIndex(([each]) => each === name);
    if (at < 0) return;
    view.mode = "flicker";
    view.turn = at;
    play(false);
  }

  function move(dx, dy) {
    const shown = panes.querySelector("img");
    if (!shown) return;
    view.x = Math.min(1, Math.max(0, view.x + dx / shown.clientWidth));
    view.y = Math.min(1, Math.max(0, view.y + dy / shown.clientHeight));
    place();
  }

  function setSplit(value) {
    view.split = Math.min(100, Math.max(0, value));
    const input = bar.querySelector('[data-control="split"]');
    if (input) input.value = view.split;
    place();
  }

  const nextImage = (by) => state.change({ image: (state.image + by + run().images.length) % run().images.length });
  const actions = {
    ArrowLeft: () => move(-PAN, 0),
    ArrowRight: () => move(PAN, 0),
    ArrowUp: () => move(0, -PAN),
    ArrowDown: () => move(0, PAN),
    "+": () => step(1),
    "=": () => step(1),
    "-": () => step(-1),
    0: () => setZoom(null),
    1: () => setZoom(1),
    m: () => setMode(MODES[(MODES.findIndex(([mode]) => mode === view.mode) + 1) % MODES.length][0]),
    "[": () => setSplit(view.split - 2),
    "]": () => setSplit(view.split + 2),
    o: () => showAlone("original"),
    a: () => showAlone("A"),
    b: () => showAlone("B"),
    " ": () => view.mode === "flicker" && play(!view.playing),
    n: () => nextImage(1),
    p: () => nextImage(-1),
  };
  panes.addEventListener("keydown", (event) => {
    const action = actions[event.key];
    if (!action || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    action();
  });

  let held = null;
  panes.addEventListener("pointerdown", (event) => {
    const port = event.target.closest(".port");
    if (!port) return;
    const edge = port.getBoundingClientRect().left + (view.split / 100) * port.clientWidth;
    held = { x: event.clientX, y: event.clientY, port, divider: view.mode === "slider" && Math.abs(event.clientX - edge) < 24 };
    panes.setPointerCapture(event.pointerId);
  });
  panes.addEventListener("pointermove", (event) => {
    if (!held) return;
    if (held.divider) {
      const { left, width } = held.port.getBoundingClientRect();
      setSplit((100 * (event.clientX - left)) / width);
    } else {
      move(held.x - event.clientX, held.y - event.clientY);
      [held.x, held.y] = [event.clientX, event.clientY];
    }
  });
  for (const kind of ["pointerup", "pointercancel"]) panes.addEventListener(kind, () => { held = null; });
  panes.addEventListener("wheel", (event) => {
    if (!event.ctrlKey) return; // the page scrolls as ever
    event.preventDefault();
    step(event.deltaY < 0 ? 1 : -1);
  }, { passive: false });
  window.addEventListener("resize", place);

  // -- the cells of the image, and what codecs and metrics left to look at -----------------------------------------

  function fillFacts() {
    const sides = [["A", state.a], ...(state.b === state.a ? [] : [["B", state.b]])];
    const notes = image().notes.map((note) => make("p", { class: "dim" }, note));
    facts.replaceChildren(
      ...notes,
      cellsTable(run(), state),
      ...sides.flatMap(([name, point]) => {
        const row = rowOf(run(), state.image, point);
        const title = `${name}: ${run().points[point].id}`;
        return [...artifacts(row, title), ...explanations(row, title)];
      }),
    );
  }

  function artifacts(row, title) {
    if (!row.artifacts && !row.series) return [];
    const charts = (row.series ?? []).map((series) =>
      make("figure", { class: "wider" }, seriesChart(series), make("figcaption", {}, series.summary || series.name)));
    const shown = (row.artifacts ?? []).map((artifact) =>
      make("figure", {}, make("img", { src: artifact.address, alt: artifact.summary || artifact.name, loading: "lazy" }),
        make("figcaption", {}, artifact.summary || artifact.name)));
    return [make("details", { class: "artifacts", open: true }, make("summary", {}, `Codec artifacts, ${title}`), make("div", { class: "gallery" }, charts, shown))];
  }

  function show() {
    fillBar();
    build();
    fillFacts();
  }

  const section = make("section", { id: "viewer" }, make("h2", {}, "Images"), body, make("p", { class: "dim keys" }, KEYS));
  state.watch((changes) => {
    show();
    if (changes.show) section.scrollIntoView({ block: "start" });
  });
  requestAnimationFrame(show); // once it has a size
  return section;
}

/** The operating point of a codec whose rate on an image is nearest; undefined if it has no image. */
function nearest(run, image, codec, wanted) {
  const usable = run.points
    .map((point, index) => [index, bitsPerPixel(run, image, index), point.codec])
    .filter(([index, bits, label]) => label === codec && bits != null && rowOf(run, image, index).reconstruction);
  usable.sort((one, other) => Math.abs(one[1] - wanted) - Math.abs(other[1] - wanted));
  return usable[0]?.[0];
}
