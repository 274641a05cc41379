// One answer being made: asks, waits while a model loads, reads the stream into the answer, and says when something changed.
// It belongs to its conversation, not to the view: one may look at another conversation meanwhile.

const kSaveEveryMs = 1500;

class Generation {
  // onChange(generation) on everything that is to be seen; onSave(conversation) now and then, and at the end.
  constructor({api, conversation, answer, model, onChange, onSave}) {
    Object.assign(this, {api, conversation, answer, model, onChange, onSave});
    this.abort = new AbortController();
    this.loading = null;  // while a model loads: {percent, secondsLeft}
    this.thinkingSince = null;
    this.lastSave = 0;
    if (model) conversation.model = model;
  }

  stop() { this.abort.abort(); }

  async run() {
    this.begun = performance.now();
    try {
      const {path, body} = requestOf(this.conversation, this.model);
      await this.ask(path, body);
    } catch (error) {
      if (error.name === 'AbortError') this.answer.stopped = true;
      else this.answer.failure = (error instanceof Failure ? error : new Failure({kind: 'request', message: error.message})).toJSON();
    }
    this.endThinking();
    this.answer.elapsedMs = performance.now() - this.begun;
    this.answer.writing = false;
    this.loading = null;
    this.onChange(this);
    await this.onSave(this.conversation);
  }

  async ask(path, body) {
    for (let refused = 0; ;) {
      try {
        for await (const chunk of this.api.stream(path, body, this.abort.signal)) this.take(chunk);
        return;
      } catch (error) {
        if (!(error instanceof Failure) || error.kind !== 'http' || error.status !== 503) throw error;
        // Ready and refusing again: it is not the loading, and waiting would not help.
        if (!await this.waitForModel(error) && ++refused > 1) throw error;
        this.begun = performance.now();  // the wait is not the answer's time
      }
    }
  }

  // Returns when the server is ready, and whether it was not at first; throws `refusal` where it does not load but closes.
  async waitForModel(refusal) {
    let waited = false;
    for (;; waited = true) {
      const state = await this.api.readiness(this.abort.signal);
      if (state.ready) break;
      if (!state.loading) throw refusal;
      this.loading = state;
      this.onChange(this);
      await this.pause(700);
    }
    this.loading = null;
    this.onChange(this);
    return waited;
  }

  pause(milliseconds) {
    const {signal} = this.abort;
    return new Promise((resolve, reject) => {
      const end = () => reject(new DOMException('stopped', 'AbortError'));
      const timer = setTimeout(() => { signal.removeEventListener('abort', end); resolve(); }, milliseconds);
      signal.addEventListener('abort', () => { clearTimeout(timer); end(); }, {once: true});
    });
  }

  take(chunk) {
    const {answer} = this;
    if (chunk.usage) answer.usage = chunk.usage;
    if (chunk.timings) answer.timings = chunk.timings;
    const choice = chunk.choices?.[0];
    if (choice) {
      const delta = choice.delta ?? {content: choice.text};
      const reasoning = delta.reasoning ?? delta.reasoning_content ?? '';
      if (reasoning) {
        this.thinkingSince ??= performance.now();
        answer.reasoning += reasoning;
      }
      if (delta.content || delta.tool_calls?.length) this.endThinking();
      if (delta.content) answer.content += delta.content;
      for (const call of delta.tool_calls ?? []) this.takeCall(call);
      if (choice.finish_reason) answer.finish = choice.finish_reason;
      if (answer.firstMs === null && (reasoning || delta.content || delta.tool_calls)) answer.firstMs = performance.now() - this.begun;
    }
    this.onChange(this);
    if (performance.now() - this.lastSave > kSaveEveryMs) {
      this.lastSave = performance.now();
      this.onSave(this.conversation);
    }
  }

  takeCall(delta) {
    const call = (this.answer.calls[delta.index ?? 0] ??= {id: '', name: '', arguments: ''});
    if (delta.id) call.id = delta.id;
    if (delta.function?.name) call.name = delta.function.name;
    call.arguments += delta.function?.arguments ?? '';
  }

  endThinking() {
    if (this.thinkingSince === null) return;
    this.answer.thinkingMs += performance.now() - this.thinkingSince;
    this.thinkingSince = null;
  }

  thinkingMs() { return this.answer.thinkingMs + (this.thinkingSince === null ? 0 : performance.now() - this.thinkingSince); }
}

// "182 tokens", "43.1 tokens/s", ...: what is known about a finished answer.
function figuresOf(answer) {
  const figures = [];
  const made = answer.usage?.completion_tokens;
  if (made > 0) {
    figures.push(plural(made, 'token'));
    // The first token is the prompt's work; the server's clock is better than ours, which sees the network too.
    const milliseconds = answer.timings?.decode_ms ?? (answer.elapsedMs - (answer.firstMs ?? 0));
    if (made > 1 && milliseconds > 0) {
      const rate = (made - 1) * 1000 / milliseconds;
      figures.push(`${rate < 100 ? rate.toFixed(1) : formatCount(Math.round(rate))} tokens/s`);
    }
  }
  if (answer.firstMs !== null) figures.push(`first after ${answer.firstMs < 1000 ? `${Math.round(answer.firstMs)} ms` : formatSeconds(answer.firstMs)}`);
  const read = answer.usage?.prompt_tokens;
  if (read > 0) {
    const cached = answer.usage.prompt_tokens_details?.cached_tokens ?? 0;
    figures.push(`prompt ${plural(read, 'token')}${cached > 0 ? `, ${formatCount(cached)} cached` : ''}`);
  }
  if (answer.stopped) figures.push('stopped');
  if (answer.finish === 'length') figures.push('cut at the limit of tokens');
  if (answer.finish === 'content_filter') figures.push('withheld by the server');
  return figures;
}
