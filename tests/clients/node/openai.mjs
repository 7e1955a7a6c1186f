import assert from 'node:assert/strict';
import OpenAI from 'openai';
import { zodFunction, zodResponseFormat } from 'openai/helpers/zod';
import { z } from 'zod';
import { messages, model, run } from './checks.mjs';

const client = new OpenAI({ maxRetries: 0 });
const Person = z.object({ name: z.string(), age: z.number().int(), city: z.string() });
const ask = { model, messages, temperature: 0, response_format: zodResponseFormat(Person, 'person') };
const ask_tool = { name: 'save', description: 'Saves a person.', parameters: Person };
const { response_format: _, ...plain } = ask;
const called = { ...plain, tools: [zodFunction(ask_tool)], tool_choice: 'required' };

/** Runs a named function, which ends such a run, and returns the tokens of all turns. */
async function runTools(options) {
  const saved = [];
  const save = zodFunction({ ...ask_tool, function: (person) => saved.push(person) && 'saved' });
  const tool_choice = { type: 'function', function: { name: 'save' } };
  const runner = client.chat.completions.runTools({
    ...plain,
    ...options,
    tools: [save],
    tool_choice,
    ...(options.stream && { stream_options: { include_usage: true } }),
  });
  assert.equal(await runner.finalFunctionToolCallResult(), 'saved');
  saved.forEach((person) => Person.parse(person));
  assert.equal(saved.length, 1);
  return (await runner.totalUsage()).total_tokens;
}

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
  '`chat.completions.parse` with `zodFunction`': async () => {
    const completion = await client.chat.completions.parse(called);
    const { finish_reason, message } = completion.choices[0];
    assert.equal(finish_reason, 'tool_calls');
    assert.equal(message.content, null);
    Person.parse(message.tool_calls[0].function.parsed_arguments);
  },
  '`chat.completions.stream` with `zodFunction`': async () => {
    const stream = client.chat.completions.stream(called);
    const done = [];
    stream.on('tool_calls.function.arguments.done', (event) => done.push(event));
    const { message } = (await stream.finalChatCompletion()).choices[0];
    assert.deepEqual(done.map(({ arguments: text }) => text), message.tool_calls.map((call) => call.function.arguments));
    Person.parse(message.tool_calls[0].function.parsed_arguments);
  },
  '`chat.completions.runTools`': async () => {
    assert.ok((await runTools({})) > 0);
  },
  '`chat.completions.runTools`, streamed': async () => {
    assert.ok((await runTools({ stream: true })) > 0);
  },
});
