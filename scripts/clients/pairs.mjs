// The pairs that pairs.py has written, and the comparison with the command line's ranking.

import { readFileSync } from "node:fs";

export const model = "tiny-reranker";
export const url = process.env.RERANK_URL;
export const key = "no-secret";
// So many of the cases are asked for with limits, too.
const WITH_LIMITS = 5;

export const cases = JSON.parse(readFileSync(process.env.PAIRS, "utf8"));

// `ask(query, documents, limit)` gives pairs of an index and a score, best first. No limit asks for all.
export async function check(client, ask) {
    let asked = 0;
    for (const [number, { query, documents, ranking }] of cases.entries()) {
        for (const limit of number < WITH_LIMITS ? [undefined, 1, 3] : [undefined]) {
            const expected = ranking.slice(0, limit).map(({ index, score }) => [index, Math.fround(score)]);
            const got = (await ask(query, documents, limit)).map(([index, score]) => [index, Math.fround(score)]);
            if (JSON.stringify(got) !== JSON.stringify(expected)) {
                console.error(`${client}: ${JSON.stringify(query)}, limit ${limit}:`);
                console.error(`  expected ${JSON.stringify(expected)}\n  got      ${JSON.stringify(got)}`);
                process.exit(1);
            }
            asked += 1;
        }
    }
    console.log(`${client}: ${asked} requests, order and scores are those of the command line`);
}
