/** What must be free on this machine before a lab of processes is made. */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer } from "node:net";
import { formatAddress } from "../../kit/address.ts";
import type { Address } from "../../kit/address.ts";
import { datagramsOf } from "../model.ts";
import type { LabModel } from "../model.ts";
import { LabUnavailableError } from "../place.ts";
import { processesOf } from "./processes.ts";

// sun_path holds 108 bytes with the final zero; HAProxy binds PATH.PID.tmp first.
const longestSocketPath = 107;
const socketSuffixLength = "/admin.sock.4194304.tmp".length;

/**
 * No process may stand in a part's place already: it would be taken for the part.
 * @throws LabUnavailableError
 */
export function checkProcesses(model: LabModel): void {
  for (const [part, seen] of processesOf(model.parts)) {
    const pids = seen.map((one) => one.pid).join(", ");
    if (pids === "") continue;
    throw new LabUnavailableError(
      `lab ${model.name} needs the place of ${part}, and there are processes of an earlier lab in it: end them (pid ${pids})`,
    );
  }
}

/**
 * Every socket must fit into a socket address.
 * @throws LabUnavailableError
 */
export function checkPaths(model: LabModel): void {
  for (const { folder } of model.parts) {
    if (Buffer.byteLength(folder) + socketSuffixLength <= longestSocketPath) continue;
    throw new LabUnavailableError(
      `${folder} is too long for a socket in it (${longestSocketPath} bytes in all): give the lab a shorter name, or set XDG_STATE_HOME to a shorter folder`,
    );
  }
}

/**
 * Every address of the lab must be free.
 * @throws LabUnavailableError naming the address
 */
export async function checkAddresses(model: LabModel): Promise<void> {
  const { parts } = model;
  await Promise.all([
    ...parts.flatMap(({ listens }) => listens).map((at) => claimed(model, at, "tcp", listen)),
    ...parts.flatMap(datagramsOf).map((at) => claimed(model, at, "udp", bind)),
  ]);
}

async function claimed(
  { name }: LabModel,
  address: Address,
  protocol: "tcp" | "udp",
  claim: (address: Address) => Promise<void>,
): Promise<void> {
  try {
    await claim(address);
  } catch (cause) {
    const { code = "" } = cause as NodeJS.ErrnoException;
    const why = code === "EADDRINUSE" ? "something else listens there" : code;
    const look = `ss -l${protocol === "tcp" ? "t" : "u"}np 'sport = :${address.port}'`;
    throw new LabUnavailableError(
      `lab ${name} needs ${formatAddress(address)}, and it cannot have it: ${why} (see ${look})`,
      { cause },
    );
  }
}

async function listen({ host, port }: Address): Promise<void> {
  const server = createServer();
  server.listen({ host, port });
  try {
    await once(server, "listening");
  } finally {
    server.close();
  }
}

async function bind({ host, port }: Address): Promise<void> {
  const socket = createSocket("udp4");
  socket.bind({ address: host, port });
  try {
    await once(socket, "listening");
  } finally {
    socket.close();
  }
}
