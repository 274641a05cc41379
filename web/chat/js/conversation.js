// What a conversation is, and how it becomes a request. Plain data: kept in the browser, exported and imported as it stands.
//   {id, title ('': the first line stands for it), created, updated, model, settings, messages}
//   message: {role: 'user', content}
//            {role: 'assistant', content, reasoning, thinkingMs, calls: [{id, name, arguments}], finish, usage, timings,
//             firstMs, elapsedMs, stopped, failure, writing}
//            {role: 'tool', callId, content}

const kDefaultSettings = {mode: 'chat', system: '', tools: '', reasoning_effort: '', temperature: '', top_p: '', max_tokens: '', seed: ''};
const kCompletionTokens = 256;  // the API's own default for completions is 16: too few to read

function newConversation(model, settings) {
  const now = Date.now();
  return {id: crypto.randomUUID?.() ?? `${now}-${Math.random().toString(36).slice(2)}`, title: '', created: now, updated: now, model,
          settings: {...kDefaultSettings, ...settings}, messages: []};
}

const newAnswer = () => ({role: 'assistant', content: '', reasoning: '', thinkingMs: 0, calls: [], finish: null, usage: null, timings: null,
                          firstMs: null, elapsedMs: 0, stopped: false, failure: null, writing: true});

function titleOf(conversation) {
  if (conversation.title) return conversation.title;
  const first = conversation.messages.find((message) => message.role === 'user');
  const line = first ? first.content.trim().split('\n')[0].trim() : '';
  return line.length > 60 ? `${line.slice(0, 58).trimEnd()}…` : line || 'New conversation';
}

function toolResult(conversation, call) {
  return conversation.messages.find((message) => message.role === 'tool' && message.callId === call.id) ?? null;
}

// The calls of the last answer that wait for their result.
function openCalls(conversation) {
  const answers = conversation.messages.filter((message) => message.role === 'assistant');
  const last = answers.at(-1);
  if (!last || last.writing || last.stopped || last.failure) return [];
  return last.calls.filter((call) => !toolResult(conversation, call));
}

// The declarations as the API wants them; bare functions are wrapped. Throws an Error that says what is wrong.
function parseTools(text) {
  if (text.trim() === '') return [];
  let list;
  try { list = JSON.parse(text); } catch (error) { throw new Error(`The tools are not JSON: ${error.message}`); }
  if (!Array.isArray(list)) list = [list];
  return list.map((tool, index) => {
    const declared = tool?.type === 'function' && tool.function ? tool : {type: 'function', function: tool};
    if (typeof declared.function?.name !== 'string') throw new Error(`Tool ${index + 1} has no name: expected {"name", "description", "parameters"}.`);
    return declared;
  });
}

function readNumbers(settings, names) {
  const values = {};
  for (const name of names) {
    const text = String(settings[name]).trim();
    if (text === '') continue;
    const value = Number(text);
    if (!Number.isFinite(value)) throw new Error(`${name}: expected a number, found "${text}".`);
    values[name] = value;
  }
  return values;
}

function chatMessages(conversation) {
  const messages = [];
  if (conversation.settings.system.trim()) messages.push({role: 'system', content: conversation.settings.system});
  for (const message of conversation.messages) {
    if (message.role === 'user') messages.push({role: 'user', content: message.content});
    if (message.role === 'tool') messages.push({role: 'tool', tool_call_id: message.callId, content: message.content});
    if (message.role !== 'assistant') continue;
    // A call without a result (it was stopped) would leave the conversation malformed.
    const calls = message.calls.every((call) => toolResult(conversation, call)) ? message.calls : [];
    if (message.content === '' && calls.length === 0) continue;
    const out = {role: 'assistant', content: message.content || null};
    if (message.reasoning) out.reasoning = message.reasoning;
    if (calls.length > 0) {
      out.tool_calls = calls.map((call) => ({id: call.id, type: 'function', function: {name: call.name, arguments: call.arguments}}));
    }
    messages.push(out);
  }
  return messages;
}

// {path, body} for what stands in the conversation. Throws an Error that names the setting that is wrong.
function requestOf(conversation, model) {
  const {settings} = conversation;
  const common = {model: model || undefined, stream: true, stream_options: {include_usage: true}, include_timings: true,
                  ...readNumbers(settings, ['temperature', 'top_p', 'max_tokens', 'seed'])};
  if (settings.mode === 'completion') {
    const prompt = conversation.messages.map((message) => message.content).join('');
    return {path: '/v1/completions', body: {...common, max_tokens: common.max_tokens ?? kCompletionTokens, prompt}};
  }
  const body = {...common, messages: chatMessages(conversation)};
  if (settings.reasoning_effort) body.reasoning_effort = settings.reasoning_effort;
  const tools = parseTools(settings.tools);
  if (tools.length > 0) body.tools = tools;
  return {path: '/v1/chat/completions', body};
}

// A conversation out of a file: only what is known is taken, in the types that are expected. Null: it is none.
function importedConversation(raw) {
  if (typeof raw !== 'object' || raw === null || !Array.isArray(raw.messages)) return null;
  const text = (value) => (typeof value === 'string' ? value : '');
  const number = (value, otherwise) => (Number.isFinite(value) ? value : otherwise);
  const object = (value) => (typeof value === 'object' && value !== null && !Array.isArray(value) ? value : null);
  const conversation = newConversation(text(raw.model), {});
  for (const name of Object.keys(kDefaultSettings)) conversation.settings[name] = text(raw.settings?.[name]) || kDefaultSettings[name];
  if (conversation.settings.mode !== 'completion') conversation.settings.mode = 'chat';
  if (text(raw.id)) conversation.id = raw.id;
  conversation.title = text(raw.title);
  conversation.created = number(raw.created, conversation.created);
  conversation.updated = number(raw.updated, conversation.updated);
  for (const message of raw.messages) {
    if (message?.role === 'user') conversation.messages.push({role: 'user', content: text(message.content)});
    if (message?.role === 'tool') conversation.messages.push({role: 'tool', callId: text(message.callId), content: text(message.content)});
    if (message?.role !== 'assistant') continue;
    const calls = (Array.isArray(message.calls) ? message.calls : []).map((call) => (
        {id: text(call?.id), name: text(call?.name), arguments: text(call?.arguments)}));
    const failure = object(message.failure);
    conversation.messages.push({
      ...newAnswer(), content: text(message.content), reasoning: text(message.reasoning), thinkingMs: number(message.thinkingMs, 0), calls,
      finish: text(message.finish) || null, usage: object(message.usage), timings: object(message.timings), firstMs: number(message.firstMs, null),
      elapsedMs: number(message.elapsedMs, 0), stopped: message.stopped === true, writing: false,
      failure: failure ? {...new Failure({message: text(failure.message), kind: text(failure.kind) || 'http'}).toJSON()} : null});
  }
  return conversation;
}
