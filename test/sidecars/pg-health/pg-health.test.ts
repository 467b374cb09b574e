/** What pg-health makes of what it sees; one file, since each costs the test run a process. */
import "./assess-cases.ts";
import "./defence-cases.ts";
import "./lag-cases.ts";
