/** Turns an environment into the text of one router's HAProxy configuration. */
import type { Environment } from "../../config/schema.ts";
import { renderTemplate } from "../../kit/template.ts";
import { haproxyModel } from "./model.ts";
import type { HaproxyFeatures } from "./version.ts";

/**
 * Renders `template` for the router `routerName`.
 * @throws HaproxyModelError where the environment is wrong, TemplateError where the template is
 */
export function renderHaproxy(
  template: string,
  environment: Environment,
  routerName: string,
  features: HaproxyFeatures,
): string {
  return renderTemplate(template, haproxyModel(environment, routerName, features));
}
