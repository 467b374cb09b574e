/** For a finding: the least that causes it, and every code that then must be found. */
import type { FindingCode } from "../../../router/cluster/findings.ts";
import type { partsOf, World } from "../../support/cluster-world.ts";

export type Parts = ReturnType<typeof partsOf>;

export interface FindingCase {
  readonly part: string;
  readonly says: RegExp;
  readonly breaks: (parts: Parts, world: World) => void;
  /** What follows from it besides; in any order. */
  readonly also?: readonly FindingCode[];
}

export type FindingCases = Readonly<Partial<Record<FindingCode, readonly FindingCase[]>>>;
