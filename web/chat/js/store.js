// What the browser keeps: conversations in IndexedDB, choices in localStorage. Where it keeps nothing (a private window),
// the page works until it is closed, and says so.

class ConversationStore {
  constructor() {
    this.database = null;
    this.channel = 'BroadcastChannel' in window ? new BroadcastChannel('gossamer') : null;
  }

  // False: nothing is kept.
  open() { return (this.opened ??= this.connect()); }

  async connect() {
    try {
      this.database = await new Promise((resolve, reject) => {
        const request = indexedDB.open('gossamer', 1);
        request.onupgradeneeded = () => request.result.createObjectStore('conversations', {keyPath: 'id'});
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error);
      });
      return true;
    } catch {
      return false;
    }
  }

  all() { return this.run('readonly', (conversations) => conversations.getAll()).then((list) => list ?? []); }

  put(conversation) {
    const copy = structuredClone(conversation);
    return this.run('readwrite', (conversations) => conversations.put(copy)).then(() => this.tell(conversation.id));
  }

  remove(id) { return this.run('readwrite', (conversations) => conversations.delete(id)).then(() => this.tell(id)); }

  // Other tabs learn that conversation `id` changed.
  tell(id) { this.channel?.postMessage({id}); }
  onChange(listener) { if (this.channel) this.channel.onmessage = (event) => listener(event.data.id); }

  async run(mode, operation) {
    if (!await this.open()) return null;
    return new Promise((resolve, reject) => {
      const transaction = this.database.transaction('conversations', mode);
      const request = operation(transaction.objectStore('conversations'));
      transaction.oncomplete = () => resolve(request.result);
      transaction.onabort = transaction.onerror = () => reject(transaction.error);
    });
  }
}

const preferences = {
  read(name, otherwise = '') {
    try { return localStorage.getItem(`gossamer.${name}`) ?? otherwise; } catch { return otherwise; }
  },
  write(name, value) {
    try {
      if (value === '') localStorage.removeItem(`gossamer.${name}`);
      else localStorage.setItem(`gossamer.${name}`, value);
    } catch { /* nothing is kept in this window */ }
  },
};
