/** Our Client against a real pair, a real pooler and a real name server. */
import t from "tap";
import { bulk, cancelling, inPlainPool, losses, queries, replication } from "./live/drop-in.ts";
import { startPair } from "./live/pair.ts";
import { badDays, byAttributes, refusals, turnedPooler } from "./live/sessions.ts";
import { direct, lettingGo, tls, tlsByString } from "./live/tls.ts";

const pair = await startPair(t, "127.84.6");

const rows = {
  "each value of target_session_attrs finds its server": byAttributes,
  "a refusal is known for what it is": refusals,
  "an app does with it what it does with pg's": queries,
  "sessions of replication": replication,
  "a cancel request goes where the query runs": cancelling,
  "much data both ways": bulk,
  "a lost session is lost as with pg": losses,
  "in a plain pg.Pool": inPlainPool,
  "TLS is against the name": tls,
  "sslmode is what pg makes of it": tlsByString,
  "TLS from the first byte": direct,
  "unref lets Node end": lettingGo,
  "a pooler that turns to a standby": turnedPooler,
  "servers on a bad day": badDays,
};
for (const [name, run] of Object.entries(rows)) {
  t.test(name, (t) => run(t, pair));
}
