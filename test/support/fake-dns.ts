/**
 * A DNS server on a real socket that answers A questions for the names it is given, and can be made
 * to fail: NXDOMAIN for everything, or silence. RFC 1035, section 4.
 */
import { createSocket } from "node:dgram";

export interface FakeDns {
  mode: "answer" | "nxdomain" | "silent";
  /** Questions since the start. */
  readonly asked: () => number;
  readonly stop: () => Promise<void>;
}

const headerBytes = 12;

/** Starts it on `host`, port 53; `names` maps a name to an IPv4 address. */
export async function startFakeDns(
  host: string,
  names: Readonly<Record<string, string>>,
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
    const address = server.mode === "answer" && type === 1 ? names[name] : undefined;
    const header = Buffer.from(query.subarray(0, headerBytes));
    header.writeUInt16BE(server.mode === "nxdomain" ? 0x81_83 : 0x81_80, 2);
    header.writeUInt16BE(1, 4);
    header.writeUInt16BE(address === undefined ? 0 : 1, 6);
    header.writeUInt32BE(0, 8);
    const question = query.subarray(headerBytes, end);
    const record =
      address === undefined
        ? Buffer.alloc(0)
        : Buffer.from([
            0xc0,
            headerBytes,
            0,
            1,
            0,
            1,
            0,
            0,
            0,
            1,
            0,
            4,
            ...address.split(".").map(Number),
          ]);
    socket.send(Buffer.concat([header, question, record]), from.port, from.address);
  });
  await new Promise<void>((resolve, reject) => {
    socket.once("error", reject);
    socket.bind(53, host, resolve);
  });
  return server;
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
