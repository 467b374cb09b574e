/**
 * The files that the accessories mount: where they lie in the repository of the app, and what
 * prints them. None of them holds a secret: those that end in .erb are filled in by Kamal.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Environment } from "../../config/schema.ts";
import { inCheckout } from "../../kit/checkout.ts";
import { renderTemplate } from "../../kit/template.ts";
import type { TemplateModel } from "../../kit/template.ts";
import type { MountedFile } from "./accessory.ts";
import {
  edgePoolerConfiguration,
  nodePoolerConfiguration,
  placeInImage,
  versionInImage,
} from "../pooler/files.ts";
import { mountedFilesModel } from "./mounted.ts";
import type { MountedFileModel } from "./mounted.ts";

const templates = inCheckout("templates/kamal");

/**
 * Every file that the accessories of an environment mount, in the order of the environment.
 * @throws KamalModelError, PoolerModelError, TemplateError
 */
export async function mountedFiles(environment: Environment): Promise<MountedFile[]> {
  return await Promise.all(
    mountedFilesModel(environment).map(async (one) => ({
      local: one.local,
      text: await textOf(environment, one),
    })),
  );
}

async function textOf(environment: Environment, one: MountedFileModel): Promise<string> {
  if ("template" in one) return await rendered(one.template, one.model);
  const place = placeInImage([one.admin]);
  if ("member" in one) {
    return await nodePoolerConfiguration(environment, one.member, place, versionInImage);
  }
  return await edgePoolerConfiguration(environment, one.edge, one.router, place, versionInImage);
}

async function rendered(name: string, model: TemplateModel): Promise<string> {
  return renderTemplate(await readFile(join(templates, `${name}.mustache`), "utf8"), model);
}

/**
 * The lines that stand before the accessories.
 * @throws TemplateError
 */
export async function deployHead(model: TemplateModel): Promise<string> {
  return await rendered("deploy-head.yml", model);
}
