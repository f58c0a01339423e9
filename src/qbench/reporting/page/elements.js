// Elements, numbers, and the state that the parts of the page share. Text is only ever set as text, never as HTML.

const SVG = "http://www.w3.org/2000/svg";

/** Make an element: attributes (functions are listeners), then children (text or elements). */
function make(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

function draw(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child != null && child !== ""));
  return element;
}

/** Read a number as the report writes it: infinite ones are text. */
function numeric(value) {
  if (value === "Infinity") return Infinity;
  if (value === "-Infinity") return -Infinity;
  return value;
}

function formatted(value, digits) {
  const number = numeric(value);
  if (number == null) return "";
  if (!Number.isFinite(number)) return number > 0 ? "∞" : "-∞";
  return number.toFixed(digits);
}

/** A value of no column of its own, as the terminal writes it. */
function plain(value) {
  return typeof value === "number" && !Number.isInteger(value) ? value.toFixed(4) : String(value);
}

/** Best of some values in a column's direction; null where there is nothing to choose between. */
function best(values, column) {
  const there = values.map(numeric).filter((value) => value != null);
  if (new Set(there).size < 2 || !column.ranked) return null;
  return column.higher ? Math.max(...there) : Math.min(...there);
}

function heading(column) {
  const unit = column.unit ? ` ${column.unit}` : "";
  return [column.id, make("span", { class: "unit" }, `${column.arrow}${unit}`)];
}

function count(number, noun) {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

/** A selection list; entries are [value, text] or [group, [[value, text], …]]. */
function selection(label, entries, chosen, change, attributes = {}) {
  const option = ([value, text]) => make("option", { value, selected: String(value) === String(chosen) }, text);
  const options = entries.map((entry) =>
    Array.isArray(entry[1]) ? make("optgroup", { label: entry[0] }, entry[1].map(option)) : option(entry),
  );
  const list = make("select", { change: () => change(list.value), ...attributes }, options);
  return make("label", { class: "choice" }, make("span", {}, label), list);
}

function button(text, press, attributes = {}) {
  return make("button", { type: "button", click: press, ...attributes }, text);
}

/** What parts of the page share: they call change, and are told by the listeners they gave to watch. */
function sharedState(values) {
  const listeners = [];
  return {
    ...values,
    watch(listener) {
      listeners.push(listener);
    },
    change(changes) {
      Object.assign(this, changes);
      for (const listener of listeners) listener(changes);
    },
  };
}

/** The row of an image at an operating point. */
function rowOf(run, image, point) {
  return run.rows[image * run.points.length + point];
}

/** Bits per pixel of a cell; null while it has no bitstream. */
function bitsPerPixel(run, image, point) {
  return rowOf(run, image, point).rate ?? null;
}
