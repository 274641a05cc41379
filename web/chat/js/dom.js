// Making elements, and words for numbers. Everything that shows text goes through here: text is set as text, never as HTML.

function element(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (key.startsWith('on')) node.addEventListener(key.slice(2), value);
    else if (key in node && !key.startsWith('aria')) node[key] = value;
    else node.setAttribute(key, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

function icon(name) {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  const use = document.createElementNS('http://www.w3.org/2000/svg', 'use');
  use.setAttribute('href', `#icon-${name}`);
  svg.setAttribute('aria-hidden', 'true');
  svg.append(use);
  return svg;
}

function iconButton(name, label, onclick) {
  return element('button', {type: 'button', className: 'icon-button', 'aria-label': label, title: label, onclick}, icon(name));
}

const byId = (id) => document.getElementById(id);

async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {  // without TLS, other hosts than localhost have no clipboard interface
    const area = element('textarea', {value: text, className: 'hidden-text', readOnly: true});
    document.body.append(area);
    area.select();
    document.execCommand('copy');
    area.remove();
  }
}

// A button's icon tells for a moment that it was copied.
function showCopied(button) {
  const svg = button.querySelector('svg');
  svg.replaceWith(icon('check'));
  announce('Copied');
  setTimeout(() => button.querySelector('svg').replaceWith(icon('copy')), 1500);
}

// For screen readers: what a glance would tell.
function announce(text) { byId('announcer').textContent = text; }

let toastTimer = 0;
function toast(text, action = null) {
  const box = byId('toast');
  const close = () => { box.hidden = true; };
  box.replaceChildren(element('span', {}, text));
  if (action) box.append(element('button', {type: 'button', onclick: () => { close(); action.run(); }}, action.label));
  box.hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(close, action ? 8000 : 4000);
}

function formatSeconds(milliseconds) {
  if (milliseconds < 95) return `${Math.round(milliseconds)} ms`;
  const seconds = milliseconds / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}

const formatCount = (count) => count.toLocaleString('en').replaceAll(',', '\u202f');
const plural = (count, noun) => `${formatCount(count)} ${noun}${count === 1 ? '' : 's'}`;
