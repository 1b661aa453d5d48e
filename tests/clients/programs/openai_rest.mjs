// OpenAI's client for Node over HTTP: speaks, has it transcribed in every way, writes, calls.
// Prints what came of it as one JSON object. Arguments: base URL, voice.
import { Readable } from 'node:stream';

import OpenAI, { toFile } from 'openai';

const [baseURL, voice] = process.argv.slice(2);
const openai = new OpenAI({ apiKey: 'local', baseURL, maxRetries: 0 });
const { audio, chat } = openai;
const model = 'whisper-1';
const told = { heard: {}, shapes: {}, refused: [] };

const say = async (response_format) => {
  const input = 'turn on the kitchen lights';
  const answer = await audio.speech.create({ model: 'tts-1', voice, speed: 0.9, input, response_format });
  return Buffer.from(await answer.arrayBuffer());
};

for (const format of ['mp3', 'opus', 'aac', 'flac', 'wav']) {
  const file = await toFile(await say(format), `speech.${format}`);
  told.heard[format] = (await audio.transcriptions.create({ file, model })).text;
}

const wav = await say('wav');
for (const response_format of ['text', 'srt', 'vtt', 'verbose_json']) {
  // A stream, whose length nobody knows.
  const file = await toFile(Readable.from([wav]), 'speech.wav');
  const asked = { file, model, response_format };
  if (response_format === 'verbose_json') asked.timestamp_granularities = ['word', 'segment'];
  told.shapes[response_format] = await audio.transcriptions.create(asked);
}

told.events = [];
const file = await toFile(wav, 'speech.wav');
const chunking_strategy = { type: 'server_vad', silence_duration_ms: 300 };
for await (const event of await audio.transcriptions.create({ file, model, stream: true, chunking_strategy }))
  told.events.push(event);

told.streamed = '';
const messages = [{ role: 'user', content: 'what time is it' }];
for await (const chunk of await chat.completions.create({ model: 'voiced', messages, stream: true }))
  told.streamed += chunk.choices[0]?.delta.content ?? '';

const set_light = {
  name: 'set_light',
  parameters: { type: 'object', properties: { room: { type: 'string' }, state: { type: 'string' } } },
  parse: JSON.parse,
  function: (called) => ((told.called = called), 'The lamps above the stove are burning now.'),
};
const runner = chat.completions.runTools({
  model: 'voiced',
  messages: [{ role: 'user', content: 'turn on the kitchen lights' }],
  tools: [{ type: 'function', function: set_light }],
});
told.answer = await runner.finalContent();

told.models = [];
for await (const one of openai.models.list()) told.models.push(one.id);
told.secret = (await openai.realtime.clientSecrets.create({})).value;

for (const ask of [
  async () => audio.transcriptions.create({ file: await toFile(Buffer.from('junk'), 'a.wav'), model }),
  async () => openai.models.retrieve('gpt-9'),
  async () => chat.completions.create({ model: 'voiced', messages: [] }),
]) {
  await ask().catch((error) => told.refused.push([error.constructor.name, error.code, error.param]));
}
console.log(JSON.stringify(told));
