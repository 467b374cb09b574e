/** The picture of a cluster and what is wrong with it; one file, since each costs a process. */
import "./findings-cases.ts";
import "./view-cases.ts";
