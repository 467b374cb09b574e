/**
 * Where the containers of one environment find each other, and what of them is published: by name
 * on one host, by address between hosts. Pure.
 */
import type { EdgePooler, Environment, Member, Router } from "../../config/schema.ts";
import { isIpAddress, socketInContainer } from "../../config/values.ts";
import { formatAddress, formatHost } from "../../kit/address.ts";
import type { Address } from "../../kit/address.ts";
import { KamalModelError } from "./accessory.ts";

/** A member all of whose containers the environment names. */
export interface ContainedMember {
  readonly member: Member;
  readonly path: string;
  readonly host: string;
  readonly container: string;
  readonly pooler: Address;
  readonly health: Address;
}

/**
 * The members that stand in containers.
 * @throws KamalModelError for one of which only a part has a container's name, or two have one
 */
export function containedMembers({ members }: Environment): ContainedMember[] {
  return members.flatMap((member, index): ContainedMember[] => {
    const { control, host, local } = member;
    const path = `members[${index}]`;
    if (host === undefined) return [];
    if (local === undefined) {
      throw new KamalModelError(
        `${path}.local`,
        `expected the names of ${member.name}'s containers for pooler and health, since host is ${host}; it is missing`,
      );
    }
    if (control?.container === undefined) {
      throw new KamalModelError(
        `${path}.control.container`,
        `expected the name of ${member.name}'s Postgres container, since host is ${host}; it is missing`,
      );
    }
    const { poolerContainer } = control;
    if (poolerContainer !== undefined && poolerContainer !== local.pooler.host) {
      throw new KamalModelError(
        `${path}.control.poolerContainer`,
        `expected ${local.pooler.host}, as in local.pooler: Kamal gives a container one name; got ${poolerContainer}`,
      );
    }
    const { pooler, health } = local;
    return [{ member, path, host, container: control.container, pooler, health }];
  });
}

/**
 * What `docker run --publish` is told so that `address` of a host leads to a port of a container.
 * @throws KamalModelError unless it is one IP address
 */
export function published(address: Address, containerPort: number, path: string): string {
  if (!isIpAddress(address.host)) {
    throw new KamalModelError(
      path,
      `a port is published on an IP address of its host; got the name ${address.host}`,
    );
  }
  if (["0.0.0.0", "::"].includes(address.host)) {
    throw new KamalModelError(
      path,
      `would be published on every address of its host, the public ones too; expected one address; got ${address.host}`,
    );
  }
  return `${formatHost(address.host)}:${address.port}:${containerPort}`;
}

/** A published port without its container's: what two containers of a host cannot both have. */
export function publishedAddress(text: string): string {
  const [, protocol] = text.split("/");
  const address = text.slice(0, text.lastIndexOf(":"));
  return protocol === undefined ? address : `${address}/${protocol}`;
}

/** How a container of `host` reaches the pg-health of a member, as a URL. */
export function healthUrlFrom(host: string, member: Member): string {
  const near = member.host === host ? member.local?.health : undefined;
  return `http://${formatAddress(near ?? member.health)}`;
}

/**
 * The router in front of which an edge pooler stands: the one in a container of the same host.
 * @throws KamalModelError unless there is exactly one
 */
export function routerBehind(
  { routers }: Environment,
  { host, name }: EdgePooler,
  path: string,
): { readonly router: Router; readonly container: string } {
  const near = routers.flatMap((router) => {
    const socket = router.host === host ? socketInContainer(router.runtime) : undefined;
    return socket === undefined ? [] : [{ router, container: socket.container }];
  });
  const [only, second] = near;
  if (only !== undefined && second === undefined) return only;
  const found = near.map((one) => one.router.name).join(", ") || "none";
  throw new KamalModelError(
    `${path}.host`,
    `expected one router in a container of host ${host}, which edge pooler ${name} points at; got ${found}`,
  );
}
