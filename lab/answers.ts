/** Asks parts whether they are there: the first look at a program that was just started. */
import { once } from "node:events";
import { connect } from "node:net";
import type { Address } from "../kit/address.ts";
import { withDeadline } from "../kit/clock.ts";
import type { Part } from "./model.ts";

const askDeadlineMs = 1000;

/** True when the part takes connections on all its addresses, and Postgres takes logins. */
export async function partAnswers(part: Part): Promise<boolean> {
  const ask = part.kind === "postgres" ? postgresTakesLogins : isListening;
  const answers = await Promise.all(part.listens.map((one) => ask(one)));
  return answers.every(Boolean);
}

/** True when something accepts TCP connections there. */
async function isListening({ host, port }: Address): Promise<boolean> {
  return await exchange(host, port, "").catch(() => false);
}

/**
 * A start-up message that asks for a user answers with an authentication request (R), or with an
 * error (E) while Postgres starts up or shuts down. Frontend/Backend Protocol, 55.7 "StartupMessage".
 */
async function postgresTakesLogins({ host, port }: Address): Promise<boolean> {
  const words = Buffer.from("user\0postgres\0database\0postgres\0\0", "latin1");
  const message = Buffer.alloc(8 + words.length);
  message.writeInt32BE(message.length, 0);
  message.writeInt32BE(3 << 16, 4);
  words.copy(message, 8);
  return await exchange(host, port, message).catch(() => false);
}

async function exchange(host: string, port: number, message: string | Buffer): Promise<boolean> {
  return await withDeadline(`connection to ${host}:${port}`, askDeadlineMs, async (signal) => {
    const socket = connect({ host, port });
    signal.addEventListener("abort", () => socket.destroy(), { once: true });
    try {
      await once(socket, "connect");
      if (message.length === 0) return true;
      socket.write(message);
      const [first] = (await once(socket, "data")) as [Buffer];
      return first.toString("latin1", 0, 1) === "R";
    } finally {
      socket.on("error", () => undefined);
      socket.destroy();
    }
  });
}
