// Rate–distortion curves: one metric over bits per pixel, a line for every codec of every run.

const FRAME = { width: 720, height: 400, left: 64, right: 18, top: 14, bottom: 46 };
const MARKERS = [
  (x, y) => draw("circle", { cx: x, cy: y, r: 4 }),
  (x, y) => draw("rect", { x: x - 4, y: y - 4, width: 8, height: 8 }),
  (x, y) => draw("path", { d: `M${x},${y - 5}l5,5l-5,5l-5,-5z` }),
  (x, y) => draw("path", { d: `M${x},${y - 5}l5,9h-10z` }),
  (x, y) => draw("path", { d: `M${x},${y + 5}l5,-9h-10z` }),
  (x, y) => draw("path", { d: `M${x - 1.7},${y - 5}h3.4v3.3h3.3v3.4h-3.3v3.3h-3.4v-3.3h-3.3v-3.4h3.3z` }),
  (x, y) => draw("path", { d: `M${x},${y - 2.4}l2.4,-2.4l2.4,2.4l-2.4,2.4l2.4,2.4l-2.4,2.4l-2.4,-2.4l-2.4,2.4l-2.4,-2.4l2.4,-2.4l-2.4,-2.4l2.4,-2.4z` }),
];
const DASHES = ["", "7 4", "2 3", "9 3 2 3"];
// Colours, markers and dashes are those of figures: each codec has its own, whatever metric is drawn.

/** Round numbers between two ends, about as many as asked for; of a logarithmic axis 1, 2 and 5 of each decade. */
function ticks(low, high, wanted, logarithmic) {
  if (logarithmic) {
    const found = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1) {
      for (const digit of [1, 2, 5]) found.push(digit * 10 ** power);
    }
    return found.filter((value) => value >= low * 0.999 && value <= high * 1.001).map((value) => Number(value.toPrecision(2)));
  }
  const rough = (high - low) / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step * 1e-6; value += step) found.push(Number(value.toPrecision(6)));
  return found;
}

/** An axis from data to the drawing. */
function axis(values, from, to, logarithmic) {
  const change = logarithmic ? Math.log10 : (value) => value;
  let [low, high] = [Math.min(...values), Math.max(...values)].map(change);
  const room = (high - low || Math.abs(high) || 1) * 0.05;
  [low, high] = [low - room, high + room];
  const back = logarithmic ? (value) => 10 ** value : (value) => value;
  return {
    place: (value) => from + ((change(value) - low) / (high - low)) * (to - from),
    ticks: ticks(back(low), back(high), 6, logarithmic),
  };
}

/** All lines of a metric: label, colour, points of rate, value and index of the operating point. */
function curveLines(runs, metric) {
  return runs.flatMap((run, number) =>
    Object.entries(run.curves[metric]?.by_codec ?? {}).map(([codec, points]) => ({
      run: number,
      codec,
      label: runs.length > 1 ? `${codec} (${run.name})` : codec,
      points,
      between: run.curves[metric].lines[codec],
      look: run.looks[codec],
    })),
  );
}

/** Which images curves are means over, and what is in none. */
function coverage(found) {
  const some = (names) => names.slice(0, 6).join(", ") + (names.length > 6 ? ` and ${names.length - 6} more` : "");
  const left = found.left_out.length ? `; omitted because an operating point has no value: ${some(found.left_out)}` : "";
  const absent = found.absent.length ? ` No finite value, and in no curve: ${some(found.absent)}.` : "";
  return `Means over ${count(found.images, "image")}${left}.${absent}`;
}

function curveChart(runs, metric, settings, choose) {
  const lines = curveLines(runs, metric).filter((line) => !settings.hidden.has(line.label));
  if (!lines.length) return make("p", { class: "dim" }, "No curve selected.");
  const column = runs.flatMap((run) => run.columns).find((each) => each.id === metric);
  const all = lines.flatMap((line) => line.points);
  const logarithmic = settings.logarithmic && all.every(([rate]) => rate > 0);
  const across = axis(all.map(([rate]) => rate), FRAME.left, FRAME.width - FRAME.right, logarithmic);
  const down = axis(all.map(([, value]) => value), FRAME.height - FRAME.bottom, FRAME.top, false);
  const hint = make("div", { class: "hint", role: "status" });
  const title = `${metric} over bits per pixel`;
  const chart = draw("svg", { viewBox: `0 0 ${FRAME.width} ${FRAME.height}`, role: "group", "aria-label": title, class: "chart" });
  for (const value of across.ticks) {
    const x = across.place(value);
    chart.append(
      draw("line", { x1: x, x2: x, y1: FRAME.top, y2: FRAME.height - FRAME.bottom, class: "grid" }),
      draw("text", { x, y: FRAME.height - FRAME.bottom + 17, class: "tick", "text-anchor": "middle" }, String(value)),
    );
  }
  for (const value of down.ticks) {
    const y = down.place(value);
    chart.append(
      draw("line", { x1: FRAME.left, x2: FRAME.width - FRAME.right, y1: y, y2: y, class: "grid" }),
      draw("text", { x: FRAME.left - 8, y: y + 4, class: "tick", "text-anchor": "end" }, String(value)),
    );
  }
  const middle = (FRAME.height - FRAME.bottom + FRAME.top) / 2;
  chart.append(
    draw("text", { x: (FRAME.width + FRAME.left) / 2, y: FRAME.height - 8, class: "name", "text-anchor": "middle" }, "bits per pixel"),
    draw(
      "text",
      { x: 16, y: middle, class: "name", "text-anchor": "middle", transform: `rotate(-90 16 ${middle})` },
      `${column.title}${column.unit ? ` (${column.unit})` : ""} ${column.arrow}`,
    ),
  );
  for (const line of lines) {
    const places = line.points.map(([rate, value]) => [across.place(rate), down.place(value)]);
    const group = draw("g", { class: `line series${line.look[0]}` });
    group.append(
      draw("polyline", {
        points: line.between.map(([rate, value]) => `${across.place(rate).toFixed(1)},${down.place(value).toFixed(1)}`).join(" "),
        "stroke-dasharray": DASHES[line.look[2]],
      }),
    );
    line.points.forEach(([rate, value, point], index) => {
      const id = runs[line.run].points[point].id;
      const text = `${line.label === line.codec ? id : `${id} (${runs[line.run].name})`}: ${formatted(value, column.digits)}${column.unit ? ` ${column.unit}` : ""} at ${rate.toFixed(3)} bit/pixel`;
      const [x, y] = places[index];
      const tell = () => {
        hint.textContent = text;
        hint.style.left = `${(100 * x) / FRAME.width}%`;
        hint.style.top = `${(100 * y) / FRAME.height}%`;
        hint.classList.toggle("left", x > FRAME.width * 0.6);
        hint.classList.add("there");
      };
      const hide = () => hint.classList.remove("there");
      const open = () => choose(line.run, point);
      group.append(
        draw(
          "g",
          {
            class: "point",
            tabindex: 0,
            role: "button",
            "aria-label": text,
            mouseenter: tell,
            mouseleave: hide,
            focus: tell,
            blur: hide,
            click: open,
            keydown: (event) => {
              if (event.key === "Enter" || event.key === " ") {
                event.preventDefault();
                open();
              }
            },
          },
          draw("circle", { cx: x, cy: y, r: 11, class: "reach" }),
          MARKERS[line.look[1]](x, y),
        ),
      );
    });
    chart.append(group);
  }
  return make("div", { class: "plot" }, chart, hint);
}

/** A series that a codec left, such as its loss by iteration: the first column across, every other a line. */
function seriesChart(series) {
  const [width, height, left, bottom] = [360, 200, 56, 34];
  const [across, ...others] = series.columns;
  const values = series.rows.flatMap((row) => row.slice(1));
  const logarithmic = values.every((value) => value > 0) && Math.max(...values) > 20 * Math.min(...values);
  const x = axis(series.rows.map((row) => row[0]), left, width - 8, false);
  const y = axis(values, height - bottom, 8, logarithmic);
  const text = (at, words, attributes) => draw("text", { ...at, class: "tick", ...attributes }, words);
  return draw(
    "svg",
    { viewBox: `0 0 ${width} ${height}`, class: "chart series", role: "img", "aria-label": `${others.join(", ")} over ${across}` },
    x.ticks.map((value) => text({ x: x.place(value), y: height - bottom + 16 }, String(value), { "text-anchor": "middle" })),
    y.ticks.map((value) => [
      draw("line", { x1: left, x2: width - 8, y1: y.place(value), y2: y.place(value), class: "grid" }),
      text({ x: left - 6, y: y.place(value) + 4 }, String(value), { "text-anchor": "end" }),
    ]),
    others.map((name, index) =>
      draw("g", { class: `line series${index % 8}` },
        draw("polyline", { points: series.rows.map((row) => `${x.place(row[0]).toFixed(1)},${y.place(row[index + 1]).toFixed(1)}`).join(" ") }))),
    text({ x: (width + left) / 2, y: height - 4 }, `${others.join(", ")} over ${across}`, { "text-anchor": "middle" }),
  );
}

/** The legend: each entry shows or hides its line. */
function legend(runs, metric, settings, change) {
  return make(
    "div",
    { class: "legend", role: "group", "aria-label": "codecs" },
    curveLines(runs, metric).map((line) =>
      make(
        "button",
        {
          type: "button",
          class: `series${line.look[0]}`,
          "aria-pressed": String(!settings.hidden.has(line.label)),
          click: () => {
            if (!settings.hidden.delete(line.label)) settings.hidden.add(line.label);
            change();
          },
        },
        draw("svg", { viewBox: "0 0 28 12", width: 28, height: 12, "aria-hidden": "true" },
          draw("line", { x1: 0, x2: 28, y1: 6, y2: 6, "stroke-dasharray": DASHES[line.look[2]] }),
          MARKERS[line.look[1]](14, 6)),
        line.label,
      ),
    ),
  );
}

function curvesPart(runs, state) {
  const metrics = [...new Set(runs.flatMap((run) => Object.keys(run.curves)))];
  if (!metrics.length) return null;
  const settings = { metric: metrics.includes(runs[state.run].metric) ? runs[state.run].metric : metrics[0], logarithmic: true, hidden: new Set(), anchor: null };
  const body = make("div");
  const choose = (run, point) => {
    const usable = runs[run].rows.some((row) => row.reconstruction);
    state.change({ run, b: point, show: usable });
  };
  function show() {
    const run = runs[state.run];
    const found = run.curves[settings.metric];
    const anchors = Object.keys(run.anchors[settings.metric]?.tables ?? {});
    if (!anchors.includes(settings.anchor)) settings.anchor = anchors.includes(run.anchor) ? run.anchor : anchors[0];
    const focused = document.activeElement?.dataset?.control;
    body.replaceChildren(
      make(
        "div",
        { class: "controls" },
        selection("metric", metrics.map((name) => [name, name]), settings.metric, (name) => { settings.metric = name; show(); }, { "data-control": "metric" }),
        make(
          "label",
          { class: "choice" },
          make("input", { type: "checkbox", checked: settings.logarithmic, "data-control": "logarithmic", change: () => { settings.logarithmic = !settings.logarithmic; show(); } }),
          make("span", {}, "logarithmic rate"),
        ),
        anchors.length ? selection("anchor", anchors.map((name) => [name, name]), settings.anchor, (name) => { settings.anchor = name; show(); }, { "data-control": "anchor" }) : null,
      ),
      make(
        "div",
        { class: "answer" },
        make("div", {}, curveChart(runs, settings.metric, settings, choose), legend(runs, settings.metric, settings, show)),
        bdTable(run, settings.metric, settings.anchor),
      ),
      ...runs.filter((each) => each.curves[settings.metric]).map((each) => make("p", { class: "dim" }, (runs.length > 1 ? `${each.name}: ` : "") + coverage(each.curves[settings.metric]) + each.unlike.map((line) => ` ${line[0].toUpperCase()}${line.slice(1)}.`).join(""))),
      found ? make("p", { class: "dim" }, "Click a point to view its image.") : null,
    );
    if (focused) body.querySelector(`[data-control="${focused}"]`)?.focus();
  }
  show();
  state.watch((changes) => "run" in changes && show());
  return make("section", { id: "curves" }, make("h2", {}, "Rate–distortion curves"), body);
}
