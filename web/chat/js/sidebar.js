// The list of conversations: grouped by day, searched, renamed, deleted.

class Sidebar {
  // actions: open(id), rename(conversation, title), remove(conversation)
  constructor(actions) {
    this.actions = actions;
    this.list = byId('conversations');
    this.search = byId('search');
    this.search.addEventListener('input', () => this.update());
    this.search.addEventListener('keydown', (event) => {
      if (event.key === 'Escape' && this.search.value) { event.stopPropagation(); this.search.value = ''; this.update(); }
    });
    this.state = {conversations: [], currentId: null, running: new Set()};
  }

  show(state) {
    this.state = state;
    this.update();
  }

  update() {
    if (this.list.querySelector('input')) return;  // a name is being typed
    const {conversations, currentId, running} = this.state;
    const words = this.search.value.trim().toLowerCase();
    const found = conversations.filter((conversation) => matches(conversation, words)).sort((a, b) => b.updated - a.updated);
    const nodes = [];
    let group = null;
    let items = null;
    for (const conversation of found) {
      if (dayGroup(conversation.updated) !== group) {
        group = dayGroup(conversation.updated);
        items = element('ul', {'aria-label': group});
        nodes.push(element('h2', {}, group), items);
      }
      items.append(this.entry(conversation, conversation.id === currentId, running.has(conversation.id)));
    }
    if (found.length === 0) nodes.push(element('p', {className: 'empty'}, words ? 'Nothing found.' : 'Conversations are kept here, in this browser alone.'));
    const focused = this.list.contains(document.activeElement) ? document.activeElement.closest('.entry')?.dataset.id : null;
    this.list.replaceChildren(...nodes);
    if (focused) this.list.querySelector(`[data-id="${CSS.escape(focused)}"] .open`)?.focus();
  }

  entry(conversation, current, running) {
    const title = titleOf(conversation);
    const item = element('li', {className: `entry${current ? ' current' : ''}${running ? ' running' : ''}`});
    item.dataset.id = conversation.id;
    const open = element('button', {type: 'button', className: 'open', title, onclick: () => this.actions.open(conversation.id)}, title);
    if (current) open.setAttribute('aria-current', 'true');
    open.addEventListener('dblclick', () => this.rename(conversation, item));
    open.addEventListener('keydown', (event) => {
      if (event.key === 'F2') this.rename(conversation, item);
      if (event.key === 'Delete') this.actions.remove(conversation);
      const step = {ArrowDown: 1, ArrowUp: -1}[event.key];
      if (!step) return;
      event.preventDefault();
      const all = [...this.list.querySelectorAll('.open')];
      all[all.indexOf(open) + step]?.focus();
    });
    item.append(open, element('span', {className: 'tools'}, iconButton('edit', `Rename ${title}`, () => this.rename(conversation, item)),
                              iconButton('trash', `Delete ${title}`, () => this.actions.remove(conversation))));
    return item;
  }

  rename(conversation, item) {
    let done = false;
    const end = (keep) => {
      if (done) return;
      done = true;
      const title = name.value.trim();
      item.replaceChildren();  // else update() would think that it is still being typed
      if (keep && title && title !== titleOf(conversation)) this.actions.rename(conversation, title);
      this.update();
    };
    const name = element('input', {value: titleOf(conversation), 'aria-label': 'New name', onblur: () => end(true)});
    name.addEventListener('keydown', (event) => {
      if (event.key === 'Enter' && !event.isComposing) end(true);
      if (event.key === 'Escape') { event.stopPropagation(); end(false); }
    });
    item.replaceChildren(name);
    name.focus();
    name.select();
  }
}

function matches(conversation, words) {
  if (words === '') return true;
  return titleOf(conversation).toLowerCase().includes(words) ||
         conversation.messages.some((message) => message.content.toLowerCase().includes(words));
}

function dayGroup(time) {
  const midnight = new Date().setHours(0, 0, 0, 0);
  const day = 24 * 3600 * 1000;
  if (time >= midnight) return 'Today';
  if (time >= midnight - day) return 'Yesterday';
  if (time >= midnight - 7 * day) return 'Last seven days';
  return new Date(time).toLocaleDateString('en', {month: 'long', year: 'numeric'});
}
