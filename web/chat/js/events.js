// Server-sent events out of text that arrives in pieces of any size (the HTML standard's grammar).
class EventParser {
  constructor() {
    this.line = '';
    this.data = null;
    this.skipLineFeed = false;  // a CR ended the last piece: a LF at the start of the next belongs to it
    this.atStart = true;
  }

  // The data of every event that `text` completes.
  push(text) {
    const events = [];
    if (this.atStart && text !== '') {
      this.atStart = false;
      if (text[0] === '\ufeff') text = text.slice(1);
    }
    let begin = 0;
    for (let i = 0; i < text.length; i++) {
      const c = text[i];
      const skip = this.skipLineFeed && c === '\n';
      this.skipLineFeed = false;
      if (skip) {
        begin = i + 1;
        continue;
      }
      if (c !== '\n' && c !== '\r') continue;
      this.skipLineFeed = c === '\r';
      this.endLine(this.line + text.slice(begin, i), events);
      this.line = '';
      begin = i + 1;
    }
    this.line += text.slice(begin);
    return events;
  }

  endLine(line, events) {
    if (line === '') {
      if (this.data !== null) events.push(this.data);
      this.data = null;
      return;
    }
    const colon = line.indexOf(':');
    const field = colon < 0 ? line : line.slice(0, colon);
    if (field !== 'data') return;  // comments and names of events do not matter here
    let value = colon < 0 ? '' : line.slice(colon + 1);
    if (value[0] === ' ') value = value.slice(1);
    this.data = this.data === null ? value : `${this.data}\n${value}`;
  }
}
