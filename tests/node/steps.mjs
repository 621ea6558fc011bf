// A script is driven line by line: each line of its input is a step as JSON, each line of its output what
// came of it: {"ok": …} or {"error": {"name", "code", "error"}}.
import { createInterface } from "node:readline";
import { webcrypto } from "node:crypto";

globalThis.crypto ??= webcrypto; // Node.js 18 has it, under another name

export async function take(steps) {
  for await (const line of createInterface({ input: process.stdin })) {
    const { step, ...given } = JSON.parse(line);
    let said;
    try {
      said = { ok: await steps[step](given) };
    } catch (error) {
      const cause = error.cause ?? {};
      said = { error: { name: error.name, code: error.code, error: error.error, cause: cause.message, text: error.message } };
    }
    process.stdout.write(`${JSON.stringify(said)}\n`);
  }
}
