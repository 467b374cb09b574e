/**
 * A DNS server on a real socket that answers A questions for the names it is given, and can be made
 * to fail: NXDOMAIN for everything, or silence for all or for one name. RFC 1035, section 4.
 */
import { createSocket } from "node:dgram";

export interface FakeDns {
  mode: "answer" | "nxdomain" | "silent";
  /** Questions since the start. */
  readonly asked: () => number;
  readonly stop: () => Promise<void>;
}

const headerBytes = 12;
/** In the place of addresses: questions for this name get no answer at all. */
export const noAnswer = "no answer";

/**
 * Starts it on `host`, port 53. `names` maps a name to an IPv4 address or to several, in the order in
 * which they are answered, or to `noAnswer`; it is looked at anew for each question.
 */
export async function startFakeDns(
  host: string,
  names: Readonly<Record<string, string | readonly string[]>>,
): Promise<FakeDns> {
  const socket = createSocket("udp4");
  let asked = 0;
  const server: FakeDns = {
    mode: "answer",
    asked: () => asked,
    stop: () => new Promise((resolve) => socket.close(() => resolve())),
  };
  socket.on("message", (query, from) => {
    asked += 1;
    if (server.mode === "silent") return;
    const { name, type, end } = readQuestion(query);
    const known = names[name] ?? [];
    if (known === noAnswer) return;
    const addresses = server.mode === "answer" && type === 1 ? [known].flat() : [];
    const header = Buffer.from(query.subarray(0, headerBytes));
    header.writeUInt16BE(server.mode === "nxdomain" ? 0x81_83 : 0x81_80, 2);
    header.writeUInt16BE(1, 4);
    header.writeUInt16BE(addresses.length, 6);
    header.writeUInt32BE(0, 8);
    const question = query.subarray(headerBytes, end);
    const records = Buffer.concat(addresses.map(addressRecord));
    socket.send(Buffer.concat([header, question, records]), from.port, from.address);
  });
  await new Promise<void>((resolve, reject) => {
    socket.once("error", reject);
    socket.bind(53, host, resolve);
  });
  return server;
}

/** One A record of the name asked for, to be kept for one second. RFC 1035, sections 3.4.1 and 4.1.4. */
function addressRecord(address: string): Buffer {
  const [toTheQuestion, type, internet, ttl, length] = [
    [0xc0, headerBytes],
    [0, 1],
    [0, 1],
    [0, 0, 0, 1],
    [0, 4],
  ];
  const octets = address.split(".").map(Number);
  return Buffer.from([toTheQuestion, type, internet, ttl, length, octets].flat());
}

function readQuestion(query: Buffer): { name: string; type: number; end: number } {
  const labels: string[] = [];
  let at = headerBytes;
  for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
    labels.push(query.toString("latin1", at + 1, at + 1 + length));
    at += 1 + length;
  }
  return { name: labels.join(".").toLowerCase(), type: query.readUInt16BE(at + 1), end: at + 5 };
}
