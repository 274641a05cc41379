// Conversations as files: export and import.

const kFormat = 'gossamer-conversations';

function exportConversations(conversations, name) {
  const text = JSON.stringify({format: kFormat, version: 1, exported: new Date().toISOString(), conversations}, null, 1);
  const url = URL.createObjectURL(new Blob([text], {type: 'application/json'}));
  const link = element('a', {href: url, download: `${name.replace(/[^\p{L}\p{N}]+/gu, '-').replace(/^-+|-+$/g, '').slice(0, 60) || 'conversation'}.json`});
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

// Throws an Error that says what was expected.
function readConversations(text) {
  let file;
  try { file = JSON.parse(text); } catch (error) { throw new Error(`This file is not JSON: ${error.message}`); }
  if (file?.format !== kFormat || !Array.isArray(file.conversations)) throw new Error('This file holds no conversations that this page exported.');
  if (file.version !== 1) throw new Error(`This file has version ${file.version}; this page reads version 1.`);
  return file.conversations.map(importedConversation).filter(Boolean);
}
