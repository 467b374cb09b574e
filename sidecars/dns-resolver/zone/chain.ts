/** Where a CNAME leads (RFC 1034, 3.6.2): within the zone, out of it, to nothing, or round in a circle. */
import { types } from "../wire/numbers.ts";
import { setOf } from "./tree.ts";
import type { NameTree, TreeNode } from "./tree.ts";

/** Longer chains are answered with SERVFAIL, as circles are. */
export const chainLinksMax = 16;

/** `links` have a CNAME each, in order; `node` is where they end. */
export type Chain =
  | { readonly end: "node"; readonly links: readonly TreeNode[]; readonly node: TreeNode }
  | { readonly end: "missing" | "outside" | "endless"; readonly links: readonly TreeNode[] };

/** Follows the CNAME at `node`; undefined where it has none. */
export function chainFrom(tree: NameTree, node: TreeNode): Chain | undefined {
  if (setOf(node, types.CNAME) === undefined) return undefined;
  const links: TreeNode[] = [];
  let at = node;
  for (;;) {
    const target = setOf(at, types.CNAME)?.records[0]?.target;
    if (target === undefined) return { end: "node", links, node: at };
    if (links.length >= chainLinksMax || links.includes(at)) return { end: "endless", links };
    links.push(at);
    if (!target.isInZone) return { end: "outside", links };
    const next = tree.find(target.labels);
    if (next === undefined) return { end: "missing", links };
    at = next;
  }
}
