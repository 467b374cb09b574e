/** Backends that follow names: weights, rules, the life of targets, and HAProxy's servers. */
import t from "tap";
import { followCases } from "./follow-cases.ts";
import { membershipCases } from "./membership-cases.ts";
import { registrationCases } from "./registration-cases.ts";
import { resolutionCases } from "./resolution-cases.ts";
import { serversCases } from "./servers-cases.ts";
import { targetCases } from "./target-cases.ts";
import { weightsCases } from "./weights-cases.ts";

await t.test("weights and addresses", weightsCases);
await t.test("what may be said of a target", targetCases);
await t.test("what stands after an answer or a failure", membershipCases);
await t.test("the invariants of resolution", resolutionCases);
await t.test("the start and the end of targets", registrationCases);
await t.test("what is wanted of the names of a file", followCases);
await t.test("what a router is told of the servers of a backend", serversCases);
