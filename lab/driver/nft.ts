/** The packet filter of this machine, as nft(8) shows and changes it; for root alone. */
import { ChildError, runChild } from "../../kit/child.ts";
import { findProgram } from "../programs.ts";
import { plainEnvironment } from "./part.ts";

/** Packets cannot be dropped here: no packet filter, or no right to it. */
export class CutError extends Error {
  override readonly name = "CutError";
  readonly code = "ERR_LAB_CUT";
}

/** Others change the packet rules of a busy machine too, and hold them meanwhile. */
const deadlineMs = 30_000;

/** Packets on their way out of this machine's programs, or from one container to another. */
export type NftFamily = "ip" | "bridge";

/**
 * The chains of a table; none when there is no such table.
 * @throws CutError
 */
export async function chainsOf(family: NftFamily, table: string): Promise<string[]> {
  const program = await findNft();
  const listed = await runChild(program, ["-j", "list", "chains", family], {
    deadlineMs,
    env: plainEnvironment,
  }).catch((cause: Error) => {
    throw notPermitted("list of the packet rules", cause);
  });
  const { nftables } = JSON.parse(listed.stdout) as {
    nftables: readonly { chain?: { table: string; name: string } }[];
  };
  return nftables.flatMap(({ chain }) => (chain?.table === table ? [chain.name] : []));
}

/**
 * Carries out a script, all of it or nothing; `what` is what it is for.
 * @throws CutError
 */
export async function runNft(script: string, what: string): Promise<void> {
  const program = await findNft();
  await runChild(program, ["-f", "/dev/stdin"], {
    deadlineMs,
    env: plainEnvironment,
    input: script,
  }).catch((cause: Error) => {
    throw notPermitted(what, cause);
  });
}

async function findNft(): Promise<string> {
  return await findProgram("nft").catch((cause: Error) => {
    throw new CutError(`packets cannot be dropped on this machine: ${cause.message}`, { cause });
  });
}

function notPermitted(what: string, cause: Error): CutError {
  const said = cause instanceof ChildError ? cause.stderr.trim().split("\n")[0] : cause.message;
  return new CutError(`${what}: nft: ${said}`, { cause });
}
