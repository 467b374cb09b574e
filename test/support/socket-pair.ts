/** Two ends of one real connection, for tests of what reads and writes a socket. */
import { once } from "node:events";
import { connect, createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import type { Test } from "tap";

export interface SocketPair {
  /** The end that the test hands out, paused. */
  readonly near: Socket;
  /** The other end; what comes there is for the test to read. */
  readonly far: Socket;
}

/** Connects both ends; they are closed at the end of the test. */
export async function socketPair(t: Pick<Test, "teardown">): Promise<SocketPair> {
  const server = createServer({ allowHalfOpen: true });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const accepted = once(server, "connection");
  const near = connect((server.address() as AddressInfo).port, "127.0.0.1");
  await once(near, "connect");
  const [far] = (await accepted) as [Socket];
  server.close();
  far.on("error", () => undefined);
  t.teardown(() => {
    near.destroy();
    far.destroy();
  });
  near.pause();
  return { near, far };
}
