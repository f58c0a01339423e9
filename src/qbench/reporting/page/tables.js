// Tables: summaries, the cells of an image, coding times, BD-rates, failures, provenance.

/** A table that scrolls by itself where it is wider than the page. Headings in a list of their own are of numbers. */
function table(caption, head, rows, attributes = {}) {
  return make(
    "div",
    { class: "wide", tabindex: 0, role: "region", "aria-label": caption },
    make(
      "table",
      attributes,
      make("caption", {}, caption),
      make("thead", {}, make("tr", {}, head.map((cell) => make("th", { scope: "col", class: Array.isArray(cell) ? "number" : null }, cell)))),
      make("tbody", {}, rows),
    ),
  );
}

function summaryTable(run, by) {
  const groups = run.groups[by];
  const without = ["failed", "not-applicable", "pending"].filter((status) => groups.some((group) => group.without[status]));
  const finest = run.columns.map((column, index) => best(groups.map((group) => (group.fair[index] ? group.means[index] : null)), column));
  const rows = groups.map((group, place) => {
    const apart = by === "point" && place && group.key.split(":")[0] !== groups[place - 1].key.split(":")[0];
    const cells = run.columns.map((column, index) => {
      const mean = group.means[index];
      const range = group.ranges[index];
      if (mean == null && range) return make("td", { class: "number" }, range.map((value) => formatted(value, column.digits)).join(" to ") + (group.fair[index] ? "" : "†"));
      if (mean == null) return make("td", { class: "number dim" }, "–");
      const mark = group.fair[index] && finest[index] === numeric(mean);
      const deviation = formatted(group.deviations[index], column.digits);
      return make(
        "td",
        { class: mark ? "number best" : "number" },
        formatted(mean, column.digits) + (mark ? "*" : group.fair[index] ? "" : "†"),
        deviation && make("span", { class: "deviation" }, ` ± ${deviation}`),
      );
    });
    const counts = without.map((status) => make("td", { class: "number status" }, String(group.without[status] ?? 0)));
    return make(
      "tr",
      { class: apart ? "apart" : null },
      make("th", { scope: "row" }, group.key),
      cells,
      make("td", { class: "number" }, String(group.cells)),
      counts,
    );
  });
  const name = by === "point" ? "operating point" : by;
  const head = [name, ...run.columns.map(heading), ["cells"], ...without.map((status) => [run.absent[status]])];
  const ranges = groups.some((group) => group.ranges.some(Boolean));
  return table(ranges ? `Least and greatest mean of its operating points, by ${name}` : `Mean ± standard deviation by ${name}`, head, rows);
}

/** All operating points of one image; a press on A or B brings a row's image into the viewer. */
function cellsTable(run, state) {
  const columns = run.columns.filter((column) => !column.per_point);
  const places = columns.map((column) => run.columns.indexOf(column));
  const rows = run.points.map((point, index) => rowOf(run, state.image, index));
  const finest = columns.map((column, at) => best(rows.map((row) => row.values[places[at]]), column));
  const body = run.points.map((point, index) => {
    const row = rows[index];
    const cells = columns.map((column, at) => {
      const value = row.values[places[at]];
      if (value == null) {
        const [status, reason] = row.reasons[places[at]] ?? [row.status, row.reason];
        return make("td", { class: "number status", title: reason }, run.absent[status] ?? status);
      }
      const mark = finest[at] === numeric(value);
      return make("td", { class: mark ? "number best" : "number" }, formatted(value, column.digits) + (mark ? "*" : ""));
    });
    const choose = ["a", "b"].map((side) =>
      button(side.toUpperCase(), () => state.change({ [side]: index, show: true }), {
        class: "choose",
        "aria-pressed": String(state[side] === index),
        "aria-label": `show ${point.id} as ${side.toUpperCase()}`,
        disabled: !row.reconstruction,
      }),
    );
    const found = row.found
      ? make("span", { class: "deviation" }, ` ${row.found.parameter} ${formatted(row.found.value, 2)}`)
      : null;
    const status = row.status === "ok" ? null : make("span", { class: "status", title: row.reason }, ` ${run.absent[row.status]}`);
    return make(
      "tr",
      { class: state.a === index || state.b === index ? "shown" : null },
      make("td", { class: "chooser" }, choose),
      make("th", { scope: "row" }, point.id, found, status),
      make("td", { class: "number" }, row.bytes == null ? "" : row.bytes.toLocaleString("en")),
      cells,
    );
  });
  return table(
    `Cells of ${run.images[state.image].name}`,
    ["show", "operating point", ["bytes"], ...columns.map(heading)],
    body,
  );
}

/** What is behind a cell's scores, metric by metric. */
function explanations(row, title) {
  return Object.entries(row.explanations ?? {}).map(([label, explanation]) =>
    make(
      "details",
      { class: "explanation" },
      make("summary", {}, `${label} of ${title}`),
      make(
        "dl",
        {},
        Object.entries(explanation.facts).map(([name, value]) => [
          make("dt", {}, name),
          make("dd", {}, plain(value)),
        ]),
      ),
      explanation.tables.map((found) =>
        table(
          `${found.title} (${found.rows.length})`,
          found.columns.map((name, index) => (found.rows.some((cells) => typeof cells[index] === "string") ? name : [name])),
          found.rows.slice(0, 40).map((cells) =>
            make(
              "tr",
              {},
              cells.map((cell) =>
                make("td", { class: typeof cell === "number" ? "number" : null }, plain(cell)),
              ),
            ),
          ),
        ),
      ),
    ),
  );
}

function timingsTable(run) {
  const milliseconds = (seconds) => make("td", { class: "number" }, (1000 * seconds).toFixed(2));
  const rows = run.timings.map((timing) =>
    make(
      "tr",
      {},
      make("th", { scope: "row" }, timing.point),
      make("td", { class: "number" }, timing.images),
      milliseconds(timing.encode),
      milliseconds(timing.decode),
      make("td", { class: "number" }, timing.threads.join("/")),
      make("td", {}, timing.concurrent_load.join("; ")),
    ),
  );
  return table("Coding times, median over images", ["operating point", ["images"], ["encode ms"], ["decode ms"], ["threads"], "concurrent load"], rows);
}

function bdTable(run, metric, anchor) {
  const { reason, tables } = run.anchors[metric] ?? { reason: "", tables: {} };
  if (!tables[anchor]) return make("p", { class: "dim" }, reason ? `No BD-rates: ${reason}` : "");
  const percent = (value) => `${numeric(value) > 0 ? "+" : ""}${formatted(value, 1)} %`;
  const rows = tables[anchor].map((rate) => {
    if (rate.percent == null) {
      return make("tr", {}, make("th", { scope: "row" }, rate.codec), make("td", { class: "dim", colspan: 3 }, rate.reason));
    }
    const interval = rate.low == null ? "–" : `${percent(rate.low)} to ${percent(rate.high)}`;
    const range = `${formatted(rate.lower, 2)} to ${formatted(rate.upper, 2)} (${Math.round(100 * rate.overlap)} %)`;
    return make(
      "tr",
      {},
      make("th", { scope: "row" }, rate.codec),
      make("td", { class: "number" }, percent(rate.percent)),
      make("td", { class: "number" }, interval),
      make("td", { class: "number" }, range),
    );
  });
  const head = ["codec", ["rate"], ["95 % interval"], ["compared over (overlap)"]];
  const notes = tables[anchor].filter((rate) => rate.note).map((rate) => make("p", { class: "status" }, `${rate.codec}: ${rate.note}`));
  return make("div", {}, table(`BD-rate of ${metric} against ${anchor} (negative: fewer bytes)`, head, rows), notes);
}

function failuresPart(run) {
  const most = 100;
  if (!run.failures.length) return null;
  return make(
    "section",
    { id: "failures" },
    make("h2", {}, `Failures (${run.failures.length})`),
    run.failures.slice(0, most).map((note) =>
      make(
        "details",
        {},
        make("summary", {}, `${note.image} · ${note.point} · ${note.what}: ${note.message.split("\n")[0]}`),
        make("pre", {}, (note.traceback || note.message) + (note.printed ? `\nlast printed:\n${note.printed}` : "")),
      ),
    ),
    run.failures.length > most ? make("p", {}, `and ${run.failures.length - most} more`) : null,
  );
}

function provenancePart(run) {
  return make(
    "section",
    { id: "provenance" },
    make("h2", {}, "Provenance"),
    run.sessions.map((session) =>
      make(
        "details",
        {},
        make("summary", {}, `measured from ${session.at} (session ${session.id})`),
        make("pre", {}, JSON.stringify(session.provenance, null, 2)),
      ),
    ),
    make(
      "details",
      {},
      make("summary", {}, "the suite"),
      make("pre", {}, [run.suite_text, ...run.overrides.map((text) => `--set ${text}`)].join("\n")),
    ),
  );
}
