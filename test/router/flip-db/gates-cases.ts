/** The gates of a flip over a real socket: what a late answer says is not taken for how they are now. */
import { once } from "node:events";
import { createServer } from "node:http";
import type { Server, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import t from "tap";
import type { Environment } from "../../../config/schema.ts";
import { Secret } from "../../../config/secret.ts";
import { nextTurn } from "../../../kit/clock.ts";
import { Gates } from "../../../router/flip-db/acts/gates.ts";

const lease = { lease: "one", holder: "flip-db r1", databases: ["app"], expiresInMs: 9, tookMs: 1 };
const open = {
  ...{ state: "open", reason: "nothing is paused", holder: null, expiresInMs: null },
  ...{ databases: [], waitingClients: 0, busy: [], pooler: null },
};

const answers: Readonly<Record<string, object>> = {
  "/pause": lease,
  "/renew": lease,
  "/resume": open,
  "/status": open,
};

/** A gate that answers at once, but for the first renewal, which is handed out. */
async function startGate(onFirst: (reply: ServerResponse) => void): Promise<Server> {
  let renewals = 0;
  const server = createServer((request, reply) => {
    request.resume();
    if (request.url === "/renew") renewals += 1;
    if (request.url === "/renew" && renewals === 1) onFirst(reply);
    else reply.end(JSON.stringify(answers[request.url ?? ""]));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}

t.test("a renewal that is answered after the release holds nobody", async (t) => {
  const { promise: renewed, resolve: onRenew } = Promise.withResolvers<ServerResponse>();
  const server = await startGate(onRenew);
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const gate = { url: { host: "127.0.0.1", port }, token: new Secret("secret") };
  const environment = {
    edgePoolers: [{ name: "app-01-edge", databases: ["app"], gate }],
    flip: { holdTtl: 60_000, holdDeadline: 60_000 },
  } as unknown as Environment;
  const gates = new Gates(environment);
  t.teardown(() => gates.close());
  const { signal } = new AbortController();
  await gates.hold("r1", signal);
  const late = await renewed;
  await gates.release("r1");
  late.end(JSON.stringify(lease));
  await once(late, "close");
  for (let turn = 0; turn < 20; turn += 1) await nextTurn();
  t.same(await gates.look(signal), [{ name: "app-01-edge", reached: true, pausedBy: null }]);
});
