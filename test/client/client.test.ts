/** The connector's parts that need no server; what needs one is in the live files beside. */
import "./attempt-cases.ts";
import "./attributes-cases.ts";
import "./client-cases.ts";
import "./client-config-cases.ts";
import "./company-cases.ts";
import "./errors-cases.ts";
import "./handover-cases.ts";
import "./handover-phases-cases.ts";
import "./memory-cases.ts";
import "./names-cases.ts";
import "./order-cases.ts";
import "./pool-cases.ts";
import "./pool-peer-cases.ts";
import "./race-cases.ts";
import "./search-cases.ts";
import "./target-cases.ts";
import "./wire-cases.ts";
