// A blind test: two reconstructions at about the same rate, without names; votes stay in this browser until exported.

const MATCHED = [5, 10, 20];
const VOTES_FORMAT = 1;
const BLIND_KEYS = "In the test, 1 and 2 choose left and right, 0 neither, o shows the original, arrow keys move the pictures, s passes.";

/** Read and keep what this browser remembers; where it remembers nothing, say so and go on. */
function memory(key) {
  let kept = null;
  try {
    kept = window.localStorage;
    kept.setItem(`${key}-try`, "1");
    kept.removeItem(`${key}-try`);
  } catch {
    kept = null;
  }
  const read = (name, otherwise) => {
    try {
      return JSON.parse(kept?.getItem(name) ?? "null") ?? otherwise;
    } catch {
      return otherwise;
    }
  };
  const write = (name, value) => {
    try {
      kept?.setItem(name, JSON.stringify(value));
      return Boolean(kept);
    } catch {
      return false;
    }
  };
  return { read, write, works: Boolean(kept) };
}

/** Every two operating points of different codecs whose rates on an image differ by no more than so many percent. */
function matchedPairs(run, percent) {
  const found = [];
  run.images.forEach((image, place) => {
    if (!image.original) return;
    const usable = run.points
      .map((point, index) => ({ index, codec: point.codec, rate: bitsPerPixel(run, place, index), row: rowOf(run, place, index) }))
      .filter(({ rate, row }) => rate > 0 && row.reconstruction);
    usable.forEach((one, at) => usable.slice(at + 1).forEach((other) => {
      const ratio = Math.max(one.rate, other.rate) / Math.min(one.rate, other.rate);
      if (one.codec !== other.codec && ratio <= 1 + percent / 100) found.push({ image: place, points: [one.index, other.index] });
    }));
  });
  return found;
}

function blindPart(runs, state) {
  const section = make("section", { id: "blind" }, make("h2", {}, "Blind test"));
  const body = make("div");
  section.append(body);
  let test = null; // the pair that is shown, while there is one

  const run = () => runs[state.run];
  const key = () => `qbench-votes-${run().key}`;
  const store = memory("qbench");
  const held = {}; // where the browser keeps nothing
  const votes = () => (store.works ? store.read(key(), []) : held[key()] ?? []);
  const voter = () => {
    const found = store.read("qbench-voter", held.voter ?? null) ?? Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16).padStart(2, "0")).join("");
    held.voter = found;
    store.write("qbench-voter", found);
    return found;
  };
  const settings = { percent: 10 };

  /** Choose among the pairs of codecs with the fewest votes, then any image and points, then sides. */
  function draw() {
    const pairs = matchedPairs(run(), settings.percent);
    const name = (points) => points.map((point) => run().points[point].codec).sort().join("\n");
    const seen = new Map();
    const done = new Map();
    for (const vote of votes()) {
      const codecs = [vote.first, vote.second].map((id) => run().points.find((point) => point.id === id)?.codec).sort().join("\n");
      seen.set(codecs, (seen.get(codecs) ?? 0) + 1);
      const these = [vote.image, ...[vote.first, vote.second].sort()].join("\n");
      done.set(these, (done.get(these) ?? 0) + 1);
    }
    const times = (pair) => done.get([run().images[pair.image].name, ...pair.points.map((point) => run().points[point].id).sort()].join("\n")) ?? 0;
    const rank = (pair) => 1e6 * (seen.get(name(pair.points)) ?? 0) + times(pair);
    const least = Math.min(...pairs.map(rank));
    const fresh = pairs.filter((pair) => rank(pair) === least);
    const pair = fresh[Math.floor(Math.random() * fresh.length)];
    const points = Math.random() < 0.5 ? pair.points : [...pair.points].reverse();
    test = { ...pair, points, x: 0.5, y: 0.5, original: false, since: performance.now() };
  }

  function vote(choice) {
    const [first, second] = test.points.map((point) => run().points[point].id);
    const made = {
      image: run().images[test.image].name, first, second, choice,
      seconds: Math.round((performance.now() - test.since) / 100) / 10, at: new Date().toISOString(),
    };
    const all = [...votes(), made];
    held[key()] = all;
    store.write(key(), all);
    draw();
    show();
  }

  function exported() {
    const content = {
      qbench_votes: VOTES_FORMAT,
      run: run().name,
      key: run().key,
      voter: voter(),
      codecs: Object.fromEntries(run().points.map((point) => [point.id, point.codec])),
      votes: votes(),
    };
    const link = make("a", { href: URL.createObjectURL(new Blob([JSON.stringify(content, null, 1)], { type: "application/json" })), download: `votes-${run().name}-${voter()}.json` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  function forget() {
    if (!window.confirm(`Delete ${count(votes().length, "vote")} that this browser keeps?`)) return;
    held[key()] = [];
    store.write(key(), []);
    show();
  }

  // -- what is shown -----------------------------------------------------------------------------------------------

  function place() {
    const { width, height } = run().images[test.image];
    for (const port of body.querySelectorAll(".port")) {
      const fit = Math.min(port.clientWidth / width, port.clientHeight / height) * window.devicePixelRatio;
      const scale = Math.max(1, Math.floor(fit)) / window.devicePixelRatio; // whole pixels of the screen, as they are
      const at = (room, size, where) => (size <= room ? (room - size) / 2 : Math.min(0, Math.max(room - size, room / 2 - where * size)));
      const round = (value) => Math.round(value * window.devicePixelRatio) / window.devicePixelRatio;
      for (const shown of port.querySelectorAll("canvas")) {
        shown.style.width = `${width * scale}px`;
        shown.style.height = `${height * scale}px`;
        shown.style.transform = `translate(${round(at(port.clientWidth, width * scale, test.x))}px, ${round(at(port.clientHeight, height * scale, test.y))}px)`;
        shown.classList.toggle("pixels", scale * window.devicePixelRatio > 1);
        shown.classList.toggle("hidden", shown.classList.contains("original") !== test.original);
      }
    }
  }

  /** A picture without an address, which would tell the codec. */
  function picture(address, { width, height }, attributes) {
    const drawn = make("canvas", { width, height, role: "img", ...attributes });
    const source = new Image();
    source.onload = () => drawn.getContext("2d").drawImage(source, 0, 0);
    source.src = address;
    return drawn;
  }

  function move(dx, dy) {
    const shown = body.querySelector("canvas");
    test.x = Math.min(1, Math.max(0, test.x + dx / shown.clientWidth));
    test.y = Math.min(1, Math.max(0, test.y + dy / shown.clientHeight));
    place();
  }

  function original() {
    test.original = !test.original;
    for (const each of body.querySelectorAll("[data-blind=original]")) each.setAttribute("aria-pressed", String(test.original));
    place();
  }

  const actions = {
    1: () => vote("first"), 2: () => vote("second"), 0: () => vote("same"), s: () => { draw(); show(); }, o: original,
    ArrowLeft: () => move(-PAN, 0), ArrowRight: () => move(PAN, 0), ArrowUp: () => move(0, -PAN), ArrowDown: () => move(0, PAN),
  };

  function testing() {
    const image = run().images[test.image];
    const side = (name, point) => make("figure", { class: "pane" }, make("figcaption", {}, make("b", {}, name)),
      make("div", { class: "port" },
        picture(rowOf(run(), test.image, point).reconstruction, image, { "aria-label": `${name} picture` }),
        picture(image.original, image, { "aria-label": "original", class: "original" })));
    const panes = make("div", {
      class: "panes", tabindex: 0, role: "application", "aria-label": `Blind test. ${BLIND_KEYS}`,
      keydown: (event) => {
        const action = actions[event.key];
        if (!action || event.ctrlKey || event.metaKey || event.altKey) return;
        event.preventDefault();
        action();
      },
    }, side("left", test.points[0]), side("right", test.points[1]));
    let from = null;
    panes.addEventListener("pointerdown", (event) => { from = [event.clientX, event.clientY]; panes.setPointerCapture(event.pointerId); });
    panes.addEventListener("pointermove", (event) => {
      if (!from) return;
      move(from[0] - event.clientX, from[1] - event.clientY);
      from = [event.clientX, event.clientY];
    });
    for (const kind of ["pointerup", "pointercancel"]) panes.addEventListener(kind, () => { from = null; });
    return [
      make("p", {}, "Which is nearer to the original?"),
      panes,
      make("div", { class: "controls" },
        button("left (1)", () => vote("first"), { "data-blind": "first" }),
        button("no difference (0)", () => vote("same"), { "data-blind": "same" }),
        button("right (2)", () => vote("second"), { "data-blind": "second" }),
        button("show the original (o)", original, { "data-blind": "original", "aria-pressed": "false" }),
        button("pass (s)", actions.s, { "data-blind": "pass" }),
        button("end", () => { test = null; show(); }, { "data-blind": "end" })),
      make("p", { class: "dim keys" }, BLIND_KEYS),
    ];
  }

  function show() {
    const pairs = matchedPairs(run(), settings.percent);
    const given = votes().length;
    if (!pairs.length) test = null;
    body.replaceChildren(...[
      ...(test ? testing() : [
        runs.length > 1 ? make("p", {}, `Of ${run().name}; the list at the top chooses another run.`) : null,
        make("p", {}, "Two reconstructions of an image at about the same rate are shown without names; choose the one that is nearer to the original. " +
          "Votes stay in this browser until you export them; qbench votes FILE… makes a ranking of them."),
        make("div", { class: "controls" },
          selection("rates alike within", MATCHED.map((percent) => [percent, `${percent} %`]), settings.percent, (value) => { settings.percent = Number(value); show(); }),
          button("start", () => { draw(); show(); body.querySelector(".panes").focus(); }, { disabled: !pairs.length, "data-blind": "start" }),
          make("span", { class: "dim" }, `${count(pairs.length, "pair")} of ${count(run().points.length, "operating point")}`)),
        pairs.length ? null : make("p", { class: "dim" }, "No two codecs have kept reconstructions of one image at rates as near as that."),
      ]),
      make("div", { class: "controls" },
        make("output", { "data-blind": "count" }, `${count(given, "vote")} kept`),
        button("export", exported, { disabled: !given, "data-blind": "export" }),
        button("delete", forget, { disabled: !given, "data-blind": "delete" }),
        store.works ? null : make("span", { class: "warning" }, "This browser keeps nothing for this page: export before you close it.")),
    ].filter(Boolean));
    if (test) {
      place();
      body.querySelector(".panes").focus({ preventScroll: true });
    }
  }

  state.watch((changes) => { if ("run" in changes) { test = null; show(); } });
  window.addEventListener("resize", () => test && place());
  show();
  return section;
}
