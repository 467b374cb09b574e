/** Asks parts whether they are there: the first look at a program that was just started. */
import type { Address } from "../../kit/address.ts";
import { formatAddress } from "../../kit/address.ts";
import { knock } from "../../kit/knock.ts";
import type { Part, PartKind } from "../model.ts";

const askDeadlineMs = 1000;

type Look = (address: Address) => Promise<boolean>;

const looks: Readonly<Partial<Record<PartKind, Look>>> = {
  postgres: postgresTakesLogins,
  monitor: postgresTakesLogins,
  registry: isReady,
};

/** True when the part takes connections on all its addresses, and work where it says when it can. */
export async function partAnswers(part: Part): Promise<boolean> {
  const look = looks[part.kind] ?? isListening;
  const answers = await Promise.all(part.listens.map((one) => look(one)));
  return answers.every(Boolean);
}

/** True when something accepts TCP connections there. */
async function isListening(address: Address): Promise<boolean> {
  return (await ask(address)) !== undefined;
}

/** True when it answers GET /readyz with 200: a registry listens before its store is open. */
async function isReady(address: Address): Promise<boolean> {
  const request = Buffer.from("GET /readyz HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n");
  return (await ask(address, request))?.toString("latin1", 0, 12) === "HTTP/1.1 200";
}

/**
 * A start-up message that asks for a user answers with an authentication request (R), or with an
 * error (E) while Postgres starts up or shuts down. Frontend/Backend Protocol, 55.7 "StartupMessage".
 */
async function postgresTakesLogins(address: Address): Promise<boolean> {
  const words = Buffer.from("user\0postgres\0database\0postgres\0\0", "latin1");
  const message = Buffer.alloc(8 + words.length);
  message.writeInt32BE(message.length, 0);
  message.writeInt32BE(3 << 16, 4);
  words.copy(message, 8);
  return (await ask(address, message))?.toString("latin1", 0, 1) === "R";
}

/** What is answered there; undefined when nothing is. */
async function ask(address: Address, say?: Buffer): Promise<Buffer | undefined> {
  return await knock(address, {
    what: `connection to ${formatAddress(address)}`,
    deadlineMs: askDeadlineMs,
    ...(say === undefined ? {} : { say }),
  }).catch(() => undefined);
}
