/**
 * In which order addresses are tried: the last one known first, then as the name servers and the
 * target gave them with the families taking turns (RFC 8305, section 4), and what failed a moment ago
 * last. Nothing is dropped.
 */

export interface Ordered {
  readonly address: string;
  /** 0 is a Unix socket. */
  readonly family: 4 | 6 | 0;
}

export interface OrderOptions<A> {
  /** Moves to the front. */
  readonly isKnown: (address: A) => boolean;
  /** Moves to the back, in the order they had. */
  readonly isPenalised: (address: A) => boolean;
  /** Shuffles, within what is penalised and what is not. */
  readonly loadBalance: boolean;
  /** From 0 to 1, 1 excluded. */
  readonly random: () => number;
}

/**
 * The addresses of all hosts, host by host as the target names them, in the order to try them.
 * @param hosts the addresses of each host, in the order of its answer
 */
export function orderAddresses<A extends Ordered>(
  hosts: readonly (readonly A[])[],
  options: OrderOptions<A>,
): A[] {
  const given = hosts.flatMap((addresses) => interleaved(addresses));
  const order = options.loadBalance ? shuffled(given, options.random) : given;
  const known = order.filter((one) => options.isKnown(one));
  const others = order.filter((one) => !options.isKnown(one));
  return [
    ...known,
    ...others.filter((one) => !options.isPenalised(one)),
    ...others.filter((one) => options.isPenalised(one)),
  ];
}

/** Families take turns, beginning with that of the first address. */
function interleaved<A extends Ordered>(addresses: readonly A[]): A[] {
  const first = addresses.filter(({ family }) => family === addresses[0]?.family);
  const second = addresses.filter(({ family }) => family !== addresses[0]?.family);
  return Array.from({ length: Math.max(first.length, second.length) }, (_, index) => [
    first[index],
    second[index],
  ])
    .flat()
    .filter((one) => one !== undefined);
}

/** Fisher and Yates: every order is as likely as any other. */
function shuffled<A>(given: readonly A[], random: () => number): A[] {
  const result = [...given];
  for (let last = result.length - 1; last > 0; last -= 1) {
    const other = Math.floor(random() * (last + 1));
    const [a, b] = [result[last], result[other]];
    if (a !== undefined && b !== undefined) [result[last], result[other]] = [b, a];
  }
  return result;
}
