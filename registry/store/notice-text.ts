/**
 * How a notice goes through NOTIFY: one channel, the process that sends it first, so that it does not
 * hear itself. A payload is shorter than 8000 bytes (PostgreSQL manual, NOTIFY), so that a long one
 * goes in parts; the parts of one transaction arrive one after the other.
 */
import { topics } from "./store.ts";
import type { Topic } from "./store.ts";
import type { Notice } from "./listeners.ts";

const partSize = 7000;
const partsMax = 200;

/** The payloads that say `notice`, from the process `sender` (no blanks in it); undefined: too long. */
export function noticeTexts(sender: string, notice: Notice): readonly string[] | undefined {
  const bytes = Buffer.from(notice.payload, "utf8");
  const head = `${sender} ${notice.topic}`;
  if (bytes.length <= partSize) return [`${head} 1/1 ${notice.payload}`];
  const text = bytes.toString("base64");
  const count = Math.ceil(text.length / partSize);
  if (count > partsMax) return undefined;
  const part = (at: number): string => text.slice(at * partSize, (at + 1) * partSize);
  return Array.from({ length: count }, (_, at) => `${head} ${at + 1}/${count} ${part(at)}`);
}

/**
 * Reads what others sent over one connection, in its order; gives each notice to `take` once it is
 * whole. What `self` sent, and what nobody here could have sent, is passed over.
 */
export function noticeReader(self: string, take: (notice: Notice) => void): (text: string) => void {
  let parts: { head: string; texts: string[] } = { head: "", texts: [] };
  return (text) => {
    const found = /^(\S+) (\S+) (\d+)\/(\d+) ([\s\S]*)$/.exec(text);
    if (found === null) return;
    const [, sender = "", word = "", index, count, rest = ""] = found;
    const topic = topics.find((one) => one === word);
    if (sender === self || topic === undefined) return;
    if (count === "1") {
      take({ topic, payload: rest });
      return;
    }
    const head = `${sender} ${topic} ${count}`;
    if (index === "1") parts = { head, texts: [] };
    if (parts.head !== head || parts.texts.length !== Number(index) - 1) return;
    parts.texts.push(rest);
    if (Number(index) === Number(count)) take(whole(topic, parts.texts));
  };
}

function whole(topic: Topic, texts: readonly string[]): Notice {
  return { topic, payload: Buffer.from(texts.join(""), "base64").toString("utf8") };
}
