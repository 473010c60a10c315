// Asks for the state again and again and writes it into the page. What comes from the network is only ever text: nothing
// here makes markup of it.
"use strict";

const INTERVAL_MS = 2000;
const SVG = "http://www.w3.org/2000/svg";
const byId = (id) => document.getElementById(id);

let paused = false;
let previous = null;
const writtenRows = new Map();

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

const milliseconds = (ms) => (ms === null ? "–" : ms < 100 ? `${ms.toFixed(1)} ms` : `${ms.toFixed(0)} ms`);
const perMille = (share) => (share === null ? "–" : `${share / 10} %`);

function bytes(count) {
  const units = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
  let unit = 0;
  for (; count >= 999.95 && unit < units.length - 1; unit += 1) count /= 1000;
  return unit === 0 ? `${count} B` : `${count.toFixed(1)} ${units[unit]}`;
}

function duration(s) {
  const parts = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  const first = parts.findIndex(([, size]) => s >= size);
  if (first < 0) return "0 s";
  return parts.slice(first, first + 2)
    .map(([unit, size], at) => [Math.floor((at === 0 ? s : s % parts[first][1]) / size), unit])
    .filter(([figure]) => figure > 0).map((pair) => pair.join(" ")).join(" ");
}

function pathWords(path) {
  switch (path.kind) {
    case "direct": return `direct ${path.remote ?? ""}`;
    case "stream": return `TCP ${path.remote ?? ""}`;
    case "via": return `via ${(path.hops ?? []).join(", ") || "hops"}${path.pending ? " (being set up)" : ""}`;
    default: return "none";
  }
}

// Rows are [key, cells]; a cell is a text or [text, class]. What has not changed is left alone, so that nobody loses the place
// where they read.
function writeTable(id, rows, none) {
  const body = byId(id).tBodies[0];
  const columns = byId(id).tHead.rows[0].cells.length;
  const text = JSON.stringify(rows);
  if (writtenRows.get(id)?.text === text) return;
  const before = writtenRows.get(id)?.byKey;
  const byKey = new Map(rows.map(([key, cells]) => [key, JSON.stringify(cells)]));
  writtenRows.set(id, { text, byKey });
  const written = rows.map(([key, cells]) => {
    const row = element("tr");
    if (before && before.get(key) !== byKey.get(key)) row.className = "changed";
    cells.forEach((cell, at) => {
      const [words, className] = Array.isArray(cell) ? cell : [cell];
      const made = element(at === 0 ? "th" : "td", words, className);
      if (at === 0) made.scope = "row";
      row.append(made);
    });
    return row;
  });
  if (written.length === 0) {
    const cell = element("td", none);
    cell.colSpan = columns;
    const row = element("tr");
    row.append(cell);
    written.push(row);
  }
  body.replaceChildren(...written);
}

function writeSummary(state) {
  const { network, node, uptime_s, version, peers, problems } = state.status;
  byId("network").textContent = network.name;
  document.title = `${network.name}: Hopmesh`;
  const connected = peers.filter((peer) => peer.state === "connected").length;
  byId("summary").textContent = `This node is ${node.name} (${node.roles.join(", ")}), ${node.addresses.join(", ")}. `
    + `Up for ${duration(uptime_s)}, version ${version}. ${connected} of ${peers.length} peers connected.`;
  byId("problems").hidden = problems.length === 0;
  byId("problem-list").replaceChildren(...problems.map((problem) => element("li", problem)));
}

function writeTables(state) {
  writeTable("peers", state.status.peers.map((peer) => [peer.id, [
    peer.name, peer.addresses.join(" "), peer.state, [pathWords(peer.path), `path ${peer.path.kind}`],
    [milliseconds(peer.path.rtt_ms), "figure"], [perMille(peer.path.loss_per_mille), "figure"],
    [bytes(peer.rx_bytes), "figure"], [bytes(peer.tx_bytes), "figure"],
  ]]), "No peers yet: `hopmesh invite` prints an invite for the next machine.");
  writeTable("reach", state.reach.map((reach) => [`${reach.from_id} ${reach.to_id}`, [
    reach.from, reach.to, [reach.way, `path ${reach.kind}`], [milliseconds(reach.rtt_ms), "figure"], reach.why,
  ]]), "There is nobody else.");
  const instances = state.services.flatMap((service) => service.instances.map((instance) => {
    const [address] = instance.addresses;
    const where = `${address.includes(":") ? `[${address}]` : address}:${instance.port} ${instance.protocol}`
      + (instance.to ? `, passed on to ${instance.to}` : "");
    const health = instance.healthy ? "healthy" : "unhealthy";
    return [`${service.name} ${instance.id} ${instance.version}`, [
      service.name, service.owner ?? "no member", instance.node, where, instance.version ?? "–", [health, health],
      [milliseconds(instance.rtt_ms), "figure"],
    ]];
  }));
  writeTable("services", instances, "No services yet: `hopmesh publish NAME --port P` makes one.");
  leaveOut("map-left-out", state.left_out, "more nodes are not on the map: see `hopmesh peers`.");
  leaveOut("reach-left-out", state.pairs_left_out, "more pairs of other nodes are not in the table.");
  byId("services-part").hidden = state.service_parts === 1;
  byId("services-part").textContent = "This node does not know all services: `hopmesh resolve NAME` asks others for one.";
}

function leaveOut(id, count, words) {
  byId(id).hidden = count === 0;
  byId(id).textContent = `${count} ${words}`;
}

function drawn(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  return made;
}

// This node in the middle, the others around it, in two rings when there are many.
function places(nodes) {
  const places = new Map();
  const others = nodes.filter((node) => !node.is_own);
  others.forEach((node, at) => {
    const angle = (2 * Math.PI * at) / others.length - Math.PI / 2;
    const reach = others.length > 16 && at % 2 === 1 ? 0.6 : 1;
    places.set(node.id, [400 + 330 * reach * Math.cos(angle), 230 + 180 * reach * Math.sin(angle)]);
  });
  for (const node of nodes.filter((one) => one.is_own)) places.set(node.id, [400, 230]);
  return places;
}

function drawMap(state) {
  const at = places(state.nodes);
  const byName = new Map(state.nodes.map((node) => [node.name, node.id]));
  const own = state.nodes.find((node) => node.is_own)?.id;
  const layers = { others: drawn("g", { class: "others" }), ours: drawn("g", {}), nodes: drawn("g", {}) };
  for (const reach of state.reach) {
    const isOurs = reach.from_id === own;
    // What others have over hops is told by the lines to and from these.
    if (["none", "unknown"].includes(reach.kind) || (reach.kind === "via" && !isOurs)) continue;
    const stops = [reach.from_id, ...reach.hops.map((hop) => byName.get(hop)), reach.to_id];
    const points = stops.map((id) => at.get(id)).filter(Boolean).map((point) => point.join(",")).join(" ");
    layers[isOurs ? "ours" : "others"].append(drawn("polyline", { points, class: reach.kind }));
  }
  for (const node of state.nodes) {
    const [x, y] = at.get(node.id);
    const kind = state.reach.find((reach) => reach.from_id === own && reach.to_id === node.id)?.kind ?? "direct";
    const group = drawn("g", { class: `${kind}${node.is_own ? " own" : ""}` });
    group.append(drawn("circle", { cx: x, cy: y, r: node.is_anchor ? 12 : 8 }));
    const label = drawn("text", { x, y: y + 28 });
    const marks = [kind === "none" && !node.is_own ? node.state : "", node.is_anchor ? "anchor" : ""].filter(Boolean);
    label.textContent = marks.length ? `${node.name} (${marks.join(", ")})` : node.name;
    const title = drawn("title", {});
    title.textContent = node.nat ? `Before it: ${node.nat}` : "It has not told what is before it.";
    group.append(label, title);
    layers.nodes.append(group);
  }
  byId("map").replaceChildren(layers.others, layers.ours, layers.nodes);
}

// What somebody who cannot see the map wants to be told: peers that come, go or are reached in another way, and new problems.
function news(before, now) {
  const peersBefore = new Map(before.status.peers.map((peer) => [peer.id, peer]));
  const told = [];
  for (const peer of now.status.peers) {
    const old = peersBefore.get(peer.id);
    peersBefore.delete(peer.id);
    if (!old) told.push(`${peer.name} is new.`);
    else if (old.state !== peer.state) told.push(`${peer.name} is ${peer.state}.`);
    else if (old.path.kind !== peer.path.kind) told.push(`${peer.name} is reached ${pathWords(peer.path)}.`);
  }
  for (const gone of peersBefore.values()) told.push(`${gone.name} has gone.`);
  const problemsBefore = new Set(before.status.problems);
  told.push(...now.status.problems.filter((problem) => !problemsBefore.has(problem)));
  return told;
}

function tell(sentences) {
  if (sentences.length > 0) byId("news").textContent = sentences.join(" ");
}

function show(state) {
  writeSummary(state);
  writeTables(state);
  drawMap(state);
  if (previous) tell(news(previous, state));
  previous = state;
}

function showAge(sentence) {
  const isNew = byId("age").textContent !== sentence;
  byId("age").textContent = sentence;
  byId("age").className = sentence ? "old" : "";
  if (sentence && isNew) tell([sentence]);
}

async function update() {
  try {
    const response = await fetch("/state.json", { cache: "no-store", credentials: "same-origin" });
    const isJson = response.headers.get("content-type") === "application/json";
    const answer = isJson ? await response.json() : { error: await response.text() };
    if (!response.ok) return showAge(`Not up to date: ${answer.error}`);
    show(answer);
    showAge("");
  } catch (error) {
    showAge("Not up to date: `hopmesh web` does not run any more. Start it again and open the address that it prints.");
  }
}

async function go() {
  for (;;) {
    if (!paused && !document.hidden) await update();
    await new Promise((resolve) => setTimeout(resolve, INTERVAL_MS));
  }
}

byId("pause").addEventListener("click", () => {
  paused = !paused;
  byId("pause").setAttribute("aria-pressed", String(paused));
});
go();
