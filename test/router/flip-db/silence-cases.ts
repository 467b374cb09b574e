/** A look at everything: routers and gates that were silent for a moment are not taken for cut off. */
import t from "tap";
import { lookAtAll } from "../../../router/flip-db/flip.ts";
import type { FlipObservation } from "../../../router/flip-db/observation.ts";
import { gate, pair, primary, router, standby } from "./plan-cases.ts";

const { signal } = new AbortController();
const other = { router: { ...router, name: "app-02" }, gate: { ...gate, name: "app-02/gate" } };
const silent = <T extends object>(one: T): T => ({ ...one, reached: false });

/** What was seen of routers and gates in these looks together, and how many of them it took. */
async function seenIn(
  looks: readonly Pick<FlipObservation, "routers" | "gates">[],
  goal: "flip" | "failover" = "flip",
): Promise<Pick<FlipObservation, "routers" | "gates"> & { readonly took: number }> {
  let took = 0;
  const { routers, gates } = await lookAtAll(
    {
      observe: () => {
        took += 1;
        return Promise.resolve(pair(primary(), standby(), looks[took - 1]));
      },
    },
    { goal },
    signal,
  );
  return { routers, gates, took };
}

t.test("where all answer, one look is enough", async (t) => {
  const all = { routers: [router, other.router], gates: [gate, other.gate] };
  t.strictSame(await seenIn([all]), { ...all, took: 1 });
});

t.test("silent is what was so twice", async (t) => {
  const first = { routers: [router, silent(other.router)], gates: [silent(gate), other.gate] };
  const again = {
    routers: [silent(router), silent(other.router)],
    gates: [{ ...gate, pausedBy: "r9" }, silent(other.gate)],
  };
  t.strictSame(await seenIn([first, again]), {
    routers: [router, silent(other.router)],
    gates: [{ ...gate, pausedBy: "r9" }, other.gate],
    took: 2,
  });
});

t.test("a failover does not wait for routers that it does not need", async (t) => {
  const parts = { routers: [silent(router)], gates: [silent(gate)] };
  t.strictSame(await seenIn([parts], "failover"), { ...parts, took: 1 });
});
