/** `dns-resolver status`: what a resolver serves, where, and since when. */
import { healthUrlValue, ipAddressValue } from "../../../config/values.ts";
import type { Address } from "../../../kit/address.ts";
import { fetchResolverStatus } from "../../../sidecars/dns-resolver/client.ts";
import type { ResolverStatus } from "../../../sidecars/dns-resolver/contract.ts";
import { UsageError } from "../../cli/command.ts";
import type { Invocation } from "../../cli/command.ts";
import { exitCodes } from "../../cli/exit-codes.ts";
import type { Output } from "../../cli/output.ts";
import { paragraph, tableLines } from "../../cli/table.ts";

const deadlineMs = 3000;

/** Prints the status; 0 healthy, 1 something is wrong, 69 nobody answers there. */
export async function run({ flags, output, signal }: Invocation): Promise<number> {
  const address = addressOf(String(flags["url"]));
  const status = await fetchResolverStatus(address, { deadlineMs, signal });
  if (flags["json"] === true) output.result(JSON.stringify(status));
  else for (const line of lines(status, output)) output.result(line);
  return status.healthy ? exitCodes.done : exitCodes.failed;
}

/** @throws UsageError */
function addressOf(text: string): Address {
  const shape = text.includes("://") ? healthUrlValue : ipAddressValue;
  const result = shape.safeParse(text);
  if (result.success) return result.data;
  throw new UsageError(
    `--url: ${result.error.issues[0]?.message ?? "wrong"}; got ${JSON.stringify(text)}`,
    "see dns-resolver status --help",
  );
}

function lines(status: ResolverStatus, { columns, style }: Output): string[] {
  const { sync } = status;
  const word = status.healthy ? style.good(status.state) : style.bad(status.state);
  const heard = sync.acknowledged === status.generation ? "acknowledged" : "not acknowledged";
  const served =
    status.generation === null
      ? "no zone is loaded"
      : `generation ${status.generation}, ${heard}, ${status.records} records, from the ${status.from}`;
  const age = sync.staleSeconds === null ? "never" : `${Math.round(sync.staleSeconds)} s ago`;
  const names = [status.zone, ...status.aliases].join(", ");
  return [
    `${names}: ${word}`,
    served,
    `registry ${sync.registry} as node ${sync.node}, last confirmed ${age}`,
    `upstreams: ${status.upstreams.join(" ") || "none, other names are refused"}`,
    "",
    ...tableLines(
      ["address", "state", "engine"],
      status.listen.map(({ address, engine, error, fault, state }) => {
        const isFine = error === null && fault === null;
        return [
          { text: address },
          { text: isFine ? state : `${state}, at fault`, paint: isFine ? style.good : style.bad },
          { text: engine ?? "-" },
        ];
      }),
      { columns, dim: style.dim },
    ),
    ...(status.reasons.length > 0 ? [""] : []),
    ...status.reasons.flatMap((reason) => paragraph("- ", reason, columns)),
  ];
}
