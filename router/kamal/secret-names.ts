/**
 * What the secrets of the accessories are called in .kamal/secrets: one name where all who have a
 * secret of a kind have the same, one name each where they differ. Secrets are compared here and
 * never shown. Pure.
 */
import type { Environment } from "../../config/schema.ts";
import type { Secret } from "../../config/secret.ts";

/** Secrets that the environment has, and those of Postgres alone. */
export interface SecretNames {
  readonly login: string;
  readonly replicator: string;
  /** Of the admin of a member's node pooler. */
  readonly pooler: (member: string) => string;
  /** Of the admin of an edge pooler. */
  readonly edge: (edge: string) => string;
  /** The token of an edge pooler's pool-gate. */
  readonly gate: (edge: string) => string;
  /** The token of a resolver's node. */
  readonly resolver: (name: string) => string;
}

/** An entry of env.secret: the variable of the container, and the secret that it is taken from. */
export function secretAs(variable: string, secret: string): string {
  return variable === secret ? secret : `${variable}:${secret}`;
}

interface Held {
  readonly name: string;
  readonly secret: Secret | undefined;
}

/** The names of the secrets of one environment. */
export function secretNames({ members, edgePoolers, registry }: Environment): SecretNames {
  return {
    login: "SWITCHYARD_PASSWORD",
    replicator: "REPLICATOR_PASSWORD",
    pooler: named(
      "NODE_POOLER_PASSWORD",
      members.map(({ name, pooler }) => ({ name, secret: pooler.admin?.password })),
    ),
    edge: named(
      "EDGE_POOLER_PASSWORD",
      edgePoolers.map(({ name, admin }) => ({ name, secret: admin.password })),
    ),
    gate: named(
      "POOL_GATE_TOKEN",
      edgePoolers.map(({ name, gate }) => ({ name, secret: gate?.token })),
    ),
    resolver: named(
      "DNS_RESOLVER_TOKEN",
      (registry?.resolvers ?? []).map(({ name, node }) => ({ name, secret: node?.token })),
    ),
  };
}

function named(base: string, held: readonly Held[]): (name: string) => string {
  const texts = held.flatMap(({ secret }) => (secret === undefined ? [] : [secret.reveal()]));
  const isOne = new Set(texts).size <= 1;
  return (name) => (isOne ? base : `${base}_${name.toUpperCase().replaceAll("-", "_")}`);
}
