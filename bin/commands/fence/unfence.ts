/** `recovery ENV unfence MEMBER`: undoes a fence, unless somebody else has the writes meanwhile. */
import { planUnfence } from "../../../router/fence/plan.ts";
import type { Restores } from "../../../router/fence/observation.ts";
import type { Invocation } from "../../cli/command.ts";
import { confirm } from "../../cli/confirm.ts";
import { refusal } from "../environment.ts";
import { carryOut, withFenceOrder } from "./order.ts";

const questions: Readonly<Record<Restores, (member: string) => string>> = {
  primary: (member) => `Unfence ${member}: it becomes the primary, and takes writes again?`,
  standby: (member) => `Unfence ${member}: start it as a standby?`,
  routers: (member) => `Unfence ${member}: let the routers use it again?`,
};

/** 0 when it is back, 1 when a part is not done, 3 when it would make two primaries, 75 when locked. */
export async function run(invocation: Invocation): Promise<number> {
  return await withFenceOrder(invocation, "unfence", async (order) => {
    const decided = planUnfence(order.request, order.seen);
    if ("refused" in decided) {
      throw await refusal(order.environment, decided.refused, invocation.signal);
    }
    const { plan } = decided;
    const text = questions[plan.restores](plan.member);
    await confirm(invocation, { text, otherwise: "--yes does it" });
    return await carryOut(order, plan);
  });
}
