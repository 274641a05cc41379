// An answer on the page: reasoning folded and timed, text, calls with a place for their results, errors, figures.

class AnswerView {
  // actions: regenerate(), giveResults([{call, content}]), saveKey(key), completionMode(), reloadModels()
  constructor(conversation, answer, actions) {
    Object.assign(this, {conversation, answer, actions});
    this.thoughts = null;
    this.text = null;
    this.noticeKey = '';
    this.summary = element('span', {});
    this.reasoning = element('details', {className: 'reasoning', hidden: true, ontoggle: () => this.updateThoughts()},
                             element('summary', {}, icon('fold'), this.summary));
    this.waiting = element('div', {className: 'waiting', hidden: true});
    this.body = element('div', {});
    this.calls = element('div', {});
    this.notice = element('div', {});
    this.figures = element('span', {className: 'figures'});
    this.copy = iconButton('copy', 'Copy the answer', () => copyText(answer.content).then(() => showCopied(this.copy)));
    this.again = iconButton('again', 'Regenerate', () => actions.regenerate());
    this.actionsBox = element('span', {className: 'actions'}, this.copy, this.again);
    this.meta = element('div', {className: 'meta'}, this.actionsBox, this.figures);
    this.node = element('article', {className: 'message assistant', 'aria-label': 'Answer'}, this.reasoning, this.waiting, this.body, this.calls,
                        this.notice, this.meta);
  }

  // `generation` while it runs, else null; `isLast`: only the last answer can be made again.
  update(generation, isLast) {
    const {answer} = this;
    this.node.setAttribute('aria-busy', String(generation !== null));
    this.updateReasoning(generation);
    this.updateBody();
    this.updateCalls(generation, isLast);
    this.updateWaiting(generation);
    this.updateNotice(generation, isLast);
    this.meta.hidden = generation !== null;
    this.copy.hidden = answer.content === '';
    this.again.hidden = !isLast || answer.failure !== null;  // the notice has a button of its own
    this.actionsBox.hidden = this.copy.hidden && this.again.hidden;
    this.figures.replaceChildren(...figuresOf(answer).map((text) => element('span', {}, text)));
    if (this.actionsBox.hidden && this.figures.childNodes.length === 0) this.meta.hidden = true;
  }

  updateReasoning(generation) {
    this.reasoning.hidden = this.answer.reasoning === '';
    if (this.reasoning.hidden) return;
    const thinking = generation !== null && generation.thinkingSince !== null;
    this.reasoning.classList.toggle('working', thinking);
    const time = formatSeconds(generation ? generation.thinkingMs() : this.answer.thinkingMs);
    this.summary.textContent = thinking ? `Thinking for ${time}` : `Thought for ${time}`;
    this.updateThoughts();
  }

  updateThoughts() {
    if (!this.reasoning.open) return;
    if (!this.thoughts) {
      this.thoughts = new GrowingMarkdown('thoughts markdown');
      this.reasoning.append(this.thoughts.node);
    }
    this.thoughts.update(this.answer.reasoning);
  }

  updateBody() {
    if (this.conversation.settings.mode === 'completion') {
      this.text = null;
      if (!this.plain?.isConnected) this.body.replaceChildren(this.plain = element('div', {className: 'plain', dir: 'auto'}));
      this.plain.textContent = this.answer.content;
      return;
    }
    if (!this.text) {
      this.text = new GrowingMarkdown();
      this.body.replaceChildren(this.text.node);
    }
    this.text.update(this.answer.content);
  }

  updateWaiting(generation) {
    const {answer} = this;
    const state = generation?.loading;
    this.waiting.hidden = generation === null || Boolean(state) || answer.content !== '' || answer.reasoning !== '' || answer.calls.length > 0;
    if (!this.waiting.hidden) this.waiting.textContent = 'Reading…';
  }

  updateCalls(generation, isLast) {
    const open = generation === null && isLast ? openCalls(this.conversation) : [];
    const key = JSON.stringify([this.answer.calls, this.answer.calls.map((call) => toolResult(this.conversation, call)?.content), open.length]);
    if (key === this.callsKey) return;
    this.callsKey = key;
    const fields = new Map();
    const cards = this.answer.calls.map((call) => {
      const card = element('section', {className: 'call', 'aria-label': `Call of ${call.name}`},
                           element('div', {className: 'call-head'}, icon('tool'), 'Calls', element('code', {}, call.name)),
                           element('pre', {}, element('code', {}, highlighted(prettyJson(call.arguments), 'json'))));
      const result = toolResult(this.conversation, call);
      if (result) {
        card.append(element('span', {className: 'part'}, 'Result'), element('pre', {}, element('code', {}, result.content || '(empty)')));
      } else if (open.includes(call)) {
        const field = element('textarea', {className: 'code', rows: 2, 'aria-label': `Result of ${call.name}`, placeholder: 'What the tool answers',
                                           onkeydown: (event) => { if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) this.give(fields); }});
        fields.set(call, field);
        card.append(element('span', {className: 'part'}, 'Result'), field);
      }
      return card;
    });
    if (fields.size > 0) {
      const label = `Continue with the result${fields.size > 1 ? 's' : ''}`;
      cards.push(element('div', {className: 'row calls-row'},
                         element('button', {type: 'button', className: 'button primary', onclick: () => this.give(fields)}, label)));
    }
    this.calls.replaceChildren(...cards);
  }

  give(fields) { this.actions.giveResults([...fields].map(([call, field]) => ({call, content: field.value}))); }

  updateNotice(generation, isLast) {
    const key = JSON.stringify([this.answer.failure, generation?.loading ?? null, generation === null, isLast]);
    if (key === this.noticeKey) return;
    this.noticeKey = key;
    clearInterval(this.countdown);
    if (generation?.loading) {
      this.notice.replaceChildren(loadingNotice(generation.loading));
    } else if (this.answer.failure && generation === null) {
      this.notice.replaceChildren(this.failureNotice(this.answer.failure, isLast));
    } else {
      this.notice.replaceChildren();
    }
  }

  failureNotice(failure, isLast) {
    const row = element('div', {className: 'row'});
    const notice = element('div', {className: 'notice', role: 'alert'}, element('strong', {}, failureTitle(failure)), element('p', {}, failure.message), row);
    if (!isLast) return notice;
    const button = (label, onclick, primary = false) => element('button', {type: 'button', className: `button${primary ? ' primary' : ''}`, onclick}, label);
    if (failure.status === 401 || failure.status === 403) {
      const key = element('input', {type: 'password', placeholder: 'API key', 'aria-label': 'API key', autocomplete: 'off'});
      const save = () => { if (key.value.trim()) this.actions.saveKey(key.value.trim()); };
      key.addEventListener('keydown', (event) => { if (event.key === 'Enter') save(); });
      row.append(key, button('Save and retry', save, true));
      return notice;
    }
    if (hasNoChatForm(failure)) {
      row.append(button('Use plain completion', () => this.actions.completionMode(), true));
      notice.classList.add('calm');
      return notice;
    }
    const retry = button('Retry', () => this.actions.regenerate(), true);
    row.append(retry);
    if (failure.retryAfter > 0) this.countDown(retry, failure.retryAfter);
    return notice;
  }

  // The server asked to wait: the button tells how long, then works.
  countDown(button, seconds) {
    const end = performance.now() + seconds * 1000;
    const show = () => {
      const left = Math.ceil((end - performance.now()) / 1000);
      button.disabled = left > 0;
      button.textContent = left > 0 ? `Retry in ${left} s` : 'Retry';
      if (left <= 0) clearInterval(this.countdown);
    };
    this.countdown = setInterval(show, 250);
    show();
  }
}

const hasNoChatForm = (failure) => failure.code === 'model_without_chat_form' || (failure.status === 400 && /chat form/.test(failure.message));

function failureTitle(failure) {
  if (hasNoChatForm(failure)) return 'This model continues text; it does not chat';
  if (failure.kind === 'network') return 'No connection';
  if (failure.kind === 'lost') return 'The answer broke off';
  if (failure.kind === 'stream') return 'The server stopped with an error';
  if (failure.kind === 'request') return 'The settings need a correction';
  switch (failure.status) {
    case 401: case 403: return 'The server asks for an API key';
    case 404: return 'Not found';
    case 413: return 'Too large';
    case 429: return 'The server is busy';
    case 503: return 'The server takes no requests at the moment';
    default: return failure.status < 500 ? 'The server refused the request' : `The server failed (${failure.status})`;
  }
}

function loadingNotice({percent, secondsLeft}) {
  const figures = [percent === null ? null : `${Math.floor(percent)} %`, secondsLeft === null ? null : `about ${Math.ceil(secondsLeft)} s left`];
  const notice = element('div', {className: 'notice calm'}, element('strong', {}, 'The model is loading'),
                         element('p', {}, [...figures.filter(Boolean), 'the message is sent when it is ready'].join(', ') + '.'));
  if (percent !== null) {
    const bar = element('div', {});
    bar.style.width = `${Math.min(100, percent)}%`;
    notice.append(element('div', {className: 'progress'}, bar));
  }
  return notice;
}

function prettyJson(text) {
  try { return JSON.stringify(JSON.parse(text), null, 2); } catch { return text; }
}
