/** Where this checkout's folders are, whatever folder the operator stands in. */
import { fileURLToPath } from "node:url";

const root = new URL("../", import.meta.url);

/** The absolute path of a file or folder of the checkout, such as `config`; its own for "". */
export function inCheckout(path: string): string {
  return fileURLToPath(new URL(path, root));
}
