/** `registry node add NAME`: adds a node and writes its token to a file that was not there. */
import { resolve } from "node:path";
import { addNode, revokeNode } from "../../../registry/admin.ts";
import { reserveTokenFile } from "../../../registry/first-token.ts";
import { UsageError } from "../../cli/command.ts";
import type { Invocation } from "../../cli/command.ts";
import { onRegistry, tell } from "./target.ts";

/** 0 when the node is there and its token is in the file; 3 when there is one of that name. */
export async function run(invocation: Invocation): Promise<number> {
  const { flags, signal } = invocation;
  const [name = ""] = invocation.arguments;
  const path = flags["token-file"];
  if (typeof path !== "string") {
    throw new UsageError("node add needs --token-file FILE", "see registry node add --help");
  }
  const address = typeof flags["address"] === "string" ? { address: flags["address"] } : {};
  const work = async (target: Parameters<Parameters<typeof onRegistry>[1]>[0]): Promise<void> => {
    const file = await reserveTokenFile(resolve(path));
    const made = await addNode(target, { name, ...address }, signal).catch(async (error) => {
      await file.remove();
      throw error;
    });
    try {
      await file.write(made.token);
    } catch (error) {
      // Nobody has that token, and nobody could ever have it.
      await revokeNode(target, made.id);
      await file.remove();
      throw error;
    }
    const told = { id: made.id, name: made.name, tokenFile: resolve(path) };
    tell(invocation, told, [`node ${made.name} has id ${made.id}; its token is in ${path}`]);
  };
  return await onRegistry(invocation, work, "admin-token-file");
}
