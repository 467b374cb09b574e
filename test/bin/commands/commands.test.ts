/** The command lines of bin/lab and bin/router; one file, since each costs the test run a process. */
import "./lab-cases.ts";
import "./router-cases.ts";
