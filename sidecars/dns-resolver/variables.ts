/** The environment variables that dns-resolver reads. Pure. */
import { z } from "zod";
import { choice, hostValue, ipAddressValue, pathValue, wholeNumber } from "../../config/values.ts";
import { logLevelRow, variableRow as row } from "../../config/variables.ts";
import type { VariablesOf } from "../../config/variables.ts";
import { dnsPort, resolverStatusPort } from "./contract.ts";

const text = z.string().min(1);
const secretText = z.string().min(1, "expected a token");

/** A whole number, written in digits. */
function digits(limits: { min: number; max: number }) {
  const { error, number } = { error: "expected a whole number", number: wholeNumber(limits) };
  return z
    .string()
    .regex(/^[0-9]{1,15}$/, error)
    .transform(Number)
    .pipe(number);
}

const rows = {
  DNS_RESOLVER_LISTEN: row(text, "where to answer, UDP and TCP each; a comma list", {
    fallback: `127.0.0.1:${dnsPort}`,
  }),
  DNS_RESOLVER_ZONE: row(hostValue, "the zone", { fallback: "temps.local" }),
  DNS_RESOLVER_ZONE_ALIASES: row(text, "other names of the zone, served too; a comma list"),
  DNS_RESOLVER_REGISTRY: row(text, "the registry, such as http://10.0.0.5:8053; needed"),
  DNS_RESOLVER_NODE: row(digits({ min: 1, max: 2 ** 31 - 1 }), "this node's id there; needed"),
  DNS_RESOLVER_TOKEN: row(secretText, "this node's token; this or the next is needed"),
  DNS_RESOLVER_TOKEN_FILE: row(pathValue, "a file with it"),
  DNS_RESOLVER_STATE: row(pathValue, "the folder of the zone's snapshot", {
    fallback: "/var/lib/switchyard/dns-resolver",
  }),
  DNS_RESOLVER_UPSTREAMS: row(
    text,
    "who answers what is outside the zone: IP[:PORT],… and ;ZONE=IP,… for a zone; nobody when not set",
  ),
  DNS_RESOLVER_UPSTREAMS_FILE: row(pathValue, "a file with the same instead, read again on SIGHUP"),
  DNS_RESOLVER_HIDE_PRIVATE: row(
    choice(["yes", "no"]),
    "whether private addresses are left out of what the upstreams without a zone answer",
    { fallback: "no" },
  ),
  DNS_RESOLVER_STATUS_LISTEN: row(ipAddressValue, "where to answer /status, /readyz and /metrics", {
    fallback: `127.0.0.1:${resolverStatusPort}`,
  }),
  DNS_RESOLVER_ENGINE: row(choice(["auto", "batched", "dgram"]), "how UDP is answered", {
    fallback: "auto",
  }),
  DNS_RESOLVER_UDP_SIZE: row(
    digits({ min: 512, max: 4096 }),
    "the largest answer over UDP, bytes",
    {
      fallback: "1232",
    },
  ),
  DNS_RESOLVER_LOG_LEVEL: logLevelRow,
};

/** Every variable that it reads. */
export const variableTable = { prefix: "DNS_RESOLVER_", rows };

export type Variables = VariablesOf<typeof rows>;
