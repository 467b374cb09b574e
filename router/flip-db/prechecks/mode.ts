/** Whether a flip can be seamless: every edge pooler can be paused, and is not paused now. */
import type { EdgePooler } from "../../../config/schema.ts";
import type { EdgePoolerView } from "../../cluster/view.ts";
import { need, overAll } from "./facts.ts";
import type { PrecheckFacts } from "./facts.ts";

type Check = (facts: PrecheckFacts) => string | undefined;

/** Why the environment rules out that a pause holds the clients of this edge pooler. */
function whyNeverHeld({ name, poolMode, gate }: EdgePooler): string | undefined {
  if (poolMode !== "transaction") return `edge pooler ${name} pools by ${poolMode}`;
  return gate === undefined ? `edge pooler ${name} has no gate` : undefined;
}

/** Why the clients of an edge pooler cannot be held by a pause; undefined when they can. */
export function whyNotHeld(facts: PrecheckFacts, edge: EdgePoolerView): string | undefined {
  const { name, declared } = edge;
  const never = whyNeverHeld(declared);
  if (never !== undefined) return never;
  const gate = facts.gates[name];
  if (gate?.state !== "known") return `the gate of ${name}: ${gate?.error ?? "not read"}`;
  const { state, reason, pooler } = gate.value;
  if (state === "unreachable" || pooler === null) return `the gate of ${name}: ${reason}`;
  const other = declared.databases.find(
    (database) => (pooler.poolModes[database] ?? "transaction") !== "transaction",
  );
  if (other === undefined) return undefined;
  return `edge pooler ${name} pools ${other} by ${pooler.poolModes[other]}`;
}

/** Gates that somebody holds already. */
export const gatesOpen: Check = ({ view, gates }) =>
  overAll(view.edgePoolers, ({ name, declared }) => {
    if (declared.gate === undefined) return undefined;
    const { state, reason } = need(gates[name], `the gate of ${name}`);
    return state === "open" ? undefined : `the gate of ${name} is ${state}: ${reason}`;
  });

export interface ModeChoice {
  readonly mode: "seamless" | "fast";
  /** Why a flip cannot be seamless; empty when it can. */
  readonly why: readonly string[];
}

/**
 * How the environment lets a flip treat clients, whatever its gates say now: for what is planned
 * without prechecks.
 */
export function declaredMode(edgePoolers: readonly EdgePooler[]): ModeChoice["mode"] {
  const isHeld = edgePoolers.every((edge) => whyNeverHeld(edge) === undefined);
  return isHeld && edgePoolers.length > 0 ? "seamless" : "fast";
}

/**
 * Decides how the flip treats clients. `auto` is seamless where every edge pooler is in transaction
 * mode behind a gate that answers; sessions that none of them holds do not change that.
 */
export function chooseMode(facts: PrecheckFacts, wanted: "auto" | "seamless" | "fast"): ModeChoice {
  const edges = facts.view.edgePoolers;
  const why =
    edges.length === 0
      ? ["no edge pooler is declared"]
      : edges.flatMap((edge) => whyNotHeld(facts, edge) ?? []);
  if (wanted !== "auto") return { mode: wanted, why };
  return { mode: why.length === 0 ? "seamless" : "fast", why };
}

/** Why the flip cannot be seamless. */
export const seamless: Check = (facts) => {
  const { why } = chooseMode(facts, "auto");
  return why.length === 0 ? undefined : why.join("; ");
};
