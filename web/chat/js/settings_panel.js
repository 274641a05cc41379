// The settings of the conversation that is looked at, and the API key. What is wrong is said beside the field.

class SettingsPanel {
  // onChange(settings) after every edit; onKey(key) when the key was changed.
  constructor({onChange, onKey, onToggle}) {
    this.panel = byId('panel');
    this.form = byId('settings');
    this.button = byId('toggle-panel');
    this.onToggle = onToggle;
    this.button.addEventListener('click', () => this.toggle());
    byId('close-panel').addEventListener('click', () => this.toggle(false));
    this.form.addEventListener('submit', (event) => event.preventDefault());
    this.form.addEventListener('input', (event) => {
      if (event.target.name === 'api_key') return;
      this.check();
      onChange(this.read());
    });
    this.form.elements.api_key.addEventListener('change', (event) => onKey(event.target.value.trim()));
  }

  get isOpen() { return !this.panel.hidden; }

  toggle(open = this.panel.hidden) {
    if (open === this.isOpen) return;
    this.panel.hidden = !open;
    this.button.setAttribute('aria-expanded', String(open));
    (open ? byId('close-panel') : this.button).focus();
    this.onToggle(open);
  }

  show(settings, key) {
    for (const [name, value] of Object.entries(settings)) {
      const field = this.form.elements[name];
      if (field instanceof RadioNodeList) for (const radio of field) radio.checked = radio.value === value;
      else if (field.value !== value) field.value = value;  // else the cursor would jump
    }
    this.form.elements.api_key.value = key;
    this.form.elements.max_tokens.placeholder = settings.mode === 'completion' ? String(kCompletionTokens) : 'default';
    this.check();
  }

  read() {
    const settings = {};
    for (const name of Object.keys(kDefaultSettings)) settings[name] = this.form.elements[name].value;
    return settings;
  }

  check() {
    const {tools} = this.form.elements;
    const note = byId('tools-note');
    this.note ??= note.textContent;
    let wrong = '';
    try { parseTools(tools.value); } catch (error) { wrong = error.message; }
    tools.classList.toggle('invalid', wrong !== '');
    tools.setAttribute('aria-invalid', String(wrong !== ''));
    note.classList.toggle('warn', wrong !== '');
    note.textContent = wrong || this.note;
    for (const field of this.form.querySelectorAll('input[type=number]')) field.classList.toggle('invalid', !field.checkValidity());
  }
}
