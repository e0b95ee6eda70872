// The pages that browse: a list with filters, and what was chosen of it. The lists and entries come as scripts, since a
// page opened from the disk may load nothing else. Everything is put on the page as text, never as markup.
"use strict";
const srlSite = (() => {
  const PER_PAGE = 50, ALL = "";
  const $ = (id) => document.getElementById(id);
  let list = null, shown = [], place = -1, first = 0, filters = [], order = null;
  const chunks = {}, waiting = {};

  function make(tag, attributes, ...children) {
    const node = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes || {})) node.setAttribute(key, value);
    node.append(...children);
    return node;
  }

  // The list.

  function start(index) {
    list = index;
    for (const [number, [name, values]] of list.filters.entries()) {
      if (values.length < 2) continue;
      const sorted = [...values].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
      filters.push([number, select(name, [["all", ALL], ...sorted.map((v) => [v, String(values.indexOf(v))])])]);
    }
    if (list.orders.length > 1) order = select("Order", list.orders.map((name, i) => [name, String(i)]));
    $("tools").addEventListener("submit", (event) => event.preventDefault());
    $("tools").addEventListener("input", () => refresh(false));
    $("earlier").addEventListener("click", () => turn(-PER_PAGE));
    $("later").addEventListener("click", () => turn(PER_PAGE));
    window.addEventListener("hashchange", fromAddress);
    document.addEventListener("keydown", onKey);
    refresh(true);
    fromAddress();
  }

  function select(name, options) {
    const id = "by-" + name.toLowerCase(), chosen = make("select", { id });
    for (const [text, value] of options) chosen.append(make("option", { value }, text));
    $("tools").append(make("div", { class: "field" }, make("label", { for: id }, name), chosen));
    return chosen;
  }

  // Rows: [chunk, place, title, detail, badge, tone, filter values, numbers to order by].
  function refresh(atStart) {
    const wanted = $("find").value.toLowerCase().split(/\s+/).filter(Boolean);
    const set = filters.filter(([, s]) => s.value !== ALL).map(([number, s]) => [number, Number(s.value)]);
    shown = [];
    for (const [number, row] of list.rows.entries()) {
      if (!set.every(([filter, value]) => row[6][filter] === value)) continue;
      const text = wanted.length ? (row[2] + " " + row[3]).toLowerCase() : "";
      if (wanted.every((word) => text.includes(word))) shown.push(number);
    }
    const by = order ? Number(order.value) : 0;
    if (by > 0) shown.sort((a, b) => list.rows[b][7][by - 1] - list.rows[a][7][by - 1] || a - b);
    place = atStart ? place : shown.indexOf(current());
    first = place < 0 ? 0 : place - (place % PER_PAGE);
    draw();
  }

  function draw() {
    const items = shown.slice(first, first + PER_PAGE).map((number) => {
      const [, , title, detail, badge, tone] = list.rows[number];
      const link = make("a", { href: "#" + (number + 1) }, make("span", { class: "badge " + tone }, badge), make("b", {}, title), make("i", {}, detail));
      if (number === current()) link.setAttribute("aria-current", "true");
      return make("li", {}, link);
    });
    const focused = $("list").contains(document.activeElement) ? document.activeElement.hash : null;
    $("list").replaceChildren(...items);
    if (focused) $("list").querySelector(`a[href="${focused}"]`)?.focus();
    const noun = $("tools").dataset.noun, last = Math.min(first + PER_PAGE, shown.length);
    const part = shown.length > PER_PAGE ? `, ${first + 1} to ${last} shown` : "";
    const of = shown.length === list.rows.length ? "" : ` of ${list.rows.length.toLocaleString("en")}`;
    $("count").textContent = `${shown.length.toLocaleString("en")}${of} ${noun}${part}`;
    $("earlier").disabled = first === 0;
    $("later").disabled = last >= shown.length;
    for (const id of ["earlier", "later"]) $(id).hidden = shown.length <= PER_PAGE;
  }

  function turn(by) {
    first = Math.max(0, Math.min(first + by, shown.length - 1));
    draw();
    $("list").querySelector("a")?.focus();
  }

  // What is chosen is in the address, so that it can be passed on.

  function current() {
    const number = Number(location.hash.slice(1)) - 1;
    return Number.isInteger(number) && number >= 0 && number < list.rows.length ? number : -1;
  }

  function fromAddress() {
    const number = current();
    document.body.classList.toggle("chosen", number >= 0);
    place = shown.indexOf(number);
    if (place >= 0 && (place < first || place >= first + PER_PAGE)) { first = place - (place % PER_PAGE); }
    draw();
    reveal();
    if (number < 0) { $("entry").replaceChildren(make("p", { class: "hint" }, "Choose one of the list.")); return; }
    const [chunk, inChunk] = list.rows[number];
    load(`${list.name}-${chunk}`, (entries) => { if (number === current()) show(entries[inChunk]); });
  }

  function reveal() {
    const link = $("list").querySelector("[aria-current]"), frame = $("list").parentElement;
    if (!link || frame.scrollHeight <= frame.clientHeight) return;
    const at = link.offsetTop - $("list").offsetTop;
    if (at < frame.scrollTop) frame.scrollTop = at;
    else if (at + link.offsetHeight > frame.scrollTop + frame.clientHeight) frame.scrollTop = at + link.offsetHeight - frame.clientHeight;
  }

  function load(name, then) {
    if (chunks[name]) { then(chunks[name]); return; }
    (waiting[name] = waiting[name] || []).push(then);
    if (waiting[name].length > 1) return;
    const script = make("script", { src: `data/${name}.js` });
    script.addEventListener("error", () => {
      delete waiting[name];
      $("entry").replaceChildren(make("p", { class: "bad" }, `data/${name}.js cannot be read: is the report whole?`));
    });
    document.head.append(script);
  }

  function entries(name, found) {
    chunks[name] = found;
    for (const then of waiting[name] || []) then(found);
    delete waiting[name];
  }

  // What was chosen.

  function show(entry) {
    const back = make("a", { href: "#", class: "back" }, "Back to the list");
    const facts = make("dl", { class: "facts" });
    for (const [name, value] of entry.facts) facts.append(make("div", {}, make("dt", {}, name), make("dd", {}, value)));
    const notes = entry.notes.map((note) => make("p", { class: "bad" }, note));
    const texts = entry.texts.map(([name, text]) => folded(name, text));
    $("entry").replaceChildren(back, make("h2", {}, entry.title), facts, ...notes, ...texts, ...entry.parts.map(part));
    if (matchMedia("(max-width: 52rem)").matches) $("entry").scrollIntoView();
  }

  function part(one) {
    const section = make("section", { class: "part", tabindex: "-1" });
    const title = [one.title, ...(one.tags || []).map(([text, tone]) => make("span", { class: "tag " + tone }, text))];
    const scores = (one.scores || []).map(([name, value]) => `${name} ${value.toFixed(3).replace("-", "−")}`).join(" · ");
    if (scores) title.push(make("span", { class: "scores" }, scores));
    const body = [];
    if (one.thought) body.push(make("p", { class: "thought" }, one.thought));
    if (one.expert !== undefined) body.push(pair(one));
    else if (one.action) body.push(make("h4", {}, one.actionName), make("pre", { tabindex: "0" }, one.action));
    if (one.observation) body.push(folded("Observation", one.observation));
    for (const [name, text] of one.texts || []) body.push(folded(name, text));
    if (one.folded) section.append(make("details", { class: "whole" }, make("summary", {}, ...title), ...body));
    else section.append(make("h3", {}, ...title), ...body);
    return section;
  }

  function pair(one) {
    const blocks = one.blocks || [];
    const sides = [[one.actionName, one.action || "", 0], ["Expert", one.expert, 1]].map(([name, text, side]) => {
      const pre = make("pre", { tabindex: "0" });
      const characters = Array.from(text); // offsets count characters, not UTF-16 units
      let end = 0;
      for (let i = 0; i < blocks.length; i += 3) {
        const start = blocks[i + side];
        pre.append(characters.slice(end, start).join(""), make("mark", {}, characters.slice(start, start + blocks[i + 2]).join("")));
        end = start + blocks[i + 2];
      }
      pre.append(characters.slice(end).join(""));
      return make("div", {}, make("h4", {}, name), pre);
    });
    return make("div", { class: "pair" }, ...sides);
  }

  function folded(name, text) {
    const lines = text.split("\n"), count = lines.length === 1 ? "1 line" : `${lines.length.toLocaleString("en")} lines`;
    const summary = make("summary", {}, `${name}, ${count} `, make("code", {}, lines[0].slice(0, 80)));
    return make("details", {}, summary, make("pre", { tabindex: "0" }, text));
  }

  // Keys.

  function onKey(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || event.target.matches("input, select, textarea")) return;
    const inList = $("list").contains(event.target), inEntry = event.target.matches("section.part");
    const arrow = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const letter = $("keys").checked ? event.key : "";
    if (letter === "j" || letter === "k") move(letter === "j" ? 1 : -1);
    else if (arrow && inList) move(arrow);
    else if (letter === "n" || letter === "p") step(letter === "n" ? 1 : -1);
    else if (arrow && inEntry) step(arrow);
    else if (letter === "o") fold();
    else if (letter === "/") $("find").focus();
    else return;
    event.preventDefault();
  }

  function move(by) {
    const next = place < 0 ? (by > 0 ? first : -1) : place + by;
    if (next < 0 || next >= shown.length) return;
    location.hash = String(shown[next] + 1);
    fromAddress();
    const link = $("list").querySelector("[aria-current]");
    if (link && link.offsetParent) link.focus();
    else $("entry").focus();
  }

  function step(by) {
    const parts = [...$("entry").querySelectorAll("section.part")];
    const at = parts.indexOf(document.activeElement.closest("section.part"));
    const next = parts[at < 0 ? (by > 0 ? 0 : parts.length - 1) : at + by];
    if (next) { next.focus(); next.scrollIntoView({ block: "start" }); }
  }

  function fold() {
    const all = [...$("entry").querySelectorAll("details")], open = all.some((one) => !one.open);
    for (const one of all) one.open = open;
  }

  return { list: start, entries };
})();
