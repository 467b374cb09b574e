/** What the words of `flip-db` and `failover` ask for. */
import { nearest } from "../../../kit/nearest.ts";
import { risks } from "../../../router/flip-db/prechecks.ts";
import type { FlipWish } from "../../../router/flip-db/plan/plan-request.ts";
import { operationFiles } from "../../../router/operation/store.ts";
import { UsageError } from "../../cli/command.ts";
import type { Flag, Invocation } from "../../cli/command.ts";

export interface Asked extends FlipWish {
  readonly wanted: "auto" | "seamless" | "fast";
  readonly isDry: boolean;
  readonly json: boolean;
}

/**
 * Reads the flags of `flip-db`.
 * @throws UsageError for flags that do not go together and for an unknown risk
 */
export function readAsked({ flags }: Pick<Invocation, "flags">): Asked {
  const { resume, abort, to, mode = "auto" } = flags;
  const given = ["resume", "abort"].filter((name) => flags[name] !== undefined);
  if (given.length > 1) throw usage("--resume and --abort are two ways to end one flip: give one");
  const [word] = given;
  const spare = ["to", "mode", "accept-risk"].find((name) => flags[name] !== undefined);
  if (word !== undefined && spare !== undefined) {
    throw usage(`--${word} goes on as the flip was begun: --${spare} has no say`);
  }
  return {
    goal: word === "resume" ? "resume" : word === "abort" ? "abort" : "flip",
    operationId: idIn(resume ?? abort),
    to: typeof to === "string" ? to : undefined,
    wanted: mode === "seamless" || mode === "fast" ? mode : "auto",
    acceptedRisks: acceptedIn(flags["accept-risk"]),
    isDry: flags["dry-run"] === true,
    json: flags["json"] === true,
  };
}

function usage(message: string, hint = "see recovery ENVIRONMENT flip-db --help"): UsageError {
  return new UsageError(message, hint);
}

function idIn(flag: Flag): string | undefined {
  if (typeof flag !== "string") return undefined;
  try {
    operationFiles("", flag);
  } catch {
    throw usage(
      `${JSON.stringify(flag)} is not the id of a flip`,
      "see recovery ENVIRONMENT history",
    );
  }
  return flag;
}

/** The risks that `--accept-risk` names. @throws UsageError for one that there is not */
export function acceptedIn(flag: Flag): readonly string[] {
  const names = Array.isArray(flag) ? (flag as readonly string[]) : [];
  const unknown = names.find((name) => !risks.includes(name));
  if (unknown === undefined) return names;
  const near = nearest(unknown, risks);
  const all = `the risks are ${risks.join(", ")}`;
  throw usage(
    `there is no risk ${JSON.stringify(unknown)}`,
    near === undefined ? all : `did you mean ${near}? ${all}`,
  );
}
