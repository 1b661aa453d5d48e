// @openai/agents-realtime: node agents_realtime.mjs URL FOLDER
//
// Two typed turns, one right behind the other; a spoken command, for which the agent calls a
// function; and a question that interrupts its answer. Everything but the microphone is the
// package's own doing, with its default settings (semantic_vad). Talks ws and wss;
// NODE_EXTRA_CA_CERTS names an authority to trust.
// FOLDER holds command.pcm and question.pcm, PCM16 mono at 24 kHz.
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  OpenAIRealtimeWebSocket,
  RealtimeAgent,
  RealtimeSession,
  tool,
} from '@openai/agents-realtime';
import { z } from 'zod';

const BYTES_PER_MS = 48;
const PORTION_MS = 40;
const OUTPUT =
  'The lamps above the stove are burning now, and the one over the table is dimmed to half.';

// Streams what is said, and silence in between, at the pace of talking.
class Microphone {
  said = Buffer.alloc(0);
  on = true;

  async run(session) {
    const size = PORTION_MS * BYTES_PER_MS;
    for (let due = performance.now(); this.on; due += PORTION_MS) {
      const portion = new Uint8Array(size);
      this.said.copy(portion);
      this.said = this.said.subarray(size);
      session.sendAudio(portion.buffer);
      await sleep(Math.max(0, due + PORTION_MS - performance.now()));
    }
  }
}

const [url, folder] = process.argv.slice(2);
const report = { called: [] };
const setLight = tool({
  name: 'set_light',
  description: 'Switch the lights of a room',
  parameters: z.object({ room: z.string(), state: z.string() }),
  execute: async (given) => {
    report.called.push({ name: 'set_light', ...given });
    return OUTPUT;
  },
});
const agent = new RealtimeAgent({ name: 'House', instructions: 'Be brief.', tools: [setLight] });
const session = new RealtimeSession(agent, { transport: new OpenAIRealtimeWebSocket({ url }) });

// What happens, in order: 'agent_end' with the words of a response, and others without.
const happened = [];
let arrived = () => {};
const note = (...what) => {
  happened.push(what);
  arrived();
};
const next = async (kind) => {
  for (;;) {
    while (happened.length > 0) {
      const [found, words] = happened.shift();
      if (found === kind) return words;
    }
    await new Promise((resolve) => (arrived = resolve));
  }
};
session.on('error', ({ error }) => {
  throw new Error(JSON.stringify(error)); // nobody catches it: the program ends
});
session.on('agent_end', (_context, _agent, words) => note('agent_end', words));
session.on('audio', () => note('audio'));
session.on('audio_interrupted', () => note('audio_interrupted'));

await session.connect({ apiKey: 'local' });
session.sendMessage('what time is it');
session.sendMessage("what's the date");
report.typed = await next('agent_end');
report.typed_again = await next('agent_end');

const microphone = new Microphone();
const streaming = microphone.run(session);
microphone.said = await readFile(`${folder}/command.pcm`);
await next('agent_end'); // the response that called the function
await next('audio');
microphone.said = await readFile(`${folder}/question.pcm`);
await next('audio_interrupted');
report.interrupted = 'audio_interrupted';
report.answer = await next('agent_end');
report.after = await next('agent_end');
await sleep(100); // the items that it asks for after an answer
microphone.on = false;
await streaming;
report.history = session.history
  .filter((item) => item.type === 'message')
  .map(({ role, status, content }) => ({
    role,
    status,
    words: content.map((part) => part.text ?? part.transcript).join(''),
  }));
session.close();
console.log(JSON.stringify(report));
