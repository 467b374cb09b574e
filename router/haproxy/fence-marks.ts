/**
 * Fence marks: the part of a router's configuration that no environment declares. A fenced member's
 * servers carry `disabled`, and a comment above each says who fenced it, when and why; so a reload
 * or a restart of HAProxy keeps the member down. The router's own file is where the marks are kept,
 * and every new text takes them over from there. HAProxy configuration manual, 5.2 "disabled".
 */
import { haproxyNames } from "./model.ts";

export interface FenceMark {
  readonly member: string;
  /** A person and a host. */
  readonly by: string;
  /** ISO 8601. */
  readonly at: string;
  /** One line; "" when nobody said. */
  readonly why: string;
}

const longest = 200;
const markPattern = /^\s*# fenced: (\S+) at (\S+) by (.*?)(?:: (.*))?$/;

/** A word or a sentence as it may stand in a comment: one line, nothing that ends or hides it. */
function inComment(text: string): string {
  return text
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, " ")
    .trim()
    .slice(0, longest);
}

function markLine({ member, by, at, why }: FenceMark): string {
  // A colon would end the name.
  const name = inComment(by).replaceAll(":", " ");
  const reason = inComment(why);
  return `  # fenced: ${member} at ${at} by ${name}${reason === "" ? "" : `: ${reason}`}`;
}

/** The marks in a configuration text, one for each fenced member, in its order. */
export function fenceMarksIn(text: string): FenceMark[] {
  const marks = new Map<string, FenceMark>();
  for (const line of text.split("\n")) {
    const [, member, at, by = "", why = ""] = markPattern.exec(line) ?? [];
    if (member === undefined || at === undefined || marks.has(member)) continue;
    marks.set(member, { member, at, by, why });
  }
  return [...marks.values()];
}

const fencedSections: readonly string[] = [haproxyNames.write, haproxyNames.read];
const disabled = " disabled";

/**
 * The same configuration with these members fenced and no others. `primary.<member>` of the read
 * backend follows the write backend's server, so it needs no mark.
 */
export function withFenceMarks(text: string, marks: readonly FenceMark[]): string {
  const byMember = new Map(marks.map((one) => [one.member, one]));
  let section = "";
  const lines = text.split("\n").flatMap((line) => {
    if (markPattern.test(line)) return [];
    section = /^(?:listen|backend|frontend) (\S+)/.exec(line)?.[1] ?? section;
    const server = /^\s+server (\S+) /.exec(line)?.[1];
    if (server === undefined || !fencedSections.includes(section)) return [line];
    const bare = line.endsWith(disabled) ? line.slice(0, -disabled.length) : line;
    const mark = byMember.get(server);
    return mark === undefined ? [bare] : [markLine(mark), bare + disabled];
  });
  return lines.join("\n");
}

/** `rendered` with the fence marks of the text that is `installed` (undefined: there is none). */
export function keepFences(rendered: string, installed: string | undefined): string {
  return installed === undefined ? rendered : withFenceMarks(rendered, fenceMarksIn(installed));
}
