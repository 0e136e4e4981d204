// Cohere's JavaScript client, with both versions of its interface, and its errors.

import { CohereClient, CohereClientV2, CohereError } from "cohere-ai";
import { cases, check, key, model, url } from "./pairs.mjs";

const second = new CohereClientV2({ token: key, environment: url });
const first = new CohereClient({ token: key, environment: url });

await check("cohere-ai, version 2", async (query, documents, topN) => {
    const response = await second.rerank({ model, query, documents, topN });
    return response.results.map((result) => [result.index, result.relevanceScore]);
});

await check("cohere-ai, version 1", async (query, documents, topN) => {
    const response = await first.rerank({ model, query, documents, topN, returnDocuments: true });
    if (response.results.some((result) => result.document.text !== documents[result.index])) {
        throw new Error("a result repeats another document than its own");
    }
    return response.results.map((result) => [result.index, result.relevanceScore]);
});

try {
    await second.rerank({ model, query: cases[0].query, documents: [] });
    throw new Error("no documents, and no error");
} catch (error) {
    if (!(error instanceof CohereError && [400, 422].includes(error.statusCode) && error.message.includes("documents"))) {
        throw error;
    }
}
