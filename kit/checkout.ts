/** Where this checkout's folders are, whatever folder the operator stands in. */
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

const root = new URL("../", import.meta.url);

/** The absolute path of a file or folder of the checkout, such as `config`; its own for "". */
export function inCheckout(path: string): string {
  return fileURLToPath(new URL(path, root));
}

/** The version of this checkout, as package.json has it: the tag of its images. */
export async function ownVersion(): Promise<string> {
  const text = await readFile(inCheckout("package.json"), "utf8");
  return (JSON.parse(text) as { readonly version: string }).version;
}
