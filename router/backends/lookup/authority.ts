/**
 * Whether "there is no such name" comes from a server that has the zone (AA, RFC 1035, 4.1.1), which
 * c-ares does not tell: the same question once more, by hand. A name server that merely forwards, or
 * one of the wrong world, says it without.
 */
import { randomInt } from "node:crypto";
import { createSocket } from "node:dgram";
import { isIPv6 } from "node:net";
import { withDeadline } from "../../../kit/clock.ts";
import { dnsPort, readServer } from "../target-settings.ts";

const deadlineMs = 1000;
const headerBytes = 12;
const authoritativeBit = 0x04_00;
const responseBit = 0x80_00;
const nxdomain = 3;

/**
 * Asks `server` (as node:dns writes it) for an A record of `name`.
 * @returns whether it says NXDOMAIN as an authority; false too when it does not answer
 */
export async function deniesWithAuthority(
  name: string,
  server: string,
  signal: AbortSignal,
): Promise<boolean> {
  const { host, port } = readServer(server) ?? { host: server, port: dnsPort };
  const socket = createSocket(isIPv6(host) ? "udp6" : "udp4");
  const { promise: heard, resolve, reject } = Promise.withResolvers<boolean>();
  const id = randomInt(0x1_00_00);
  socket.on("error", reject);
  // Connected, it hears only whom it has asked.
  socket.connect(port, host, () => socket.send(question(id, name)));
  socket.on("message", (reply) => {
    if (reply.length < headerBytes || reply.readUInt16BE(0) !== id) return;
    const flags = reply.readUInt16BE(2);
    if ((flags & responseBit) === 0) return;
    resolve((flags & 0xf) === nxdomain && (flags & authoritativeBit) !== 0);
  });
  try {
    return await withDeadline(`ask ${server} for ${name}`, deadlineMs, () => heard, signal);
  } catch {
    return false;
  } finally {
    socket.close();
  }
}

/** A query for A and IN with recursion desired (RFC 1035, 4.1). */
function question(id: number, name: string): Buffer {
  const labels = name.split(".").map((one) => Buffer.from(one, "latin1"));
  const header = Buffer.from([id >> 8, id & 0xff, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
  const parts = labels.flatMap((one) => [Buffer.from([one.length]), one]);
  return Buffer.concat([header, ...parts, Buffer.from([0, 0, 1, 0, 1])]);
}
