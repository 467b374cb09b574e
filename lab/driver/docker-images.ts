/**
 * The engine and the images of a lab of containers: what is missing is installed, started and built
 * by `bin/setup --docker`, where that may do so.
 */
import { readFile } from "node:fs/promises";
import { inCheckout } from "../../kit/checkout.ts";
import { ChildError, runChild } from "../../kit/child.ts";
import type { DockerEngine } from "../../kit/docker-engine.ts";
import { EngineError } from "../../kit/docker-errors.ts";
import { LabUnavailableError } from "../place.ts";
import type { PrepareOptions } from "./driver.ts";
import type { LabImage } from "./docker-specs.ts";

export type LabImages = Readonly<Record<LabImage, string>>;

/** Longer than installing an engine and building every image takes on a slow machine. */
const setupDeadlineMs = 30 * 60_000;

/** The images of this checkout, as bin/setup names them. */
export async function labImages(): Promise<LabImages> {
  const { version } = JSON.parse(await readFile(inCheckout("package.json"), "utf8")) as {
    version: string;
  };
  const named = (image: LabImage): string => `switchyard/${image}:${version}`;
  return {
    postgres: named("postgres"),
    pgbouncer: named("pgbouncer"),
    haproxy: named("haproxy"),
    switchyard: named("switchyard"),
  };
}

/**
 * The images, when the engine answers and has them all; otherwise after `bin/setup --docker`.
 * @throws LabUnavailableError saying what was tried and what to do
 */
export async function readyImages(
  engine: DockerEngine,
  options: PrepareOptions,
): Promise<LabImages> {
  const images = await labImages();
  const missing = await whatIsMissing(engine, images, options.signal);
  if (missing === undefined) return images;
  options.note(`${missing}: running bin/setup --docker`);
  await runSetup(missing, options.signal);
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

async function runSetup(missing: string, signal: AbortSignal): Promise<void> {
  const program = inCheckout("bin/setup");
  await runChild(program, ["--docker"], { deadlineMs: setupDeadlineMs, signal }).catch(
    (cause: unknown) => {
      if (!(cause instanceof ChildError)) throw cause;
      const said = cause.stderr.trim().split("\n").slice(-3).join("; ");
      throw new LabUnavailableError(
        `a lab of containers needs an engine and its images: ${missing}; bin/setup --docker: ${said}`,
        { cause },
      );
    },
  );
}
