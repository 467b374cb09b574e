/** What the registry decides without a store or a socket; one file, since each costs a process. */
import "./answers-cases.ts";
import "./endpoints-cases.ts";
import "./hearing-cases.ts";
import "./meetings-cases.ts";
import "./store-cases.ts";
import "./monitor-roles-cases.ts";
import "./records-cases.ts";
import "./roles-cases.ts";
