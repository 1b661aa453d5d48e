// The class on the runtime's own WebSocket, as in browsers: node openai_websocket.mjs BASE_URL FOLDER
//
// The key goes into a subprotocol. It dials wss only; NODE_EXTRA_CA_CERTS names the authority.
// FOLDER holds command.pcm and question.pcm, PCM16 mono at 24 kHz.
import OpenAI from 'openai';
import { OpenAIRealtimeWebSocket } from 'openai/realtime/websocket';
import { talk } from './talk.mjs';

const [baseURL, folder] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey: 'local' });
await talk(new OpenAIRealtimeWebSocket({ model: 'voiced' }, client), folder);
