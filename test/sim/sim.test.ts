/** Whole clusters simulated, with right planners and broken ones; one file, since each costs a process. */
import "./flip-cases.ts";
import "./mutants-cases.ts";
