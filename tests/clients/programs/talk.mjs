// What both realtime classes of the openai package for Node are tried with: a typed turn, a spoken
// command that calls a function of this program, and a question that interrupts the answer.
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

const BYTES_PER_MS = 48; // PCM16 mono at 24 kHz
const PORTION_MS = 40;
const SET_LIGHT = {
  type: 'function',
  name: 'set_light',
  description: 'Switch the lights of a room',
  parameters: {
    type: 'object',
    properties: { room: { type: 'string' }, state: { type: 'string' } },
  },
};
const OUTPUT =
  'The lamps above the stove are burning now, and the one over the table is dimmed to half.';

// Streams what is said, and silence in between, at the pace of talking.
class Microphone {
  said = Buffer.alloc(0);
  on = true;

  async run(rt) {
    const size = PORTION_MS * BYTES_PER_MS;
    for (let due = performance.now(); this.on; due += PORTION_MS) {
      const portion = Buffer.alloc(size);
      this.said.copy(portion);
      this.said = this.said.subarray(size);
      rt.send({ type: 'input_audio_buffer.append', audio: portion.toString('base64') });
      await sleep(Math.max(0, due + PORTION_MS - performance.now()));
    }
  }
}

// The server's events, in order.
class Inbox {
  #events = [];
  #arrived = () => {};

  constructor(rt) {
    rt.on('error', (error) => {
      throw error; // nobody catches it: the program ends
    });
    rt.on('event', (event) => {
      this.#events.push(event);
      this.#arrived();
    });
  }

  async next() {
    while (this.#events.length === 0) {
      await new Promise((resolve) => (this.#arrived = resolve));
    }
    return this.#events.shift();
  }

  // Read until there was one event of each type; the first of each.
  async until(...types) {
    const seen = {};
    while (types.some((type) => !(type in seen))) {
      const event = await this.next();
      seen[event.type] ??= event;
    }
    return seen;
  }

  async response() {
    return (await this.until('response.done'))['response.done'].response;
  }
}

const said = (response) =>
  response.output[0].content.map((part) => part.transcript ?? part.text).join('');

export async function talk(rt, folder) {
  const inbox = new Inbox(rt);
  const report = {};
  await inbox.until('session.created');
  rt.send({
    type: 'session.update',
    session: {
      type: 'realtime',
      tools: [SET_LIGHT],
      audio: { input: { transcription: { model: 'whisper-1' } } },
    },
  });
  await inbox.until('session.updated');

  const question = [{ type: 'input_text', text: 'what time is it' }];
  rt.send({
    type: 'conversation.item.create',
    item: { type: 'message', role: 'user', content: question },
  });
  rt.send({ type: 'response.create', response: { output_modalities: ['text'] } });
  report.typed = said(await inbox.response());

  const microphone = new Microphone();
  const streaming = microphone.run(rt);
  microphone.said = await readFile(`${folder}/command.pcm`);
  const heard = 'conversation.item.input_audio_transcription.completed';
  let seen = await inbox.until(heard, 'response.done');
  const call = seen['response.done'].response.output[0];
  report.heard = seen[heard].transcript;
  report.called = { name: call.name, ...JSON.parse(call.arguments) };

  rt.send({
    type: 'conversation.item.create',
    item: { type: 'function_call_output', call_id: call.call_id, output: OUTPUT },
  });
  rt.send({ type: 'response.create' });
  const audio = (await inbox.until('response.output_audio.delta'))['response.output_audio.delta'];
  const playingSince = performance.now();
  microphone.said = await readFile(`${folder}/question.pcm`);
  await inbox.until('input_audio_buffer.speech_started');
  rt.send({
    type: 'conversation.item.truncate',
    item_id: audio.item_id,
    content_index: 0,
    audio_end_ms: Math.floor(performance.now() - playingSince),
  });
  seen = await inbox.until('response.done', 'conversation.item.truncated');
  const interrupted = seen['response.done'].response;
  report.interrupted = interrupted.status_details.reason;
  report.answer = said(interrupted);
  report.after = said(await inbox.response());
  microphone.on = false;
  await streaming;
  rt.close();
  console.log(JSON.stringify(report));
}
