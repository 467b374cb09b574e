/** `registry cluster create CLUSTER`: all of it or nothing. */
import { createCluster } from "../../../registry/admin.ts";
import type { Invocation } from "../../cli/command.ts";
import { lagIn, memberWord, sourceIn } from "./keys.ts";
import { onRegistry, tell } from "./target.ts";

/** 0 when it is made; 3 when there is one of that name. */
export async function run(invocation: Invocation): Promise<number> {
  const { flags, signal } = invocation;
  const [name = ""] = invocation.arguments;
  const words = [flags["member"] ?? []].flat().map(String);
  const lag = lagIn(flags);
  const keys = {
    name,
    source: sourceIn(flags, undefined),
    members: words.map(memberWord),
    ...(lag === undefined ? {} : { lag_bytes: lag }),
  };
  return await onRegistry(invocation, async (target) => {
    const view = await createCluster(target, keys, signal);
    const lines = [
      `cluster ${name} is made, with ${view.members.length} members`,
      `registry cluster show ${name} shows its names`,
    ];
    tell(invocation, view, lines);
  });
}
