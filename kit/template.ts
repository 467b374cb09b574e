/**
 * Renders Mustache templates into configuration text. Values are not escaped (Mustache escapes for
 * HTML, which would break configuration files); they are validated before they come here. A tag
 * that the model lacks is an error, where Mustache alone would render nothing.
 */
import mustache from "mustache";

/** A template names something that its model does not have. */
export class TemplateError extends Error {
  override readonly name = "TemplateError";
  readonly code = "ERR_TEMPLATE";
}

export type TemplateModel = Readonly<Record<string, unknown>>;

type Token = [type: string, name: string, start: number, end: number, children?: Token[]];

/**
 * Renders `template` with `model`; sections over lists and booleans, no partials.
 * @throws TemplateError when a tag has no value in the model, or a value is undefined or null
 */
export function renderTemplate(template: string, model: TemplateModel): string {
  checkTags(mustache.parse(template) as Token[], [model]);
  return mustache.render(template, model, {}, { escape: String });
}

function checkTags(tokens: readonly Token[], scopes: readonly TemplateModel[]): void {
  for (const [type, name, , , children] of tokens) {
    if (type === "text" || type === "!") continue;
    const value = lookUp(name, scopes);
    if (type === "#" || type === "^") {
      const items: unknown[] = Array.isArray(value) ? value : [value];
      const entered = type === "^" ? [{}] : items.filter((one) => one !== false);
      for (const item of entered) {
        const inner = typeof item === "object" && item !== null ? (item as TemplateModel) : {};
        checkTags(children ?? [], [inner, ...scopes]);
      }
    } else if (type === ">") {
      throw new TemplateError(`template uses a partial: ${name}`);
    } else if (typeof value === "object" || typeof value === "function") {
      throw new TemplateError(`template prints ${name}, and its value in the model is no text`);
    }
  }
}

function lookUp(name: string, scopes: readonly TemplateModel[]): unknown {
  if (name === ".") return "";
  const [head = "", ...rest] = name.split(".");
  let value: unknown = scopes.find((scope) => Object.hasOwn(scope, head))?.[head];
  for (const part of rest) value = (value as TemplateModel | undefined)?.[part];
  if (value === undefined || value === null) {
    throw new TemplateError(`template names ${name}, and the model has no such value`);
  }
  return value;
}
