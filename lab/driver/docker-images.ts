/**
 * The engine and the images of a lab of containers: what is missing, or made of other sources than
 * the checkout's, is installed, started and built by `bin/setup --docker`, where that may do so.
 */
import { ownImages } from "../../config/kamal-words.ts";
import type { ImageName } from "../../config/kamal-words.ts";
import { inCheckout, ownVersion } from "../../kit/checkout.ts";
import { ChildError, runChild } from "../../kit/child.ts";
import type { DockerEngine } from "../../kit/docker-engine.ts";
import { EngineError } from "../../kit/docker-errors.ts";
import { LabUnavailableError } from "../place.ts";
import type { PrepareOptions } from "./driver.ts";

export type LabImages = Readonly<Record<ImageName, string>>;

/** Longer than installing an engine and building every image takes on a slow machine. */
const setupDeadlineMs = 30 * 60_000;

/** The images of this checkout, as bin/setup names them. */
export async function labImages(): Promise<LabImages> {
  return ownImages(await ownVersion());
}

/**
 * The images of this checkout as it is now: bin/setup --docker, which takes half a second when it
 * finds nothing to do, knows what they have to be made of.
 * @throws LabUnavailableError saying what was tried and what to do
 */
export async function readyImages(
  engine: DockerEngine,
  options: PrepareOptions,
): Promise<LabImages> {
  const images = await labImages();
  const missing = await whatIsMissing(engine, images, options.signal);
  if (missing !== undefined) options.note(`${missing}: running bin/setup --docker`);
  const said = await runSetup(missing ?? "as they are now", options.signal);
  for (const line of said.matchAll(/^setup: (built .*)$/gm)) options.note(line[1] ?? "");
  const still = await whatIsMissing(engine, images, options.signal);
  if (still === undefined) return images;
  throw new LabUnavailableError(
    `a lab of containers needs an engine and its images; bin/setup --docker ended well, and still ${still}`,
  );
}

async function whatIsMissing(
  engine: DockerEngine,
  images: LabImages,
  signal: AbortSignal,
): Promise<string | undefined> {
  try {
    await engine.ping(signal);
    const names = Object.values(images);
    const found = await Promise.all(names.map((name) => engine.findImage(name, signal)));
    const missing = names.filter((_, index) => found[index] === null);
    return missing.length === 0 ? undefined : `there is no image ${missing.join(", ")}`;
  } catch (error) {
    // An engine that is there and refuses us is none that a setup could mend.
    if (error instanceof EngineError && error.fault === "no engine") return error.message;
    throw error;
  }
}

/** Runs it to its end. @returns what it said */
async function runSetup(why: string, signal: AbortSignal): Promise<string> {
  const options = { deadlineMs: setupDeadlineMs, signal };
  try {
    return (await runChild(inCheckout("bin/setup"), ["--docker"], options)).stderr;
  } catch (cause) {
    if (!(cause instanceof ChildError)) throw cause;
    const said = cause.stderr.trim().split("\n").slice(-3).join("; ");
    throw new LabUnavailableError(
      `a lab of containers needs an engine and its images: ${why}; bin/setup --docker: ${said}`,
      { cause },
    );
  }
}
