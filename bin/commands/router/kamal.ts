/** `router ENV kamal`: prints the accessories for config/deploy.yml, and the files that they mount. */
import { mkdir, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { nameValue } from "../../../config/values.ts";
import { writeFileAtomically } from "../../../kit/atomic-file.ts";
import { ownVersion } from "../../../kit/checkout.ts";
import type { MountedFile } from "../../../router/kamal/accessory.ts";
import {
  accessoriesText,
  deployPlace,
  deployText,
  secretsOf,
} from "../../../router/kamal/document.ts";
import { mountedFiles } from "../../../router/kamal/files.ts";
import { accessoriesOf, imagesOf } from "../../../router/kamal/model.ts";
import { UsageError } from "../../cli/command.ts";
import type { Invocation } from "../../cli/command.ts";
import { exitCodes } from "../../cli/exit-codes.ts";
import { environmentNamed, nearestHint } from "../environment.ts";

/** 0, 64 for what cannot be understood, 78 where the environment names what Kamal cannot do. */
export async function run(invocation: Invocation): Promise<number> {
  const { flags, output } = invocation;
  const destination = destinationOf(flags["destination"]);
  const modes = (["file", "write", "json"] as const).filter((one) => flags[one] !== undefined);
  if (modes.length > 1) {
    const words = modes.map((one) => `--${one}`).join(", ");
    throw new UsageError(`${words}: one at a time`, "see router ENVIRONMENT kamal --help");
  }
  const environment = await environmentNamed(invocation.environment);
  const accessories = accessoriesOf(environment, imagesOf(environment, await ownVersion()));
  const files = await mountedFiles(environment);
  const place = deployPlace(destination);
  const { file, write } = flags;
  if (typeof write === "string") {
    await writeAll(write, files);
    output.result(files.map(({ local }) => join(write, local)).join("\n"));
  } else if (typeof file === "string") {
    output.result(fileNamed(files, file).replace(/\n$/, ""));
  } else if (flags["json"] === true) {
    const secrets = secretsOf(accessories);
    const yaml = accessoriesText(accessories);
    const head = { environment: environment.name, ...place };
    output.result(JSON.stringify({ ...head, accessories, secrets, files, yaml }));
  } else {
    const text = await deployText(environment, accessories, files, place);
    output.result(text.replace(/\n$/, ""));
  }
  return exitCodes.done;
}

/** Writes the files below the folder of the app's repository, which has to be there. */
async function writeAll(app: string, files: readonly MountedFile[]): Promise<void> {
  const isFolder = await stat(app).then(
    (found) => found.isDirectory(),
    () => false,
  );
  if (!isFolder) {
    throw new UsageError(
      `--write ${JSON.stringify(app)}: no such folder`,
      "name the app's repository",
    );
  }
  for (const { local, text } of files) {
    const path = join(app, local);
    await mkdir(dirname(path), { recursive: true });
    await writeFileAtomically(path, text, { mode: 0o644 });
  }
}

function destinationOf(flag: unknown): string | undefined {
  if (typeof flag !== "string") return undefined;
  if (nameValue.safeParse(flag).success) return flag;
  throw new UsageError(
    `--destination ${JSON.stringify(flag)} is no destination`,
    "a name such as production: letters, digits and dashes",
  );
}

function fileNamed(files: readonly MountedFile[], local: string): string {
  const known = files.find((one) => one.local === local)?.text;
  if (known !== undefined) return known;
  const all = files.map((one) => one.local);
  throw new UsageError(`no accessory mounts ${JSON.stringify(local)}`, nearestHint(local, all));
}
