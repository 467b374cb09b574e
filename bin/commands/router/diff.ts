/** `router ENV diff`: what an apply would change in the file on each router. */
import { keepFences } from "../../../router/haproxy/fence-marks.ts";
import { readInstalled, renderRouter } from "../../../router/haproxy/install.ts";
import { unifiedDiff } from "../../../router/haproxy/text-diff.ts";
import type { Invocation } from "../../cli/command.ts";
import { exitCodes } from "../../cli/exit-codes.ts";
import { chooseFleet } from "./fleet.ts";

/** 0 when all files are as rendered, 1 when one differs. */
export async function run(invocation: Invocation): Promise<number> {
  const { output, signal } = invocation;
  const { environment, routers } = await chooseFleet(invocation);
  let different = 0;
  for (const router of routers) {
    const installed = await readInstalled(environment, router, signal);
    const text = keepFences(await renderRouter(environment, router, signal), installed);
    const { path } = router.configuration;
    if (installed === undefined) output.note(`${router.name}: there is no ${path}`);
    const diff = unifiedDiff(
      { name: `${router.name}:${path}`, text: installed ?? "" },
      { name: `${router.name} as rendered`, text },
    );
    if (diff === "") continue;
    different += 1;
    for (const line of diff.split("\n")) output.result(line);
  }
  return different === 0 ? exitCodes.done : exitCodes.failed;
}
