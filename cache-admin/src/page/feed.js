// Invalidations as they happen, and the graph of the one that is chosen.

import { $, h, replace, clock, count, span } from './dom.js';
import { hub, kindOf, nameOf } from './charts.js';

const RECORDS_MAX = 100;
const NAMES_SHOWN = 4;

export class Feed {
  constructor() {
    this.records = [];
    this.list = $('#records');
    this.list.addEventListener('keydown', (event) => this.key(event));
    this.reset(null);
  }

  reset(cache) {
    this.cache = cache;
    this.records = [];
    this.chosen = null;
    this.follows = true;
    this.hasGap = false;
    replace(this.list);
    replace($('#cascade'));
    $('#feed .empty').hidden = false;
  }

  start() {
    this.stop();
    this.source = new EventSource(`api/events?${new URLSearchParams({ cache: this.cache })}`);
    this.source.addEventListener('hello', () => this.gap());
    this.source.addEventListener('invalidation', (event) => this.add(JSON.parse(event.data)));
    this.source.addEventListener('lost', (event) => this.note(`${count(JSON.parse(event.data).count)} more came too fast to be shown`));
  }

  stop() {
    this.source?.close();
    this.source = null;
  }

  /** What happened while nobody listened is not known. */
  gap() {
    if (this.records.length && this.hasGap) this.note('not watched for a while: what happened then is not shown');
    this.hasGap = true;
  }

  note(text) {
    this.list.prepend(h('li', { class: 'gap' }, text));
  }

  add(record) {
    $('#feed .empty').hidden = true;
    const names = record.named.slice(0, NAMES_SHOWN).map(nameOf).join('  ');
    const more = record.named_total > NAMES_SHOWN ? `  +${count(record.named_total - NAMES_SHOWN)}` : '';
    const item = h('li', { 'data-outcome': record.outcome, 'data-kind': record.kind, title: record.named.map((cause) => `${kindOf(cause)} ${nameOf(cause)}`).join('\n') },
      h('time', { datetime: new Date(record.at_ms).toISOString() }, clock(record.at_ms)),
      h('span', { class: 'names' }, names + more),
      h('span', { class: 'removed' }, record.error ? 'failed' : record.removed ? `−${count(record.removed)}` : '0'),
      h('span', { class: 'dim kind' }, record.kind),
      h('span', { class: 'took' }, span(record.took_us / 1e6)),
      record.error && h('span', { class: 'error' }, `${record.error}; it is owed, and retried`));
    const entry = { record, item };
    item.addEventListener('click', () => this.choose(entry, false));
    this.records.unshift(entry);
    this.list.prepend(item);
    if (this.records.length > RECORDS_MAX) this.records.pop();
    while (this.list.children.length > RECORDS_MAX) this.list.lastChild.remove();
    // The newest one that did something is drawn, until one is chosen by hand.
    if (this.follows && (record.removed > 0 || record.error || !this.chosen)) this.choose(entry, true);
  }

  choose(entry, follows) {
    this.chosen?.item.removeAttribute('aria-current');
    this.chosen = entry;
    this.follows = follows || entry === this.records[0];
    entry.item.setAttribute('aria-current', 'true');
    replace($('#cascade'), hub(entry.record));
  }

  key(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step || !this.records.length) return;
    event.preventDefault();
    const at = this.records.indexOf(this.chosen) + step;
    const next = this.records[Math.max(0, Math.min(at, this.records.length - 1))];
    this.choose(next, false);
    next.item.scrollIntoView({ block: 'nearest' });
  }
}
