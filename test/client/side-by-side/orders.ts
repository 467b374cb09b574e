/** What a test tells a process that uses one library, and what that answers: a JSON line each. */
import type { Access, ColumnName } from "./columns.ts";

export type Order =
  | { readonly do: "use"; readonly column: ColumnName }
  /** Opens one for `access` under a name, as far as that library opens anything yet. */
  | { readonly do: "open"; readonly as: string; readonly access: Access }
  /** Writes `row` over a new connection. */
  | { readonly do: "write"; readonly as: string; readonly row: number }
  /** Writes row after row over the pool, several at a time, until told to stop. */
  | { readonly do: "load"; readonly as: string; readonly row: number }
  | { readonly do: "stop"; readonly as: string };

export interface Reply {
  readonly as: string;
  readonly row: number;
  /** The address of the server that took the row; undefined when it was not taken. */
  readonly where: string | undefined;
  /** What came instead: the code and the text of the error. */
  readonly error: string | undefined;
  readonly ms: number;
}

/** The row of the reply that says that a load has stopped. */
export const stopMark = -1;

/** Takes the number of the row; says which server took it. */
export const insert =
  "INSERT INTO written (n) VALUES ($1) RETURNING host(inet_server_addr()) AS at";
