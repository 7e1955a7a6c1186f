import assert from 'node:assert/strict';
import OpenAI from 'openai';
import { zodResponseFormat } from 'openai/helpers/zod';
import { z } from 'zod';
import { messages, model, run } from './checks.mjs';

const client = new OpenAI({ maxRetries: 0 });
const Person = z.object({ name: z.string(), age: z.number().int(), city: z.string() });
const ask = { model, messages, temperature: 0, response_format: zodResponseFormat(Person, 'person') };

await run('openai', {
  '`chat.completions.create` with a JSON Schema': async () => {
    const completion = await client.chat.completions.create(ask);
    Person.parse(JSON.parse(completion.choices[0].message.content));
    assert.ok(completion.usage.completion_tokens > 0);
  },
  '`chat.completions.parse` with `zodResponseFormat`': async () => {
    const completion = await client.chat.completions.parse(ask);
    Person.parse(completion.choices[0].message.parsed);
  },
  '`chat.completions.stream` with `zodResponseFormat`': async () => {
    const stream = client.chat.completions.stream({ ...ask, stream_options: { include_usage: true } });
    let pieces = '';
    stream.on('content.delta', ({ delta }) => (pieces += delta));
    const completion = await stream.finalChatCompletion();
    assert.equal(pieces, completion.choices[0].message.content);
    Person.parse(completion.choices[0].message.parsed);
    assert.ok((await stream.totalUsage()).total_tokens > 0);
  },
});
