// The page: which cache is shown, when it asks, and the keyboard.

import { $, h, replace, say, get } from './dom.js';
import { Live } from './live.js';
import { Feed } from './feed.js';
import { Look, Warm } from './look.js';

const THEMES = ['system', 'light', 'dark'];
const REMEMBERED = 'cache-admin-theme';

const [live, feed, look, warm] = [new Live(), new Feed(), new Look(), new Warm()];
const dark = matchMedia('(prefers-color-scheme: dark)');
let about = null;
let shown = 0;
let isPaused = false;

function theme(wanted) {
  const now = THEMES.includes(wanted) ? wanted : 'system';
  document.documentElement.dataset.theme = now === 'system' ? (dark.matches ? 'dark' : 'light') : now;
  say($('#theme'), { system: 'Theme', light: 'Light', dark: 'Dark' }[now]);
  return now;
}

// A browser may refuse to remember anything.
const remembered = {
  get: () => { try { return localStorage.getItem(REMEMBERED); } catch { return null; } },
  set: (value) => { try { localStorage.setItem(REMEMBERED, value); } catch { /* until it is closed */ } },
};
let chosen = theme(remembered.get());
dark.addEventListener('change', () => theme(chosen));

function nextTheme() {
  chosen = theme(THEMES[(THEMES.indexOf(chosen) + 1) % THEMES.length]);
  remembered.set(chosen);
}

function pulse(state, detail = '') {
  const element = $('#pulse');
  element.dataset.state = state;
  say(element, { live: 'live', paused: 'paused', hidden: 'paused while hidden', broken: 'no answer', starting: 'starting' }[state]);
  element.title = detail;
}

/** It asks only while somebody looks. */
function run() {
  live.stop();
  feed.stop();
  if (!about) return;
  if (document.hidden || isPaused) return pulse(isPaused ? 'paused' : 'hidden');
  live.start();
  feed.start();
}

function pause() {
  isPaused = !isPaused;
  $('#pause').setAttribute('aria-pressed', String(isPaused));
  say($('#pause'), isPaused ? 'Go on' : 'Pause');
  run();
}

function show(at) {
  shown = at;
  const { name, warm: warmers } = about.caches[at];
  [...$('#caches').children].forEach((button, of) => button.setAttribute('aria-current', String(of === at)));
  document.title = `${name} · Cache`;
  live.reset(name);
  feed.reset(name);
  look.reset(name, about.actions);
  warm.reset(name, about.actions, warmers);
  run();
}

const KEYS = {
  '/': () => look.show('explain'),
  i: () => look.show('tag'),
  v: () => $('#records').focus(),
  c: () => about && show((shown + 1) % about.caches.length),
  p: pause,
  t: nextTheme,
  '?': () => $('#help').showModal(),
};

document.addEventListener('keydown', (event) => {
  const typing = event.target instanceof HTMLInputElement && event.target.type === 'text';
  if (typing || event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]') || !Object.hasOwn(KEYS, event.key)) return;
  event.preventDefault();
  KEYS[event.key]();
});
document.addEventListener('visibilitychange', run);
$('#pause').addEventListener('click', pause);
$('#theme').addEventListener('click', nextTheme);
$('#keys').addEventListener('click', KEYS['?']);
live.onstate = pulse;

async function begin() {
  try {
    about = await get('caches');
  } catch (error) {
    pulse('broken', error.message);
    setTimeout(begin, 3_000);
    return;
  }
  if (about.caches.length > 1) {
    replace($('#caches'), about.caches.map(({ name }, at) => h('button', { type: 'button', onclick: () => show(at) }, name)));
  } else {
    say($('#title'), about.caches[0].name);
  }
  say($('#version'), `cache-admin ${about.version}${about.actions ? '' : ', read-only'}`);
  show(0);
}

begin();
