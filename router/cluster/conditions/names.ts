/**
 * Conditions about the names of the cluster: what the registry and each resolver say, against each
 * other and against the world. The parts are `registry`, and the resolvers and nodes by their names.
 */
import type { MemberHost, RegistrySaid, ResolverSaid } from "../../names/said.ts";
import { isSameAddresses, othersAddress, serves } from "../../names/said.ts";
import type { NamesObservation, ResolverObservation } from "../observation.ts";
import { valueOf } from "../view.ts";
import type { ClusterView } from "../view.ts";
import type { Condition, Occurrence } from "./condition.ts";

const part = "registry";

function eachRegistry(
  look: (said: RegistrySaid, names: NamesObservation, view: ClusterView) => string | undefined,
): Condition {
  return (view) => {
    const said = view.names === null ? null : valueOf(view.names.registry);
    const says = said === null || view.names === null ? undefined : look(said, view.names, view);
    return says === undefined ? [] : [{ part, says }];
  };
}

/** The registry does not answer. */
export const registryUnreachable: Condition = ({ names }) =>
  names?.registry.state === "unreachable" ? [{ part, says: names.registry.error }] : [];

/** It does not take the token. */
export const registryDenied: Condition = eachRegistry((said) =>
  said.kind === "denied" ? said.says : undefined,
);

/** It has no such cluster. */
export const registryUnknownCluster: Condition = eachRegistry((said) =>
  said.kind === "no-cluster" ? said.says : undefined,
);

/** It publishes no primary, or has not heard of its role source. */
export const namesNotPublished: Condition = eachRegistry((said, { primary }) => {
  if (said.kind !== "cluster" || said.outcome === "published") return undefined;
  const why = said.reasons.length === 0 ? "" : `: ${said.reasons.join("; ")}`;
  const leads = said.primary === null ? "leads nowhere" : `still leads to ${said.primary}`;
  return `${said.outcome}, so ${primary} ${leads}${why}`;
});

/**
 * Names lead to another member than they should: the registry publishes another primary than the one
 * that takes writes, or has a member at another's address; or, without it, a resolver answers so.
 */
export const namesElsewhere: Condition = (view) => [
  ...anotherPrimary(view),
  ...anothersAddress(view),
  ...answersElsewhere(view),
];

const anotherPrimary: Condition = eachRegistry((said, { primary }, view) => {
  if (said.kind !== "cluster" || said.primary === null) return undefined;
  const [writer, ...others] = view.writable;
  const named = view.members.find((one) => one.name === said.primary);
  if (writer === undefined || others.length > 0) {
    return named?.writable === false
      ? `${primary} leads to ${said.primary}, which does not take writes`
      : undefined;
  }
  return writer === said.primary
    ? undefined
    : `${primary} leads to ${said.primary}, and ${writer} takes writes`;
});

/** Each member where the registry has it; the primary where its name leads. */
function placesSaid(said: RegistrySaid | null): { name: string; addresses: readonly string[] }[] {
  if (said?.kind !== "cluster") return [];
  const { primary, addresses, members } = said;
  const others = members.filter((one) => one.name !== primary);
  return primary === null ? others : [{ name: primary, addresses }, ...others];
}

function hostsOf({ members }: ClusterView): MemberHost[] {
  return members.map(({ name, declared }) => ({ name, host: declared.postgres.host }));
}

/** The registry has a member where the environment has another. */
const anothersAddress: Condition = (view) => {
  if (view.names === null) return [];
  return placesSaid(valueOf(view.names.registry)).flatMap(({ name, addresses }): Occurrence[] => {
    const other = othersAddress(addresses, name, hostsOf(view));
    if (other === undefined) return [];
    return [{ part, says: `it has ${name} at ${other.host}, the address of ${other.name}` }];
  });
};

/** The registry has a member at an address that the environment does not know. */
export const namesUnmatched: Condition = (view) => {
  if (view.names === null) return [];
  const hosts = hostsOf(view);
  const isKnown = (address: string): boolean =>
    hosts.some(({ host }) => host.toLowerCase() === address.toLowerCase());
  return placesSaid(valueOf(view.names.registry)).flatMap(({ name, addresses }): Occurrence[] => {
    const declared = hosts.find((one) => one.name === name)?.host;
    const unknown = addresses.filter((one) => !isKnown(one));
    // What a host's name leads to is not looked up.
    if (declared === undefined || !isAddress(declared) || unknown.length === 0) return [];
    return [
      { part, says: `it has ${name} at ${unknown.join(", ")}, the environment at ${declared}` },
    ];
  });
};

function isAddress(host: string): boolean {
  return /^[\d.]+$/.test(host) || host.includes(":");
}

/** A node of the registry has not been heard of, or could not serve something. */
export const nodeStale: Condition = ({ names }) => {
  const said = names === null ? null : valueOf(names.registry);
  if (said?.kind !== "cluster") return [];
  return said.nodes.flatMap(({ name, health, applied, errors }): Occurrence[] => {
    if (health === "stale") {
      const says = `its resolver has not been heard of for a while; it had generation ${applied}`;
      return [{ part: name, says }];
    }
    if (health === "unknown") return [{ part: name, says: "its resolver has never been heard of" }];
    return errors.length === 0 ? [] : [{ part: name, says: errors.join("; ") }];
  });
};

/** A resolver does not answer. */
export const resolverSilent: Condition = ({ names }) =>
  (names?.resolvers ?? []).flatMap(({ name, said }) =>
    said.state === "unreachable" ? [{ part: name, says: said.error }] : [],
  );

/** A resolver serves an older generation than the registry has. */
export const resolverBehind: Condition = ({ names }) => {
  const said = names === null ? null : valueOf(names.registry);
  if (said?.kind !== "cluster") return [];
  return (names?.resolvers ?? []).flatMap(({ name, said: report }) => {
    const serial = valueOf(report)?.serial ?? null;
    return serial === null || serves(serial, said.generation)
      ? []
      : [{ part: name, says: `serves generation ${serial}, the registry has ${said.generation}` }];
  });
};

/** A resolver gives another answer than it should, and is not just behind. */
export const resolverDiffers: Condition = ({ names }) => {
  if (names === null) return [];
  return names.resolvers.flatMap((one) => {
    const says = whyDiffers(one, names);
    return says === undefined ? [] : [{ part: one.name, says }];
  });
};

function whyDiffers(
  { said: report }: ResolverObservation,
  { primary, registry }: NamesObservation,
): string | undefined {
  const answer = valueOf(report);
  if (answer === null) return undefined;
  if (!["NOERROR", "NXDOMAIN"].includes(answer.rcode)) return `${primary}: ${answer.rcode}`;
  const given = givenWords(primary, answer);
  if (!answer.authoritative) return `${given}, by hearsay: it does not serve this zone`;
  const said = valueOf(registry);
  if (said?.kind === "cluster") {
    const isBehind = answer.serial !== null && !serves(answer.serial, said.generation);
    if (isBehind || isSameAddresses(answer.addresses, said.addresses)) return undefined;
    return `${given}, and ${said.addresses.join(", ") || "nowhere"} by the registry`;
  }
  return undefined;
}

function givenWords(primary: string, { addresses }: ResolverSaid): string {
  return `${primary} is ${addresses.join(", ") || "unknown"} here`;
}

/** Without the registry the world itself is what a resolver's answer is compared to. */
const answersElsewhere: Condition = (view) => {
  const [writer, ...others] = view.writable;
  const { names } = view;
  if (names === null || writer === undefined || others.length > 0) return [];
  if (valueOf(names.registry)?.kind === "cluster") return [];
  return names.resolvers.flatMap(({ name, said }): Occurrence[] => {
    const answer = valueOf(said);
    if (answer?.authoritative !== true) return [];
    const meant = othersAddress(answer.addresses, writer, hostsOf(view));
    if (meant === undefined) return [];
    const given = givenWords(names.primary, answer);
    return [{ part: name, says: `${given}, which is ${meant.name}, and ${writer} takes writes` }];
  });
};
