/**
 * What a session has to be: the six values of target_session_attrs with the meaning that libpq gives
 * them (PostgreSQL manual, 34.1.2).
 */

/** What a server says of one session. */
export interface Role {
  /** `pg_is_in_recovery()`. */
  readonly inRecovery: boolean;
  /** `transaction_read_only` of a new transaction: on for every session of a standby. */
  readonly readOnly: boolean;
}

export type TargetSessionAttrs =
  | "any"
  | "read-write"
  | "read-only"
  | "primary"
  | "standby"
  | "prefer-standby";

/** One pass over all addresses. */
export interface RolePass {
  /** What this pass accepts, in words, such as "standby". */
  readonly wants: string;
  /** False where every session is accepted, so that nobody need ask. */
  readonly needsRole: boolean;
  accepts(role: Role): boolean;
}

export interface AttributesRow {
  /** Tried in turn: the next only after no address passed the one before. */
  readonly passes: readonly RolePass[];
  /** True where one server at a time fits, so that the last one known is the best guess. */
  readonly single: boolean;
}

const anything: RolePass = { wants: "any", needsRole: false, accepts: () => true };
const standby: RolePass = {
  wants: "standby",
  needsRole: true,
  accepts: ({ inRecovery }) => inRecovery,
};

const one = (wants: string, accepts: (role: Role) => boolean): readonly RolePass[] => [
  { wants, needsRole: true, accepts },
];

/** libpq's six values: what each accepts, pass by pass. */
export const targetSessionAttrs: Readonly<Record<TargetSessionAttrs, AttributesRow>> = {
  any: { passes: [anything], single: false },
  "read-write": {
    passes: one("read-write", ({ inRecovery, readOnly }) => !inRecovery && !readOnly),
    single: true,
  },
  "read-only": {
    passes: one("read-only", ({ inRecovery, readOnly }) => inRecovery || readOnly),
    single: false,
  },
  primary: { passes: one("primary", ({ inRecovery }) => !inRecovery), single: true },
  standby: { passes: [standby], single: false },
  "prefer-standby": { passes: [standby, anything], single: false },
};

/** Whether a word is one of the six values. */
export function isTargetSessionAttrs(word: string): word is TargetSessionAttrs {
  return Object.hasOwn(targetSessionAttrs, word);
}
