// The page: holds what there is (conversations, models, answers being made) and tells the views what to show.

class App {
  constructor() {
    this.api = new Api(() => preferences.read('key'));
    this.store = new ConversationStore();
    this.conversations = [];
    this.models = [];
    this.running = new Map();  // conversation's id -> Generation
    this.frame = 0;
    this.view = new ConversationView({
      regenerate: () => this.regenerate(), giveResults: (results) => this.giveResults(results), saveKey: (key) => this.saveKey(key, true),
      completionMode: () => this.completionMode(), edit: (message, text) => this.editMessage(message, text)});
    this.sidebar = new Sidebar({open: (id) => { this.open(id); this.toggleDrawer(false); }, rename: (c, title) => this.rename(c, title),
                                remove: (c) => this.remove(c)});
    this.panel = new SettingsPanel({onChange: (settings) => this.changeSettings(settings), onKey: (key) => this.saveKey(key, false),
                                    onToggle: () => this.updateShade()});
    this.composer = new Composer({send: (text) => this.send(text), stop: () => this.stop(), editLast: () => this.view.editLast()});
    this.bindButtons();
    this.bindKeys();
    this.showTheme();
    this.begin();
  }

  async start() {
    const kept = await this.store.open();
    const stored = (await this.store.all()).map(recovered);
    this.conversations.push(...stored.filter((one) => !this.conversations.some((other) => other.id === one.id)));
    this.store.onChange((id) => this.reload(id));
    const last = stored.find((conversation) => conversation.id === preferences.read('open'));
    const begun = this.beganByHand || this.current.messages.length > 0 || byId('text').value !== '';  // somebody was quicker
    if (last && !begun) this.open(last.id);
    else this.showFrame();
    if (!kept) toast('This window keeps nothing: conversations are gone when it is closed.');
    await this.loadModels();
  }

  // --- what is shown

  show() {
    const generation = this.running.get(this.current.id) ?? null;
    this.view.show(this.current, generation, this.greeting());
    this.composer.show(this.current.id, this.current.settings.mode);
    this.panel.show(this.current.settings, preferences.read('key'));
    this.showFrame();
  }

  // Everything around the messages.
  showFrame() {
    const {current} = this;
    const title = titleOf(current);
    document.body.classList.toggle('completing', current.settings.mode === 'completion');
    byId('title').textContent = current.messages.length > 0 ? title : '';
    document.title = current.messages.length > 0 ? `${title} – Gossamer` : 'Gossamer';
    this.composer.setRunning(this.running.has(current.id));
    this.sidebar.show({conversations: this.conversations, currentId: current.id, running: new Set(this.running.keys())});
    this.showModels();
  }

  greeting() {
    const completing = this.current.settings.mode === 'completion';
    return element('div', {className: 'greeting'}, element('strong', {}, completing ? 'Plain completion' : 'New conversation'),
                   completing ? 'The model continues what you write.' : 'Enter sends, Shift+Enter begins a new line.');
  }

  showModels() {
    const select = byId('model');
    const names = this.models.length > 0 ? this.models : [this.current.model || 'no model'];
    const key = names.join('\n');
    if (select.dataset.names !== key) {
      select.dataset.names = key;
      select.replaceChildren(...names.map((name) => element('option', {value: name}, name)));
    }
    select.value = names.includes(this.current.model) ? this.current.model : names[0];
    select.disabled = names.length < 2;
  }

  model() { return this.models.includes(this.current.model) ? this.current.model : this.models[0] ?? this.current.model; }

  // Answers grow quickly: at most one update a frame, and seldom enough that most of the time is left for everything else.
  onGeneration(generation) {
    if (generation.conversation !== this.current || this.frame) return;
    this.frame = setTimeout(() => requestAnimationFrame(() => {
      this.frame = 0;
      const shown = this.running.get(this.current.id);
      if (!shown) return;
      const begun = performance.now();
      this.view.update(shown);
      this.cost = performance.now() - begun;
    }), Math.min(400, 3 * (this.cost ?? 0)));
  }

  // --- answers

  async generate() {
    const {current} = this;
    const answer = newAnswer();
    current.messages.push(answer);
    current.updated = Date.now();
    const generation = new Generation({api: this.api, conversation: current, answer, model: this.model(),
                                       onChange: (changed) => this.onGeneration(changed), onSave: (conversation) => this.save(conversation)});
    this.running.set(current.id, generation);
    this.composer.say('');
    this.show();
    const clock = setInterval(() => { if (generation.thinkingSince !== null) this.onGeneration(generation); }, 100);
    await this.save(current);
    await generation.run();
    clearInterval(clock);
    if (this.running.get(current.id) !== generation) return;  // the message was edited: another answer took its place
    this.running.delete(current.id);
    if (this.current === current) {
      this.view.update(generation);
      this.showFrame();
      announce(answer.failure ? failureTitle(answer.failure) : answer.stopped ? 'Stopped' : 'The answer is complete');
    } else {
      this.showFrame();
    }
    if (answer.failure?.status === 404) this.loadModels();
  }

  send(text) {
    const {current} = this;
    if (this.running.has(current.id)) return false;
    const open = openCalls(current);
    if (open.length > 0) {
      this.composer.say(`The model waits for the result of ${open[0].name}. It may be empty.`, true);
      byId('messages').querySelector('.call textarea')?.focus();
      return false;
    }
    if (!this.conversations.includes(current)) this.conversations.push(current);
    current.messages.push({role: 'user', content: text});
    preferences.write('open', current.id);
    this.generate();
    return true;
  }

  // Makes the last answer again.
  regenerate() {
    const {messages} = this.current;
    if (this.running.has(this.current.id) || messages.at(-1)?.role !== 'assistant') return;
    messages.pop();
    this.generate();
  }

  giveResults(results) {
    for (const {call, content} of results) this.current.messages.push({role: 'tool', callId: call.id, content});
    this.generate();
  }

  editMessage(message, text) {
    const {messages} = this.current;
    this.stop();
    messages.splice(messages.indexOf(message));
    messages.push({role: 'user', content: text});
    this.generate();
  }

  completionMode() {
    this.changeSettings({...this.current.settings, mode: 'completion'});
    this.regenerate();
  }

  stop() { this.running.get(this.current.id)?.stop(); }

  // --- conversations

  // A new conversation begins with the choices of the one that was open, but without its instructions and tools.
  begin() {
    const settings = this.current ? {...this.current.settings, system: '', tools: ''} : {};
    if (!this.current || this.current.messages.length > 0) this.current = newConversation(this.current?.model ?? preferences.read('model'), settings);
    this.show();
  }

  open(id) {
    const found = this.conversations.find((conversation) => conversation.id === id);
    if (!found) return;
    this.current = found;
    preferences.write('open', id);
    this.composer.say('');
    this.show();
  }

  rename(conversation, title) {
    conversation.title = title;
    this.save(conversation);
    this.showFrame();
  }

  remove(conversation) {
    this.running.get(conversation.id)?.stop();
    this.conversations = this.conversations.filter((other) => other !== conversation);
    this.store.remove(conversation.id);
    if (this.current === conversation) this.begin();
    else this.showFrame();
    const undo = () => { this.conversations.push(conversation); this.save(conversation); this.open(conversation.id); };
    toast(`Deleted: ${titleOf(conversation)}`, {label: 'Undo', run: undo});
  }

  async save(conversation) {
    if (!this.conversations.includes(conversation)) return;
    try {
      await this.store.put(conversation);
    } catch (error) {
      toast(`The browser could not keep this conversation: ${error.message}`);
    }
  }

  // Another tab changed conversation `id`.
  async reload(id) {
    if (this.running.has(id)) return;
    const fresh = (await this.store.all()).find((conversation) => conversation.id === id);
    this.conversations = this.conversations.filter((conversation) => conversation.id !== id);
    if (fresh) this.conversations.push(fresh);
    if (this.current.id !== id) { this.showFrame(); return; }
    if (fresh) this.open(id);
    else this.begin();
  }

  changeSettings(settings) {
    const modeChanged = settings.mode !== this.current.settings.mode;
    this.current.settings = settings;
    this.save(this.current);
    if (modeChanged) this.show();
  }

  async importFiles(files) {
    for (const file of files) {
      try {
        const found = readConversations(await file.text());
        for (const conversation of found) {
          if (this.conversations.some((other) => other.id === conversation.id)) conversation.id = newConversation('', {}).id;
          this.conversations.push(conversation);
          await this.save(conversation);
        }
        toast(`${plural(found.length, 'conversation')} imported.`);
        if (found.length > 0) this.open(found[0].id);
      } catch (error) {
        toast(error.message);
      }
    }
  }

  // --- the server

  async loadModels() {
    const state = byId('server-state');
    for (let wait = 1000; ; wait = Math.min(wait * 1.5, 10000)) {
      try {
        const ready = await this.api.readiness();
        this.models = await this.api.models();  // none while a model loads
        state.textContent = ready.ready ? '' : !ready.loading ? 'Not ready' : ready.percent === null ? 'Loading' : `Loading, ${Math.floor(ready.percent)} %`;
        this.showModels();
        if (ready.ready) return;
        if (ready.loading) wait = 700;
      } catch (error) {
        if (error.status === 401 || error.status === 403) {
          state.textContent = 'API key needed';
          this.askForKey(error);
          return;
        }
        state.textContent = error.kind === 'network' ? 'No connection' : 'Not ready';
      }
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
  }

  // Before anything was sent: the key field stands where messages will.
  askForKey(failure) {
    if (this.current.messages.length > 0) return;
    const view = new AnswerView(this.current, {...newAnswer(), failure: failure.toJSON(), writing: false}, {saveKey: (key) => this.saveKey(key, false)});
    view.update(null, true);
    view.meta.hidden = true;
    byId('messages').replaceChildren(view.node);
  }

  async saveKey(key, retry) {
    preferences.write('key', key);
    this.show();
    if (retry) this.regenerate();
    await this.loadModels();
  }

  // --- controls

  bindButtons() {
    byId('new-conversation').addEventListener('click', () => this.beginByHand());
    byId('open-sidebar').addEventListener('click', () => this.toggleDrawer(true));
    byId('close-sidebar').addEventListener('click', () => this.toggleDrawer(false));
    byId('shade').addEventListener('click', () => { this.toggleDrawer(false); this.panel.toggle(false); });
    byId('theme').addEventListener('click', () => {
      const next = {'': 'light', light: 'dark', dark: ''}[preferences.read('theme')] ?? '';
      preferences.write('theme', next);
      dispatchEvent(new Event('gossamer-theme'));
      this.showTheme();
    });
    byId('model').addEventListener('change', (event) => {
      this.current.model = event.target.value;
      preferences.write('model', event.target.value);
      this.save(this.current);
    });
    byId('export-all').addEventListener('click', () => exportConversations(this.conversations, 'gossamer-conversations'));
    byId('export-one').addEventListener('click', () => exportConversations([this.current], titleOf(this.current)));
    byId('import').addEventListener('click', () => byId('import-file').click());
    byId('import-file').addEventListener('change', (event) => { this.importFiles([...event.target.files]); event.target.value = ''; });
    matchMedia('(max-width: 46rem)').addEventListener('change', () => this.toggleDrawer(false));
    matchMedia('(max-width: 64rem)').addEventListener('change', () => this.updateShade());
  }

  bindKeys() {
    document.addEventListener('keydown', (event) => {
      const command = event.ctrlKey || event.metaKey;
      if (command && event.key.toLowerCase() === 'k') { event.preventDefault(); this.beginByHand(); }
      if (command && event.key === '/') { event.preventDefault(); this.toggleDrawer(true); byId('search').focus(); }
      if (event.key !== 'Escape' || event.isComposing) return;
      if (document.body.classList.contains('drawer-open')) this.toggleDrawer(false);
      else if (this.running.has(this.current.id)) this.stop();
      else if (this.panel.isOpen) this.panel.toggle(false);
    });
  }

  beginByHand() {
    this.beganByHand = true;
    this.begin();
    preferences.write('open', '');
    this.toggleDrawer(false);
    byId('text').focus();
  }

  toggleDrawer(open) {
    const was = document.body.classList.contains('drawer-open');
    const narrow = matchMedia('(max-width: 46rem)').matches;
    document.body.classList.toggle('drawer-open', open && narrow);
    this.updateShade();
    if (open && narrow) byId('close-sidebar').focus();
    else if (was) byId('open-sidebar').focus();
  }

  // What lies under a drawer cannot be reached.
  updateShade() {
    const drawer = document.body.classList.contains('drawer-open');
    const covers = drawer || (this.panel.isOpen && matchMedia('(max-width: 64rem)').matches);
    byId('shade').hidden = !covers;
    byId('main').inert = covers;
    byId('panel').inert = drawer;
  }

  showTheme() {
    const choice = preferences.read('theme') || 'system';
    const button = byId('theme');
    button.querySelector('use').setAttribute('href', `#icon-${choice}`);
    const label = `Theme: ${choice === 'system' ? 'as the system' : choice}`;
    button.setAttribute('aria-label', label);
    button.title = label;
  }
}

// A conversation as it was kept; an answer that was being written when the page went is one that was stopped.
function recovered(conversation) {
  conversation.settings = {...kDefaultSettings, ...conversation.settings};
  for (const message of conversation.messages) {
    if (!message.writing) continue;
    message.writing = false;
    message.stopped = true;
  }
  return conversation;
}

if (!matchMedia('(max-width: 46rem)').matches) byId('text').focus();  // on a phone the keyboard would hide the page
new App().start();
