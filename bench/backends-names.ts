/**
 * The name server of bench/backends.ts, a process of its own: some addresses for each name, and
 * silence for those that it is told of.
 */
import { startScriptedDns } from "../test/support/scripted-dns.ts";
import type { Name } from "../test/support/scripted-dns.ts";

export interface NamesPlan {
  readonly count: number;
  /** Addresses of each. */
  readonly each: number;
}

/** From now on these names are not answered. */
export interface Silence {
  readonly silent: readonly string[];
}

/** What it says once it listens, and again after each silence that it was told of. */
export interface NamesReady {
  readonly server: string;
  readonly asked: number;
}

/** The name of the target `at`. */
export const nameOf = (at: number): string => `service-${at}.backends.example`;

const ttlSeconds = 5;

function addressesOf(at: number, each: number): Name {
  const A = Array.from({ length: each }, (_, host) => `10.${at >> 8}.${at & 255}.${host + 1}`);
  return { A, ttl: ttlSeconds };
}

async function serve({ count, each }: NamesPlan): Promise<void> {
  const dns = await startScriptedDns("127.54.4.1");
  for (let at = 0; at < count; at += 1) dns.names.set(nameOf(at), addressesOf(at, each));
  const tell = (): void => {
    process.send?.({ server: dns.server, asked: dns.asked() } satisfies NamesReady);
  };
  process.on("message", ({ silent }: Silence) => {
    for (const name of silent) dns.names.set(name, "silent");
    tell();
  });
  tell();
}

// Loaded by the bench too, for its words; only the child has a plan to wait for.
if (process.send !== undefined) process.once("message", (plan: NamesPlan) => void serve(plan));
