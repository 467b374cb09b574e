/** A server of a router as the Runtime API's client shows it, for a test to change. */
import type { ServerView } from "../../router/haproxy/runtime/servers.ts";

/** A server that is up, checked and idle; `name` is `backend/server`. */
export function serverView(name: string, changes: Partial<ServerView> = {}): ServerView {
  const [backend = "", server = ""] = name.split("/");
  return {
    backend,
    server,
    host: "10.0.0.1",
    port: 6432,
    state: "up",
    status: "UP",
    admin: [],
    tracks: undefined,
    backup: false,
    checked: true,
    check: "L7OK/200 in 1ms",
    secondsSinceChange: 300,
    sessions: 0,
    queued: 0,
    weight: 1,
    maxConnections: undefined,
    ...changes,
  };
}
