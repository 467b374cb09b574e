/**
 * `recovery ENV failover`: after an unplanned loss of the primary. It shows what may be lost, asks
 * for the operator's word where nothing proves that the old primary cannot write, and then runs the
 * machinery of a flip.
 */
import type { FlipPlan } from "../../../router/flip-db/flip-actions.ts";
import type { Invocation } from "../../cli/command.ts";
import { confirm, confirmWord } from "../../cli/confirm.ts";
import { printable } from "../../cli/output.ts";
import { environmentNamed } from "../environment.ts";
import { prepare } from "../flip-db/prepare.ts";
import type { Preparation, Prepared } from "../flip-db/prepare.ts";
import { acceptedIn } from "../flip-db/request.ts";
import { flip, planOf } from "../flip-db/run.ts";

/** As flip-db; 3 as well where the word was not given. */
export async function run(invocation: Invocation): Promise<number> {
  const { flags } = invocation;
  const environment = await environmentNamed(invocation.environment);
  const asked = {
    goal: "failover",
    operationId: undefined,
    to: typeof flags["to"] === "string" ? flags["to"] : undefined,
    wanted: "auto",
    acceptedRisks: acceptedIn(flags["accept-risk"]),
    isDry: flags["dry-run"] === true,
    json: flags["json"] === true,
  } as const;
  return await flip(invocation, environment, asked, askForWord);
}

/** Only where the word alone is missing is there a question for it. */
async function askForWord(
  invocation: Invocation,
  prepared: Prepared,
  preparation: Preparation,
): Promise<Prepared> {
  const { output, flags } = invocation;
  if (!("refused" in prepared.plan)) {
    showLoss(invocation, prepared.plan);
    await confirm(invocation, {
      text: `Promote ${prepared.plan.to}?`,
      otherwise: "--yes, or RECOVERY_YES=1, does it",
    });
    return prepared;
  }
  const asked = { ...preparation.asked, operatorSaysDead: true };
  const trusting = await prepare({ ...preparation, asked });
  const plan = planOf("refused" in trusting.plan ? prepared : trusting);
  showLoss(invocation, plan);
  output.note(printable(prepared.plan.refused));
  const said = typeof flags["dead"] === "string" ? flags["dead"] : undefined;
  await confirmWord(invocation, plan.from, said, {
    text: `If ${plan.from} can still write, rows will be lost and both will have to be told apart by hand.`,
    otherwise: `--dead=${plan.from} is your word that ${plan.from} is dead and stays so`,
  });
  return trusting;
}

function showLoss({ output }: Invocation, { loss, from }: FlipPlan): void {
  output.note(`loss of acknowledged rows of ${from}: ${printable(loss)}`);
}
