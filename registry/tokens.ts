/**
 * Who asks: bearer tokens (RFC 6750, 2.1), which the store knows by their SHA-256 only. A node's token
 * is right for that node alone. What a node's token is, is remembered for a while, because thousands
 * of them poll; a revocation is heard of at once.
 */
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import type { Clock } from "../kit/clock.ts";
import { RequestProblemError } from "./problem.ts";
import type { RegistryStore, StoredNode } from "./store/store.ts";

/** A new token with 256 random bits; it says what it is for. */
export function makeToken(kind: "admin" | "node"): string {
  return `swy-${kind}-${randomBytes(32).toString("base64url")}`;
}

/** What the store keeps of a token: SHA-256 in hexadecimal digits. */
export function hashToken(token: string): string {
  return createHash("sha256").update(token, "utf8").digest("hex");
}

const longestToken = 256;

/**
 * The token of an Authorization header.
 * @throws RequestProblemError 401, in the published titles
 */
function bearerToken(header: string | undefined): string {
  if (header === undefined || header === "") {
    const detail = "Authorization: Bearer TOKEN is needed here";
    throw new RequestProblemError(401, "Missing Authorization", detail);
  }
  const token = /^bearer +(\S+) *$/i.exec(header)?.[1];
  if (token === undefined || token.length > longestToken) {
    const detail = "the Authorization header is no Bearer token of 1 to 256 characters";
    throw new RequestProblemError(401, "Invalid Authorization", detail);
  }
  return token;
}

const unknownToken = (): RequestProblemError =>
  new RequestProblemError(401, "Invalid Token", "this token gives no right to this");

interface Known {
  readonly hash: Buffer;
  /** On the clock; from then on the store is asked again. */
  readonly until: number;
}

interface Read {
  readonly id: number;
  /** Something was told of the node since it began. */
  isOld: boolean;
}

/** A revocation that the bus has lost counts after this long (ms). */
const rememberedMs = 10_000;
const nobody = Buffer.alloc(32);

/** Whose tokens are right. Its methods reject with StoreError too. */
export class Tokens {
  readonly #store: Pick<RegistryStore, "node" | "isAdminToken">;
  readonly #clock: Clock;
  readonly #known = new Map<number, Known>();
  /** The reads under way. */
  readonly #reads = new Set<Read>();

  constructor(store: Pick<RegistryStore, "node" | "isAdminToken">, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  /** @throws RequestProblemError 401 unless the header has an admin token */
  async admin(header: string | undefined): Promise<void> {
    if (!(await this.#store.isAdminToken(hashToken(bearerToken(header))))) throw unknownToken();
  }

  /**
   * Returns for the token of that node. Who has none learns nothing about which nodes there are; an
   * admin learns that there is none (404), and that this path is the node's own (403).
   * @throws RequestProblemError 401, 403, 404
   */
  async node(header: string | undefined, id: number): Promise<void> {
    const token = bearerToken(header);
    const hash = Buffer.from(hashToken(token), "hex");
    const known = await this.#hashOf(id);
    // Against nobody's hash too, so that the time is the same.
    if (timingSafeEqual(hash, known ?? nobody) && known !== undefined) return;
    if (!(await this.#store.isAdminToken(hashToken(token)))) throw unknownToken();
    if ((await this.#store.node(id)) === undefined) {
      throw new RequestProblemError(404, "Node Not Found", `there is no node ${id}`);
    }
    const detail = `this path takes the token of node ${id} alone`;
    throw new RequestProblemError(403, "Not This Node", detail);
  }

  /** To be called when a node was revoked or added. */
  forget(id: number): void {
    this.#known.delete(id);
    for (const read of this.#reads) if (read.id === id) read.isOld = true;
  }

  async #hashOf(id: number): Promise<Buffer | undefined> {
    for (;;) {
      const now = this.#clock.monotonic();
      const known = this.#known.get(id);
      if (known !== undefined && known.until > now) return known.hash;
      this.#known.delete(id);
      const read: Read = { id, isOld: false };
      this.#reads.add(read);
      let node: StoredNode | undefined;
      try {
        node = await this.#store.node(id);
      } finally {
        this.#reads.delete(read);
      }
      // A read that began before a revocation may show what was before it.
      if (read.isOld) continue;
      if (node === undefined || node.revoked) return undefined;
      const hash = Buffer.from(node.tokenHash, "hex");
      this.#known.set(id, { hash, until: now + rememberedMs });
      return hash;
    }
  }
}
