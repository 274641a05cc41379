// The server's API: models, readiness, streams. Everything that can go wrong becomes a Failure that says what to show.

// kind: http (status and the server's words), network (nothing came), lost (the stream broke off), stream (the server
// reported an error in the stream).
class Failure extends Error {
  constructor(fields) {
    super(fields.message);
    Object.assign(this, {kind: 'http', status: 0, code: null, type: null, retryAfter: null}, fields);
  }

  toJSON() {
    const {kind, status, code, type, retryAfter, message} = this;
    return {kind, status, code, type, retryAfter, message};
  }
}

// Retry-After: seconds, or a date.
function secondsToWait(header) {
  if (!header) return null;
  if (/^\d+(\.\d+)?$/.test(header.trim())) return Number(header);
  const when = Date.parse(header);
  return Number.isNaN(when) ? null : Math.max(0, Math.ceil((when - Date.now()) / 1000));
}

async function failureOf(response) {
  let body = '';
  try { body = await response.text(); } catch { /* the status alone has to do */ }
  let error = null;
  try { error = JSON.parse(body).error; } catch { /* not ours: show it as it came */ }
  if (typeof error === 'string') error = {message: error};
  const message = error?.message || body.slice(0, 500).trim() || `The server answered ${response.status} ${response.statusText}.`;
  return new Failure({status: response.status, message, code: error?.code ?? null, type: error?.type ?? null,
                      retryAfter: secondsToWait(response.headers.get('Retry-After'))});
}

class Api {
  constructor(readKey) { this.readKey = readKey; }

  async fetch(path, options = {}) {
    const headers = {...options.headers};
    const key = this.readKey();
    if (key) headers.Authorization = `Bearer ${key}`;
    try {
      return await fetch(path, {...options, headers, cache: 'no-store', credentials: 'same-origin'});
    } catch (error) {
      if (error.name === 'AbortError') throw error;
      throw new Failure({kind: 'network', message: 'The server cannot be reached.'});
    }
  }

  async models() {
    const response = await this.fetch('/v1/models');
    if (!response.ok) throw await failureOf(response);
    const list = await response.json();
    return (Array.isArray(list.data) ? list.data : []).map((model) => String(model.id));
  }

  // {ready} or {ready: false, percent, secondsLeft, loading, message}; percent and secondsLeft may be null.
  async readiness(signal) {
    const response = await this.fetch('/health/ready', {signal});
    if (response.ok) return {ready: true};
    let body = {};
    const text = await response.text();
    try { body = JSON.parse(text); } catch { /* plain text: look for the figure in it */ }
    const fields = {...body, ...(typeof body.error === 'object' ? body.error : {})};
    const found = /(\d+(?:\.\d+)?)\s*(?:%|percent)/.exec(fields.message ?? text);
    const percent = fields.percent ?? (typeof fields.progress === 'number' ? fields.progress * 100 : null) ?? (found ? Number(found[1]) : null);
    const left = fields.seconds_left ?? null;
    const words = `${fields.status ?? ''} ${fields.code ?? ''} ${fields.message ?? ''}`;
    return {ready: false, percent: typeof percent === 'number' ? percent : null, secondsLeft: typeof left === 'number' ? left : null,
            loading: typeof percent === 'number' || /load/i.test(words), message: fields.message ?? ''};
  }

  // The chunks of a streamed answer, as objects, until [DONE].
  async* stream(path, body, signal) {
    const response = await this.fetch(path, {
      method: 'POST', signal, body: JSON.stringify(body), headers: {'Content-Type': 'application/json', Accept: 'text/event-stream'}});
    if (!response.ok) throw await failureOf(response);
    const reader = response.body.getReader();
    const decoder = new TextDecoder();
    const parser = new EventParser();
    try {
      for (;;) {
        const {done, value} = await reader.read();
        if (done) break;
        for (const data of parser.push(decoder.decode(value, {stream: true}))) {
          if (data.startsWith('[DONE]')) return;
          const chunk = JSON.parse(data);
          if (chunk.error) {
            throw new Failure({kind: 'stream', message: chunk.error.message ?? String(chunk.error), code: chunk.error.code ?? null,
                               type: chunk.error.type ?? null});
          }
          yield chunk;
        }
      }
    } catch (error) {
      if (error instanceof Failure || error.name === 'AbortError') throw error;
      throw new Failure({kind: 'lost', message: 'The connection to the server was lost. What came is kept.'});
    } finally {
      reader.cancel().catch(() => {});
    }
    throw new Failure({kind: 'lost', message: 'The server ended the answer early. What came is kept.'});
  }
}
