// Runs checks and prints what came of each as a line of JSON, for test_clients.py.

import { readFile } from 'node:fs/promises';

export const model = process.env.FORMWORK_MODEL;
export const text = 'Nina Okafor, 34, from Lisbon.';
export const messages = [{ role: 'user', content: text }];

/** Runs checks: what each is about (as docs/clients.md has it), and what throws unless it holds. */
export async function run(client, checks) {
  const manifest = new URL(`node_modules/${client}/package.json`, import.meta.url);
  const { version } = JSON.parse(await readFile(manifest, 'utf8'));
  for (const [what, check] of Object.entries(checks)) {
    const error = await check().then(() => null, (thrown) => thrown.stack ?? String(thrown));
    console.log(JSON.stringify({ client: `${client} (Node)`, version, what, error }));
  }
}
