// The counters: tiles, the table of prefixes, the verdict, and what this page costs.

import { $, h, replace, say, get, brief, bytes, count, percent, span } from './dom.js';
import { spark } from './charts.js';

/** How often the counters are asked for, and how many answers a chart shows: one minute at first, and four in the end. */
const PAUSE_MS = 2_000;
const SAMPLES_MIN = 30;
const SAMPLES = 120;
/** "Now" is the last half minute. */
const WINDOW = 15;
/** The verdict asks the store only while something is wrong. */
const VERDICT_EVERY = 5;
const ROWS_MAX = 200;
/** The metrics that are drawn: the others are not sent. */
const METRICS = ['cache_load_duration_seconds', 'cache_saved_seconds', 'cache_store_operation_duration_seconds'];

export class Live {
  constructor() {
    this.expanded = new Set();
    this.reset(null);
  }

  /** Begins anew with another cache. */
  reset(cache) {
    this.cache = cache;
    this.samples = [];
    this.rows = new Map();
    this.turn = 0;
    replace($('#prefixes tbody'));
  }

  start() {
    this.stop();
    this.abort = new AbortController();
    this.loop(this.abort.signal);
  }

  stop() {
    this.abort?.abort();
    this.abort = null;
  }

  async loop(signal) {
    while (!signal.aborted) {
      await this.poll(signal);
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, PAUSE_MS);
        signal.addEventListener('abort', () => (clearTimeout(timer), resolve()), { once: true });
      });
    }
  }

  async poll(signal) {
    try {
      const told = await get('stats', { cache: this.cache, metric: METRICS }, signal);
      const health = this.turn % VERDICT_EVERY === 0 ? await get('health', { cache: this.cache }, signal) : null;
      this.turn += 1;
      const begun = performance.now();
      this.take(told);
      if (health) verdict(health, told);
      this.drawn = performance.now() - begun;
      this.onstate?.('live');
    } catch (error) {
      if (signal.aborted) return;
      this.turn = 0;
      this.onstate?.('broken', error.message);
    }
  }

  take(told) {
    const sample = { at: told.at_ms, ...digest(told), admin: told.admin };
    const last = this.samples[this.samples.length - 1];
    // The process began anew: what was counted before is another life.
    if (last && told.uptime_ms < sample.at - last.at - 1_000) this.samples = [];
    this.samples.push(sample);
    if (this.samples.length > SAMPLES + 1) this.samples.shift();
    this.tiles(sample, told);
    this.table(sample, told);
    this.cost(sample);
  }

  /** What came between two samples, for each pair of neighbours. */
  steps(read) {
    const found = this.samples.slice(1).map((sample, at) => read(this.samples[at], sample, (sample.at - this.samples[at].at) / 1_000));
    return [...new Array(Math.max(SAMPLES_MIN - found.length, 0)).fill(null), ...found];
  }

  /** The sample half a minute ago, or the oldest. */
  before() {
    return this.samples[Math.max(this.samples.length - 1 - WINDOW, 0)];
  }

  tiles(now, told) {
    const before = this.before();
    const seconds = Math.max((now.at - before.at) / 1_000, 0.001);
    const calls = now.total.calls - before.total.calls;
    const rate = calls > 0 ? (now.total.served - before.total.served) / calls : null;
    const whole = now.total.calls ? now.total.served / now.total.calls : null;
    const rates = this.steps((a, b) => (b.total.calls > a.total.calls ? (b.total.served - a.total.served) / (b.total.calls - a.total.calls) : null));
    tile('hit-rate', whole == null ? '–' : percent(rate ?? whole), whole == null ? 'no call yet' : `${percent(whole)} since the start`, spark(rates, { top: 1, label: 'hit rate' }));

    const perSecond = this.steps((a, b, passed) => (b.total.calls - a.total.calls) / passed);
    tile('calls', [brief(calls / seconds), h('small', {}, ' /s')], `${count(now.total.calls)} since the start`, spark(perSecond, { label: 'calls per second' }));

    const store = times(before.store, now.store);
    const medians = this.steps((a, b) => quantile(times(a.store, b.store), 0.95));
    tile('store', rank(store ?? now.store, 0.5), store || now.store ? `p95 ${rank(store ?? now.store, 0.95)}` : 'not asked yet', spark(medians, { label: 'time of the store, p95' }));

    const loads = times(before.loads, now.loads);
    const slow = this.steps((a, b) => quantile(times(a.loads, b.loads), 0.95));
    tile('loads', rank(loads ?? now.loads, 0.5), now.loads ? `p95 ${rank(loads ?? now.loads, 0.95)}, ${count(now.total.loads)} loads` : 'none yet', spark(slow, { label: 'time of loads, p95' }));

    const saved = this.steps((a, b, passed) => Math.max(b.saved - a.saved, 0) / passed);
    tile('saved', span(now.saved), now.saved > 0 ? `${span((now.saved - before.saved) / seconds)} each second` : 'hits × mean load', spark(saved, { label: 'time saved per second' }));

    const refused = this.steps((a, b) => b.total.refused - a.total.refused);
    const recent = now.total.refused - before.total.refused;
    tile('unstored', count(now.total.refused), reasonsOf(told) || (recent ? `${count(recent)} just now` : 'nothing was lost to a race'), spark(refused, { top: Math.max(...refused, 1), label: 'refused fills' }));
  }

  table(now, told) {
    const names = Object.keys(now.prefixes).sort((a, b) => now.prefixes[b].calls - now.prefixes[a].calls || a.localeCompare(b));
    $('#prefixes .empty').hidden = names.length > 0;
    $('#prefixes table').hidden = names.length === 0;
    const body = $('#prefixes tbody');
    for (const name of names.slice(0, ROWS_MAX)) {
      if (!this.rows.has(name)) this.rows.set(name, this.row(name));
      this.fill(this.rows.get(name), name, now, told);
    }
    const wanted = names.slice(0, ROWS_MAX).flatMap((name) => [this.rows.get(name).row, this.rows.get(name).detail]);
    // Rows that stand where they should are not moved: the focus would be lost.
    wanted.forEach((row, at) => body.children[at] !== row && body.insertBefore(row, body.children[at] ?? null));
    while (body.children.length > wanted.length) body.lastChild.remove();
  }

  row(name) {
    const cells = Object.fromEntries(['rate', 'speed', 'hits', 'misses', 'loads', 'refused'].map((cell) => [cell, h('td', { 'data-cell': cell })]));
    for (const cell of ['speed', 'hits', 'misses', 'loads', 'refused']) cells[cell].className = 'number';
    for (const cell of ['hits', 'misses', 'loads']) cells[cell].classList.add('wide');
    const detail = h('tr', { class: 'detail', hidden: !this.expanded.has(name) }, h('td', { colspan: 7 }));
    const toggle = h('button', { type: 'button', class: 'prefix', 'aria-expanded': String(this.expanded.has(name)) }, name);
    toggle.addEventListener('click', () => {
      const open = !this.expanded.delete(name);
      if (open) this.expanded.add(name);
      detail.hidden = !open;
      toggle.setAttribute('aria-expanded', String(open));
    });
    return { row: h('tr', { 'data-prefix': name }, h('td', {}, toggle), Object.values(cells)), detail, cells };
  }

  fill({ cells, detail }, name, now, told) {
    const mine = now.prefixes[name];
    const of = (sample) => sample.prefixes[name] ?? { calls: 0, served: 0, loads: null };
    const before = of(this.before());
    const seconds = Math.max((now.at - this.before().at) / 1_000, 0.001);
    const calls = mine.calls - before.calls;
    const rate = calls > 0 ? (mine.served - before.served) / calls : mine.calls ? mine.served / mine.calls : null;
    const rates = this.steps((a, b) => (of(b).calls > of(a).calls ? (of(b).served - of(a).served) / (of(b).calls - of(a).calls) : null));
    const label = `hit rate of ${name}`;
    replace(cells.rate, h('div', { class: 'rate' }, h('div', { class: 'chart' }, spark(rates, { top: 1, label })), h('b', { class: calls ? '' : 'dim' }, rate == null ? '–' : percent(rate))));
    say(cells.speed, brief(calls / seconds));
    say(cells.hits, count(mine.served));
    say(cells.misses, count(mine.misses));
    const loads = times(before.loads, mine.loads) ?? mine.loads;
    const mean = mine.raw.loads ? mine.raw.load_time_us / 1e6 / mine.raw.loads : null;
    say(cells.loads, loads ? `${rank(loads, 0.5)}, ${rank(loads, 0.95)}` : span(mean));
    replace(cells.refused, h(mine.refused ? 'b' : 'span', { class: mine.refused ? '' : 'zero' }, count(mine.refused)));
    if (!detail.hidden) details(detail.firstChild, name, mine.raw, told);
  }

  cost(now) {
    const before = this.before();
    const seconds = (now.at - before.at) / 1_000;
    if (seconds <= 0) return;
    const each = (name) => (now.admin[name] - before.admin[name]) / seconds;
    const [requests, sent, busy] = [each('requests'), each('bytes'), each('busy_us') / 1e6];
    say($('#cost'), `This page and all others like it cost the process ${requests.toFixed(1)} requests, ${bytes(Math.round(sent))} and ${span(busy)} of work each second; ${now.admin.streams} watch. It asks for nothing while it is hidden.`);
    $('#cost').dataset.requests = now.admin.requests;
  }
}

/** The parts of an answer that are shown. */
function digest(told) {
  const samples = (name) => told.metrics?.find((metric) => metric.name === name)?.samples ?? [];
  const loads = new Map(samples('cache_load_duration_seconds').map((sample) => [sample.labels.prefix, sample]));
  const part = (raw, histogram) => ({
    raw,
    served: raw.hits + raw.near_hits,
    misses: raw.misses,
    calls: raw.hits + raw.near_hits + raw.misses,
    loads: histogram?.count ? histogram : null,
    refused: raw.refused_fills,
  });
  const prefixes = Object.entries(told.stats.prefixes).map(([name, raw]) => [name, part(raw, loads.get(name))]);
  const total = part(told.stats.total, null);
  total.loads = told.stats.total.loads;
  const asked = samples('cache_store_operation_duration_seconds').filter((sample) => ['get', 'get_many'].includes(sample.labels.operation));
  return {
    prefixes: Object.fromEntries(prefixes),
    total,
    loads: sum([...loads.values()]),
    store: sum(asked),
    saved: samples('cache_saved_seconds').reduce((all, sample) => all + sample.value, 0),
  };
}

/** Histograms of the same bounds as one; `null`: of none, or of nothing. */
function sum(histograms) {
  const all = histograms.reduce((a, b) => (a ? { count: a.count + b.count, up_to: a.up_to.map(([bound, below], at) => [bound, below + b.up_to[at][1]]) } : b), null);
  return all?.count ? all : null;
}

/** What a histogram has counted since an earlier sample; `null`: nothing. */
function times(before, now) {
  if (!now || !before) return now;
  const difference = { count: now.count - before.count, up_to: now.up_to.map(([bound, below], at) => [bound, below - before.up_to[at][1]]) };
  return difference.count > 0 ? difference : null;
}

/** A quantile for people: what lies in the first bucket is below its bound, and no more is known. */
function rank(histogram, share) {
  const found = quantile(histogram, share);
  const first = histogram?.up_to[0][0];
  return found != null && found <= first ? `< ${span(first)}` : span(found);
}

/** By the bounds of the buckets, evenly spread within one; as Prometheus does. */
function quantile(histogram, share) {
  if (!histogram?.count) return null;
  const rank = histogram.count * share;
  let [low, below] = [0, 0];
  for (const [bound, up] of histogram.up_to) {
    if (up >= rank) return low + ((bound - low) * (rank - below)) / Math.max(up - below, 1);
    [low, below] = [bound, up];
  }
  return low;
}

function tile(name, figure, aside, chart) {
  const article = $(`[data-tile="${name}"]`);
  replace($('.figure', article), figure);
  say($('.aside', article), aside);
  replace($('.chart', article), chart);
}

/** The commonest reasons in a few words. */
function reasonsOf(told) {
  const sums = new Map();
  for (const reasons of Object.values(told.unstored)) for (const [reason, times] of Object.entries(reasons)) sums.set(reason, (sums.get(reason) ?? 0) + times);
  sums.delete('not_wanted');
  return [...sums].sort((a, b) => b[1] - a[1]).slice(0, 2).map(([reason, times]) => `${reason.replaceAll('_', ' ')} ${brief(times)}`).join(', ');
}

function details(cell, name, raw, told) {
  const label = (counter) => counter.replaceAll('_', ' ').replace(/ us$/, '');
  const value = (counter, number) => (counter.endsWith('_us') ? span(number / 1e6) : count(number));
  const counters = Object.entries(raw).map(([counter, number]) => h('div', {}, h('dt', {}, label(counter)), h('dd', { 'data-counter': counter }, value(counter, number))));
  const reasons = Object.entries(told.unstored[name] ?? {}).map(([reason, times]) => {
    const { words, way_out: wayOut } = told.reasons[reason];
    return h('li', { 'data-reason': reason }, h('b', {}, count(times)), ` not stored: ${words}.`, wayOut && h('span', { class: 'dim' }, ` → ${wayOut}`));
  });
  replace(cell, h('dl', { class: 'counters' }, counters), reasons.length > 0 && h('ul', { class: 'reasons' }, reasons));
}

const RANK = ['critical', 'warning', 'note'];

function verdict({ findings }, told) {
  const worst = RANK.find((rank) => findings.some((finding) => finding.severity === rank)) ?? 'good';
  const section = $('#verdict');
  section.dataset.severity = worst;
  const urgent = findings.filter((finding) => finding.severity !== 'note').length;
  say($('#verdict-title'), { critical: 'Something is wrong', warning: 'Something could be better', note: 'All is well', good: 'All is well' }[worst]);
  const { memory } = told;
  const held = memory ? ` ${count(memory.entries)} entries take ${bytes(memory.bytes)} of ${bytes(memory.bytes_max)}.` : '';
  say($('#verdict-detail'), urgent ? `${urgent === 1 ? 'One thing' : `${urgent} things`} to do.` : `The store answers, and nothing is owed.${held}`);
  const shown = findings.slice(0, 20);
  replace($('#findings'), shown.map((finding) =>
    h('li', { 'data-id': finding.id, 'data-severity': finding.severity }, h('strong', {}, finding.title), h('span', { class: 'dim' }, finding.detail), h('p', { class: 'do' }, finding.what_to_do))));
}
