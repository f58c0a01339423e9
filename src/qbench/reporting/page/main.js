// Builds the page: what was compared, the answer, then everything behind it.

const runs = JSON.parse(document.getElementById("content").textContent);
const page = document.getElementById("page");

/** What is looked at first: an image that has images, and two codecs at about the same rate. */
function firstLook(run) {
  const hasImage = (image, point) => Boolean(rowOf(run, image, point).reconstruction);
  const image = Math.max(0, run.images.findIndex((_, index) => run.points.some((_, point) => hasImage(index, point))));
  const codecs = [...new Set(run.points.map((point) => point.codec))];
  const first = run.points.map((point, index) => index).filter((index) => run.points[index].codec === codecs[0]);
  const a = first[Math.floor((first.length - 1) / 2)] ?? 0;
  const other = codecs[1] == null ? undefined : nearest(run, image, codecs[1], bitsPerPixel(run, image, a) ?? 0);
  return { image, a, b: other ?? Math.min(a + 1, run.points.length - 1) };
}

function header(state) {
  const run = runs[state.run];
  const codecs = new Set(run.points.map((point) => point.codec));
  const metrics = new Set(run.columns.map((column) => column.metric));
  const conversions = new Map();
  for (const image of run.images) {
    for (const note of image.notes) conversions.set(note, [...(conversions.get(note) ?? []), image.name]);
  }
  const times = run.sessions.map((session) => session.at).sort();
  const facts = [
    `${count(run.images.length, "image")} × ${count(run.points.length, "operating point")} of ${count(codecs.size, "codec")} = ${count(run.rows.length, "cell")}`,
    count(metrics.size, "metric"),
    `profile ${run.profile}`,
    `seed ${run.seed}`,
    times.length ? `measured ${times.at(-1).slice(0, 10)}` : "",
  ].filter(Boolean);
  return make(
    "header",
    {},
    make("h1", {}, run.suite),
    run.description ? make("p", {}, run.description) : null,
    make("p", { class: "dim" }, facts.join(" · ")),
    run.complete ? null : make("p", { class: "warning" }, "This run is incomplete; pending values are marked “…”."),
    run.failures.length ? make("p", { class: "warning" }, make("a", { href: "#failures" }, `${run.failures.length} failed`)) : null,
    make("p", { class: conversions.size ? "warning" : "dim" }, run.originals),
    run.remarks.map((remark) => make("p", { class: "warning" }, remark)),
    [...conversions].map(([note, names]) =>
      make("p", { class: "warning" }, `${note} (${names.length}): ${names.slice(0, 6).join(", ")}${names.length > 6 ? ` and ${names.length - 6} more` : ""}`)),
  );
}

function controls(state) {
  const dark = window.matchMedia("(prefers-color-scheme: dark)").matches;
  const root = document.documentElement;
  root.dataset.theme = dark ? "dark" : "light";
  const theme = button("toggle dark mode", () => { root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark"; }, { class: "theme" });
  const choice = runs.length > 1
    ? selection("run", runs.map((run, index) => [index, run.name]), state.run, (value) => state.change({ run: Number(value), ...firstLook(runs[Number(value)]) }))
    : null;
  return make("nav", { class: "controls top", "aria-label": "page" }, choice, make("a", { href: "#summary" }, "summary"), make("a", { href: "#curves" }, "curves"), make("a", { href: "#viewer" }, "images"), make("a", { href: "#provenance" }, "provenance"), theme);
}

function summaryPart(state) {
  const run = runs[state.run];
  let by = "point";
  const body = make("div");
  const show = () => body.replaceChildren(
    selection("by", [["point", "operating point"], ["codec", "codec"], ["image", "image"]], by, (value) => { by = value; show(); }),
    summaryTable(run, by),
    make("p", { class: "dim" }, "* best in its direction (↑ higher, ↓ lower is better)"),
    ...run.fewer[by].map((line) => make("p", { class: "status" }, line)),
    ...run.models.map((line) => make("p", { class: "dim" }, line)),
  );
  show();
  return make("section", { id: "summary" }, make("h2", {}, "Summary"), body);
}

function details(state) {
  const run = runs[state.run];
  return [
    run.timings.length ? make("section", { id: "timings" }, make("h2", {}, "Coding times"), timingsTable(run), ...run.timing_notes.map((line) => make("p", { class: "status" }, line))) : null,
    failuresPart(run),
    provenancePart(run),
  ].filter(Boolean);
}

const shared = sharedState({ run: 0, ...firstLook(runs[0]) });
const [top, summary, bottom] = [make("div"), make("div"), make("div")];
function showRun() {
  top.replaceChildren(header(shared));
  summary.replaceChildren(summaryPart(shared));
  bottom.replaceChildren(...details(shared));
}
shared.watch((changes) => "run" in changes && showRun());
showRun();
const curves = curvesPart(runs, shared) ?? "";
// Curves are the answer where there are curves; single points are read better in a table.
const answer = runs.some((run) => Object.values(run.curves).some(({ by_codec }) => Object.values(by_codec).some((points) => points.length > 2)))
  ? [curves, summary]
  : [summary, curves];
const comparable = runs.some((run) => new Set(run.points.filter((_, point) => run.images.some((_, image) => rowOf(run, image, point).reconstruction)).map((point) => point.codec)).size > 1);
page.append(controls(shared), top, ...answer, viewerPart(runs, shared), comparable ? blindPart(runs, shared) : "", bottom);
document.documentElement.dataset.ready = "true";
