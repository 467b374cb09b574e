/** `registry member add CLUSTER NAME`. */
import { addMember } from "../../../registry/admin.ts";
import { UsageError } from "../../cli/command.ts";
import type { Invocation } from "../../cli/command.ts";
import { memberIn } from "./keys.ts";
import { clusterScreen } from "./screen.ts";
import { onRegistry, tell } from "./target.ts";

/** 0 when it is there; 3 when its name or its ordinal is taken. */
export async function run(invocation: Invocation): Promise<number> {
  const { flags, signal, output } = invocation;
  const [cluster = "", name = ""] = invocation.arguments;
  const { ordinal, ...keys } = memberIn(flags, {});
  if (ordinal === undefined) {
    throw new UsageError("member add needs --ordinal N", "see registry member add --help");
  }
  return await onRegistry(invocation, async (target) => {
    const view = await addMember(target, cluster, { ...keys, name, ordinal }, signal);
    tell(invocation, view, clusterScreen(view, output));
  });
}
