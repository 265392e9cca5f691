// The dashboard's page: takes the state as server-sent events (or asks for it, where those do not come) and draws it.
"use strict";

const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";

// An element with attributes and children; text only ever goes in as text.
function el(tag, attrs, ...children) {
  const e = document.createElement(tag);
  for (const k in attrs || {}) {
    if (k === "width%") e.style.width = attrs[k] + "%";
    else e.setAttribute(k, attrs[k]);
  }
  for (const c of children) e.append(c);
  return e;
}
function svg(tag, attrs, text) {
  const e = document.createElementNS(SVG, tag);
  for (const k in attrs) e.setAttribute(k, attrs[k]);
  if (text !== undefined) e.textContent = text;
  return e;
}

// ---- numbers as people read them

const count = (n) => n >= 1e6 ? (n / 1e6).toFixed(1) + "M" : n >= 1e4 ? (n / 1e3).toFixed(1) + "k" : Math.round(n).toString();
const percent = (x) => Math.round(x * 100) + " %";
const bytes = (b) => b >= 1 << 30 ? (b / (1 << 30)).toFixed(1) + " GiB" : (b / (1 << 20)).toFixed(1) + " MiB";
const clock = (t) => new Date(t * 1000).toLocaleTimeString([], { hour12: false });
function span(s) {
  s = Math.floor(s || 0);
  if (s < 60) return s + " s";
  if (s < 3600) return Math.floor(s / 60) + " min " + (s % 60) + " s";
  if (s < 86400) return Math.floor(s / 3600) + " h " + Math.floor(s % 3600 / 60) + " min";
  return Math.floor(s / 86400) + " d " + Math.floor(s % 86400 / 3600) + " h";
}

// ---- charts

function ceiling(most, steps) {
  if (most <= steps) return steps;
  const unit = Math.pow(10, Math.floor(Math.log10(most)));
  for (const f of [1, 2, 2.5, 5, 10]) if (f * unit >= most) return f * unit;
  return 10 * unit;
}

// One chart: `lines` of {points: [[time, value]], kind, step}; x is the last `length` seconds.
function chart(place, now, length, lines, opts) {
  const box = $(place), w = Math.max(260, box.clientWidth || 900), h = opts.height, left = 44, bottom = 18, right = 8;
  const x = (t) => left + (w - left - right) * Math.max(0, 1 - (now - t) / length);
  const y = (v) => (h - bottom) - (h - bottom - 6) * v / opts.top;
  const root = svg("svg", { viewBox: `0 0 ${w} ${h}`, role: "img", "aria-label": opts.label });
  for (const v of opts.ticks) {
    root.append(svg("line", { x1: left, x2: w - right, y1: y(v), y2: y(v), class: v ? "grid" : "base" }));
    root.append(svg("text", { x: left - 8, y: y(v) + 4, "text-anchor": "end" }, count(v)));
  }
  for (let s = 0; s <= length; s += w < 500 ? 60 : 30) {
    const at = s === 0 ? "now" : `-${s} s`;
    root.append(svg("text", { x: x(now - s), y: h - 3, "text-anchor": s === 0 ? "end" : s === length ? "start" : "middle" }, at));
  }
  for (const line of lines) {
    let d = "", last = null;
    for (const [t, v] of line.points) {
      if (v === null || v === undefined) { last = null; continue; }
      const px = x(t).toFixed(1), py = y(v).toFixed(1);
      d += last === null ? `M${px} ${py}` : line.step ? `H${px}V${py}` : `L${px} ${py}`;
      last = px;
    }
    if (!d) continue;
    if (line.area) root.append(svg("path", { d: `${d}V${y(0)}H${x(line.points[0][0]).toFixed(1)}Z`, class: "area" }));
    root.append(svg("path", { d, class: line.kind }));
  }
  hover(box, root, { w, h, bottom, x, y, now, length, lines, left, right, say: opts.say });
  box.replaceChildren(root, ...box.querySelectorAll(".tip"));
  if (box.pointer !== undefined) root.show(box.pointer);
  else box.querySelectorAll(".tip").forEach((t) => t.remove());
}

// A cross-hair with the values under the pointer; it stays where it is while the chart moves on.
function hover(box, root, c) {
  const marks = svg("g", {});
  root.append(marks);
  root.show = (fraction) => {
    const points = c.lines[0].points;
    const t = c.now - c.length * (1 - (fraction * c.w - c.left) / (c.w - c.left - c.right));
    let best = null;
    for (const p of points) if (!best || Math.abs(p[0] - t) < Math.abs(best[0] - t)) best = p;
    if (!best) return;
    const px = c.x(best[0]);
    marks.replaceChildren(svg("line", { x1: px, x2: px, y1: 0, y2: c.h - c.bottom, class: "cross" }),
      svg("circle", { cx: px, cy: c.y(best[1]), r: 4, class: "dot" }));
    let tip = box.querySelector(".tip");
    if (!tip) box.append(tip = el("div", { class: "tip" }));
    tip.textContent = clock(best[0]) + "  " + c.say(best);
    tip.style.left = Math.min(92, Math.max(8, px / c.w * 100)) + "%";
  };
  box.onpointermove = (e) => {
    const r = box.getBoundingClientRect();
    box.pointer = (e.clientX - r.left) / r.width;
    box.firstElementChild.show(box.pointer);
  };
  box.onpointerleave = () => {
    box.pointer = undefined;
    box.querySelectorAll(".tip").forEach((t) => t.remove());
    box.firstElementChild.lastElementChild.replaceChildren();
  };
}

function charts(s) {
  const rate = s.history.map((p) => [p[0], p[2]]);
  const have = s.history.map((p) => [p[0], p[1]]);
  const want = s.history.map((p) => [p[0], p[3]]);
  const top = ceiling(Math.max(...rate.map((p) => p[1]), 1), 10);
  chart("chart-rate", s.time, s.span, [{ points: rate, kind: "stroke", area: true }],
    { height: 150, top, ticks: [0, top / 2, top], label: "Requests a second over the last two minutes",
      say: (p) => count(p[1]) + " requests/s" });
  const most = Math.max(s.scaler ? s.scaler.max : 0, ...have.map((p) => p[1]), ...want.map((p) => p[1] || 0), 2);
  const ticks = [];
  for (let v = 0, step = Math.ceil(most / 4); v <= most; v += step) ticks.push(v);
  chart("chart-count", s.time, s.span, [{ points: have, kind: "stroke", area: true, step: true },
    { points: want, kind: "wanted", step: true }],
    { height: 110, top: most, ticks, label: "Web domains over the last two minutes",
      say: (p) => p[1] + (p[1] === 1 ? " domain" : " domains") });
}

// ---- the rest

function meter(share) {
  const width = Math.max(0, Math.min(100, share * 100)).toFixed(1);
  return el("div", { class: "meter" }, el("div", { class: "track" }, el("div", { class: "fill", "width%": width })),
    el("span", { class: "value" }, percent(share)));
}

function tiles(s) {
  const list = [
    [s.domains.length, "domains"],
    [s.web.instances.filter((d) => !d.draining).length, "web domains" + (s.scaler ? `, ${s.scaler.wanted} wanted` : "")],
    [count(s.web.rate), "requests a second"],
  ];
  if (s.web.instances.length) {
    const busy = s.web.instances.reduce((a, d) => a + d.busy, 0) / s.web.instances.length;
    list.push([percent(busy), "busy" + (s.scaler ? `, target ${percent(s.scaler.target)}` : "")]);
  }
  if (s.queue) list.push([count((s.queue.ready || 0) + (s.queue.delayed || 0) + (s.queue.waiting || 0)), "jobs to do"]);
  if (s.workers.length) {
    list.push([percent(s.workers.reduce((a, d) => a + d.share, 0) / s.workers.length), "of the workers' time"]);
  }
  $("tiles").replaceChildren(...list.map(([v, name]) => el("div", { class: "tile" }, el("b", {}, String(v)), el("small", {}, name))));
}

function domains(s) {
  const kind = { running: "good", paused: "warn", shutdown: "warn", dying: "warn", building: "" };
  const rows = [...s.domains].sort((a, b) => a.domid - b.domid).map((d) => {
    const state = d.draining ? "draining" : d.state;
    return el("tr", {}, el("td", {}, d.name), el("td", { class: "n" }, String(d.domid)),
      el("td", {}, el("span", { class: "pill " + (d.draining ? "warn" : kind[d.state] || "") }, state)),
      el("td", { class: "bar" }, meter(d.share)), el("td", { class: "n" }, bytes(d.memory)),
      el("td", { class: "n" }, span(d.uptime)), el("td", { class: "n" }, String(d.restarts)));
  });
  $("domains").tBodies[0].replaceChildren(...rows);
}

const OPEN = ["waiting", "delayed", "ready", "leased"];
const DEPTH = 4; // where the history has the jobs that are not finished

function queue(s) {
  $("queue-card").hidden = !s.queue;
  if (!s.queue) return;
  const depth = s.history.map((p) => [p[0], p[DEPTH]]);
  const top = ceiling(Math.max(...depth.map((p) => p[1] || 0), 1), 10);
  chart("chart-queue", s.time, s.span, [{ points: depth, kind: "stroke", area: true }], { height: 96, top,
    ticks: [0, top], label: "Jobs that are not finished, over the last two minutes", say: (p) => count(p[1] || 0) + " jobs" });
  const known = OPEN.filter((k) => typeof s.queue[k] === "number");
  const most = Math.max(1, ...known.map((k) => s.queue[k]));
  const rows = known.map((k) => el("div", { class: "row" }, el("span", {}, k),
    el("div", { class: "meter" }, el("div", { class: "track" },
      el("div", { class: "fill", "width%": s.queue[k] / most * 100 })), el("span", { class: "value" }, count(s.queue[k])))));
  const facts = Object.keys(s.queue).filter((k) => !OPEN.includes(k)).sort().map((k) => {
    const v = s.queue[k], text = typeof v !== "number" ? v : Number.isInteger(v) ? count(v) : v.toFixed(1);
    return el("span", {}, k === "oldest" ? "oldest, seconds " : k.replace(/_/g, " ") + " ", el("b", {}, text));
  });
  $("queue").replaceChildren(...rows, el("div", { class: "facts" }, ...facts));
}

function workers(s) {
  $("workers-card").hidden = !s.workers.length;
  $("workers").replaceChildren(...s.workers.map((d) => el("div", { class: "row" },
    el("span", {}, d.name, el("small", { class: "quiet" }, d.done === undefined ? "" : ` ${d.jobs || 0} now, ${count(d.done)} done`)),
    meter(d.share))));
}

const DECISION = { up: "good", down: "good", freeze: "warn", ceiling: "warn", error: "bad" };
const EVENT = { create: "good", join: "good", drain: "warn", end: "warn", leave: "warn", error: "bad", refused: "bad" };

function item(time, kind, style, text) {
  return el("li", {}, el("time", {}, clock(time)), el("span", { class: "pill " + (style || "") }, kind), el("p", {}, text));
}

function lists(s) {
  const decisions = s.decisions.map((d) => item(d.last, d.kind, DECISION[d.kind],
    d.reason + (d.count > 1 ? `, for ${span(d.last - d.time)}` : "")));
  fill("decisions", decisions, s.scaler ? "None yet." : "No scaler runs.");
  fill("events", s.events.map((e) => item(e.time, e.kind, EVENT[e.kind], e.name + (e.text ? ": " + e.text : ""))), "None yet.");
}

function fill(id, items, otherwise) {
  const list = $(id), at = list.scrollTop;
  list.replaceChildren(...(items.length ? items : [el("li", { class: "empty" }, otherwise)]));
  list.scrollTop = at;
}

function draw(s) {
  document.title = `${s.world.name} - xenkit`;
  $("world").textContent = s.world.name || "";
  $("uptime").textContent = "up " + span(s.world.uptime);
  $("rate-now").textContent = count(s.web.rate);
  $("count-now").textContent = s.web.instances.map((d) => `${d.name} ${percent(d.busy)}`).join(", ");
  tiles(s);
  charts(s);
  domains(s);
  queue(s);
  workers(s);
  lists(s);
  $("addresses").textContent = Object.entries(s.world.addresses || {}).sort().map(([k, v]) => `${k} ${v}`).join("   ");
}

// ---- where the state comes from

let newest = null, heard = 0;

function live(text, kind) {
  $("live").textContent = text;
  $("live").className = "pill " + kind;
}

function take(text, how) {
  newest = JSON.parse(text);
  heard = Date.now();
  live(how, "good");
  draw(newest);
}

async function ask() {
  try {
    const r = await fetch("/api/state");
    if (!r.ok) throw new Error(r.status);
    take(await r.text(), "polling");
  } catch (e) {
    live("no answer", "bad");
  }
}

function listen() {
  const source = new EventSource("/api/events");
  source.onmessage = (e) => take(e.data, "live");
  source.onerror = () => { if (Date.now() - heard > 2000) live("no answer", "bad"); };
}

// Without events for three seconds the page asks by itself; events that come again end that.
if (!("EventSource" in window) || location.search === "?poll") heard = -1e9;
else listen();
ask();
setInterval(() => { if (Date.now() - heard > 3000 || location.search === "?poll") ask(); }, 1000);
addEventListener("resize", () => { if (newest) draw(newest); });
