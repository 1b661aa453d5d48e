// The same class without TLS: node openai_websocket_plain.mjs BASE_URL FOLDER
//
// Versions before 7 let onURL choose ws; since then the class refuses anything but wss.
// FOLDER holds command.pcm and question.pcm, PCM16 mono at 24 kHz.
import OpenAI from 'openai-6';
import { OpenAIRealtimeWebSocket } from 'openai-6/realtime/websocket';
import { talk } from './talk.mjs';

const [baseURL, folder] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey: 'local' });
const onURL = (url) => {
  url.protocol = 'ws:';
};
await talk(new OpenAIRealtimeWebSocket({ model: 'voiced', onURL }, client), folder);
