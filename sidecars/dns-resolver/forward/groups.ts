/** Which upstreams are asked for a name: those of the longest zone that it lies in (split horizon). */
import { nameFromText, nameKey } from "../wire/names.ts";
import type { UpstreamChoice } from "./settings.ts";
import { Upstream } from "./upstream.ts";
import type { UpstreamWorld } from "./upstream.ts";

/** Who is asked for the names of one zone, and what is thought of their answers. */
export interface Group {
  /** None: the names are not forwarded. */
  readonly upstreams: readonly Upstream[];
  readonly hidesPrivate: boolean;
}

export interface Groups {
  /** The group of the name of this key. */
  of(key: string): Group;
  /** Takes another choice: upstreams in both stay as they are, those that are left out are closed. */
  choose(choice: UpstreamChoice): void;
  all(): Iterable<Upstream>;
}

const keyOf = (zone: string): string => nameKey(nameFromText(zone));

const nobody: Group = { upstreams: [], hidesPrivate: false };

/** The groups of a choice that has been checked. One upstream in several zones is one. */
export function createGroups(first: UpstreamChoice, world: UpstreamWorld): Groups {
  let known = new Map<string, Upstream>();
  let zones = new Map<string, Group>();

  const choose = (choice: UpstreamChoice): void => {
    const next = new Map<string, Upstream>();
    const open = (addresses: UpstreamChoice["upstreams"], hidesPrivate: boolean): Group => {
      const upstreams = new Set<Upstream>();
      for (const address of addresses) {
        const fresh = new Upstream(address, world);
        const upstream = next.get(fresh.name) ?? known.get(fresh.name) ?? fresh;
        next.set(upstream.name, upstream);
        upstreams.add(upstream);
      }
      return { upstreams: [...upstreams], hidesPrivate };
    };
    const root = [keyOf("."), open(choice.upstreams, choice.hidesPrivate === true)] as const;
    const chosen = choice.zones.map(
      ({ zone, upstreams }) => [keyOf(zone), open(upstreams, false)] as const,
    );
    zones = new Map([root, ...chosen]);
    for (const [name, upstream] of known) if (!next.has(name)) upstream.close();
    known = next;
  };

  choose(first);
  return {
    of: (key) => {
      for (let at = 0; at < key.length; at += key.charCodeAt(at) + 1) {
        const group = zones.get(at === 0 ? key : key.slice(at));
        if (group !== undefined) return group;
      }
      return nobody;
    },
    choose,
    all: () => known.values(),
  };
}
