// Judges server frames as @openai/agents-realtime would: one JSON array [number, frame] a line on
// standard input, one [number, null or why it was refused] a line on standard output.
//
// A frame must be known to the parser, which otherwise demotes it to "generic" and so drops it,
// and the transport on top must handle it without an exception.
import { createInterface } from 'node:readline';
import { OpenAIRealtimeBase } from './node_modules/@openai/agents-realtime/dist/openaiRealtimeBase.mjs';
import {
  parseRealtimeEvent,
  realtimeServerEventSchema,
} from './node_modules/@openai/agents-realtime/dist/openaiRealtimeEvents.mjs';

class Transport extends OpenAIRealtimeBase {
  sendEvent() {} // what it would ask for next goes nowhere
  _cancelResponse() {}
  _interrupt() {}
}

function refusal(frame) {
  if (parseRealtimeEvent({ data: frame }).isGeneric) {
    const { error } = realtimeServerEventSchema.safeParse(JSON.parse(frame));
    return `dropped: ${error?.message ?? 'not JSON'}`;
  }
  const transport = new Transport();
  transport.on('error', () => {}); // an error event is a valid frame
  try {
    transport._onMessage({ data: frame });
  } catch (problem) {
    return `throws: ${problem.message}`;
  }
  return null;
}

for await (const line of createInterface({ input: process.stdin })) {
  const [number, frame] = JSON.parse(line);
  console.log(JSON.stringify([number, refusal(frame)]));
}
