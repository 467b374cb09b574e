/** The words of programs that are run on a host, and the reading of what they print. Pure. */

/** The variables of libpq for the keywords of a connection string. Manual, 34.15. */
const variables: Readonly<Record<string, string>> = {
  host: "PGHOST",
  hostaddr: "PGHOSTADDR",
  port: "PGPORT",
  user: "PGUSER",
  password: "PGPASSWORD",
  passfile: "PGPASSFILE",
  channel_binding: "PGCHANNELBINDING",
  service: "PGSERVICE",
  sslmode: "PGSSLMODE",
  sslcert: "PGSSLCERT",
  sslkey: "PGSSLKEY",
  sslrootcert: "PGSSLROOTCERT",
  sslcrl: "PGSSLCRL",
  sslsni: "PGSSLSNI",
  ssl_min_protocol_version: "PGSSLMINPROTOCOLVERSION",
  gssencmode: "PGGSSENCMODE",
  krbsrvname: "PGKRBSRVNAME",
  connect_timeout: "PGCONNECT_TIMEOUT",
};

/**
 * A connection string as environment variables, so that no password stands among the words of a
 * program. Of several hosts libpq takes the first that answers.
 * @returns null for an empty one, and for one in URI form
 */
export function conninfoVariables(conninfo: string): Record<string, string> | null {
  const pairs = [...conninfo.matchAll(/(\w+)\s*=\s*('(?:[^'\\]|\\.)*'|(?:[^\s'\\]|\\.)*)/g)];
  if (pairs.length === 0 || /^\s*postgres(ql)?:/.test(conninfo)) return null;
  const entries = pairs.flatMap(([, key = "", value = ""]) => {
    const name = variables[key];
    const plain = value.replaceAll(/^'|'$/g, "").replaceAll(/\\(.)/g, "$1");
    return name === undefined ? [] : [[name, plain] as const];
  });
  return { PGCONNECT_TIMEOUT: "3", ...Object.fromEntries(entries) };
}

/** Bytes that `df -Pk FOLDER` calls available, in its second line; null when it did not say. */
export function freeBytesOf(printed: string): number | null {
  const columns = printed.split("\n")[1]?.trim().split(/\s+/) ?? [];
  const available = Number(columns[3]);
  return columns.length >= 6 && Number.isInteger(available) ? available * 1024 : null;
}

/** No cluster ever gets that far. */
const absentHistory = "FFFFFFFF.history";

/**
 * A restore_command for a history file that does not exist, into a path of its own, run in the data
 * directory as Postgres does. Manual, 26.3.5.
 * @returns null when there is no command
 */
export function restoreWords(
  command: string,
  data: string,
  scratch: string,
): [string, ...string[]] | null {
  if (command.trim() === "") return null;
  const words: Readonly<Record<string, string>> = {
    "%f": absentHistory,
    "%p": scratch,
    "%r": "000000010000000000000001",
    "%%": "%",
  };
  const filled = command.replaceAll(/%[fpr%]/g, (one) => words[one] ?? one);
  return [
    "sh",
    "-c",
    `cd "$1" && ( ${filled}\n); code=$?; rm -f "$2"; exit $code`,
    "sh",
    data,
    scratch,
  ];
}
