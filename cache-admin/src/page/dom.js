// Elements, numbers and requests. Whatever comes from a cache becomes a text node, and never markup.

const SVG = 'http://www.w3.org/2000/svg';

export const $ = (selector, within = document) => within.querySelector(selector);

function build(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, '');
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child != null && child !== false).map(String2Node));
  return element;
}

const String2Node = (child) => (child instanceof Node ? child : document.createTextNode(String(child)));

/** An HTML element: attributes, listeners as `onclick`, children as nodes or text. */
export const h = (tag, attributes = {}, ...children) => build(document.createElement(tag), attributes, children);

/** The same for SVG. */
export const s = (tag, attributes = {}, ...children) => build(document.createElementNS(SVG, tag), attributes, children);

export const replace = (parent, ...children) => parent.replaceChildren(...children.flat(Infinity).filter(Boolean));

/** Sets a text only if it is another one: screen readers say what changes. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const whole = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });

export const count = (number) => whole.format(number);

/** A number that is read at a glance. */
export function brief(number) {
  if (number >= 1e9) return `${(number / 1e9).toFixed(1)} G`;
  if (number >= 1e6) return `${(number / 1e6).toFixed(1)} M`;
  if (number >= 1e4) return `${(number / 1e3).toFixed(number >= 1e5 ? 0 : 1)} k`;
  if (number >= 100 || Number.isInteger(number)) return count(number);
  return number >= 10 ? number.toFixed(0) : number.toFixed(1);
}

export const percent = (share) => `${(share * 100).toFixed(share > 0.999 && share < 1 ? 2 : 1)} %`;

/** Seconds, in the unit that suits them. */
export function span(seconds) {
  if (seconds == null || !Number.isFinite(seconds)) return '–';
  if (seconds === 0) return '0 s';
  if (seconds < 0.001) return `${Math.round(seconds * 1e6)} µs`;
  if (seconds < 0.01) return `${(seconds * 1e3).toFixed(1)} ms`;
  if (seconds < 1) return `${Math.round(seconds * 1e3)} ms`;
  if (seconds < 100) return `${seconds.toFixed(1)} s`;
  if (seconds < 6_000) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${(seconds / 3_600).toFixed(1)} h`;
  return `${(seconds / 86_400).toFixed(1)} d`;
}

export function bytes(number) {
  if (number < 10_000) return `${count(number)} B`;
  if (number < 10e6) return `${(number / 1e3).toFixed(1)} kB`;
  return `${(number / 1e6).toFixed(1)} MB`;
}

export const clock = (ms) => new Date(ms).toLocaleTimeString('en-GB');

export const prefixOf = (key) => key.split(':', 1)[0];

/** What the interface answered instead of what it was asked for. */
export class Refusal extends Error {
  constructor(status, kind, message) {
    super(message);
    this.status = status;
    this.kind = kind;
  }
}

async function refusal(response) {
  const told = await response.json().catch(() => null);
  return new Refusal(response.status, told?.error?.kind ?? 'unknown', told?.error?.message ?? `HTTP ${response.status}`);
}

/** `get('stats', {cache: 'flights'})`; a parameter that is a list is given many times. */
export async function get(path, parameters = {}, signal) {
  const pairs = Object.entries(parameters).flatMap(([name, value]) => [value].flat().map((one) => [name, one]));
  const response = await fetch(`api/${path}?${new URLSearchParams(pairs)}`, { signal, credentials: 'same-origin' });
  if (!response.ok) throw await refusal(response);
  return response.json();
}

/** An action. The header is what a form of another site cannot send. */
export async function post(path, cache, body, signal) {
  const response = await fetch(`api/${path}?${new URLSearchParams({ cache })}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-cache-admin': '1' },
    body: JSON.stringify(body),
    credentials: 'same-origin',
    signal,
  });
  if (!response.ok) throw await refusal(response);
  return response;
}
