/**
 * Whether a message is the reply to a query that was sent: by its id and by its question, letter
 * for letter, since the case of each letter was drawn (RFC 5452, 9.1; 0x20).
 */
import { read16 } from "../wire/message.ts";
import { headerBytes, rcodes } from "../wire/numbers.ts";

/**
 * - same: the reply;
 * - bare: only a header that says the query was not understood, as servers without EDNS send;
 * - other-case: the question, but not in the case in which it was asked;
 * - foreign: anything else.
 */
export type Match = "same" | "bare" | "other-case" | "foreign";

const notUnderstood = new Set<number>([rcodes.FORMERR, rcodes.NOTIMP]);

function sameLetters(message: Uint8Array, question: Uint8Array): "same" | "other-case" | "foreign" {
  const nameLength = question.length - 4;
  let match: "same" | "other-case" = "same";
  for (let index = 0; index < question.length; index += 1) {
    const [came, sent] = [message[headerBytes + index] ?? 0, question[index] ?? 0];
    if (came === sent) continue;
    const isLetter = (sent | 0x20) >= 0x61 && (sent | 0x20) <= 0x7a;
    if (index >= nameLength || !isLetter || (came | 0x20) !== (sent | 0x20)) return "foreign";
    match = "other-case";
  }
  return match;
}

/** Compares a message with the question that was sent; the id has been compared before. */
export function matchReply(message: Uint8Array, question: Uint8Array): Match {
  const isReply = message.length >= headerBytes && ((message[2] ?? 0) & 0xf8) === 0x80;
  if (!isReply) return "foreign";
  const rcode = (message[3] ?? 0) & 0x0f;
  const questions = read16(message, 4);
  if (questions === 0) return notUnderstood.has(rcode) ? "bare" : "foreign";
  const isLongEnough = message.length >= headerBytes + question.length;
  return questions === 1 && isLongEnough ? sameLetters(message, question) : "foreign";
}
