/**
 * What an accessory of config/deploy.yml may say, as far as ours say it, and the parts of a cluster
 * that become accessories. Kamal 2.9, "Accessories".
 */
import type { PartKind } from "../../config/kamal-words.ts";

/** A file that Kamal uploads and mounts, each by itself. */
export interface AccessoryFile {
  /** In the repository of the app; one that ends in .erb is rendered by Kamal. */
  readonly local: string;
  /** In the container. */
  readonly remote: string;
  readonly mode: string;
  /** Numbers: the host need not know the container's users. */
  readonly owner: string;
}

/** A folder of the host, made by Kamal, which tools may write into. */
export interface AccessoryDirectory {
  readonly local: string;
  readonly remote: string;
  readonly mode: string;
  readonly owner: string;
}

/** All that does not depend on where an accessory stands; keys in the order of the file. */
export interface AccessoryBody {
  readonly image: string;
  readonly cmd?: string;
  readonly env?: {
    readonly clear?: Readonly<Record<string, string>>;
    readonly secret?: readonly string[];
  };
  readonly files?: readonly AccessoryFile[];
  readonly directories?: readonly AccessoryDirectory[];
  readonly volumes?: readonly string[];
  readonly options?: Readonly<Record<string, string | number | readonly string[]>>;
}

/** One accessory as it stands in deploy.yml. */
export interface Accessory extends AccessoryBody {
  /** The container's name. */
  readonly service: string;
  readonly hosts: readonly string[];
  /** ip:port:port; Kamal takes one here, and more of them as options. */
  readonly port?: string;
  readonly network: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** One container of the cluster, before it has a place in deploy.yml. */
export interface Part {
  readonly kind: PartKind;
  /** Of its member, router or edge pooler. */
  readonly name: string;
  /** Where it stands in the environment, such as members[0]. */
  readonly path: string;
  /** One of the environment's hosts. */
  readonly host: string;
  /** The name that the environment has for its container; Kamal's own when it has none. */
  readonly container: string | undefined;
  /** ip:port:port on its host. */
  readonly published: readonly string[];
  readonly body: AccessoryBody;
}

/** A file that an accessory mounts, as it lies in the repository of the app. */
export interface MountedFile {
  readonly local: string;
  readonly text: string;
}

/** An environment whose parts Kamal cannot run as they are named there; `path` is where. */
export class KamalModelError extends Error {
  override readonly name = "KamalModelError";
  readonly code = "ERR_KAMAL_MODEL";
  readonly path: string;
  constructor(path: string, message: string) {
    super(`${path}: ${message}`);
    this.path = path;
  }
}
