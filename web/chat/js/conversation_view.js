// The conversation that is looked at: one view for each message, kept up to date while an answer grows, scrolled with it
// unless the reader has scrolled away.

class ConversationView {
  // actions: those of AnswerView, and edit(message, text)
  constructor(actions) {
    this.actions = actions;
    this.messages = byId('messages');
    this.scroller = byId('scroller');
    this.toEnd = byId('to-end');
    this.follows = true;
    this.scroller.addEventListener('scroll', () => this.onScroll(), {passive: true});
    this.toEnd.addEventListener('click', () => { this.follows = true; this.scrollToEnd(); });
    new ResizeObserver(() => { if (this.follows) this.scrollToEnd(); }).observe(this.messages);
  }

  show(conversation, generation, greeting) {
    this.conversation = conversation;
    this.views = new Map();
    this.follows = true;
    const nodes = [];
    for (const message of conversation.messages) {
      if (message.role === 'user') nodes.push(this.userNode(message));
      if (message.role !== 'assistant') continue;
      const view = new AnswerView(conversation, message, this.actions);
      this.views.set(message, view);
      nodes.push(view.node);
    }
    this.messages.replaceChildren(...(nodes.length > 0 ? nodes : [greeting]));
    const last = conversation.messages.at(-1);
    for (const [message, view] of this.views) view.update(message === generation?.answer ? generation : null, message === last);
    this.scrollToEnd();
  }

  update(generation) {
    const {answer} = generation;
    this.views.get(answer)?.update(answer.writing ? generation : null, answer === this.conversation.messages.at(-1));
    if (this.follows) this.scrollToEnd();
    else this.onScroll();
  }

  onScroll() {
    const {scrollTop, scrollHeight, clientHeight} = this.scroller;
    const left = scrollHeight - clientHeight - scrollTop;
    this.follows = left < 48;
    this.toEnd.hidden = left < 160;
  }

  scrollToEnd() {
    this.scroller.scrollTop = this.scroller.scrollHeight;
    this.toEnd.hidden = true;
  }

  userNode(message) {
    const node = element('article', {className: 'message user', 'aria-label': 'Your message'});
    const copy = iconButton('copy', 'Copy the message', () => copyText(message.content).then(() => showCopied(copy)));
    node.append(element('div', {className: 'bubble', dir: 'auto'}, message.content),
                element('div', {className: 'meta'}, element('span', {className: 'actions'}, copy,
                        iconButton('edit', 'Edit and send again', () => this.edit(message, node)))));
    return node;
  }

  editLast() {
    const nodes = this.messages.querySelectorAll('.message.user [aria-label="Edit and send again"]');
    nodes[nodes.length - 1]?.click();
  }

  edit(message, node) {
    const text = element('textarea', {value: message.content, dir: 'auto', 'aria-label': 'Edit the message'});
    const cancel = () => { node.replaceWith(this.userNode(message)); byId('text').focus(); };
    const send = () => { if (text.value.trim()) this.actions.edit(message, text.value); };
    text.addEventListener('keydown', (event) => {
      if (event.key === 'Escape') { event.stopPropagation(); cancel(); }
      if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) { event.preventDefault(); send(); }
    });
    node.classList.add('editing');
    node.replaceChildren(element('div', {className: 'editor'}, text, element('div', {className: 'row'},
        element('button', {type: 'button', className: 'button', onclick: cancel}, 'Cancel'),
        element('button', {type: 'button', className: 'button primary', onclick: send}, 'Send'))));
    text.style.height = `${Math.min(text.scrollHeight + 4, innerHeight * 0.5)}px`;
    text.focus();
    text.setSelectionRange(text.value.length, text.value.length);
  }
}
