// The field in which messages are written, with its two buttons.

class Composer {
  // actions: send(text) -> whether it was taken, stop(), editLast()
  constructor(actions) {
    this.text = byId('text');
    this.sendButton = byId('send');
    this.stopButton = byId('stop');
    this.hint = byId('hint');
    this.actions = actions;
    this.drafts = new Map();  // by conversation
    byId('composer').addEventListener('submit', (event) => { event.preventDefault(); this.send(); });
    this.stopButton.addEventListener('click', () => actions.stop());
    this.text.addEventListener('input', () => this.fit());
    this.text.addEventListener('keydown', (event) => {
      if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) { event.preventDefault(); this.send(); }
      if (event.key === 'ArrowUp' && this.text.value === '') { event.preventDefault(); actions.editLast(); }
    });
  }

  send() {
    const text = this.text.value;
    if (text.trim() === '' || this.running) return;
    if (this.actions.send(text)) {
      this.text.value = '';
      this.fit();
    }
  }

  // What was begun for one conversation does not follow into the next.
  show(id, mode) {
    if (this.id !== id) {
      if (this.id) this.drafts.set(this.id, this.text.value);
      this.id = id;
      this.text.value = this.drafts.get(id) ?? '';
    }
    this.text.placeholder = mode === 'completion' ? 'Text to continue' : 'Message';
    this.fit();
  }

  setRunning(running) {
    const focused = document.activeElement === (running ? this.sendButton : this.stopButton);
    this.running = running;
    this.sendButton.hidden = running;
    this.stopButton.hidden = !running;
    if (focused) (running ? this.stopButton : this.text).focus();
    this.fit();
  }

  say(text, warn = false) {
    this.hint.textContent = text;
    this.hint.classList.toggle('warn', warn);
  }

  fit() {
    this.text.style.height = 'auto';
    this.text.style.height = `${this.text.scrollHeight}px`;
    this.sendButton.disabled = this.text.value.trim() === '';
  }
}
