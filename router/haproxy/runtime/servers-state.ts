/**
 * `show servers state`: what HAProxy knows of each server, with its flags. Columns are found by the
 * header's names. HAProxy Management Guide, "show servers state".
 */
const adminFlags = [
  [1, "maint"],
  [2, "maint-tracked"],
  [8, "drain"],
  [16, "drain-tracked"],
  [32, "maint-dns"],
  [64, "maint-fqdn"],
] as const;
export type AdminFlag = (typeof adminFlags)[number][1];

export interface ServerStateRow {
  readonly backend: string;
  readonly server: string;
  readonly address: string;
  readonly port: number;
  readonly operational: "stopped" | "starting" | "running" | "stopping";
  /** Without CMAINT (4), which only says that `maint` came from the configuration. */
  readonly admin: readonly AdminFlag[];
  readonly weight: number;
  readonly secondsSinceChange: number;
  /** True when checks are configured and enabled. */
  readonly checked: boolean;
}

const operational = ["stopped", "starting", "running", "stopping"] as const;
const checkConfiguredAndEnabled = 2 | 4;

/**
 * Parses the answer of `show servers state`.
 * @throws TypeError for a format version that is not 1, a missing column or a line cut short
 */
export function parseServersState(text: string): ServerStateRow[] {
  const [version, header = "", ...lines] = text.split("\n");
  if (version !== "1") throw new TypeError(`show servers state: format ${version}, expected 1`);
  const names = header.replace(/^# /, "").split(" ");
  const columns: Columns = new Map(names.map((name, index) => [name, index]));
  return lines.filter((line) => line !== "").map((line) => parseRow(columns, line.split(" ")));
}

/** Where the column of a name stands. */
type Columns = ReadonlyMap<string, number>;

function parseRow(columns: Columns, words: readonly string[]): ServerStateRow {
  if (words.length !== columns.size) {
    throw new TypeError(
      `show servers state: a line has ${words.length} of ${columns.size} columns`,
    );
  }
  const text = (name: string): string => {
    const value = words[columns.get(name) ?? words.length];
    if (value === undefined) throw new TypeError(`show servers state: no column ${name}`);
    return value;
  };
  const number = (name: string): number => {
    const value = Number(text(name));
    if (!Number.isInteger(value)) {
      throw new TypeError(`show servers state: ${name} is ${JSON.stringify(text(name))}`);
    }
    return value;
  };
  const state = operational[number("srv_op_state")];
  if (state === undefined) throw new TypeError("show servers state: unknown srv_op_state");
  return {
    backend: text("be_name"),
    server: text("srv_name"),
    address: text("srv_addr"),
    port: number("srv_port"),
    operational: state,
    admin: decodeAdmin(number("srv_admin_state")),
    weight: number("srv_uweight"),
    secondsSinceChange: number("srv_time_since_last_change"),
    checked: (number("srv_check_state") & checkConfiguredAndEnabled) === checkConfiguredAndEnabled,
  };
}

/** The names of the bits of srv_admin_state. */
export function decodeAdmin(bits: number): AdminFlag[] {
  return adminFlags.filter(([bit]) => (bits & bit) !== 0).map(([, name]) => name);
}
