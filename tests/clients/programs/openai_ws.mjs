// The class on npm's ws of the openai package: node openai_ws.mjs BASE_URL FOLDER
//
// It dials wss whatever BASE_URL says; NODE_EXTRA_CA_CERTS names the authority to trust.
// FOLDER holds command.pcm and question.pcm, PCM16 mono at 24 kHz.
import OpenAI from 'openai';
import { OpenAIRealtimeWS } from 'openai/realtime/ws';
import { talk } from './talk.mjs';

const [baseURL, folder] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey: 'local' });
await talk(new OpenAIRealtimeWS({ model: 'voiced' }, client), folder);
