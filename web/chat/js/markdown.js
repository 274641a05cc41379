// Markdown to DOM. Whatever a model writes is hostile, so no HTML is ever made of it: marked only cuts the text into tokens,
// each becomes an element of a known kind, and text is set as text. The policy forbids every way of making HTML besides.

const kHighlightLimit = 60000;  // characters; longer code is shown plain, so that no pattern can hold up the page
const kEntities = {amp: '&', lt: '<', gt: '>', quot: '"', apos: "'", nbsp: '\u00a0', ndash: '–', mdash: '—', hellip: '…', copy: '©', times: '×',
                   rarr: '→', larr: '←', le: '≤', ge: '≥', ne: '≠', deg: '°', middot: '·'};

hljs.configure({hideUpgradeWarningAcceptNoSupportOrSecurityUpdates: true});

function unescapeHtml(text) {
  return text.replace(/&(#\d{1,7}|#x[\da-f]{1,6}|\w+);/gi, (whole, name) => {
    if (name[0] !== '#') return kEntities[name] ?? whole;
    const code = /^#x/i.test(name) ? parseInt(name.slice(2), 16) : parseInt(name.slice(1), 10);
    return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : whole;
  });
}

// highlight.js gives spans with classes around escaped text: those two are read, and nothing else.
function highlighted(code, language) {
  const fragment = document.createDocumentFragment();
  if (!language || code.length > kHighlightLimit || !hljs.getLanguage(language)) {
    fragment.append(code);
    return fragment;
  }
  let parent = fragment;
  for (const [piece, name] of hljs.highlight(language, code, true).value.matchAll(/<span class="([\w -]*)">|<\/span>|[^<]+/g)) {
    if (name !== undefined) {
      const span = element('span', {className: name});
      parent.append(span);
      parent = span;
    } else if (piece === '</span>') {
      parent = parent.parentNode ?? fragment;
    } else {
      parent.append(unescapeHtml(piece));
    }
  }
  return fragment;
}

function codeBox(code, info) {
  const language = (/^[\w+#.-]{1,30}/.exec((info ?? '').trim()) ?? [''])[0].toLowerCase();
  const copy = element('button', {type: 'button', onclick: () => copyText(code).then(() => showCopied(copy))}, icon('copy'), 'Copy');
  const head = element('div', {className: 'code-head'}, element('span', {}, language || 'text'), copy);
  return element('div', {className: 'code-box'}, head,
                 element('pre', {tabIndex: 0, role: 'region', 'aria-label': `Code, ${language || 'text'}`}, element('code', {}, highlighted(code, language))));
}

// Only addresses that a person may safely follow; null: shown as text.
function safeAddress(address) {
  try {
    const url = new URL(address);
    return ['http:', 'https:', 'mailto:'].includes(url.protocol) ? url.href : null;
  } catch {
    return null;  // relative to this server: nothing that a model could know of
  }
}

function link(address, title, ...children) {
  const href = safeAddress(unescapeHtml(address ?? ''));
  if (!href) return element('span', {}, ...children);
  return element('a', {href, target: '_blank', rel: 'noopener noreferrer', title: unescapeHtml(title ?? '')}, ...children);
}

const kInlineElements = {strong: 'strong', em: 'em', del: 'del'};

function inlineNodes(tokens) {
  const top = document.createDocumentFragment();
  let parent = top;  // an element that <sub> or its like began
  for (const token of tokens ?? []) {
    if (token.type in kInlineElements) {
      parent.append(element(kInlineElements[token.type], {}, inlineNodes(token.tokens)));
    } else if (token.type === 'codespan') {
      parent.append(element('code', {}, unescapeHtml(token.text)));
    } else if (token.type === 'br') {
      parent.append(element('br'));
    } else if (token.type === 'link') {
      parent.append(link(token.href, token.title, inlineNodes(token.tokens)));
    } else if (token.type === 'image') {  // a picture would be a request to another server: its address is offered
      parent.append(link(token.href, token.title, unescapeHtml(token.text || token.href || 'image')));
    } else if (token.type === 'html') {
      const [, end, name] = /^<(\/?)(br|sub|sup|kbd|b|i|u|s|mark)\s*\/?>$/i.exec(token.raw) ?? [];
      const tag = name?.toLowerCase();
      if (tag === 'br') parent.append(element('br'));
      else if (tag && !end) { const child = element(tag); parent.append(child); parent = child; }
      else if (tag && parent.nodeName.toLowerCase() === tag) parent = parent.parentNode;
      else parent.append(token.raw);
    } else {  // text and escape; whatever else is shown as it was written
      parent.append(token.tokens ? inlineNodes(token.tokens) : token.text === undefined ? token.raw : unescapeHtml(token.text));
    }
  }
  return top;
}

function listNode(token) {
  const list = element(token.ordered ? 'ol' : 'ul');
  if (token.ordered && token.start !== 1 && token.start !== '') list.start = token.start;
  for (const item of token.items) {
    const node = element('li', {className: item.task ? 'task' : ''});
    if (item.task) node.append(element('span', {className: `box${item.checked ? ' done' : ''}`, role: 'img', 'aria-label': item.checked ? 'done' : 'open'}));
    for (const child of item.tokens) {
      const inside = blockNode(child);
      node.append(...(item.loose && child.type === 'text' ? [element('p', {}, inside)] : [inside]));
    }
    list.append(node);
  }
  return list;
}

function tableNode(token) {
  const row = (cells, tag) => element('tr', {}, ...cells.map((cell, column) => {
    const node = element(tag, {}, inlineNodes(cell.tokens));
    if (token.align[column]) node.align = token.align[column];
    return node;
  }));
  return element('div', {className: 'scroll', tabIndex: 0, role: 'region', 'aria-label': 'Table'},
                 element('table', {}, element('thead', {}, row(token.header, 'th')), element('tbody', {}, ...token.rows.map((cells) => row(cells, 'td')))));
}

function blockNode(token) {
  switch (token.type) {
    case 'heading': return element(`h${token.depth}`, {}, inlineNodes(token.tokens));
    case 'paragraph': return element('p', {}, inlineNodes(token.tokens));
    case 'text': return token.tokens ? inlineNodes(token.tokens) : document.createTextNode(unescapeHtml(token.text));
    case 'code': return codeBox(token.text, token.lang);
    case 'blockquote': return element('blockquote', {}, ...token.tokens.map(blockNode));
    case 'list': return listNode(token);
    case 'table': return tableNode(token);
    case 'hr': return element('hr');
    case 'space': case 'def': return document.createDocumentFragment();
    default: return element('p', {className: 'plain'}, token.raw.trimEnd());  // HTML is shown, not obeyed
  }
}

// The tokens of `text`; where marked gives up (nesting without end), all of it as it was written.
function cutMarkdown(text) {
  try {
    const tokens = marked.lexer(text, {gfm: true, breaks: false});
    return {tokens: tokens.filter((token) => token.type !== 'space' && token.type !== 'def'), links: JSON.stringify(tokens.links)};
  } catch {
    return {tokens: [{type: 'html', raw: text}], links: ''};
  }
}

// Markdown that grows: only the parts that changed are made again, so that a long answer stays quick and what the reader
// has selected above stays selected.
class GrowingMarkdown {
  constructor(className = 'markdown') {
    this.node = element('div', {className, dir: 'auto'});
    this.parts = [];  // what each child was made of
    this.links = '';
  }

  update(text) {
    const {tokens, links} = cutMarkdown(text);
    if (links !== this.links) this.parts = [];  // a definition at the end changes what stands above
    this.links = links;
    let same = 0;
    while (same < this.parts.length && same < tokens.length && this.parts[same] === tokens[same].raw) same++;
    this.parts.length = same;
    while (this.node.childNodes.length > same) this.node.lastChild.remove();
    for (const token of tokens.slice(same)) {
      this.parts.push(token.raw);
      this.node.append(element('div', {}, blockNode(token)));
    }
  }
}
