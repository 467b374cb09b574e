/** The accessories as text for config/deploy.yml or a destination's file. */
import { stringify } from "yaml";
import type { Environment } from "../../config/schema.ts";
import type { MountedFile } from "./accessory.ts";
import { deployHead } from "./files.ts";
import { filesFolder } from "./mounted.ts";
import type { Accessories } from "./model.ts";

/** Where the text is to stand, and where its secrets come from. */
export interface DeployPlace {
  /** config/deploy.yml, or a destination's file. */
  readonly file: string;
  readonly secretsFile: string;
}

/**
 * The place for a destination of Kamal, which is a file of its own; the base file when there is none.
 */
export function deployPlace(destination: string | undefined): DeployPlace {
  return destination === undefined
    ? { file: "config/deploy.yml", secretsFile: ".kamal/secrets" }
    : { file: `config/deploy.${destination}.yml`, secretsFile: `.kamal/secrets.${destination}` };
}

/** The names that the secrets file must give: an alias is the name after its colon. */
export function secretsOf(accessories: Accessories): string[] {
  const names = Object.values(accessories).flatMap((one) => one.env?.secret ?? []);
  return [...new Set(names.map((name) => name.split(":").at(-1) ?? name))].toSorted();
}

/**
 * The mapping `accessories` as YAML, with nothing before it. Ruby reads YAML 1.1, where a member
 * called `no` would be false.
 */
export function accessoriesText(accessories: Accessories): string {
  const options = { version: "1.1", aliasDuplicateObjects: false, lineWidth: 0 } as const;
  return stringify({ accessories }, options);
}

/**
 * The whole text: a head that says what else is needed, and the accessories.
 * @throws TemplateError
 */
export async function deployText(
  environment: Environment,
  accessories: Accessories,
  files: readonly MountedFile[],
  place: DeployPlace,
): Promise<string> {
  const head = await deployHead({
    cluster: environment.cluster,
    environment: environment.name,
    ...place,
    secrets: secretsOf(accessories).join(", "),
    files: files.map(({ local }) => ({ local })),
    users: files.some(({ local }) => local.includes("userlist")) && {
      local: `${filesFolder(environment.name)}/users.txt`,
    },
  });
  return head + accessoriesText(accessories);
}
