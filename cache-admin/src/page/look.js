// One key explained, what an invalidation would remove, and the two actions.

import { $, h, replace, say, get, post, bytes, count, span } from './dom.js';
import { forest, kindOf, nameOf } from './charts.js';

const CHOICES = 12;
const TYPING_MS = 120;
const ENTRIES_SHOWN = 200;

const ago = (ms) => `${span(ms / 1_000)} ago`;

export class Look {
  constructor() {
    this.input = $('#name');
    this.choices = $('#choices');
    $('#look-form').addEventListener('submit', (event) => {
      event.preventDefault();
      this.close();
      this.go();
    });
    $('#look-form').addEventListener('change', () => say($('#look-go'), this.mode() === 'explain' ? 'Explain' : 'Preview'));
    this.input.addEventListener('input', () => this.complete());
    this.input.addEventListener('keydown', (event) => this.key(event));
    this.input.addEventListener('blur', () => this.close());
  }

  reset(cache, actions) {
    this.cache = cache;
    this.actions = actions;
    this.close();
    replace($('#found'));
  }

  mode() {
    return $('#look-form').elements.mode.value;
  }

  show(mode, name) {
    $('#look-form').elements.mode.value = mode;
    say($('#look-go'), mode === 'explain' ? 'Explain' : 'Preview');
    if (name != null) {
      this.input.value = name;
      this.go();
    }
    this.input.focus();
    this.input.scrollIntoView({ block: 'nearest' });
  }

  async go() {
    const [mode, name] = [this.mode(), this.input.value];
    if (!name) return;
    const turn = (this.turn = Symbol(name));
    const found = $('#found');
    try {
      const shown = mode === 'explain' ? this.explained(await get('explain', { cache: this.cache, key: name })) : this.previewed(await get('preview', { cache: this.cache, [mode]: name }), mode, name);
      if (this.turn === turn) replace(found, shown);
    } catch (error) {
      if (this.turn === turn) replace(found, h('p', { class: 'error', role: 'alert' }, error.message));
    }
  }

  link(mode, name) {
    return h('button', { type: 'button', class: 'link', onclick: () => this.show(mode, name) }, name);
  }

  explained(told) {
    const { entry } = told;
    const state = entry
      ? entry.fresh_for_ms > 0 ? `Stored ${ago(entry.age_ms)}, fresh for ${span(entry.fresh_for_ms / 1_000)} more.` : `Stored ${ago(entry.age_ms)}, and no longer fresh.`
      : told.is_foreign ? 'Something is stored here that is no entry of this version: a miss.' : 'Not stored: the next call is a miss.';
    const fact = (name, value) => value != null && value !== false && h('div', {}, h('dt', {}, name), h('dd', {}, value));
    const lease = told.lease && `held for ${span(told.lease.held_ms / 1_000)}, ${told.lease.is_overtaken ? 'overtaken' : `ends in ${span(told.lease.remaining_ms / 1_000)}`}`;
    const why = told.unstored && h('p', { class: 'why', 'data-why': '' }, `The last value was not stored, ${ago(told.unstored.ago_ms)}: ${told.unstored.reason}.`, told.unstored.way_out && ` → ${told.unstored.way_out}`);
    const names = told.names.map((name) => h('li', {}, h('span', { class: 'dim' }, `${name.kind} `), this.link(name.kind, name.text),
      name.fence_ago_ms != null && h('span', { class: 'dim' }, `  invalidated ${ago(name.fence_ago_ms)}`), name.closed_by > 0 && h('b', {}, `  closed by ${count(name.closed_by)}`)));
    const dependents = told.first_dependents.map((one) => h('li', {}, this.link('explain', one.key), !one.is_stored && h('span', { class: 'dim' }, '  gone')));
    return [
      h('p', { class: 'headline mono' }, told.key),
      h('p', { class: 'lead' }, state),
      why,
      h('dl', { class: 'facts' },
        fact('kept for', entry && span(entry.kept_for_ms / 1_000)),
        fact('size', entry && `${bytes(entry.bytes)}, value ${bytes(entry.payload_bytes)}`),
        fact('its load took', entry && span(entry.load_us / 1e6)),
        fact('says that there is no value', entry?.is_negative && 'yes'),
        fact('stored by text', entry?.is_by_text && 'yes: no function serves it'),
        fact('codec and format', entry && `${entry.codec}, ${entry.format}`),
        fact('version of its type', entry && h('code', {}, entry.fingerprint)),
        fact('key on the server', told.physical_key && h('code', {}, told.physical_key)),
        fact('being loaded', lease ?? (told.is_loading_here && 'by this process')),
        fact('adaptive TTL', told.adaptive_ttl && span(told.adaptive_ttl.ttl_ms / 1_000)),
        fact('no fill of a load that began before', told.floor_ago_ms > 0 && told.floor > 0 && ago(told.floor_ago_ms))),
      h('h3', {}, `Falls with (${count(told.entry_names + 1)})`), h('ul', { class: 'entries' }, names),
      told.dependents > 0 && [h('h3', {}, `Takes along (${count(told.dependents)})`), h('ul', { class: 'entries' }, dependents)],
    ];
  }

  previewed(told, mode, name) {
    const { entries, stop } = told;
    const least = stop ? 'at least ' : '';
    const headline = told.total === 0 ? 'Nothing would be removed' : `${least}${count(told.total)} ${told.total === 1 ? 'entry' : 'entries'} would be removed`;
    const causes = Map.groupBy(entries.slice(0, ENTRIES_SHOWN), ({ cause }) => `${kindOf(cause)} ${nameOf(cause)}`);
    const listed = [...causes].sort((a, b) => b[1].length - a[1].length).map(([cause, those]) => [
      h('h3', {}, `By ${cause} (${count(those.length)})`),
      h('ul', { class: 'entries' }, those.map(({ key }) => h('li', { 'data-key': key }, this.link('explain', key)))),
    ]);
    const more = entries.length > ENTRIES_SHOWN && h('p', { class: 'dim' }, `and ${count(told.total - ENTRIES_SHOWN)} more`);
    const go = this.actions && h('button', { type: 'button', class: 'danger', id: 'invalidate', onclick: () => this.invalidate(mode, name, told) }, 'Invalidate…');
    return [
      h('p', { class: 'headline' }, headline),
      h('p', { class: 'lead' }, `by ${mode} `, h('code', {}, name), stop && ` (stopped at a limit: ${stop.limit})`, '. Nothing was touched.'),
      go,
      told.total > 0 && h('div', { class: 'drawing', tabindex: 0, role: 'group', 'aria-label': 'The cascade' }, forest(told)),
      h('div', { class: 'scroll' }, listed, more),
    ];
  }

  /** Asks back, and invalidates if the answer is yes. */
  invalidate(mode, name, told) {
    say($('#confirm-title'), `Invalidate this ${mode}?`);
    say($('#confirm-text'), `${name}: ${told.stop ? 'at least ' : ''}${count(told.total)} ${told.total === 1 ? 'entry is' : 'entries are'} removed, and loaded again when asked for.`);
    $('#confirm [value=yes]').onclick = async () => {
      try {
        const { removed } = await (await post('invalidate', this.cache, { [`${mode}s`]: [name] })).json();
        replace($('#found'), h('p', { class: 'headline', role: 'status' }, `${count(removed)} ${removed === 1 ? 'entry was' : 'entries were'} removed`));
      } catch (error) {
        replace($('#found'), h('p', { class: 'error', role: 'alert' }, error.message));
      }
    };
    $('#confirm').showModal();
  }

  complete() {
    clearTimeout(this.typing);
    this.typing = setTimeout(async () => {
      this.asking?.abort();
      this.asking = new AbortController();
      const [text, mode] = [this.input.value, this.mode()];
      if (!text || mode === 'pattern') return this.close();
      try {
        const told = await get('keys', { cache: this.cache, text, limit: CHOICES }, this.asking.signal);
        this.offer((mode === 'tag' ? told.tags : told.keys).slice(0, CHOICES));
      } catch {
        this.close();
      }
    }, TYPING_MS);
  }

  offer(names) {
    const option = (name, at) => h('li', { role: 'option', id: `choice-${at}`, 'aria-selected': 'false', onmousedown: (event) => (event.preventDefault(), this.take(name)) }, name);
    replace(this.choices, names.map(option));
    this.choices.hidden = names.length === 0;
    this.input.setAttribute('aria-expanded', String(names.length > 0));
    this.at = -1;
  }

  take(name) {
    this.input.value = name;
    this.close();
    this.go();
  }

  close() {
    clearTimeout(this.typing);
    this.asking?.abort();
    this.offer([]);
    this.input.removeAttribute('aria-activedescendant');
  }

  key(event) {
    const options = [...this.choices.children];
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && options.length) {
      event.preventDefault();
      this.at = (this.at + step + options.length) % options.length;
      options.forEach((option, at) => option.setAttribute('aria-selected', String(at === this.at)));
      options[this.at].scrollIntoView({ block: 'nearest' });
      this.input.setAttribute('aria-activedescendant', options[this.at].id);
    } else if (event.key === 'Enter' && options[this.at]) {
      event.preventDefault();
      this.take(options[this.at].textContent);
    } else if (event.key === 'Escape') {
      if (options.length) this.close();
      else this.input.blur();
    }
  }
}

/** What can be warmed, and how far the run is. */
export class Warm {
  reset(cache, actions, warm) {
    this.abort?.abort();
    this.cache = cache;
    $('#warm').hidden = !warm;
    replace($('#warm-progress'));
    if (!warm) return;
    const button = (label, body) => h('button', { type: 'button', disabled: !actions, onclick: () => this.run(body) }, label);
    const keys = h('input', { type: 'text', 'aria-label': 'Keys to warm', placeholder: `${warm.prefixes[0] ?? 'flight'}:42`, spellcheck: 'false', disabled: !actions });
    const form = warm.prefixes.length > 0 && h('form', { class: 'ask', onsubmit: (event) => (event.preventDefault(), keys.value.trim() && this.run({ keys: keys.value.trim().split(/\s+/) })) }, keys, h('button', { disabled: !actions }, 'Warm keys'));
    replace($('#warmers'), warm.warmers.map((name) => button(name, { warmers: [name] })), warm.warmers.length > 1 && button('Everything', {}), form,
      !actions && h('p', { class: 'note' }, 'Read-only: the program allows no actions here.'));
  }

  async run(body) {
    this.abort?.abort();
    const { signal } = (this.abort = new AbortController());
    const [bar, line, errors] = [h('progress', { max: 1, value: 0 }), h('p', { class: 'dim' }, 'beginning…'), h('ul', { class: 'error' })];
    const stop = h('button', { type: 'button', onclick: () => this.abort.abort() }, 'Stop');
    replace($('#warm-progress'), bar, line, stop, errors);
    try {
      const response = await post('warm', this.cache, body, signal);
      for await (const at of lines(response)) {
        [bar.max, bar.value] = [Math.max(at.total, 1), at.done + at.failed];
        say(line, `${count(at.done)} of ${count(at.total)} are warm${at.failed ? `, ${count(at.failed)} failed` : ''}${at.ended ? '. Done.' : ''}`);
        if (at.ended) replace(errors, at.errors.slice(0, 20).map((error) => h('li', {}, `${error.name}: ${error.message}`)));
      }
    } catch (error) {
      say(line, signal.aborted ? 'Stopped.' : error.message);
    }
    stop.remove();
  }
}

/** The lines of an answer as they come, each JSON. */
async function* lines(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text += value;
    const whole = text.split('\n');
    text = whole.pop();
    for (const line of whole) yield JSON.parse(line);
  }
}
