/**
 * Asks the operator about a plan, once for each plan that is new: what may be lost is accepted by
 * name or by typing the member's name, the rest by yes.
 */
import type { RebuildPlan } from "../../../router/rebuild-standby/rebuild-actions.ts";
import type { Invocation } from "../../cli/command.ts";
import { canAsk, confirm, confirmWord, RefusedError } from "../../cli/confirm.ts";
import { printable } from "../../cli/output.ts";
import { planLines } from "./screen.ts";

/** What makes two plans the same thing to say yes to. */
function keyOf({ method, member, risks }: RebuildPlan): string {
  return [method, member, ...risks.map(({ word }) => word)].join(" ");
}

/**
 * Returns a function that resolves when its plan may be carried out.
 * It throws RefusedError or DeclinedError where it may not, or the signal's reason.
 */
export function approver(invocation: Invocation): (plan: RebuildPlan) => Promise<void> {
  const approved = new Set<string>();
  const accepted: readonly unknown[] = [invocation.flags["accept-risk"]].flat();
  return async (plan) => {
    if (approved.has(keyOf(plan))) return;
    const { output, flags } = invocation;
    if (flags["json"] === true) output.result(JSON.stringify({ event: "plan", ...plan }));
    else for (const line of planLines(plan, output.style)) output.note(line);
    if (plan.steps.length > 0) {
      for (const { word, says } of plan.risks) {
        if (accepted.includes(word)) continue;
        const otherwise = `${says}; --accept-risk=${word} accepts it`;
        if (!canAsk(invocation)) throw new RefusedError(printable(`not accepted: ${otherwise}`));
        await confirmWord(invocation, plan.member, undefined, { text: `${says}.`, otherwise });
      }
      const text = `Rebuild ${plan.member} from ${plan.source}?`;
      await confirm(invocation, { text, otherwise: "--yes does it" });
    }
    approved.add(keyOf(plan));
    // The confirmed plan has said so.
    if (plan.mayCopy) approved.add(keyOf({ ...plan, method: "basebackup", risks: [] }));
    if (plan.mayCopy) approved.add(keyOf({ ...plan, method: "basebackup" }));
  };
}
