/**
 * The rows of the table that ask for one write over a new connection: what the name says, and what
 * changes while the answer is awaited.
 */
import { noAnswer } from "../../support/fake-dns.ts";
import { addresses } from "./peers.ts";
import type { Peers } from "./peers.ts";

const { primary, standby, mute, blackHole, slow, refusing } = addresses;

/** What the name server says for each name; a change is seen by the next question. */
export type Names = Record<string, string | readonly string[]>;

export interface Scenario {
  /** The first cell of its row in docs/client.md. */
  readonly row: string;
  /** What the libraries are given as the host. */
  readonly host: string;
  /** What the name server says, at first. */
  readonly names: Names;
  /** What it says once each library has written one row; without it there is no such first row. */
  readonly afterFirst?: Names;
  /** What changes as soon as these columns have given their answer. */
  readonly meanwhile?: {
    readonly after: readonly string[];
    readonly change: (peers: Peers, names: Names) => void;
  };
  /** What the error of ours has to name. */
  readonly named?: readonly string[];
  /** A role that none of them has the password of. */
  readonly wrongPassword?: boolean;
  /** One of them waits there for its timeout. */
  readonly isLong?: boolean;
}

export const scenarios: readonly Scenario[] = [
  {
    row: "the standby's address comes first",
    host: "standby-first.example",
    names: { "standby-first.example": [standby, primary] },
  },
  {
    row: "the standby's host comes first, two hosts given",
    host: "one.example,other.example",
    names: { "one.example": standby, "other.example": primary },
  },
  {
    row: "the first address refuses",
    host: "refused.example",
    names: { "refused.example": [refusing, primary] },
  },
  {
    row: "the first address is a black hole",
    host: "black-hole.example",
    names: { "black-hole.example": [blackHole, primary] },
    isLong: true,
  },
  {
    row: "the first address connects and then says nothing",
    host: "mute.example",
    names: { "mute.example": [mute, primary] },
    isLong: true,
  },
  {
    row: "the primary is a second away, the standby answers at once",
    host: "slow.example",
    names: { "slow.example": [slow, standby] },
    meanwhile: { after: ["pg"], change: (peers) => peers.wakeSlow() },
  },
  {
    row: "no address is alive: one refuses, the other is a black hole",
    host: "dead.example",
    names: { "dead.example": [refusing, blackHole] },
    named: [refusing, blackHole],
    isLong: true,
  },
  {
    row: "the name server stops answering after the first connection",
    host: "down.example",
    names: { "down.example": primary },
    afterFirst: { "down.example": noAnswer },
    isLong: true,
  },
  {
    row: "the name has the old primary, and the new one a moment later",
    host: "old-name.example",
    names: { "old-name.example": standby },
    meanwhile: {
      after: ["psql (libpq)", "pg", "postgres.js"],
      change: (_peers, names) => Object.assign(names, { "old-name.example": primary }),
    },
  },
  {
    row: "the password is wrong",
    host: "both.example",
    names: { "both.example": [primary, standby] },
    wrongPassword: true,
  },
];
