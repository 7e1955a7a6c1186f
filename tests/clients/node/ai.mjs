import assert from 'node:assert/strict';
import { createOpenAI } from '@ai-sdk/openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { generateObject, generateText, stepCountIs, streamObject, streamText, tool } from 'ai';
import { z } from 'zod';
import { model, run, text } from './checks.mjs';

const ask = { prompt: text, temperature: 0 };

const Person = z.object({ name: z.string(), age: z.number().int(), city: z.string() });
const settings = { baseURL: process.env.OPENAI_BASE_URL, apiKey: process.env.OPENAI_API_KEY };
const official = createOpenAI(settings).chat(model);
const compatible = createOpenAICompatible({
  ...settings,
  name: 'formwork',
  supportsStructuredOutputs: true,
  includeUsage: true,
})(model);

let saved = [];
const save = tool({
  description: 'Saves a person.',
  inputSchema: Person,
  execute: async (person) => (saved.push(person), 'saved'),
});
const called = { ...ask, model: compatible, tools: { save }, toolChoice: 'required' };

await run('ai', {
  '`generateObject` through `@ai-sdk/openai` (`.chat`)': async () => {
    const { object, usage } = await generateObject({ ...ask, model: official, schema: Person });
    Person.parse(object);
    assert.ok(usage.outputTokens > 0);
  },
  '`generateObject` through `@ai-sdk/openai-compatible`': async () => {
    Person.parse((await generateObject({ ...ask, model: compatible, schema: Person })).object);
  },
  '`generateObject` with an enum': async () => {
    const options = { ...ask, model: compatible, output: 'enum', enum: ['person', 'order'] };
    assert.ok(options.enum.includes((await generateObject(options)).object));
  },
  '`streamObject`': async () => {
    const stream = streamObject({ ...ask, model: compatible, schema: Person });
    const partial = [];
    for await (const object of stream.partialObjectStream) partial.push(object);
    assert.deepEqual(partial.at(-1), Person.parse(await stream.object));
    assert.ok((await stream.usage).outputTokens > 0);
  },
  '`generateText` with a `tool`': async () => {
    saved = [];
    const { toolResults } = await generateText(called);
    assert.deepEqual(toolResults.map(({ output }) => output), saved.map(() => 'saved'));
    assert.ok(saved.map((person) => Person.parse(person)).length > 0);
  },
  '`generateText` in several steps': async () => {
    saved = [];
    const { steps } = await generateText({ ...called, stopWhen: stepCountIs(2) });
    assert.equal(steps.length, 2);
    assert.ok(saved.map((person) => Person.parse(person)).length > 1);
  },
  '`streamText` with a `tool`': async () => {
    saved = [];
    const stream = streamText(called);
    const kinds = [];
    for await (const part of stream.fullStream) kinds.push(part.type);
    for (const kind of ['tool-input-start', 'tool-input-delta', 'tool-call', 'tool-result']) {
      assert.ok(kinds.includes(kind), kind);
    }
    assert.ok(saved.map((person) => Person.parse(person)).length > 0);
  },
});
