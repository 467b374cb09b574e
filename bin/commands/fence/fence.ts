/** `recovery ENV fence MEMBER`: arm, stop, prove, and keep it down in every router. */
import { planFence } from "../../../router/fence/plan.ts";
import type { Invocation } from "../../cli/command.ts";
import { confirm, confirmWord } from "../../cli/confirm.ts";
import { carryOut, withFenceOrder } from "./order.ts";
import type { FenceOrder } from "./order.ts";

/** 0 when every part is done and proven, 1 when a part is not; it can be run again. */
export async function run(invocation: Invocation): Promise<number> {
  return await withFenceOrder(invocation, "fence", async (order) => {
    const { plan, endsWrites } = planFence(order.request, order.seen);
    await ask(order, endsWrites);
    return await carryOut(order, plan);
  });
}

async function ask({ invocation, request, seen }: FenceOrder, endsWrites: boolean): Promise<void> {
  const { member } = request;
  if (!endsWrites) {
    const text = `Fence ${member}: stop its Postgres, and keep it down in every router?`;
    return await confirm(invocation, { text, otherwise: "--yes does it" });
  }
  const said = invocation.flags["confirm"];
  const isPrimary = seen.member.role === "primary";
  const says = isPrimary
    ? `${member} is the primary; fencing it ends all writes until another member is promoted`
    : `no other member is known to take writes; if ${member} does, fencing it ends all writes`;
  await confirmWord(invocation, member, typeof said === "string" ? said : undefined, {
    text: `${says}.`,
    otherwise: `${says}: --confirm ${member} does it`,
  });
}
