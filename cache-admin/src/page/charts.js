// Small charts and the graph of a cascade, as SVG.

import { s, count, prefixOf } from './dom.js';

const W = 120;
const H = 32;

/** Values over time; `null` where there is none. `top`: the value at the upper edge. */
export function spark(values, { top, label = '' } = {}) {
  const known = values.filter((value) => value != null);
  const most = top ?? Math.max(...known, 1e-9) * 1.15;
  const svg = s('svg', { class: 'spark', viewBox: `0 0 ${W} ${H}`, preserveAspectRatio: 'none', role: 'img', 'aria-label': label });
  for (const run of runs(values, most)) {
    const path = run.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join('L');
    const [first, last] = [run[0][0].toFixed(1), run[run.length - 1][0].toFixed(1)];
    svg.append(s('path', { class: 'area', d: `M${first},${H}L${path}L${last},${H}Z` }), s('path', { class: 'line', d: `M${path}` }));
  }
  return svg;
}

/** Points of values that follow each other without a hole. */
function runs(values, most) {
  const step = W / Math.max(values.length - 1, 1);
  const found = [];
  let run = [];
  values.forEach((value, at) => {
    if (value != null) run.push([at * step, H - 1 - (Math.min(value, most) / most) * (H - 3)]);
    if ((value == null || at === values.length - 1) && run.length) {
      // One value alone is drawn as a short line.
      if (run.length === 1) run.unshift([Math.max(run[0][0] - step, 0), run[0][1]]);
      found.push(run);
      run = [];
    }
  });
  return found;
}

const ROW = 30;
const COLUMN = 230;
const BOX = { width: 172, height: 22 };
const NAMES_DRAWN = 7;

export const nameOf = (cause) => (typeof cause === 'string' ? cause : Object.values(cause)[0]);
export const kindOf = (cause) => (typeof cause === 'string' ? '' : Object.keys(cause)[0]);

/** What an invalidation named, and what it removed of each prefix. Both are told exactly; which name led to which entry is not. */
export function hub(record) {
  const roots = record.named.slice(0, NAMES_DRAWN).map((cause) => ({ label: nameOf(cause), kind: kindOf(cause), root: true }));
  const more = record.named_total - roots.length;
  if (more > 0) roots.push({ label: `${count(more)} more`, kind: '' });
  const prefixes = Object.entries(record.removed_by_prefix).sort((a, b) => b[1] - a[1]);
  const leaves = prefixes.slice(0, NAMES_DRAWN).map(([prefix, removed]) => ({ label: prefix, count: removed }));
  const others = record.removed - leaves.reduce((sum, leaf) => sum + leaf.count, 0);
  if (others > 0) leaves.push({ label: 'others', count: others });
  const centre = { label: record.error ? 'failed' : count(record.removed), hub: true, failed: Boolean(record.error) };
  const edges = [...roots.map((from) => ({ from, to: centre, weight: 1 })), ...leaves.map((to) => ({ from: centre, to, weight: to.count }))];
  return draw([roots, [centre], leaves], edges, `${count(record.removed)} entries removed`, [0, 214, 316]);
}

/** The entries that would fall, each under what leads to it. A level with many is drawn by prefix. */
export function forest(preview) {
  const entries = new Map(preview.entries.map((entry) => [entry.key, entry]));
  const depths = new Map();
  // Up to an entry whose depth is known, and down again: a chain may be long.
  const depth = (entry) => {
    const chain = [];
    for (let at = entry; at && !depths.has(at.key) && !chain.includes(at); ) {
      chain.push(at);
      at = kindOf(at.cause) === 'key' && nameOf(at.cause) !== at.key ? entries.get(nameOf(at.cause)) : null;
    }
    const above = chain.length ? entries.get(nameOf(chain[chain.length - 1].cause)) : null;
    let known = (kindOf(chain[chain.length - 1]?.cause ?? '') === 'key' && depths.get(above?.key)) || 0;
    while (chain.length) depths.set(chain.pop().key, ++known);
    return depths.get(entry.key);
  };
  const levels = [];
  for (const entry of preview.entries) (levels[depth(entry)] ??= []).push(entry);
  const columns = [[]];
  const nodes = new Map();
  levels.forEach((level, at) => {
    const apart = level.length <= 12;
    columns[at] = [];
    for (const entry of level) {
      const group = apart ? `entry ${entry.key}` : `prefix ${at} ${prefixOf(entry.key)}`;
      let node = nodes.get(group);
      if (!node) {
        node = { label: apart ? entry.key : `${prefixOf(entry.key)}:…`, count: apart ? null : 0 };
        nodes.set(group, node);
        columns[at].push(node);
      }
      if (!apart) node.count += 1;
      nodes.set(entry, node);
    }
  });
  const edges = new Map();
  for (const entry of preview.entries) {
    const [kind, name] = [kindOf(entry.cause), nameOf(entry.cause)];
    const above = depths.get(entry.key) > 1 ? nodes.get(entries.get(name)) : null;
    const from = above ?? root(nodes, columns, kind, name, entries);
    const to = nodes.get(entry);
    if (!edges.has(from)) edges.set(from, new Map());
    edges.get(from).set(to, (edges.get(from).get(to) ?? 0) + 1);
  }
  const list = [...edges].flatMap(([from, targets]) => [...targets].map(([to, weight]) => ({ from, to, weight })));
  return draw(columns.filter(Boolean), list, `The cascade of ${count(preview.total)} entries`);
}

function root(nodes, columns, kind, name) {
  const id = `root ${kind} ${name}`;
  if (!nodes.has(id)) {
    nodes.set(id, { label: name, kind, root: true });
    columns[0].push(nodes.get(id));
  }
  return nodes.get(id);
}

function draw(columns, edges, label, places) {
  const rows = Math.max(...columns.map((column) => column.length), 1);
  const height = rows * ROW + 16;
  const width = places ? places[2] + BOX.width + 12 : (columns.length - 1) * COLUMN + BOX.width + 24;
  const svg = s('svg', { class: 'graph', viewBox: `0 0 ${width} ${height}`, width, height, role: 'img', 'aria-label': label });
  columns.forEach((column, at) =>
    column.forEach((node, row) => {
      node.width = node.hub ? 62 : BOX.width;
      node.x = places ? places[at] + 6 : at * COLUMN + 12;
      node.y = height / 2 + (row - (column.length - 1) / 2) * ROW;
    }),
  );
  for (const { from, to, weight } of edges) {
    const [x1, x2] = [from.x + from.width, to.x];
    const bend = (x2 - x1) / 2;
    svg.append(s('path', { class: 'edge', 'stroke-width': Math.min(1.5 + Math.log2(weight), 9), d: `M${x1},${from.y}C${x1 + bend},${from.y} ${x2 - bend},${to.y} ${x2},${to.y}` }));
  }
  columns.flat().forEach((node) => svg.append(box(node)));
  return svg;
}

function box({ x, y, width, label, kind, count: members, root: isRoot, hub: isHub, failed }) {
  const group = s('g', { class: ['node', isRoot && 'root', isHub && 'hub', failed && 'failed'].filter(Boolean).join(' ') });
  const suffix = members == null ? '' : count(members);
  group.append(s('title', {}, [kind, label, suffix].filter(Boolean).join(' ')));
  group.append(s('rect', { x, y: y - BOX.height / 2, width, height: BOX.height, rx: 6 }));
  if (isHub) return group.append(s('text', { x: x + width / 2, y }, label)), group;
  const mark = kind ? `${kind} ` : '';
  const room = Math.floor((width - 16) / 7.3) - mark.length - (suffix ? suffix.length + 1 : 0);
  const shown = label.length > room ? `${label.slice(0, Math.max(room - 1, 1))}…` : label;
  const text = s('text', { x: x + 8, y });
  if (mark) text.append(s('tspan', { class: 'kind' }, mark));
  text.append(s('tspan', {}, shown));
  group.append(text);
  if (suffix) group.append(s('text', { x: x + width - 8, y, 'text-anchor': 'end' }, suffix));
  return group;
}
