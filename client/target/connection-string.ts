/**
 * The two forms of a connection string: URIs and libpq's `keyword = value` (PostgreSQL manual,
 * 34.1.1). Reads the words that are ours out of them, and writes a URI for pg, which understands
 * neither several hosts nor the second form.
 */

export interface OneHost {
  readonly host: string;
  readonly port: number;
}

export interface ConnectionString {
  /** Keywords and values; lists as libpq writes them, with commas. */
  readonly words: ReadonlyMap<string, string>;
  /** The same string for pg. With one host a URI stays as it was written. */
  forPg(first: OneHost, hasSeveral: boolean): string;
}

/** Say more than pg can read; the first host stands for them. */
const listWords = new Set(["host", "port", "hostaddr"]);
const uri = /^((?:[a-z][a-z0-9+.-]*:)?\/\/)([^/?#]*)([^?#]*)(?:\?([^#]*))?(#.*)?$/is;
/** pg's own forms: `socket:/folder?db=name`, and `/folder name`. */
const socketForms: readonly RegExp[] = [/^socket:(?<folder>[^?]*)/i, /^(?<folder>\/(?!\/)\S*)/];

/**
 * Reads a connection string.
 * @throws TypeError where it has neither form, or one host has two ports; it shows nothing of it
 */
export function readConnectionString(text: string): ConnectionString {
  for (const form of socketForms) {
    const folder = form.exec(text)?.groups?.["folder"];
    if (folder !== undefined) {
      return { words: new Map([["host", decode(folder)]]), forPg: () => text };
    }
  }
  const parts = uri.exec(text);
  if (parts !== null) return readUri(text, parts);
  if (/^\s*[a-z_]+\s*=/i.test(text)) return readKeywords(text);
  throw new TypeError(
    "the connection string is neither a URI (postgresql://host/database) nor keywords and values (host=name dbname=database)",
  );
}

function readUri(text: string, parts: RegExpExecArray): ConnectionString {
  const [, scheme = "", authority = "", path = "", query = "", fragment = ""] = parts;
  const at = authority.lastIndexOf("@") + 1;
  if (at === 0 && (`${path}${fragment}`.includes("@") || /^[^=&]*@/.test(query))) {
    // What comes before would be taken for a host and a port, and be shown as such.
    throw new TypeError(
      "a connection URI has an @ behind its hosts: / ? # and @ of a user or a password are written %2F %3F %23 and %40",
    );
  }
  const [userinfo, hostList] = [authority.slice(0, at), authority.slice(at)];
  const pairs = query === "" ? [] : query.split("&");
  const words = new Map<string, string>();
  if (hostList !== "") {
    const hosts = hostList.split(",").map((one) => readHost(one));
    words.set("host", hosts.map(({ host }) => host).join(","));
    words.set("port", joinedPorts(hosts.map(({ port }) => port)));
  }
  // As in pg and libpq, what the query says stands above the rest.
  for (const pair of pairs)
    for (const [key, value] of new URLSearchParams(pair)) {
      if (value !== "") words.set(key, value);
    }
  return {
    words,
    forPg: (first, hasSeveral) => {
      if (!hasSeveral) return text;
      const kept = pairs.filter((pair) => ![...new URLSearchParams(pair).keys()].some(isList));
      const rest = kept.length === 0 ? "" : `?${kept.join("&")}`;
      return `${scheme}${userinfo}${authorityOf(first)}${path}${rest}${fragment}`;
    },
  };
}

const isList = (key: string): boolean => listWords.has(key);

/** No port at all is no list; one that is left out among others is an empty word. */
function joinedPorts(ports: readonly string[]): string {
  return ports.every((port) => port === "") ? "" : ports.join(",");
}

function readHost(text: string): { readonly host: string; readonly port: string } {
  const parts = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::(\d*))?$/.exec(text.trim());
  if (parts === null) {
    throw new TypeError(
      "a host of a connection URI is name, name:port, address:port or [IPv6 address]:port",
    );
  }
  const [, bracketed, plain = "", port = ""] = parts;
  return { host: bracketed ?? decode(plain), port };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new TypeError("a percent sign of the connection string begins no character");
  }
}

function authorityOf({ host, port }: OneHost): string {
  const name = host.includes(":") ? `[${host}]` : encodeURIComponent(host);
  return `${name}:${port}`;
}

function readKeywords(text: string): ConnectionString {
  const words = new Map<string, string>();
  const pair = /\s*([a-z_]+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|((?:[^\s'\\]|\\.)*))(?=\s|$)/giy;
  for (let end = 0; text.slice(end).trim() !== ""; end = pair.lastIndex) {
    const found = pair.exec(text);
    if (found === null) {
      throw new TypeError(
        `the connection string cannot be read after ${end} characters: write keyword=value or keyword='a value', with \\' and \\\\ for ' and \\`,
      );
    }
    const [, key = "", quoted, plain = ""] = found;
    words.set(key.toLowerCase(), (quoted ?? plain).replace(/\\(.)/gs, "$1"));
  }
  return { words, forPg: (first) => uriOf(words, first) };
}

const placed = new Set(["user", "password", "dbname", ...listWords]);

/** The URI that means the same to pg. */
function uriOf(words: ReadonlyMap<string, string>, first: OneHost): string {
  const user = words.get("user");
  const password = words.get("password");
  const secret = password === undefined ? "" : `:${encodeURIComponent(password)}`;
  const login =
    user === undefined && password === undefined
      ? ""
      : `${encodeURIComponent(user ?? "")}${secret}@`;
  const database = words.get("dbname");
  const others = [...words]
    .filter(([key]) => !placed.has(key))
    .map(([key, value]) => `${encodeURIComponent(key)}=${encodeURIComponent(value)}`);
  // pg decodes a path by decodeURI, which leaves these two as they are: they may not be escaped.
  const path =
    database === undefined ? "" : `/${encodeURI(database).replaceAll(/[?#]/g, encodeURIComponent)}`;
  const query = others.length === 0 ? "" : `?${others.join("&")}`;
  return `postgresql://${login}${authorityOf(first)}${path}${query}`;
}
